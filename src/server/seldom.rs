//! A line of log that may have cause to come often comes once a minute, with how many there would have been.

use std::time::Duration;

use stockade_types::metrics::Stopwatch;

/// At least so long lies between two.
const BETWEEN: Duration = Duration::from_mins(1);

/// When something was logged last.
#[derive(Default)]
pub struct Seldom {
    last: Option<Stopwatch>,
    /// Since then, not logged.
    held_back: u64,
}

impl Seldom {
    /// Whether to log it now; then, how many were held back since the last time.
    pub fn now(&mut self) -> Option<u64> {
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
