//! The engine: the only crate that knows both memory and disk. [`Engine`] has one function for each verb, which returns
//! the decision and the record that must be durable before it is sent, as [`Decided`].
//!
//! Under the locks of what it touches, a verb takes a permit from the journal, finds its hold, checks, takes units,
//! appends its record, and changes memory. Nothing is awaited in between; a caller can only cancel its own waiting.
//! After the append nothing may fail. Doubt and due holds are never waited for under a lock: the attempt ends and the
//! request is decided again.
//!
//! - [`command`]: requests. [`answer`]: outcomes, refusals and faults. [`context`]: the time, and the caller.
//! - [`inventory`]: drops, holds, subjects and deadlines in memory. [`rules`]: how a definition applies to a request.
//! - [`verbs`]: what callers do with holds. [`operators`]: what operators do with drops.
//! - [`lifecycle`]: a data folder, the start of an engine from it, and the handle on the engine of the current term.
//! - [`background`]: work that is due by the clock ([`background::agenda`]), snapshots, and their threads.
//!
//! `README.md` has an example.

#![warn(unreachable_pub)]

pub mod inventory;
pub mod memory;
pub mod rules;

pub mod answer;
pub mod attempt;
pub mod command;
mod commit;
pub mod context;
mod locked_hold;
mod refusals;
pub mod readings;
mod watch;

pub mod background;
pub mod lifecycle;
pub mod operators;
pub mod verbs;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use stockade_journal::{AppendError, History, Journal, MemoryLog, Start};
use stockade_types::digest::DigestKey;
use stockade_types::hold::HoldState;
use stockade_types::metrics::{Counter, Gauge, Histogram};
use stockade_types::time::{Millis, Timestamp};

use crate::inventory::Inventory;
use crate::operators::facts::OrderIndex;
use answer::Fault;
use attempt::{Answer, Attempt, Chore, Decided, Undecided};
use refusals::Refusals;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// Most attempts of one call before it yields, each with at most one chore after it. A sweep expires at most
/// `AT_ONCE_MAX` (`background/sweep.rs`) holds of each pool.
const SWEEPS_MAX: usize = 4;

/// The engine's bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Most holds that have units, live or claimed.
    pub max_holds: u64,
    /// Most ended holds that are remembered.
    pub max_ended_holds: usize,
    /// How long an ended hold is remembered.
    pub retry_window: Millis,
    /// How long after its closing a drop is archived.
    pub archive_after: Millis,
    /// Most drops that are not archived.
    pub max_drops: usize,
    /// Most archived drops that are remembered.
    pub max_archived_drops: usize,
    /// Most bytes that the remembered archived drops take, encoded.
    pub max_archived_bytes: usize,
    /// Most facts that are known by their ids.
    pub max_facts: usize,
    /// Most bytes that a start may use temporarily, in addition to what it loads.
    pub start_room: usize,
    /// Whether what is asked of drops is recorded. It is counted in any case.
    pub records_demand: bool,
}

impl Bounds {
    /// Most subjects of limits: as many as holds, live and ended. A customer without a hold is no subject, so only
    /// identities can be more.
    fn max_subjects(&self) -> u64 {
        let Self { max_holds, max_ended_holds, .. } = *self;
        max_holds.saturating_add(u64::try_from(max_ended_holds).unwrap_or(u64::MAX))
    }
}

/// Once only `max_holds / KEPT_FREE` holds are left for new ones, due holds are expired without rests.
const KEPT_FREE: u64 = 16;

impl Bounds {
    /// Whether `owned` holds that have units leave hardly any room for more.
    const fn is_nearly_full(&self, owned: u64) -> bool {
        owned >= self.max_holds.saturating_sub(self.max_holds / KEPT_FREE)
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            max_holds: 50_000_000,
            max_ended_holds: 10_000_000,
            retry_window: Millis::from_secs(24 * 3600),
            archive_after: Millis::from_secs(45 * 24 * 3600),
            max_drops: 100_000,
            max_archived_drops: 100_000,
            max_archived_bytes: 64 * 1024 * 1024,
            max_facts: 10_000_000,
            start_room: usize::MAX,
            records_demand: false,
        }
    }
}

/// What the engine counts.
#[derive(Debug, Default)]
pub struct EngineMetrics {
    /// Holds that have entered each state, by [`HoldState::ALL`].
    pub transitions: [Counter; HoldState::ALL.len()],
    /// How long after its deadline a hold was expired.
    pub expiry_lag: Histogram,
    /// How long snapshots took.
    pub snapshot_duration: Histogram,
    /// When the last snapshot that succeeded was finished, in milliseconds since the epoch; 0 before the first.
    pub snapshot_at: Gauge,
    /// Units by which counters and ledgers disagreed at the last comparison: always 0.
    pub conservation_error: Gauge,
}

/// One term of service: from recovery to a shutdown or a failed journal.
#[derive(Debug)]
pub struct Engine {
    inventory: Inventory,
    journal: Journal,
    /// None for an engine without a data folder.
    history: Option<Arc<History>>,
    bounds: Bounds,
    metrics: EngineMetrics,
    /// The process uses nearly all memory that it may use. Written by one thread, read by all.
    short_of_memory: AtomicBool,
    refusals: Refusals,
    /// The orders of some drops, for facts about them.
    orders: Mutex<OrderIndex>,
    /// When it began to keep refusals.
    began: Timestamp,
    /// Held while a snapshot copies all holds, and for each piece of holds that are taken out.
    scan_lock: Mutex<()>,
    /// Engine time can't be relied on for new holds.
    clock_is_in_doubt: AtomicBool,
    /// Something was asked of a drop that is not recorded. Written rarely, read by all.
    has_unrecorded_demand: AtomicBool,
}

