//! Views and interest by hour of the week: where people look is where they are likely to buy. The prior of the shape.
//!
//! Hours around a drop's opening are left out: their views are the drop's, not the hour's.

use jiff::tz::TimeZone;
use stockade_types::time::{Millis, Timestamp};

use super::InterestHour;
use super::week::{DAY, DAYS, Hours, Place, WEEK, at};
use crate::number::float;

const HOUR: Millis = Millis::from_secs(3_600);
/// How much a sign of interest counts beside a view.
const INTEREST_WEIGHT: u64 = 10;
/// Hours that are looked at: as long as facts are known.
const HOURS_MAX: u64 = 400 * 24;
/// Left out: from so long before an opening to so long behind it.
const BEFORE: Millis = Millis::from_secs(3_600);
const BEHIND: Millis = Millis::from_secs(2 * 3_600);
/// With fewer views of a zone, those of all zones count.
const ZONE_MIN: u64 = 200;
/// An hour is drawn to what its day and its hour of the day say by as much as this number of hours, or of views, says; these
/// are drawn to the mean likewise.
const HOURS_DRAWN: f64 = 12.0;
const VIEWS_DRAWN: f64 = 20.0;
/// How much the hours before and behind count for an hour.
const BESIDE: f64 = 0.5;

/// An hour of the past: its place in the week, and how much was looked.
#[derive(Debug, Clone, Copy)]
struct Past {
    starts_at: Timestamp,
    hour: usize,
    looks: u64,
}

/// The hours of the past, as far as views are known, without those around openings.
#[derive(Debug, Clone, Default)]
pub(super) struct Interest {
    hours: Vec<Past>,
    /// Views that are known, by the beginning of their hour; without interest.
    views: Vec<(Timestamp, u64)>,
}

impl Interest {
    /// Of a zone, or of all where it is empty or has too few.
    pub(super) fn of(rows: &[InterestHour], zone: &str, openings: &[Timestamp], time_zone: &TimeZone) -> Self {
        let of_zone = || rows.iter().filter(|row| row.zone == zone);
        let is_enough =
            !zone.is_empty() && of_zone().fold(0, |sum: u64, row| sum.saturating_add(row.views)) >= ZONE_MIN;
        let kept = rows.iter().filter(|row| !is_enough || row.zone == zone);
        let mut looks: Vec<(u64, u64, u64)> = kept
            .map(|row| {
                let looks = row.views.saturating_add(row.interest.saturating_mul(INTEREST_WEIGHT));
                (row.starts_at.0 / HOUR.0, looks, row.views)
            })
            .collect();
        looks.sort_unstable_by_key(|(hour, ..)| *hour);
        let (Some(first), Some(last)) = (looks.first().map(|look| look.0), looks.last().map(|look| look.0)) else {
            return Self::default();
        };
        let first = first.max(last.saturating_sub(HOURS_MAX));
        let mut rest = looks.iter().skip_while(|look| look.0 < first).peekable();
        let mut found = Self::default();
        for hour in first..=last {
            let (mut sum, mut views) = (0_u64, 0_u64);
            while let Some((_, looks, seen)) = rest.next_if(|look| look.0 == hour) {
                (sum, views) = (sum.saturating_add(*looks), views.saturating_add(*seen));
            }
            let starts_at = Timestamp(hour.saturating_mul(HOUR.0));
            found.views.push((starts_at, views));
            if let Some(place) = Place::of(starts_at, time_zone).filter(|_| !is_near(starts_at, openings)) {
                found.hours.push(Past { starts_at, hour: place.hour, looks: sum });
            }
        }
        found
    }

    /// Views before an instant.
    pub(super) fn views(&self, until: Timestamp) -> u64 {
        self.views.iter().filter(|view| view.0 < until).fold(0, |sum, view| sum.saturating_add(view.1))
    }

