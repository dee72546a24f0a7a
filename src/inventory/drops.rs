//! Drops by id and number: definition, running state, pools, and the gate that requests pass.
//!
//! A request holds its drop's gate for reading from check to append; whoever changes the drop holds it for writing.
//! Drops, items and pools are never removed, so a number once learned stays good.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock, PoisonError};

use crossbeam_utils::sync::{ShardedLock, ShardedLockReadGuard, ShardedLockWriteGuard};
use hashbrown::HashMap;

use super::pool::{Pool, Stock};
use super::pools::Pools;
use crate::definition::Definition;
use crate::ids::{DropId, DropNo, ItemNo, Lsn, PoolNo, SeriesId, ShopId, Sku};
use crate::metrics::Counter;
use crate::record::{Adjusted, Adjustment, Archived, DropImage, LastUpdate, Record, Steering, StockImage};
use crate::refusal::Reason;
use crate::time::Timestamp;

/// The state that a drop is in, from its schedule, pauses and closing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropState {
    /// Before `opens_at`.
    Scheduled,
    /// Reserves are served.
    Open,
    /// Stopped by an operator for now.
    Paused,
    /// Ended.
    Closed,
    /// Ended long ago: its holds have left memory.
    Archived,
}

/// What may change about a drop while it runs.
#[derive(Debug)]
pub struct Running {
    /// As defined.
    pub definition: Arc<Definition>,
    /// LSN of the definition's record.
    pub revision: Lsn,
    /// What operators did to it.
    pub steering: Steering,
    /// LSN of the steering's record; 0 before the first.
    pub steered: Lsn,
    /// The last change of the definition, if there was one.
    pub update: Option<LastUpdate>,
    /// How each item's stock was adjusted.
    pub adjusted: Vec<ItemAdjustments>,
    /// Its holds have left memory, by the record with this LSN.
    pub archived: Option<(Lsn, Archived)>,
}

/// The adjustments of one item.
#[derive(Debug, Default)]
pub struct ItemAdjustments {
    /// LSN of the last one; 0 before the first.
    pub revision: Lsn,
    /// The last [`REMEMBERED`], oldest first.
    pub last: VecDeque<Adjustment>,
}

/// Adjustments of an item that are remembered, so that one sent again is not made again.
pub const REMEMBERED: usize = 256;

impl ItemAdjustments {
    /// Remembers one, and forgets the oldest beyond the bound.
    pub fn remember(&mut self, lsn: Lsn, adjustment: Adjustment) {
        self.revision = lsn;
        self.last.push_back(adjustment);
        if self.last.len() > REMEMBERED {
            self.last.pop_front();
        }
    }
}

/// A drop in the engine.
#[derive(Debug)]
pub struct DropEntry {
    /// Its number.
    pub number: DropNo,
    /// When it was created.
    pub created_at: Timestamp,
    /// Digest of the definition as first asked for.
    pub request: [u8; 32],
    /// What of it never changes.
    pub home: Home,
    /// Refusals by reason, in the order of [`Reason::ALL`]. A counter takes a kilobyte, and most drops never have most
    /// reasons: each is made when it is first counted.
    refusals: [OnceLock<Box<Counter>>; Reason::ALL.len()],
    gate: ShardedLock<Running>,
    pools: Pools,
}

/// What of a drop never changes: it may be read without passing the gate.
#[derive(Debug)]
pub struct Home {
    /// Whose drop it is.
    pub shop: ShopId,
    /// The series that it belongs to.
    pub series: Option<SeriesId>,
}

/// The drops that there are, for who has the registry locked already: it must not be locked twice by one thread.
#[derive(Debug, Clone, Copy)]
pub struct Roster<'a>(&'a [Arc<DropEntry>]);

impl<'a> Roster<'a> {
    /// The drop with this number.
    #[must_use]
    pub fn drop(self, number: DropNo) -> Option<&'a DropEntry> {
        self.0.get(number.index()).map(Arc::as_ref)
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
    numbers: HashMap<DropId, DropNo>,
    entries: Vec<Arc<DropEntry>>,
}

impl Running {
    /// When it opens: as defined, or when it was created.
    #[must_use]
    pub fn opens_at(&self, entry: &DropEntry) -> Timestamp {
        self.definition.opens_at.unwrap_or(entry.created_at)
    }

    /// The newest record that definition and state rest on.
    #[must_use]
    pub fn known_at(&self) -> Lsn {
        let archived = self.archived.as_ref().map_or(Lsn::default(), |(lsn, _)| *lsn);
        self.revision.max(self.steered).max(archived)
    }

    /// When it closed, by schedule or by hand; nothing as long as it has not.
    #[must_use]
    pub fn closed_since(&self, now: Timestamp) -> Option<Timestamp> {
        let scheduled = self.definition.closes_at.filter(|at| *at <= now);
        scheduled.into_iter().chain(self.steering.closed_at).min()
    }

