//! What came of a drop: the figures of a report, and how they follow from what was counted.
//!
//! Shares and rates are in basis points. What can't be known is left out, never 0. Sums are integers: what would not fit
//! is refused, never wrapped.

mod afterwards;
mod buyers;
mod demand;
mod figures;
mod money;
mod spans;
mod tally;
#[cfg(test)]
mod tests;

use stockade_types::definition::Money;
use stockade_types::ids::{DropId, SeriesId, ShopId};
use stockade_types::refusal::Reason;
use stockade_types::time::{Millis, Timestamp};

use crate::guardrail::Finding;

pub use afterwards::Afterwards;
pub use demand::{Demand, DemandBuckets, DemandTotals};
pub use figures::{HoldCounts, Sale, report};
pub use money::Price;
pub use tally::{Claimed, Tally, TallyError};
