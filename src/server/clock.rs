//! Follows the wall clock while the server runs: checks it once a second, and logs what is wrong with it.

use std::sync::Arc;
use std::time::Duration;

use stockade_types::time::{ClockAdjustment, ClockReading, EngineClock, Millis, Timestamp};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// How often engine time is compared with the wall clock.
const CHECK_PERIOD: Duration = Duration::from_secs(1);
/// How often a wall clock that stays wrong is reported.
const REPORT_PERIOD: Millis = Millis::from_secs(60);

/// The machine's wall clock, which engine time follows.
pub(super) struct WallClock {
    clock: Arc<EngineClock>,
    ticks: Interval,
    reports: Reports,
    /// The wall clock is too far ahead to be trusted.
    is_in_doubt: bool,
}

impl WallClock {
    pub(super) fn new(clock: &Arc<EngineClock>) -> Self {
        // The first look, so that the next one measures from here.
        clock.follow();
        let mut ticks = interval(CHECK_PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { clock: Arc::clone(clock), ticks, reports: Reports::default(), is_in_doubt: false }
    }

    /// Waits for the next tick and looks at the wall clock. Cancelling it before the tick has no effect.
    pub(super) async fn read(&mut self) -> ClockReading {
        self.ticks.tick().await;
        self.clock.follow()
    }

    /// Whether this look started or ended the doubt; `None` if nothing changed.
    pub(super) fn turned(&mut self, reading: ClockReading) -> Option<bool> {
        let is_in_doubt = reading.adjustment == ClockAdjustment::Disbelieved;
        let turned = is_in_doubt != self.is_in_doubt;
        self.is_in_doubt = is_in_doubt;
        turned.then_some(is_in_doubt)
    }

    /// Logs what is wrong, at engine time `now`.
    pub(super) fn report(&mut self, reading: ClockReading, now: Timestamp) {
        let ahead_millis = reading.ahead;
        match self.reports.of(reading.adjustment, now) {
            None => {}
            Some(Report::Ahead) => {
                tracing::error!(ahead_millis, "the wall clock is ahead: engine time is stepped to it if it stays so");
            }
            Some(Report::InDoubt) => {
                tracing::error!(ahead_millis, "the wall clock is too far ahead to be believed: no reserves are taken");
            }
            Some(Report::Stepped(by)) => {
                tracing::error!(millis = by.0, "the wall clock stayed ahead: engine time was stepped to it");
            }
            Some(Report::Right) => tracing::info!(ahead_millis, "the wall clock is right again"),
        }
    }
}

/// What is logged about the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Report {
    /// It is ahead, and engine time may be stepped to it.
    Ahead,
    /// It is too far ahead.
    InDoubt,
    /// Engine time was stepped to it.
    Stepped(Millis),
    /// It was reported as wrong, and is right again.
    Right,
}

/// When each fault was last logged.
#[derive(Debug, Default)]
struct Reports {
    ahead: Option<Timestamp>,
    in_doubt: Option<Timestamp>,
    /// The last report said that it is wrong.
    is_wrong: bool,
}

impl Reports {
    /// What to log now. A fault that stays is logged at most once a minute.
    fn of(&mut self, adjustment: ClockAdjustment, now: Timestamp) -> Option<Report> {
        let (report, last) = match adjustment {
            ClockAdjustment::Waiting => (Report::Ahead, &mut self.ahead),
            ClockAdjustment::Disbelieved => (Report::InDoubt, &mut self.in_doubt),
            ClockAdjustment::Stepped(by) => {
                self.is_wrong = false;
                return Some(Report::Stepped(by));
            }
            ClockAdjustment::Slewed => return std::mem::take(&mut self.is_wrong).then_some(Report::Right),
        };
        if last.is_some_and(|last| last.until(now) < REPORT_PERIOD) {
            return None;
        }
        *last = Some(now);
        self.is_wrong = true;
        Some(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_at_once_and_then_once_a_minute() {
        let (right, little, far) = (ClockAdjustment::Slewed, ClockAdjustment::Waiting, ClockAdjustment::Disbelieved);
        let stepped = ClockAdjustment::Stepped(Millis(2_000));
        let table = [
            (0, right, None),
            (1, little, Some(Report::Ahead)),
            (2, little, None),
            (3, far, Some(Report::InDoubt)),
            (4, far, None),
            (5, little, None),
            (60, little, None),
            (61, little, Some(Report::Ahead)),
            (62, far, None),
            (63, far, Some(Report::InDoubt)),
            (64, right, Some(Report::Right)),
            (65, right, None),
            (66, far, None),
            (67, right, None),
            (130, little, Some(Report::Ahead)),
            (131, stepped, Some(Report::Stepped(Millis(2_000)))),
            (132, right, None),
        ];
        let mut reports = Reports::default();
        for (second, adjustment, said) in table {
            assert_eq!(reports.of(adjustment, Timestamp(1_000 * second)), said, "in second {second}");
        }
    }

    #[tokio::test]
    async fn doubt_is_turned_on_and_off_once() {
        let mut wall_clock = WallClock::new(&Arc::new(EngineClock::start(Timestamp::default())));
        let looks = [
            ClockAdjustment::Slewed,
            ClockAdjustment::Disbelieved,
            ClockAdjustment::Disbelieved,
            ClockAdjustment::Waiting,
        ];
        let turns = looks.map(|adjustment| wall_clock.turned(ClockReading { ahead: 0, adjustment }));
        assert_eq!(turns, [None, Some(true), None, Some(false)]);
    }
}
