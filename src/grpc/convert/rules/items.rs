//! Items with their pools, flows and slots.

use stockade_proto as pb;
use stockade_types::definition::{
    BASIS_POINTS, DROP_POOLS_MAX, FLOWS_MAX, Flow, GENERAL_POOL, ITEM_POOLS_MAX, ITEM_UNITS_MAX, ITEMS_MAX, Item,
    PLACE_MAX, Pool, PoolSize, Slot,
};
use stockade_types::ids::{PoolId, Sku};

use super::super::faults::Faults;
use super::super::fields::{enumeration, id};
use super::moments::{Currencies, TriggerScope, moment, money, trigger};
use super::reach::{Listed, audience, entry_id};
use crate::text;

const LIST: &str = "drop.items";

/// All items of a drop; `None` with the faults recorded.
pub(super) fn items(
    faults: &mut Faults,
    drop: &pb::Drop,
    listed: &Listed<'_>,
    currencies: &mut Currencies,
) -> Option<Vec<Item>> {
    let given = &drop.items;
    if given.is_empty() || given.len() > ITEMS_MAX {
        faults.invalid(LIST, format_args!("must be 1-{ITEMS_MAX}, not {}", given.len()));
        return None;
    }
    let pools = given.iter().map(|item| item.pools.len().max(1)).fold(0, usize::saturating_add);
    if pools > DROP_POOLS_MAX {
        faults.invalid(LIST, format_args!("must have at most {DROP_POOLS_MAX} pools, not {pools}"));
    }
    let closes = drop.closes_at.is_some();
    let mut items = Vec::with_capacity(given.len());
    for (place, item) in given.iter().enumerate() {
        let path = format!("{LIST}[{place}]");
        let sku = id::<Sku>(faults, format_args!("{path}.sku"), &item.sku);
        let first = given.iter().take(place).position(|known| known.sku == item.sku);
        if let (Some(_), Some(first)) = (&sku, first) {
            faults.invalid(format_args!("{path}.sku"), format_args!("duplicates items[{first}].sku"));
        }
        if item.quantity > ITEM_UNITS_MAX {
            faults.invalid(format_args!("{path}.quantity"), format_args!("must be at most {ITEM_UNITS_MAX}"));
        }
        let slot = slot(faults, &path, item, closes);
        let price_floor = money(faults, &format!("{path}.price_floor"), item.price_floor.as_ref(), currencies);
        let unit_cost = money(faults, &format!("{path}.unit_cost"), item.unit_cost.as_ref(), currencies);
        let own = std::slice::from_ref(&item.sku);
        let pools =
            self::pools(faults, &path, item, TriggerScope { listed, usual: own, closes, before_opening: false });
        items.extend((|| Some(Item { sku: sku?, pools: pools?, slot, price_floor, unit_cost }))());
    }
    (items.len() == given.len()).then_some(items)
}

fn slot(faults: &mut Faults, path: &str, item: &pb::Item, closes: bool) -> Option<Slot> {
    let is_slot = match enumeration(faults, format_args!("{path}.kind"), item.kind)? {
        pb::ItemKind::Slot => true,
        pb::ItemKind::Unspecified | pb::ItemKind::Goods => false,
    };
    let Some(slot) = &item.slot else {
        if is_slot {
            faults.invalid(format_args!("{path}.slot"), "must be set for kind SLOT");
        }
        return None;
    };
    if !is_slot {
        faults.invalid(format_args!("{path}.slot"), "needs kind SLOT");
    } else if item.quantity == 0 {
        faults.invalid(format_args!("{path}.quantity"), "must be the slot's capacity, at least 1");
    }
    let pb::Slot { place, starts, ends, resolved_starts_at: _, resolved_ends_at: _ } = slot;
    place_name(faults, &format!("{path}.slot.place"), place);
    let mut bound = |name: &str, given: Option<&pb::Moment>| {
        let field = format!("{path}.slot.{name}");
        if given.is_none() {
            faults.invalid(&field, "must be set");
        }
        moment(faults, &field, given, closes)
    };
    let (starts, ends) = (bound("starts", starts.as_ref()), bound("ends", ends.as_ref()));
    Some(Slot { place: place.clone(), starts: starts?, ends: ends? })
}

fn place_name(faults: &mut Faults, field: &str, place: &str) {
    if place.len() > PLACE_MAX {
        faults.invalid(field, format_args!("must be at most {PLACE_MAX} bytes"));
    } else if !text::is_plain(place) {
        faults.invalid(field, text::PLAIN);
    }
}

