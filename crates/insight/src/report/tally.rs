//! The tally of a drop's orders: each order is counted once, and what is kept grows with buyers, not with orders.

use std::collections::BTreeMap;

use foldhash::fast::FixedState;
use hashbrown::hash_map::Entry;
use hashbrown::{HashMap, HashSet};
use stockade_types::definition::{Currency, Money};
use stockade_types::ids::SubjectKey;
use stockade_types::time::{Millis, Timestamp};

use super::concentration::Concentration;
use super::measure::Ratio;
use super::spans::Spans;
use super::{MoneyLine, Share};
use crate::number::basis_points;

/// Most tiers, zones, windows and pools, each: more than a drop may name.
pub const KEYS_MAX: usize = 1_024;
/// Most buyers, and most pairs of a buyer with a tier, a zone, a window or a pool each.
pub const BUYERS_MAX: usize = 1 << 24;
/// Most lines of money.
pub const MONEY_LINES_MAX: usize = 16_384;

/// An order: a hold that was claimed.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// Who bought.
    pub buyer: SubjectKey,
    /// Whether it is the buyer's first purchase in the shop.
    pub is_first: bool,
    /// The buyer's tier, as far as the drop names it.
    pub tier: &'a str,
    /// The buyer's zone, likewise.
    pub zone: &'a str,
    /// When the hold was made.
    pub held_at: Timestamp,
    /// When it was claimed.
    pub claimed_at: Timestamp,
    /// What was claimed.
    pub lines: &'a [OrderLine<'a>],
}

/// A line of an order.
#[derive(Debug, Clone, Copy)]
pub struct OrderLine<'a> {
    /// The SKU.
    pub sku: &'a str,
    /// The window through which it was reserved; empty for none.
    pub window: &'a str,
    /// The pool.
    pub pool: &'a str,
    /// The terms; empty for none.
    pub terms: &'a str,
    /// Units claimed.
    pub units: u32,
    /// Of them, units that came back.
    pub returned: u32,
    /// The price of a unit, where there is one.
    pub price: Option<Money>,
    /// What a unit costs, where it is known.
    pub cost: Option<Money>,
}

/// An order that can't be counted. It has been counted in part: the tally is of no use any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TallyError {
    /// A sum does not fit.
    #[error("{0}: the sum does not fit")]
    Overflow(&'static str),
    /// More of them than there may be.
    #[error("{0}: too many")]
    TooMany(&'static str),
    /// More units came back than were claimed.
    #[error("returned: more than claimed")]
    Returned,
}

/// What the orders came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TallyFigures {
    /// Orders.
    pub orders: u64,
    /// Units claimed.
    pub units_claimed: u64,
    /// Of them, units that came back.
    pub units_returned: u64,
    /// Buyers.
    pub buyers: u64,
    /// Buyers who had bought before.
    pub repeat_buyers: u64,
    /// Units of the 1 % of buyers with most, of all.
    pub top_1_percent: Option<Ratio>,
    /// The Gini coefficient, in basis points.
    pub gini: Option<u32>,
    /// From the opening until half of the received units were claimed.
    pub time_to_half: Option<Millis>,
    /// From hold to claim.
    pub median_time_to_claim: Option<Millis>,
    /// Units by tier,
    pub by_tier: Vec<Share>,
    /// by zone,
    pub by_zone: Vec<Share>,
    /// by window,
    pub by_window: Vec<Share>,
    /// and by pool, most first.
    pub by_pool: Vec<Share>,
    /// Money, by SKU, terms, tier and currency.
    pub money: Vec<MoneyLine>,
}

/// Counts orders.
#[derive(Debug, Clone)]
pub struct Tally {
    opens_at: Timestamp,
    orders: u64,
    units: u64,
    returned: u64,
    buyers: HashMap<u128, Buyer, FixedState>,
    claims: Spans,
    to_claim: Spans,
    tiers: Keys,
    zones: Keys,
    windows: Keys,
    pools: Keys,
    money: BTreeMap<MoneyKey, MoneySum>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Buyer {
    units: u64,
    has_bought_before: bool,
}

/// Units and buyers by key.
#[derive(Debug, Clone, Default)]
struct Keys {
    by_id: BTreeMap<String, Key>,
    /// Pairs of a buyer with a key.
    pairs: usize,
}

#[derive(Debug, Clone, Default)]
struct Key {
    units: u64,
    buyers: HashSet<u128, FixedState>,
}

type MoneyKey = (String, String, String, Currency);

#[derive(Debug, Clone, Copy, Default)]
struct MoneySum {
    units: u64,
    revenue: i64,
    /// Units of which the cost is known in the same currency, and their cost.
    with_cost: u64,
    cost: i64,
}

impl Tally {
    /// Of a drop that opens at an instant.
    #[must_use]
    pub fn new(opens_at: Timestamp) -> Self {
        Self {
            opens_at,
            orders: 0,
            units: 0,
            returned: 0,
            buyers: HashMap::default(),
            claims: Spans::default(),
            to_claim: Spans::default(),
            tiers: Keys::default(),
            zones: Keys::default(),
            windows: Keys::default(),
            pools: Keys::default(),
            money: BTreeMap::new(),
        }
    }

