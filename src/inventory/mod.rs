//! What the engine knows, in memory: drops and their stock, holds, what each subject has, and when holds fall due.
//!
//! Synchronous, without I/O and without a clock. The inventory decides nothing about a request and appends nothing:
//! the engine looks, takes and appends, then has the change entered here. Locks are taken in this order: registry and
//! gate of the drop, hold shard, subject stripe, then a pool's own short locks.

mod adjustments;
mod archive;
mod chunks;
mod drop_entry;
pub mod drops;
mod expiry;
mod gathered;
pub mod holds;
mod index;
pub mod limits;
mod openings;
pub mod pool;
mod pools;
mod replay;
mod slab;
pub mod stock;
mod succession;
// Declared here, not in `stock`: the models include that source as it is, without its tests.
#[cfg(test)]
#[path = "stock/tests.rs"]
mod stock_tests;

use parking_lot::Mutex;

pub use adjustments::ItemAdjustments;
pub use drop_entry::{DropEntry, DropState, Home, ReadRunning, Running, WriteRunning};
pub use drops::{Added, Drops, Roster, Seat};
pub use holds::{HoldRef, Holds, LockedShard, LockedShards, Standing};
pub use limits::{Broken, Keys, Subject, Subjects};
pub use openings::Openings;
pub use pool::{Pool, Stock, Verdict};
pub use replay::Unsound;

use chunks::Chunks;

use crate::digest::DigestKey;
use crate::hold::{Hold, HoldLine, HoldState};
use crate::ids::{DropNo, ItemNo, Lsn, PoolNo, ShopId, SubjectKey};
use crate::sync::{AtomicU64, Ordering};
use crate::time::{Millis, Timestamp};
use limits::{Counted, Whose};
use pool::Share;

/// Everything in memory.
#[derive(Debug)]
pub struct Inventory {
    /// The data folder's key.
    pub key: DigestKey,
    /// Drops by id and number.
    pub drops: Drops,
    /// When drops opened before that was moved.
    pub openings: Openings,
    /// Holds by id.
    pub holds: Holds,
    /// What each subject has.
    pub subjects: Subjects,
    /// Ended holds that are remembered, oldest first.
    ended: Mutex<Chunks<Ended>>,
    /// Holds that have units: held, paying and claimed.
    owned: AtomicU64,
    /// No hold is due before this, in milliseconds: so that looking for due holds costs nothing while none is.
    earliest: AtomicU64,
}

/// An ended hold, for forgetting it in time.
#[derive(Debug, Clone, Copy)]
struct Ended {
    at: Timestamp,
    revision: Lsn,
    hold: HoldRef,
    drop: DropNo,
}

impl Ended {
    fn of(place: HoldRef, hold: &Hold) -> Self {
        Self { at: hold.settled_at(), revision: hold.revision, hold: place, drop: hold.drop }
    }
}

/// A hold's change as it is entered into everything that follows from holds.
#[derive(Debug)]
pub struct Entered<'a> {
    /// The drop that it is in.
    pub drop: &'a DropEntry,
    /// Where it lives.
    pub place: HoldRef,
    /// How it stood before; nothing for a new one.
    pub before: Option<&'a Standing>,
    /// How it stands now.
    pub after: &'a Hold,
}

impl Entered<'_> {
    /// Enters it into the hold's subjects among these, which may have others among them: `keys` says whose they are, the
    /// customer first.
    fn enter_subjects(&self, keys: &[SubjectKey], subjects: &mut [Subject]) {
        let Self { drop, place, before, after } = self;
        let whose = Whose { drop: drop.number, place: *place, created_at: after.created_at() };
        let (before, now) = (before.map(Counted::from), Counted::of(after));
        if let Some((customer, others)) = subjects.split_first_mut() {
            customer.enter(whose, before, now);
            for (key, subject) in keys.iter().skip(1).zip(others) {
                if after.identities().iter().any(|identity| identity.subject == *key) {
                    subject.enter(whose, before, now);
                }
            }
        }
    }
}

impl Inventory {
    /// Nothing yet.
    #[must_use]
    pub fn new(key: DigestKey) -> Self {
        Self {
            drops: Drops::default(),
            openings: Openings::default(),
            holds: Holds::new(&key),
            subjects: Subjects::new(),
            ended: Mutex::default(),
            owned: AtomicU64::new(0),
            earliest: AtomicU64::new(0),
            key,
        }
    }

    /// Holds that have units.
    #[must_use]
    pub fn owned(&self) -> u64 {
        // Relaxed: a bound that may be overstepped by as many requests as run at once.
        self.owned.load(Ordering::Relaxed)
    }

    /// Ended holds that are remembered.
    #[must_use]
    pub fn ended(&self) -> usize {
        self.ended.lock().len()
    }

    /// The subjects that count a hold: its customer, and its identities.
    #[must_use]
    pub fn subjects_of(&self, shop: &ShopId, hold: &Hold) -> Keys {
        let mut keys = Keys::from_buf([self.key.customer(shop, &hold.customer)]);
        for identity in hold.identities() {
            keys.push(identity.subject);
        }
        keys
    }

    /// Enters a change whose record has been appended: subjects, stock, deadlines. The hold's shard is locked.
    pub fn enter(&self, entered: &Entered<'_>) {
        let keys = self.subjects_of(&entered.drop.home.shop, entered.after);
        self.subjects.with(&keys, |subjects| self.enter_with(entered, &keys, subjects));
    }

