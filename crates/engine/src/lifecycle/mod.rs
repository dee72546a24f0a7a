//! From a data folder to an engine that serves, and what outlives it.

pub mod data_folder;
mod fact_order;
pub mod identity_key;
mod meta;
pub mod recover;
mod replay_eviction;
pub mod term;
pub mod verify;
