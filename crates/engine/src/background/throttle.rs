//! Gives customers priority: background work rests between its pieces while others append to the journal, so that it
//! takes a share of one core and of the disk.
//!
//! A lower thread priority would not do: a thread that the scheduler preempts while it holds a lock delays all threads
//! that wait for the lock. A rest is taken while no lock is held that a request could wait for.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use stockade_types::ids::Lsn;
use stockade_types::metrics::Stopwatch;
use stockade_types::time::Millis;

use crate::Engine;

/// No rest is longer, however long a piece took: the disk may have stalled.
const REST_MAX: Duration = Duration::from_millis(50);
/// After a record of theirs, others count as active for this long. It is not shorter, since customers who get no turn
/// append nothing, and that must not count as idle.
const BUSY_WINDOW: Duration = Duration::from_millis(200);
/// Work that is later than this rests less, the later the shorter. Not earlier: most customers are
/// active at the end of a burst of deadlines, and work that hurries then makes their slowest answers slower.
const LATE: Millis = Millis(5_600);
/// Work that is this late does not rest any more, since what is left undone takes memory.
pub(crate) const TOO_LATE: Millis = Millis(8_000);

/// The share of a core that background work takes, and in what pieces.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DutyCycle {
    /// It rests this many times as long as it works.
    pub(crate) rests: u32,
    /// Shorter pieces are put together before a rest. Each rest costs two thread switches, and takes longer than asked
    /// by the timer's resolution and by the wait for a core.
    pub(crate) piece: Duration,
}

/// The pace of one background worker.
#[derive(Debug)]
pub(crate) struct Throttle {
    engine: Arc<Engine>,
    duty_cycle: DutyCycle,
    /// Started after the last rest.
    working: Stopwatch,
    /// The journal's last record at the last look, and how many records the worker itself has appended since.
    seen: Lsn,
    own: u64,
    /// Started when others last appended; none if they never have.
    others: Option<Stopwatch>,
    /// The greatest lateness of its work since the last rest.
    late: Millis,
    /// Rests so far.
    #[cfg(test)]
    pub(crate) rests: u64,
}

impl Throttle {
    /// The pace of a worker that has not worked yet.
    pub(crate) fn new(engine: Arc<Engine>, duty_cycle: DutyCycle) -> Self {
        let seen = engine.journal.appended();
        Self {
            engine,
            duty_cycle,
            working: Stopwatch::start(),
            seen,
            own: 0,
            others: None,
            late: Millis(0),
            #[cfg(test)]
            rests: 0,
        }
    }

    /// There was nothing to do until now, which counts as a rest.
    pub(crate) fn has_rested(&mut self) {
        self.working = Stopwatch::start();
        self.late = Millis(0);
    }

    /// Called after a piece of work, with the number of records appended for it and how late it was. Rests if others
    /// are active. Returns whether enough work had come together for a rest.
    pub(crate) fn rest(&mut self, appended: usize, late: Millis) -> bool {
        self.own = self.own.saturating_add(u64::try_from(appended).unwrap_or(u64::MAX));
        // The lateness of all pieces since the last rest counts, not only that of the last piece.
        self.late = self.late.max(late);
        let worked = self.working.elapsed();
        if worked < self.duty_cycle.piece {
            return false;
        }
        self.note_progress();
        if self.others.is_some_and(|since| since.elapsed() < BUSY_WINDOW) {
            thread::sleep(rest_after(worked, self.duty_cycle.rests, self.late));
            #[cfg(test)]
            {
                self.rests = self.rests.saturating_add(1);
            }
        }
        self.has_rested();
        true
    }

    fn note_progress(&mut self) {
        let appended = self.engine.journal.appended();
        if appended.0.saturating_sub(self.seen.0) > self.own {
            self.others = Some(Stopwatch::start());
        }
        (self.seen, self.own) = (appended, 0);
    }
}

fn rest_after(worked: Duration, rests: u32, late: Millis) -> Duration {
    let whole = worked.saturating_mul(rests).min(REST_MAX);
    let left = TOO_LATE.duration().saturating_sub(late.duration());
    let hurry = TOO_LATE.duration().saturating_sub(LATE.duration());
    whole.mul_f64(left.div_duration_f64(hurry).min(1.0))
}

#[cfg(test)]
mod tests {
    use stockade_journal::{Journal, MemoryLog, Start};
    use stockade_types::digest::DigestKey;

    use super::*;
    use crate::Bounds;
    use crate::inventory::Inventory;

    #[test]
    fn how_late_the_latest_piece_was_decides_whichever_is_the_last_before_a_rest() {
        let journal = Journal::start(Arc::new(MemoryLog::ephemeral()), Start::FIRST, Arc::default());
        let inventory = Inventory::new(DigestKey::from_bytes([1; 16]));
        let engine = Engine::new(inventory, journal.expect("a journal"), Bounds::default());
        let mut throttle = Throttle::new(Arc::new(engine), DutyCycle { rests: 3, piece: Duration::from_hours(1) });
        throttle.rest(1, TOO_LATE);
        throttle.rest(0, Millis(0));
        assert_eq!(throttle.late, TOO_LATE);
        throttle.has_rested();
        assert_eq!(throttle.late, Millis(0));
    }

    #[test]
    fn a_rest_is_so_many_times_the_work_and_shorter_once_it_is_late() {
        let worked = Duration::from_millis(2);
        let after = |late| rest_after(worked, 3, Millis(late));
        assert_eq!((after(0), after(LATE.0)), (Duration::from_millis(6), Duration::from_millis(6)));
        assert_eq!(after(u64::midpoint(LATE.0, TOO_LATE.0)), Duration::from_millis(3));
        assert_eq!((after(TOO_LATE.0), after(3_600_000)), (Duration::ZERO, Duration::ZERO));
        assert_eq!(rest_after(Duration::from_secs(9), 3, Millis(0)), REST_MAX);
    }
}
