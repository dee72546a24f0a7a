//! Letting customers go first: what runs in the background rests between its pieces of work for as long as anyone else
//! is at work, so that it takes a share of one core and of the disk, not all that there is.
//!
//! A share, and not a lower priority of the thread: whoever is put aside by the scheduler while it holds a lock holds up
//! all who wait for that lock. Who rests of its own accord does so with no lock held that a request could wait for.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use stockade_types::ids::Lsn;
use stockade_types::metrics::Stopwatch;
use stockade_types::time::Millis;

use super::Engine;

/// No rest is longer, however long a piece has taken: the disk may have stood still.
const LONGEST: Duration = Duration::from_millis(50);
/// For so long after a record of theirs others are taken to be at work. Not shorter: customers who get no turn append
/// nothing, and that must not be taken for leisure.
const AT_WORK: Duration = Duration::from_millis(200);
/// Who is so late with its work rests less, the later the shorter. Not from the first moment on: who hurries at the end
/// of a wave is at work when most customers are there, and the slowest of their answers are those of that end.
const LATE: Millis = Millis(5_600);
/// Who is so late does not rest any more: what it leaves undone takes memory.
pub(super) const TOO_LATE: Millis = Millis(8_000);

/// What share of a core one takes, and how finely.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    /// It rests so many times as long as it works.
    pub(super) rests: u32,
    /// Work shorter than this is put together before a rest. Each rest costs a change of threads before and after it, and
    /// is as much longer than it should be as the timer is coarse and others are before it in the queue for a core.
    pub(super) piece: Duration,
}

/// One who works in the background.
#[derive(Debug)]
pub(super) struct Pace {
    engine: Arc<Engine>,
    share: Share,
    /// Since it last rested.
    working: Stopwatch,
    /// The journal's place when it last looked, and how many of the records since are its own.
    seen: Lsn,
    own: u64,
    /// Since others have appended; none if they never have.
    others: Option<Stopwatch>,
    /// The latest that any work has been done since it last rested.
    late: Millis,
    /// Rests so far.
    #[cfg(test)]
    pub(super) rests: u64,
}

impl Pace {
    /// One that has not worked yet.
    pub(super) fn new(engine: Arc<Engine>, share: Share) -> Self {
        let seen = engine.journal.appended();
        Self {
            engine,
            share,
            working: Stopwatch::start(),
            seen,
            own: 0,
            others: None,
            late: Millis(0),
            #[cfg(test)]
            rests: 0,
        }
    }

    /// There was nothing to do until now: that was a rest, too.
    pub(super) fn has_rested(&mut self) {
        self.working = Stopwatch::start();
        self.late = Millis(0);
    }

    /// A piece of work is done, for which so many records were appended, and which should have been done so long ago.
    /// Rests, if that is due. Says whether so much work had come together that it was time for it.
    pub(super) fn rest(&mut self, appended: usize, late: Millis) -> bool {
        self.own = self.own.saturating_add(u64::try_from(appended).unwrap_or(u64::MAX));
        // Whatever piece happens to be the last before a rest: how late the others were counts, too.
        self.late = self.late.max(late);
        let worked = self.working.elapsed();
        if worked < self.share.piece {
            return false;
        }
        self.look();
        if self.others.is_some_and(|since| since.elapsed() < AT_WORK) {
            thread::sleep(rest_after(worked, self.share.rests, self.late));
            #[cfg(test)]
            {
                self.rests = self.rests.saturating_add(1);
            }
        }
        self.has_rested();
        true
    }

    fn look(&mut self) {
        let appended = self.engine.journal.appended();
        if appended.0.saturating_sub(self.seen.0) > self.own {
            self.others = Some(Stopwatch::start());
        }
        (self.seen, self.own) = (appended, 0);
    }
}

fn rest_after(worked: Duration, rests: u32, late: Millis) -> Duration {
    let whole = worked.saturating_mul(rests).min(LONGEST);
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
        let mut pace = Pace::new(Arc::new(engine), Share { rests: 3, piece: Duration::from_hours(1) });
        pace.rest(1, TOO_LATE);
        pace.rest(0, Millis(0));
        assert_eq!(pace.late, TOO_LATE);
        pace.has_rested();
        assert_eq!(pace.late, Millis(0));
    }

    #[test]
    fn a_rest_is_so_many_times_the_work_and_shorter_once_it_is_late() {
        let worked = Duration::from_millis(2);
        let after = |late| rest_after(worked, 3, Millis(late));
        assert_eq!((after(0), after(LATE.0)), (Duration::from_millis(6), Duration::from_millis(6)));
        assert_eq!(after(u64::midpoint(LATE.0, TOO_LATE.0)), Duration::from_millis(3));
        assert_eq!((after(TOO_LATE.0), after(3_600_000)), (Duration::ZERO, Duration::ZERO));
        assert_eq!(rest_after(Duration::from_secs(9), 3, Millis(0)), LONGEST);
    }
}
