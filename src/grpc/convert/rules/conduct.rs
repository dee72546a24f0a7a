//! Rules of conduct.

use stockade_proto as pb;
use stockade_types::definition::{
    CONDUCT_AT_LEAST_MAX, CONDUCT_RULES_MAX, CONDUCT_WITHIN_MIN, Conduct, ConductRule, Limit, ORDERS_WITHIN_MAX, Scope,
};
use stockade_types::ids::{IdentityKind, LimitId};

use super::super::answer::CUSTOMER;
use super::super::drop::{TTL_MAX, TTL_MIN, TTL_RANGE};
use super::super::faults::Faults;
use super::super::fields::{enumeration, id, span};
use super::super::limits::{COOLDOWN_MAX, COOLDOWN_RANGE};
use super::reach::{audience, entry_id};

const LIST: &str = "drop.conduct";

/// All rules of conduct of a drop; `None` with the faults recorded.
pub(super) fn conduct(faults: &mut Faults, drop: &pb::Drop) -> Option<Vec<ConductRule>> {
    let given = &drop.conduct;
    if given.len() > CONDUCT_RULES_MAX {
        faults.invalid(LIST, format_args!("must be at most {CONDUCT_RULES_MAX}, not {}", given.len()));
        return None;
    }
    let mut rules = Vec::with_capacity(given.len());
    for (place, rule) in given.iter().enumerate() {
        let path = format!("{LIST}[{place}]");
        let name = entry_id(faults, (LIST, place), (&rule.id, given.iter().map(|rule| &rule.id)));
        if let Some(limit) = drop.limits.iter().position(|limit| name.is_some() && limit.id == rule.id) {
            // Both are named by refusals in the same place.
            faults.invalid(format_args!("{path}.id"), format_args!("duplicates limits[{limit}].id"));
        }
        rules.extend(of_rule(faults, &path, name, rule));
    }
    (rules.len() == given.len()).then_some(rules)
}

fn of_rule(faults: &mut Faults, path: &str, name: Option<LimitId>, rule: &pb::ConductRule) -> Option<ConductRule> {
    let pb::ConductRule {
        id: _,
        identity_kind,
        counts,
        at_least,
        within,
        audience: whom,
        hold_ttl,
        max_live_units,
        max_units,
        cooldown,
    } = rule;
    let counts = counted(faults, path, *counts);
    if !(1..=CONDUCT_AT_LEAST_MAX).contains(at_least) {
        faults.invalid(format_args!("{path}.at_least"), format_args!("must be 1-{CONDUCT_AT_LEAST_MAX}"));
    }
    let lasts = span(faults, format_args!("{path}.within"), within.as_ref());
    if within.is_none() {
        faults.invalid(format_args!("{path}.within"), "must be set");
    }
    let longest = counts.map_or(ORDERS_WITHIN_MAX, Conduct::within_max);
    if lasts.is_some_and(|lasts| !(CONDUCT_WITHIN_MIN..=longest).contains(&lasts)) {
        faults.invalid(
            format_args!("{path}.within"),
            match counts {
                Some(Conduct::UnclaimedHolds) => "must be 1 minute to 24h: ended holds are remembered for so long",
                Some(Conduct::Cancellations | Conduct::Chargebacks | Conduct::Returns) | None => {
                    "must be 1 minute to 400 days"
                }
            },
        );
    }
    let audience = audience(faults, &format!("{path}.audience"), whom.as_ref());
    let is_customer = identity_kind.is_empty() || identity_kind == CUSTOMER;
    let identity_kind: Option<Option<IdentityKind>> = if is_customer {
        Some(None)
    } else {
        id(faults, format_args!("{path}.identity_kind"), identity_kind).map(Some)
    };
    let ttl = span(faults, format_args!("{path}.hold_ttl"), hold_ttl.as_ref());
    if ttl.is_some_and(|ttl| !(TTL_MIN..=TTL_MAX).contains(&ttl)) {
        faults.invalid(format_args!("{path}.hold_ttl"), TTL_RANGE);
    }
    let pause = span(faults, format_args!("{path}.cooldown"), cooldown.as_ref());
    if pause.is_some_and(|pause| pause > COOLDOWN_MAX) {
        faults.invalid(format_args!("{path}.cooldown"), COOLDOWN_RANGE);
    }
    if hold_ttl.is_none() && cooldown.is_none() && max_live_units.is_none() && max_units.is_none() {
        let description = "needs one of hold_ttl, max_live_units, max_units and cooldown: a rule has to cost something";
        faults.invalid(path, description);
    }
    Some(ConductRule {
        counts: counts?,
        at_least: *at_least,
        within: lasts?,
        audience,
        hold_ttl: ttl,
        limit: Limit {
            identity_kind: identity_kind?,
            max_units: *max_units,
            max_live_units: *max_live_units,
            cooldown: pause,
            ..Limit::new(name?, Scope::Drop)
        },
    })
}

/// What a rule counts.
fn counted(faults: &mut Faults, path: &str, number: i32) -> Option<Conduct> {
    let field = format_args!("{path}.counts");
    match enumeration(faults, field, number)? {
        pb::Conduct::UnclaimedHolds => Some(Conduct::UnclaimedHolds),
        pb::Conduct::Cancellations => Some(Conduct::Cancellations),
        pb::Conduct::Chargebacks => Some(Conduct::Chargebacks),
        pb::Conduct::Returns => Some(Conduct::Returns),
        pb::Conduct::Unspecified => {
            faults.invalid(field, "must be set");
            None
        }
    }
}
