//! Drops by id and number.
//!
//! A drop that lives is never removed, and no number is given out twice. Of archived ones a bounded number is kept: the
//! oldest go, id and figures, and what customers bought there counts for no limit any more.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use crossbeam_utils::sync::ShardedLock;
use hashbrown::HashMap;

use super::drop_entry::DropEntry;
use crate::ids::{DropId, DropNo, ItemNo, Lsn, PoolNo};
use crate::record::{Adjusted, AdjustmentsImage, Archived, DropImage, Steering, StockImage};
use crate::time::Timestamp;

/// The drops that there are, for who has the registry locked already: it must not be locked twice by one thread.
#[derive(Debug, Clone, Copy)]
pub struct Roster<'a>(&'a BTreeMap<DropNo, Arc<DropEntry>>);

impl<'a> Roster<'a> {
    /// The drop with this number.
    #[must_use]
    pub fn drop(self, number: DropNo) -> Option<&'a DropEntry> {
        self.0.get(&number).map(Arc::as_ref)
    }
}

/// What became of adding a drop.
#[derive(Debug)]
pub enum Added {
    /// It is there now.
    New(Arc<DropEntry>),
    /// One with its id was there before; nothing was added.
    Known(Arc<DropEntry>),
}

/// All drops.
#[derive(Debug, Default)]
pub struct Drops(ShardedLock<Registry>);

#[derive(Debug, Default)]
struct Registry {
    ids: HashMap<DropId, Arc<DropEntry>>,
    entries: BTreeMap<DropNo, Arc<DropEntry>>,
    /// Those without pools, in the order in which they were archived, each with its weight.
    archived: BTreeMap<(Lsn, DropNo), usize>,
    /// The sum of these weights.
    weight: usize,
}

/// Where a new drop would stand.
#[derive(Debug, Clone, Copy)]
pub struct Seat {
    /// Its number.
    pub number: DropNo,
    /// Drops that are not archived yet.
    pub living: usize,
}

/// A drop among all drops in the order of their numbers.
pub(super) fn among(drops: &[Arc<DropEntry>], number: DropNo) -> Option<&Arc<DropEntry>> {
    // As long as none has gone, each stands at its number.
    drops.get(number.index()).filter(|drop| drop.number == number).or_else(|| {
        let place = drops.binary_search_by_key(&number, |drop| drop.number).ok()?;
        drops.get(place)
    })
}

impl Drops {
    /// The drop with this id.
    pub fn with_id<R>(&self, id: &DropId, f: impl FnOnce(&DropEntry) -> R) -> Option<R> {
        self.with_id_among(id, |entry, _| f(entry))
    }

    /// The drop with this number.
    pub fn with_number<R>(&self, number: DropNo, f: impl FnOnce(&DropEntry) -> R) -> Option<R> {
        self.with_number_among(number, |entry, _| f(entry))
    }

