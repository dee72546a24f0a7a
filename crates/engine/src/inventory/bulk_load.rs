//! A cold start: from a snapshot and a journal's records to an inventory.
//!
//! While records are applied only drops and holds change. Stock, limits and deadlines are derived from them once, at
//! the end, and checked there. That is faster than updating them for each record. A snapshot also requires it: it was
//! taken while the engine ran, so its sums need not be right until all records up to its end are applied. All other
//! contradictions for which a follower refuses a record are refused here as well (`fits.rs`).

use std::collections::HashSet;
use std::sync::Arc;

use stockade_counter::sync::Ordering;
use stockade_types::digest::DigestKey;
use stockade_types::hold::Hold;
use stockade_types::ids::{DropNo, HoldId, Lsn, PoolNo};
use stockade_types::record::{
    AdjustmentsImage, DefinedVerb, DropImage, DropVerb, HoldChange, Made, Record, Restart, StockImage, Superseded,
};
use stockade_types::time::Timestamp;

use super::apply::{ReplayError, at, each_usage};
use super::bulk_usage::BulkUsage;
use super::drop_entry::DropChange;
use super::drops::among;
use super::limits::CountedHoldRef;
use super::pool::{PoolUsage, UsageChange};
use super::{DropEntry, DropInner, EndedHold, Inventory, fits};

/// Steps of age by which ended holds are distinguished.
const AGES: u64 = 4_096;

/// An inventory to which records are applied, before anything can be read from it.
#[derive(Debug)]
pub struct BulkLoad(Inventory);

impl BulkLoad {
    /// An empty one.
    #[must_use]
    pub fn new(key: DigestKey) -> Self {
        Self(Inventory::new(key))
    }

    /// Applies one record of a journal. Idempotent: an entity that has seen a record already is left as it is.
    ///
    /// # Errors
    /// [`ReplayError`] when the record contradicts those before it: the journal is damaged, or not ours.
    pub fn apply(&self, lsn: Lsn, record: &Record) -> Result<(), ReplayError> {
        self.apply_record(lsn, record)?;
        self.0.count_followed(lsn, record);
        Ok(())
    }

    fn apply_record(&self, lsn: Lsn, record: &Record) -> Result<(), ReplayError> {
        match record {
            Record::Hold(hold) | Record::Made(Made { actor: _, hold }) => self.apply_hold(lsn, hold),
            Record::Changed(change) => self.apply_change(lsn, change),
            Record::Superseded(superseded) => {
                fits::succeeds(lsn, superseded)?;
                let Superseded { ended, made } = superseded.as_ref();
                // Each is guarded by its own revision, since a snapshot may contain either without the other.
                self.apply_change(lsn, ended)?;
                self.apply_hold(lsn, made)
            }
            Record::Old(fact) => {
                let today = self.0.record_of_today(lsn, fact);
                today.map_or(Ok(()), |record| self.apply(lsn, &record))
            }
            Record::Restart(restart) => {
                self.apply_restart(lsn, *restart);
                Ok(())
            }
            Record::Upgraded(at) => {
                self.0.mark_before(lsn, *at);
                Ok(())
            }
            Record::Defined(fact) => self.0.follow_defined(lsn, fact),
            Record::Occurrence(fact) => self.0.occurrences.lock().follow(lsn, fact),
            Record::Delivered(delivered) => {
                self.0.definitions.delivered(lsn, delivered);
                Ok(())
            }
            Record::Channel(fact) => {
                self.0.channels.lock().apply(lsn, fact);
                Ok(())
            }
            Record::Report(fact) => {
                self.0.reports.lock().keep(lsn, Arc::new(fact.as_ref().clone()));
                Ok(())
            }
            Record::Drop(_)
            | Record::Lifecycle(_)
            | Record::DropFact(_)
            | Record::Adjusted(_)
            | Record::Demand(_)
            | Record::Archived(_) => self.apply_to_drop(lsn, record),
            Record::Facts(facts) => {
                self.0.load_facts(&mut self.0.facts.lock(), lsn, facts);
                Ok(())
            }
            Record::Stock(_)
            | Record::Adjustments(_)
            | Record::Usage(_)
            | Record::FactsImage(_)
            | Record::Totals(_) => Err(fits::only_in_snapshots(lsn)),
        }
    }