/// The pools of an item; for one that names none, the general pool.
fn pools(faults: &mut Faults, path: &str, item: &pb::Item, scope: TriggerScope<'_>) -> Option<Vec<Pool>> {
    let given = &item.pools;
    if is_general(given, item.quantity) {
        return Some(vec![Pool::plain(PoolId::try_from(GENERAL_POOL).ok()?, item.quantity)]);
    }
    let list = format!("{path}.pools");
    if given.len() > ITEM_POOLS_MAX {
        faults.invalid(list, format_args!("must be at most {ITEM_POOLS_MAX}, not {}", given.len()));
        return None;
    }
    let sizes = sizes(faults, &list, item);
    let mut pools = Vec::with_capacity(given.len());
    for ((place, pool), (size, units)) in given.iter().enumerate().zip(sizes) {
        let pb::Pool { id: name, audience: whom, size: _, flows, place: pickup, stock: _ } = pool;
        let path = format!("{list}[{place}]");
        let name = entry_id(faults, (&list, place), (name, given.iter().map(|pool| &pool.id)));
        let audience = audience(faults, &format!("{path}.audience"), whom.as_ref());
        place_name(faults, &format!("{path}.place"), pickup);
        let pickup = (!pickup.is_empty()).then(|| pickup.clone());
        let flows = self::flows(faults, (&path, &pool.id), flows, (given, scope));
        pools.extend((|| Some(Pool { id: name?, units, size, audience, place: pickup, flows: flows? }))());
    }
    (pools.len() == given.len()).then_some(pools)
}

/// Whether these are the pools of an item that names none: no pool, or the general pool, as a drop that was read
/// shows it.
fn is_general(pools: &[pb::Pool], quantity: u64) -> bool {
    let general = |pool: &pb::Pool| {
        let pb::Pool { id, audience, size, flows, place, stock: _ } = pool;
        let all = size.is_none_or(|size| size == pb::pool::Size::Units(quantity));
        let everyone = audience.as_ref().is_none_or(|audience| *audience == pb::Audience::default());
        id == GENERAL_POOL && everyone && flows.is_empty() && place.is_empty() && all
    };
    pools.len() <= 1 && pools.iter().all(general)
}

/// The size of each pool and its units: they add up to the item's quantity, or one pool without a size takes the rest.
fn sizes(faults: &mut Faults, list: &str, item: &pb::Item) -> Vec<(PoolSize, u64)> {
    use pb::pool::Size;
    let pb::Item { quantity, pools, .. } = item;
    let mut sizes = Vec::with_capacity(pools.len());
    let mut rest = None;
    for (place, pool) in pools.iter().enumerate() {
        sizes.push(match pool.size {
            Some(Size::Units(units)) => (PoolSize::Units, units),
            Some(Size::ShareBasisPoints(points)) => {
                if !(1..=BASIS_POINTS).contains(&points) {
                    let field = format_args!("{list}[{place}].share_basis_points");
                    faults.invalid(field, format_args!("must be 1-{BASIS_POINTS}"));
                }
                (PoolSize::Share(points), share(*quantity, points))
            }
            None => {
                if let Some(first) = rest {
                    let only = format_args!("must have a size: pools[{first}] takes the rest already");
                    faults.invalid(format_args!("{list}[{place}]"), only);
                }
                rest.get_or_insert(place);
                (PoolSize::Rest, 0)
            }
        });
    }
    let sum = sizes.iter().map(|(_, units)| *units).fold(0, u64::saturating_add);
    match rest {
        _ if sum > *quantity => {
            faults.invalid(list, format_args!("have {sum} units, and the item only {quantity}"));
        }
        None if sum < *quantity => {
            let reported = "units: they must add up, or one pool must have no size and take the rest";
            faults.invalid(list, format_args!("have {sum} of the item's {quantity} {reported}"));
        }
        None => {}
        Some(rest) => {
            if let Some((_, units)) = sizes.get_mut(rest) {
                *units = quantity.saturating_sub(sum);
            }
        }
    }
    sizes
}

/// This share of a quantity, rounded down.
fn share(quantity: u64, points: u32) -> u64 {
    let part = u128::from(quantity).saturating_mul(points.into()) / u128::from(BASIS_POINTS);
    u64::try_from(part).unwrap_or(u64::MAX)
}

fn flows(
    faults: &mut Faults,
    (path, own): (&str, &str),
    given: &[pb::Flow],
    (pools, scope): (&[pb::Pool], TriggerScope<'_>),
) -> Option<Vec<Flow>> {
    if given.len() > FLOWS_MAX {
        faults.invalid(format_args!("{path}.flows"), format_args!("must be at most {FLOWS_MAX}, not {}", given.len()));
        return None;
    }
    let mut flows = Vec::with_capacity(given.len());
    for (place, pb::Flow { to, when, fired_at: _ }) in given.iter().enumerate() {
        let field = format!("{path}.flows[{place}].to");
        let name = id::<PoolId>(faults, &field, to);
        if to == own {
            faults.invalid(&field, "must be another pool");
        } else if name.is_some() && !pools.iter().any(|pool| pool.id == *to) {
            faults.invalid(&field, "is no pool of this item");
        }
        let is_by_hand = when.is_none();
        let when = trigger(faults, &format!("{path}.flows[{place}].when"), when.as_ref(), scope);
        if let Some(to) = name
            && (is_by_hand || when.is_some())
        {
            flows.push(Flow { to, when });
        }
    }
    (flows.len() == given.len()).then_some(flows)
}
