//! Measures, forecasts and verdicts: what came of a drop, which guardrails it crossed, when the next one should open,
//! and the pages that show it.
//!
//! - [`forecast`]: openings of the coming weeks by expected demand.
//!
//! Plain values come in and go out. It knows neither the engine nor the wire, reads no clock and does no I/O.

#![warn(unreachable_pub)]

pub mod forecast;
mod number;
