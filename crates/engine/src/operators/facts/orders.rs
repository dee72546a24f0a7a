//! Finds the holds of orders, of which no table of holds has an index: what their customers did follows from them.
//!
//! One walk over all holds, shard by shard, serves all orders of a request, and what it has found of their drops is kept:
//! the next request looks there first, and walks again only if it misses an order and the drop has moved since. So orders
//! of a drop that is over cost one walk, and of one on sale at most one for each request. Walks exclude each other, so
//! they take one core at most.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use smallvec::SmallVec;
use stockade_types::hold::{Hold, HoldState};
use stockade_types::ids::{DropNo, HoldId, Lsn, OrderKey, OrderRef, ShopId};
use stockade_types::record::{FACT_HOLDS_MAX, FACT_SUBJECTS_MAX, FactKind};

use super::NewFact;
use crate::Engine;
use crate::inventory::{HoldSlot, Keys};

/// Most orders that are kept, of all drops together: 16 MiB.
const ORDERS_MAX: usize = if cfg!(test) { 64 } else { 1024 * 1024 };

/// The orders of the drops that were searched last.
#[derive(Debug, Default)]
pub(crate) struct OrderIndex {
    drops: BTreeMap<DropNo, DropOrders>,
    /// Grows with each search.
    searches: u64,
}

/// The claimed holds of one drop, as one walk found them.
#[derive(Debug)]
struct DropOrders {
    /// All up to this record are there.
    as_of: Lsn,
    /// The search that used it last.
    used: u64,
    /// Ascending.
    orders: Vec<(OrderKey, HoldSlot)>,
}

/// An order of a drop.
type Place = (DropNo, OrderKey);

/// The holds of an order.
#[derive(Debug, Default)]
struct FoundOrder {
    subjects: Keys,
    holds: Vec<HoldId>,
    /// `ReturnUnits` was called for one.
    is_returned: bool,
}

impl Engine {
    /// Finds for whose conduct facts count: by the holds of their orders while these are in memory, and by the customer
    /// that they name.
    pub(super) fn find_subjects(&self, new: &mut [NewFact<'_>]) {
        let in_memory = self.drops_in_memory(new);
        let wanted = |new: &NewFact<'_>| {
            let drop = new.fact.drop.filter(|drop| new.fact.kind.is_conduct() && in_memory.contains(drop))?;
            Some((drop, self.inventory.key.order(&new.fact.shop, new.fact.order.as_ref()?)))
        };
        let places: Vec<Option<Place>> = new.iter().map(wanted).collect();
        let shops: BTreeMap<DropNo, ShopId> =
            places.iter().zip(&*new).filter_map(|(place, new)| Some(((*place)?.0, new.fact.shop.clone()))).collect();
        let found = self.search(&places.iter().flatten().copied().collect(), &shops);
        for (place, NewFact { reported, fact }) in places.into_iter().zip(new) {
            let slots = place.and_then(|place| found.get(&place));
            let found =
                slots.zip(fact.order.as_ref()).map(|(slots, order)| self.holds_of_order(slots, fact.drop, order));
            match found.filter(|found| !found.holds.is_empty()) {
                Some(FoundOrder { is_returned: true, .. }) if fact.kind == FactKind::Returned => {}
                Some(FoundOrder { subjects, holds, .. }) => {
                    fact.subjects = subjects.into_vec();
                    if fact.kind == FactKind::Returned {
                        fact.holds = holds;
                    }
                }
                None => {
                    let customers = self.inventory.key.customers(&fact.shop);
                    let named = reported.customer.iter().filter(|_| fact.kind.is_conduct());
                    fact.subjects = named.map(|customer| customers.subject(customer)).collect();
                }
            }
        }
    }

