//! How good forecasts were so far: the last drops, each forecast from what was known before it, beside a naive forecast.

use stockade_types::time::Timestamp;

use super::model::{Chosen, Model, Past, asked};
use super::week::Place;
use super::{JUDGED_MAX, PastDrop, Quality};
use crate::number::{basis_points, count, float};

/// With at most this number of drops before one, its settings are chosen from all of them; with more, those that were chosen for
/// the first of the last drops serve all.
const CHOSEN_ANEW_MAX: usize = 80;

/// Absolute errors of a forecast and of the naive one, and what came.
#[derive(Debug, Default)]
struct Errors {
    forecast: u64,
    naive: u64,
    came: u64,
}

/// Measures the forecasts of the last drops.
pub(super) fn quality(past: &Past<'_>, model: &Model, now: Timestamp) -> Quality {
    let errors = errors(past);
    let share = |error: u64| basis_points(u128::from(error), u128::from(errors.came));
    Quality {
        drops: u32::try_from(model.drops).unwrap_or(u32::MAX),
        views: past.interest.views(now),
        method: method(past, model),
        error: share(errors.forecast),
        naive_error: share(errors.naive),
    }
}

fn errors(past: &Past<'_>) -> Errors {
    let mut errors = Errors::default();
    let known = |index: &usize| past.drops.get(*index).is_some_and(|drop| asked(drop, past.zone).is_some());
    let mut judged: Vec<usize> = (1..past.drops.len()).rev().filter(known).take(JUDGED_MAX).collect();
    judged.reverse();
    let mut chosen = None;
    for index in judged {
        let Some(drop) = past.drops.get(index) else { continue };
        // Choosing takes its time with very many drops, of which ten more change little.
        let settings = match chosen {
            Some(settings) if index > CHOSEN_ANEW_MAX => settings,
            _ => past.choose(index, drop.opens_at),
        };
        chosen = Some(settings);
        let Some((forecast, naive, came)) = judge(past, index, settings) else { continue };
        errors.forecast = errors.forecast.saturating_add(forecast.abs_diff(came));
        errors.naive = errors.naive.saturating_add(naive.abs_diff(came));
        errors.came = errors.came.saturating_add(came);
    }
    errors
}

/// What was forecast of a drop, what naively, and what came.
fn judge(past: &Past<'_>, index: usize, chosen: Chosen) -> Option<(u64, u64, u64)> {
    let drop = past.drops.get(index)?;
    let before = past.drops.get(..index)?;
    let came = asked(drop, past.zone)?;
    let naive = naive(past, before, drop)?;
    let model = past.model(index, drop.opens_at, chosen);
    let sample = past.sample(drop, before.last().map(|last| last.opens_at), &model.curve, past.zone)?;
    let expected = model.rates.expect(sample.place, sample.exposure, sample.closeness)?;
    Some((count(expected.mean), count(float(naive) * sample.exposure), came))
}

/// As the last one at that weekday and hour; as the last one, where there was none.
fn naive(past: &Past<'_>, before: &[&PastDrop], drop: &PastDrop) -> Option<u64> {
    let hour = |drop: &PastDrop| Place::of(drop.opens_at, past.time_zone).map(|place| place.hour);
    let here = hour(drop);
    let known = || before.iter().rev().filter_map(|drop| Some((hour(drop), asked(drop, past.zone)?)));
    let same = known().find(|(hour, _)| *hour == here);
    same.or_else(|| known().next()).map(|(_, units)| units)
}

/// The model in one sentence.
fn method(past: &Past<'_>, model: &Model) -> String {
    let settings = model.rates.settings();
    let zone = if past.zone.is_empty() { "" } else { " and zone" };
    let estimated = if model.is_fatigue_estimated { "estimated" } else { "assumed" };
    format!(
        "Gamma-Poisson rates by hour of the week{zone}, drawn to the hour of the day, to views and to the mean of all; a \
         drop counts half after {} days; right behind another drop {} % less demand, {estimated}",
        count(settings.half_life),
        count(settings.fatigue * 100.0),
    )
}
