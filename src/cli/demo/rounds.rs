//! What happens in the sale: all customers, a delivery in the middle, the expiry of abandoned holds, and those who come
//! again.

use std::sync::Arc;
use std::time::Duration;

use stockade_client::Client;
use stockade_drill::customers::{Floor, one_after_the_other};
use stockade_drill::ledger::{Ledger, Restock, Visit, at};
use stockade_drill::request::Verb;
use stockade_drill::wire::{self, patiently};
use stockade_proto as pb;
use stockade_types::metrics::{Counter, Stopwatch};
use uuid::Uuid;

use super::customer::{Fate, KNIFE, Wish};
use super::stage::Stage;
use crate::cli::failure::Failure;
use crate::cli::output::Output;

/// How often progress is shown.
const PROGRESS: Duration = Duration::from_millis(500);
/// How often to check whether half of the customers have started.
const LOOK: Duration = Duration::from_millis(5);
/// A hold must be expired within this time after its deadline, in milliseconds: enough for a busy machine.
const ON_TIME: u64 = 1_000;

/// The customers of a round.
pub(super) struct Round {
    crowd: u16,
    customers: Vec<u64>,
    begun: Counter,
    /// Answers to reserves before this round.
    before: [u64; 3],
}

impl Round {
    /// A round of these customers.
    pub(super) fn new(floor: &Floor, crowd: u16, customers: Vec<u64>) -> Arc<Self> {
        Arc::new(Self { crowd, customers, begun: Counter::default(), before: floor.recorder.of(Verb::Reserve) })
    }

    fn progress(&self, floor: &Floor, watch: Stopwatch) -> String {
        let [now, before] = [floor.recorder.of(Verb::Reserve), self.before];
        let [held, refused, failed] = std::array::from_fn(|ending| {
            let count = |counts: [u64; 3]| counts.get(ending).copied().unwrap_or_default();
            count(now).saturating_sub(count(before))
        });
        let asked = held.saturating_add(refused).saturating_add(failed);
        let millis = u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = asked.saturating_mul(1000).checked_div(millis).unwrap_or(0);
        let (seconds, tenths) = (millis / 1000, millis % 1000 / 100);
        format!("{seconds}.{tenths} s: {asked} asked, {held} got a hold, {refused} were refused, {rate} a second")
    }
}

/// Runs the customers of a round, `in_flight` at once over each connection, and shows the progress. Returns how long it
/// took.
///
/// # Errors
/// If a customer panics, which is a bug.
pub(super) async fn run(
    floor: &Arc<Floor>,
    round: &Arc<Round>,
    in_flight: u32,
    output: &mut Output,
) -> Result<Duration, Failure> {
    let watch = Stopwatch::start();
    let at_a_time = usize::try_from(in_flight).unwrap_or(usize::MAX).saturating_mul(floor.clients.len());
    let (shared, customers) = (Arc::clone(floor), Arc::clone(round));
    let visits = one_after_the_other(at_a_time, move |number| {
        let (floor, round) = (Arc::clone(&shared), Arc::clone(&customers));
        async move { Box::pin(visit(&floor, &round, number)).await }
    });
    tokio::pin!(visits);
    let mut ticks = tokio::time::interval(PROGRESS);
    loop {
        tokio::select! {
            over = &mut visits => {
                over?;
                break;
            }
            _ = ticks.tick() => output.progress(&round.progress(floor, watch)),
        }
    }
    output.progress(&round.progress(floor, watch));
    output.end_progress();
    Ok(watch.elapsed())
}

/// One customer's visit, or both at once. Returns whether there is such a customer.
async fn visit(floor: &Floor, round: &Round, number: u64) -> bool {
    let place = usize::try_from(number).unwrap_or(usize::MAX);
    let Some(customer) = round.customers.get(place).copied() else { return false };
    round.begun.increment();
    let (wish, due) = (Wish::of(round.crowd, customer), floor.watch.elapsed());
    let visit = || floor.visit(number, wish.plan(round.crowd, customer), due);
    if wish.double_click {
        tokio::join!(visit(), visit());
    } else {
        visit().await;
    }
    true
}

/// Adds `more` knives once half of the customers have started, and again under the same id, which changes nothing.
/// Returns how many were added in all.
///
/// # Errors
/// If the server answers with a status.
pub(super) async fn delivery(floor: &Floor, round: &Round, client: &Client, more: u32) -> Result<u64, Failure> {
    while round.begun.get() < u64::try_from(round.customers.len() / 2).unwrap_or(u64::MAX) {
        tokio::time::sleep(LOOK).await;
    }
    let before = knives(floor, client).await?.received;
    let request = pb::AdjustStockRequest {
        drop_id: drop(floor),
        sku: KNIFE.1.to_owned(),
        pool: String::new(),
        adjustment_id: Uuid::now_v7().to_string(),
        change: Some(pb::adjust_stock_request::Change::Delta(more.into())),
    };
    let sent = at(floor.watch.elapsed());
    for _ in 0..2 {
        patiently(|| client.adjust_stock(request.clone())).await?;
    }
    let received = Some(at(floor.watch.elapsed()));
    floor.ledger.keep_restock(Restock { drop: 0, item: KNIFE.0, units: more.into(), sent, received });
    Ok(knives(floor, client).await?.received.saturating_sub(before))
}

fn drop(floor: &Floor) -> String {
    floor.sales.first().map(|sale| sale.id.clone()).unwrap_or_default()
}

/// The stock of knives.
///
/// # Errors
/// If the server answers with a status.
pub(super) async fn knives(floor: &Floor, client: &Client) -> Result<pb::Stock, Failure> {
    let (drop, _time) = wire::show(client, &drop(floor)).await?;
    Ok(wire::stock(&drop, KNIFE.1))
}

/// Visits that got a hold and were to end like this.
pub(super) fn granted(ledger: &Ledger, fits: impl Fn(Fate) -> bool) -> impl Iterator<Item = &Visit> {
    let held = ledger.visits.iter().filter(|visit| visit.granted(Verb::Reserve).is_some());
    held.filter(move |visit| fits(Wish::behind(visit).fate))
}

/// Units of these visits.
pub(super) fn units<'v>(visits: impl Iterator<Item = &'v Visit>) -> u64 {
    visits.map(|visit| visit.units_of(None)).fold(0, u64::saturating_add)
}

/// Waits until all abandoned holds are past their deadlines, showing the progress. Returns what is wrong if not all of
/// them have expired by then.
///
/// # Errors
/// If the server can't be asked.
pub(super) async fn expiry(
    floor: &Floor,
    stage: &Stage,
    (client, ledger): (&Client, &Ledger),
    output: &mut Output,
) -> Result<Option<String>, Failure> {
    let left = || granted(ledger, |fate| fate == Fate::WalkedAway);
    let (holds, last) = (left().count().to_string(), left().map(|visit| visit.acknowledged().0).max());
    let mut ticks = tokio::time::interval(PROGRESS);
    loop {
        let _due = ticks.tick().await;
        // The time is read first: the metric then covers all deadlines before it.
        let (_, now) = wire::show(client, &drop(floor)).await?;
        let expired = stage.expired().await?;
        output.progress(&format!("{expired} of {holds} holds that were left behind have expired"));
        if expired == holds {
            output.end_progress();
            return Ok(None);
        }
        if now >= last.unwrap_or(0).saturating_add(ON_TIME) {
            output.end_progress();
            return Ok(Some(format!("{holds} holds were past their deadlines for {ON_TIME} ms, {expired} expired")));
        }
    }
}
