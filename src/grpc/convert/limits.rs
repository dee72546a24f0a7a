//! Converts the limits of a drop.

use std::collections::{BTreeMap, HashMap};

use stockade_proto as pb;
use stockade_types::definition::{LIMIT_SKUS_MAX, LIMIT_TIERS_MAX, LIMITS_MAX, Limit, Scope};
use stockade_types::ids::{IdentityKind, LimitId, Sku, TierId};
use stockade_types::time::Millis;

use super::answer::CUSTOMER;
use super::faults::Faults;
use super::fields::{enumeration, id, span};

const ROLLING_MAX: Millis = Millis::from_secs(366 * 24 * 60 * 60);
pub(super) const COOLDOWN_MAX: Millis = Millis::from_secs(24 * 60 * 60);
pub(super) const COOLDOWN_RANGE: &str = "must be 1ms to 24h";

/// All limits of a drop; `None` with the faults recorded.
pub(super) fn limits(faults: &mut Faults, rules: &[pb::Limit], drop: &pb::Drop) -> Option<Vec<Limit>> {
    if rules.len() > LIMITS_MAX {
        faults.invalid("drop.limits", format_args!("must be at most {LIMITS_MAX}, not {}", rules.len()));
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
        limits.extend(Rule { faults, place, asked: rule, drop }.limit(name));
    }
    (limits.len() == rules.len()).then_some(limits)
}

/// One limit of a drop.
struct Rule<'a> {
    faults: &'a mut Faults,
    place: usize,
    asked: &'a pb::Limit,
    drop: &'a pb::Drop,
}

impl Rule<'_> {
    fn limit(&mut self, name: Option<LimitId>) -> Option<Limit> {
        let pb::Limit {
            id: _,
            scope,
            skus,
            identity_kind,
            max_units,
            max_units_by_tier,
            max_live_units,
            max_live_holds,
            rolling,
            cooldown,
        } = self.asked;
        let scope = self.scope(*scope);
        let skus = self.skus(skus, scope);
        let identity_kind = self.kind(identity_kind);
        let by_tier = self.tiers(max_units_by_tier);
        let units = max_units.is_some() || !max_units_by_tier.is_empty();
        if !units && max_live_units.is_none() && max_live_holds.is_none() && cooldown.is_none() {
            self.invalid("max_units", "must be set: a limit has to limit something");
        }
        if rolling.is_some() && !units {
            self.invalid("rolling", "needs max_units or max_units_by_tier: it says which of them count");
        }
        let rolling = self.span("rolling", rolling.as_ref(), (ROLLING_MAX, "must be 1ms to 366 days"));
        let cooldown = self.span("cooldown", cooldown.as_ref(), (COOLDOWN_MAX, COOLDOWN_RANGE));
        Some(Limit {
            id: name?,
            scope: scope?,
            skus,
            identity_kind,
            max_units: *max_units,
            max_units_by_tier: by_tier,
            max_live_units: *max_live_units,
            max_live_holds: *max_live_holds,
            rolling,
            cooldown,
        })
    }

    fn scope(&mut self, number: i32) -> Option<Scope> {
        let place = self.place;
        match enumeration(self.faults, format_args!("drop.limits[{place}].scope"), number)? {
            pb::LimitScope::Item => Some(Scope::Item),
            pb::LimitScope::Drop => Some(Scope::Drop),
            pb::LimitScope::Series => {
                if self.drop.series.is_empty() {
                    self.invalid("scope", "is the series: drop.series must be set");
                }
                Some(Scope::Series)
            }
            pb::LimitScope::Shop => Some(Scope::Shop),
            pb::LimitScope::Unspecified => {
                self.invalid("scope", "must be set");
                None
            }
        }
    }

    /// The SKUs that it counts, sorted. For a limit within this drop they must be items of the drop.
    fn skus(&mut self, named: &[String], scope: Option<Scope>) -> Vec<Sku> {
        if named.len() > LIMIT_SKUS_MAX {
            self.invalid("skus", format_args!("must be at most {LIMIT_SKUS_MAX}, not {}", named.len()));
            return Vec::new();
        }
        let here = matches!(scope, Some(Scope::Item | Scope::Drop));
        let mut seen: HashMap<&str, usize> = HashMap::with_capacity(named.len());
        let mut skus: Vec<Sku> = Vec::with_capacity(named.len());
        let limit = self.place;
        for (place, text) in named.iter().enumerate() {
            let Some(sku) = id::<Sku>(self.faults, format_args!("drop.limits[{limit}].skus[{place}]"), text) else {
                continue;
            };
            let first = *seen.entry(text).or_insert(place);
            if first != place {
                self.invalid(format_args!("skus[{place}]"), format_args!("duplicates skus[{first}]"));
            } else if here && !self.drop.items.iter().any(|item| item.sku == *text) {
                self.invalid(format_args!("skus[{place}]"), "is no item of this drop");
            }
            skus.push(sku);
        }
        skus.sort_unstable();
        skus
    }

    /// The kind of identity; `None` for the customer.
    fn kind(&mut self, kind: &str) -> Option<IdentityKind> {
        if kind.is_empty() || kind == CUSTOMER {
            return None;
        }
        let place = self.place;
        id(self.faults, format_args!("drop.limits[{place}].identity_kind"), kind)
    }

    fn tiers(&mut self, named: &HashMap<String, u32>) -> BTreeMap<TierId, u32> {
        if named.len() > LIMIT_TIERS_MAX {
            self.invalid("max_units_by_tier", format_args!("must be at most {LIMIT_TIERS_MAX}, not {}", named.len()));
            return BTreeMap::new();
        }
        // Sorted, so that the same faults are reported in the same order.
        let named: BTreeMap<&String, &u32> = named.iter().collect();
        let mut tiers = BTreeMap::new();
        for (tier, most) in named {
            match TierId::try_from(tier.as_str()) {
                Ok(tier) => {
                    tiers.insert(tier, *most);
                }
                Err(error) => {
                    let shown: String = tier.chars().take(stockade_types::ids::SLUG_MAX).collect();
                    self.invalid(format_args!("max_units_by_tier[{shown}]"), error);
                }
            }
        }
        tiers
    }

    fn span(
        &mut self,
        name: &str,
        given: Option<&prost_types::Duration>,
        (longest, range): (Millis, &str),
    ) -> Option<Millis> {
        let place = self.place;
        let span = span(self.faults, format_args!("drop.limits[{place}].{name}"), given)?;
        if span > longest {
            self.invalid(name, range);
        }
        Some(span)
    }

    fn invalid(&mut self, field: impl std::fmt::Display, description: impl std::fmt::Display) {
        self.faults.invalid(format_args!("drop.limits[{}].{field}", self.place), description);
    }
}
