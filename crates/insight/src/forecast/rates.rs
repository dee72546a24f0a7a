//! Rates of demand by hour of the week, which learn drop by drop: a gamma–Poisson model with shrinkage.
//!
//! The mean of a drop is `level * shape(place) * exposure * (1 - fatigue * closeness)`. The level follows the drops by a
//! half-life. The shape starts from a prior by hour; three levels multiply it by a factor around one: that of the hour of
//! the day, that of the day of the week, then that of the hour of the week. A factor is `(strength + seen) / (strength + expected)`, the mean of a
//! gamma distribution after Poisson counts: with few drops it stays near one. `docs/cadence.md` has all formulas.

use stockade_types::time::Timestamp;

use super::week::{DAY, DAYS, Hours, Place, WEEK, at};
use crate::number::float;

/// How much an hour counts for those nearby: itself, one hour away, two hours away.
const NEARBY: [f64; 3] = [1.0, 0.6, 0.13];
/// Half-life of what is known of the shape, in days.
const SHAPE_HALF_LIFE: f64 = 365.0;
/// A rate is at least this.
const RATE_MIN: f64 = 1e-9;

/// What is chosen by how well it would have forecast the past.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Settings {
    /// How strongly an hour is drawn to what is above it, in effective counts.
    pub(super) strength: f64,
    /// How far the prior by hour is trusted: 0 not at all, 1 as it is.
    pub(super) trust: f64,
    /// After so many days a drop counts half for the level.
    pub(super) half_life: f64,
    /// Which part of the demand a drop loses right behind another.
    pub(super) fatigue: f64,
    /// Relative variance of the demand between drops at the same hour.
    pub(super) dispersion: f64,
}

/// A drop, for the model.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) opens_at: Timestamp,
    pub(super) place: Place,
    /// Units asked for.
    pub(super) units: f64,
    /// Which part of the first hour's usual demand was counted, above 0 up to 1.
    pub(super) exposure: f64,
    /// Of the drop before it: 1 at the same instant, towards 0 with time.
    pub(super) closeness: f64,
}

/// A forecast: a mean, and the variance of the rate relative to the mean's square.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    pub(super) mean: f64,
    /// From what is not known of level and shape.
    pub(super) uncertainty: f64,
    /// How often the mean of all hours.
    pub(super) times_usual: f64,
}

/// What is known of the rates.
#[derive(Debug, Clone)]
pub(super) struct Rates {
    settings: Settings,
    prior: Hours,
    /// Effective counts by hour: how many there could be at a shape of one, and how many there were.
    weight: Hours,
    seen: Hours,
    /// Factors of the hours of the day, and of the days of the week.
    of_hour: [f64; DAY],
    of_day: [f64; DAYS],
    /// The level: a weighted sum, and its weights.
    sum: f64,
    total: f64,
    learned_at: Option<Timestamp>,
}

impl Rates {
    /// Nothing learned. The prior has a mean of one.
    pub(super) fn new(settings: Settings, prior: &Hours) -> Self {
        let prior = prior.map(|hour| (1.0 + settings.trust * (hour - 1.0)).max(0.01));
        let (weight, seen) = ([0.0; WEEK], [0.0; WEEK]);
        Self { settings, prior, weight, seen, of_hour: [1.0; DAY], of_day: [1.0; DAYS], sum: 0.0, total: 0.0, learned_at: None }
    }

    /// What is expected of a drop; nothing before one was learned.
    pub(super) fn expect(&self, place: Place, exposure: f64, closeness: f64) -> Option<Expected> {
        let level = self.level()?;
        let (shape, known) = self.shape(place);
        let mean = level * shape * exposure * self.tired(closeness);
        let uncertainty = 1.0 / known + 1.0 / self.total.max(RATE_MIN);
        Some(Expected { mean: mean.max(RATE_MIN), uncertainty: uncertainty.min(10.0), times_usual: shape })
    }

