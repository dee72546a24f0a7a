//! Made-up worlds: a known demand by hour of the week, from which past drops and views are drawn. All from seeds.

use super::super::suggest::{suggest, suggest_alone};
use super::super::week::{DAY, Place, WEEK};
use super::super::{History, InterestHour, PastDrop, Quality, Request, Suggestion};
use crate::number::{count, float, length};
use jiff::tz::TimeZone;
use stockade_types::time::{Millis, Timestamp};

const HOUR: u64 = 3_600_000;
/// Monday, 2026-01-05, 00:00 UTC.
const START: u64 = 1_767_571_200_000;
const WEEKS: u64 = 60;
static ZONE: TimeZone = TimeZone::UTC;
/// Relative variance of the demand between drops at the same hour.
const DISPERSION: f64 = 0.12;

struct World {
    dice: fastrand::Rng,
    /// Demand by hour of the week.
    truth: Vec<f64>,
    peak: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = fastrand::Rng::with_seed(seed);
        let level = 60.0 + 540.0 * dice.f64();
        let (best_day, best_hour) = (dice.usize(..7), dice.usize(9..23));
        let days: Vec<f64> = (0..7).map(|day| if day == best_day { 1.35 } else { 0.55 + 0.45 * dice.f64() }).collect();
        let bump = |hour: usize| {
            let away = float(u64::try_from(hour.abs_diff(best_hour)).expect("small"));
            0.15 + (-(away / 2.5).powi(2) / 2.0).exp()
        };
        let truth = (0..WEEK).map(|hour| level * days[hour / DAY] * bump(hour % DAY)).collect();
        Self { dice, truth, peak: best_day * DAY + best_hour }
    }

    /// Marsaglia and Tsang's method; the shape is at least one.
    fn gamma(&mut self, shape: f64) -> f64 {
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let normal = self.normal();
            let v = (1.0 + c * normal).powi(3);
            if v > 0.0 && self.dice.f64().ln() < 0.5 * normal * normal + d - d * v + d * v.ln() {
                return d * v;
            }
        }
    }

    fn normal(&mut self) -> f64 {
        let (a, b) = (self.dice.f64().max(1e-300), self.dice.f64());
        (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
    }

    fn poisson(&mut self, mean: f64) -> u64 {
        if mean > 60.0 {
            return count((mean + mean.sqrt() * self.normal()).max(0.0));
        }
        let (mut product, mut drawn, end) = (self.dice.f64(), 0, (-mean).exp());
        while product > end {
            product *= self.dice.f64();
            drawn += 1;
        }
        drawn
    }

    /// The demand of a drop at an hour of the week.
    fn demand(&mut self, hour: usize, part: f64) -> u64 {
        let noise = self.gamma(1.0 / DISPERSION) * DISPERSION;
        self.poisson(self.truth[hour] * noise * part)
    }

    fn drops(&mut self, drops: usize) -> Vec<PastDrop> {
        let hours: Vec<u64> = (0..drops).map(|_| self.dice.u64(..WEEKS * 7) * 24 + self.dice.u64(8..24)).collect();
        hours.into_iter().map(|hour| self.drop(hour, 1.0)).collect()
    }

    fn drop(&mut self, hour: u64, part: f64) -> PastDrop {
        let place = usize::try_from(hour).expect("small") % WEEK;
        PastDrop {
            opens_at: Timestamp(START + hour * HOUR),
            units_asked: Some(self.demand(place, part)),
            counted: Millis(HOUR),
            ..PastDrop::default()
        }
    }

    /// Views follow demand, less steeply, in the last weeks.
    fn views(&mut self, weeks: u64) -> Vec<InterestHour> {
        let mean = self.truth.iter().sum::<f64>() / float(length(&self.truth));
        (168 * (WEEKS - weeks)..168 * WEEKS)
            .map(|hour| {
                let rate = (self.truth[usize::try_from(hour).expect("small") % WEEK] / mean).powf(0.7) * 30.0;
                let noise = self.gamma(8.0) / 8.0;
                let views = self.poisson(rate * noise);
                InterestHour { starts_at: Timestamp(START + hour * HOUR), zone: String::new(), views, interest: 0 }
            })
            .collect()
    }

    /// Hours between the best suggestion and the peak; days apart are far.
    fn missed_by(&self, suggestions: &[Suggestion]) -> usize {
        let place = Place::of(suggestions[0].opens_at, &TimeZone::UTC).expect("a place");
        let away = place.hour.abs_diff(self.peak);
        away.min(WEEK - away)
    }
}

