//! The tiers and zones that a drop names: by these its customers are told apart in its report.

use super::{Audience, Definition};
use crate::ids::{TierId, ZoneId};

/// Tiers and zones that rules and limits of a drop name, each ascending and once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cohorts {
    tiers: Box<[TierId]>,
    zones: Box<[ZoneId]>,
}

impl Cohorts {
    /// Those of a drop.
    #[must_use]
    pub fn of(definition: &Definition) -> Self {
        let Definition { items, limits, rules, .. } = definition;
        let of_windows = rules.windows.iter().map(|window| &window.audience);
        let of_pools = items.iter().flat_map(|item| &item.pools).map(|pool| &pool.audience);
        let of_prices = rules.prices.iter().map(|terms| &terms.audience);
        let of_conduct = rules.conduct.iter().map(|rule| &rule.audience);
        let audiences =
            || of_windows.clone().chain(of_pools.clone()).chain(of_prices.clone()).chain(of_conduct.clone());
        let of_limits = limits.iter().flat_map(|limit| limit.max_units_by_tier.keys());
        let named = |audience: &'_ Audience| audience.tiers.clone();
        let mut tiers: Vec<TierId> = audiences().flat_map(named).chain(of_limits.cloned()).collect();
        let mut zones: Vec<ZoneId> = audiences().flat_map(|audience| audience.zones.clone()).collect();
        zones.extend(rules.zones.iter().cloned());
        tiers.sort_unstable();
        tiers.dedup();
        zones.sort_unstable();
        zones.dedup();
        Self { tiers: tiers.into(), zones: zones.into() }
    }

    /// The first of a customer's tiers that the drop names.
    #[must_use]
    pub fn tier<'t>(&self, tiers: &'t [TierId]) -> Option<&'t TierId> {
        tiers.iter().find(|tier| self.tiers.binary_search(tier).is_ok())
    }

    /// The first of a customer's zones that the drop names.
    #[must_use]
    pub fn zone<'z>(&self, zones: &'z [ZoneId]) -> Option<&'z ZoneId> {
        zones.iter().find(|zone| self.zones.binary_search(zone).is_ok())
    }
}
