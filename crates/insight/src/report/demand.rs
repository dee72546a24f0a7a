//! Demand: what was counted of requests, and into which piece of time a request falls.

use std::collections::BTreeMap;

use stockade_types::time::Millis;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// What was counted of a drop's requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DemandTotals {
    /// Reserves decided.
    pub requests: u64,
    /// Units that they asked for.
    pub units_asked: u64,
    /// Refused ones by reason.
    pub refused_by_reason: BTreeMap<String, u64>,
    /// Refused ones by tier; empty for none.
    pub refused_by_tier: BTreeMap<String, u64>,
    /// Of the refused ones, those that a limit stopped.
    pub stopped_by_limits: u64,
    /// Customers who asked, estimated.
    pub customers: u64,
    /// Most requests in one second.
    pub peak_per_second: u64,
    /// Late claims refused.
    pub late_claims_refused: u64,
    /// Of how much of the sale counts were lost.
    pub missing: Millis,
}

/// The beginning and the width of the piece of time into which an instant falls: before the opening by minute for an hour,
/// then by second for an hour, then by minute for the rest of a day. Nothing outside of that.
#[must_use]
pub const fn bucket_of(after_open: i64) -> Option<(i64, Millis)> {
    if after_open < -HOUR || after_open >= DAY {
        return None;
    }
    let (width, millis) =
        if after_open >= 0 && after_open < HOUR { (SECOND, Millis(1_000)) } else { (MINUTE, Millis(60_000)) };
    Some((after_open.div_euclid(width) * width, millis))
}