    /// Learns a drop. They come in the order of their openings.
    pub(super) fn learn(&mut self, sample: &Sample) {
        let Sample { opens_at, place, units, exposure, closeness } = *sample;
        let days = self.learned_at.map_or(0.0, |last| float(last.until(opens_at).0) / 86_400_000.0);
        self.fade(days);
        self.learned_at = Some(opens_at);
        let (shape, _) = self.shape(place);
        let exposed = exposure * self.tired(closeness);
        let alone = units / (shape * exposed).max(RATE_MIN);
        let level = self.level().unwrap_or(alone);
        let mean = (level * shape * exposed).max(RATE_MIN);
        let weight = 1.0 / (1.0 / mean + self.settings.dispersion);
        // What is seen of the shape is a ratio to the level, and no surer than that.
        let sure = if self.total > 0.0 { 1.0 / (1.0 / weight + 1.0 / self.total) } else { 0.0 };
        let relative = units / (level * exposed).max(RATE_MIN);
        for (hour, share) in place.sides() {
            if let (Some(counts), Some(seen)) = (self.weight.get_mut(hour), self.seen.get_mut(hour)) {
                *counts += sure * share;
                *seen += sure * share * relative;
            }
        }
        self.sum += weight * alone;
        self.total += weight;
        self.of_hour = self.factors_of_hours();
        self.of_day = self.factors_of_days();
    }

    /// The shape by hour, with a mean of one: a prior for others.
    pub(super) fn hours(&self) -> Hours {
        let mut hour = 0;
        let hours: Hours = [(); WEEK].map(|()| {
            let (shape, _) = self.shape(Place { hour, beyond: 0.0 });
            hour += 1;
            shape
        });
        let mean = hours.iter().sum::<f64>() / float(crate::number::length(&hours));
        hours.map(|shape| shape / mean.max(RATE_MIN))
    }

    /// The settings that it has.
    pub(super) fn settings(&self) -> Settings {
        self.settings
    }

    fn level(&self) -> Option<f64> {
        (self.total > 0.0).then(|| (self.sum / self.total).max(RATE_MIN))
    }

    fn tired(&self, closeness: f64) -> f64 {
        (1.0 - self.settings.fatigue * closeness).max(0.05)
    }

    fn fade(&mut self, days: f64) {
        // However long ago, the level keeps a trace of what it was, until a drop says something else.
        let kept = 0.5_f64.powf(days / self.settings.half_life).max(1e-6);
        self.sum *= kept;
        self.total *= kept;
        let kept = 0.5_f64.powf(days / SHAPE_HALF_LIFE);
        self.weight.iter_mut().chain(&mut self.seen).for_each(|value| *value *= kept);
    }

    /// The shape at a place, and the effective counts by which it is known.
    fn shape(&self, place: Place) -> (f64, f64) {
        place.sides().into_iter().fold((0.0, 0.0), |(shape, known), (hour, share)| {
            if share <= 0.0 {
                return (shape, known);
            }
            let (one, counts) = self.shape_of(hour);
            (shape + share * one, known + share * counts)
        })
    }

    fn shape_of(&self, hour: usize) -> (f64, f64) {
        let (mut seen, mut expected) = (self.settings.strength, self.settings.strength);
        for (near, share) in nearby(hour, WEEK) {
            seen += share * at(&self.seen, near);
            expected += share * at(&self.weight, near) * self.drawn_to(near);
        }
        ((self.drawn_to(hour) * seen / expected).max(RATE_MIN), seen)
    }

    /// What an hour of the week is drawn to: the prior, and the factors of its hour and its day.
    fn drawn_to(&self, hour: usize) -> f64 {
        let of_day = self.of_day.get(hour / DAY).copied().unwrap_or(1.0);
        at(&self.prior, hour) * self.of_hour.get(hour % DAY).copied().unwrap_or(1.0) * of_day
    }

    /// Factors of the days of the week, beside those of the hours.
    fn factors_of_days(&self) -> [f64; DAYS] {
        let mut counts = [(self.settings.strength, self.settings.strength); DAYS];
        for hour in 0..WEEK {
            let of_hour = self.of_hour.get(hour % DAY).copied().unwrap_or(1.0);
            if let Some((seen, expected)) = counts.get_mut(hour / DAY) {
                *seen += at(&self.seen, hour);
                *expected += at(&self.weight, hour) * at(&self.prior, hour) * of_hour;
            }
        }
        counts.map(|(seen, expected)| seen / expected)
    }

