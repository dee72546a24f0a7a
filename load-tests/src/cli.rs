//! The command line: parse, run, exit code.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use stockade::server::stop_requested;
use stockade_drill::Failure;

use crate::compare;
use crate::flags::span;
use crate::history;
use crate::output::Output;
use crate::report;
use crate::run;
use crate::scale;
use crate::server::Recipe;
use crate::soak;

/// How long threads that do not end may delay the exit.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Load on a real Stockade server: drops as scenarios, audited from the outside, and comparisons with peers.
#[derive(Debug, Parser)]
#[command(name = "load-tests", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Plays scenarios on a server, audits it from the outside and reports
    Run(run::Options),
    /// Runs Stockade and its peers alternately and prints ratios
    Compare(compare::Options),
    /// Measures the cost of live holds, drops and connections at growing numbers
    Scale(scale::Options),
    /// Records what clients see of a server that is killed and paused, and checks it for linearizability
    History(HistoryOptions),
    /// Runs all kinds of load for long, with restarts in between: audits each round, and memory must not grow
    Soak(soak::Options),
    /// Reads streams of statuses of a public listener, and polls it
    #[command(hide = true)]
    Readers(compare::ReadersOptions),
    /// Answers reserves without any work
    #[command(hide = true)]
    Empty(EmptyOptions),
}

#[derive(Debug, Args)]
struct HistoryOptions {
    #[command(flatten)]
    recipe: Recipe,
    /// How long clients send requests
    #[arg(long = "for", default_value = "30s", value_parser = span, value_name = "SPAN")]
    length: Duration,
    /// How often the server is killed; by default as --kill-every says
    #[arg(long, value_name = "N", conflicts_with = "kill_every", value_parser = clap::value_parser!(u32).range(0..=10_000))]
    kills: Option<u32>,
    /// How long from kill to kill, on average
    #[arg(long, default_value = "2s", value_parser = span, value_name = "SPAN")]
    kill_every: Duration,
    /// How often the server is paused and continued; by default once for each kill
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pauses: Option<u32>,
    /// Number of concurrent clients
    #[arg(long, default_value_t = 12, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    clients: u16,
    /// The seed of the requests; by default random, and printed
    #[arg(long)]
    seed: Option<u64>,
    /// When a record counts as durable, as in `stockade serve`. A killed process loses nothing with `os` either
    #[arg(long, default_value = "sync", value_name = "WHEN", value_parser = ["sync", "os"])]
    durability: String,
    /// Writes the history to this file, as JSON lines
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// Checks a history from a file, instead of making one
    #[arg(long, value_name = "FILE", conflicts_with_all = ["history", "kills", "pauses", "seed"])]
    check: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct EmptyOptions {
    /// The `ReserveResponse`, in hexadecimal
    #[arg(long)]
    answer: String,
    /// The Result of each operation of a stream, in hexadecimal
    #[arg(long)]
    result: String,
}

/// Runs a command line whose first word is the program's name.
pub fn run(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { Failure::USAGE } else { 0 };
            // A reader that has gone away does not change the exit code.
            return error.print().map_or(ExitCode::from(code), |()| ExitCode::from(code));
        }
    };
    let mut output = Output::standard();
    let code = match execute(cli.command, &mut output) {
        Ok(true) => 0,
        Ok(false) => Failure::AMISS,
        Err(failure) => {
            output.complain(&format!("error: {}", failure.whole()));
            failure.exit_code()
        }
    };
    ExitCode::from(output.finish(code))
}

/// Whether the command found nothing wrong.
fn execute(command: Command, output: &mut Output) -> Result<bool, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = match command {
        Command::Run(options) => runtime.block_on(until_interrupted(play(options, output))),
        Command::Compare(options) => runtime.block_on(until_interrupted(compare(options, output))),
        Command::Scale(options) => runtime.block_on(until_interrupted(measure(options, output))),
        Command::History(options) => runtime.block_on(until_interrupted(histories(options, output))),
        Command::Soak(options) => runtime.block_on(until_interrupted(soak::soak(&options, output))),
        Command::Readers(options) => runtime.block_on(compare::read(options, |line| output.line(&line))).map(|()| true),
        Command::Empty(options) => {
            let served = compare::serve_empty(&options.answer, &options.result, |line| output.line(&line));
            runtime.block_on(served).map(|()| true)
        }
    };
    // Requests of an aborted load may still be in flight.
    runtime.shutdown_timeout(LAST_WAIT);
    done
}

/// Runs the work until it ends or the user interrupts. An interrupt drops the work, which ends what it started.
async fn until_interrupted(work: impl Future<Output = Result<bool, Failure>>) -> Result<bool, Failure> {
    let stop = stop_requested()?;
    tokio::select! {
        done = work => done,
        () = stop => Err(Failure::Work("interrupted: everything that was started is ended".to_owned())),
    }
}

async fn play(options: run::Options, output: &mut Output) -> Result<bool, Failure> {
    let mut clean = true;
    for scenario in &options.scenarios {
        clean &= run::run(scenario, &options, output).await?.is_clean();
    }
    Ok(clean)
}

async fn compare(options: compare::Options, output: &mut Output) -> Result<bool, Failure> {
    let comparison = compare::compare(&options, output).await?;
    if let Some(file) = &options.json {
        std::fs::write(file, report::json(&comparison)?).map_err(Failure::file(file))?;
    }
    output.line("");
    output.line(&compare::reported(&comparison));
    // Quick figures are not meaningful, so no target is checked.
    Ok(if options.quick { comparison.is_whole() } else { comparison.hit() })
}

async fn measure(options: scale::Options, output: &mut Output) -> Result<bool, Failure> {
    let measured = scale::measure(&options, output).await?;
    output.line("");
    output.line(&measured.text());
    Ok(measured.targets().iter().all(scale::Target::hit))
}

async fn histories(options: HistoryOptions, output: &mut Output) -> Result<bool, Failure> {
    let HistoryOptions { recipe, length, kills, kill_every, pauses, clients, seed, durability, history, check } =
        options;
    let made = if let Some(file) = &check {
        history::read(file)?
    } else {
        let seed = seed.unwrap_or_else(|| fastrand::u64(..));
        let even = length.as_millis().checked_div(kill_every.as_millis().max(1)).unwrap_or(0);
        let kills = kills.unwrap_or_else(|| u32::try_from(even).unwrap_or(u32::MAX));
        let pauses = pauses.unwrap_or(kills);
        output.line(&format!("{clients} clients for {}, seed {seed}", humantime::format_duration(length)));
        let flags = vec!["--durability".to_owned(), durability];
        history::record(history::Options { recipe, flags, length, kills, pauses, clients, seed }, output).await?
    };
    if let Some(file) = &history {
        history::write(&made, file)?;
        output.line(&format!("written: {}", file.display()));
    }
    let report = tokio::task::block_in_place(|| history::check(&made));
    output.line(&report.to_string());
    Ok(report.is_linearizable())
}
