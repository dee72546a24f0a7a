//! Places in the week: an instant as the hour of the week of a time zone. Only the local time counts, so a change of the
//! clocks moves nothing: 20:00 stays 20:00.

use jiff::tz::TimeZone;
use stockade_types::time::Timestamp;

/// Hours of a day, days of a week, and its hours.
pub(super) const DAY: usize = 24;
pub(super) const DAYS: usize = 7;
pub(super) const WEEK: usize = DAYS * DAY;
const NAMES: [&str; DAYS] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// A value for each full hour of the week, from Monday 00:00 on.
pub(super) type Hours = [f64; WEEK];

/// A place between two full hours of the week.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    /// The full hour at or before it, from Monday 00:00 on.
    pub(super) hour: usize,
    /// How far it is towards the next full hour: 0 up to, not including, 1.
    pub(super) beyond: f64,
}

impl Place {
    /// Of an instant; nothing for an instant beyond the calendar.
    pub(super) fn of(at: Timestamp, zone: &TimeZone) -> Option<Self> {
        let local = local(at, zone)?;
        let day = usize::try_from(local.weekday().to_monday_zero_offset()).ok()?;
        let hour = usize::try_from(local.hour()).ok()?;
        Some(Self { hour: day.checked_mul(DAY)?.checked_add(hour)?, beyond: f64::from(local.minute()) / 60.0 })
    }

    /// The full hours on both sides, and how much each counts.
    pub(super) fn sides(self) -> [(usize, f64); 2] {
        [(self.hour, 1.0 - self.beyond), ((self.hour + 1) % WEEK, self.beyond)]
    }

    /// As people say it: `Friday 20:00`, rounded down to the quarter of an hour.
    pub(super) fn in_words(self) -> String {
        let day = NAMES.get(self.hour / DAY).copied().unwrap_or_default();
        let quarter = crate::number::count((self.beyond * 4.0).floor()).saturating_mul(15);
        format!("{day} {:02}:{quarter:02}", self.hour % DAY)
    }
}

/// The value of an hour.
pub(super) fn at(hours: &Hours, hour: usize) -> f64 {
    hours.get(hour).copied().unwrap_or(0.0)
}

/// An instant in a time zone.
pub(super) fn local(at: Timestamp, zone: &TimeZone) -> Option<jiff::Zoned> {
    let instant = jiff::Timestamp::from_millisecond(i64::try_from(at.0).ok()?).ok()?;
    Some(instant.to_zoned(zone.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(instant: &str) -> Place {
        let zone = TimeZone::get("Europe/Berlin").expect("a zone");
        let instant: jiff::Timestamp = instant.parse().expect("an instant");
        Place::of(Timestamp(u64::try_from(instant.as_millisecond()).expect("after 1970")), &zone).expect("a place")
    }

    #[test]
    fn a_place_is_that_of_the_local_time_before_and_behind_a_change_of_the_clocks() {
        // 2026-10-25 03:00 in summer time is 02:00 in winter time: the hour from 02:00 on comes twice.
        assert_eq!(place("2026-10-23T18:00:00Z"), Place { hour: 4 * 24 + 20, beyond: 0.0 });
        assert_eq!(place("2026-10-30T19:00:00Z"), Place { hour: 4 * 24 + 20, beyond: 0.0 });
        assert_eq!(place("2026-10-25T00:30:00Z"), place("2026-10-25T01:30:00Z"));
        assert_eq!(place("2026-10-30T19:45:00Z").in_words(), "Friday 20:45");
    }

    #[test]
    fn a_place_between_two_hours_belongs_to_both() {
        assert_eq!(Place { hour: WEEK - 1, beyond: 0.25 }.sides(), [(WEEK - 1, 0.75), (0, 0.25)]);
        assert_eq!(Place { hour: 5, beyond: 0.0 }.sides(), [(5, 1.0), (6, 0.0)]);
    }
}
