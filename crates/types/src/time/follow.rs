//! How engine time follows the machine's wall clock. Pure arithmetic: both clocks are arguments.
//!
//! Engine time is slewed towards a wall clock that is behind, or at most [`STEP_BEYOND`] ahead. It is stepped to one
//! that is further ahead only after that has stayed ahead, so that a glitch neither expires holds nor opens drops. A
//! wall clock beyond [`DISBELIEVED_BEYOND`] is not followed.

use super::Millis;

/// If the wall clock is further ahead of engine time than this, engine time is not slewed towards it.
pub const STEP_BEYOND: Millis = Millis(1_000);
/// Engine time is stepped to a wall clock that has stayed ahead for this long, by boot time.
pub const STEP_AFTER: Millis = Millis::from_secs(30);
/// A wall clock further ahead than this is not followed at all.
pub const DISBELIEVED_BEYOND: Millis = Millis::from_secs(5 * 60);
/// The most that engine time is slewed in a second, in nanoseconds.
const SLEW_PER_SECOND: i64 = 1_000_000;

/// The result of one reading of the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockReading {
    /// How far the wall clock was ahead of engine time, in milliseconds; negative if it was behind.
    pub ahead: i64,
    /// What was done.
    pub adjustment: ClockAdjustment,
}

/// What was done after a reading of the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockAdjustment {
    /// Engine time was slewed, by at most 1 ms a second.
    Slewed,
    /// The wall clock is ahead, but not for long enough yet: engine time was not changed.
    Waiting,
    /// The wall clock had stayed ahead: engine time was stepped by this much.
    Stepped(Millis),
    /// The wall clock is too far ahead to be believed: engine time was not changed.
    Disbelieved,
}

/// State from one reading of the wall clock to the next. All numbers are nanoseconds.
#[derive(Debug)]
pub(super) struct Follower {
    /// Boot time of the last reading.
    looked: i64,
    /// Since when the wall clock has been ahead.
    ahead: Option<Ahead>,
}

#[derive(Debug, Clone, Copy)]
struct Ahead {
    /// Boot time of the first reading that found it ahead.
    since: i64,
    /// The least that it was ahead by since then; engine time is stepped by this.
    least: i64,
}

impl Follower {
    pub(super) const fn new(boot: i64) -> Self {
        Self { looked: boot, ahead: None }
    }

    /// Processes a reading: the wall clock is `ahead` of engine time at boot time `boot`. Returns the correction to
    /// engine time, which otherwise advances with boot time.
    pub(super) fn observe(&mut self, boot: i64, ahead: i64) -> (i64, ClockAdjustment) {
        let elapsed = boot.saturating_sub(self.looked);
        self.looked = boot;
        if ahead > nanos(DISBELIEVED_BEYOND) {
            self.ahead = None;
            return (0, ClockAdjustment::Disbelieved);
        }
        if ahead <= nanos(STEP_BEYOND) {
            self.ahead = None;
            let most = (elapsed / 1_000).clamp(0, SLEW_PER_SECOND);
            return (ahead.clamp(most.saturating_neg(), most), ClockAdjustment::Slewed);
        }
        let Ahead { since, least } = self.ahead.unwrap_or(Ahead { since: boot, least: ahead });
        let least = least.min(ahead);
        if boot.saturating_sub(since) < nanos(STEP_AFTER) {
            self.ahead = Some(Ahead { since, least });
            return (0, ClockAdjustment::Waiting);
        }
        self.ahead = None;
        (least, ClockAdjustment::Stepped(Millis(u64::try_from(least / 1_000_000).unwrap_or(0))))
    }
}

