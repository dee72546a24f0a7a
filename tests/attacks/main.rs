//! Clients that mean harm: frames by hand over raw sockets, against the binary as a process, beside a client that means
//! well and must have all its answers.
//!
//! The variable `STOCKADE_TEST_SERVER` names another binary that is attacked in place of the built one.
//!
//! Each attack is bounded and so is what it may cost: memory is read from the process itself, and what is ended must be
//! ended by the server.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "helpers of tests fail and tell as tests do"
)]

mod announced;
mod batches;
mod bodies;
mod floods;
mod frames;
mod herd;
mod hpack;
mod idle;
mod lists;
mod malformed;
mod measured;
mod peer;
mod places;
mod polite;
#[path = "../process/server.rs"]
#[expect(dead_code, reason = "written for more tests than these")]
mod process;
mod resets;
mod server;
mod short;
mod silent;
mod state;
mod stops;
mod unfinished;
mod untaken;
mod watchers;
