//! The tiers that a drop names: by these its customers are told apart in what is measured.

use super::{Audience, Definition};
use crate::ids::TierId;

/// The tiers that rules and limits of a drop name, ascending and each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedTiers(Box<[TierId]>);

impl NamedTiers {
    /// Those of a drop.
    #[must_use]
    pub fn of(definition: &Definition) -> Self {
        let Definition { items, limits, rules, .. } = definition;
        let of_windows = rules.windows.iter().map(|window| &window.audience);
        let of_pools = items.iter().flat_map(|item| &item.pools).map(|pool| &pool.audience);
        let of_prices = rules.prices.iter().map(|terms| &terms.audience);
        let of_conduct = rules.conduct.iter().map(|rule| &rule.audience);
        let audiences = of_windows.chain(of_pools).chain(of_prices).chain(of_conduct);
        let of_limits = limits.iter().flat_map(|limit| limit.max_units_by_tier.keys());
        let named = |audience: &Audience| audience.tiers.clone();
        let mut tiers: Vec<TierId> = audiences.flat_map(named).chain(of_limits.cloned()).collect();
        tiers.sort_unstable();
        tiers.dedup();
        Self(tiers.into())
    }

    /// The first of a customer's tiers that the drop names.
    #[must_use]
    pub fn first_of<'t>(&self, tiers: &'t [TierId]) -> Option<&'t TierId> {
        tiers.iter().find(|tier| self.0.binary_search(tier).is_ok())
    }
}
