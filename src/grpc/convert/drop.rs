//! Converts a drop of a request to a definition.

use std::collections::{BTreeMap, HashMap};

use stockade_engine::command::CreateDrop;
use stockade_proto as pb;
use stockade_types::definition::{DEFAULT_SHOP, Definition, LABELS_MAX, Schedule, TITLE_MAX, Terms};
use stockade_types::time::Millis;

use super::drop_view::encoded_len;
use super::faults::{Faults, Rejection};
use super::fields::{id, instant, optional_id, span};
use super::limits::limits;
use super::rules::items_and_rules;
use crate::text;

/// Bounds on how long a hold or a payment may take.
pub(super) const TTL_MIN: Millis = Millis::from_secs(1);
pub(super) const TTL_MAX: Millis = Millis::from_secs(24 * 60 * 60);
/// The same in words.
pub(super) const TTL_RANGE: &str = "must be 1s to 24h";
const USUAL_TTL: Millis = Millis::from_secs(5 * 60);
/// The default time for a payment.
const USUAL_PAYMENT_TTL: Millis = Millis::from_secs(15 * 60);
const HOLD_LIFE_MAX: Millis = Millis::from_secs(7 * 24 * 60 * 60);
/// Most bytes of an encoded drop without its output-only fields. It then fits into a record, and several fit into a
/// page of a list.
const DROP_BYTES_MAX: usize = 96 * 1024;
const LABEL_KEY_MAX: usize = 64;
const LABEL_VALUE_MAX: usize = 256;

/// Whether a field of a drop is set.
type IsSet = fn(&pb::Drop) -> bool;

/// Fields that are not built yet. A request that sets one is refused with its name.
pub(super) const UNBUILT: [(&str, IsSet); 2] =
    [("waiting_room", |drop| drop.waiting_room.is_some()), ("waitlist", |drop| drop.waitlist.is_some())];

/// Converts a request to create a drop.
///
/// # Errors
/// All faulty fields; if there are none, all that are set and not built.
pub fn create_drop(request: &pb::CreateDropRequest) -> Result<CreateDrop, Rejection> {
    let pb::CreateDropRequest { drop, validate_only } = request;
    let mut faults = Faults::default();
    let definition = drop.as_ref().and_then(|drop| definition(&mut faults, drop));
    if drop.is_none() {
        faults.invalid("drop", "must be set");
    }
    let command = definition.map(|definition| CreateDrop { definition, validate_only: *validate_only });
    faults.finish(command)
}

/// Converts a whole drop; `None` with the faults recorded. Output-only fields are ignored.
pub(super) fn definition(faults: &mut Faults, drop: &pb::Drop) -> Option<Definition> {
    let pb::Drop {
        id: name,
        title,
        shop,
        series,
        opens_at,
        closes_at,
        hold_ttl,
        max_hold_life,
        payment_ttl,
        limits,
        labels: notes,
        .. // output only, of rules and items, or in `UNBUILT`: a test compares the table with the contract
    } = drop;
    for (field, is_set) in UNBUILT {
        faults.unbuilt(is_set(drop), format_args!("drop.{field}"));
    }
    let name = id(faults, "drop.id", name);
    if title.len() > TITLE_MAX {
        faults.invalid("drop.title", format_args!("must be at most {TITLE_MAX} bytes"));
    }
    if !text::is_plain(title) {
        faults.invalid("drop.title", text::PLAIN);
    }
    let shop = id(faults, "drop.shop", if shop.is_empty() { DEFAULT_SHOP } else { shop });
    let series = optional_id(faults, "drop.series", series);
    let labels = labels(faults, "drop.labels", notes, LABELS_MAX);
    let opens_at = instant(faults, "drop.opens_at", opens_at.as_ref());
    let closes_at = instant(faults, "drop.closes_at", closes_at.as_ref());
    if let (Some(opens), Some(closes)) = (opens_at, closes_at)
        && closes <= opens
    {
        faults.invalid("drop.closes_at", "must be after opens_at");
    }
    let spans = spans(faults, hold_ttl.as_ref(), max_hold_life.as_ref(), &drop.windows);
    let payment = span(faults, "drop.payment_ttl", payment_ttl.as_ref());
    let payment_ttl = if payment_ttl.is_some() { payment } else { Some(USUAL_PAYMENT_TTL) };
    if payment_ttl.is_some_and(|ttl| !(TTL_MIN..=TTL_MAX).contains(&ttl)) {
        faults.invalid("drop.payment_ttl", TTL_RANGE);
    }
    let parts = items_and_rules(faults, drop);
    let limits = self::limits(faults, limits, drop);
    let (items, rules) = parts?;
    let (hold_ttl, max_hold_life) = spans?;
    let definition = Definition {
        id: name?,
        title: title.clone(),
        shop: shop?,
        series,
        labels,
        schedule: Schedule { opens_at, closes_at },
        terms: Terms { hold_ttl, max_hold_life, payment_ttl: payment_ttl? },
        items,
        limits: limits?,
        rules,
    };
    let size = encoded_len(&definition);
    if size > DROP_BYTES_MAX {
        faults.invalid("drop", format_args!("takes {size} bytes as encoded: must be at most {DROP_BYTES_MAX}"));
    }
    Some(definition)
}

