//! The pools of a drop: those that it was made with, and behind them those of items that were added later.
//!
//! Pools are never removed and never move, so whoever has one may keep it while others are added. The first ones are
//! found without any synchronization, as if nothing could ever be added.

use std::sync::OnceLock;

use super::pool::Pool;
use crate::definition::{Item, MAX_ITEMS};
use crate::ids::Sku;
use crate::invariant::invariant;

/// The pools of one item.
#[derive(Debug)]
pub(super) struct OfItem {
    pub(super) sku: Sku,
    pub(super) pools: Vec<Pool>,
}

/// Pools by item. Only grows.
#[derive(Debug)]
pub(super) struct Pools {
    first: Vec<OfItem>,
    /// Made when the first item is added; filled from the front.
    added: OnceLock<Box<[OnceLock<OfItem>]>>,
}

fn of(item: &Item) -> OfItem {
    OfItem { sku: item.sku.clone(), pools: item.pools.iter().map(|pool| Pool::new(pool.units)).collect() }
}

impl Pools {
    /// Those of these items.
    pub(super) fn new(items: &[Item]) -> Self {
        Self { first: items.iter().map(of).collect(), added: OnceLock::new() }
    }

    /// These items, with no pools any more.
    pub(super) fn without_stock(items: &[Item]) -> Self {
        let first = items.iter().map(|item| OfItem { sku: item.sku.clone(), pools: Vec::new() }).collect();
        Self { first, added: OnceLock::new() }
    }

    /// The pools of an item.
    #[inline]
    pub(super) fn get(&self, item: usize) -> Option<&OfItem> {
        match self.first.get(item) {
            Some(pools) => Some(pools),
            None => self.later(item),
        }
    }

    /// As [`Pools::get`], for an item that was added.
    fn later(&self, item: usize) -> Option<&OfItem> {
        self.added.get()?.get(item.checked_sub(self.first.len())?)?.get()
    }

    /// How many items there are.
    pub(super) fn len(&self) -> usize {
        self.iter().count()
    }

    /// Adds the pools of an item, behind all others. Only by one at a time: with the drop's gate closed. There are fewer
    /// than [`MAX_ITEMS`].
    pub(super) fn add(&self, item: &Item) {
        let slots = self.added.get_or_init(|| (0..MAX_ITEMS).map(|_| OnceLock::new()).collect());
        let free = slots.iter().find(|slot| slot.get().is_none());
        invariant!(let Some(free) = free, "item {} is added to a drop that has {MAX_ITEMS} of them", item.sku);
        let filled = free.set(of(item));
        invariant!(filled.is_ok(), "two items are added to a drop at once, {} is one of them", item.sku);
    }

    /// The pools of each item, in the definition's order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &OfItem> {
        self.first.iter().chain(self.added.get().into_iter().flatten().map_while(OnceLock::get))
    }

    /// The same, to change.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut OfItem> {
        let added = self.added.get_mut().into_iter().flat_map(|slots| slots.iter_mut());
        self.first.iter_mut().chain(added.map_while(OnceLock::get_mut))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::GENERAL_POOL;
    use crate::definition::Pool as Defined;
    use crate::ids::PoolId;

    fn item(n: u64) -> Item {
        let pool = Defined { id: PoolId::try_from(GENERAL_POOL).expect("an id"), units: n };
        Item { sku: Sku::try_from(format!("SKU-{n}").as_str()).expect("a sku"), pools: vec![pool] }
    }

    fn received(pools: &OfItem) -> u64 {
        pools.pools[0].stock().0.received
    }

    #[test]
    fn what_is_added_stands_behind_what_was_there_and_nothing_moves() {
        let mut pools = Pools::new(&[item(0), item(1)]);
        let place = std::ptr::from_ref(pools.get(1).expect("a pool"));
        assert!(pools.get(2).is_none());
        for n in 2..10 {
            pools.add(&item(n));
        }
        assert_eq!(std::ptr::from_ref(pools.get(1).expect("a pool")), place);
        assert_eq!(pools.len(), 10);
        assert_eq!(pools.iter().map(received).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
        assert_eq!(pools.iter_mut().map(|pools| received(pools)).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
        assert_eq!((pools.get(9).map(received), pools.get(10).map(received)), (Some(9), None));
    }

    #[test]
    fn as_many_items_fit_as_a_drop_may_have() {
        let pools = Pools::new(&[item(0)]);
        for n in 1..u64::try_from(MAX_ITEMS).expect("small") {
            pools.add(&item(n));
        }
        assert_eq!(pools.len(), MAX_ITEMS);
        assert_eq!(pools.get(MAX_ITEMS - 1).map(received), Some(255));
    }

    #[test]
    #[should_panic(expected = "a bug: item SKU-256 is added to a drop that has 256 of them")]
    fn an_item_that_finds_no_place_ends_the_process() {
        let pools = Pools::new(&[]);
        for n in 0..=u64::try_from(MAX_ITEMS).expect("small") {
            pools.add(&item(n));
        }
    }
}