    /// Where the drop stands: open is `opens_at <= now < closes_at`.
    #[must_use]
    pub fn state(&self, entry: &DropEntry, now: Timestamp) -> DropState {
        if self.archived.is_some() {
            DropState::Archived
        } else if self.closed_since(now).is_some() {
            DropState::Closed
        } else if self.steering.paused {
            DropState::Paused
        } else if now < self.opens_at(entry) {
            DropState::Scheduled
        } else {
            DropState::Open
        }
    }
}

impl DropEntry {
    /// A drop as its record makes it.
    #[must_use]
    pub fn new(revision: Lsn, image: DropImage) -> Self {
        let DropImage { number, created_at, definition, request, update } = image;
        let pools = Pools::new(&definition.items);
        let steering = Steering { drop: number, paused: false, closed_at: None };
        let adjusted = definition.items.iter().map(|_| ItemAdjustments::default()).collect();
        let home = Home { shop: definition.shop.clone(), series: definition.series.clone() };
        let running = Running {
            definition: Arc::new(definition),
            revision,
            steering,
            steered: Lsn::default(),
            update,
            adjusted,
            archived: None,
        };
        let (gate, refusals) = (ShardedLock::new(running), Default::default());
        Self { number, created_at, request, home, refusals, gate, pools }
    }

