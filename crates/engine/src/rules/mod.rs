//! What a drop's definition gives to a request: pure functions of plain values.
//!
//! They lock nothing and read neither stock nor a clock, so what they say can be shown to anyone and recomputed later.

mod offer;

pub use offer::{Offer, offer};
