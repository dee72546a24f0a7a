//! A naive model of the engine: plain lists, sums over all holds, and all due holds expired before each step.
//!
//! It shares only types with the engine. The simulation checks every answer with it, and the engine's own tests check
//! random histories that they can shrink.

pub mod conduct;
pub mod defined;
pub mod marks;
pub mod offers;
pub mod plan;
pub mod reserves;
pub mod rules;
pub mod sale;
pub mod says;
pub mod state;
pub mod stock;
pub mod updates;
pub mod words;

use std::collections::BTreeMap;

use stockade_types::definition::Definition;
use stockade_types::ids::PoolId;
use stockade_types::time::Millis;

use plan::Plan;
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

/// The initial state of a drop in a history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shape {
    /// Units of each item by pool.
    pub units: Vec<Vec<u64>>,
    pub limits: Vec<Rule>,
    pub plan: Plan,
}

/// An item and one of its pools, by their places in the drop.
pub type Place = (usize, u16);

/// What a hold's units are of: item and pool, and what is pinned to them, the window that they came through and the
/// number of their price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    pub item: usize,
    pub pool: u16,
    pub window: Option<u8>,
    pub offer: Option<usize>,
}

impl Part {
    pub const fn place(self) -> Place {
        (self.item, self.pool)
    }
}

/// Units by what they are of.
pub type Parts = BTreeMap<Part, u32>;

/// Units of an item, or of one of its pools, as a line of a request names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    pub item: usize,
    pub pool: Option<u16>,
    pub units: u32,
}

impl From<(usize, u32)> for Wanted {
    fn from((item, units): (usize, u32)) -> Self {
        Self { item, pool: None, units }
    }
}

impl Wanted {
    /// Whether it asks for units of this pool.
    pub fn is_of(self, (item, pool): Place) -> bool {
        self.item == item && self.pool.is_none_or(|named| named == pool)
    }

    /// A refusal of it as text, with at most `available` units.
    pub fn reported(self, drop: usize, reason: &str, available: u32) -> String {
        let pool = self.pool.map(words::pool_id);
        let units = (available.min(self.units), self.units);
        words::refused_line(ITEMS[drop][self.item], pool.as_ref().map(PoolId::as_str), reason, units)
    }
}

/// Lines of a request, in its order.
pub type Units = Vec<Wanted>;

/// The lines in the order in which they are served: by item, of each item those first that name a pool.
pub fn in_order(lines: &[Wanted]) -> Units {
    let mut lines = lines.to_vec();
    lines.sort_by_key(|line| (line.item, line.pool.is_none(), line.pool));
    lines
}

/// The units of each item, in the order in which the lines name them first.
pub fn by_item(lines: &[Wanted]) -> Vec<(usize, u32)> {
    let mut all: Vec<(usize, u32)> = Vec::new();
    for line in lines {
        match all.iter_mut().find(|(item, _)| *item == line.item) {
            Some((_, units)) => *units += line.units,
            None => all.push((line.item, line.units)),
        }
    }
    all
}

/// The drop of this number, in its initial state.
pub fn sale(drop: usize, Shape { units, limits, plan }: &Shape) -> Definition {
    let items: Vec<_> = ITEMS[drop].iter().zip(units).map(|(sku, _)| (*sku, 0)).collect();
    let mut sale = definition(DROPS[drop], &items, &[]);
    sale.items.iter_mut().zip(units).for_each(|(item, units)| item.pools = pools(units));
    sale.limits = limits.iter().enumerate().map(|(place, rule)| rule.limit(place)).collect();
    sale.series = Some("winter".parse().expect("a series"));
    (sale.terms.hold_ttl, sale.terms.max_hold_life, sale.terms.payment_ttl) =
        (Millis(TTL), Millis(LIFE), Millis(PAYMENT));
    let instant = |at| words::START.plus(Millis(at));
    sale.schedule.opens_at = (plan.opens > 0).then(|| instant(plan.opens));
    sale.schedule.closes_at = plan.closes.map(instant);
    plan.apply(drop, &mut sale);
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

    /// The units that its lines name.
    pub fn units(&self) -> &Units {
        const NONE: &Units = &Vec::new();
        match self {
            Self::Claim { lines, .. } => lines,
            Self::Release { keep, .. } => keep,
            Self::Return { returned, .. } => returned,
            Self::Extend { .. } | Self::Stage { .. } | Self::Get { .. } => NONE,
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
