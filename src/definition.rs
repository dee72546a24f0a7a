//! What a drop is: its schedule, items, pools and limits, as typed values.
//!
//! A definition is checked once, by whoever builds it from a request; this module only carries it and answers
//! questions about it that need nothing else.

use std::collections::BTreeMap;

use crate::ids::{DropId, ItemNo, LimitId, PoolId, PoolNo, ShopId, Sku};
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
}

/// The most that one customer may hold and own. Held and claimed units count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Unique in the drop.
    pub id: LimitId,
    /// Over what it counts.
    pub scope: Scope,
    /// Units at most. 0 is legal: nobody may buy.
    pub max_units: u32,
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