fn request(days: u64, max_suggestions: u32) -> Request<'static> {
    Request {
        zone: "",
        time_zone: &ZONE,
        now: Timestamp(START + WEEKS * 168 * HOUR),
        from: None,
        horizon: Some(Millis(days * 24 * HOUR)),
        units: 0,
        max_suggestions,
        min_gap: None,
    }
}

fn quality(drops: &[PastDrop], interest: &[InterestHour]) -> Quality {
    let history = History { drops, interest, planned: &[] };
    suggest(&history, &request(1, 1)).expect("a schedule").quality
}

#[test]
fn it_finds_the_peak_within_an_hour() {
    // With the number of worlds of ten in which it is found: a year of drops, about one a week, with eight weeks of views; and a year of three a week
    // without any views, from which less is known.
    for (drops, weeks, of_ten) in [(60, 8, 9), (180, 0, 8)] {
        let missed: Vec<usize> = (0..40)
            .map(|seed| {
                let mut world = World::new(seed);
                let (past, views) = (world.drops(drops), world.views(weeks));
                let history = History { drops: &past, interest: &views, planned: &[] };
                world.missed_by(&suggest_alone(&history, &request(14, 5)))
            })
            .collect();
        let found = missed.iter().filter(|missed| **missed <= 1).count();
        eprintln!("{drops} drops, {weeks} weeks of views: within an hour in {found} of {}, {missed:?}", missed.len());
        assert!(found * 10 >= missed.len() * of_ten, "{drops} drops: within an hour in {found}: {missed:?}");
    }
}

#[test]
fn four_of_five_drops_fall_into_the_interval() {
    for (drops, weeks) in [(12, 4), (60, 8), (180, 0)] {
        let (mut inside, mut below, mut all) = (0, 0, 0);
        for seed in 100..130 {
            let mut world = World::new(seed);
            let (past, views) = (world.drops(drops), world.views(weeks));
            let history = History { drops: &past, interest: &views, planned: &[] };
            for suggestion in suggest_alone(&history, &request(60, 100)) {
                let place = Place::of(suggestion.opens_at, &TimeZone::UTC).expect("a place");
                if place.beyond > 0.0 {
                    continue;
                }
                let came = world.demand(place.hour, 1.0);
                all += 1;
                inside += u32::from((suggestion.low..=suggestion.high).contains(&came));
                below += u32::from(came < suggestion.low);
            }
        }
        eprintln!("{drops} drops, {weeks} weeks of views: {inside} of {all} inside, {below} below");
        let part = f64::from(inside) / f64::from(all);
        assert!(all > 800 && (0.7..0.9).contains(&part), "{drops} drops: {inside} of {all}, {below} below");
    }
}

#[test]
fn it_forecasts_better_than_the_last_drop_at_that_hour() {
    let (mut error, mut naive) = (0, 0);
    for seed in 200..220 {
        let mut world = World::new(seed);
        let (past, views) = (world.drops(60), world.views(8));
        let quality = quality(&past, &views);
        assert_eq!(quality.drops, 60);
        error += quality.error.expect("drops are known");
        naive += quality.naive_error.expect("drops are known");
    }
    eprintln!("mean error {} basis points, naive {}", error / 20, naive / 20);
    assert!(error * 10 < naive * 8, "{error} {naive}");
}

#[test]
fn fatigue_is_estimated_from_drops_right_behind_others() {
    // Drops in pairs: the second opens three hours behind the first, and has 40 % less demand than it would have.
    let lost: Vec<u64> = (300..310)
        .map(|seed| {
            let mut world = World::new(seed);
            let mut past = Vec::new();
            for pair in 0..40 {
                let hour = pair * 252 + world.dice.u64(10..20);
                past.push(world.drop(hour, 1.0));
                past.push(world.drop(hour + 3, 1.0 - 0.4 * (-3.0_f64 / 48.0).exp()));
            }
            let method = quality(&past, &[]).method;
            assert!(method.ends_with("estimated"), "{method}");
            let percent = method.split(" % less").next().and_then(|head| head.rsplit(' ').next()).expect("a figure");
            percent.parse().expect("a number")
        })
        .collect();
    let mean = lost.iter().sum::<u64>() / length(&lost);
    eprintln!("estimated: {lost:?}");
    assert!((30..=50).contains(&mean), "{lost:?}");
    let mut world = World::new(1);
    let method = quality(&world.drops(20), &[]).method;
    assert!(method.ends_with("30 % less demand, assumed"), "{method}");
}
