//! What came of a drop: the figures of a report, and how they follow from what was counted.
//!
//! Shares and rates are in basis points. What can't be known is left out, never 0. Sums are integers: what would not fit
//! is refused, never wrapped.

mod concentration;
mod demand;
mod figures;
mod measure;
mod spans;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use stockade_types::definition::Money;
use stockade_types::time::{Millis, Timestamp};

use crate::guardrail::Finding;

pub use demand::{DemandTotals, bucket_of};
pub use figures::{Afterwards, Figures, HoldCounts, SaleCounts};
pub use measure::{MEASURES, Measure, Ratio};
pub use tally::{BUYERS_MAX, KEYS_MAX, MONEY_LINES_MAX, Order, OrderLine, Tally, TallyError, TallyFigures};

/// The report of a drop, as the contract has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The drop.
    pub drop_id: String,
    /// Its shop.
    pub shop: String,
    /// Its series; empty where it has none.
    pub series: String,
    /// Its opening.
    pub opens_at: Timestamp,
    /// Closed, and no hold is live.
    pub sale_over: bool,
    /// When it was measured.
    pub as_of: Timestamp,

    /// Units received.
    pub units_received: u64,
    /// Units ever claimed.
    pub units_claimed: u64,
    /// Units that came back until the sale was over.
    pub units_returned: u64,
    /// Claimed less returned, of received less withdrawn.
    pub sell_through: Option<u32>,
    /// From the opening until half of the received units were claimed.
    pub time_to_half: Option<Millis>,
    /// From the opening until first nothing was free.
    pub time_to_sold_out: Option<Millis>,
    /// How often nothing was free.
    pub times_sold_out: u32,

    /// Reserves that were decided.
    pub requests: Option<u64>,
    /// Of them, refused ones.
    pub refused: Option<u64>,
    /// Refused ones by reason, with the labels of [`Reason`](stockade_types::refusal::Reason).
    pub refused_by_reason: BTreeMap<String, u64>,
    /// Customers who asked, within 2 %.
    pub customers: Option<u64>,
    /// Customers by the mean units of a request, to units received.
    pub demand_to_stock: Option<u32>,
    /// Most requests in one second.
    pub peak_per_second: Option<u64>,
    /// Requests over time.
    pub demand: Vec<DemandBucket>,
    /// Units asked for by all requests.
    pub units_asked: Option<u64>,
    /// Of how much of the sale counts were lost.
    pub demand_missing: Option<Millis>,

    /// Holds that were made.
    pub holds: u64,
    /// Holds that expired.
    pub holds_expired: u64,
    /// Holds that expired or were released whole, of those and claimed ones.
    pub abandonment_rate: Option<u32>,
    /// Claims after the deadline that were served.
    pub late_claims: u64,
    /// Claims after the deadline that were refused.
    pub late_claims_refused: Option<u64>,
    /// From hold to claim.
    pub median_time_to_claim: Option<Millis>,

    /// Customers who claimed something.
    pub buyers: u64,
    /// Of units ever claimed, those of the 1 % of buyers with most.
    pub top_1_percent_share: Option<u32>,
    /// The Gini coefficient of units ever claimed by buyer.
    pub gini: Option<u32>,
    /// Requests that a limit stopped.
    pub stopped_by_limits: Option<u64>,
    /// Claimed units by tier,
    pub by_tier: Vec<Share>,
    /// by zone,
    pub by_zone: Vec<Share>,
    /// by window,
    pub by_window: Vec<Share>,
    /// and by pool.
    pub by_pool: Vec<Share>,

    /// Revenue, and cost where it is known.
    pub money: Vec<MoneyLine>,

    /// Buyers who had bought in the shop before, of all.
    pub repeat_fraction: Option<u32>,
    /// Units returned, of all claimed.
    pub return_rate: Option<u32>,
    /// Orders cancelled, of all.
    pub cancellation_rate: Option<u32>,
    /// Orders charged back, of all.
    pub chargeback_rate: Option<u32>,
    /// Promoters less detractors, of those who answered: -100 to 100.
    pub nps: Option<i32>,
    /// How many answered.
    pub nps_answers: u32,
    /// Contacts to the support by orders.
    pub support_contact_rate: Option<u32>,
    /// Orders.
    pub orders: u64,
    /// Units claimed after the sale was over.
    pub units_claimed_late: u64,

    /// Of guardrails, worst first.
    pub findings: Vec<Finding>,
}

/// Requests in a piece of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DemandBucket {
    /// Milliseconds from the opening to where it begins; negative before.
    pub after_open: i64,
    /// How long it is.
    pub width: Millis,
    /// Requests in it.
    pub requests: u64,
    /// Units that were held in it.
    pub units_held: u64,
}

/// A part of what was claimed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Share {
    /// Of which tier, zone, window or pool; empty for none.
    pub id: String,
    /// Units claimed.
    pub units: u64,
    /// Of all units claimed.
    pub basis_points: u32,
    /// Buyers.
    pub buyers: u64,
    /// Requests refused; known by tier alone.
    pub refused: Option<u64>,
}

/// Money of one SKU at one price to one tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoneyLine {
    /// The SKU.
    pub sku: String,
    /// The terms; empty for none.
    pub terms: String,
    /// The tier; empty for none.
    pub tier: String,
    /// Units claimed less units returned.
    pub units: u64,
    /// Their price.
    pub revenue: Money,
    /// Their cost, where it is known of each.
    pub cost: Option<Money>,
}
