//! The binary as a process: killed, stopped, on damaged folders and full disks, and called by foreign clients.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "helpers of tests fail and tell as tests do"
)]

mod callers;
mod channels;
mod crash;
mod descriptors;
mod disk;
mod drain;
mod dump;
mod files;
mod folder;
mod foreign;
mod ledger;
mod log;
mod memory;
mod receiver;
mod rights;
mod server;
mod signals;
mod taken_away;
mod webhooks;
mod wire;