    /// The shape by hour of the week, with a mean of one, from what was known before an instant. Flat where nothing was.
    pub(super) fn shape(&self, until: Timestamp) -> Hours {
        let (mut looks, mut hours) = ([0.0; WEEK], [0.0; WEEK]);
        for past in self.hours.iter().filter(|past| past.starts_at.plus(HOUR) <= until) {
            if let (Some(looks), Some(hours)) = (looks.get_mut(past.hour), hours.get_mut(past.hour)) {
                *looks += float(past.looks);
                *hours += 1.0;
            }
        }
        let (sum, all): (f64, f64) = (looks.iter().sum(), hours.iter().sum());
        if sum <= 0.0 || all <= 0.0 {
            return [1.0; WEEK];
        }
        let mean = sum / all;
        let drawn = HOURS_DRAWN.max(VIEWS_DRAWN / mean);
        let factors = Factors::new(&looks, &hours, mean, drawn);
        let mut hour = 0;
        let shape: Hours = [(); WEEK].map(|()| {
            let near = [(hour, 1.0), ((hour + 1) % WEEK, BESIDE), ((hour + WEEK - 1) % WEEK, BESIDE)];
            let read = |of: &Hours| near.iter().map(|(near, share)| share * at(of, *near)).sum::<f64>();
            let above = factors.of(hour);
            hour += 1;
            (read(&looks) / mean + drawn * above) / (read(&hours) + drawn)
        });
        let middle = shape.iter().sum::<f64>() / float(crate::number::length(&shape));
        shape.map(|value| value / middle)
    }
}

/// How much more than the mean is looked on a day of the week, and at an hour of the day.
#[derive(Debug)]
struct Factors {
    days: [f64; DAYS],
    hours: [f64; DAY],
}

impl Factors {
    fn new(looks: &Hours, hours: &Hours, mean: f64, drawn: f64) -> Self {
        let (mut by_day, mut by_hour) = ([(drawn, drawn); DAYS], [(drawn, drawn); DAY]);
        for hour in 0..WEEK {
            let (looks, hours) = (at(looks, hour) / mean, at(hours, hour));
            for (seen, expected) in [by_day.get_mut(hour / DAY), by_hour.get_mut(hour % DAY)].into_iter().flatten() {
                *seen += looks;
                *expected += hours;
            }
        }
        let factor = |(seen, expected): (f64, f64)| seen / expected;
        Self { days: by_day.map(factor), hours: by_hour.map(factor) }
    }

    fn of(&self, hour: usize) -> f64 {
        let of_day = self.days.get(hour / DAY).copied().unwrap_or(1.0);
        of_day * self.hours.get(hour % DAY).copied().unwrap_or(1.0)
    }
}

/// Whether an hour is around an opening. Openings are sorted.
fn is_near(starts_at: Timestamp, openings: &[Timestamp]) -> bool {
    let first = openings.partition_point(|opening| opening.plus(BEHIND) <= starts_at);
    openings.get(first).is_some_and(|opening| opening.minus(BEFORE) < starts_at.plus(HOUR))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(hour: u64, zone: &str, views: u64) -> InterestHour {
        InterestHour { starts_at: Timestamp(hour * HOUR.0), zone: zone.to_owned(), views, interest: 0 }
    }

    #[test]
    fn hours_that_are_looked_at_more_stand_out_and_those_of_drops_do_not_count() {
        // 1970-01-01 was a Thursday, three days behind the week's beginning. Two weeks, 100 views an hour, 300 at the
        // 30th hour of each week of 168 hours since then, and a drop's 90,000 at the 100th.
        let rows: Vec<InterestHour> = (0..336)
            .map(|hour| {
                row(
                    hour,
                    "",
                    if hour % 168 == 30 {
                        300
                    } else if hour == 100 {
                        90_000
                    } else {
                        100
                    },
                )
            })
            .collect();
        let interest = Interest::of(&rows, "", &[Timestamp(100 * HOUR.0)], &TimeZone::UTC);
        let shape = interest.shape(Timestamp::NEVER);
        let highest = (0..WEEK).max_by(|a, b| at(&shape, *a).total_cmp(&at(&shape, *b)));
        assert_eq!(highest, Some(72 + 30), "{shape:?}");
        assert!(at(&shape, 72 + 100) < 1.05, "{}", at(&shape, 72 + 100));
        assert!(interest.shape(Timestamp(0)).iter().all(|hour| (hour - 1.0).abs() < 1e-9), "nothing was known yet");
        assert_eq!(interest.views(Timestamp(2 * HOUR.0)), 200);
    }

    #[test]
    fn a_zone_with_few_views_is_seen_as_all_are() {
        let rows = [row(0, "north", 199), row(5, "south", 1_000)];
        assert_eq!(Interest::of(&rows, "north", &[], &TimeZone::UTC).views(Timestamp::NEVER), 1_199);
        assert_eq!(Interest::of(&rows, "south", &[], &TimeZone::UTC).views(Timestamp::NEVER), 1_000);
        assert_eq!(Interest::of(&[], "south", &[], &TimeZone::UTC).views(Timestamp::NEVER), 0);
    }
}
