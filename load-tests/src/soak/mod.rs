//! `load-tests soak`: all kinds of load for long, with restarts in between and an audit after each round. It also
//! checks that the server's memory, open files and disk use do not grow.
//!
//! A soak consists of rounds. Each has drops of its own, which are closed and archived after its audit, so that a round
//! leaves only ended holds, of which the server remembers a bounded number. In the first two thirds each round ends
//! with a restart during its load, by `SIGKILL` and `SIGTERM` in turn. In the last third the server runs on, so that
//! growth within one life shows too.

mod report;
mod scene;
mod silence;
mod stream;
mod trend;
mod watch;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use stockade_drill::Failure;
use stockade_drill::audit::{self, Evidence};
use stockade_drill::process::Signal;
use stockade_drill::wire;
use stockade_proto as pb;
use stockade_types::metrics::Stopwatch;
use tempfile::TempDir;

use crate::flags::span;
use crate::output::Output;
use crate::run;
use crate::rush::Rush;
use crate::scenario::Scenario;
use crate::server::{Left, Recipe, Server};
use report::{Report, Round};
use silence::Span;
use watch::{Target, Watcher};

/// How long a start or an end may take.
const WAIT_TIMEOUT: Duration = Duration::from_mins(2);
/// How long before the end of a round's load its server is ended at most, so that requests are still in flight.
const BEFORE_THE_END: Duration = Duration::from_millis(500);
/// Units of the drop that the stream uses.
const STREAM_UNITS: u64 = 1_000_000;

/// How to run a soak.
#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    recipe: Recipe,
    /// Total time under load, over all rounds
    #[arg(long = "for", default_value = "30m", value_parser = span, value_name = "SPAN")]
    length: Duration,
    /// Length of a round's load; in the first two thirds each ends with a restart, by SIGKILL and SIGTERM in turn
    #[arg(long = "restart-every", default_value = "60s", value_parser = span, value_name = "SPAN")]
    round: Duration,
    /// The seed of everything random
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the report goes, as soak.txt and soak.json
    #[arg(long, default_value = "target/load-tests", value_name = "DIR")]
    reports: PathBuf,
}

/// Runs a soak and prints its report. Returns whether it is clean.
///
/// # Errors
/// When it can't be run to its end; not when it has findings.
pub async fn soak(options: &Options, output: &mut Output) -> Result<bool, Failure> {
    let watcher = Watcher::default();
    let watch = Stopwatch::start();
    let watching = tokio::spawn(watcher.clone().run(watch));
    let soaked = rounds(options, &watcher, output).await;
    watching.abort();
    let report = Report::of(options, soaked?, watcher.samples());
    output.line(&report.to_string());
    for written in report.write(&options.reports)? {
        output.line(&format!("written: {}", written.display()));
    }
    Ok(report.is_clean())
}

/// A soak that is running.
struct Soak<'a> {
    options: &'a Options,
    flags: Vec<String>,
    watcher: &'a Watcher,
    life: u32,
    /// Draws the seeds of its rounds, so that no two use the same ids.
    random: fastrand::Rng,
}

async fn rounds(options: &Options, watcher: &Watcher, output: &mut Output) -> Result<Vec<Round>, Failure> {
    let many = options.length.as_millis().div_ceil(options.round.as_millis().max(1));
    let many = u64::try_from(many).unwrap_or(u64::MAX).max(1);
    // With more than one round, at least one life is longer than a round.
    let restarts = many.saturating_mul(2) / 3;
    let ended = scene::ended_holds(options.round).to_string();
    let flags =
        ["--snapshot-every", "3s,256KiB", "--outage-grace", "1ms", "--archive-after", "1s", "--max-ended-holds"];
    let flags = flags.map(String::from).into_iter().chain([ended]).collect();
    let mut soak = Soak { options, flags, watcher, life: 0, random: fastrand::Rng::with_seed(options.seed) };
    let mut server = tokio::task::block_in_place(|| options.recipe.start(&soak.flags))?;
    let mut done = Vec::new();
    for number in 0..many {
        let how = match number {
            killed if killed < restarts && killed % 2 == 0 => Some(Signal::KILL),
            ended if ended < restarts => Some(Signal::TERM),
            _lives_on => None,
        };
        let (round, next) = soak.round((number, how), server, output).await?;
        output.line(&round.to_string());
        (server, done) = (next, done.into_iter().chain([round]).collect());
    }
    watcher.look_at(None);
    let left = tokio::task::block_in_place(|| server.leave(Signal::TERM, WAIT_TIMEOUT))?;
    if let Some(last) = done.last_mut() {
        let last: &mut Round = last;
        last.findings.extend(soak.verify(&left)?);
    }
    Ok(done)
}

