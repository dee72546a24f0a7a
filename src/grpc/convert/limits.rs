//! The limits of a drop as they are asked for.

use std::collections::HashMap;

use super::faults::Faults;
use super::fields::{enumeration, id};
use crate::definition::{Limit, MAX_LIMITS, Scope};
use crate::ids::LimitId;
use crate::proto as pb;

/// The one kind of subject that is built.
const CUSTOMER: &str = "customer";

/// All limits, or nothing with the faults noted.
pub fn limits(faults: &mut Faults, rules: &[pb::Limit]) -> Option<Vec<Limit>> {
    if rules.len() > MAX_LIMITS {
        faults.invalid("drop.limits", format_args!("must be at most {MAX_LIMITS}, not {}", rules.len()));
        return None;
    }
    let mut seen: HashMap<&str, usize> = HashMap::with_capacity(rules.len());
    let mut limits = Vec::with_capacity(rules.len());
    for (place, rule) in rules.iter().enumerate() {
        let name = id::<LimitId>(faults, format_args!("drop.limits[{place}].id"), &rule.id);
        let first = *seen.entry(rule.id.as_str()).or_insert(place);
        if name.is_some() && first != place {
            let description = format_args!("duplicates limits[{first}].id");
            faults.invalid(format_args!("drop.limits[{place}].id"), description);
        }
        let scope = scope(faults, place, rule.scope);
        let max_units = max_units(faults, place, rule);
        if let (Some(id), Some(scope), Some(max_units)) = (name, scope, max_units) {
            limits.push(Limit { max_units: Some(max_units), ..Limit::new(id, scope) });
        }
    }
    (limits.len() == rules.len()).then_some(limits)
}

fn scope(faults: &mut Faults, place: usize, number: i32) -> Option<Scope> {
    let field = format_args!("drop.limits[{place}].scope");
    match enumeration(faults, field, number)? {
        pb::LimitScope::Item => Some(Scope::Item),
        pb::LimitScope::Drop => Some(Scope::Drop),
        pb::LimitScope::Unspecified => {
            faults.invalid(field, "must be set");
            None
        }
        pb::LimitScope::Series | pb::LimitScope::Shop => {
            faults.unbuilt(true, field);
            None
        }
    }
}

/// The most units. A limit that limits nothing is a fault; one that limits in a way not built yet is not.
fn max_units(faults: &mut Faults, place: usize, rule: &pb::Limit) -> Option<u32> {
    let pb::Limit {
        id: _,
        scope: _,
        skus,
        identity_kind,
        max_units,
        max_units_by_tier,
        max_live_units,
        max_live_holds,
        rolling,
        cooldown,
    } = rule;
    let other_kind = !identity_kind.is_empty() && identity_kind != CUSTOMER;
    let others = [
        (!max_units_by_tier.is_empty(), "max_units_by_tier"),
        (max_live_units.is_some(), "max_live_units"),
        (max_live_holds.is_some(), "max_live_holds"),
        (cooldown.is_some(), "cooldown"),
    ];
    let limits_otherwise = others.iter().any(|(set, _)| *set);
    let qualifiers = [(!skus.is_empty(), "skus"), (other_kind, "identity_kind"), (rolling.is_some(), "rolling")];
    for (set, field) in qualifiers.into_iter().chain(others) {
        faults.unbuilt(set, format_args!("drop.limits[{place}].{field}"));
    }
    if max_units.is_none() && !limits_otherwise {
        faults.invalid(format_args!("drop.limits[{place}].max_units"), "must be set: a limit has to limit something");
    }
    *max_units
}
