//! Converts a drop's items and rules: pools, flows, slots, windows, prices, tranches, conduct, signals, bands.
//!
//! Each part is checked against the items and pools that the same request lists. What depends on a clock or a time zone
//! is checked by the engine, which resolves moments.

mod conduct;
mod items;
mod moments;
mod prices;
mod reach;
mod signals;
mod tranches;
mod windows;

use stockade_proto as pb;
use stockade_types::definition::{Item, LOCATION_MAX, RuleNames, Rules, ZONES_MAX};

use super::faults::Faults;
use super::fields::ids;
use crate::text;

use moments::Currencies;
pub(super) use moments::moment;
use reach::Listed;

/// The items and rules of a drop; `None` with the faults recorded.
pub(super) fn items_and_rules(faults: &mut Faults, drop: &pb::Drop) -> Option<(Vec<Item>, Rules)> {
    let listed = Listed::of(drop);
    let mut currencies = Currencies::default();
    let items = items::items(faults, drop, &listed, &mut currencies);
    let windows = windows::windows(faults, &drop.windows, &listed, drop.closes_at.is_some());
    let prices = prices::prices(faults, drop, &listed, &mut currencies);
    let tranches = tranches::tranches(faults, drop, &listed);
    let conduct = conduct::conduct(faults, drop);
    let signals = signals::signals(faults, drop, &listed);
    let scarcity = drop.scarcity.as_ref().map(|given| signals::scarcity(faults, given));
    let has_slot = drop.items.iter().any(|item| item.kind() == pb::ItemKind::Slot);
    if drop.slot_required && !has_slot {
        faults.invalid("drop.slot_required", "needs an item of kind SLOT");
    }
    if drop.location.len() > LOCATION_MAX {
        faults.invalid("drop.location", format_args!("must be at most {LOCATION_MAX} bytes"));
    } else if !text::is_plain(&drop.location) {
        faults.invalid("drop.location", text::PLAIN);
    }
    let rules = Rules {
        windows: windows?,
        prices: prices?,
        tranches: tranches?,
        conduct: conduct?,
        signals: signals?,
        scarcity: match scarcity {
            None => None,
            Some(found) => Some(found?),
        },
        slot_required: drop.slot_required,
        time_zone: drop.time_zone.clone(),
        location: drop.location.clone(),
        zones: ids(faults, "drop.zones", &drop.zones, ZONES_MAX),
        names: RuleNames::default(),
    };
    Some((items?, rules))
}

#[cfg(test)]
mod tests;
