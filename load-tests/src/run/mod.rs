//! `load-tests run`: starts a server, makes drops and earlier holds, runs the load, waits, audits, reports.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use stockade_client::Client;
use stockade_drill::audit::{self, Audit, Evidence};
use stockade_drill::{Failure, wire};
use stockade_types::time::wall_clock;

mod before;
mod events;
pub mod load;

use crate::flags::factor;
use crate::output::Output;
use crate::report::{Facts, Report};
use crate::rush::Rush;
use crate::scenario::{Sale, Scenario};
use crate::server::{Recipe, Server};

/// What to run, and how.
#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    recipe: Recipe,
    /// Scenarios, as TOML
    #[arg(required = true, value_name = "FILE")]
    pub scenarios: Vec<PathBuf>,
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

/// Runs one scenario from its file, prints its result and writes a report.
///
/// # Errors
/// When it can't be run; not when the audit has findings.
pub async fn run(file: &Path, options: &Options, output: &mut Output) -> Result<Audit, Failure> {
    let mut scenario = Scenario::read(file)?.scaled(options.scale);
    if let Some(seed) = options.seed {
        scenario.load.seed = seed;
    }
    let name = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or("scenario").to_owned();
    output.line(&format!("{name}: {}", scenario.title));
    let server = match &options.endpoint {
        Some(endpoint) => Server::running(endpoint.clone(), options.metrics),
        None => options.recipe.start(&scenario.server.flags)?,
    };
    let facts = Facts { name, scale: options.scale, own: server.is_own() };
    let report = play(scenario, facts, &server, output).await?;
    output.line(&report.text());
    for written in report.write(&options.reports)? {
        output.line(&format!("written: {}", written.display()));
    }
    // Last: the findings are printed even if the server does not end well.
    server.stop()?;
    Ok(report.audit)
}

async fn play(scenario: Scenario, facts: Facts, server: &Server, output: &mut Output) -> Result<Report, Failure> {
    let operator = server.client().await?;
    let names = names(&scenario, fastrand::u32(..));
    // Drops that are open before the load are made first, since the earlier holds are holds of them.
    for (sale, name) in scenario.drops.iter().zip(&names).filter(|(sale, _)| sale.opens_after.is_none()) {
        create(&operator, sale, name, None).await?;
    }
    let (visits, load_at) = before::make(server, &scenario, &names, output).await?;
    for (sale, name) in scenario.drops.iter().zip(&names).filter(|(sale, _)| sale.opens_after.is_some()) {
        let begins = load_at.unwrap_or_else(|| wall_clock().0);
        create(&operator, sale, name, Some(begins)).await?;
    }
    let connections = Rush::connect(&server.endpoint, &scenario).await?;
    let page = server.metrics().await?;
    before::wait(load_at).await;
    let rush = Arc::new(Rush::begin(scenario, &names, connections));
    let floor = &rush.floor;
    floor.ledger.keep_before(visits.since(floor.watch));
    let (loaded, happened) = tokio::join!(load::run(&rush, output), events::happen(&rush, &operator));
    loaded?;
    happened?;
    settle(&rush.scenario, output).await;
    let ledger = floor.ledger.close();
    let drops = audit::fetch(&operator, &floor.sales).await?;
    let evidence = Evidence { drops, metrics: page.zip(server.metrics().await?), alone: server.is_own() };
    let audit = audit::judge(&floor.sales, &ledger, &evidence);
    Report::of(facts, &rush, &ledger, audit)
}

/// The drops' ids in this run. They differ from run to run, since a running server still has those of the last run.
fn names(scenario: &Scenario, run: u32) -> Vec<String> {
    scenario.drops.iter().map(|sale| format!("{}-{run:08x}", sale.id)).collect()
}

/// Creates a drop. One that opens after the load begins needs `begins`, in milliseconds since the epoch.
///
/// # Errors
/// When the server refuses it.
pub async fn create(client: &Client, sale: &Sale, name: &str, begins: Option<u64>) -> Result<(), Failure> {
    let opens_at = sale.opens_after.zip(begins).map(|(after, begins)| {
        let at = wire::span(Duration::from_millis(begins).saturating_add(after.0));
        prost_types::Timestamp { seconds: at.seconds, nanos: at.nanos }
    });
    let drop = sale.definition(name).map_err(Failure::Usage)?;
    wire::create(client, stockade_proto::Drop { opens_at, ..drop }).await
}

/// Waits for holds to expire.
async fn settle(scenario: &Scenario, output: &mut Output) {
    let settle = scenario.load.settle.0;
    if !settle.is_zero() {
        output.progress(&format!("waiting {} for what has to run out", scenario.load.settle));
        tokio::time::sleep(settle).await;
    }
}
