//! Load tests of Stockade: a program of its own that drives a real server over gRPC and audits it from the outside.
//!
//! What it is made of, customers, ledger, audit and processes, is in `stockade-drill`; the peers are in `load-test-peers`. The modules stand in reading order. None of them is part of the server.

mod flags;
mod kernel;
mod output;
mod server;
mod statistics;
mod stubs;
mod reserves;

mod schedule;
mod open;
mod samples;
mod prefill;

mod scenario;
mod plan;
mod rush;
mod report;
mod run;

mod compare;
mod scale;
mod history;
mod soak;

mod cli;

fn main() -> std::process::ExitCode {
    cli::run(std::env::args_os())
}