    /// The drops of these facts whose holds are in memory.
    fn drops_in_memory(&self, new: &[NewFact<'_>]) -> BTreeSet<DropNo> {
        let named: BTreeSet<DropNo> = new.iter().filter_map(|new| new.fact.drop).collect();
        let is_here = |drop: &DropNo| {
            let drops = &self.inventory.drops;
            drops.with_number(*drop, |entry| entry.read().archived.is_none()).unwrap_or(false)
        };
        named.into_iter().filter(is_here).collect()
    }

    /// The claimed holds of these orders.
    fn search(
        &self,
        wanted: &BTreeSet<Place>,
        shops: &BTreeMap<DropNo, ShopId>,
    ) -> HashMap<Place, SmallVec<[HoldSlot; 1]>> {
        if wanted.is_empty() {
            return HashMap::new();
        }
        let mut index = self.orders.lock();
        index.searches = index.searches.saturating_add(1);
        let mut found = index.find(wanted);
        let missing: BTreeSet<Place> = wanted.iter().filter(|place| !found.contains_key(place)).copied().collect();
        let moved = |drop: &DropNo| index.drops.get(drop).is_none_or(|known| self.has_moved(*drop, known.as_of));
        let stale: BTreeSet<DropNo> = missing.iter().map(|(drop, _)| *drop).filter(moved).collect();
        if !stale.is_empty() {
            found.extend(self.walk(&mut index, &missing, (&stale, shops)));
        }
        found
    }

    fn has_moved(&self, drop: DropNo, since: Lsn) -> bool {
        self.inventory.drops.with_number(drop, |entry| entry.stock(&entry.read()).1 > since).unwrap_or(false)
    }

    /// Walks over all holds, and keeps the orders of some drops if there is room for them.
    fn walk(
        &self,
        index: &mut OrderIndex,
        wanted: &BTreeSet<Place>,
        (drops, shops): (&BTreeSet<DropNo>, &BTreeMap<DropNo, ShopId>),
    ) -> HashMap<Place, SmallVec<[HoldSlot; 1]>> {
        let as_of = self.journal.appended();
        let mut all: BTreeMap<DropNo, Vec<(OrderKey, HoldSlot)>> =
            drops.iter().map(|drop| (*drop, Vec::new())).collect();
        let mut found: HashMap<Place, SmallVec<[HoldSlot; 1]>> = HashMap::new();
        let mut count = 0_usize;
        self.inventory.holds.for_each_shard(|shard| {
            for (slot, hold) in shard.iter() {
                let Some((orders, (shop, order))) =
                    all.get_mut(&hold.drop).zip(shops.get(&hold.drop).zip(order_of(hold)))
                else {
                    continue;
                };
                let key = self.inventory.key.order(shop, order);
                if wanted.contains(&(hold.drop, key)) {
                    add(found.entry((hold.drop, key)).or_default(), slot);
                }
                if count < ORDERS_MAX {
                    orders.push((key, slot));
                    count = count.saturating_add(1);
                }
            }
        });
        // If not all of them had room, none is complete.
        if count < ORDERS_MAX {
            for (drop, mut orders) in all {
                orders.sort_unstable();
                index.keep(drop, as_of, orders);
            }
        }
        found
    }

    /// The holds at these places that are the order's.
    fn holds_of_order(&self, slots: &[HoldSlot], drop: Option<DropNo>, order: &OrderRef) -> FoundOrder {
        let mut found = FoundOrder::default();
        for slot in slots {
            let is_meant = |hold: &&Hold| Some(hold.drop) == drop && order_of(hold) == Some(order);
            let hold = self.inventory.holds.with_ref(*slot, |shard| shard.get(*slot).filter(is_meant).cloned());
            let Some(hold) = hold else { continue };
            let keys =
                self.inventory.drops.with_number(hold.drop, |entry| self.inventory.subjects_of(&entry.scope, &hold));
            for key in keys.unwrap_or_default() {
                if !found.subjects.contains(&key) && found.subjects.len() < FACT_SUBJECTS_MAX {
                    found.subjects.push(key);
                }
            }
            found.is_returned |= hold.conduct_at().is_some();
            found.holds.push(hold.id);
        }
        found
    }
}

impl OrderIndex {
    /// The holds of those of these orders that are kept.
    fn find(&mut self, wanted: &BTreeSet<Place>) -> HashMap<Place, SmallVec<[HoldSlot; 1]>> {
        let mut found: HashMap<Place, SmallVec<[HoldSlot; 1]>> = HashMap::new();
        for (drop, key) in wanted {
            let Some(known) = self.drops.get_mut(drop) else { continue };
            known.used = self.searches;
            let begin = known.orders.partition_point(|(order, _)| order < key);
            let of_order = known.orders.iter().skip(begin).take_while(|(order, _)| order == key);
            for (_, slot) in of_order {
                add(found.entry((*drop, *key)).or_default(), *slot);
            }
        }
        found
    }

    /// Keeps the orders of a drop, instead of those that were used longest ago.
    fn keep(&mut self, drop: DropNo, as_of: Lsn, orders: Vec<(OrderKey, HoldSlot)>) {
        self.drops.insert(drop, DropOrders { as_of, used: self.searches, orders });
        let size = |known: &DropOrders| known.orders.len().saturating_add(1);
        while self.drops.values().map(size).fold(0, usize::saturating_add) > ORDERS_MAX {
            let oldest = self.drops.iter().min_by_key(|(_, known)| known.used).map(|(drop, _)| *drop);
            let Some(oldest) = oldest else { break };
            self.drops.remove(&oldest);
        }
    }
}

/// The order of a claimed hold.
fn order_of(hold: &Hold) -> Option<&OrderRef> {
    if hold.state == HoldState::Claimed { hold.order_ref() } else { None }
}

fn add(slots: &mut SmallVec<[HoldSlot; 1]>, slot: HoldSlot) {
    if slots.len() < FACT_HOLDS_MAX {
        slots.push(slot);
    }
}
