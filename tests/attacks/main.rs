//! Hostile clients: hand-made frames over raw sockets, against the binary as a process. Meanwhile a well-behaved client
//! must get all its answers.
//!
//! The variable `STOCKADE_TEST_SERVER` names another binary to attack in place of the built one.
//!
//! Each attack is bounded, and so is what it may cost: memory is read from the process itself, and the server must end
//! what has to be ended.
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
