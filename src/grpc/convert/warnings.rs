//! Warnings about a drop: lawful, but perhaps not meant. Their codes are stable.

use std::fmt::Display;

use stockade_engine::answer::DropView;
use stockade_engine::rules::resolve;
use stockade_proto as pb;
use stockade_types::definition::{BASIS_POINTS, Definition, Item, Limit, Scope};
use stockade_types::ids::{DropId, Sku};
use stockade_types::time::{Millis, Timestamp};

/// More SKUs of goods than this are many.
const ITEMS_USUAL: usize = 4;
/// More drops of a shop in a week than this are many.
const DROPS_USUAL: usize = 4;
const WEEK: Millis = Millis::from_secs(7 * 24 * 60 * 60);
/// The usual share of an item that pools for tiers hold, in basis points.
const RESERVED_USUAL: std::ops::RangeInclusive<u64> = 1_000..=1_500;
/// A payment may be expected to take this long.
const PAYMENT_USUAL: Millis = Millis::from_secs(5 * 60);

/// Another drop of the same shop that was not cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Its id.
    pub id: DropId,
    /// When it opens.
    pub opens_at: Timestamp,
    /// When it closes, or has closed; [`Timestamp::NEVER`] if it doesn't by itself.
    pub closes_at: Timestamp,
    /// The SKUs that both have.
    pub common: Vec<Sku>,
}

/// What may not be meant about a drop.
#[must_use]
pub fn warnings(view: &DropView, neighbours: &[Neighbour]) -> Vec<pb::Warning> {
    let definition = view.definition.as_ref();
    let mut found = Warnings(Vec::new());
    found.items(definition);
    found.neighbours(view, neighbours);
    for (place, limit) in definition.limits.iter().enumerate() {
        found.limit(place, limit, definition);
    }
    if definition.terms.payment_ttl < PAYMENT_USUAL {
        found.add("short_payment", "drop.payment_ttl", "customers have less than 5 minutes to pay");
    }
    // What is in force was resolved before: only what was moved is of interest.
    let moved = resolve(&mut definition.clone(), view.opens_at).unwrap_or_default();
    for gap in moved {
        let message = "does not exist on that day, for clocks are set forward over it: it comes as much later";
        found.add("local_time_moved", gap.field, message);
    }
    found.0
}

struct Warnings(Vec<pb::Warning>);

impl Warnings {
    fn add(&mut self, code: &str, field: impl Display, message: impl Display) {
        self.0.push(pb::Warning { code: code.to_owned(), field: field.to_string(), message: message.to_string() });
    }

    fn items(&mut self, definition: &Definition) {
        let goods = definition.items.iter().filter(|item| item.slot.is_none()).count();
        if goods > ITEMS_USUAL {
            let message = format_args!("{goods} SKUs of goods are many for a drop: more than {ITEMS_USUAL}");
            self.add("many_items", "drop.items", message);
        }
        for (place, item) in definition.items.iter().enumerate() {
            let Some(points) = reserved(item).filter(|points| !RESERVED_USUAL.contains(points)) else { continue };
            let (whole, part) = (points / 100, points % 100);
            let message = format_args!("pools for tiers hold {whole}.{part:02} % of it: usual are 10 to 15 %");
            self.add("reserve_outside_10_15", format_args!("drop.items[{place}].pools"), message);
        }
    }

    fn neighbours(&mut self, view: &DropView, neighbours: &[Neighbour]) {
        let opens_at = view.opens_at;
        let closes_at = view.closed_at.or(view.definition.schedule.closes_at).unwrap_or(Timestamp::NEVER);
        let meanwhile = |other: &&Neighbour| other.opens_at < closes_at && opens_at < other.closes_at;
        for (place, item) in view.definition.items.iter().enumerate() {
            let other = neighbours.iter().filter(meanwhile).find(|other| other.common.contains(&item.sku));
            if let Some(Neighbour { id, .. }) = other {
                let message = format_args!("drop {id} sells it at the same time");
                self.add("overlap", format_args!("drop.items[{place}].sku"), message);
            }
        }
        let most = fullest_week(opens_at, neighbours);
        if most > DROPS_USUAL {
            let message = format_args!("{most} drops of the shop open within a week: more than {DROPS_USUAL}");
            self.add("many_drops", "drop.opens_at", message);
        }
    }

    fn limit(&mut self, place: usize, limit: &Limit, definition: &Definition) {
        let Some(there) = counted(limit, definition) else { return };
        let bounds = [("max_units", limit.max_units), ("max_live_units", limit.max_live_units)];
        for (name, bound) in bounds {
            if bound.is_some_and(|bound| u64::from(bound) >= there && there > 0) {
                let message = format_args!("is never reached: there are only {there} units of what it counts");
                self.add("unreachable_limit", format_args!("drop.limits[{place}].{name}"), message);
            }
        }
    }
}

/// The share of an item that pools for tiers hold, in basis points, if it has any.
fn reserved(item: &Item) -> Option<u64> {
    let mut for_tiers = item.pools.iter().filter(|pool| !pool.audience.tiers.is_empty()).peekable();
    for_tiers.peek()?;
    let units = for_tiers.map(|pool| u128::from(pool.units)).sum::<u128>();
    let points = units.checked_mul(BASIS_POINTS.into())?.checked_div(item.units().into())?;
    u64::try_from(points).ok()
}

/// The units that a limit within the drop counts for one subject at most; none for one that reaches further.
fn counted(limit: &Limit, definition: &Definition) -> Option<u64> {
    let is_counted = |item: &&Item| {
        if limit.skus.is_empty() { item.slot.is_none() } else { limit.skus.contains(&item.sku) }
    };
    let tranches = |item: &Item| {
        let own = definition.rules.tranches.iter().filter(|tranche| tranche.sku == item.sku);
        own.map(|tranche| tranche.units).fold(item.units(), u64::saturating_add)
    };
    let units = definition.items.iter().filter(is_counted).map(tranches);
    match limit.scope {
        Scope::Item => units.max(),
        Scope::Drop => Some(units.fold(0, u64::saturating_add)),
        Scope::Series | Scope::Shop => None,
    }
}

/// The most drops, this one with them, that open within one week around its opening.
fn fullest_week(opens_at: Timestamp, neighbours: &[Neighbour]) -> usize {
    let openings = || neighbours.iter().map(|other| other.opens_at).chain([opens_at]);
    let of_week = |first: Timestamp| openings().filter(|at| (first..first.plus(WEEK)).contains(at)).count();
    let around = openings().filter(|first| *first <= opens_at && opens_at < first.plus(WEEK));
    around.map(of_week).max().unwrap_or(0)
}
