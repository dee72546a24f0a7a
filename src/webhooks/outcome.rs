//! What became of a delivery: the one place where answers are classified.

use jiff::fmt::rfc2822::DateTimeParser;
use stockade_types::time::{Millis, Timestamp};

/// The longest wait that a receiver may ask for.
const RETRY_AFTER_MAX: Millis = Millis::from_secs(24 * 60 * 60);

/// What became of an attempt to deliver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has taken it: 2xx.
    Delivered,
    /// 410: the receiver wants nothing any more.
    Gone,
    /// 429 or 503: it is to be tried again, after this time if the receiver has said so.
    Throttled(Option<Millis>),
    /// 3xx: redirects are never followed.
    Redirected,
    /// Any other status.
    Rejected,
    /// No answer in time.
    TimedOut,
    /// No connection, or none that answers in HTTP: names, sockets, TLS.
    Unreachable,
    /// The address may not be connected to.
    Forbidden,
}

impl Outcome {
    /// All of them, as metrics count them.
    pub const ALL: [Self; 8] = [
        Self::Delivered,
        Self::Gone,
        Self::Throttled(None),
        Self::Redirected,
        Self::Rejected,
        Self::TimedOut,
        Self::Unreachable,
        Self::Forbidden,
    ];

    /// Classifies an answer. `retry_after` is the header of that name, and `now` the wall clock.
    #[must_use]
    pub fn of_status(status: u16, retry_after: Option<&str>, now: Timestamp) -> Self {
        match status {
            200..=299 => Self::Delivered,
            300..=399 => Self::Redirected,
            410 => Self::Gone,
            429 | 503 => Self::Throttled(retry_after.and_then(|text| wait_for(text, now))),
            _ => Self::Rejected,
        }
    }

    /// As the metric's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Gone => "gone",
            Self::Throttled(_) => "throttled",
            Self::Redirected => "redirected",
            Self::Rejected => "rejected",
            Self::TimedOut => "timed_out",
            Self::Unreachable => "unreachable",
            Self::Forbidden => "forbidden",
        }
    }

    /// Its place in [`Outcome::ALL`].
    #[must_use]
    pub const fn place(self) -> usize {
        match self {
            Self::Delivered => 0,
            Self::Gone => 1,
            Self::Throttled(_) => 2,
            Self::Redirected => 3,
            Self::Rejected => 4,
            Self::TimedOut => 5,
            Self::Unreachable => 6,
            Self::Forbidden => 7,
        }
    }
}

/// The wait that a `Retry-After` header asks for: seconds, or a date. None if it is neither.
fn wait_for(text: &str, now: Timestamp) -> Option<Millis> {
    let text = text.trim();
    let wait = if let Ok(seconds) = text.parse::<u32>() {
        Millis::from_secs(u64::from(seconds))
    } else {
        let date = DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text).ok()?;
        now.until(Timestamp(u64::try_from(date.as_millisecond()).ok()?))
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT.
    const NOW: Timestamp = Timestamp(784_111_777_000);

    #[test]
    fn each_status_has_its_outcome() {
        let table = [
            (100, Outcome::Rejected),
            (200, Outcome::Delivered),
            (204, Outcome::Delivered),
            (299, Outcome::Delivered),
            (301, Outcome::Redirected),
            (304, Outcome::Redirected),
            (308, Outcome::Redirected),
            (400, Outcome::Rejected),
            (404, Outcome::Rejected),
            (410, Outcome::Gone),
            (429, Outcome::Throttled(None)),
            (500, Outcome::Rejected),
            (502, Outcome::Rejected),
            (503, Outcome::Throttled(None)),
            (999, Outcome::Rejected),
        ];
        for (status, outcome) in table {
            assert_eq!(Outcome::of_status(status, None, NOW), outcome, "{status}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_bounded() {
        let table = [
            ("0", Some(0)),
            ("7", Some(7_000)),
            (" 7 ", Some(7_000)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10_000)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", Some(0)),
            ("999999999", Some(86_400_000)),
            ("Fri, 31 Dec 2100 23:59:59 GMT", Some(86_400_000)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ];
        for (text, wait) in table {
            let wanted = Outcome::Throttled(wait.map(Millis));
            assert_eq!(Outcome::of_status(429, Some(text), NOW), wanted, "{text}");
            assert_eq!(Outcome::of_status(503, Some(text), NOW), wanted, "{text}");
        }
        assert_eq!(Outcome::of_status(500, Some("7"), NOW), Outcome::Rejected, "only where the contract says so");
    }

    #[test]
    fn each_outcome_has_its_place_and_label() {
        for (place, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome.place(), place);
        }
        let mut labels = Outcome::ALL.map(Outcome::label).to_vec();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), Outcome::ALL.len());
    }
}
