//! What is in memory: stock, holds, limits, deadlines. Synchronous; it reads no clock and does no I/O.

pub mod stock;

// Declared here, not in `stock`: the models include that source as it is, without its tests.
#[cfg(test)]
#[path = "stock/tests.rs"]
mod stock_tests;
