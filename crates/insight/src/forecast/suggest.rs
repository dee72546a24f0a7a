//! Suggestions: all quarters of an hour of the horizon by expected demand, the best first, each far enough from those
//! before it and from planned drops.

use jiff::tz::TimeZone;
use stockade_types::time::{Millis, Timestamp};

use super::model::{Model, Past, closeness};
use super::negative_binomial::NegativeBinomial;
use super::quality::quality;
use super::rates::Expected;
use super::week::{Place, local};
use super::{
    BadRequest, GAP_DEFAULT, HORIZON_DEFAULT, HORIZON_MAX, HORIZON_MIN, History, Request, SUGGESTIONS_DEFAULT,
    SUGGESTIONS_MAX, Schedule, Suggestion,
};
use crate::number::{count, float};

const QUARTER: Millis = Millis::from_secs(15 * 60);
/// Which part of the demand has to be lost to closeness before it is shown as fatigue.
const FATIGUE_SHOWN: f64 = 0.1;

/// An hour that is little known ranks lower than one that is known: by this part of the standard deviation of what is not
/// known of its rate.
const CAUTION: f64 = 0.25;

/// An opening that could be.
#[derive(Debug)]
struct Candidate {
    opens_at: Timestamp,
    place: Place,
    expected: Expected,
    /// Which part of the demand is lost to drops nearby.
    lost: f64,
}

/// The request with its defaults.
#[derive(Debug, Clone, Copy)]
struct Asked<'a> {
    from: Timestamp,
    horizon: Millis,
    most: usize,
    gap: Millis,
    units: u64,
    time_zone: &'a TimeZone,
}

/// Suggests openings.
///
/// # Errors
/// [`BadRequest`], which names the field.
pub fn suggest(history: &History<'_>, request: &Request<'_>) -> Result<Schedule, BadRequest> {
    let asked = checked(request)?;
    let past = Past::of(history, request.zone, request.time_zone, request.now);
    let model = past.model(past.drops.len(), request.now, past.choose(past.drops.len(), request.now));
    let suggestions = suggestions(history, &asked, &past, &model);
    Ok(Schedule { suggestions, quality: quality(&past, &model, request.now) })
}

fn suggestions(history: &History<'_>, asked: &Asked<'_>, past: &Past<'_>, model: &Model) -> Vec<Suggestion> {
    let mut openings: Vec<Timestamp> = past.drops.iter().map(|drop| drop.opens_at).collect();
    let mut planned = history.planned.to_vec();
    planned.sort_unstable();
    openings.extend(&planned);
    openings.sort_unstable();
    let chosen = choose(candidates(asked, model, &planned, &openings), asked);
    let support = Support::of(past);
    chosen.iter().filter_map(|candidate| show(candidate, asked, model, &support)).collect()
}

/// The suggestions alone, for tests of very many worlds.
#[cfg(test)]
pub(super) fn suggest_alone(history: &History<'_>, request: &Request<'_>) -> Vec<Suggestion> {
    let asked = checked(request).expect("a good request");
    let past = Past::of(history, request.zone, request.time_zone, request.now);
    let model = past.model(past.drops.len(), request.now, past.choose(past.drops.len(), request.now));
    suggestions(history, &asked, &past, &model)
}

fn checked<'a>(request: &Request<'a>) -> Result<Asked<'a>, BadRequest> {
    let Request { zone: _, time_zone, now, from, horizon, units, max_suggestions, min_gap } = *request;
    let horizon = horizon.unwrap_or(HORIZON_DEFAULT);
    if horizon < HORIZON_MIN || horizon > HORIZON_MAX {
        return Err(BadRequest::Horizon);
    }
    if max_suggestions > SUGGESTIONS_MAX {
        return Err(BadRequest::MaxSuggestions);
    }
    let from = from.unwrap_or(now);
    if local(from.plus(horizon), time_zone).is_none() {
        return Err(BadRequest::From);
    }
    let most = if max_suggestions == 0 { SUGGESTIONS_DEFAULT } else { max_suggestions };
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    // What has passed of the horizon is not suggested any more.
    let horizon = from.max(now).until(from.plus(horizon));
    Ok(Asked { from: from.max(now), horizon, most, gap: min_gap.unwrap_or(GAP_DEFAULT), units, time_zone })
}

