//! Rates of demand by hour of the week, which learn drop by drop: a gamma–Poisson model with shrinkage.
//!
//! The mean of a drop is `level * shape(place) * exposure * (1 - fatigue * closeness)`. The level follows the drops by a
//! half-life. The shape starts from a prior by hour; three levels multiply it by a factor around one: that of the hour of
//! the day, that of the day of the week, then that of the hour of the week. A factor is `(strength + seen) / (strength + expected)`, the mean of a
//! gamma distribution after Poisson counts: with few drops it stays near one. `docs/cadence.md` has all formulas.

use stockade_types::time::Timestamp;

use super::week::{DAY, DAYS, Hours, Place, WEEK, at};
use crate::number::float;

/// Hours on each side that count for an hour.
const NEARBY: usize = 3;
/// Half-life of what is known of the shape, in days.
const SHAPE_HALF_LIFE: f64 = 365.0;
/// A rate is at least this.
const RATE_MIN: f64 = 1e-9;

/// What is chosen by how well it would have forecast the past.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Settings {
    /// How strongly an hour of the week is drawn to what its day and its hour of the day say, in effective counts.
    pub(super) strength: f64,
    /// How strongly the factors of an hour of the day and of a day of the week are drawn to one, in effective counts.
    pub(super) strength_above: f64,
    /// How far an hour counts for those nearby: a standard deviation in hours.
    pub(super) breadth: f64,
    /// How far the prior by hour is trusted, as its exponent: 0 not at all, 1 as it is.
    pub(super) trust: f64,
    /// The days after which a drop counts half for the level.
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
    nearby: Nearby,
    prior: Hours,
    /// Effective counts by hour: how many there could be at a shape of one, and how many there were.
    weight: Hours,
    seen: Hours,
    /// Factors of the hours of the day, and of the days of the week.
    of_hour: [Factor; DAY],
    of_day: [Factor; DAYS],
    /// The level: a weighted sum, and its weights.
    sum: f64,
    total: f64,
    learned_at: Option<Timestamp>,
}

impl Rates {
    /// Nothing learned. The prior has a mean of one.
    pub(super) fn new(settings: Settings, prior: &Hours) -> Self {
        let prior = prior.map(|hour| hour.max(0.01).powf(settings.trust));
        let (weight, seen) = ([0.0; WEEK], [0.0; WEEK]);
        let unknown = Factor::of(settings.strength_above, 0.0, 0.0);
        Self {
            settings,
            nearby: Nearby::new(settings.breadth),
            prior,
            weight,
            seen,
            of_hour: [unknown; DAY],
            of_day: [unknown; DAYS],
            sum: 0.0,
            total: 0.0,
            learned_at: None,
        }
    }

