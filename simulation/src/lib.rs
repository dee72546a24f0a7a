//! Simulates the whole engine from one seed: its clock, its disk, its journal's writer and its callers are simulated.
//! Every answer is checked against a naive model. After every crash the recovered state is compared with the model's at
//! that place of the journal.
//!
//! There is one thread, no real clock and no real disk: the same seed is the same run, step by step.
//! `docs/simulation.md` says what is simulated and what is not.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a simulation that is wrong itself must stop; its runner tells the seed"
)]

mod defined;
mod dice;
#[expect(missing_docs, clippy::missing_panics_doc, clippy::missing_errors_doc, reason = "for tests alone")]
pub mod model;
#[expect(missing_docs, clippy::missing_panics_doc, clippy::missing_errors_doc, reason = "for tests alone")]
pub mod world;
#[expect(clippy::missing_panics_doc, clippy::missing_errors_doc, reason = "for tests alone")]
pub mod reconcile;
pub mod prelude;
mod coverage;
mod trace;
mod plans;
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
