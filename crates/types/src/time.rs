//! Time as data: instants and spans in milliseconds, and the one door to the machine's clocks.
//!
//! Nothing below the edge reads a clock: `now` is an argument. The engine's clock follows the machine's boot-time
//! clock, which counts suspended time too and cannot be set, from the wall clock at start. It never goes back. A wall
//! clock that runs away is followed at 1 ms a second; one that has jumped ahead by more than a second is stepped to once
//! it has stayed ahead, and never where it is far ahead (`follow`).

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};

mod follow;

pub use follow::{Adjustment, DISBELIEVED_BEYOND, Look, STEP_AFTER, STEP_BEYOND};

use follow::Follower;

/// A span of time in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Millis(pub u64);

impl Millis {
    /// From whole seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// As the standard library's duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }

    /// Twice as long.
    #[must_use]
    pub const fn doubled(self) -> Self {
        Self(self.0.saturating_mul(2))
    }
}

impl From<Duration> for Millis {
    /// Rounded down: finer digits are cut off.
    fn from(span: Duration) -> Self {
        Self(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
    }
}

/// An instant: milliseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Later than every deadline: "never".
    pub const NEVER: Self = Self(u64::MAX);

    /// The instant `span` later; at the end of time it stays there.
    #[must_use]
    pub const fn plus(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The instant `span` earlier; at the beginning of time it stays there.
    #[must_use]
    pub const fn minus(self, span: Millis) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// How long until `later`; nothing when that has passed.
    #[must_use]
    pub const fn until(self, later: Self) -> Millis {
        Millis(later.0.saturating_sub(self.0))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = i64::try_from(self.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        match instant {
            Some(instant) => write!(f, "{instant:.3}"),
            None => f.write_str("never"),
        }
    }
}

/// Where `now` comes from. One reading a request, at the edge.
pub trait Clock: Send + Sync {
    /// The engine's time. Never earlier than an answer it gave before.
    fn now(&self) -> Timestamp;
}

/// A clock that stands still until it is moved: for tests, and for replaying what has been.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// Stands at `start`.
    #[must_use]
    pub const fn at(start: Timestamp) -> Self {
        Self(AtomicU64::new(start.0))
    }

    /// Moves forward.
    pub fn advance(&self, span: Millis) {
        // Relaxed: a clock carries no other data.
        self.0.fetch_add(span.0, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

/// The engine's clock on a real machine.
#[derive(Debug)]
pub struct EngineClock {
    /// Engine time minus boot time, in nanoseconds.
    offset: AtomicI64,
    /// The latest instant that was given out, in milliseconds.
    given: AtomicU64,
    /// What [`EngineClock::follow`] has seen.
    follower: Mutex<Follower>,
}

impl EngineClock {
    /// Starts at the later of the wall clock and `not_before`, the last instant that the journal knows.
    #[must_use]
    pub fn start(not_before: Timestamp) -> Self {
        let boot = read(ClockId::Boottime);
        let first = read(ClockId::Realtime).max(nanos(not_before));
        Self {
            offset: AtomicI64::new(first.saturating_sub(boot)),
            given: AtomicU64::new(not_before.0),
            follower: Mutex::new(Follower::new(boot)),
        }
    }

    /// Looks at the wall clock and moves engine time towards it. To be called about once a second.
    pub fn follow(&self) -> Look {
        let mut follower = self.follower.lock();
        let boot = read(ClockId::Boottime);
        let offset = self.offset.load(Ordering::Relaxed);
        let ahead = read(ClockId::Realtime).saturating_sub(boot.saturating_add(offset));
        let (moved, adjustment) = follower.look(boot, ahead);
        self.offset.store(offset.saturating_add(moved), Ordering::Relaxed);
        Look { ahead: ahead / 1_000_000, adjustment }
    }
}

impl Clock for EngineClock {
    fn now(&self) -> Timestamp {
        let nanos = read(ClockId::Boottime).saturating_add(self.offset.load(Ordering::Relaxed));
        let millis = u64::try_from(nanos / 1_000_000).unwrap_or(0);
        // Slewing back may lower the sum; what was given out stays a floor. The store is skipped while the
        // millisecond lasts, so that the line is shared, not fought over.
        let given = self.given.load(Ordering::Relaxed);
        if millis <= given {
            return Timestamp(given);
        }
        Timestamp(self.given.fetch_max(millis, Ordering::Relaxed).max(millis))
    }
}

/// The wall clock, for comparing with the journal before an engine clock exists.
#[must_use]
pub fn wall_clock() -> Timestamp {
    Timestamp(u64::try_from(read(ClockId::Realtime) / 1_000_000).unwrap_or(0))
}

fn read(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}

fn nanos(instant: Timestamp) -> i64 {
    i64::try_from(instant.0).unwrap_or(i64::MAX).saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engine_time_starts_at_the_journal_when_that_is_ahead_and_never_goes_back() {
        let ahead = wall_clock().plus(Millis::from_secs(3600));
        let clock = EngineClock::start(ahead);
        let first = clock.now();
        assert!(first >= ahead);
        let look = clock.follow();
        assert_eq!(look.adjustment, Adjustment::Slewed, "behind is only slewed");
        assert!(look.ahead < -3_590_000, "{look:?}");
        assert!(clock.now() >= first);
    }

    #[test]
    fn instants_print_as_rfc_3339() {
        assert_eq!(Timestamp(1_796_403_600_123).to_string(), "2026-12-04T17:00:00.123Z");
        assert_eq!(Timestamp::NEVER.to_string(), "never");
    }
}
