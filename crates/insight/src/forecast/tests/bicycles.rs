//! A series that people made: bicycles rented by hour over a year. Each week is forecast from what was known before it
//! began, beside the seasonal naive forecast: the same hour a week before.

use stockade_types::time::Timestamp;

use super::super::fit::{Prior, choose};
use super::super::negative_binomial::NegativeBinomial;
use super::super::rates::{Rates, Sample};
use super::super::week::{Place, WEEK};
use crate::number::float;

const SERIES: &str = include_str!("../../../tests/data/bicycles.csv");
/// Weeks from which the settings are chosen; later ones are forecast.
const TRAINING: usize = 8;

/// Each hour of the year, as far as it is there.
fn hours() -> Vec<Option<f64>> {
    let days = SERIES.lines().filter(|line| !line.starts_with('#'));
    days.flat_map(|day| day.split(',').map(|hour| hour.parse().ok())).collect()
}

fn sample(hour: usize, units: f64) -> Sample {
    let hours = u64::try_from(hour).expect("small");
    // The series begins on a Saturday.
    let place = Place { hour: (5 * 24 + hour) % WEEK, beyond: 0.0 };
    Sample { opens_at: Timestamp(hours * 3_600_000), place, units, exposure: 1.0, closeness: 0.0 }
}

#[test]
fn it_beats_the_same_hour_of_the_week_before() {
    let series = hours();
    assert_eq!(series.len(), 365 * 24);
    assert_eq!(series.iter().flatten().count(), 8_645);
    let samples = |week: usize| {
        let hours = week * WEEK..((week + 1) * WEEK).min(series.len());
        let there = hours.filter_map(|hour| Some(sample(hour, series[hour]?)));
        there.collect::<Vec<Sample>>()
    };
    let training: Vec<Sample> = (0..TRAINING).flat_map(samples).collect();
    let flat = [1.0; WEEK];
    let settings = choose(&training, Prior { hours: &flat, is_in_question: true });
    let mut rates = Rates::new(settings, &flat);
    for sample in &training {
        rates.learn(sample);
    }
    let (mut error, mut naive, mut came, mut inside, mut all) = (0.0, 0.0, 0.0, 0_u32, 0_u32);
    for week in TRAINING..53 {
        let week = samples(week);
        for sample in &week {
            let hour = usize::try_from(sample.opens_at.0 / 3_600_000).expect("small");
            let Some(before) = series[hour - WEEK] else { continue };
            let expected = rates.expect(sample.place, 1.0, 0.0).expect("it has learned");
            let spread = NegativeBinomial::new(expected.mean, settings.dispersion + expected.uncertainty);
            let (low, high) = (float(spread.quantile(0.1)), float(spread.quantile(0.9)));
            inside += u32::from((low..=high).contains(&sample.units));
            all += 1;
            error += (expected.mean - sample.units).abs();
            naive += (before - sample.units).abs();
            came += sample.units;
        }
        for sample in &week {
            rates.learn(sample);
        }
    }
    eprintln!(
        "{settings:?}: error {:.1} %, naive {:.1} %, inside the interval {inside} of {all}",
        100.0 * error / came,
        100.0 * naive / came
    );
    assert!(all > 7_000, "{all}");
    assert!((0.7..0.9).contains(&(f64::from(inside) / f64::from(all))), "{inside} of {all}");
    assert!(error < 0.9 * naive, "{error} {naive}");
}
