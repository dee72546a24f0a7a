//! What is known at an instant, as a model: the drops before it, the curve of their demand, views, and the rates that
//! follow from them.

use jiff::tz::TimeZone;
use stockade_types::time::{Millis, Timestamp};

use super::curve::Curve;
use super::fit::{Prior, choose, fatigue_shows, learned};
use super::interest::Interest;
use super::rates::{Rates, Sample, Settings};
use super::week::Place;
use super::{DROPS_MAX, History, PastDrop};
use crate::number::float;

/// After so long the fatigue behind a drop has fallen to a third of it.
const FATIGUE_SPAN: Millis = Millis::from_secs(48 * 3_600);
/// From so long behind another drop on there is none.
const FATIGUE_END: Millis = Millis::from_secs(7 * 86_400);
/// A drop is used if at least this part of its first hour's demand was counted.
const EXPOSURE_MIN: f64 = 0.1;

/// The past, sorted, for a zone and a time zone.
#[derive(Debug)]
pub(super) struct Past<'a> {
    /// By opening.
    pub(super) drops: Vec<&'a PastDrop>,
    pub(super) interest: Interest,
    pub(super) zone: &'a str,
    pub(super) time_zone: &'a TimeZone,
}

/// The best settings: of all demand, and of the zone's where one is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chosen {
    overall: Settings,
    of_zone: Option<Settings>,
}

/// What is known at an instant.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) rates: Rates,
    pub(super) curve: Curve,
    /// Drops that it has learned from.
    pub(super) drops: usize,
    /// Whether fatigue is estimated from the drops, or assumed.
    pub(super) is_fatigue_estimated: bool,
}

impl<'a> Past<'a> {
    /// What opened before now.
    pub(super) fn of(history: &History<'a>, zone: &'a str, time_zone: &'a TimeZone, now: Timestamp) -> Self {
        let mut drops: Vec<&PastDrop> = history.drops.iter().filter(|drop| drop.opens_at < now).collect();
        drops.sort_by_key(|drop| drop.opens_at);
        drops.drain(..drops.len().saturating_sub(DROPS_MAX));
        let openings: Vec<Timestamp> = drops.iter().map(|drop| drop.opens_at).collect();
        let interest = Interest::of(history.interest, zone, &openings, time_zone);
        Self { drops, interest, zone, time_zone }
    }

    /// The best settings by the first `count` drops, just before the instant.
    pub(super) fn choose(&self, count: usize, until: Timestamp) -> Chosen {
        let (drops, curve) = self.known(count);
        let views = self.interest.shape(until);
        let all = self.samples(drops, &curve, "");
        let overall = choose(&all, Prior { hours: &views, is_in_question: true });
        let of_zone = (!self.zone.is_empty()).then(|| {
            let hours = learned(&all, &views, overall).hours();
            choose(&self.samples(drops, &curve, self.zone), Prior { hours: &hours, is_in_question: false })
        });
        Chosen { overall, of_zone }
    }

    /// The model that could be made of the first `count` drops, just before the instant.
    pub(super) fn model(&self, count: usize, until: Timestamp, chosen: Chosen) -> Model {
        let (drops, curve) = self.known(count);
        let all = self.samples(drops, &curve, "");
        let overall = learned(&all, &self.interest.shape(until), chosen.overall);
        let (rates, samples) = match chosen.of_zone {
            None => (overall, all),
            Some(settings) => {
                let samples = self.samples(drops, &curve, self.zone);
                (learned(&samples, &overall.hours(), settings), samples)
            }
        };
        Model { rates, curve, drops: samples.len(), is_fatigue_estimated: fatigue_shows(&samples) }
    }

    /// The first drops, and the curve of their demand.
    fn known(&self, count: usize) -> (&[&'a PastDrop], Curve) {
        let drops = self.drops.get(..count).unwrap_or(&self.drops);
        (drops, Curve::of(drops.iter().map(|drop| drop.by_minute.as_slice())))
    }

    fn samples(&self, drops: &[&PastDrop], curve: &Curve, zone: &str) -> Vec<Sample> {
        let before = std::iter::once(None).chain(drops.iter().map(|drop| Some(drop.opens_at)));
        drops.iter().zip(before).filter_map(|(drop, before)| self.sample(drop, before, curve, zone)).collect()
    }

    /// A drop as a sample, if its demand is known.
    pub(super) fn sample(
        &self,
        drop: &PastDrop,
        before: Option<Timestamp>,
        curve: &Curve,
        zone: &str,
    ) -> Option<Sample> {
        let exposure = curve.part_within(float(drop.counted.0) / 60_000.0);
        Some(Sample {
            opens_at: drop.opens_at,
            place: Place::of(drop.opens_at, self.time_zone)?,
            units: float(asked(drop, zone)?),
            exposure: Some(exposure).filter(|exposure| *exposure >= EXPOSURE_MIN)?,
            closeness: before.map_or(0.0, |before| closeness(before.until(drop.opens_at))),
        })
    }
}

/// Units asked for from a zone, or from all where it is empty.
pub(super) fn asked(drop: &PastDrop, zone: &str) -> Option<u64> {
    let all = drop.units_asked?;
    if zone.is_empty() {
        return Some(all);
    }
    let of_zone = || drop.by_zone.iter().filter(|row| row.0 == zone).fold(0, |sum: u64, row| sum.saturating_add(row.1));
    (!drop.by_zone.is_empty()).then(of_zone)
}

/// How close a drop is to another one: 1 at the same instant, less with the gap, 0 from the limit on.
pub(super) fn closeness(gap: Millis) -> f64 {
    if gap >= FATIGUE_END { 0.0 } else { (-float(gap.0) / float(FATIGUE_SPAN.0)).exp() }
}
