//! The stock counter that many threads take from at once, and the atomics, locks and threads that a model checker
//! replaces.

pub mod next_due;
pub mod stock;
pub mod sync;

// Declared here, not in `stock`: the models include that source as it is, without its tests.
#[cfg(test)]
#[path = "stock/tests.rs"]
mod stock_tests;
