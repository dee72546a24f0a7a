//! A naive model of the engine: plain lists, sums over all holds, and all due holds expired before each step.
//!
//! It shares only types with the engine. The simulation checks every answer with it, and the engine's own tests check
//! random histories that they can shrink.

pub mod reserves;
pub mod rules;
pub mod says;
pub mod state;
pub mod stock;
pub mod updates;
pub mod words;

use std::collections::BTreeMap;

use stockade_types::definition::Definition;
use stockade_types::time::Millis;

use rules::Rule;
use words::{definition, pools};

/// Two drops of one series that sell the same items in another order.
pub const DROPS: [&str; 2] = ["d", "e"];
/// Their items. The last of each drop is added later.
pub const ITEMS: [[&str; 4]; 2] = [["A", "B", "C", "D"], ["C", "A", "B", "D"]];
/// The customers.
pub const CUSTOMERS: [&str; 3] = ["ada", "bob", "cleo"];
/// The default ttl of a hold. All times here are in milliseconds.
pub const TTL: u64 = 1_000;
/// The longest life of a hold.
pub const LIFE: u64 = 2_500;
/// The longest time of a payment.
pub const PAYMENT: u64 = 1_500;
/// How long after its closing a drop is archived. Other drops of its series still sell then.
pub const ARCHIVE_AFTER: u64 = 800;
/// Units sold in archived drops are counted by the hour.
pub const HOUR: u64 = 3_600_000;

/// The initial state of a drop in a history: units of each item by pool, and limits.
pub type Shape = (Vec<Vec<u64>>, Vec<Rule>);
/// An item and one of its pools, by their places in the drop.
pub type Place = (usize, u16);
/// Units by item and pool.
pub type Parts = BTreeMap<Place, u32>;
/// Units of items, by their places in the drop.
pub type Units = Vec<(usize, u32)>;

/// The drop of this number, in its initial state.
pub fn sale(drop: usize, (units, rules): &Shape) -> Definition {
    let items: Vec<_> = ITEMS[drop].iter().zip(units).map(|(sku, _)| (*sku, 0)).collect();
    let mut sale = definition(DROPS[drop], &items, &[]);
    sale.items.iter_mut().zip(units).for_each(|(item, units)| item.pools = pools(units));
    sale.limits = rules.iter().enumerate().map(|(place, rule)| rule.limit(place)).collect();
    sale.series = Some("winter".parse().expect("a series"));
    (sale.terms.hold_ttl, sale.terms.max_hold_life, sale.terms.payment_ttl) =
        (Millis(TTL), Millis(LIFE), Millis(PAYMENT));
    sale
}

/// A verb on a hold, named by its number in the history.
#[derive(Debug, Clone)]
pub enum Verb {
    Extend { hold: u64, ttl: Option<u64> },
    Stage { hold: u64, paying: bool },
    Claim { hold: u64, order: u8, late: bool, lines: Units },
    Release { hold: u64, keep: Units, abandon: bool },
    Return { hold: u64, returned: Units, restock: bool },
    Get { hold: u64 },
}

impl Verb {
    /// The hold's number.
    pub const fn hold(&self) -> u64 {
        match self {
            Self::Extend { hold, .. }
            | Self::Stage { hold, .. }
            | Self::Claim { hold, .. }
            | Self::Release { hold, .. }
            | Self::Return { hold, .. }
            | Self::Get { hold } => *hold,
        }
    }

    /// The same verb on another hold.
    #[must_use]
    pub fn about(mut self, other: u64) -> Self {
        match &mut self {
            Self::Extend { hold, .. }
            | Self::Stage { hold, .. }
            | Self::Claim { hold, .. }
            | Self::Release { hold, .. }
            | Self::Return { hold, .. }
            | Self::Get { hold } => *hold = other,
        }
        self
    }
}
