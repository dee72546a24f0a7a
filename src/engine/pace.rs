//! Letting customers go first: what runs in the background rests between its pieces of work for as long as anyone else
//! is at work, so that it takes a share of one core and of the disk, not all that there is.
//!
//! A share, and not a lower priority of the thread: whoever is put aside by the scheduler while it holds a lock holds up
//! all who wait for that lock. Who rests of its own accord does so with no lock held.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::Engine;
use crate::ids::Lsn;
use crate::metrics::Stopwatch;

/// Pieces shorter than this are put together: a rest is a system call, and never shorter than the timer can tell.
const SHORTEST: Duration = Duration::from_micros(100);
/// No rest is longer, however long a piece has taken: the disk may have stood still.
const LONGEST: Duration = Duration::from_millis(50);
/// For so long after a record of theirs others are taken to be at work. Not shorter: customers who get no turn append
/// nothing, and that must not be taken for leisure.
const AT_WORK: Duration = Duration::from_millis(200);

/// One who works in the background.
#[derive(Debug)]
pub(super) struct Pace {
    engine: Arc<Engine>,
    /// It rests so many times as long as it works.
    rests: u32,
    working: Stopwatch,
    /// The journal's place when it last looked, and how many of the records since are its own.
    seen: Lsn,
    own: u64,
    /// Since others have appended; none if they never have.
    others: Option<Stopwatch>,
}

impl Pace {
    /// One that has not worked yet.
    pub(super) fn new(engine: Arc<Engine>, rests: u32) -> Self {
        let seen = engine.journal.appended();
        Self { engine, rests, working: Stopwatch::start(), seen, own: 0, others: None }
    }

    /// Work begins: what was before was waiting.
    pub(super) fn begin(&mut self) {
        self.working = Stopwatch::start();
    }

    /// A piece of work is done, for which it has appended so many records by itself. Rests, if that is due: with no lock
    /// held.
    pub(super) fn rest(&mut self, own: usize) {
        self.own = self.own.saturating_add(u64::try_from(own).unwrap_or(u64::MAX));
        let worked = self.working.elapsed();
        if worked < SHORTEST {
            return;
        }
        self.look();
        if self.others.is_some_and(|since| since.elapsed() < AT_WORK) {
            thread::sleep(worked.saturating_mul(self.rests).min(LONGEST));
        }
        self.working = Stopwatch::start();
    }

    fn look(&mut self) {
        let appended = self.engine.journal.appended();
        if appended.0.saturating_sub(self.seen.0) > self.own {
            self.others = Some(Stopwatch::start());
        }
        (self.seen, self.own) = (appended, 0);
    }
}
