//! What runs beside the requests: giving back what is due, snapshots, and the check that counters and ledgers agree.
//! Threads of their own, so that no load on the requests' threads delays them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::Engine;
use super::answer::Fault;
use super::compact::{LastSnapshot, SnapshotPolicy};
use super::pace::{Pace, Share, TOO_LATE};
use super::watch::{self, Watch};
use crate::storage::{FolderLock, Storage};
use crate::time::{Clock, Millis, Timestamp};

/// How often deadlines are looked at: a hold is given back at most about this long after its deadline.
const SWEEP_EVERY: Millis = Millis(2);
/// How often the snapshot policy is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often counters and ledgers are compared.
const COMPARE_EVERY: Millis = Millis(1_000);

/// A quarter of a core for giving back, while customers are at work: what is due and not given back yet is given back by
/// whoever needs it, at his own cost. In pieces of a few hundred holds.
const SWEEP: Share = Share { rests: 3, piece: Duration::from_millis(1) };
/// An eighth of a core and of the disk for a snapshot, while customers are at work. Nobody waits for it.
const SNAPSHOT: Share = Share { rests: 7, piece: Duration::from_micros(100) };

/// The running threads. Stopped and joined when dropped.
#[derive(Debug)]
pub struct Background {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// Where and when snapshots are taken; none for an engine that keeps nothing.
#[derive(Debug, Clone)]
pub struct Snapshots {
    /// Where.
    pub storage: Arc<dyn Storage>,
    /// When.
    pub policy: SnapshotPolicy,
    /// What the start has found.
    pub last: LastSnapshot,
}

impl Background {
    /// Starts the threads. `lock` is the data folder's, for seeing that it still holds.
    ///
    /// # Errors
    /// When a thread can't be started.
    pub fn start(
        engine: &Arc<Engine>,
        clock: &Arc<dyn Clock>,
        snapshots: Option<Snapshots>,
        lock: Option<Arc<FolderLock>>,
    ) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut sweeper = Sweeper::new(Arc::clone(engine));
        let (sweep_clock, sweep_stop) = (Arc::clone(clock), Arc::clone(&stop));
        let sweeper = thread::Builder::new().name("stockade-sweep".to_owned()).spawn(move || {
            while !sweep_stop.load(Ordering::Relaxed) {
                if !sweeper.look(sweep_clock.now()) {
                    thread::park_timeout(Duration::from_millis(SWEEP_EVERY.0));
                }
            }
        })?;
        let mut keeper = Keeper::new(Arc::clone(engine), Arc::clone(clock), snapshots);
        let keep_stop = Arc::clone(&stop);
        let keeper = thread::Builder::new().name("stockade-keep".to_owned()).spawn(move || {
            while !keep_stop.load(Ordering::Relaxed) {
                keeper.look();
                thread::park_timeout(LOOK_EVERY);
            }
        })?;
        let mut watch = Watch::new(Arc::clone(engine), lock);
        let watch_stop = Arc::clone(&stop);
        let watch = thread::Builder::new().name("stockade-watch".to_owned()).spawn(move || {
            while !watch_stop.load(Ordering::Relaxed) {
                watch.look();
                thread::park_timeout(watch::LOOK_EVERY);
            }
        })?;
        Ok(Self { stop, threads: vec![sweeper, keeper, watch] })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            // A panic in the thread has ended the process through its hook already.
            let _ended = thread.join();
        }
    }
}

/// Gives back and forgets what is due.
///
/// A wave of deadlines is never let loose on the journal as fast as memory is: the queue would be full of it, customers
/// would be turned away for what nobody waits for, and all others would stand behind it. Where much waits already, a part
/// is given back at each look and no more; and while customers are at work it rests between, until it is late. What is
/// left is late, not lost: who needs units that are due gives them back first. Only `--max-holds` counts it meanwhile: near
/// that bound it does not rest.
#[derive(Debug)]
pub struct Sweeper {
    engine: Arc<Engine>,
    /// When it last gave back.
    swept: Timestamp,
    pace: Pace,
    /// The last look found nothing.
    idle: bool,
}

