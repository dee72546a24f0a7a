//! Models: the source of the stock counter and of the journal's hand-off to its writer, run in every interleaving
//! within a bound on preemptions.
//!
//! `crates/counter/src/stock.rs` and `crates/journal/src/` take their atomics, locks and threads from `crate::sync`.
//! Here that module has the checker's types, so the shipped source itself is checked. Each scenario also runs on
//! mutants, copies of that source with one fault, to show that it finds the fault. Nothing here is part of the server.
//!
//! Not modelled: time (the writer sleeps until it is unparked, so a fault that its timeout would repair is found here),
//! a writer that panics, the end of a thread before its local waker's, permits refused because of queued bytes, the
//! rest of `Journal` (encoding, joining the writer's thread), and bytes (`stand_ins` has batches and a log that only
//! note their LSNs). Loom remembers only the last access to each place, so an order can escape it; shuttle therefore
//! also runs what needs no weak memory.

#![expect(clippy::duplicate_mod, reason = "the same scenarios stand beside the counter and beside each mutant")]
#![expect(clippy::missing_panics_doc, reason = "a scenario says what was broken by a panic, and by nothing else")]

// The source that is included names the crates that it is part of; here they are this one.
extern crate self as stockade_counter;
extern crate self as stockade_types;

pub mod naive;
pub mod once;
pub mod replay;
pub mod run;
pub mod stand_ins;
pub mod sync;

pub use self::stand_ins::{ids, metrics, time};

/// The journal's hand-off to its writer as it ships, and the scenarios on it.
#[path = "../../crates/journal/src"]
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
#[path = "../../crates/counter/src"]
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
