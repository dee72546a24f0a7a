//! `stockade demo`: a server, a drop, many customers over real gRPC, and an audit from the outside.
//!
//! The customers know only the answers that they got. The audit compares these with what the server shows.

use std::sync::Arc;
use std::time::Duration;

use stockade_client::Client;
use stockade_drill::customers::Floor;
use stockade_drill::ledger::{Goods, Ledger, Sale};
use stockade_drill::wire;
use stockade_proto as pb;
use tracing::level_filters::LevelFilter;

use super::args::DemoOptions;
use super::failure::Failure;
use super::output::Output;
use super::{Finding, drop_file};
use crate::config::{LogFilter, LogFormat, environment, log_filter};
use crate::server;

mod customer;
mod receiver;
mod report;
mod rounds;
mod stage;

use customer::{DROP_LIMIT, ITEM_LIMIT, RUSH, SECOND_CHANCE, Wish};
use receiver::Receiver;
use report::{Sold, report};
use rounds::Round;
use stage::Stage;

/// How long a customer waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The log level of the demo's own server, unless `STOCKADE_LOG` sets another.
const QUIET: LogFilter = LogFilter { level: LevelFilter::WARN, targets: Vec::new() };
/// One knife for this many customers is added during the rush.
const DELIVERED: u32 = 20;
/// The signal that the demo's drop fires, and how long its webhook may take.
const HALF_GONE: &str = "half-gone";
const DELIVERED_WITHIN: Duration = Duration::from_secs(10);
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

/// The drop as a file.
fn drop_text(sale: &Sale) -> String {
    let item = |goods: &Goods| format!("  - {{sku: {}, quantity: {}}}\n", goods.sku, goods.units);
    format!(
        "kind: Drop\nid: {}\ntitle: The demo's knife\nhold_ttl: 5m\nitems:\n{}limits:\n  \
         - {{id: two-of-each, scope: item, max_units: {ITEM_LIMIT}}}\n  \
         - {{id: four-in-all, scope: drop, max_units: {DROP_LIMIT}}}\nsignals:\n  \
         - {{id: {HALF_GONE}, on: {{taken: 50%}}}}\n",
        sale.id,
        sale.items.iter().map(item).collect::<String>(),
    )
}

async fn play(options: &DemoOptions, stage: &Stage, output: &mut Output) -> Result<Finding, Failure> {
    output.line(&format!("server on {} with a durable journal in {}", stage.endpoint(), stage.folder().display()));
    let client = wire::connect(stage.endpoint()).await?;
    let sale = customer::sale(options.customers);
    let text = drop_text(&sale);
    let drop = drop_file::parse("demo.yaml", &text).map_err(|_faulty| Failure::Bug("the demo's own file is faulty"))?;
    let receiver = Receiver::start().await?;
    receiver.subscribe(&client).await?;
    wire::create(&client, drop).await?;
    output.line(&format!("drop created:\n\n{text}"));
    if let Some(page) = stage.page(&sale.id) {
        output.line(&format!("its page while this runs: {page}\n"));
    }
    let clients = wire::clients(stage.endpoint(), usize::try_from(options.connections).unwrap_or(usize::MAX)).await?;
    let floor = Arc::new(Floor::new(vec![sale], (clients.clone(), clients), TIMEOUT));
    let mut sold = sell(options, &floor, (&client, stage), output).await?;
    let half_gone = format!("signal.fired {HALF_GONE}");
    let deliveries = receiver.wait_for(&half_gone, DELIVERED_WITHIN).await;
    output.line(&format!("its webhook has received, each signed: {}", deliveries.join(", ")));
    if !deliveries.contains(&half_gone) {
        sold.troubles.push(format!("the webhook did not receive {half_gone}"));
    }
    let clean = report((&client, stage), &floor, &sold, output).await?;
    Ok(if clean { Finding::Well } else { Finding::Amiss })
}

/// Runs all customers, with a delivery in the middle. Once the abandoned holds have expired, the customers who were
/// refused as sold out try again.
async fn sell(
    options: &DemoOptions,
    floor: &Arc<Floor>,
    (operator, stage): (&Client, &Stage),
    output: &mut Output,
) -> Result<Sold, Failure> {
    output.line(&format!("{} customers come over {} connections", options.customers, options.connections));
    let rush = Round::new(floor, RUSH, (0..u64::from(options.customers)).collect());
    let (took, restocked) = tokio::join!(
        rounds::run(floor, &rush, options.in_flight, output),
        rounds::delivery(floor, &rush, operator, options.customers / DELIVERED),
    );
    let (took, restocked, ledger) = (took?, restocked?, floor.ledger.close());
    let again = those_who_wait(&ledger);
    output.line(&format!(
        "halfway {restocked} more knives were put in; {} customers found it sold out for now and wait for what others leave",
        again.len()
    ));
    let late = rounds::expiry(floor, stage, (operator, &ledger), output).await?;
    let came_back = rounds::units(rounds::granted(&ledger, |fate| fate == customer::Fate::WalkedAway));
    output.line(&format!("{came_back} units have come back on time; the customers who wait come again"));
    let free = rounds::knives(floor, operator).await?.free;
    let asked = u64::try_from(again.len()).unwrap_or(u64::MAX);
    let second = Round::new(floor, SECOND_CHANCE, again);
    rounds::run(floor, &second, options.in_flight, output).await?;
    let later = floor.ledger.close();
    let bought_again = rounds::units(rounds::granted(&later, |_any| true));
    let mut sold = Sold { ledger, took, restocked, bought_again, troubles: late.into_iter().collect() };
    // Each of them asks for one knife and has none: as many must succeed as there are knives.
    if bought_again != free.min(asked) {
        sold.troubles.push(format!("{asked} asked for {free} knives, {bought_again} were bought"));
    }
    sold.ledger.merge(later);
    Ok(sold)
}

/// Customers who were refused as sold out while others held units.
fn those_who_wait(ledger: &Ledger) -> Vec<u64> {
    let sold_out =
        ledger.refused().filter(|turned| turned.reason == pb::RefusalReason::SoldOut && turned.may_come_back);
    sold_out.map(|turned| turned.turn).filter(|number| !Wish::of(RUSH, *number).double_click).collect()
}
