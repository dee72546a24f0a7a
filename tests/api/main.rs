//! The server over real sockets, and the binary as scripts use it.
#![expect(clippy::expect_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod batch;
mod cli;
mod common;
mod complaints;
mod errors;
mod holds;
mod limits;
mod operators;
mod payment;
mod server;
mod stream;
