//! The peers that Stockade is compared with: the same reservation as a script in Redis and as a function in
//! `PostgreSQL`.
//!
//! They are programs of their own, started on free ports and in temporary folders. They know the work that is compared
//! ([`HOT`], [`LIMIT`] and so on) and nothing of Stockade.

pub mod postgres;
pub mod redis;

/// The one hot SKU.
pub const HOT: &str = "KNIFE/20cm";
/// Customers, at random.
pub const CUSTOMERS: u32 = 100_000;
/// Units that each may have: a limit that is counted but never reached.
pub const LIMIT: u32 = 1_000_000;
/// Units of the hot SKU: more than any run can take.
pub const STOCK: u64 = 1_000_000_000;

/// A customer's id, 12 bytes long.
#[must_use]
pub fn customer(number: u32) -> String {
    format!("cust-{number:07}")
}
