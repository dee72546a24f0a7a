//! `stockade demo`: a server, a drop, a herd of customers over real gRPC, and an audit from the outside.
//!
//! The herd knows only what it was answered. The audit holds that against what the server shows.

use std::sync::Arc;
use std::time::Duration;

use super::args::DemoOptions;
use super::failure::Failure;
use super::output::Output;
use super::{Finding, drop_file};
use crate::client::Client;
use crate::config::{LogFormat, environment};
use crate::metrics::Stopwatch;
use crate::proto as pb;
use crate::server;

mod audit;
mod customer;
mod herd;
mod stage;

use herd::{Herd, Ledger, Wave};
use stage::Stage;

/// Logs of the demo's own server, unless `STOCKADE_LOG` asks for more.
const QUIET: &str = "warn";
/// How long an abandoned hold lives, and then some: until then its units are not back for sale.
const UNTIL_EXPIRED: Duration = customer::IMPATIENT_TTL.saturating_add(Duration::from_millis(250));
/// How long threads that do not come back may hold up the end.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Runs the demo. All is well when the audit finds nothing.
///
/// # Errors
/// When the server can't be started, or is not reached.
pub fn demo(options: &DemoOptions, output: &mut Output) -> Result<Finding, Failure> {
    let filter = environment("STOCKADE_LOG").unwrap_or_else(|| QUIET.to_owned());
    server::log_to_stderr(LogFormat::Text, Some(&filter));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::Machine)?;
    server::end_on_panic();
    let finding = runtime.block_on(async {
        let stop = server::told_to_stop().map_err(Failure::Machine)?;
        let stage = Stage::set().await?;
        let finding = tokio::select! {
            finding = play(options, &stage, output) => finding.map(Some),
            () = stop => Ok(None),
        };
        // However it went: the server ends well before its folder is removed.
        let struck = stage.strike().await;
        finding.and_then(|finding| struck.map(|()| finding))
    });
    runtime.shutdown_timeout(LAST_WAIT);
    Ok(finding?.unwrap_or_else(|| {
        output.complain("stopped before the audit");
        Finding::Amiss
    }))
}

/// A drop for so many customers: about six want what one can have.
fn drop_text(customers: u32) -> String {
    let (knives, sheaths) = (customers / 4, customers / 8);
    format!(
        "kind: Drop\nid: {drop}\ntitle: The demo's knife\nhold_ttl: 5m\nitems:\n  \
         - {{sku: {knife}, quantity: {knives}}}\n  - {{sku: {sheath}, quantity: {sheaths}}}\n\
         limits: [{{id: two-each, scope: drop, max_units: {limit}}}]\n",
        drop = customer::DROP,
        knife = customer::KNIFE,
        sheath = customer::SHEATH,
        limit = customer::LIMIT,
    )
}

async fn play(options: &DemoOptions, stage: &Stage, output: &mut Output) -> Result<Finding, Failure> {
    output.line(&format!("server on {} with a durable journal in {}", stage.endpoint(), stage.folder().display()));
    let client = Client::connect(stage.endpoint()).await?;
    let text = drop_text(options.customers);
    let drop = drop_file::parse("demo.yaml", &text).map_err(|_faulty| Failure::Bug("the demo's own file is faulty"))?;
    client.create_drop(pb::CreateDropRequest { drop: Some(drop), validate_only: false }).await?;
    output.line(&format!("drop created:\n\n{text}"));
    let ledger = rush(options, stage, output).await?;
    let audit = audit::audit(&client, stage, &ledger).await?;
    audit::tell(output, &ledger, &audit);
    Ok(if audit.findings.is_empty() { Finding::Well } else { Finding::Amiss })
}

/// Everyone at once; then, once what was abandoned is back, those again who found it sold out.
async fn rush(options: &DemoOptions, stage: &Stage, output: &mut Output) -> Result<Ledger, Failure> {
    let mut clients = Vec::new();
    for _ in 0..options.connections {
        clients.push(Client::connect(stage.endpoint()).await?);
    }
    let watch = Stopwatch::start();
    output.line(&format!("{} customers come over {} connections", options.customers, options.connections));
    let first = Arc::new(Herd::new(Wave::Rush, (0..options.customers).collect()));
    let mut ledger = herd::run(&first, &clients, options.in_flight, output).await?;
    ledger.took = watch.elapsed();
    output.line(&format!("{} found it sold out for now; abandoned holds expire", ledger.again.len()));
    tokio::time::sleep(UNTIL_EXPIRED).await;
    let second = Arc::new(Herd::new(Wave::SecondChance, std::mem::take(&mut ledger.again)));
    let later = herd::run(&second, &clients, options.in_flight, output).await?;
    ledger.merge(later);
    Ok(ledger)
}
