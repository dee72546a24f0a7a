//! Tranches: stock that comes later.

use std::collections::HashMap;

use stockade_proto as pb;
use stockade_types::definition::{ITEM_UNITS_MAX, TRANCHES_MAX, Tranche};

use super::super::faults::Faults;
use super::super::fields::{id, optional_id};
use super::moments::{TriggerScope, trigger};
use super::reach::{Listed, entry_id};

const LIST: &str = "drop.tranches";

/// All tranches of a drop; `None` with the faults recorded.
pub(super) fn tranches(faults: &mut Faults, drop: &pb::Drop, listed: &Listed<'_>) -> Option<Vec<Tranche>> {
    let given = &drop.tranches;
    if given.len() > TRANCHES_MAX {
        faults.invalid(LIST, format_args!("must be at most {TRANCHES_MAX}, not {}", given.len()));
        return None;
    }
    let scope = TriggerScope { listed, usual: &[], closes: drop.closes_at.is_some(), before_opening: false };
    let mut units_of: HashMap<&str, u64> = drop.items.iter().map(|item| (item.sku.as_str(), item.quantity)).collect();
    let mut tranches = Vec::with_capacity(given.len());
    for (place, tranche) in given.iter().enumerate() {
        let pb::Tranche { id: name, sku, pool, units, when, fired_at: _ } = tranche;
        let path = format!("{LIST}[{place}]");
        let name = entry_id(faults, (LIST, place), (name, given.iter().map(|tranche| &tranche.id)));
        let known = id(faults, format_args!("{path}.sku"), sku);
        if known.is_some() && listed.pools(sku).is_none() {
            faults.invalid(format_args!("{path}.sku"), "is no item of this drop");
        }
        let into = optional_id(faults, format_args!("{path}.pool"), pool);
        if into.is_some() && listed.pools(sku).is_some_and(|pools| !pools.contains(&pool.as_str())) {
            faults.invalid(format_args!("{path}.pool"), "is no pool of this item");
        }
        let sum = units_of.entry(sku).or_default();
        *sum = sum.saturating_add(*units);
        if *units == 0 || *units > ITEM_UNITS_MAX {
            faults.invalid(format_args!("{path}.units"), format_args!("must be 1-{ITEM_UNITS_MAX}"));
        } else if *sum > ITEM_UNITS_MAX {
            let most = format_args!("makes more than {ITEM_UNITS_MAX} units of this item, with those before");
            faults.invalid(format_args!("{path}.units"), most);
        }
        if when.is_none() {
            faults.invalid(format_args!("{path}.when"), "must be set");
        }
        let when = trigger(faults, &format!("{path}.when"), when.as_ref(), scope);
        tranches.extend((|| Some(Tranche { id: name?, sku: known?, pool: into, units: *units, when: when? }))());
    }
    (tranches.len() == given.len()).then_some(tranches)
}
