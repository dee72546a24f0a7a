//! Recurrence: the local times of something that comes again by rules of the calendar, after RFC 5545.
//!
//! Of it are supported: RRULE with FREQ DAILY, WEEKLY, MONTHLY or YEARLY, INTERVAL, COUNT, UNTIL, BYDAY, BYMONTHDAY,
//! BYMONTH, BYSETPOS and WKST; RDATE; EXDATE. Anything else is refused by its name. All is local time without a zone;
//! [`resolve`] says when a local time comes in a zone. No clock is read.
//!
//! - [`rule`]: one RRULE. `parse`: lines of text. `dates`: the days of a rule.

mod dates;
mod parse;
pub mod rule;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

use crate::time::Timestamp;
use dates::RuleDates;
use rule::Rule;

pub use dates::YEARS_MAX;
pub use parse::{CalendarFault, local_time};

/// Most lines of rules.
pub const LINES_MAX: usize = 64;
/// Most bytes of a line.
pub const LINE_BYTES_MAX: usize = 4_096;
/// Most dates in all RDATE lines together, and in all EXDATE lines.
pub const DATES_MAX: usize = 1_000;
/// Most occurrences on one day.
pub const A_DAY_MAX: usize = 5;

/// When something comes: local times, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recurrence {
    /// DTSTART: the time of day of all that rules give, and the first day that they may give. Without any rule it is an
    /// occurrence itself.
    starts_at: DateTime,
    rules: Vec<Rule>,
    /// RDATE, sorted; with [`Recurrence::starts_at`] if there is no rule.
    added: Vec<DateTime>,
    /// EXDATE, sorted.
    left_out: Vec<DateTime>,
}

impl Recurrence {
    /// Reads rules; `zone` is for dates that are given in UTC.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn parse(starts_at: &str, zone: &TimeZone, lines: &[String]) -> Result<Self, Vec<CalendarFault>> {
        parse::recurrence(starts_at, zone, lines)
    }

    /// When it starts.
    #[must_use]
    pub const fn starts_at(&self) -> DateTime {
        self.starts_at
    }

    /// Its occurrences at `from` or later, in order, each once. They end with the rules, and [`YEARS_MAX`] years after
    /// `from`.
    pub fn from(&self, from: DateTime) -> Occurrences<'_> {
        let rules = self.rules.iter().map(|rule| RuleDates::new(rule, self.starts_at, from).peekable()).collect();
        let added = self.added.partition_point(|at| *at < from);
        Occurrences { recurrence: self, rules, added: self.added.get(added..).unwrap_or_default() }
    }

    /// Whether this local time is an occurrence.
    #[must_use]
    pub fn has(&self, at: DateTime) -> bool {
        self.from(at).next() == Some(at)
    }

    /// The first day that has more than [`A_DAY_MAX`]. Rules give one a day each, all at the same time, so it has dates
    /// of RDATE.
    fn crowded_day(&self) -> Option<DateTime> {
        let crowded = |day: &[DateTime]| day.len() >= A_DAY_MAX;
        self.added.chunk_by(|one, other| one.date() == other.date()).filter(|day| crowded(day)).find_map(|day| {
            let first = day.first()?.date();
            let on_day = self.from(first.at(0, 0, 0, 0)).take_while(|at| at.date() == first);
            (on_day.count() > A_DAY_MAX).then(|| first.at(0, 0, 0, 0))
        })
    }
}

/// The occurrences of a [`Recurrence`].
#[derive(Debug)]
pub struct Occurrences<'r> {
    recurrence: &'r Recurrence,
    rules: Vec<std::iter::Peekable<RuleDates<'r>>>,
    added: &'r [DateTime],
}

impl Iterator for Occurrences<'_> {
    type Item = DateTime;

    fn next(&mut self) -> Option<DateTime> {
        loop {
            let of_rules = self.rules.iter_mut().filter_map(|rule| rule.peek().copied()).min();
            let added = self.added.first().copied();
            let next = of_rules.into_iter().chain(added).min()?;
            for rule in &mut self.rules {
                rule.next_if_eq(&next);
            }
            while let [first, rest @ ..] = self.added
                && *first == next
            {
                self.added = rest;
            }
            if self.recurrence.left_out.binary_search(&next).is_err() {
                return Some(next);
            }
        }
    }
}

/// An instant for a local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolved {
    /// When it comes.
    pub at: Timestamp,
    /// Whether the local time does not exist, because clocks are set forward over it: it comes as much later.
    pub is_gap: bool,
}

/// When a local time comes in a zone. One that does not exist is moved on by the gap (RFC 5545, 3.3.5); of one that
/// comes twice the first is meant. None outside the years 1970 to 9999.
#[must_use]
pub fn resolve(zone: &TimeZone, local: DateTime) -> Option<Resolved> {
    let ambiguous = zone.to_ambiguous_timestamp(local);
    let is_gap = matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. });
    let at = ambiguous.compatible().ok()?.as_millisecond();
    Some(Resolved { at: Timestamp(u64::try_from(at).ok()?), is_gap })
}

/// A local time in the form that ids of drops have: `20261204T1800`.
#[must_use]
pub fn stamp(local: DateTime) -> String {
    local.strftime("%Y%m%dT%H%M").to_string()
}

/// Reads what [`stamp`] has written.
#[must_use]
pub fn unstamp(text: &str) -> Option<DateTime> {
    let read = DateTime::strptime("%Y%m%dT%H%M", text).ok()?;
    (stamp(read) == text).then_some(read)
}

/// The local time at an instant.
#[must_use]
pub fn local(zone: &TimeZone, at: Timestamp) -> Option<DateTime> {
    let at = jiff::Timestamp::from_millisecond(i64::try_from(at.0).ok()?).ok()?;
    Some(zone.to_datetime(at))
}

#[cfg(test)]
mod tests;
