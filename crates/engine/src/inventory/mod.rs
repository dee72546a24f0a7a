//! What the engine has in memory: drops and their stock, holds, what each subject has, and deadlines.
//!
//! Synchronous, without I/O and without a clock. The inventory decides nothing about a request and appends nothing: the
//! engine checks, takes and appends, then enters the change here. Locks are taken in this order: registry and gate of
//! the drop, hold shard, subject stripe, then a pool's own short locks.

mod adjustments;
pub mod apply;
mod archive;
mod bulk_load;
mod channels;
mod chunks;
mod defined;
mod drop_entry;
mod drop_guard;
mod drop_scope;
pub mod drops;
mod expiry;
mod facts;
mod fits;
mod follow;
mod format1;
mod bulk_usage;
pub mod holds;
mod index;
mod item_stock;
mod ledger;
pub mod limits;
mod moments;
mod occurrences;
mod openings;
pub mod pool;
mod drop_inner;
mod slab;
mod succession;
pub mod totals;
mod reports;
mod watched;

use std::sync::Arc;

use parking_lot::Mutex;

pub use adjustments::ItemAdjustments;
pub use apply::{Applied, HoldTransition, Locked, LockedSubjects, ReplayError};
pub use archive::Folding;
pub use bulk_load::BulkLoad;
pub use channels::{CHANNELS_MAX, ChannelTable};
pub use defined::{Defined, DefinedBounds, DefinedTable, Definitions};
pub use drop_entry::DropEntry;
pub use drop_guard::{DropReadGuard, DropWriteGuard};
pub use drop_inner::{DropInner, DropState};
pub use drop_scope::DropScope;
pub use drops::{Added, DropTable, Drops, NewDropNumber, Registry};
pub use facts::{DEMAND_HOURS_MAX, FactTable, FactsPart};
pub use holds::{CountedHold, HoldSlot, Holds, LockedShard, LockedShards};
pub use item_stock::ItemStock;
pub use limits::{Keys, Subject, Subjects, Violations};
pub use moments::Moments;
pub use occurrences::{OCCURRENCES_MAX, Occurred, OccurrenceTable, SeriesLooks};
pub use openings::Openings;
pub use pool::{Availability, Pool, Stock};
pub use reports::Reports;
pub use watched::Watched;

use stockade_counter::sync::{AtomicU64, Ordering};
use stockade_types::digest::DigestKey;
use stockade_types::hold::Hold;
use stockade_types::ids::{DropNo, ItemNo, Lsn, PoolNo, SeriesId, SubjectKey};
use stockade_types::invariant;
use stockade_types::record::{DefinedFact, DefinedKind, DefinedVerb, Record};
use stockade_types::time::{Millis, Timestamp};

use chunks::Chunks;
use limits::{CountedHoldRef, HoldKey};

/// All that is in memory.
#[derive(Debug)]
pub struct Inventory {
    /// The data folder's key.
    pub key: DigestKey,
    /// Drops by id and number.
    pub drops: Drops,
    /// What operators define by an id, other than drops.
    pub definitions: Definitions,
    /// What came of the occurrences of series.
    pub occurrences: Mutex<OccurrenceTable>,
    /// How far the messages of channels are.
    pub channels: Mutex<ChannelTable>,
    /// What is kept of facts.
    pub facts: Mutex<FactTable>,
    /// When each series is looked at next.
    pub series_looks: SeriesLooks,
    /// Openings of drops before they were moved.
    pub openings: Openings,
    /// The next moment of each drop that has one.
    pub moments: Moments,
    /// When each drop was over that is not archived yet: its closing, or the end of its last pickup slot.
    pub closings: Moments,
    /// Drops with a rule that fires at a level of stock.
    pub watched: Watched,
    /// Drops that have opened and not closed: what the public sees of their stock is made known.
    pub on_sale: Watched,
    /// What came of drops whose sale is over.
    pub reports: Mutex<Reports>,
    /// Holds by id.
    pub holds: Holds,
    /// What each subject has.
    pub subjects: Subjects,
    /// Ended holds that are remembered, oldest first.
    ended: Mutex<Chunks<EndedHold>>,
    /// Holds that have units: held, paying and claimed.
    owned: AtomicU64,
    /// No hold is due before this, in milliseconds, so that [`Inventory::due`] costs nothing while none is.
    earliest: AtomicU64,
}

/// An ended hold that must be forgotten in time.
#[derive(Debug, Clone, Copy)]
struct EndedHold {
    at: Timestamp,
    revision: Lsn,
    hold: HoldSlot,
    drop: DropNo,
}

impl EndedHold {
    fn of(place: HoldSlot, hold: &Hold) -> Self {
        Self { at: hold.settled_at(), revision: hold.revision, hold: place, drop: hold.drop }
    }

    /// Whether `found` is this hold, unchanged since.
    fn is(&self, found: Option<&Hold>) -> bool {
        found.is_some_and(|found| found.state.is_ended() && found.revision == self.revision)
    }
}