impl Engine {
    /// An engine with the state that recovery found.
    #[must_use]
    pub fn new(inventory: Inventory, journal: Journal, bounds: Bounds) -> Self {
        // The start may have found more than these bounds allow.
        inventory.forget_archived(bounds.max_archived_drops, bounds.max_archived_bytes);
        inventory.forget_unknown_facts();
        Self {
            inventory,
            journal,
            history: None,
            bounds,
            metrics: EngineMetrics::default(),
            short_of_memory: AtomicBool::new(false),
            refusals: Refusals::default(),
            orders: Mutex::default(),
            began: Timestamp::default(),
            scan_lock: Mutex::default(),
            clock_is_in_doubt: AtomicBool::new(false),
            has_unrecorded_demand: AtomicBool::new(false),
        }
    }

    /// An engine without a folder: what it knows ends with the process.
    ///
    /// # Errors
    /// The journal's thread can't be started.
    pub fn ephemeral(key: DigestKey, bounds: Bounds) -> io::Result<Self> {
        let journal = Journal::start(Arc::new(MemoryLog::ephemeral()), Start::FIRST, Arc::default())?;
        Ok(Self::new(Inventory::new(key), journal, bounds))
    }

    /// The same, with a journal that readers can follow.
    #[must_use]
    pub fn with_history(self, history: Option<Arc<History>>) -> Self {
        Self { history, ..self }
    }

    /// The same, which serves from this instant on: it knows of no refusal before.
    #[must_use]
    pub fn serving_from(self, began: Timestamp) -> Self {
        Self { began, ..self }
    }

    /// What its journal keeps for readers; none if it keeps nothing.
    #[must_use]
    pub fn history(&self) -> Option<Arc<History>> {
        self.history.clone()
    }

    /// Sets whether new holds are refused with [`Fault::Suspended`], because the wall clock is so far ahead of engine
    /// time that one of them must be wrong. Existing holds are not affected: they are extended, claimed, released, and
    /// expire.
    pub fn doubt_clock(&self, is_in_doubt: bool) {
        // Relaxed: it carries no other data, and a concurrent reserve may be decided either way.
        self.clock_is_in_doubt.store(is_in_doubt, Ordering::Relaxed);
    }

    /// Its memory, for metrics, snapshots and tests.
    #[must_use]
    pub const fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// Its journal.
    #[must_use]
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Its counters.
    #[must_use]
    pub const fn metrics(&self) -> &EngineMetrics {
        &self.metrics
    }

    /// Refuses a request that takes more memory while memory is short.
    #[inline]
    fn has_memory(&self) -> Result<(), Fault> {
        // Relaxed: the flag is up to a tenth of a second old anyway.
        if self.short_of_memory.load(Ordering::Relaxed) { Err(short_of_memory()) } else { Ok(()) }
    }

    /// Something was asked of a drop.
    #[inline]
    fn has_been_asked(&self) {
        // Relaxed: the agenda sees it in one of its next passes.
        if !self.has_unrecorded_demand.load(Ordering::Relaxed) {
            self.has_unrecorded_demand.store(true, Ordering::Relaxed);
        }
    }

    /// Decides a request, with chores in between while no lock is held. A call does a few chores only, so that a
    /// million deadlines never stall one caller; after that it is in doubt, and the edge lets other requests run.
    fn decide<T>(&self, now: Timestamp, mut attempt: impl FnMut() -> Attempt<Decided<T>>) -> Answer<T> {
        for _ in 0..SWEEPS_MAX {
            match attempt() {
                Ok(decided) => return Ok(decided),
                Err(Undecided::Fault(fault)) => return Err(fault),
                Err(Undecided::InDoubt) => break,
                Err(Undecided::Retry(chore)) => self.perform(chore, now)?,
            }
        }
        Err(Fault::InDoubt.into())
    }

    fn perform(&self, chore: Chore, now: Timestamp) -> Result<(), Fault> {
        match chore {
            Chore::SweepItem(drop, item) => self.sweep_item(drop, item, now),
            Chore::SweepHold(hold) => self.sweep_hold(hold, now).map(|_expired| ()),
            Chore::Turn(drop) => self.turn(drop, now),
            Chore::Again => Ok(()),
        }
    }

    /// Units by which counters and ledgers disagree, over all drops: always 0. Closes each drop's gate for a moment.
    #[must_use]
    pub fn conservation_error(&self) -> u64 {
        let drops = self.inventory.drops.all();
        drops.iter().map(|drop| drop.conservation_error()).fold(0, u64::saturating_add)
    }
}

#[cold]
const fn short_of_memory() -> Fault {
    Fault::Exhausted("memory is short: requests that take more are refused until there is enough again")
}

impl From<AppendError> for Fault {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Full => Self::Overloaded("the journal's queue is full"),
            AppendError::Closed => Self::Overloaded("the server is stopping"),
            AppendError::Failed => Self::JournalFailed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sixteenth_of_all_holds_is_kept_for_new_ones() {
        let bounds = Bounds { max_holds: 1_600, ..Bounds::default() };
        assert!(!bounds.is_nearly_full(1_499) && bounds.is_nearly_full(1_500));
        assert!(Bounds { max_holds: 0, ..bounds }.is_nearly_full(0));
    }
}