fn spans(
    faults: &mut Faults,
    hold_ttl: Option<&prost_types::Duration>,
    max_hold_life: Option<&prost_types::Duration>,
    windows: &[pb::Window],
) -> Option<(Millis, Millis)> {
    let ttl = span(faults, "drop.hold_ttl", hold_ttl);
    let ttl = if hold_ttl.is_some() { ttl } else { Some(USUAL_TTL) };
    let ttl_fits = ttl.is_some_and(|ttl| (TTL_MIN..=TTL_MAX).contains(&ttl));
    if ttl.is_some() && !ttl_fits {
        faults.invalid("drop.hold_ttl", TTL_RANGE);
    }
    let ttl = ttl.filter(|_| ttl_fits);
    let life = span(faults, "drop.max_hold_life", max_hold_life);
    // Faulty ones are reported with their windows.
    let of_windows = windows.iter().filter_map(|window| span(&mut Faults::default(), "", window.hold_ttl.as_ref()));
    let longest = of_windows.filter(|ttl| *ttl <= TTL_MAX).fold(ttl, |longest, ttl| longest.max(Some(ttl)));
    let life = if max_hold_life.is_some() { life? } else { longest?.doubled() };
    let least = ttl.unwrap_or(TTL_MIN);
    if !(least..=HOLD_LIFE_MAX).contains(&life) {
        faults.invalid("drop.max_hold_life", "must be hold_ttl to 7 days");
    }
    Some((ttl?, life))
}

/// Labels, at most this many. Faulty ones are recorded.
pub(super) fn labels(
    faults: &mut Faults,
    path: &str,
    notes: &HashMap<String, String>,
    most: usize,
) -> BTreeMap<String, String> {
    if notes.len() > most {
        faults.invalid(path, format_args!("must be at most {most}, not {}", notes.len()));
        return BTreeMap::new();
    }
    let labels: BTreeMap<String, String> = notes.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    for (key, value) in &labels {
        let shown: String = key.chars().take(LABEL_KEY_MAX).collect();
        let field = format!("{path}[{}]", text::escaped(&shown));
        if key.is_empty() || key.len() > LABEL_KEY_MAX {
            faults.invalid(field, format_args!("key must be 1-{LABEL_KEY_MAX} bytes"));
        } else if value.len() > LABEL_VALUE_MAX {
            faults.invalid(field, format_args!("must be at most {LABEL_VALUE_MAX} bytes"));
        } else if !text::is_plain(key) || !text::is_plain(value) {
            faults.invalid(field, text::PLAIN);
        }
    }
    labels
}
