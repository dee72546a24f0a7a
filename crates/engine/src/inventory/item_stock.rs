//! The stock of a drop, item by item: first the items that it was made with, then those that were added later.
//!
//! Pools are never removed and never move, so a reference to one stays valid while others are added. The first items
//! are found without any synchronisation.

use std::sync::{Arc, OnceLock};

use stockade_counter::stock::Moving;
use stockade_types::definition::{ITEMS_MAX, Item};
use stockade_types::ids::{PoolNo, Sku};
use stockade_types::invariant;

use super::pool::Pool;

/// The stock of one item: one pool or several; none after its pools have left memory.
#[derive(Debug)]
pub struct ItemStock {
    sku: Sku,
    is_goods: bool,
    pools: Vec<Pool>,
    /// Counts what is given to the pools, if there are several.
    moving: Option<Arc<Moving>>,
}

impl ItemStock {
    /// An item's first stock.
    #[must_use]
    pub fn new(item: &Item) -> Self {
        let moving = (item.pools.len() > 1).then(|| Arc::new(Moving::still()));
        let pools = item.pools.iter().map(|pool| match &moving {
            None => Pool::new(pool.units),
            Some(moving) => Pool::new(pool.units).among(Arc::clone(moving)),
        });
        Self { sku: item.sku.clone(), is_goods: item.slot.is_none(), pools: pools.collect(), moving }
    }

    fn without_pools(item: &Item) -> Self {
        Self { sku: item.sku.clone(), is_goods: item.slot.is_none(), pools: Vec::new(), moving: None }
    }

    /// Its SKU.
    #[must_use]
    pub const fn sku(&self) -> &Sku {
        &self.sku
    }

    /// Whether it is goods and no pickup slot.
    pub(super) const fn is_goods(&self) -> bool {
        self.is_goods
    }

    /// Its pool, with its place, if it has exactly one; nearly every item does.
    #[inline]
    #[must_use]
    pub fn only(&self) -> Option<(PoolNo, &Pool)> {
        match self.pools.as_slice() {
            [pool] => Some((PoolNo::default(), pool)),
            _none_or_several => None,
        }
    }

    /// One of its pools.
    #[inline]
    #[must_use]
    pub fn pool(&self, pool: PoolNo) -> Option<&Pool> {
        self.pools.get(pool.index())
    }

    /// Its pools, in the definition's order.
    pub fn pools(&self) -> impl ExactSizeIterator<Item = &Pool> {
        self.pools.iter()
    }

    /// Returns the result of `read`, and whether no units came back to any of several pools meanwhile. If none did, no
    /// pool had more units after `read` read it than it found there, units in doubt included.
    pub fn watch<T>(&self, read: impl FnOnce() -> T) -> (T, bool) {
        match &self.moving {
            None => (read(), true),
            Some(moving) => moving.watch(read),
        }
    }

    pub(super) fn pools_mut(&mut self) -> impl Iterator<Item = &mut Pool> {
        self.pools.iter_mut()
    }
}

/// The stock of each item of a drop. Items are only added.
#[derive(Debug)]
pub(super) struct DropStock {
    first: Vec<ItemStock>,
    /// Made when the first item is added; filled in order.
    added: OnceLock<Box<[OnceLock<ItemStock>]>>,
}

impl DropStock {
    /// The stock of these items.
    pub(super) fn new(items: &[Item]) -> Self {
        Self { first: items.iter().map(ItemStock::new).collect(), added: OnceLock::new() }
    }

    /// The same for a drop whose pools have left memory.
    pub(super) fn without_pools(items: &[Item]) -> Self {
        Self { first: items.iter().map(ItemStock::without_pools).collect(), added: OnceLock::new() }
    }

    /// The stock of an item.
    #[inline]
    pub(super) fn get(&self, item: usize) -> Option<&ItemStock> {
        match self.first.get(item) {
            Some(stock) => Some(stock),
            None => self.later(item),
        }
    }

    /// As [`DropStock::get`], for an item that was added.
    fn later(&self, item: usize) -> Option<&ItemStock> {
        self.added.get()?.get(item.checked_sub(self.first.len())?)?.get()
    }

