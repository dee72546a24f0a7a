//! Background work: the agenda, snapshots, the journal's history, and the comparison of counters and ledgers. It has
//! threads of its own, so that load on the requests' threads does not delay it.

pub mod agenda;
pub(crate) mod archive;
mod retention;
pub mod snapshots;
pub(crate) mod sweep;
mod throttle;
pub mod watermark;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use stockade_journal::storage::{FolderLock, Storage};
use stockade_types::time::{Clock, Millis, Timestamp};

use crate::Engine;
use crate::background::agenda::{Agenda, CHECK_PERIOD};
use crate::background::retention::Retention;
use crate::background::snapshots::{LastSnapshot, SnapshotPolicy};
use crate::background::throttle::{DutyCycle, Throttle};
use crate::watch::{self, Watch};

/// How often the snapshot policy is checked.
const TICK_INTERVAL: Duration = Duration::from_millis(250);
/// How often counters and ledgers are compared.
const COMPARE_INTERVAL: Millis = Millis(1_000);

/// An eighth of a core and of the disk for a snapshot, while customers are active. No request waits for it.
const SNAPSHOT: DutyCycle = DutyCycle { rests: 7, piece: Duration::from_micros(100) };

/// The running threads. Stopped and joined when dropped.
#[derive(Debug)]
pub struct Background {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// Where and when snapshots are taken; none for an engine without a data folder.
#[derive(Debug, Clone)]
pub struct Snapshots {
    /// Their folder.
    pub storage: Arc<dyn Storage>,
    /// When one is due.
    pub policy: SnapshotPolicy,
    /// The last snapshot, as the start found it.
    pub last: LastSnapshot,
}

impl Background {
    /// Starts the threads. `lock` is the data folder's lock; one thread checks that it still holds.
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
        let mut agenda = Agenda::new(Arc::clone(engine));
        let (agenda_clock, agenda_stop) = (Arc::clone(clock), Arc::clone(&stop));
        let agenda = thread::Builder::new().name("stockade-agenda".to_owned()).spawn(move || {
            while !agenda_stop.load(Ordering::Relaxed) {
                let next = agenda.run_due(agenda_clock.now());
                let left = agenda_clock.now().until(next).duration().min(CHECK_PERIOD);
                if !left.is_zero() {
                    thread::park_timeout(left);
                }
            }
        })?;
        let mut upkeep = Upkeep::new(Arc::clone(engine), Arc::clone(clock), snapshots);
        let upkeep_stop = Arc::clone(&stop);
        let upkeep = thread::Builder::new().name("stockade-keep".to_owned()).spawn(move || {
            while !upkeep_stop.load(Ordering::Relaxed) {
                upkeep.tick();
                thread::park_timeout(TICK_INTERVAL);
            }
        })?;
        let mut watch = Watch::new(Arc::clone(engine), lock);
        let watch_stop = Arc::clone(&stop);
        let watch = thread::Builder::new().name("stockade-watch".to_owned()).spawn(move || {
            while !watch_stop.load(Ordering::Relaxed) {
                watch.tick();
                thread::park_timeout(watch::TICK_INTERVAL);
            }
        })?;
        let mut threads = vec![agenda, upkeep, watch];
        if let Some(mut retention) = Retention::new(engine, clock) {
            let retention_stop = Arc::clone(&stop);
            threads.push(thread::Builder::new().name("stockade-history".to_owned()).spawn(move || {
                while !retention_stop.load(Ordering::Relaxed) {
                    retention.tick();
                    thread::park_timeout(retention::TICK_INTERVAL);
                }
            })?);
        }
        Ok(Self { stop, threads })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            // A panic in the thread has already ended the process, by its hook.
            let _ended = thread.join();
        }
    }
}

/// The work of the thread `stockade-keep`.
struct Upkeep {
    books_check: BooksCheck,
    snapshots: Option<Snapshots>,
}

/// Compares counters and ledgers from time to time.
struct BooksCheck {
    engine: Arc<Engine>,
    clock: Arc<dyn Clock>,
    compared: Timestamp,
}

impl BooksCheck {
    /// Compares, if it is time.
    fn tick(&mut self) {
        let now = self.clock.now();
        if self.compared.plus(COMPARE_INTERVAL) > now {
            return;
        }
        self.compared = now;
        let error = self.engine.conservation_error();
        if error > 0 {
            tracing::error!(units = error, "counters and ledgers disagree");
        }
        self.engine.metrics().conservation_error.set(error);
    }
}

impl Upkeep {
    fn new(engine: Arc<Engine>, clock: Arc<dyn Clock>, snapshots: Option<Snapshots>) -> Self {
        let compared = clock.now();
        Self { books_check: BooksCheck { engine, clock, compared }, snapshots }
    }

    fn tick(&mut self) {
        let Self { books_check, snapshots } = self;
        let engine = Arc::clone(&books_check.engine);
        let now = books_check.clock.now();
        books_check.tick();
        let Some(Snapshots { storage, policy, last }) = snapshots else { return };
        let journal = engine.journal();
        if policy.is_due(last, now, journal.appended(), journal.written()) {
            let mut throttle = Throttle::new(Arc::clone(&engine), SNAPSHOT);
            // A snapshot may take minutes under load, so counters and ledgers are compared meanwhile, too.
            let mut between = |_| {
                books_check.tick();
                throttle.rest(0, Millis(0));
            };
            match engine.snapshot_in_steps(storage.as_ref(), now, &mut between) {
                Ok(taken) => {
                    tracing::info!(from = taken.from.0, bytes = taken.bytes, "snapshot taken");
                    *last = taken;
                }
                Err(error) => {
                    tracing::error!(%error, "snapshot failed: the journal grows until one succeeds");
                    // Tried again when the policy next says so, not at once: a full disk must not be written to again
                    // and again.
                    *last = LastSnapshot { at: now, journaled: journal.written(), before: 0, ..*last };
                }
            }
        }
    }
}