    /// Enters one entity of a snapshot, as of a revision. Its drop may follow later, even in a record after the
    /// snapshot's begin; whether it exists is checked at the end.
    ///
    /// # Errors
    /// [`ReplayError`] when the entity contradicts those before it: the snapshot is damaged, or not ours.
    pub fn restore(&self, revision: Lsn, image: &Record) -> Result<(), ReplayError> {
        match image {
            Record::Hold(hold) => self.put(revision, hold, Ok(())),
            Record::Usage(image) => {
                self.0.apply_usage(image);
                Ok(())
            }
            Record::Defined(fact) if fact.verb != DefinedVerb::Delete => self.0.follow_defined(revision, fact),
            Record::Occurrence(fact) => self.0.occurrences.lock().follow(revision, fact),
            Record::Delivered(delivered) => {
                self.0.definitions.delivered(revision, delivered);
                Ok(())
            }
            Record::Channel(fact) => {
                self.0.channels.lock().apply(revision, fact);
                Ok(())
            }
            Record::FactsImage(image) => {
                self.0.restore_facts(image);
                Ok(())
            }
            Record::Drop(_)
            | Record::Lifecycle(_)
            | Record::Archived(_)
            | Record::Stock(_)
            | Record::Totals(_)
            | Record::Demand(_)
            | Record::Adjustments(_) => self.apply_to_drop(revision, image),
            Record::Report(fact) => {
                self.0.reports.lock().keep(revision, Arc::new(fact.as_ref().clone()));
                Ok(())
            }
            // What was deleted is not in a snapshot.
            Record::Defined(_)
            | Record::DropFact(_)
            | Record::Upgraded(_)
            | Record::Made(_)
            | Record::Changed(_)
            | Record::Superseded(_)
            | Record::Old(_)
            | Record::Restart(_)
            | Record::Facts(_)
            | Record::Adjusted(_) => Err(fits::only_in_journals(revision)),
        }
    }

    fn apply_to_drop(&self, lsn: Lsn, record: &Record) -> Result<(), ReplayError> {
        let drops = &self.0.drops;
        let changed = record.drop_number().and_then(|number| {
            drops.with_closed(number, |entry, inner| {
                entry.fits(inner, lsn, record)?;
                if let Record::Stock(image) = record {
                    restore_stock(entry, inner, lsn, image);
                } else if let Record::Adjustments(image) = record {
                    restore_adjustments(entry, inner, lsn, image);
                } else {
                    set_basis(lsn, entry.change(inner, lsn, record).as_ref());
                }
                Ok(())
            })
        });
        match (changed, record) {
            (None, Record::Drop(image)) => self.make(lsn, image),
            (None, Record::DropFact(fact)) if fact.verb == DropVerb::Create => self.make(lsn, &fact.image),
            // Its holds are discarded once all records are applied; its pools at once.
            (Some(Ok(())), Record::Archived(archived)) => drops.settle_archived(&[archived.drop]),
            (Some(Ok(())), Record::DropFact(fact)) if fact.verb == DropVerb::Archive => {
                drops.settle_archived(&[fact.number()]);
            }
            (Some(Err(error)), _) => return Err(error),
            (None | Some(Ok(())), _) => {}
        }
        Ok(())
    }

    fn make(&self, lsn: Lsn, image: &DropImage) {
        self.0.drops.with_registry(|registry| registry.put(lsn, image));
    }

    fn apply_change(&self, lsn: Lsn, change: &HoldChange) -> Result<(), ReplayError> {
        let HoldChange { hold, .. } = change;
        let has_left = self.has_left(lsn, hold.drop);
        self.0.holds.with_id(&hold.id, |mut shard| {
            let known = shard.find(&hold.id).and_then(|place| Some((place, shard.get(place)?)));
            // A hold that is missing was forgotten, or has left memory with its drop.
            let is_there = |known: &Hold| known.revision < lsn && !(has_left && known.drop == hold.drop);
            let Some((place, known)) = known.filter(|(_, known)| is_there(known)) else { return Ok(()) };
            fits::changes(lsn, change, known)?;
            shard.change(place, lsn, |known| *known = hold.clone());
            Ok(())
        })
    }

    fn apply_hold(&self, lsn: Lsn, hold: &Hold) -> Result<(), ReplayError> {
        let belongs_to = self.0.drops.with_number(hold.drop, |drop| fits::belongs_to(lsn, hold, &drop.read()));
        self.put(lsn, hold, belongs_to.unwrap_or(Err(ReplayError::Orphan(hold.id))))
    }