    /// What is expected of a drop; nothing before one was learned.
    pub(super) fn expect(&self, place: Place, exposure: f64, closeness: f64) -> Option<Expected> {
        let level = self.level()?;
        let (shape, variance) = self.shape(place);
        let mean = level * shape * exposure * self.tired(closeness);
        let uncertainty = variance + 1.0 / self.total.max(RATE_MIN);
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

    /// The shape at a place, and its variance relative to the square.
    fn shape(&self, place: Place) -> (f64, f64) {
        place.sides().into_iter().fold((0.0, 0.0), |(shape, variance), (hour, share)| {
            if share <= 0.0 {
                return (shape, variance);
            }
            let (one, of_one) = self.shape_of(hour);
            (shape + share * one, variance + share * of_one)
        })
    }

    fn shape_of(&self, hour: usize) -> (f64, f64) {
        let (mut seen, mut expected) = (0.0, 0.0);
        for (near, share) in self.nearby.of(hour, WEEK) {
            seen += share * at(&self.seen, near);
            expected += share * at(&self.weight, near) * self.drawn_to(near);
        }
        let of_week = Factor::of(self.settings.strength, seen, expected);
        let above = [self.of_hour.get(hour % DAY), self.of_day.get(hour / DAY)].into_iter().flatten();
        let variance = of_week.variance + above.map(|factor| factor.variance).sum::<f64>();
        ((self.drawn_to(hour) * of_week.mean).max(RATE_MIN), variance)
    }

    /// What an hour of the week is drawn to: the prior, and the factors of its hour and its day.
    fn drawn_to(&self, hour: usize) -> f64 {
        let of_day = self.of_day.get(hour / DAY).map_or(1.0, |factor| factor.mean);
        at(&self.prior, hour) * self.of_hour.get(hour % DAY).map_or(1.0, |factor| factor.mean) * of_day
    }

    /// Factors of the days of the week, beside those of the hours.
    fn factors_of_days(&self) -> [Factor; DAYS] {
        let mut counts = [(0.0, 0.0); DAYS];
        for hour in 0..WEEK {
            let of_hour = self.of_hour.get(hour % DAY).map_or(1.0, |factor| factor.mean);
            if let Some((seen, expected)) = counts.get_mut(hour / DAY) {
                *seen += at(&self.seen, hour);
                *expected += at(&self.weight, hour) * at(&self.prior, hour) * of_hour;
            }
        }
        counts.map(|(seen, expected)| Factor::of(self.settings.strength_above, seen, expected))
    }

    /// Factors of the hours of the day.
    fn factors_of_hours(&self) -> [Factor; DAY] {
        let mut counts = [(0.0, 0.0); DAY];
        for hour in 0..WEEK {
            if let Some((seen, expected)) = counts.get_mut(hour % DAY) {
                *seen += at(&self.seen, hour);
                *expected += at(&self.weight, hour) * at(&self.prior, hour);
            }
        }
        let mut hour = 0;
        [(); DAY].map(|()| {
            let (mut seen, mut expected) = (0.0, 0.0);
            for (near, share) in self.nearby.of(hour, DAY) {
                let (of_near, from_near) = counts.get(near).copied().unwrap_or_default();
                seen += share * of_near;
                expected += share * from_near;
            }
            hour += 1;
            Factor::of(self.settings.strength_above, seen, expected)
        })
    }
}

/// A factor around one: the posterior of a gamma distribution with a mean of one, after Poisson counts.
#[derive(Debug, Clone, Copy)]
struct Factor {
    mean: f64,
    /// Relative to the square of the mean.
    variance: f64,
}

impl Factor {
    fn of(strength: f64, seen: f64, expected: f64) -> Self {
        Self { mean: (strength + seen) / (strength + expected), variance: 1.0 / (strength + seen) }
    }
}

/// How much an hour counts for those nearby, by how far they are away.
#[derive(Debug, Clone, Copy)]
struct Nearby([f64; NEARBY + 1]);

impl Nearby {
    fn new(breadth: f64) -> Self {
        let mut away = 0.0;
        Self([(); NEARBY + 1].map(|()| {
            let share = (-(away / breadth) * (away / breadth) / 2.0).exp();
            away += 1.0;
            share
        }))
    }

    /// An hour and those nearby, around a day or a week, with how much each counts.
    fn of(self, hour: usize, cycle: usize) -> impl Iterator<Item = (usize, f64)> {
        self.0.into_iter().enumerate().flat_map(move |(away, share)| {
            let before = (hour + cycle - away) % cycle;
            let behind = (away > 0).then_some(((hour + away) % cycle, share));
            std::iter::once((before, share)).chain(behind)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings = super::super::fit::DEFAULTS;

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
        assert!(few.0 > 1.1 && few.0 < 1.9, "{few:?}");
        assert!(many.0 > 2.5 && many.0 < 3.5, "{many:?}");
        assert!(many.1 > many.2, "the hour beside a good one is better than one far away: {many:?}");
    }

    #[test]
    fn a_good_day_is_good_at_hours_without_drops_too() {
        let mut rates = Rates::new(SETTINGS, &[1.0; WEEK]);
        for week in 0..40 {
            // At 10:00: each Tuesday three times what Thursday has. At 20:00 on Thursday alone.
            rates.learn(&sample(week, DAY + 10, 300.0));
            rates.learn(&sample(week, 3 * DAY + 10, 100.0));
            rates.learn(&sample(week, 3 * DAY + 20, 100.0));
        }
        let mean = |hour| rates.expect(Place { hour, beyond: 0.0 }, 1.0, 0.0).expect("drops").mean;
        assert!(mean(DAY + 20) > 1.5 * mean(3 * DAY + 20), "{} {}", mean(DAY + 20), mean(3 * DAY + 20));
        let known = rates.expect(Place { hour: DAY + 10, beyond: 0.0 }, 1.0, 0.0).expect("drops");
        let unknown = rates.expect(Place { hour: 5 * DAY + 3, beyond: 0.0 }, 1.0, 0.0).expect("drops");
        assert!(unknown.uncertainty > 2.0 * known.uncertainty, "{unknown:?} {known:?}");
    }

    #[test]
    fn hours_nearby_go_around_the_end() {
        let near: Vec<usize> = Nearby::new(1.0).of(0, WEEK).map(|(hour, _)| hour).collect();
        assert_eq!(near, [0, 167, 1, 166, 2, 165, 3]);
    }
}
