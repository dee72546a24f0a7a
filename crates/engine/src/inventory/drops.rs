//! Drops by id and number.
//!
//! A live drop is never removed, and no number is given out twice. A bounded number of archived ones is kept: the
//! oldest are forgotten, with id and figures, and what customers bought there no longer counts for any limit.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError};

use crossbeam_utils::sync::ShardedLock;
use hashbrown::HashMap;
use stockade_types::ids::{DropId, DropNo, ItemNo, Lsn, PoolNo};
use stockade_types::invariant;
use stockade_types::record::DropImage;
use stockade_types::time::Timestamp;

use super::drop_entry::DropEntry;
use super::drop_inner::DropInner;

/// All drops, for callers that have the registry locked already: one thread must not lock it twice.
#[derive(Debug, Clone, Copy)]
pub struct DropTable<'a>(&'a BTreeMap<DropNo, Arc<DropEntry>>);

impl<'a> DropTable<'a> {
    /// The drop with this number.
    #[must_use]
    pub fn drop(self, number: DropNo) -> Option<&'a DropEntry> {
        self.0.get(&number).map(Arc::as_ref)
    }
}

/// The result of adding a drop.
#[derive(Debug)]
pub enum Added {
    /// It was added.
    New(Arc<DropEntry>),
    /// A drop with its id existed; nothing was added.
    Known(Arc<DropEntry>),
}

/// All drops.
#[derive(Debug, Default)]
pub struct Drops(ShardedLock<Registry>);

/// All drops, while the registry is locked.
#[derive(Debug, Default)]
pub struct Registry {
    ids: HashMap<DropId, Arc<DropEntry>>,
    entries: BTreeMap<DropNo, Arc<DropEntry>>,
    /// Drops without pools, in the order in which they were archived, each with its weight.
    archived: BTreeMap<(Lsn, DropNo), usize>,
    /// The sum of the weights.
    weight: usize,
}

/// The place of a new drop.
#[derive(Debug, Clone, Copy)]
pub struct NewDropNumber {
    /// Its number.
    pub number: DropNo,
    /// Drops that are not archived yet.
    pub living: usize,
}

/// The drop with this number among all drops, which are sorted by number.
pub(super) fn among(drops: &[Arc<DropEntry>], number: DropNo) -> Option<&Arc<DropEntry>> {
    // While none has been forgotten, each drop is at the index of its number.
    drops.get(number.index()).filter(|drop| drop.number == number).or_else(|| {
        let place = drops.binary_search_by_key(&number, |drop| drop.number).ok()?;
        drops.get(place)
    })
}

impl Drops {
    /// Calls `f` with the drop with this id.
    pub fn with_id<R>(&self, id: &DropId, f: impl FnOnce(&DropEntry) -> R) -> Option<R> {
        self.with_id_among(id, |entry, _| f(entry))
    }

    /// Calls `f` with the drop with this number.
    pub fn with_number<R>(&self, number: DropNo, f: impl FnOnce(&DropEntry) -> R) -> Option<R> {
        self.with_number_among(number, |entry, _| f(entry))
    }

    /// Calls `f` with the drop with this id, and with all drops.
    #[inline]
    pub fn with_id_among<R>(&self, id: &DropId, f: impl FnOnce(&DropEntry, DropTable<'_>) -> R) -> Option<R> {
        let registry = self.0.read().unwrap_or_else(PoisonError::into_inner);
        registry.ids.get(id).map(|entry| f(entry, DropTable(&registry.entries)))
    }

    /// Calls `f` with the drop with this number, and with all drops.
    #[inline]
    pub fn with_number_among<R>(&self, number: DropNo, f: impl FnOnce(&DropEntry, DropTable<'_>) -> R) -> Option<R> {
        let registry = self.0.read().unwrap_or_else(PoisonError::into_inner);
        registry.entries.get(&number).map(|entry| f(entry, DropTable(&registry.entries)))
    }

    /// The drop with this number, as a reference that keeps it; the registry is not locked afterwards.
    #[must_use]
    pub fn entry(&self, number: DropNo) -> Option<Arc<DropEntry>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).entries.get(&number).cloned()
    }

    /// The place of the next drop.
    #[must_use]
    pub fn new_drop_number(&self) -> NewDropNumber {
        self.0.read().unwrap_or_else(PoisonError::into_inner).new_drop_number()
    }

    /// All pools that have a hold due at `now`, and the earliest deadline of all other pools.
    pub fn due(&self, now: Timestamp) -> (Vec<(DropNo, ItemNo, PoolNo)>, Timestamp) {
        let registry = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (mut due, mut next) = (Vec::new(), Timestamp::NEVER);
        for entry in registry.entries.values().filter(|entry| !entry.has_no_pools()) {
            for (item, stock) in (0..).map(ItemNo).zip(entry.items()) {
                for (place, pool) in (0..).map(PoolNo).zip(stock.pools()) {
                    match pool.next_due() {
                        at if at <= now => due.push((entry.number, item, place)),
                        at => next = next.min(at),
                    }
                }
            }
        }
        (due, next)
    }

