//! How evenly units are spread over buyers: the Gini coefficient of the population, and the share of the 1 % of buyers
//! with most. Exact, in integers, from how many buyers have how many units.

use std::collections::BTreeMap;

use super::measure::Ratio;
use crate::number::basis_points;

/// How many buyers have each number of units.
#[derive(Debug, Clone, Default)]
pub(super) struct Concentration {
    by_units: BTreeMap<u64, u64>,
    buyers: u64,
    /// Their sum, which needs more than 64 bits where the units of many buyers do.
    units: u128,
}

impl Concentration {
    /// Of the units of each buyer.
    pub(super) fn of(units_of_buyers: impl Iterator<Item = u64>) -> Self {
        let mut found = Self::default();
        for units in units_of_buyers {
            let buyers = found.by_units.entry(units).or_default();
            *buyers = buyers.saturating_add(1);
            found.buyers = found.buyers.saturating_add(1);
            found.units = found.units.saturating_add(u128::from(units));
        }
        found
    }

    /// Units of the 1 % of buyers with most, rounded down to whole buyers, but one at least; of all units.
    pub(super) fn top_1_percent(&self) -> Option<Ratio> {
        let mut rest = (self.buyers / 100).max(1);
        let mut top: i128 = 0;
        for (units, buyers) in self.by_units.iter().rev() {
            let taken = rest.min(*buyers);
            top = top.saturating_add(i128::from(*units).saturating_mul(i128::from(taken)));
            rest = rest.saturating_sub(taken);
        }
        (self.units > 0).then_some(Ratio { part: top, whole: self.units })
    }

    /// `sum over buyers i of (2i - n - 1) x_i, by n * sum of x`, buyers in the order of their units, in basis points: 0
    /// where all have the same. Nothing without units, or where the sums do not fit.
    pub(super) fn gini(&self) -> Option<u32> {
        let (buyers, units) = (i128::from(self.buyers), i128::try_from(self.units).ok()?);
        let (mut before, mut sum) = (0_i128, 0_i128);
        for (units, many) in &self.by_units {
            let (units, many) = (i128::from(*units), i128::from(*many));
            // Of `many` buyers behind `before` others the places add up to `many * (2 * before + many - n)`.
            let places = many.checked_mul(before.checked_mul(2)?.checked_add(many)?.checked_sub(buyers)?)?;
            sum = sum.checked_add(places.checked_mul(units)?)?;
            before = before.checked_add(many)?;
        }
        let whole = buyers.checked_mul(units)?;
        basis_points(u128::try_from(sum).ok()?, u128::try_from(whole).ok()?)
    }
}
