//! Limits a log line to once a minute, and counts the lines that were left out.

use std::time::Duration;

use stockade_types::metrics::Stopwatch;

/// The least time between two lines.
const BETWEEN: Duration = Duration::from_mins(1);

/// When the line was last logged.
#[derive(Default)]
pub(super) struct Seldom {
    last: Option<Stopwatch>,
    /// How many lines were left out since then.
    held_back: u64,
}

impl Seldom {
    /// `None` if the line must not be logged now; else how many were left out since the last one.
    pub(super) fn now(&mut self) -> Option<u64> {
        if self.last.as_ref().is_some_and(|last| last.elapsed() < BETWEEN) {
            self.held_back = self.held_back.saturating_add(1);
            return None;
        }
        self.last = Some(Stopwatch::start());
        Some(std::mem::take(&mut self.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_logged_and_what_follows_is_counted() {
        let mut seldom = Seldom::default();
        assert_eq!([seldom.now(), seldom.now(), seldom.now()], [Some(0), None, None]);
        seldom.last = None;
        assert_eq!(seldom.now(), Some(2));
    }
}
