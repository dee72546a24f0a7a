//! Items, the pools of their stock, and flows between these.

use super::audience::Audience;
use super::moment::Moment;
use super::money::Money;
use super::trigger::Trigger;
use super::{put_count, several};
use crate::codec::{DecodeError, Reader, put_text, put_u64};
use crate::ids::{PoolId, PoolNo, Sku};

/// Most items in a drop.
pub const ITEMS_MAX: usize = 256;
/// Most units that an item may have: 10^12. It fits the stock word's 40 bits, and a drop's sums stay far below u64's
/// maximum.
pub const ITEM_UNITS_MAX: u64 = 1_000_000_000_000;
/// Most pools of an item.
pub const ITEM_POOLS_MAX: usize = 32;
/// Most pools of a drop whose items name pools.
pub const DROP_POOLS_MAX: usize = 512;
/// Most flows of a pool.
pub const FLOWS_MAX: usize = 8;
/// Most bytes of a place's name.
pub const PLACE_MAX: usize = 200;
/// The pool of an item that names none.
pub const GENERAL_POOL: &str = "general";

/// One SKU in one drop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Unique in the drop.
    pub sku: Sku,
    /// At least one; units are drawn from them in this order.
    pub pools: Vec<Pool>,
    /// Set if it is a pickup slot.
    pub slot: Option<Slot>,
    /// No price of it may be lower.
    pub price_floor: Option<Money>,
    /// What a unit costs the shop.
    pub unit_cost: Option<Money>,
}

/// Capacity at a place and time: each unit is one visit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Where.
    pub place: String,
    /// From then on it can't be reserved any more.
    pub starts: Moment,
    /// When it ends.
    pub ends: Moment,
}

/// A named part of an item's stock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Unique in the item.
    pub id: PoolId,
    /// The initial stock, in units.
    pub units: u64,
    /// How that was defined.
    pub size: PoolSize,
    /// Who may draw on it.
    pub audience: Audience,
    /// Where its units are picked up. Only lines that name such a pool draw on it.
    pub place: Option<String>,
    /// At which moments it opens to others.
    pub flows: Vec<Flow>,
}

/// How a pool's first stock is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolSize {
    /// It has what the item's other pools leave.
    Rest,
    /// So many units.
    Units,
    /// This share of the item's quantity in basis points, rounded down.
    Share(u32),
}

/// Once it has fired, whoever may draw on pool `to` may draw on this flow's pool as well, after their own. Units stay
/// in their pools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// A pool of the same item.
    pub to: PoolId,
    /// When it fires; none: by hand alone.
    pub when: Option<Trigger>,
}

impl Item {
    /// Goods with these pools, without a price.
    #[must_use]
    pub const fn plain(sku: Sku, pools: Vec<Pool>) -> Self {
        Self { sku, pools, slot: None, price_floor: None, unit_cost: None }
    }

    /// The initial stock of all its pools.
    #[must_use]
    pub fn units(&self) -> u64 {
        self.pools.iter().map(|pool| pool.units).fold(0, u64::saturating_add)
    }

    /// The pool that stock goes to if no pool is named: the one that has the rest, else the last one.
    #[must_use]
    pub fn usual_pool(&self) -> Option<usize> {
        let rest = self.pools.iter().rposition(|pool| pool.size == PoolSize::Rest);
        rest.or_else(|| self.pools.len().checked_sub(1))
    }

    /// Its flows, each with the places of the pool that flows and of the pool whose customers get its units.
    pub fn flows(&self) -> impl Iterator<Item = ((PoolNo, PoolNo), &Flow)> {
        let pools = (0..).map(PoolNo).zip(&self.pools);
        let all = pools.flat_map(|(from, pool)| pool.flows.iter().map(move |flow| (from, flow)));
        all.filter_map(|(from, flow)| Some(((from, self.pool_no(&flow.to)?), flow)))
    }

    /// The place of a pool.
    #[must_use]
    pub fn pool_no(&self, id: &PoolId) -> Option<PoolNo> {
        let place = self.pools.iter().position(|pool| pool.id == *id)?;
        u16::try_from(place).ok().map(PoolNo)
    }