fn nanos(span: Millis) -> i64 {
    i64::try_from(span.0).unwrap_or(i64::MAX).saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    /// Clocks that the test sets, and the engine time that follows them.
    struct Clocks {
        boot: i64,
        wall: i64,
        engine: i64,
        follower: Follower,
    }

    impl Clocks {
        fn new() -> Self {
            Self { boot: 0, wall: 0, engine: 0, follower: Follower::new(0) }
        }

        /// A second passes, and the wall clock is read.
        fn second(&mut self) -> ClockAdjustment {
            self.boot += SECOND;
            self.wall += SECOND;
            self.engine += SECOND;
            let (moved, adjustment) = self.follower.observe(self.boot, self.wall - self.engine);
            self.engine += moved;
            adjustment
        }

        /// `many` seconds pass. Returns the last adjustment, and all steps.
        fn seconds(&mut self, many: i64) -> (ClockAdjustment, Vec<Millis>) {
            let looks: Vec<_> = (0..many).map(|_| self.second()).collect();
            let stepped =
                |look: &ClockAdjustment| if let ClockAdjustment::Stepped(by) = look { Some(*by) } else { None };
            (*looks.last().expect("a look"), looks.iter().filter_map(stepped).collect())
        }

        /// How far engine time is ahead of boot time, in milliseconds.
        fn gained(&self) -> i64 {
            (self.engine - self.boot) / 1_000_000
        }
    }

    #[test]
    fn a_wall_clock_that_jumps_is_followed_as_far_as_it_can_be_believed() {
        // The jump in ms and its duration in s; the last adjustment and the engine time gained by then; the engine time
        // gained a minute after the wall clock is right again.
        let table: [(i64, i64, ClockAdjustment, i64, i64); 12] = [
            (0, 60, ClockAdjustment::Slewed, 0, 0),
            (900, 10, ClockAdjustment::Slewed, 10, 0),
            (1_000, 10, ClockAdjustment::Slewed, 10, 0),
            (2_000, 1, ClockAdjustment::Waiting, 0, 0),
            (2_000, 30, ClockAdjustment::Waiting, 0, 0),
            (2_000, 31, ClockAdjustment::Stepped(Millis(2_000)), 2_000, 1_940),
            (300_000, 31, ClockAdjustment::Stepped(Millis(300_000)), 300_000, 299_940),
            (300_001, 31, ClockAdjustment::Disbelieved, 0, 0),
            (3_600_000, 2, ClockAdjustment::Disbelieved, 0, 0),
            (86_400_000, 3_600, ClockAdjustment::Disbelieved, 0, 0),
            (315_360_000_000, 60, ClockAdjustment::Disbelieved, 0, 0),
            (-3_600_000, 60, ClockAdjustment::Slewed, -60, 0),
        ];
        for (jump, seconds, last, gained, later) in table {
            let mut clocks = Clocks::new();
            assert_eq!(clocks.second(), ClockAdjustment::Slewed);
            clocks.wall += jump * 1_000_000;
            let (led_to, _) = clocks.seconds(seconds);
            assert_eq!((led_to, clocks.gained()), (last, gained), "{jump} ms for {seconds} s");
            clocks.wall -= jump * 1_000_000;
            clocks.seconds(60);
            assert_eq!(clocks.gained(), later, "{jump} ms for {seconds} s, and then right");
        }
    }

    #[test]
    fn only_what_has_stayed_is_stepped_by() {
        let mut clocks = Clocks::new();
        clocks.wall += 2 * SECOND;
        clocks.seconds(29);
        clocks.wall += 200 * SECOND;
        assert_eq!(clocks.seconds(2).1, [Millis(2_000)], "the two seconds have stayed, the rest is new");
        assert_eq!(clocks.seconds(30), (ClockAdjustment::Waiting, vec![]));
        assert_eq!(clocks.second(), ClockAdjustment::Stepped(Millis(200_000)));
    }

    #[test]
    fn a_clock_that_is_right_now_and_then_is_not_stepped_to() {
        let mut clocks = Clocks::new();
        for _ in 0..60 {
            clocks.wall += 10 * SECOND;
            assert_eq!(clocks.seconds(29), (ClockAdjustment::Waiting, vec![]));
            clocks.wall -= 10 * SECOND;
            assert_eq!(clocks.second(), ClockAdjustment::Slewed);
        }
    }

    #[test]
    fn from_far_ahead_to_a_little_ahead_the_time_begins_anew() {
        let mut clocks = Clocks::new();
        clocks.wall += 3_600 * SECOND;
        assert_eq!(clocks.seconds(600), (ClockAdjustment::Disbelieved, vec![]));
        clocks.wall -= 3_590 * SECOND;
        assert_eq!(clocks.seconds(30), (ClockAdjustment::Waiting, vec![]));
        assert_eq!(clocks.second(), ClockAdjustment::Stepped(Millis(10_000)));
    }

    #[test]
    fn small_differences_are_slewed_by_a_millisecond_a_second_both_ways() {
        let slewed = |ahead, elapsed| Follower::new(0).observe(elapsed, ahead);
        assert_eq!(slewed(SECOND, SECOND), (1_000_000, ClockAdjustment::Slewed));
        assert_eq!(slewed(-SECOND, SECOND), (-1_000_000, ClockAdjustment::Slewed));
        assert_eq!(slewed(-3_600 * SECOND, SECOND / 2), (-500_000, ClockAdjustment::Slewed));
        assert_eq!(slewed(300, SECOND), (300, ClockAdjustment::Slewed), "never past the goal");
        assert_eq!(slewed(i64::MIN, i64::MIN), (0, ClockAdjustment::Slewed));
        assert_eq!(slewed(i64::MAX, i64::MAX), (0, ClockAdjustment::Disbelieved));
    }
}
