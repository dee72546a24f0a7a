//! The server over real sockets, and the binary in scripts.
#![expect(clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "helpers of tests fail as tests do")]

mod archive;
mod batch;
mod checkout;
mod cli;
mod client;
mod common;
mod complaints;
mod contract;
mod errors;
mod examples;
mod explain;
mod events;
mod events_tail;
mod holds;
mod limits;
mod lists;
mod operators;
mod origin;
mod payment;
mod reconcile;
mod rules;
mod rules_cli;
mod rules_update;
mod series;
mod server;
mod shell;
mod shop;
mod stream;
mod successors;
mod terms;
mod update;
mod watch;