    fn factors_of_hours(&self) -> [f64; DAY] {
        let (mut seen, mut expected) = ([0.0; DAY], [0.0; DAY]);
        for hour in 0..WEEK {
            if let (Some(seen), Some(expected)) = (seen.get_mut(hour % DAY), expected.get_mut(hour % DAY)) {
                *seen += at(&self.seen, hour);
                *expected += at(&self.weight, hour) * at(&self.prior, hour);
            }
        }
        let mut hour = 0;
        [(); DAY].map(|()| {
            let read = |of: &[f64; DAY]| -> f64 {
                nearby(hour, DAY).map(|(near, share)| share * of.get(near).copied().unwrap_or(0.0)).sum()
            };
            let factor = (self.settings.strength + read(&seen)) / (self.settings.strength + read(&expected));
            hour += 1;
            factor
        })
    }
}

/// An hour and those nearby, around a day or a week, with how much each counts.
fn nearby(hour: usize, cycle: usize) -> impl Iterator<Item = (usize, f64)> {
    NEARBY.into_iter().enumerate().flat_map(move |(away, share)| {
        let before = (hour + cycle - away) % cycle;
        let behind = (away > 0).then_some(((hour + away) % cycle, share));
        std::iter::once((before, share)).chain(behind)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings =
        Settings { strength: 8.0, trust: 1.0, half_life: 120.0, fatigue: 0.3, dispersion: 0.25 };

    fn sample(week: u64, hour: usize, units: f64) -> Sample {
        let at = Timestamp((week * 168 + float_hour(hour)) * 3_600_000);
        Sample { opens_at: at, place: Place { hour, beyond: 0.0 }, units, exposure: 1.0, closeness: 0.0 }
    }

    fn float_hour(hour: usize) -> u64 {
        u64::try_from(hour).expect("small")
    }

    #[test]
    fn with_nothing_learned_nothing_is_expected_and_with_one_drop_its_demand() {
        let mut rates = Rates::new(SETTINGS, &[1.0; WEEK]);
        let place = Place { hour: 100, beyond: 0.0 };
        assert!(rates.expect(place, 1.0, 0.0).is_none());
        rates.learn(&sample(0, 100, 240.0));
        let expected = rates.expect(place, 1.0, 0.0).expect("one drop");
        assert!((expected.mean - 240.0).abs() < 1.0, "{expected:?}");
        // Half of the hour counted, and right behind another drop.
        let expected = rates.expect(place, 0.5, 1.0).expect("one drop");
        assert!((expected.mean - 240.0 * 0.5 * 0.7).abs() < 1.0, "{expected:?}");
    }

    #[test]
    fn a_few_drops_move_an_hour_a_little_and_many_move_it_all_the_way() {
        let factor = |weeks: u64| {
            let mut rates = Rates::new(SETTINGS, &[1.0; WEEK]);
            for week in 0..weeks {
                rates.learn(&sample(week, 30, 100.0));
                rates.learn(&sample(week, 100, 300.0));
            }
            let mean = |hour| rates.expect(Place { hour, beyond: 0.0 }, 1.0, 0.0).expect("drops").mean;
            (mean(100) / mean(30), mean(101) / mean(30), mean(150) / mean(30))
        };
        let (few, many) = (factor(2), factor(60));
        assert!(few.0 > 1.2 && few.0 < 2.4, "{few:?}");
        assert!(many.0 > 2.7 && many.0 < 3.3, "{many:?}");
        assert!(many.1 > many.2, "the hour beside a good one is better than one far away: {many:?}");
    }

    #[test]
    fn hours_nearby_go_around_the_end() {
        let near: Vec<usize> = nearby(0, WEEK).map(|(hour, _)| hour).collect();
        assert_eq!(near, [0, 167, 1, 166, 2]);
    }
}
