//! Chooses the settings of [`Rates`]: those with which each past drop would have been forecast best from the drops
//! before it.

use stockade_types::time::Millis;

use super::negative_binomial::NegativeBinomial;
use super::rates::{Expected, Rates, Sample, Settings};
use super::week::Hours;

/// The settings before anything is known, and where the drops do not say something else.
pub(super) const DEFAULTS: Settings = Settings {
    strength: 60.0,
    strength_above: 30.0,
    breadth: 1.0,
    trust: 1.0,
    half_life: 120.0,
    fatigue: 0.3,
    dispersion: 0.25,
};
const STRENGTHS: [f64; 5] = [1.0, 4.0, 16.0, 60.0, 240.0];
const STRENGTHS_ABOVE: [f64; 5] = [2.0, 8.0, 30.0, 120.0, 480.0];
const BREADTHS: [f64; 3] = [0.3, 1.0, 1.6];
const TRUSTS: [f64; 6] = [0.0, 0.35, 0.7, 1.0, 1.3, 1.6];
const HALF_LIVES: [f64; 6] = [2.0, 7.0, 30.0, 60.0, 120.0, 400.0];
const FATIGUES: [f64; 6] = [0.0, 0.15, 0.3, 0.45, 0.6, 0.75];
const DISPERSIONS: [f64; 12] = [0.003, 0.006, 0.012, 0.025, 0.05, 0.1, 0.17, 0.25, 0.4, 0.7, 1.2, 2.0];
/// A setting leaves its default only if the deviance of all forecasts falls by more than this.
const GAIN_MIN: f64 = 2.0;
/// Drops are planned days ahead, so each is forecast from those that opened at least so long before it.
const AHEAD: Millis = Millis::from_secs(3 * 86_400);
/// The first drops teach and are not judged.
const UNJUDGED: usize = 2;
/// With fewer drops nothing is chosen.
pub(super) const CHOOSE_FROM: usize = 8;
/// Drops that are close to another one, and far from any, of which there must be some each before fatigue is estimated.
const CLOSE: f64 = 0.5;
const FAR: f64 = 0.2;
const EACH_MIN: usize = 4;

/// The prior of the shape, and what may be chosen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prior<'a> {
    pub(super) hours: &'a Hours,
    /// Whether the drops are asked how far to trust it; otherwise it is trusted as it is.
    pub(super) is_in_question: bool,
}

/// What a drop was expected to be, and was.
#[derive(Debug, Clone, Copy)]
struct Judged {
    expected: Expected,
    units: f64,
}

/// Rates that have learned all samples. They are in the order of their openings.
pub(super) fn learned(samples: &[Sample], prior: &Hours, settings: Settings) -> Rates {
    let mut rates = Rates::new(settings, prior);
    for sample in samples {
        rates.learn(sample);
    }
    rates
}

/// The best settings.
pub(super) fn choose(samples: &[Sample], prior: Prior<'_>) -> Settings {
    let Prior { hours, is_in_question } = prior;
    let mut settings = if is_in_question { DEFAULTS } else { Settings { trust: 1.0, ..DEFAULTS } };
    if samples.len() >= CHOOSE_FROM {
        // One after the other, twice: a later one may change what is best for an earlier one.
        for _ in 0..2 {
            settings =
                best(samples, hours, settings, &HALF_LIVES, |settings, half_life| Settings { half_life, ..settings });
            settings =
                best(samples, hours, settings, &STRENGTHS, |settings, strength| Settings { strength, ..settings });
            settings = best(samples, hours, settings, &STRENGTHS_ABOVE, |settings, strength_above| Settings {
                strength_above,
                ..settings
            });
            settings = best(samples, hours, settings, &BREADTHS, |settings, breadth| Settings { breadth, ..settings });
            if is_in_question {
                settings = best(samples, hours, settings, &TRUSTS, |settings, trust| Settings { trust, ..settings });
            }
            if fatigue_shows(samples) {
                settings =
                    best(samples, hours, settings, &FATIGUES, |settings, fatigue| Settings { fatigue, ..settings });
            }
            settings.dispersion = dispersion(&replay(samples, hours, settings));
        }
    }
    settings
}

/// Whether there are drops right behind others, and drops far from others.
pub(super) fn fatigue_shows(samples: &[Sample]) -> bool {
    let close = samples.iter().filter(|sample| sample.closeness >= CLOSE).count();
    let far = samples.iter().filter(|sample| sample.closeness <= FAR).count();
    close >= EACH_MIN && far >= EACH_MIN
}

fn best(
    samples: &[Sample],
    prior: &Hours,
    settings: Settings,
    values: &[f64],
    with: impl Fn(Settings, f64) -> Settings,
) -> Settings {
    let score = |settings| deviance(&replay(samples, prior, settings));
    let start = (settings, score(settings) - GAIN_MIN);
    let tried = values.iter().map(|value| with(settings, *value)).map(|settings| (settings, score(settings)));
    tried.fold(start, |best, next| if next.1 < best.1 { next } else { best }).0
}

/// Learns one drop after the other, and forecasts each from those that opened long enough before it.
fn replay(samples: &[Sample], prior: &Hours, settings: Settings) -> Vec<Judged> {
    let mut rates = Rates::new(settings, prior);
    let mut judged = Vec::with_capacity(samples.len());
    let mut learned = 0;
    for sample in samples {
        while let Some(known) = samples.get(learned).filter(|known| known.opens_at.plus(AHEAD) <= sample.opens_at) {
            rates.learn(known);
            learned += 1;
        }
        if let Some(expected) = rates.expect(sample.place, sample.exposure, sample.closeness) {
            judged.push(Judged { expected, units: sample.units });
        }
    }
    judged.drain(..UNJUDGED.min(judged.len()));
    judged
}

/// How far forecasts were off: the deviance of a negative binomial distribution with the default dispersion.
fn deviance(judged: &[Judged]) -> f64 {
    let size = 1.0 / DEFAULTS.dispersion;
    let one = |&Judged { expected: Expected { mean, .. }, units }: &Judged| {
        let hit = if units > 0.0 { units * (units / mean).ln() } else { 0.0 };
        2.0 * (hit - (units + size) * ((units + size) / (mean + size)).ln())
    };
    judged.iter().map(one).sum()
}

/// The dispersion under which what came is most likely, drawn towards the default by as much as two drops say.
fn dispersion(judged: &[Judged]) -> f64 {
    let likelihood = |dispersion: f64| -> f64 {
        let one = |&Judged { expected: Expected { mean, uncertainty, .. }, units }: &Judged| {
            NegativeBinomial::new(mean, dispersion + uncertainty).log_probability(units)
        };
        judged.iter().map(one).sum::<f64>() - (dispersion / DEFAULTS.dispersion).ln().powi(2) / 4.0
    };
    let all = DISPERSIONS.into_iter().map(|dispersion| (dispersion, likelihood(dispersion)));
    all.fold((DEFAULTS.dispersion, f64::NEG_INFINITY), |best, next| if next.1 > best.1 { next } else { best }).0
}
