//! Models: the stock counter and the journal's hand-off to its writer, run by a model checker.
//!
//! With `--cfg loom` every interleaving of two or three threads with a few operations is run, within a bound on
//! preemptions. With `--cfg shuttle` the same scenarios run in random schedules, and so do crowds of six threads with
//! dozens of operations, with memory that is sequentially consistent. Without either this crate is empty.
//!
//! ```console
//! $ RUSTFLAGS='--cfg loom' cargo test -p stockade-models --target-dir target/loom
//! $ RUSTFLAGS='--cfg shuttle' cargo test -p stockade-models --target-dir target/shuttle
//! ```
//!
//! The crates `stockade-counter` and `stockade-journal` are built as they ship, with the checker's atomics, locks and
//! threads (`crates/counter/src/sync.rs`). Scenarios of the counter are here; those of the hand-off are in
//! `crates/journal/src/commit/scenarios/`. Each also runs with planted faults (`crates/counter/src/fault.rs`), to show
//! that it finds them: faults of the source, and faults of the small engines that some scenarios have. Nothing here is
//! part of the server.
//!
//! Not modelled: time (the writer sleeps until it is unparked, so a fault that its timeout would repair is found here),
//! a writer that panics, the end of a thread before its local waker's, permits refused because of queued bytes, the
//! rest of `Journal` (encoding records, starting and joining the writer's thread), the log on a disk and its followers
//! (the log of the models only notes LSNs), and metrics. Loom remembers only the last access to each place, so an order
//! can escape it; shuttle therefore also runs what needs no weak memory.

#![cfg(any(loom, shuttle))]
#![expect(clippy::missing_panics_doc, reason = "a scenario says what was broken by a panic, and by nothing else")]

#[cfg(loom)]
pub mod naive;
pub mod replay;
pub mod run;
pub mod scenarios;

/// A test for each scenario: the source holds.
#[macro_export]
macro_rules! holds {
    ($part:ident: $($scenario:ident)*) => {
        $(#[test] fn $scenario() { $crate::run::check($part::$scenario); })*
    };
    ($part:ident within two preemptions: $($scenario:ident)*) => {
        $(#[test] fn $scenario() { $crate::run::check_within(2, $part::$scenario); })*
    };
    ($part:ident($argument:expr): $($scenario:ident)*) => {
        $(#[test] fn $scenario() { $crate::run::check(|| $part::$scenario($argument)); })*
    };
}

/// A test for each fault: with it planted, the scenario ends with the finding.
#[macro_export]
macro_rules! caught {
    ($($fault:ident by $scenario:expr => $finding:literal)*) => {
        $(#[test] #[should_panic(expected = $finding)] fn $fault() {
            let _planted = stockade_counter::fault::plant(stringify!($fault));
            $crate::run::check($scenario);
        })*
    };
}
