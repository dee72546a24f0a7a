//! What callers do with holds, one file for each verb.

mod claim;
pub mod explain;
mod extend;
mod get;
mod late_claim;
pub mod list;
pub mod page;
mod release;
pub(crate) mod reserve;
mod return_units;
