//! The counter of one pool's free units, the counts of what is asked of a drop, and the atomics, locks and threads that a model checker replaces.
//!
//! - [`StockCounter`](stock::StockCounter): many threads take from it at once. No unit is sold twice, and it never
//!   refuses while a unit is free or may come back.
//! - [`TakeResult`](stock::TakeResult) and [`Taken`](stock::Taken): the result of a try to take, and the units taken,
//!   which are given back when dropped, unless kept.
//! - [`Doubt`](stock::Doubt): while it exists, nobody is refused.
//! - [`NextDue`](next_due::NextDue): the earliest deadline of a pool whose holds are split over stripes.
//! - [`Demand`](demand::Demand): what is asked of a drop, by second, reason, tier and customer.
//! - [`DistinctSketch`](sketch::DistinctSketch): how many distinct subjects there were, within about 1 %.
//! - [`sync`]: the only source of atomics, locks and threads that models check.
//! - [`mod@fault`]: the faults that a model must find, one switch for each. A usual build has nothing of them.
//!
//! It knows no holds, reads no clock and does no I/O. `README.md` has an example.

#![warn(unreachable_pub)]

pub mod demand;
pub mod fault;
#[cfg(any(loom, shuttle))]
pub mod model;
pub mod next_due;
pub mod sketch;
pub mod stock;
pub mod sync;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