    /// The number of items.
    pub(super) fn len(&self) -> usize {
        self.iter().count()
    }

    /// Adds the stock of an item after all others. The drop's gate is closed, so only one is added at a time. There are
    /// fewer than [`ITEMS_MAX`].
    pub(super) fn add(&self, item: &Item) {
        let slots = self.added.get_or_init(|| (0..ITEMS_MAX).map(|_| OnceLock::new()).collect());
        let free = slots.iter().find(|slot| slot.get().is_none());
        invariant!(let Some(free) = free, "item {} is added to a drop that has {ITEMS_MAX} of them", item.sku);
        let filled = free.set(ItemStock::new(item));
        invariant!(filled.is_ok(), "two items are added to a drop at once, {} is one of them", item.sku);
    }

    /// The stock of each item, in the definition's order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &ItemStock> {
        self.first.iter().chain(self.added.get().into_iter().flatten().map_while(OnceLock::get))
    }

    /// The same, mutably.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut ItemStock> {
        let added = self.added.get_mut().into_iter().flat_map(|slots| slots.iter_mut());
        self.first.iter_mut().chain(added.map_while(OnceLock::get_mut))
    }
}

#[cfg(test)]
mod tests {
    use stockade_types::definition::GENERAL_POOL;
    use stockade_types::definition::Pool as Defined;
    use stockade_types::ids::PoolId;

    use super::*;

    fn item(n: u64) -> Item {
        let pool = Defined::plain(PoolId::try_from(GENERAL_POOL).expect("an id"), n);
        Item::plain(Sku::try_from(format!("SKU-{n}").as_str()).expect("a sku"), vec![pool])
    }

    fn received(stock: &ItemStock) -> u64 {
        stock.only().expect("one pool").1.stock().0.received
    }

    #[test]
    fn what_is_added_stands_behind_what_was_there_and_nothing_moves() {
        let mut stock = DropStock::new(&[item(0), item(1)]);
        let place = std::ptr::from_ref(stock.get(1).expect("an item"));
        assert!(stock.get(2).is_none());
        for n in 2..10 {
            stock.add(&item(n));
        }
        assert_eq!(std::ptr::from_ref(stock.get(1).expect("an item")), place);
        assert_eq!(stock.len(), 10);
        assert_eq!(stock.iter().map(received).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
        assert_eq!(stock.iter_mut().map(|item| received(item)).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
        assert_eq!((stock.get(9).map(received), stock.get(10).map(received)), (Some(9), None));
    }

    #[test]
    fn as_many_items_fit_as_a_drop_may_have() {
        let stock = DropStock::new(&[item(0)]);
        for n in 1..u64::try_from(ITEMS_MAX).expect("small") {
            stock.add(&item(n));
        }
        assert_eq!(stock.len(), ITEMS_MAX);
        assert_eq!(stock.get(ITEMS_MAX - 1).map(received), Some(255));
    }

    #[test]
    fn an_item_has_one_pool_or_several_each_in_its_place() {
        let one = item(3);
        assert_eq!(ItemStock::new(&one).only().map(|(place, _)| place), Some(PoolNo(0)));
        let two = Item { pools: [one.pools.clone(), item(4).pools].concat(), ..one };
        let stock = ItemStock::new(&two);
        assert!(stock.only().is_none());
        let units = |pool: &Pool| pool.stock().0.received;
        assert_eq!(stock.pools().map(units).collect::<Vec<_>>(), [3, 4]);
        let found = [0, 1, 2].map(|place| stock.pool(PoolNo(place)).map(units));
        assert_eq!(found, [Some(3), Some(4), None]);
        assert!(DropStock::without_pools(&[two]).iter().all(|item| item.pools().next().is_none()));
    }

    #[test]
    #[should_panic(expected = "a bug: item SKU-256 is added to a drop that has 256 of them")]
    fn an_item_that_finds_no_place_ends_the_process() {
        let stock = DropStock::new(&[]);
        for n in 0..=u64::try_from(ITEMS_MAX).expect("small") {
            stock.add(&item(n));
        }
    }
}
