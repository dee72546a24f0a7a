//! How a drop's definition applies to a request: pure functions of plain values.
//!
//! They take no locks and read neither stock nor a clock, so their results can be recomputed later.

mod offer;

pub use offer::{Offer, offer};