impl Sweeper {
    /// One that has not looked yet.
    #[must_use]
    pub fn new(engine: Arc<Engine>) -> Self {
        let pace = Pace::new(Arc::clone(&engine), SWEEP);
        Self { engine, swept: Timestamp(0), pace, idle: true }
    }

    /// Looks once. Says whether there may be more to do at once.
    pub fn look(&mut self, now: Timestamp) -> bool {
        if self.idle {
            self.pace.has_rested();
        }
        let waits = self.engine.journal().is_busy() && now < self.swept.plus(SWEEP_EVERY);
        let more = !waits && self.give_back(now) && !self.engine.journal().is_busy();
        // Forgetting writes nothing: it goes on whatever the journal does, and without a rest where memory is at its bound.
        let forgot = self.engine.forget(now) > 0;
        if forgot && !self.engine.remembers_too_many() {
            self.pace.rest(0, Millis(0));
        }
        self.idle = !(forgot || more);
        !self.idle
    }

    /// Whether there was something.
    fn give_back(&mut self, now: Timestamp) -> bool {
        self.swept = now;
        let Self { engine, pace, .. } = self;
        let rest = |expired, late| pace.rest(expired, if engine.has_hardly_room() { TOO_LATE } else { late });
        match engine.sweep_with(now, rest) {
            Ok(expired) => expired > 0,
            // The journal is full or failed: the next look finds the same holds.
            Err(
                Fault::Invalid(_)
                | Fault::NoDrop(_)
                | Fault::NoHold(_)
                | Fault::Exists { .. }
                | Fault::Stale(_)
                | Fault::Precondition(_)
                | Fault::Exhausted(_)
                | Fault::Overloaded(_)
                | Fault::Suspended(_)
                | Fault::JournalFailed,
            ) => false,
        }
    }
}

/// The slower thread's work.
struct Keeper {
    books: Books,
    snapshots: Option<Snapshots>,
}

/// Compares counters and ledgers, once a while.
struct Books {
    engine: Arc<Engine>,
    clock: Arc<dyn Clock>,
    compared: Timestamp,
}

impl Books {
    /// Compares, if it is time. Says whether it was.
    fn look(&mut self) -> bool {
        let now = self.clock.now();
        if self.compared.plus(COMPARE_EVERY) > now {
            return false;
        }
        self.compared = now;
        let error = self.engine.conservation_error();
        if error > 0 {
            tracing::error!(units = error, "counters and ledgers disagree");
        }
        self.engine.metrics().conservation_error.set(error);
        true
    }
}

impl Keeper {
    fn new(engine: Arc<Engine>, clock: Arc<dyn Clock>, snapshots: Option<Snapshots>) -> Self {
        let compared = clock.now();
        Self { books: Books { engine, clock, compared }, snapshots }
    }

    fn look(&mut self) {
        let Self { books, snapshots } = self;
        let engine = Arc::clone(&books.engine);
        let now = books.clock.now();
        // What the journal can't take now, it takes at the next look.
        if books.look()
            && let Err(fault) = engine.archive(now)
        {
            tracing::warn!(%fault, "nothing was archived");
        }
        let Some(Snapshots { storage, policy, last }) = snapshots else { return };
        let journal = engine.journal();
        if policy.is_due(last, now, journal.appended(), journal.written()) {
            let mut pace = Pace::new(Arc::clone(&engine), SNAPSHOT);
            // It may take minutes under load: the books are looked at meanwhile, too.
            let mut between = |_| {
                books.look();
                pace.rest(0, Millis(0));
            };
            match engine.snapshot_in_steps(storage.as_ref(), now, &mut between) {
                Ok(taken) => {
                    tracing::info!(from = taken.from.0, bytes = taken.bytes, "snapshot taken");
                    *last = taken;
                }
                Err(error) => {
                    tracing::error!(%error, "snapshot failed: the journal grows until one succeeds");
                    // Tried again after the policy's time, not at once: a full disk must not be hammered.
                    *last = LastSnapshot { at: now, journaled: journal.written(), before: 0, ..*last };
                }
            }
        }
    }
}
