//! The local times that one RRULE gives, period by period.

use std::collections::VecDeque;

use jiff::civil::{Date, DateTime, Time};
use jiff::{Span, ToSpan as _};

use super::rule::{End, Frequency, Rule};

/// How many years a rule is followed without end: rules that don't come for so long are taken to be over.
pub const YEARS_MAX: i16 = 100;

/// The local times of a rule from some time on.
#[derive(Debug)]
pub(super) struct RuleDates<'r> {
    rule: &'r Rule,
    starts_at: DateTime,
    from: DateTime,
    /// The number of the next period; 0 is the one that the rule starts in.
    period: i64,
    /// Days of the last period that are still to come.
    days: VecDeque<Date>,
    /// Days that were counted, also those before `from`.
    counted: u32,
    /// No period after this day is looked at.
    last: Date,
}

impl<'r> RuleDates<'r> {
    pub(super) fn new(rule: &'r Rule, starts_at: DateTime, from: DateTime) -> Self {
        let furthest = from.max(starts_at).date();
        let last = furthest.checked_add(Span::new().years(YEARS_MAX)).unwrap_or(Date::MAX);
        // What is counted must be counted from the start; otherwise the periods before `from` are skipped.
        let period = match rule.end {
            End::Count(_) => 0,
            End::Never | End::Until(_) => periods_between(rule, starts_at.date(), from.date()),
        };
        Self { rule, starts_at, from, period, days: VecDeque::new(), counted: 0, last }
    }

    /// Reads the next period. False if there is none.
    fn read(&mut self) -> bool {
        let Some((first, length)) = period(self.rule, self.starts_at.date(), self.period) else { return false };
        if first > self.last {
            return false;
        }
        self.period = self.period.saturating_add(1);
        let days = (0..length).filter_map(|n| first.checked_add(n.days()).ok()).filter(|day| self.rule.fits(*day));
        self.days.extend(self.rule.chosen(days.collect()));
        true
    }
}

impl Iterator for RuleDates<'_> {
    type Item = DateTime;

    fn next(&mut self) -> Option<DateTime> {
        loop {
            let Some(day) = self.days.pop_front() else {
                if self.read() {
                    continue;
                }
                return None;
            };
            let at = DateTime::from_parts(day, self.starts_at.time());
            if at < self.starts_at {
                continue;
            }
            self.counted = self.counted.saturating_add(1);
            let is_over = match self.rule.end {
                End::Never => false,
                End::Count(most) => self.counted > most,
                End::Until(until) => at > until,
            };
            if is_over {
                self.days.clear();
                self.last = Date::MIN;
                return None;
            }
            if at >= self.from {
                return Some(at);
            }
        }
    }
}

/// The first day of the n-th period of a rule that starts on a day, and its length in days.
fn period(rule: &Rule, start: Date, number: i64) -> Option<(Date, i64)> {
    let steps = number.checked_mul(i64::from(rule.interval))?;
    match rule.frequency {
        Frequency::Daily => Some((start.checked_add(Span::new().try_days(steps).ok()?).ok()?, 1)),
        Frequency::Weekly => {
            let back = i64::from(start.weekday().since(rule.week_start));
            let first = start.checked_sub(back.days()).ok()?;
            Some((first.checked_add(Span::new().try_weeks(steps).ok()?).ok()?, 7))
        }
        Frequency::Monthly => {
            let first = start.first_of_month().checked_add(Span::new().try_months(steps).ok()?).ok()?;
            Some((first, i64::from(first.days_in_month())))
        }
        Frequency::Yearly => {
            let first = start.first_of_year().checked_add(Span::new().try_years(steps).ok()?).ok()?;
            Some((first, i64::from(first.days_in_year())))
        }
    }
}

/// Periods that lie wholly before a day.
fn periods_between(rule: &Rule, start: Date, day: Date) -> i64 {
    let midnight = |day: Date| day.to_datetime(Time::midnight());
    let days = midnight(day).duration_since(midnight(start)).as_hours() / 24;
    let months =
        (i64::from(day.year()) - i64::from(start.year())) * 12 + i64::from(day.month()) - i64::from(start.month());
    let between = match rule.frequency {
        Frequency::Daily => days,
        // The day may lie in the week in which as many days end.
        Frequency::Weekly => days / 7 - 1,
        Frequency::Monthly => months,
        Frequency::Yearly => i64::from(day.year()) - i64::from(start.year()),
    };
    (between / i64::from(rule.interval.max(1))).max(0)
}