/// All quarters of an hour that are far enough from planned drops. A horizon bounds them: 60 days have 5,760.
fn candidates(asked: &Asked<'_>, model: &Model, planned: &[Timestamp], openings: &[Timestamp]) -> Vec<Candidate> {
    let end = asked.from.plus(asked.horizon);
    let first = Timestamp(asked.from.0.div_ceil(QUARTER.0).saturating_mul(QUARTER.0));
    let quarters = std::iter::successors(Some(first), |at| Some(at.plus(QUARTER))).take_while(|at| *at < end);
    let fatigue = model.rates.settings().fatigue;
    let candidate = |opens_at: Timestamp| {
        let to_planned = nearest(planned, opens_at);
        if to_planned.is_some_and(|gap| gap < asked.gap || gap == Millis(0)) {
            return None;
        }
        let place = Place::of(opens_at, asked.time_zone)?;
        let close = nearest(openings, opens_at).map_or(0.0, closeness);
        let expected = model.rates.expect(place, 1.0, close)?;
        Some(Candidate { opens_at, place, expected, lost: fatigue * close })
    };
    quarters.filter_map(candidate).collect()
}

/// The gap to the nearest of sorted instants, before or behind.
fn nearest(instants: &[Timestamp], at: Timestamp) -> Option<Millis> {
    let behind = instants.partition_point(|instant| *instant <= at);
    let gap = |index: Option<usize>| {
        index.and_then(|index| instants.get(index)).map(|other| at.until(*other).max(other.until(at)))
    };
    [gap(behind.checked_sub(1)), gap(Some(behind))].into_iter().flatten().min()
}

/// The best first, each at least the gap from all before it.
fn choose(mut candidates: Vec<Candidate>, asked: &Asked<'_>) -> Vec<Candidate> {
    let rank = |candidate: &Candidate| {
        let Expected { mean, uncertainty, .. } = candidate.expected;
        mean * (1.0 - CAUTION * uncertainty.sqrt())
    };
    candidates.sort_by(|a, b| rank(b).total_cmp(&rank(a)).then(a.opens_at.cmp(&b.opens_at)));
    let mut chosen: Vec<Candidate> = Vec::new();
    for candidate in candidates {
        let at = candidate.opens_at;
        if chosen.iter().all(|other| at.until(other.opens_at).max(other.opens_at.until(at)) >= asked.gap) {
            chosen.push(candidate);
        }
        if chosen.len() == asked.most {
            break;
        }
    }
    chosen
}

fn show(candidate: &Candidate, asked: &Asked<'_>, model: &Model, support: &Support) -> Option<Suggestion> {
    let Candidate { opens_at, expected, lost, .. } = candidate;
    let dispersion = model.rates.settings().dispersion;
    let spread = NegativeBinomial::new(expected.mean, dispersion + expected.uncertainty);
    let sold_out = || model.curve.reached(float(asked.units) / expected.mean).map(Millis::from_secs);
    let local = local(*opens_at, asked.time_zone)?;
    Some(Suggestion {
        opens_at: *opens_at,
        local_time: local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        expected_demand: count(expected.mean),
        low: spread.quantile(0.1),
        high: spread.quantile(0.9),
        expected_time_to_sold_out: if asked.units == 0 { None } else { sold_out() },
        expected_support_contacts: support.contacts(asked, model, expected.mean),
        reason: reason(candidate, model),
        fatigue: *lost >= FATIGUE_SHOWN,
    })
}

fn reason(candidate: &Candidate, model: &Model) -> String {
    let Candidate { place, expected, lost, .. } = candidate;
    let drops = if model.drops == 1 { "1 drop".to_owned() } else { format!("{} drops", model.drops) };
    let fatigue = if *lost >= FATIGUE_SHOWN {
        format!("; so close to another drop, {} % of the demand is expected to be lost", count(lost * 100.0))
    } else {
        String::new()
    };
    format!(
        "{}: {:.1} times the demand of a usual hour, by {drops} and views{fatigue}",
        place.in_words(),
        expected.times_usual
    )
}

/// Contacts to the support by units claimed, of past drops where they are known, and the usual stock.
#[derive(Debug, Default)]
struct Support {
    contacts: u64,
    claimed: u64,
    stock: u64,
    drops: u64,
}

impl Support {
    fn of(past: &Past<'_>) -> Self {
        past.drops.iter().fold(Self::default(), |sum, drop| match drop.support_contacts {
            None => sum,
            Some(contacts) => Self {
                contacts: sum.contacts.saturating_add(contacts),
                claimed: sum.claimed.saturating_add(drop.units_claimed),
                stock: sum.stock.saturating_add(drop.stock),
                drops: sum.drops.saturating_add(1),
            },
        })
    }

    /// Expected of what is sold: the demand of a day, as far as the stock goes.
    fn contacts(&self, asked: &Asked<'_>, model: &Model, demand: f64) -> Option<u32> {
        if self.claimed == 0 {
            return None;
        }
        let stock = if asked.units > 0 { float(asked.units) } else { float(self.stock) / float(self.drops) };
        let sold = (demand * model.curve.whole().unwrap_or(1.0)).min(stock);
        u32::try_from(count(sold * float(self.contacts) / float(self.claimed))).ok()
    }
}
