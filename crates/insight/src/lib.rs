//! Measures, forecasts and verdicts: what came of a drop, which guardrails it crossed, when the next one should open,
//! and the pages that show it.
//!
//! - [`report`]: the figures of a drop, from what was counted.
//! - [`guardrail`]: thresholds on measures, and how much stricter the next drops become.
//! - [`forecast`]: openings of the coming weeks by expected demand.
//! - [`page`]: a report as a page, two side by side, and CSV.
//!
//! Plain values come in and go out. It knows neither the engine nor the wire, reads no clock and does no I/O.

#![warn(unreachable_pub)]

mod number;
pub mod report;
pub mod guardrail;
pub mod forecast;
pub mod page;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
