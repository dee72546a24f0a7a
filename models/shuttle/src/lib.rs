//! The models under shuttle: the same source, scenarios and mutants with random schedules.
//!
//! Under loom (`../src`) every interleaving of two or three threads with a few operations is run. Here six threads run
//! dozens of operations in random schedules: a small part of all schedules, but longer histories. Memory is
//! sequentially consistent here; only loom finds what needs a weaker ordering.

#![expect(clippy::duplicate_mod, reason = "the same scenarios stand beside the counter and beside each mutant")]
#![expect(clippy::missing_panics_doc, reason = "a scenario says what was broken by a panic, and by nothing else")]

// The source that is included names the crates that it is part of; here they are this one.
extern crate self as stockade_counter;
extern crate self as stockade_types;

#[path = "../../src/once.rs"]
pub mod once;
#[path = "../../src/replay.rs"]
pub mod replay;
pub mod run;
#[path = "../../src/stand_ins.rs"]
pub mod stand_ins;
pub mod sync;

pub use self::stand_ins::{ids, metrics, time};

/// The journal's hand-off to its writer as it ships, and the scenarios on it.
#[path = "../../../crates/journal/src"]
#[expect(dead_code, reason = "not all of the journal is modelled")]
pub mod journal {
    mod permits;
    #[path = "../../../models/src/handoff/mod.rs"]
    pub mod handoff;
    mod progress;
    mod queue;
    mod shared;
    mod ticket;
    mod waiters;
    mod writer;

    use crate::stand_ins::{JournalMetrics, Start, frame, log, segment};
}

/// The counter and the next deadline of a pool's stripes as they ship, and the scenarios on them.
#[path = "../../../crates/counter/src"]
pub mod inventory {
    #[expect(dead_code, reason = "not all of it is modelled")]
    mod next_due;
    #[path = "../../../models/src/scenarios/mod.rs"]
    pub mod scenarios;
    pub mod stock;
}

/// Mutants of the counter and of the next deadline, with the same scenarios.
#[expect(clippy::pedantic, dead_code, reason = "spoilt code need not be tidy")]
pub mod mutants {
    include!(concat!(env!("OUT_DIR"), "/mutants.rs"));
}
