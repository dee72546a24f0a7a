//! The binary as a process: killed, stopped, on folders that are damaged and disks that are full, and called by others
//! than our own client.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "helpers of tests fail and tell as tests do"
)]

mod callers;
mod crash;
mod descriptors;
mod disk;
mod drain;
mod dump;
mod folder;
mod foreign;
mod ledger;
mod log;
mod memory;
mod rights;
mod server;
mod signals;
mod taken_away;
mod wire;