impl Soak<'_> {
    async fn round(
        &mut self,
        (number, how): (u64, Option<Signal>),
        server: Server,
        output: &mut Output,
    ) -> Result<(Round, Server), Failure> {
        let length = self.options.round;
        let scenario = scene::round(length, self.random.u64(..))?;
        let names: Vec<String> = scenario.drops.iter().map(|sale| format!("{}-{number}", sale.id)).collect();
        let streamed = format!("stream-{number}");
        let rush = open(scenario, &names, &streamed, &server).await?;
        let floor = &rush.floor;
        let (random, later) = (self.random.fork(), server.client().await?);
        self.look_at(&server, true);
        let streaming = tokio::spawn(stream::run(later, streamed.clone(), (floor.watch, length), random));
        let ending = tokio::spawn(end(server, how, length, self.watcher.clone()));
        run::load::run(&rush, output).await?;
        let gone = |_gone| Failure::Bug("a task of a soak ended");
        let streamed_so_far = streaming.await.map_err(gone)?;
        let mut round = Round { number, how: report::reported(how), ..Round::default() };
        let server = match ending.await.map_err(gone)?? {
            Ended::Left(left) => {
                if how == Some(Signal::TERM) && !left.well {
                    round.findings.push("the server did not end well".to_owned());
                }
                round.findings.extend(self.verify(&left)?);
                self.start(left.folder, &mut round)?
            }
            Ended::Lives(server) => *server,
        };
        self.look_at(&server, false);
        tokio::time::sleep(rush.scenario.load.settle.0).await;
        let ledger = floor.ledger.close();
        // The load's watch was started before the server's end was scheduled, so the server lives longer than that.
        let span = Span { length, ended: how.map(|_signal| until_the_end(length)) };
        round.findings.extend(span.unanswered(&ledger));
        round.findings.extend(span.stalled(&streamed_so_far));
        let client = server.client().await?;
        let evidence = Evidence { drops: audit::fetch(&client, &floor.sales).await?, ..Evidence::default() };
        round.take(&audit::judge(&floor.sales, &ledger, &evidence), &ledger);
        round.messages = streamed_so_far.messages;
        round.findings.extend(streamed_so_far.wrong.iter().cloned());
        round.findings.extend(streamed_so_far.audit(&client, &streamed).await?);
        for drop_id in names.into_iter().chain([streamed]) {
            let request = pb::CloseDropRequest { drop_id };
            client.close_drop(request).await.map_err(Failure::status("closing a drop"))?;
        }
        round.findings.extend(conservation(&server).await?);
        Ok((round, server))
    }

    fn look_at(&self, server: &Server, under_load: bool) {
        let target = server.process().zip(server.data());
        let life = self.life;
        self.watcher.look_at(target.map(|(process, folder)| Target { process, folder, life, under_load }));
    }

    fn start(&mut self, folder: TempDir, round: &mut Round) -> Result<Server, Failure> {
        let watch = Stopwatch::start();
        let recipe = &self.options.recipe;
        let server = tokio::task::block_in_place(|| recipe.start_on(folder, &self.flags, WAIT_TIMEOUT))?;
        round.restart_millis = Some(u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX));
        self.life = self.life.saturating_add(1);
        Ok(server)
    }

    /// The finding of `stockade verify` in the folder that a server has left, if any.
    fn verify(&self, left: &Left) -> Result<Option<String>, Failure> {
        let mut command = Command::new(self.options.recipe.program()?);
        command.args(["verify", "--data"]).arg(left.data()).stdin(Stdio::null());
        command.current_dir(left.folder.path());
        let done = tokio::task::block_in_place(|| command.output())?;
        let words = || [done.stdout.as_slice(), done.stderr.as_slice()].map(String::from_utf8_lossy).concat();
        Ok((!done.status.success()).then(|| format!("stockade verify: {}: {}", done.status, words())))
    }
}

/// The server at the end of a round.
enum Ended {
    Left(Left),
    Lives(Box<Server>),
}

/// How long a server lives that is ended during its load.
fn until_the_end(length: Duration) -> Duration {
    length.saturating_sub(BEFORE_THE_END.min(length / 4))
}

/// Ends a server during its load, or lets it live.
async fn end(server: Server, how: Option<Signal>, length: Duration, watcher: Watcher) -> Result<Ended, Failure> {
    tokio::time::sleep(until_the_end(length)).await;
    let Some(signal) = how else { return Ok(Ended::Lives(Box::new(server))) };
    watcher.look_at(None);
    let left = tokio::task::spawn_blocking(move || server.leave(signal, WAIT_TIMEOUT)).await;
    left.map_err(|_gone| Failure::Bug("a task of a soak ended"))?.map(Ended::Left)
}

/// Creates a round's drops, opens all connections, and begins.
async fn open(scenario: Scenario, names: &[String], streamed: &str, server: &Server) -> Result<Arc<Rush>, Failure> {
    let client = server.client().await?;
    for (sale, name) in scenario.drops.iter().zip(names) {
        run::create(&client, sale, name, None).await?;
    }
    wire::create(&client, wire::drop(streamed, [(stream::SKU, STREAM_UNITS)], None)).await?;
    let connections = Rush::connect(&server.endpoint, &scenario).await?;
    Ok(Arc::new(Rush::begin(scenario, names, connections)))
}

/// The finding of the server's own comparison of its books, if any.
async fn conservation(server: &Server) -> Result<Option<String>, Failure> {
    let error = server.metric("stockade_conservation_error_units").await?;
    Ok((error != Some(0.0)).then(|| format!("stockade_conservation_error_units is {error:?}")))
}
