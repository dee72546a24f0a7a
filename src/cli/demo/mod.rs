//! `stockade demo`: a server, a drop, many customers over real gRPC, and an audit from the outside.
//!
//! The customers know only the answers that they got. The audit compares these with what the server shows.

use std::sync::Arc;
use std::time::Duration;

use stockade_client::Client;
use stockade_proto as pb;
use tracing::level_filters::LevelFilter;

use super::args::DemoOptions;
use super::failure::Failure;
use super::output::Output;
use super::{Finding, drop_file};
use crate::config::{LogFilter, LogFormat, environment, log_filter};
use crate::server;

mod audit;
mod customer;
mod events;
mod crowd;
mod ledger;
mod report;
mod stage;
mod visit;

use crowd::{Crowd, DemoPhase};
use ledger::Ledger;
use stage::Stage;

/// The log level of the demo's own server, unless `STOCKADE_LOG` sets another.
const QUIET: LogFilter = LogFilter { level: LevelFilter::WARN, targets: Vec::new() };
/// One knife for this many customers is added during the rush.
const DELIVERED: u32 = 20;
/// How long the end waits for threads that do not finish.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Runs the demo. All is well if the audit finds nothing.
///
/// # Errors
/// If `STOCKADE_LOG` can't be parsed, or the server can't be started or reached.
pub(super) fn demo(options: &DemoOptions, output: &mut Output) -> Result<Finding, Failure> {
    server::log_to_stderr(LogFormat::Text, &log_filter(environment, QUIET)?).map_err(Failure::Machine)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::Machine)?;
    server::end_on_panic();
    let finding = runtime.block_on(async {
        let stop = server::stop_requested().map_err(Failure::Machine)?;
        let stage = Stage::set()?;
        let finding = tokio::select! {
            finding = play(options, &stage, output) => finding.map(Some),
            () = stop => Ok(None),
        };
        // In any case: the server must end before its folder is removed.
        let struck = stage.strike().await;
        finding.and_then(|finding| struck.map(|()| finding))
    });
    runtime.shutdown_timeout(LAST_WAIT);
    server::flush_log();
    Ok(finding?.unwrap_or_else(|| {
        output.complain("stopped before the audit");
        Finding::Amiss
    }))
}

/// A drop for this many customers: its stock is far too small for all.
fn drop_text(customers: u32) -> String {
    let (knives, sheaths, boards) = (customers / 4, customers / 8, customers / 16);
    format!(
        "kind: Drop\nid: {drop}\ntitle: The demo's knife\nhold_ttl: 5m\nitems:\n  \
         - {{sku: {knife}, quantity: {knives}}}\n  - {{sku: {sheath}, quantity: {sheaths}}}\n  \
         - {{sku: {board}, quantity: {boards}}}\nlimits:\n  \
         - {{id: two-of-each, scope: item, max_units: {each}}}\n  \
         - {{id: four-in-all, scope: drop, max_units: {all}}}\n",
        drop = customer::DROP,
        knife = customer::KNIFE,
        sheath = customer::SHEATH,
        board = customer::BOARD,
        each = customer::ITEM_LIMIT,
        all = customer::DROP_LIMIT,
    )
}

async fn play(options: &DemoOptions, stage: &Stage, output: &mut Output) -> Result<Finding, Failure> {
    output.line(&format!("server on {} with a durable journal in {}", stage.endpoint(), stage.folder().display()));
    let client = Client::connect(stage.endpoint()).await?;
    let text = drop_text(options.customers);
    let drop = drop_file::parse("demo.yaml", &text).map_err(|_faulty| Failure::Bug("the demo's own file is faulty"))?;
    client.create_drop(pb::CreateDropRequest { drop: Some(drop), validate_only: false }).await?;
    output.line(&format!("drop created:\n\n{text}"));
    let ledger = sale(options, stage, output).await?;
    let audit = audit::audit(&client, stage, &ledger).await?;
    report::print(output, &ledger, &audit);
    Ok(if audit.findings.is_empty() { Finding::Well } else { Finding::Amiss })
}

/// Runs all customers, with a delivery in the middle. Once the abandoned holds have expired, the customers who were
/// refused as sold out try again.
async fn sale(options: &DemoOptions, stage: &Stage, output: &mut Output) -> Result<Ledger, Failure> {
    let mut clients = Vec::new();
    for _ in 0..options.connections {
        clients.push(Client::connect(stage.endpoint()).await?);
    }
    let operator = Client::connect(stage.endpoint()).await?;
    output.line(&format!("{} customers come over {} connections", options.customers, options.connections));
    let first = Arc::new(Crowd::new(DemoPhase::Rush, (0..options.customers).collect()));
    let (ledger, delivered) = tokio::join!(
        crowd::run(&first, &clients, options.in_flight, output),
        events::delivery(&first, &operator, options.customers / DELIVERED),
    );
    let mut ledger = ledger?;
    ledger.restocked = delivered?;
    output.line(&format!(
        "halfway {} more knives were put in; {} customers found it sold out for now and wait for what others leave",
        ledger.restocked,
        ledger.again.len()
    ));
    events::phase(&operator, stage, &mut ledger, output).await?;
    output.line(&format!("{} units have come back on time; the customers who wait come again", ledger.came_back));
    let free = events::knives(&operator).await?.free;
    let second = Arc::new(Crowd::new(DemoPhase::SecondChance, std::mem::take(&mut ledger.again)));
    let mut later = crowd::run(&second, &clients, options.in_flight, output).await?;
    later.bought_again = later.entries.iter().map(ledger::Entry::units).fold(0, u64::saturating_add);
    // Each of them asks for one knife and has none: as many must succeed as there are knives.
    if later.bought_again != free.min(later.asked) {
        later.trouble(format!("{} asked for {free} knives, {} were bought", later.asked, later.bought_again));
    }
    ledger.merge(later);
    Ok(ledger)
}
