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

mod drive;
mod scenario;
mod ledger;
mod plan;
mod floor;
mod answers;
mod visit;

mod audit;

mod open;
mod prefill;
mod samples;
mod schedule;

mod compare;

mod cli;

fn main() -> std::process::ExitCode {
    cli::run(std::env::args_os())
}