    /// Whether only its SKU and its one pool without rules are set, as in most items.
    pub(super) fn is_plain(&self) -> bool {
        let Self { sku: _, pools, slot, price_floor, unit_cost } = self;
        slot.is_none() && price_floor.is_none() && unit_cost.is_none() && pools.iter().all(Pool::is_plain)
    }
}

impl Pool {
    /// A pool that everyone may draw on.
    #[must_use]
    pub const fn plain(id: PoolId, units: u64) -> Self {
        let audience = Audience { tiers: Vec::new(), zones: Vec::new() };
        Self { id, units, size: PoolSize::Rest, audience, place: None, flows: Vec::new() }
    }

    fn is_plain(&self) -> bool {
        let Self { id: _, units: _, size, audience, place, flows } = self;
        *size == PoolSize::Rest && audience.is_everyone() && place.is_none() && flows.is_empty()
    }
}

/// Appends an item's first fields.
pub(super) fn encode(Item { sku, pools, .. }: &Item, out: &mut Vec<u8>) {
    put_text(out, sku.as_str());
    put_count(out, pools.len());
    for Pool { id, units, .. } in pools {
        put_text(out, id.as_str());
        put_u64(out, *units);
    }
}

/// Reads an item's first fields.
pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Item, DecodeError> {
    let sku = reader.id("sku")?;
    let pools = several(reader, 2, |reader| Ok(Pool::plain(reader.id("pool id")?, reader.u64()?)))?;
    Ok(Item::plain(sku, pools))
}

const REST: u8 = 1;
const UNITS: u8 = 2;
const SHARE: u8 = 3;

/// Appends what an item has beyond its first fields.
pub(super) fn encode_rules(Item { sku: _, pools, slot, price_floor, unit_cost }: &Item, out: &mut Vec<u8>) {
    out.push(u8::from(slot.is_some()));
    if let Some(Slot { place, starts, ends }) = slot {
        put_text(out, place);
        starts.encode(out);
        ends.encode(out);
    }
    for money in [price_floor, unit_cost] {
        out.push(u8::from(money.is_some()));
        if let Some(money) = money {
            money.encode(out);
        }
    }
    for Pool { id: _, units: _, size, audience, place, flows } in pools {
        match size {
            PoolSize::Rest => out.push(REST),
            PoolSize::Units => out.push(UNITS),
            PoolSize::Share(points) => {
                out.push(SHARE);
                put_u64(out, u64::from(*points));
            }
        }
        audience.encode(out);
        out.push(u8::from(place.is_some()));
        if let Some(place) = place {
            put_text(out, place);
        }
        put_count(out, flows.len());
        for Flow { to, when } in flows {
            put_text(out, to.as_str());
            out.push(u8::from(when.is_some()));
            if let Some(when) = when {
                when.encode(out);
            }
        }
    }
}

/// Reads them into an item.
pub(super) fn decode_rules(item: &mut Item, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    if reader.flag("slot")? {
        let place = reader.text()?.to_owned();
        item.slot = Some(Slot { place, starts: Moment::decode(reader)?, ends: Moment::decode(reader)? });
    }
    for money in [&mut item.price_floor, &mut item.unit_cost] {
        *money = if reader.flag("price")? { Some(Money::decode(reader)?) } else { None };
    }
    for pool in &mut item.pools {
        pool.size = match reader.u8()? {
            REST => PoolSize::Rest,
            UNITS => PoolSize::Units,
            SHARE => PoolSize::Share(reader.small("share")?),
            _ => return Err(DecodeError::Bad("pool size")),
        };
        pool.audience = Audience::decode(reader)?;
        pool.place = if reader.flag("place")? { Some(reader.text()?.to_owned()) } else { None };
        pool.flows = several(reader, 2, |reader| {
            let to = reader.id("pool id")?;
            let when = if reader.flag("trigger")? { Some(Trigger::decode(reader)?) } else { None };
            Ok(Flow { to, when })
        })?;
    }
    Ok(())
}
