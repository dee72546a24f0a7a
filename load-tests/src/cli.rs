//! The command line: parse, run, exit code.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use stockade::server::stop_requested;

use crate::compare;
use crate::history;
use crate::output::Output;
use crate::report;
use crate::run;
use crate::scale;
use crate::server::Recipe;
use crate::soak;
use stockade_drill::Failure;

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
    Run(RunOptions),
    /// Runs Stockade and its peers alternately and prints ratios
    Compare(CompareOptions),
    /// Measures the cost of live holds, drops and connections at growing numbers
    Scale(ScaleOptions),
    /// Records what clients see of a server that is killed and paused, and checks it for linearizability
    History(HistoryOptions),
    /// Runs all kinds of load for long, with restarts in between: audits each round, and memory must not grow
    Soak(SoakOptions),
    /// Answers reserves without any work
    #[command(hide = true)]
    Empty(EmptyOptions),
}

/// How a server is started.
#[derive(Debug, Args)]
struct ServerOptions {
    /// The stockade binary; by default the one next to this program
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
    /// Where data folders are made (each is removed at the end); by default the folder for temporary files
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl ServerOptions {
    fn recipe(self) -> Recipe {
        Recipe { binary: self.server, data: self.data }
    }
}

#[derive(Debug, Args)]
struct RunOptions {
    #[command(flatten)]
    server: ServerOptions,
    /// Scenarios, as TOML
    #[arg(required = true, value_name = "FILE")]
    scenarios: Vec<PathBuf>,
    /// The address, with `http://`, of a server that runs already, instead of one that is started
    #[arg(long, value_name = "URL", conflicts_with_all = ["server", "data"])]
    endpoint: Option<String>,
    /// Where that server's metrics are, such as 127.0.0.1:7412; without it the audit does not use them
    #[arg(long, value_name = "ADDRESS", requires = "endpoint")]
    metrics: Option<SocketAddr>,
    /// Multiplies stock, customers and arrivals, for machines smaller or larger than the scenario assumes
    #[arg(long, default_value_t = 1.0, value_parser = factor)]
    scale: f64,
    /// The seed of everything random, instead of the scenario's own
    #[arg(long)]
    seed: Option<u64>,
    /// Where reports go, as text, JSON and HTML, by the scenario's name
    #[arg(long, default_value = "target/load-tests", value_name = "DIR")]
    reports: PathBuf,
}

#[derive(Debug, Args)]
struct CompareOptions {
    #[command(flatten)]
    server: ServerOptions,
    /// Rows to run, by name, separated by commas; by default all
    #[arg(long, value_delimiter = ',', value_name = "ROW")]
    rows: Vec<String>,
    /// Few and short pairs: shows that everything works, measures nothing
    #[arg(long)]
    quick: bool,
    /// Pairs of each row; 15, or 3 with --quick
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pairs: Option<u16>,
    /// How long each run is measured; 5s, or 1s with --quick
    #[arg(long, value_parser = span, value_name = "SPAN")]
    measured: Option<Duration>,
    /// Live holds for the rows of percentiles; 1000000, or 20000 with --quick
    #[arg(long)]
    holds: Option<u64>,
    /// Also write the result there, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct ScaleOptions {
    #[command(flatten)]
    server: ServerOptions,
    /// Rows to run, separated by commas; by default all
    #[arg(long, value_delimiter = ',', value_name = "ROW")]
    rows: Vec<scale::Row>,
    /// The most live holds
    #[arg(long, default_value_t = 10_000_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=20_000_000))]
    most_holds: u64,
    /// The most drops
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000))]
    most_drops: u64,
    /// The most connections
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    most_connections: u64,
    /// How long each throughput is measured
    #[arg(long, default_value = "3s", value_parser = span, value_name = "SPAN")]
    measured: Duration,
    /// Where tables, JSON and plots go
    #[arg(long, default_value = "target/load-tests/scale", value_name = "DIR")]
    out: PathBuf,
}

#[derive(Debug, Args)]
struct HistoryOptions {
    #[command(flatten)]
    server: ServerOptions,
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
struct SoakOptions {
    #[command(flatten)]
    server: ServerOptions,
    /// Total time under load, over all rounds
    #[arg(long = "for", default_value = "30m", value_parser = span, value_name = "SPAN")]
    length: Duration,
    /// Length of a round's load; in the first two thirds each ends with a restart, by SIGKILL and SIGTERM in turn
    #[arg(long, default_value = "60s", value_parser = span, value_name = "SPAN")]
    restart_every: Duration,
    /// The seed of everything random
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the report goes, as soak.txt and soak.json
    #[arg(long, default_value = "target/load-tests", value_name = "DIR")]
    reports: PathBuf,
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

fn span(text: &str) -> Result<Duration, String> {
    let span = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if span.is_zero() { Err("must be above 0s".to_owned()) } else { Ok(span) }
}

fn factor(text: &str) -> Result<f64, String> {
    let factor: f64 = text.parse().map_err(|_bad| "must be a number".to_owned())?;
    if factor > 0.0 && factor <= 1000.0 { Ok(factor) } else { Err("must be above 0 and at most 1000".to_owned()) }
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
        Command::Soak(options) => runtime.block_on(until_interrupted(soak(options, output))),
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

async fn play(options: RunOptions, output: &mut Output) -> Result<bool, Failure> {
    let RunOptions { server, scenarios, endpoint, metrics, scale, seed, reports } = options;
    let running = endpoint.map(|endpoint| (endpoint, metrics));
    let options = run::Options { recipe: server.recipe(), running, scale, seed, reports };
    let mut clean = true;
    for scenario in &scenarios {
        clean &= run::run(scenario, &options, output).await?.is_clean();
    }
    Ok(clean)
}

async fn compare(options: CompareOptions, output: &mut Output) -> Result<bool, Failure> {
    let wanted = compare::Options {
        rows: options.rows,
        pairs: usize::from(options.pairs.unwrap_or(if options.quick { 3 } else { 15 })),
        measured: options.measured.unwrap_or(Duration::from_secs(if options.quick { 1 } else { 5 })),
        holds: options.holds.unwrap_or(if options.quick { 20_000 } else { 1_000_000 }),
        recipe: options.server.recipe(),
    };
    let comparison = compare::compare(&wanted, output).await?;
    if let Some(file) = &options.json {
        std::fs::write(file, report::json(&comparison)?).map_err(Failure::file(file))?;
    }
    output.line("");
    output.line(&compare::told(&comparison));
    // Quick figures are not meaningful, so no target is checked.
    Ok(if options.quick { comparison.is_whole() } else { comparison.hit() })
}

async fn measure(options: ScaleOptions, output: &mut Output) -> Result<bool, Failure> {
    let ScaleOptions { server, rows, most_holds, most_drops, most_connections, measured, out } = options;
    let recipe = server.recipe();
    let options = scale::Options { recipe, rows, most_holds, most_drops, most_connections, measured, out };
    let measured = scale::measure(&options, output).await?;
    output.line("");
    output.line(&measured.text());
    Ok(measured.targets().iter().all(scale::Target::hit))
}

async fn histories(options: HistoryOptions, output: &mut Output) -> Result<bool, Failure> {
    let HistoryOptions { server, length, kills, kill_every, pauses, clients, seed, durability, history, check } =
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
        let recipe = server.recipe();
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

async fn soak(options: SoakOptions, output: &mut Output) -> Result<bool, Failure> {
    let SoakOptions { server, length, restart_every, seed, reports } = options;
    let recipe = server.recipe();
    soak::soak(&soak::Options { recipe, length, round: restart_every, seed, reports }, output).await
}
