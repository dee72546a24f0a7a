//! The whole engine simulated from one seed: its clock, its disk, its journal's writer and its callers are the
//! simulation's, every answer is checked against a naive model, and after every crash the state that was recovered is
//! compared with the model's at that place of the journal.
//!
//! One thread, no clock, no disk: the same seed is the same run, step by step. What is simulated and what is not is told
//! in `docs/simulation.md`.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a simulation that is wrong itself must stop; its runner tells the seed"
)]

mod dice;
mod model;
mod coverage;
mod trace;
mod draw;
mod machine;
mod history;
mod compare;
mod follower;
mod simulation;
mod calls;
mod operators;
mod upkeep;
mod outage;
mod probe;
mod reader;
mod run;

pub use coverage::Coverage;
pub use run::{Finished, panicked, run, run_caught};
pub use simulation::{Options, Plant};
pub use trace::Violation;