    /// Puts a hold there, unless it is there already; `belongs_to` is an error only if the hold must be put.
    fn put(&self, lsn: Lsn, hold: &Hold, belongs_to: Result<(), ReplayError>) -> Result<(), ReplayError> {
        let in_its_place = self.0.holds.with_id(&hold.id, |mut shard| {
            let known = shard.find(&hold.id).and_then(|place| Some((place, shard.get(place)?.clone())));
            if known.is_none() && belongs_to.is_ok() {
                shard.insert(at(hold.clone(), lsn));
            }
            known
        });
        let Some((place, known)) = in_its_place else { return belongs_to };
        // The engine that wrote the record had taken the holds of an archived drop out already.
        let is_gone = known.revision < lsn && self.has_left(lsn, known.drop);
        if !is_gone && fits::is_here(lsn, &known)? {
            return Ok(());
        }
        belongs_to?;
        self.0.holds.with_ref(place, |mut shard| {
            shard.remove(place);
            shard.insert(at(hold.clone(), lsn));
        });
        self.0.fold_replaced(place, &known);
        Ok(())
    }

    /// Whether the holds of a drop had left memory before this record.
    fn has_left(&self, lsn: Lsn, drop: DropNo) -> bool {
        let has_left = |drop: &DropEntry| drop.has_no_pools() && fits::has_left(lsn, &drop.read());
        self.0.drops.with_number(drop, has_left).unwrap_or(false)
    }

    fn apply_restart(&self, lsn: Lsn, restart: Restart) {
        self.0.holds.for_each_shard(|mut shard| {
            for (place, ..) in shard.moved_by(restart) {
                shard.change(place, lsn, |hold| restart.change(hold));
            }
        });
    }

    /// Whether a restart would move any hold's deadline.
    #[must_use]
    pub fn restart_matters(&self, restart: Restart) -> bool {
        let mut matters = false;
        self.0.holds.for_each_shard(|shard| matters |= shard.iter().any(|(_, hold)| restart.moves(hold)));
        matters
    }

    /// The number of ended holds.
    #[must_use]
    pub fn ended(&self) -> usize {
        let [_held, _paying, _claimed, released, expired] = self.0.holds.counts();
        usize::try_from(released.saturating_add(expired)).unwrap_or(usize::MAX)
    }

    /// Forgets the oldest ended holds until about `most` are left, but none in `spared`. Called before anything is
    /// derived.
    pub fn evict_oldest_ended(&self, most: usize, spared: &HashSet<HoldId>) {
        let excess = self.ended().saturating_sub(most);
        let (mut first, mut last) = (u64::MAX, 0);
        self.each_ended(|hold| {
            (first, last) = (first.min(hold.revision.0), last.max(hold.revision.0));
        });
        // Counted by age in steps: an exact order would take as much memory as the holds that are forgotten.
        let step = last.saturating_sub(first).saturating_add(1).div_ceil(AGES).max(1);
        let age = |hold: &Hold| usize::try_from(hold.revision.0.saturating_sub(first) / step).unwrap_or(usize::MAX);
        let mut counts = vec![0_usize; usize::try_from(AGES).unwrap_or(1)];
        self.each_ended(|hold| {
            if let Some(count) = counts.get_mut(age(hold)) {
                *count = count.saturating_add(1);
            }
        });
        let mut sum = 0_usize;
        let mut fits = |count: &usize| {
            sum = sum.saturating_add(*count);
            sum <= excess
        };
        let going = counts.iter().take_while(|count| fits(count)).count();
        self.0.holds.for_each_shard(|mut shard| {
            let goes = |hold: &Hold| hold.state.is_ended() && age(hold) < going && !spared.contains(&hold.id);
            let places: Vec<_> = shard.iter().filter(|(_, hold)| goes(hold)).map(|(place, _)| place).collect();
            for place in places {
                shard.remove(place);
            }
        });
    }

    fn each_ended(&self, mut f: impl FnMut(&Hold)) {
        self.0.holds.for_each_shard(|shard| {
            shard.iter().filter(|(_, hold)| hold.state.is_ended()).for_each(|(_, hold)| f(hold));
        });
    }

    /// Derives stock, limits, deadlines and the list of ended holds from drops and holds. All records must be applied,
    /// after a snapshot at least those up to its end. Uses about `room` bytes at most for what it gathers.
    ///
    /// # Errors
    /// [`ReplayError`] when the sums are wrong.
    pub fn finish(self, room: usize) -> Result<Inventory, ReplayError> {
        let Self(mut inventory) = self;
        inventory.derive(room)?;
        inventory.reset_counters()?;
        Ok(inventory)
    }
}