impl Inventory {
    /// An empty inventory.
    #[must_use]
    pub fn new(key: DigestKey) -> Self {
        Self {
            drops: Drops::default(),
            definitions: Definitions::default(),
            occurrences: Mutex::default(),
            channels: Mutex::default(),
            facts: Mutex::default(),
            reports: Mutex::default(),
            series_looks: SeriesLooks::default(),
            openings: Openings::default(),
            moments: Moments::default(),
            closings: Moments::default(),
            watched: Watched::default(),
            on_sale: Watched::default(),
            holds: Holds::new(&key),
            subjects: Subjects::new(),
            ended: Mutex::default(),
            owned: AtomicU64::new(0),
            earliest: AtomicU64::new(0),
            key,
        }
    }

    /// The number of holds that have units.
    #[must_use]
    pub fn owned(&self) -> u64 {
        // Relaxed: the bound on it may be exceeded by as many requests as run at once.
        self.owned.load(Ordering::Relaxed)
    }

    /// The number of ended holds that are remembered.
    #[must_use]
    pub fn ended(&self) -> usize {
        self.ended.lock().len()
    }

    /// The subjects that count a hold: its customer and its identities.
    #[must_use]
    pub fn subjects_of(&self, scope: &DropScope, hold: &Hold) -> Keys {
        let mut keys = Keys::from_buf([self.customer_of(scope, hold)]);
        for identity in hold.identities() {
            keys.push(identity.subject);
        }
        keys
    }

    #[inline]
    pub(crate) fn customer_of(&self, scope: &DropScope, hold: &Hold) -> SubjectKey {
        scope.customers(&self.key).subject(&hold.customer)
    }

    /// When the next hold is forgotten, by the same bounds as [`Inventory::evict_ended`]; [`Timestamp::NEVER`] if none
    /// has ended.
    #[must_use]
    pub fn next_eviction(&self, window: Millis, most: usize) -> Timestamp {
        let ended = self.ended.lock();
        let excess = ended.len() > most;
        ended.front().map_or(Timestamp::NEVER, |front| if excess { Timestamp(0) } else { front.at.plus(window) })
    }

    /// Forgets the oldest ended hold, if there are more than `most` or it is older than the window. Returns whether it
    /// did. The caller must not have that hold's shard locked.
    pub fn evict_ended(&self, now: Timestamp, window: Millis, most: usize) -> bool {
        let oldest = {
            let mut ended = self.ended.lock();
            let excess = ended.len() > most;
            match ended.front() {
                Some(front) if excess || front.at.plus(window) <= now => ended.pop_front(),
                Some(_) | None => None,
            }
        };
        let Some(ended) = oldest else { return false };
        self.forget_ended(&ended);
        true
    }

    /// Forgets an ended hold, unless it has changed since.
    fn forget_ended(&self, ended: &EndedHold) {
        let _known = self.drops.with_number(ended.drop, |entry| {
            self.holds.with_ref(ended.hold, |mut shard| {
                if ended.is(shard.get(ended.hold))
                    && let Some(hold) = shard.remove(ended.hold)
                {
                    self.uncount(&entry.scope, ended.hold, &hold);
                }
            });
        });
    }

    /// Takes a hold that is forgotten out of its subjects. Its shard is locked.
    fn uncount(&self, scope: &DropScope, place: HoldSlot, hold: &Hold) {
        let Some(counted) = CountedHoldRef::of(hold) else { return };
        let keys = self.subjects_of(scope, hold);
        let hold_key = HoldKey { drop: hold.drop, place, created_at: hold.created_at() };
        self.subjects.with(&keys, |subjects| {
            for subject in subjects {
                subject.enter(hold_key, Some(counted), None);
            }
        });
    }