    /// As [`Inventory::enter`], for callers that have the stripes of all subjects of the hold locked, and maybe of
    /// others: `keys` says whose, the customer first.
    pub fn enter_with(&self, entered: &Entered<'_>, keys: &[SubjectKey], subjects: &mut [Subject]) {
        let Entered { drop, place, before, after } = entered;
        entered.enter_subjects(keys, subjects);
        let mut is_first = false;
        each_share(*before, after, |line, was, is| {
            if let Some(pool) = drop.pool(line.item, line.pool) {
                is_first |= pool.settle(after.revision, *place, was, is);
            }
        });
        // Else a deadline before it is in a queue: it was told of, or is about to be, or whoever forgets what was told
        // finds it there.
        if is_first && after.state.is_live() {
            self.expect_due(after.expires_at());
        }
        self.count_owned(before.is_some_and(|before| !before.state.is_ended()), *place, after);
    }

    /// A hold to forget at `now`: the oldest ended one that is beyond the bound or older than the window, if any.
    /// Its shard must not be locked by the caller.
    pub fn forget(&self, now: Timestamp, window: Millis, most: usize) -> bool {
        let oldest = {
            let mut ended = self.ended.lock();
            let excess = ended.len() > most;
            match ended.front() {
                Some(front) if excess || front.at.plus(window) <= now => ended.pop_front(),
                Some(_) | None => None,
            }
        };
        let Some(Ended { at: _, hold: place, drop, revision }) = oldest else { return false };
        let _known = self.drops.with_number(drop, |entry| {
            self.holds.with_ref(place, |mut shard| {
                if shard.get(place).is_some_and(|found| found.state.is_ended() && found.revision == revision)
                    && let Some(hold) = shard.remove(place)
                {
                    self.uncount(&entry.home.shop, place, &hold);
                }
            });
        });
        true
    }

    /// Takes a hold that is remembered no longer out of its subjects. Its shard is locked.
    fn uncount(&self, shop: &ShopId, place: HoldRef, hold: &Hold) {
        let Some(counted) = Counted::of(hold) else { return };
        let keys = self.subjects_of(shop, hold);
        let whose = Whose { drop: hold.drop, place, created_at: hold.created_at() };
        self.subjects.with(&keys, |subjects| {
            for subject in subjects {
                subject.enter(whose, Some(counted), None);
            }
        });
    }

    /// The pools that have a hold due at `now`. Looks at them all only if one can be due.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> Vec<(DropNo, ItemNo, PoolNo)> {
        if self.earliest.load(Ordering::Acquire) > now.0 {
            return Vec::new();
        }
        // Forgotten before the look. Swapped, not stored: a deadline told before this is read here, and with it (AcqRel)
        // its place in its pool's queue, which the look then finds; one told after this stays told.
        self.earliest.swap(Timestamp::NEVER.0, Ordering::AcqRel);
        let (due, next) = self.drops.due(now);
        self.expect_due(if due.is_empty() { next } else { now });
        due
    }

    /// Something falls due at `at`, and is in its pools' queues by now. Always a read-modify-write: a look at the value
    /// first could miss that a sweep has just forgotten it.
    fn expect_due(&self, at: Timestamp) {
        self.earliest.fetch_min(at.0, Ordering::AcqRel);
    }

    fn count_owned(&self, owned_before: bool, place: HoldRef, after: &Hold) {
        match (owned_before, after.state.is_ended()) {
            (false, false) => {
                self.owned.fetch_add(1, Ordering::Relaxed);
            }
            (true, true) => {
                self.owned.fetch_sub(1, Ordering::Relaxed);
                self.remember(place, after);
            }
            (true, false) => {}
            (false, true) => self.remember(place, after),
        }
    }

    /// A hold that had units is gone without an end of its own.
    fn forget_owned(&self) {
        self.owned.fetch_sub(1, Ordering::Relaxed);
    }

    fn remember(&self, place: HoldRef, hold: &Hold) {
        self.ended.lock().push_back(Ended::of(place, hold));
    }
}

/// Visits each line with the hold's share of it before and after. A hold's lines never change their order.
#[inline]
fn each_share(before: Option<&Standing>, after: &Hold, mut f: impl FnMut(&HoldLine, Share, Share)) {
    match before {
        None => after.lines().iter().for_each(|line| {
            f(&line, Share::default(), share(after.state, after.expires_at(), &line));
        }),
        Some(before) => before.lines.iter().zip(after.lines().iter()).for_each(|(was, is)| {
            let share_before = share(before.state, before.expires_at, &was);
            f(&is, share_before, share(after.state, after.expires_at(), &is));
        }),
    }
}

fn share(state: HoldState, expires_at: Timestamp, line: &HoldLine) -> Share {
    let units = u64::from(line.quantity);
    let due = (units > 0).then_some(expires_at);
    let given = Share { returned: line.returned.into(), withdrawn: line.withdrawn.into(), ..Share::default() };
    match state {
        HoldState::Held => Share { held: units, due, ..given },
        HoldState::Paying => Share { paying: units, due, ..given },
        HoldState::Claimed => Share { claimed: units, ..given },
        HoldState::Released | HoldState::Expired => given,
    }
}
