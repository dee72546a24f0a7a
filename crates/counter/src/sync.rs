//! The only source of atomics, locks and threads for code that a model checker runs.
//!
//! In a usual build they are those of `std` and `parking_lot`. With `--cfg loom` or `--cfg shuttle` they are that
//! checker's, with the same names and signatures, and `models/` runs the code. This module makes no decisions.

#[cfg(any(loom, shuttle))]
mod checked;
#[cfg(any(loom, shuttle))]
mod once;
#[cfg(not(any(loom, shuttle)))]
mod usual;

#[cfg(any(loom, shuttle))]
pub use checked::*;
#[cfg(not(any(loom, shuttle)))]
pub use usual::*;