    /// Counts an order.
    ///
    /// # Errors
    /// [`TallyError`], which names what does not fit.
    pub fn add(&mut self, order: &Order<'_>) -> Result<(), TallyError> {
        let Order { buyer: SubjectKey(buyer), is_first, tier, zone, held_at, claimed_at, lines } = *order;
        let mut units: u64 = 0;
        for line in lines {
            if line.returned > line.units {
                return Err(TallyError::Returned);
            }
            units = units.saturating_add(u64::from(line.units));
            self.returned = add("units_returned", self.returned, u64::from(line.returned))?;
            self.windows.add("by_window", line.window, buyer, u64::from(line.units))?;
            self.pools.add("by_pool", line.pool, buyer, u64::from(line.units))?;
            self.add_money(tier, line)?;
        }
        self.units = add("units_claimed", self.units, units)?;
        self.orders = add("orders", self.orders, 1)?;
        self.tiers.add("by_tier", tier, buyer, units)?;
        self.zones.add("by_zone", zone, buyer, units)?;
        self.claims.add(self.opens_at.until(claimed_at), units);
        self.to_claim.add(held_at.until(claimed_at), 1);
        if self.buyers.len() >= BUYERS_MAX && !self.buyers.contains_key(&buyer) {
            return Err(TallyError::TooMany("buyers"));
        }
        let known = match self.buyers.entry(buyer) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Buyer { units: 0, has_bought_before: true }),
        };
        known.units = known.units.saturating_add(units);
        // Of several orders in this drop, one may be the first of all.
        known.has_bought_before &= !is_first;
        Ok(())
    }

    fn add_money(&mut self, tier: &str, line: &OrderLine<'_>) -> Result<(), TallyError> {
        let Some(price) = line.price else { return Ok(()) };
        let key = (line.sku.to_owned(), line.terms.to_owned(), tier.to_owned(), price.currency);
        if self.money.len() >= MONEY_LINES_MAX && !self.money.contains_key(&key) {
            return Err(TallyError::TooMany("money"));
        }
        let sum = self.money.entry(key).or_default();
        let kept = u64::from(line.units.saturating_sub(line.returned));
        sum.units = add("money.units", sum.units, kept)?;
        sum.revenue = add_amount("money.revenue", sum.revenue, price, kept)?;
        if let Some(cost) = line.cost.filter(|cost| cost.currency == price.currency) {
            sum.cost = add_amount("money.cost", sum.cost, cost, kept)?;
            sum.with_cost = add("money.units", sum.with_cost, kept)?;
        }
        Ok(())
    }

    /// What they came to, of this number of units received.
    #[must_use]
    pub fn figures(&self, units_received: u64) -> TallyFigures {
        let concentration = Concentration::of(self.buyers.values().map(|buyer| buyer.units));
        let repeat = self.buyers.values().filter(|buyer| buyer.has_bought_before).count();
        TallyFigures {
            orders: self.orders,
            units_claimed: self.units,
            units_returned: self.returned,
            buyers: u64::try_from(self.buyers.len()).unwrap_or(u64::MAX),
            repeat_buyers: u64::try_from(repeat).unwrap_or(u64::MAX),
            top_1_percent: concentration.top_1_percent(),
            gini: concentration.gini(),
            time_to_half: self.claims.reached(units_received.div_ceil(2)),
            median_time_to_claim: self.to_claim.median(),
            by_tier: self.tiers.shares(self.units),
            by_zone: self.zones.shares(self.units),
            by_window: self.windows.shares(self.units),
            by_pool: self.pools.shares(self.units),
            money: self.money.iter().map(|(key, sum)| sum.line(key)).collect(),
        }
    }
}

impl Keys {
    fn add(&mut self, field: &'static str, id: &str, buyer: u128, units: u64) -> Result<(), TallyError> {
        if !self.by_id.contains_key(id) {
            if self.by_id.len() >= KEYS_MAX {
                return Err(TallyError::TooMany(field));
            }
            self.by_id.insert(id.to_owned(), Key::default());
        }
        if let Some(key) = self.by_id.get_mut(id) {
            key.units = add(field, key.units, units)?;
            self.pairs += usize::from(key.buyers.insert(buyer));
        }
        if self.pairs > BUYERS_MAX { Err(TallyError::TooMany(field)) } else { Ok(()) }
    }

    fn shares(&self, all: u64) -> Vec<Share> {
        let share = |(id, key): (&String, &Key)| Share {
            id: id.clone(),
            units: key.units,
            basis_points: basis_points(u128::from(key.units), u128::from(all)).unwrap_or(0),
            buyers: u64::try_from(key.buyers.len()).unwrap_or(u64::MAX),
            refused: None,
        };
        let mut shares: Vec<Share> = self.by_id.iter().map(share).collect();
        shares.sort_by(|a, b| b.units.cmp(&a.units).then_with(|| a.id.cmp(&b.id)));
        shares
    }
}

impl MoneySum {
    fn line(&self, (sku, terms, tier, currency): &MoneyKey) -> MoneyLine {
        let money = |minor_units| Money { currency: *currency, minor_units };
        MoneyLine {
            sku: sku.clone(),
            terms: terms.clone(),
            tier: tier.clone(),
            units: self.units,
            revenue: money(self.revenue),
            cost: (self.with_cost == self.units && self.units > 0).then(|| money(self.cost)),
        }
    }
}

fn add(field: &'static str, sum: u64, more: u64) -> Result<u64, TallyError> {
    sum.checked_add(more).ok_or(TallyError::Overflow(field))
}

fn add_amount(field: &'static str, sum: i64, each: Money, units: u64) -> Result<i64, TallyError> {
    let all = i64::try_from(units).ok().and_then(|units| each.minor_units.checked_mul(units));
    all.and_then(|all| sum.checked_add(all)).ok_or(TallyError::Overflow(field))
}
