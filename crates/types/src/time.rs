//! Instants and spans in milliseconds, and the only access to the machine's clocks.
//!
//! Nothing below the edge reads a clock: `now` is an argument. The engine's clock starts at the wall clock and then
//! advances with the machine's boot-time clock, which also counts suspended time and cannot be set. It never goes back.
//! It is slewed towards the wall clock by at most 1 ms a second. It is stepped to a wall clock that is more than a
//! second ahead only after that has stayed ahead, and never if it is far ahead (`follow`).

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};

mod follow;

pub use follow::{ClockAdjustment, ClockReading, DISBELIEVED_BEYOND, STEP_AFTER, STEP_BEYOND};

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
    /// Rounded down to whole milliseconds.
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

    /// Whole seconds since the epoch, up to the year 2106.
    #[must_use]
    pub fn seconds(self) -> u32 {
        u32::try_from(self.0 / 1_000).unwrap_or(u32::MAX)
    }

    /// The instant `span` later; saturates.
    #[must_use]
    pub const fn plus(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The instant `span` earlier; saturates.
    #[must_use]
    pub const fn minus(self, span: Millis) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// The span until `later`; zero if that has passed.
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

/// The source of `now`. The edge reads it once per request.
pub trait Clock: Send + Sync {
    /// The engine's time, never earlier than what it returned before.
    fn now(&self) -> Timestamp;
}

/// A clock that is moved by hand, for tests and for replay.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that shows `start`.
    #[must_use]
    pub const fn at(start: Timestamp) -> Self {
        Self(AtomicU64::new(start.0))
    }

    /// Moves forward.
    pub fn advance(&self, span: Millis) {
        // Relaxed: the clock orders no other data.
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
    /// The latest instant that was returned, in milliseconds.
    given: AtomicU64,
    /// State of [`EngineClock::follow`].
    follower: Mutex<Follower>,
}

impl EngineClock {
    /// Starts at the later of the wall clock and `not_before`, the last instant in the journal.
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

    /// Reads the wall clock and moves engine time towards it. Must be called about once a second.
    pub fn follow(&self) -> ClockReading {
        let mut follower = self.follower.lock();
        let boot = read(ClockId::Boottime);
        let offset = self.offset.load(Ordering::Relaxed);
        let ahead = read(ClockId::Realtime).saturating_sub(boot.saturating_add(offset));
        let (moved, adjustment) = follower.observe(boot, ahead);
        self.offset.store(offset.saturating_add(moved), Ordering::Relaxed);
        ClockReading { ahead: ahead / 1_000_000, adjustment }
    }
}

impl Clock for EngineClock {
    fn now(&self) -> Timestamp {
        let nanos = read(ClockId::Boottime).saturating_add(self.offset.load(Ordering::Relaxed));
        let millis = u64::try_from(nanos / 1_000_000).unwrap_or(0);
        // Slewing back may lower the sum, so the last returned instant is a floor. Within one millisecond nothing is
        // stored, so that the cache line stays shared.
        let given = self.given.load(Ordering::Relaxed);
        if millis <= given {
            return Timestamp(given);
        }
        Timestamp(self.given.fetch_max(millis, Ordering::Relaxed).max(millis))
    }
}

/// The wall clock, to compare with the journal before an engine clock exists.
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
        let reading = clock.follow();
        assert_eq!(reading.adjustment, ClockAdjustment::Slewed, "behind is only slewed");
        assert!(reading.ahead < -3_590_000, "{reading:?}");
        assert!(clock.now() >= first);
    }

    #[test]
    fn instants_print_as_rfc_3339() {
        assert_eq!(Timestamp(1_796_403_600_123).to_string(), "2026-12-04T17:00:00.123Z");
        assert_eq!(Timestamp::NEVER.to_string(), "never");
    }
}
