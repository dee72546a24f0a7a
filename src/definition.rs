//! What a drop is: its schedule, items, pools and limits, as typed values.
//!
//! A definition is checked once, by whoever builds it from a request; this module only carries it and answers
//! questions about it that need nothing else.

use std::collections::BTreeMap;

use crate::ids::{DropId, IdentityKind, ItemNo, LimitId, PoolId, PoolNo, SeriesId, ShopId, Sku, TierId};
use crate::time::{Millis, Timestamp};

/// Most items in a drop.
pub const MAX_ITEMS: usize = 256;
/// Most units that an item may have: 10^12, so that sums over a drop stay far inside u64 and the stock word's 40 bits.
pub const MAX_ITEM_UNITS: u64 = 1_000_000_000_000;
/// Most bytes in a title.
pub const MAX_TITLE: usize = 200;
/// Most labels of a drop.
pub const MAX_LABELS: usize = 16;
/// Most limits of a drop.
pub const MAX_LIMITS: usize = 64;
/// Most goods that a limit names.
pub const MAX_LIMIT_SKUS: usize = 256;
/// Most tiers that a limit names.
pub const MAX_LIMIT_TIERS: usize = 64;
/// The pool that an item has when none is named.
pub const GENERAL_POOL: &str = "general";
/// The shop of a drop that names none.
pub const DEFAULT_SHOP: &str = "default";

/// A drop as it was defined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Unique in the engine.
    pub id: DropId,
    /// For people; at most 200 bytes.
    pub title: String,
    /// Whose drop it is.
    pub shop: ShopId,
    /// The series that it belongs to.
    pub series: Option<SeriesId>,
    /// The caller's own notes; at most 16.
    pub labels: BTreeMap<String, String>,
    /// As asked; left out: the instant of creation.
    pub opens_at: Option<Timestamp>,
    /// Left out: never by itself.
    pub closes_at: Option<Timestamp>,
    /// How long a hold lives.
    pub hold_ttl: Millis,
    /// Ceiling of a hold's life with all extensions.
    pub max_hold_life: Millis,
    /// How long a payment may take.
    pub payment_ttl: Millis,
    /// 1–256, each SKU once.
    pub items: Vec<Item>,
    /// All of them hold.
    pub limits: Vec<Limit>,
}

/// One SKU in one drop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Unique in the drop.
    pub sku: Sku,
    /// At least one; drawn from in this order.
    pub pools: Vec<Pool>,
}

/// A named part of an item's stock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Unique in the item.
    pub id: PoolId,
    /// The first stock, in units.
    pub units: u64,
}

/// Over what a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Each item by itself.
    Item,
    /// All items of the drop together.
    Drop,
    /// All drops of the drop's series together.
    Series,
    /// All drops of the shop together.
    Shop,
}

/// The most that one subject may hold and own. Held, paying and claimed units count. At least one bound is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Unique in the drop.
    pub id: LimitId,
    /// Over what it counts.
    pub scope: Scope,
    /// The goods that it counts, ascending; none: all.
    pub skus: Vec<Sku>,
    /// The kind of identity that it counts by; none: the customer.
    pub identity_kind: Option<IdentityKind>,
    /// Units at most. 0 is legal: nobody may buy.
    pub max_units: Option<u32>,
    /// Units at most for customers of a tier: the highest that fits wins over `max_units`.
    pub max_units_by_tier: BTreeMap<TierId, u32>,
    /// Units at most that are held or in payment.
    pub max_live_units: Option<u32>,
    /// Holds at most that are held or in payment.
    pub max_live_holds: Option<u32>,
    /// `max_units` counts only what was reserved within so long.
    pub rolling: Option<Millis>,
    /// The least time between two reserves.
    pub cooldown: Option<Millis>,
}

impl Limit {
    /// A limit that bounds nothing yet.
    #[must_use]
    pub const fn new(id: LimitId, scope: Scope) -> Self {
        Self {
            id,
            scope,
            skus: Vec::new(),
            identity_kind: None,
            max_units: None,
            max_units_by_tier: BTreeMap::new(),
            max_live_units: None,
            max_live_holds: None,
            rolling: None,
            cooldown: None,
        }
    }

    /// Whether it is the usual one: of the customer's units of the drop or of each item, and nothing else.
    #[inline]
    #[must_use]
    pub fn is_plain(&self) -> bool {
        let Self {
            id: _,
            scope,
            skus,
            identity_kind,
            max_units,
            max_units_by_tier,
            max_live_units,
            max_live_holds,
            rolling,
            cooldown,
        } = self;
        let here = match scope {
            Scope::Item | Scope::Drop => true,
            Scope::Series | Scope::Shop => false,
        };
        here && max_units.is_some()
            && skus.is_empty()
            && identity_kind.is_none()
            && max_units_by_tier.is_empty()
            && max_live_units.is_none()
            && max_live_holds.is_none()
            && rolling.is_none()
            && cooldown.is_none()
    }

    /// Whether it counts these goods.
    #[must_use]
    pub fn covers(&self, sku: &Sku) -> bool {
        self.skus.is_empty() || self.skus.binary_search(sku).is_ok()
    }

    /// Units at most for a customer of these tiers: the highest for any of them, else what holds for everyone.
    #[must_use]
    pub fn units_for(&self, tiers: &[TierId]) -> Option<u32> {
        let fitting = tiers.iter().filter_map(|tier| self.max_units_by_tier.get(tier));
        fitting.max().or(self.max_units.as_ref()).copied()
    }
}

impl Definition {
    /// The item with this SKU. A linear look: drops have a few items, and a hash would cost more than it saves.
    #[must_use]
    pub fn item(&self, sku: &Sku) -> Option<(ItemNo, &Item)> {
        let place = self.items.iter().position(|item| item.sku == *sku)?;
        Some((ItemNo(u16::try_from(place).ok()?), self.items.get(place)?))
    }

    /// The SKU of an item of this drop.
    ///
    /// # Panics
    /// When the item is not of this drop: numbers are only made from the definition, so that is a bug.
    #[must_use]
    pub fn sku(&self, item: ItemNo) -> &Sku {
        self.items.get(item.index()).map_or_else(|| bug("item"), |found| &found.sku)
    }

    /// The id of a pool of this drop.
    ///
    /// # Panics
    /// When the pool is not of this drop: a bug, as with [`Definition::sku`].
    #[must_use]
    pub fn pool(&self, item: ItemNo, pool: PoolNo) -> &PoolId {
        self.items
            .get(item.index())
            .and_then(|found| found.pools.get(pool.index()))
            .map_or_else(|| bug("pool"), |found| &found.id)
    }
}

#[cold]
#[expect(clippy::panic, reason = "a number that the definition did not make is a bug, and a bug ends the process")]
fn bug(what: &str) -> ! {
    panic!("a hold names an {what} that its drop does not have")
}
