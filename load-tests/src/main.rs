//! Load tests of Stockade: a program of its own that drives a real server over gRPC and audits it from the outside.
//!
//! The modules stand in reading order. None of them is part of the server.

mod failure;
mod numbers;
mod output;
mod process;
mod server;
mod statistics;
mod wire;

mod schedule;
mod open;
mod drive;
mod samples;
mod prefill;

mod scenario;
mod ledger;
mod plan;
mod floor;
mod answers;
mod visit;
mod audit;
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
