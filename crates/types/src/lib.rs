//! Pure data: ids, time, definitions, holds and records, and how they are written as bytes. No locks, no I/O.
//!
//! The modules stand in reading order: each uses only those above it.

pub mod invariant;
pub mod ids;
pub mod time;
pub mod refusal;
pub mod codec;
pub mod definition;
pub mod packed;
pub mod hold;
pub mod record;
pub mod digest;
pub mod metrics;
