//! Signals and what the public may see of the stock.

use std::collections::BTreeMap;

use stockade_proto as pb;
use stockade_types::definition::{
    BAND_INTERVAL_MAX, BAND_INTERVAL_MIN, BAND_INTERVAL_USUAL, BANDS_MAX, BASIS_POINTS, Band, CHANNEL_BYTES_MAX,
    CHANNELS_MAX, SIGNAL_LABELS_MAX, SIGNAL_SPAN_MAX, SIGNALS_MAX, Scarcity, Signal, Trigger, VALID_FOR_USUAL,
};
use stockade_types::time::{Millis, Timestamp};

use super::super::drop::labels;
use super::super::faults::Faults;
use super::super::fields::span;
use super::moments::{TriggerScope, trigger};
use super::reach::{Listed, audience, entry_id};
use crate::text;

const LIST: &str = "drop.signals";
const BANDS: &str = "drop.scarcity.bands";
/// The shortest time for which a signal is valid, and after which it may fire again.
const SPAN_MIN: Millis = Millis::from_secs(1);

/// All signals of a drop; `None` with the faults recorded.
pub(super) fn signals(faults: &mut Faults, drop: &pb::Drop, listed: &Listed<'_>) -> Option<Vec<Signal>> {
    let given = &drop.signals;
    if given.len() > SIGNALS_MAX {
        faults.invalid(LIST, format_args!("must be at most {SIGNALS_MAX}, not {}", given.len()));
        return None;
    }
    let scope = TriggerScope { listed, usual: &[], closes: drop.closes_at.is_some(), before_opening: true };
    let mut signals = Vec::with_capacity(given.len());
    for (place, signal) in given.iter().enumerate() {
        let path = format!("{LIST}[{place}]");
        let name = entry_id(faults, (LIST, place), (&signal.id, given.iter().map(|signal| &signal.id)));
        let of = of_signal(faults, &path, signal, scope);
        signals.extend(name.zip(of).map(|(id, of)| Signal { id, ..of }));
    }
    (signals.len() == given.len()).then_some(signals)
}

fn of_signal(faults: &mut Faults, path: &str, signal: &pb::Signal, scope: TriggerScope<'_>) -> Option<Signal> {
    let pb::Signal { id: _, on, audience: whom, channels, repeat_after, valid_for, labels: notes, fired_at: _ } =
        signal;
    if on.is_none() {
        faults.invalid(format_args!("{path}.on"), "must be set");
    }
    let on = trigger(faults, &format!("{path}.on"), on.as_ref(), scope);
    let audience = audience(faults, &format!("{path}.audience"), whom.as_ref());
    channels_of(faults, path, channels);
    let mut bounded = |name: &str, given: Option<&prost_types::Duration>| {
        let found = span(faults, format_args!("{path}.{name}"), given);
        if found.is_some_and(|span| !(SPAN_MIN..=SIGNAL_SPAN_MAX).contains(&span)) {
            faults.invalid(format_args!("{path}.{name}"), "must be 1s to 400 days");
        }
        found
    };
    let again = bounded("repeat_after", repeat_after.as_ref());
    let valid = bounded("valid_for", valid_for.as_ref());
    if repeat_after.is_some() && matches!(on, Some(Trigger::Moment(_))) {
        faults.invalid(format_args!("{path}.repeat_after"), "needs a stock level: a moment comes once");
    }
    let labels: BTreeMap<String, String> = labels(faults, &format!("{path}.labels"), notes, SIGNAL_LABELS_MAX);
    let valid_for = if valid_for.is_some() { valid? } else { VALID_FOR_USUAL };
    Some(Signal {
        id: "-".parse().ok()?,
        on: on?,
        audience,
        channels: channels.clone(),
        repeat_after: again,
        valid_for,
        labels,
        defined_at: Timestamp::default(),
    })
}

fn channels_of(faults: &mut Faults, path: &str, channels: &[String]) {
    let list = format!("{path}.channels");
    if channels.len() > CHANNELS_MAX {
        faults.invalid(&list, format_args!("must be at most {CHANNELS_MAX}, not {}", channels.len()));
        return;
    }
    for (place, channel) in channels.iter().enumerate() {
        let field = format_args!("{list}[{place}]");
        let first = channels.iter().position(|other| other == channel);
        if channel.is_empty() || channel.len() > CHANNEL_BYTES_MAX {
            faults.invalid(field, format_args!("must be 1-{CHANNEL_BYTES_MAX} bytes"));
        } else if !text::is_plain(channel) {
            faults.invalid(field, text::PLAIN);
        } else if let Some(first) = first.filter(|first| *first != place) {
            faults.invalid(field, format_args!("duplicates channels[{first}]"));
        }
    }
}

/// What the public may see of the stock; `None` with the faults recorded.
pub(super) fn scarcity(faults: &mut Faults, given: &pb::Scarcity) -> Option<Scarcity> {
    let pb::Scarcity { bands, min_interval } = given;
    let interval = span(faults, "drop.scarcity.min_interval", min_interval.as_ref());
    if interval.is_some_and(|span| !(BAND_INTERVAL_MIN..=BAND_INTERVAL_MAX).contains(&span)) {
        faults.invalid("drop.scarcity.min_interval", "must be 1s to 1h");
    }
    if bands.len() > BANDS_MAX {
        faults.invalid(BANDS, format_args!("must be at most {BANDS_MAX}, not {}", bands.len()));
        return None;
    }
    if bands.len() == 1 {
        faults.invalid(BANDS, "needs a band for what is left, too: the last one is for nothing free");
    }
    let mut found = Vec::with_capacity(bands.len());
    for (place, band) in bands.iter().enumerate() {
        let pb::Band { id: _, min_free_basis_points: points } = band;
        let field = format!("{BANDS}[{place}].min_free_basis_points");
        let before = place.checked_sub(1).and_then(|before| bands.get(before));
        let is_last = place.saturating_add(1) == bands.len();
        if is_last && *points != 0 {
            faults.invalid(field, "must be 0 in the last band, which is for nothing free");
        } else if !is_last && !(1..=BASIS_POINTS).contains(points) {
            faults.invalid(field, format_args!("must be 1-{BASIS_POINTS}: only the last band is for nothing free"));
        } else if before.is_some_and(|before| before.min_free_basis_points <= *points) {
            faults.invalid(field, "must be below that of the band before");
        }
        let name = entry_id(faults, (BANDS, place), (&band.id, bands.iter().map(|band| &band.id)));
        found.extend(name.map(|id| Band { id, min_free: *points }));
    }
    let min_interval = if min_interval.is_some() { interval? } else { BAND_INTERVAL_USUAL };
    (found.len() == bands.len()).then_some(Scarcity { bands: found, min_interval })
}