    /// The drop with this id, among all the others.
    #[inline]
    pub fn with_id_among<R>(&self, id: &DropId, f: impl FnOnce(&DropEntry, Roster<'_>) -> R) -> Option<R> {
        let registry = self.0.read().unwrap_or_else(PoisonError::into_inner);
        registry.ids.get(id).map(|entry| f(entry, Roster(&registry.entries)))
    }

    /// The drop with this number, among all the others.
    #[inline]
    pub fn with_number_among<R>(&self, number: DropNo, f: impl FnOnce(&DropEntry, Roster<'_>) -> R) -> Option<R> {
        let registry = self.0.read().unwrap_or_else(PoisonError::into_inner);
        registry.entries.get(&number).map(|entry| f(entry, Roster(&registry.entries)))
    }

    /// Where the next drop would stand.
    #[must_use]
    pub fn next_seat(&self) -> Seat {
        self.0.read().unwrap_or_else(PoisonError::into_inner).next_seat()
    }

    /// Every pool that has a hold due at `now`, and the earliest deadline of all that are not.
    pub fn due(&self, now: Timestamp) -> (Vec<(DropNo, ItemNo, PoolNo)>, Timestamp) {
        let registry = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (mut due, mut next) = (Vec::new(), Timestamp::NEVER);
        for entry in registry.entries.values().filter(|entry| !entry.has_no_pools()) {
            for (item, pools) in (0..).map(ItemNo).zip(entry.items()) {
                for (place, pool) in (0..).map(PoolNo).zip(&pools.pools) {
                    match pool.next_due() {
                        at if at <= now => due.push((entry.number, item, place)),
                        at => next = next.min(at),
                    }
                }
            }
        }
        (due, next)
    }

    /// Every drop, in the order of numbers. A copy of the list: the registry is free while it is walked.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<DropEntry>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).entries.values().cloned().collect()
    }

    /// Adds a drop under the next number, unless there is one with this id. The registry is closed while `make` appends
    /// the record, so that numbers are given out in the order of the journal.
    ///
    /// # Errors
    /// What `make` returns.
    pub fn add<E>(&self, id: &DropId, make: impl FnOnce(Seat) -> Result<(Lsn, DropImage), E>) -> Result<Added, E> {
        let mut registry = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = registry.ids.get(id) {
            return Ok(Added::Known(Arc::clone(known)));
        }
        let (revision, image) = make(registry.next_seat())?;
        Ok(Added::New(registry.put(revision, image)))
    }

    /// Takes the pools of archived drops out of memory, whose holds are out already.
    pub fn settle_archived(&self, drops: &[Arc<DropEntry>]) {
        let mut registry = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for entry in drops {
            registry.settle(entry);
        }
    }

    /// Lets the oldest archived drops go, as long as there are more than `most` or they weigh more than `weight`. Says
    /// which went. The one with the highest number stays: by it the next is known.
    pub fn forget_archived(&self, most: usize, weight: usize) -> Vec<Arc<DropEntry>> {
        let mut registry = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut gone = Vec::new();
        while registry.archived.len() > most || registry.weight > weight {
            let Some(forgotten) = registry.forget_oldest() else { break };
            gone.push(forgotten);
        }
        gone
    }

    /// Applies a drop's image from journal or snapshot: a new drop, or a change of one that is there, unless that is the
    /// same or newer.
    pub(super) fn apply_image(&self, revision: Lsn, image: &DropImage) -> Result<(), String> {
        let mut registry = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = registry.entries.get(&image.number) else {
            registry.put(revision, image.clone());
            return Ok(());
        };
        let mut running = entry.steer();
        if revision > running.revision {
            if image.definition.id != running.definition.id || image.definition.items.len() < entry.items().count() {
                return Err(format!("drop {} is no change of {}", image.definition.id, running.definition.id));
            }
            entry.redefine(&mut running, revision, image.clone());
        }
        Ok(())
    }

    /// Applies what operators did to a drop.
    pub(super) fn apply_steering(&self, lsn: Lsn, steering: &Steering) {
        let _known = self.with_number(steering.drop, |entry| {
            let mut running = entry.steer();
            if lsn > running.steered {
                running.steering = *steering;
                running.steered = lsn;
            }
        });
    }

    /// Applies an adjustment of an item's stock. Only the ledger learns of it: counters are filled after replay.
    pub(super) fn apply_adjusted(&self, lsn: Lsn, adjusted: &Adjusted) {
        let Adjusted { drop, item, adjustment, basis, at } = adjusted;
        let _known = self.with_number(*drop, |entry| {
            let mut running = entry.steer();
            if let Some(known) = running.adjusted.get_mut(item.index()).filter(|known| lsn > known.revision) {
                known.remember(lsn, adjustment, *at);
                entry.set_basis(&mut running, lsn, (*item, adjustment.pool), *basis);
            }
        });
    }

    /// Applies an item's stock as a snapshot has it.
    pub(super) fn apply_stock(&self, lsn: Lsn, image: &StockImage) {
        let StockImage { drop, item, pools, adjustments } = image;
        let _known = self.with_number(*drop, |entry| {
            let mut running = entry.steer();
            if let Some(known) = running.adjusted.get_mut(item.index()).filter(|known| lsn > known.revision) {
                known.revision = lsn;
                let adjustments: Vec<_> = adjustments.iter().map(|made| (*made, None)).collect();
                known.restore(Timestamp::default(), &adjustments);
                for (place, basis) in (0..).map(PoolNo).zip(pools) {
                    entry.set_basis(&mut running, lsn, (*item, place), *basis);
                }
            }
        });
    }

    /// Applies a part of an item's remembered adjustments, as a snapshot has them.
    pub(super) fn apply_adjustments(&self, lsn: Lsn, image: &AdjustmentsImage) {
        let AdjustmentsImage { drop, item, forgotten, adjustments } = image;
        let _known = self.with_number(*drop, |entry| {
            let mut running = entry.steer();
            // Those of an archived drop are not asked for any more.
            if let Some(known) = running.adjusted.get_mut(item.index()).filter(|known| lsn >= known.revision)
                && !entry.has_no_pools()
            {
                known.restore(*forgotten, adjustments);
            }
        });
    }

    /// Applies that a drop was archived. Its holds are discarded once all records are applied; its pools go at once.
    pub(super) fn apply_archived(&self, lsn: Lsn, archived: &Archived) {
        let mut registry = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = registry.entries.get(&archived.drop).map(Arc::clone) else { return };
        entry.steer().archived.get_or_insert_with(|| (lsn, archived.clone()));
        registry.settle(&entry);
    }

    /// Each entry, to change: only before anyone else has one.
    pub(super) fn for_each_mut(&mut self, mut f: impl FnMut(&mut DropEntry)) {
        let registry = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        // An entry can be changed while nobody else has it.
        registry.ids.clear();
        registry.entries.values_mut().filter_map(Arc::get_mut).for_each(&mut f);
        let id = |entry: &Arc<DropEntry>| (entry.running().definition.id.clone(), Arc::clone(entry));
        registry.ids.extend(registry.entries.values().map(id));
    }
}

impl Registry {
    fn next_seat(&self) -> Seat {
        let number = self.entries.last_key_value().map_or(0, |(last, _)| last.0.saturating_add(1));
        Seat { number: DropNo(number), living: self.entries.len().saturating_sub(self.archived.len()) }
    }

    fn put(&mut self, revision: Lsn, image: DropImage) -> Arc<DropEntry> {
        let (id, number) = (image.definition.id.clone(), image.number);
        let entry = Arc::new(DropEntry::new(revision, image));
        self.ids.insert(id, Arc::clone(&entry));
        self.entries.insert(number, Arc::clone(&entry));
        entry
    }

    /// Puts an archived drop without pools in the place of what it was.
    fn settle(&mut self, entry: &DropEntry) {
        let archived_at = entry.running().archived.as_ref().map(|(lsn, _)| *lsn);
        let Some(lsn) = archived_at.filter(|_| !entry.has_no_pools()) else { return };
        let still = Arc::new(entry.without_pools());
        let weight = still.weight(&still.running());
        self.ids.insert(still.running().definition.id.clone(), Arc::clone(&still));
        self.entries.insert(still.number, still);
        self.archived.insert((lsn, entry.number), weight);
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
        let id = gone.running().definition.id.clone();
        if self.ids.get(&id).is_some_and(|known| known.number == number) {
            self.ids.remove(&id);
        }
        Some(gone)
    }
}
