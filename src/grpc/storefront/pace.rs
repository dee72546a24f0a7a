//! A bound on how often something is done for all readers together: an interval, and how many may be done at once after a rest.

use std::sync::atomic::{AtomicU64, Ordering};

use stockade_types::time::{Millis, Timestamp};

/// Admits one piece of work in each interval, and a few at once after a rest.
#[derive(Debug)]
pub(crate) struct Pace {
    interval: Millis,
    /// How far ahead of the clock work may be admitted.
    ahead: Millis,
    /// The instant up to which work was admitted.
    next: AtomicU64,
}

impl Pace {
    /// One piece of work in `interval`, and up to `burst` at once.
    pub(crate) const fn new(interval: Millis, burst: u64) -> Self {
        let ahead = Millis(interval.0.saturating_mul(burst.saturating_sub(1)));
        Self { interval, ahead, next: AtomicU64::new(0) }
    }

    /// Whether one more piece may be done now; if so, it is counted.
    pub(crate) fn take(&self, now: Timestamp) -> bool {
        let admit = |next: u64| {
            let begin = next.max(now.0);
            (begin <= now.plus(self.ahead).0).then(|| begin.saturating_add(self.interval.0))
        };
        // Relaxed: it orders no other data.
        self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, admit).is_ok()
    }

    /// Counts this many pieces more, which a piece that was admitted has turned out to be.
    pub(crate) fn add(&self, pieces: u64) {
        let more = self.interval.0.saturating_mul(pieces);
        let later = |next: u64| Some(next.saturating_add(more));
        // Relaxed, as above. It never fails.
        let _before = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_rest_a_few_are_admitted_and_then_one_in_each_interval() {
        let pace = Pace::new(Millis(250), 4);
        let admitted = |from: u64, until: u64| (from..until).filter(|at| pace.take(Timestamp(*at))).count();
        assert_eq!(admitted(10_000, 10_010), 4);
        assert_eq!(admitted(10_010, 20_000), 39, "4 in each of the 10 seconds, less what was taken at once");
        assert_eq!(admitted(20_000, 21_000), 4);
        pace.add(8);
        assert_eq!(admitted(21_000, 23_250), 1, "what was more than a piece is waited for");
        assert_eq!(admitted(90_000, 90_001), 1, "at one instant");
        assert!((0..3).all(|_| pace.take(Timestamp(90_001))) && !pace.take(Timestamp(90_001)));
    }
}