    /// All drops, in the order of numbers. A copy of the list: the registry is not locked while the caller walks it.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<DropEntry>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).entries.values().cloned().collect()
    }

    /// The next drops behind a number that still have their pools, at most `most`.
    #[must_use]
    pub fn behind(&self, last: Option<DropNo>, most: usize) -> Vec<Arc<DropEntry>> {
        let registry = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        let entries = registry.entries.range((from, Bound::Unbounded)).map(|(_, entry)| entry);
        entries.filter(|entry| !entry.has_no_pools()).take(most).cloned().collect()
    }

    /// Calls `make` to add a drop, unless one has this id. The registry is closed meanwhile, so numbers are given out
    /// in the order of the journal.
    ///
    /// # Errors
    /// What `make` returns.
    pub fn add<E>(&self, id: &DropId, make: impl FnOnce(&mut Registry) -> Result<(), E>) -> Result<Added, E> {
        self.with_registry(|registry| {
            if let Some(known) = registry.ids.get(id) {
                return Ok(Added::Known(Arc::clone(known)));
            }
            make(registry)?;
            invariant!(let Some(entry) = registry.ids.get(id), "drop {id} was made and is not there");
            Ok(Added::New(Arc::clone(entry)))
        })
    }

    /// Closes the registry.
    pub(super) fn with_registry<R>(&self, f: impl FnOnce(&mut Registry) -> R) -> R {
        f(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Closes a drop's gate.
    pub(super) fn with_closed<R>(&self, number: DropNo, f: impl FnOnce(&DropEntry, &mut DropInner) -> R) -> Option<R> {
        self.with_number(number, |entry| f(entry, &mut entry.write()))
    }

    /// Takes the pools of archived drops out of memory. Their holds must be out already.
    pub fn settle_archived(&self, drops: &[DropNo]) {
        self.with_registry(|registry| drops.iter().for_each(|number| registry.settle(*number)));
    }

    /// Forgets the oldest archived drops while there are more than `most` or they weigh more than `weight`. Returns
    /// those that were forgotten. The drop with the highest number is kept, since the next number follows from it.
    pub fn forget_archived(&self, most: usize, weight: usize) -> Vec<Arc<DropEntry>> {
        let mut registry = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut gone = Vec::new();
        while registry.archived.len() > most || registry.weight > weight {
            let Some(forgotten) = registry.forget_oldest() else { break };
            gone.push(forgotten);
        }
        gone
    }

    /// Calls `f` with each entry, mutably: only before anything else has a reference to one.
    pub(super) fn for_each_mut(&mut self, mut f: impl FnMut(&mut DropEntry)) {
        let registry = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Drops the second reference to each entry, so that it can be changed.
        registry.ids.clear();
        for (number, entry) in &mut registry.entries {
            invariant!(let Some(entry) = Arc::get_mut(entry), "drop {number} is used before all is loaded");
            f(entry);
        }
        let id = |entry: &Arc<DropEntry>| (entry.read().definition.id.clone(), Arc::clone(entry));
        registry.ids.extend(registry.entries.values().map(id));
    }
}

impl Registry {
    /// The place of the next drop.
    #[must_use]
    pub fn new_drop_number(&self) -> NewDropNumber {
        let number = self.entries.last_key_value().map_or(0, |(last, _)| last.0.saturating_add(1));
        NewDropNumber { number: DropNo(number), living: self.entries.len().saturating_sub(self.archived.len()) }
    }

    /// Adds a drop. No other may have its number.
    pub fn put(&mut self, revision: Lsn, image: &DropImage) -> Arc<DropEntry> {
        let entry = Arc::new(DropEntry::new(revision, image.clone()));
        self.ids.insert(image.definition.id.clone(), Arc::clone(&entry));
        let known = self.entries.insert(image.number, Arc::clone(&entry));
        invariant!(known.is_none(), "two drops have the number {}", image.number);
        entry
    }

    /// Replaces an archived drop by an entry without pools.
    fn settle(&mut self, number: DropNo) {
        let Some(entry) = self.entries.get(&number).cloned() else { return };
        let archived_at = entry.read().archived.as_ref().map(|(lsn, _)| *lsn);
        let Some(lsn) = archived_at.filter(|_| !entry.has_no_pools()) else { return };
        let still = Arc::new(entry.without_pools());
        let weight = still.weight(&still.read());
        self.ids.insert(still.read().definition.id.clone(), Arc::clone(&still));
        self.entries.insert(still.number, still);
        self.archived.insert((lsn, number), weight);
        self.weight = self.weight.saturating_add(weight);
    }

    fn forget_oldest(&mut self) -> Option<Arc<DropEntry>> {
        let oldest = self.archived.first_entry()?;
        let (_, number) = *oldest.key();
        if self.entries.last_key_value().is_some_and(|(last, _)| *last == number) {
            return None;
        }
        self.weight = self.weight.saturating_sub(oldest.remove());
        let gone = self.entries.remove(&number)?;
        let id = gone.read().definition.id.clone();
        if self.ids.get(&id).is_some_and(|known| known.number == number) {
            self.ids.remove(&id);
        }
        Some(gone)
    }
}