    /// The pools that have a hold due at `now`. Reads all pools, but only if a hold can be due.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> Vec<(DropNo, ItemNo, PoolNo)> {
        if self.earliest.load(Ordering::Acquire) > now.0 {
            return Vec::new();
        }
        // Reset before the scan. A swap, not a store: if a deadline was announced before it, this reads that value and
        // so sees (AcqRel) the deadline in its pool's queue, where the scan finds it; if it is announced after it, the
        // announcement stays.
        self.earliest.swap(Timestamp::NEVER.0, Ordering::AcqRel);
        let (due, next) = self.drops.due(now);
        self.expect_due(if due.is_empty() { next } else { now });
        due
    }

    /// No hold is due before this.
    #[must_use]
    pub fn next_due(&self) -> Timestamp {
        Timestamp(self.earliest.load(Ordering::Acquire))
    }

    /// Enters a drop's next moment, and since when all of it is over. Its gate is closed, or it is being made.
    fn expect_moments(&self, drop: DropNo, inner: &DropInner) {
        self.moments.expect(drop, inner.next_moment);
        self.closings.expect(drop, inner.over_at());
        self.watched.set(drop, inner.watches_stock());
        self.on_sale.set(drop, inner.is_on_sale());
    }

    /// Has a series that was created or changed looked at, and one that was deleted not any more.
    fn expect_look(&self, fact: &DefinedFact) {
        match fact.image.kind {
            DefinedKind::Webhook => {}
            DefinedKind::Series => {
                let Ok(series) = SeriesId::try_from(fact.image.id.as_str()) else { return };
                let is_deleted = fact.verb == DefinedVerb::Delete;
                self.series_looks.expect(&series, if is_deleted { Timestamp::NEVER } else { Timestamp(0) });
            }
        }
    }

    /// The last record of each definition, each occurrence of a series and each channel, with their LSNs.
    #[must_use]
    pub fn definition_images(&self) -> Vec<(Lsn, Record)> {
        let mut images = self.definitions.images();
        images.extend(self.occurrences.lock().images());
        images.extend(self.channels.lock().images());
        images
    }

    /// Forgets the oldest archived drops beyond these bounds, with what facts told of them. Returns those that
    /// were forgotten.
    pub fn forget_archived(&self, most: usize, weight: usize) -> Vec<Arc<DropEntry>> {
        let forgotten = self.drops.forget_archived(most, weight);
        let mut facts = self.facts.lock();
        for drop in &forgotten {
            facts.forget_drop(drop.number);
        }
        forgotten
    }

    /// Announces that a hold is due at `at`; its deadline is in its pools' queues by now. Always a read-modify-write:
    /// if the value were read first, a reset in between could be missed.
    fn expect_due(&self, at: Timestamp) {
        self.earliest.fetch_min(at.0, Ordering::AcqRel);
    }

    fn count_owned(&self, changed: &HoldTransition<'_>) {
        match (changed.was_owned(), changed.after.state.is_ended()) {
            (false, false) => {
                self.owned.fetch_add(1, Ordering::Relaxed);
            }
            (true, true) => {
                self.forget_owned();
                self.remember(changed);
            }
            (true, false) => {}
            (false, true) => self.remember(changed),
        }
    }

    /// A hold that had units has none any more.
    fn forget_owned(&self) {
        let before = self.owned.fetch_sub(1, Ordering::Relaxed);
        invariant!(before > 0, "a hold has no units any more, and none is counted that has any");
    }

    fn remember(&self, HoldTransition { place, lsn, after, .. }: &HoldTransition<'_>) {
        let ended = EndedHold { at: after.settled_at(), revision: *lsn, hold: *place, drop: after.drop };
        self.ended.lock().push_back(ended);
    }

    /// A digest of the whole inventory: two inventories with the same history have the same one. Exact only while
    /// nothing changes.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut bytes = Vec::new();
        let put = |bytes: &mut Vec<u8>, lsn: Lsn, record: Record| {
            bytes.extend_from_slice(&lsn.0.to_le_bytes());
            record.encode(bytes);
        };
        // What is measured is left out: sums depend on the records that were followed, and what was asked is recorded
        // later than it is counted.
        let is_measured = |image: &Record| matches!(image, Record::Totals(_) | Record::Demand(_));
        for entry in self.drops.all() {
            for (revision, image) in entry.images().into_iter().filter(|(_, image)| !is_measured(image)) {
                put(&mut bytes, revision, image);
            }
            entry.pools().for_each(|pool| bytes.extend_from_slice(pool.image().as_bytes()));
        }
        for (revision, image) in self.definition_images() {
            put(&mut bytes, revision, image);
        }
        for (revision, image) in self.reports.lock().images() {
            put(&mut bytes, revision, image);
        }
        for image in self.facts.lock().all_images() {
            put(&mut bytes, Lsn::default(), image);
        }
        let mut holds = Vec::new();
        self.holds.for_each_shard(|shard| holds.extend(shard.iter().map(|(_, hold)| hold.clone())));
        holds.sort_unstable_by_key(|hold| hold.id);
        for hold in holds {
            put(&mut bytes, hold.revision, Record::Hold(hold));
        }
        let usage = self.subjects.image();
        bytes.extend_from_slice(format!("{usage:?} {} {:?}", self.owned(), self.remembered()).as_bytes());
        blake3::hash(&bytes).into()
    }

    /// The ended holds that will be forgotten, by the record that ended them. Holds in the list that were claimed late
    /// since are left out.
    fn remembered(&self) -> Vec<(Lsn, Timestamp)> {
        let listed: Vec<EndedHold> = self.ended.lock().iter().copied().collect();
        let is_there = |ended: &&EndedHold| self.holds.with_ref(ended.hold, |shard| ended.is(shard.get(ended.hold)));
        let mut remembered: Vec<_> = listed.iter().filter(is_there).map(|ended| (ended.revision, ended.at)).collect();
        remembered.sort_unstable();
        remembered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "a bug: a hold has no units any more, and none is counted that has any")]
    fn a_count_of_holds_that_would_fall_below_nothing_ends_the_process() {
        Inventory::new(DigestKey::from_bytes([1; 16])).forget_owned();
    }
}
