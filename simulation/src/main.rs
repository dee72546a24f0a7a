//! `simulate`: runs many seeds, or one of them step by step.

#![expect(clippy::print_stdout, reason = "a command line tool speaks on its standard output")]

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write, stdout};
use std::num::NonZeroU64;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use clap::Parser;
use stockade_simulation::{Coverage, Finished, Options, Violation, panicked, run_caught};
use stockade_types::metrics::Stopwatch;

/// A simulation makes and frees many small allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Seeds between two lines of progress.
const PROGRESS: u64 = 1_000;

/// Simulates the whole engine from seeds and checks every answer, every crash and every recovery.
#[derive(Debug, Parser)]
#[command(name = "simulate", version)]
struct Arguments {
    /// Runs this seed alone
    #[arg(long, conflicts_with_all = ["seeds", "from", "jobs"])]
    seed: Option<u64>,
    /// With --seed: prints every step
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Runs this many seeds
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Number of threads
    #[arg(long, default_value_t = NonZeroU64::MIN)]
    jobs: NonZeroU64,
    /// Steps of each run
    #[arg(long, default_value_t = Options::default().steps)]
    steps: u64,
}

/// The results of all runs.
#[derive(Debug, Default)]
struct Sums {
    coverage: Coverage,
    /// By seed: at most one for each thread.
    violations: BTreeMap<u64, Box<Violation>>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A panic is reported once, with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    match arguments.seed {
        Some(seed) => one(seed, Options { steps: arguments.steps, trace: arguments.trace, plant: None }),
        None => many(&arguments),
    }
}

fn one(seed: u64, options: Options) -> ExitCode {
    match run_caught(seed, options) {
        Ok(Finished { trace, coverage }) => {
            let hash = trace.first_chunk().copied().map_or(0, u64::from_be_bytes);
            println!("seed {seed}: nothing wrong, trace {hash:016x}\n{coverage}");
            ExitCode::SUCCESS
        }
        Err(violation) => {
            println!("{violation}");
            ExitCode::FAILURE
        }
    }
}

fn many(arguments: &Arguments) -> ExitCode {
    let watch = Stopwatch::start();
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let work = || {
        let mut sums = Sums::default();
        while !stop.load(Ordering::Relaxed) {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            if nth >= arguments.seeds {
                break;
            }
            let seed = arguments.from.wrapping_add(nth);
            match run_caught(seed, Options { steps: arguments.steps, ..Options::default() }) {
                Ok(finished) => {
                    sums.coverage.merge(&finished.coverage);
                    sums.coverage.merge(&Coverage::of_one("seeds"));
                }
                Err(violation) => {
                    sums.violations.insert(seed, violation);
                    stop.store(true, Ordering::Relaxed);
                }
            }
            progress(nth, arguments.seeds, &watch);
        }
        sums
    };
    let mut all = Sums::default();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..arguments.jobs.get()).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            match thread.join() {
                Ok(sums) => {
                    all.coverage.merge(&sums.coverage);
                    all.violations.extend(sums.violations);
                }
                // A panic of a run is caught in the run; this one is the tool's own, and the hook prints nothing.
                Err(panic) => println!("outside of any run {}", panicked(panic.as_ref())),
            }
        }
    });
    let ran = all.coverage.of("seeds");
    println!("\n{ran} seeds from {} without a finding in {:.1} s", arguments.from, watch.elapsed().as_secs_f64());
    println!("{}", all.coverage);
    for what in all.coverage.missing() {
        println!("never reached: {what}");
    }
    for violation in all.violations.values() {
        println!("{violation}");
    }
    if all.violations.is_empty() && ran == arguments.seeds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn progress(nth: u64, of: u64, watch: &Stopwatch) {
    if nth > 0 && nth.is_multiple_of(PROGRESS) && stdout().is_terminal() {
        print!("\r{nth} of {of} seeds, {:.0} s", watch.elapsed().as_secs_f64());
        // A progress line that can't be written is no error.
        let _written = stdout().flush();
    }
}