impl Inventory {
    fn derive(&mut self, room: usize) -> Result<(), ReplayError> {
        let drops = self.drops.all();
        let mut ended = Vec::new();
        let mut unsound = None;
        let mut gathered = BulkUsage::new(&drops, &self.subjects, room);
        let has_facts = !self.facts.lock().is_empty();
        let any_archived = drops.iter().any(|drop| drop.has_no_pools());
        let gone = |hold: &Hold| among(&drops, hold.drop).filter(|drop| drop.has_no_pools()).map(Arc::as_ref);
        self.holds.for_each_shard(|mut shard| {
            if any_archived {
                self.fold_shard(&mut shard, gone, |_| false);
            }
            for (place, hold) in shard.iter() {
                let Some(drop) = among(&drops, hold.drop) else {
                    unsound = Some(ReplayError::Orphan(hold.id));
                    continue;
                };
                each_usage(None, hold, |line, before, is| match drop.pool(line.item, line.pool) {
                    Some(pool) => {
                        let after = PoolUsage { due: None, ..is };
                        pool.enter(hold.revision, &UsageChange { hold: place, before, after });
                        if let Some(at) = is.due {
                            gathered.due(at, place, (hold.drop, line.item, line.pool));
                        }
                    }
                    None => unsound = Some(ReplayError::Orphan(hold.id)),
                });
                if has_facts && let Some(order) = self.returned_order(&drop.scope, hold) {
                    self.forget_fact_returns_of(&self.subjects_of(&drop.scope, hold), order);
                }
                if CountedHoldRef::of(hold).is_some() {
                    gathered.used(&self.subjects_of(&drop.scope, hold), place, hold);
                }
                if hold.state.is_ended() {
                    ended.push(EndedHold::of(place, hold));
                } else {
                    self.owned.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        gathered.finish();
        for drop in &drops {
            self.expect_moments(drop.number, &drop.read());
        }
        let newest = drops.iter().map(|drop| drop.read().revision).max();
        self.openings.begin(newest.unwrap_or_default());
        ended.sort_unstable_by_key(|ended| ended.revision);
        self.ended.get_mut().extend(ended);
        unsound.map_or(Ok(()), Err)
    }

    /// Sets each counter to its ledger's free units.
    fn reset_counters(&mut self) -> Result<(), ReplayError> {
        let mut unsound = None;
        self.drops.for_each_mut(|entry| {
            let definition = Arc::clone(&entry.read().definition);
            let skus = definition.items.iter().flat_map(|item| item.pools.iter().map(|_| &item.sku));
            for (sku, pool) in skus.zip(entry.pools_mut()) {
                if let Err(stock) = pool.reset_counter() {
                    unsound = Some(ReplayError::oversold(&definition.id, sku, stock));
                }
            }
        });
        unsound.map_or(Ok(()), Err)
    }
}

/// Sets a pool's basis, if the record changes one. Counters are set at the end.
fn set_basis(lsn: Lsn, change: Option<&DropChange<'_>>) {
    if let Some(DropChange::Basis(bases)) = change {
        bases.iter().for_each(|(pool, basis)| pool.set_basis(lsn, *basis));
    }
}

/// Restores an item's stock from a snapshot.
fn restore_stock(entry: &DropEntry, inner: &mut DropInner, lsn: Lsn, image: &StockImage) {
    let StockImage { drop: _, item, pools, adjustments } = image;
    if let Some(known) = inner.adjusted.get_mut(item.index()).filter(|known| lsn > known.revision) {
        known.revision = lsn;
        let adjustments: Vec<_> = adjustments.iter().map(|made| (*made, None)).collect();
        known.restore(Timestamp::default(), &adjustments);
        for (place, basis) in (0..).map(PoolNo).zip(pools) {
            set_basis(lsn, Some(&entry.set_basis(inner, (*item, place), *basis)));
        }
    }
}

/// Restores a part of an item's remembered adjustments from a snapshot.
fn restore_adjustments(entry: &DropEntry, inner: &mut DropInner, lsn: Lsn, image: &AdjustmentsImage) {
    let AdjustmentsImage { drop: _, item, forgotten, adjustments } = image;
    // Those of an archived drop are not needed any more.
    if let Some(known) = inner.adjusted.get_mut(item.index()).filter(|known| lsn >= known.revision)
        && !entry.has_no_pools()
    {
        known.restore(*forgotten, adjustments);
    }
}
