//! `simulate`: many seeds, or one of them step by step.

use std::process::ExitCode;

use clap::Parser;
use stockade_simulation::{Options, run_caught};

fn main() -> ExitCode {
    let seed = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(1);
    match run_caught(seed, Options { trace: true, ..Options::default() }) {
        Ok(finished) => { println!("{}", finished.coverage); ExitCode::SUCCESS }
        Err(violation) => { println!("{violation}"); ExitCode::FAILURE }
    }
}