    /// Passes the gate: nothing about the drop changes while the guard lives.
    pub fn running(&self) -> ShardedLockReadGuard<'_, Running> {
        self.gate.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes the gate if nobody is changing the drop: for callers that hold a lock which comes after it.
    pub fn try_running(&self) -> Option<ShardedLockReadGuard<'_, Running>> {
        self.gate.try_read().ok()
    }

    /// Closes the gate: no request moves units while the guard lives.
    pub fn steer(&self) -> ShardedLockWriteGuard<'_, Running> {
        self.gate.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a change of the definition whose record has been appended. Items are only ever added.
    pub fn redefine(&self, running: &mut Running, revision: Lsn, image: DropImage) {
        let DropImage { number: _, created_at: _, definition, request: _, update } = image;
        for item in definition.items.iter().skip(self.pools.len()) {
            self.pools.add(item);
        }
        running.adjusted.resize_with(definition.items.len(), ItemAdjustments::default);
        running.definition = Arc::new(definition);
        running.revision = revision;
        running.update = update;
    }

    /// A pool of this drop.
    #[must_use]
    pub fn pool(&self, item: ItemNo, pool: PoolNo) -> Option<&Pool> {
        self.pools.get(item.index())?.pools.get(pool.index())
    }

    /// The SKU of an item of this drop.
    #[must_use]
    pub fn sku(&self, item: ItemNo) -> Option<&Sku> {
        Some(&self.pools.get(item.index())?.sku)
    }

    /// Each pool, in the definition's order.
    pub fn pools(&self) -> impl Iterator<Item = &Pool> {
        self.pools.iter().flat_map(|item| &item.pools)
    }

    /// Stock by item and pool, and the last place of the journal that moved any of it.
    #[must_use]
    pub fn stock(&self) -> (Vec<Vec<Stock>>, Lsn) {
        let mut as_of = Lsn::default();
        let mut read = |pool: &Pool| {
            let (stock, lsn) = pool.stock();
            as_of = as_of.max(lsn);
            stock
        };
        let stock = self.pools.iter().map(|item| item.pools.iter().map(&mut read).collect()).collect();
        (stock, as_of)
    }

    /// Units by which counters and ledgers disagree: 0, always. Closes the gate for as long as it looks.
    #[must_use]
    pub fn conservation_error(&self) -> u64 {
        let _closed = self.steer();
        self.pools().map(Pool::conservation_error).fold(0, u64::saturating_add)
    }

    /// Counts a refusal.
    pub fn count_refusal(&self, reason: Reason) {
        if let Some(counter) = self.refusals.get(reason.place()) {
            counter.get_or_init(Box::default).increment();
        }
    }

    /// Refusals so far, in the order of [`Reason::ALL`].
    #[must_use]
    pub fn refusals(&self) -> [u64; Reason::ALL.len()] {
        self.refusals.each_ref().map(|counter| counter.get().map_or(0, |counter| counter.get()))
    }

    /// The records that make this drop what it is, for a snapshot, each with the LSN that it stands for: definition,
    /// steering if there was any, and the stock of items that were adjusted.
    #[must_use]
    pub fn images(&self) -> Vec<(Lsn, Record)> {
        let running = self.running();
        let image = DropImage {
            number: self.number,
            created_at: self.created_at,
            definition: running.definition.as_ref().clone(),
            request: self.request,
            update: running.update,
        };
        let mut images = vec![(running.revision, Record::Drop(Box::new(image)))];
        if running.steered > Lsn::default() {
            images.push((running.steered, Record::Steering(running.steering)));
        }
        for ((item, adjusted), pools) in (0..).map(ItemNo).zip(&running.adjusted).zip(self.pools.iter()) {
            if adjusted.revision > Lsn::default() {
                let pools = pools.pools.iter().map(Pool::basis).collect();
                let adjustments = adjusted.last.iter().copied().collect();
                let image = StockImage { drop: self.number, item, pools, adjustments };
                images.push((adjusted.revision, Record::Stock(image)));
            }
        }
        if let Some((lsn, archived)) = &running.archived {
            images.push((*lsn, Record::Archived(archived.clone())));
        }
        images
    }

    pub(super) fn pools_mut(&mut self) -> impl Iterator<Item = &mut Pool> {
        self.pools.iter_mut().flat_map(|item| &mut item.pools)
    }
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
        let number = registry.numbers.get(id)?;
        registry.entries.get(number.index()).map(|entry| f(entry, Roster(&registry.entries)))
    }

    /// The drop with this number, among all the others.
    #[inline]
    pub fn with_number_among<R>(&self, number: DropNo, f: impl FnOnce(&DropEntry, Roster<'_>) -> R) -> Option<R> {
        let registry = self.0.read().unwrap_or_else(PoisonError::into_inner);
        registry.entries.get(number.index()).map(|entry| f(entry, Roster(&registry.entries)))
    }

    /// The number that the next drop gets.
    #[must_use]
    pub fn next_number(&self) -> DropNo {
        let registry = self.0.read().unwrap_or_else(PoisonError::into_inner);
        DropNo(u32::try_from(registry.entries.len()).unwrap_or(u32::MAX))
    }

    /// Every pool that has a hold due at `now`, and the earliest deadline of all that are not.
    pub fn due(&self, now: Timestamp) -> (Vec<(DropNo, ItemNo, PoolNo)>, Timestamp) {
        let registry = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (mut due, mut next) = (Vec::new(), Timestamp::NEVER);
        for entry in &registry.entries {
            for (item, pools) in (0..).map(ItemNo).zip(entry.pools.iter()) {
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
        self.0.read().unwrap_or_else(PoisonError::into_inner).entries.clone()
    }

    /// Adds a drop under the next number, unless there is one with this id. The registry is closed while `make` appends
    /// the record, so that numbers are given out in the order of the journal.
    ///
    /// # Errors
    /// What `make` returns.
    pub fn add<E>(&self, id: &DropId, make: impl FnOnce(DropNo) -> Result<(Lsn, DropImage), E>) -> Result<Added, E> {
        let mut registry = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let known = registry.numbers.get(id).and_then(|number| registry.entries.get(number.index()));
        if let Some(known) = known {
            return Ok(Added::Known(Arc::clone(known)));
        }
        let number = DropNo(u32::try_from(registry.entries.len()).unwrap_or(u32::MAX));
        let (revision, image) = make(number)?;
        Ok(Added::New(registry.put(revision, image)))
    }

    /// Applies a drop's image from journal or snapshot: a new drop, or a change of one that is there, unless that is the
    /// same or newer.
    pub(super) fn apply_image(&self, revision: Lsn, image: &DropImage) -> Result<(), String> {
        let mut registry = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if image.number.index() > registry.entries.len() {
            return Err(format!("drop {} stands before the drops that came before it", image.definition.id));
        }
        let Some(entry) = registry.entries.get(image.number.index()) else {
            registry.put(revision, image.clone());
            return Ok(());
        };
        let mut running = entry.steer();
        if revision > running.revision {
            if image.definition.id != running.definition.id || image.definition.items.len() < entry.pools.len() {
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
        let Adjusted { drop, item, adjustment, basis } = adjusted;
        let _known = self.with_number(*drop, |entry| {
            let mut running = entry.steer();
            if let Some(known) = running.adjusted.get_mut(item.index()).filter(|known| lsn > known.revision)
                && let Some(pool) = entry.pool(*item, adjustment.pool)
            {
                known.remember(lsn, *adjustment);
                pool.set_basis(lsn, *basis);
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
                known.last = adjustments.iter().copied().collect();
                for (place, basis) in (0..).map(PoolNo).zip(pools) {
                    if let Some(pool) = entry.pool(*item, place) {
                        pool.set_basis(lsn, *basis);
                    }
                }
            }
        });
    }

    /// Applies that a drop was archived. Its holds are discarded once all records are applied.
    pub(super) fn apply_archived(&self, lsn: Lsn, archived: &Archived) {
        let _known = self.with_number(archived.drop, |entry| {
            entry.steer().archived.get_or_insert_with(|| (lsn, archived.clone()));
        });
    }

    /// Each entry, to change: only before anyone else has one.
    pub(super) fn for_each_mut(&mut self, mut f: impl FnMut(&mut DropEntry)) {
        let registry = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        registry.entries.iter_mut().filter_map(Arc::get_mut).for_each(&mut f);
    }
}

impl Registry {
    fn put(&mut self, revision: Lsn, image: DropImage) -> Arc<DropEntry> {
        self.numbers.insert(image.definition.id.clone(), image.number);
        let entry = Arc::new(DropEntry::new(revision, image));
        self.entries.push(Arc::clone(&entry));
        entry
    }
}
