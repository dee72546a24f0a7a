//! Models: the source of the stock counter and of the journal's hand-off to its writer, run through every interleaving
//! that a bound on preemptions allows.
//!
//! `crates/counter` and the hand-off of `crates/journal` take their atomics, locks and threads from `crate::sync`; here that module
//! has the checker's, so what is checked is what ships. Each scenario also runs on mutants, copies of that source with
//! one thing spoilt, to show that it would see the fault. Nothing here is part of the server.
//!
//! Not modelled: time (the writer sleeps until it is called, so what its patience would put right is a finding here), a
//! writer that panics, a thread's end while its courier lives, permits refused for bytes that wait, `Journal` itself
//! (what it does beyond `Shared`: encoding, joining the writer's thread) and the bytes (`stand_ins`: batches and a log
//! that only note how far they go). Loom remembers one last access a place, so that an order can escape it: what needs no
//! weak memory is drawn by shuttle, too.

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
    mod gate;
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

/// Copies of the counter and of the next deadline with one thing spoilt in each; the same scenarios on them.
#[expect(clippy::pedantic, dead_code, reason = "spoilt code need not be tidy")]
pub mod mutants {
    include!(concat!(env!("OUT_DIR"), "/mutants.rs"));
}
