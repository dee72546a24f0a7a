//! What happens during and after the rush: a delivery in the middle of it, and the expiry of abandoned holds.

use std::time::Duration;

use stockade_client::Client;
use stockade_proto as pb;
use uuid::Uuid;

use super::crowd::Crowd;
use super::customer::{DROP, Fate, KNIFE};
use super::ledger::Ledger;
use super::stage::Stage;
use super::visit::patiently;
use crate::cli::failure::Failure;
use crate::cli::output::Output;

/// How often to check whether half of the customers have started.
const LOOK: Duration = Duration::from_millis(5);
/// How often to check the expiry of holds.
const PROGRESS: Duration = Duration::from_millis(500);
/// A hold must be expired within this time after its deadline, in milliseconds: enough for a busy machine.
const ON_TIME: i64 = 1_000;

/// Adds `more` knives once half of the customers have started, and again under the same id, which changes nothing.
/// Returns how many were added in all.
///
/// # Errors
/// If the server answers with a status.
pub(super) async fn delivery(crowd: &Crowd, client: &Client, more: u32) -> Result<u64, Failure> {
    while !crowd.is_half_through() {
        tokio::time::sleep(LOOK).await;
    }
    let before = knives(client).await?.received;
    let request = pb::AdjustStockRequest {
        drop_id: DROP.to_owned(),
        sku: KNIFE.to_owned(),
        pool: String::new(),
        adjustment_id: Uuid::now_v7().to_string(),
        change: Some(pb::adjust_stock_request::Change::Delta(more.into())),
    };
    for _ in 0..2 {
        patiently(|| client.adjust_stock(request.clone())).await?;
    }
    Ok(knives(client).await?.received.saturating_sub(before))
}

/// The stock of knives.
///
/// # Errors
/// If the server answers with a status.
pub(super) async fn knives(client: &Client) -> Result<pb::Stock, Failure> {
    let request = pb::GetDropRequest { drop_id: DROP.to_owned() };
    let drop = patiently(|| client.get_drop(request.clone())).await?.drop.unwrap_or_default();
    let item = drop.items.iter().find(|item| item.sku == KNIFE);
    Ok(item.and_then(|item| item.stock).unwrap_or_default())
}

/// Waits until all abandoned holds are past their deadlines, showing the progress, and records in the ledger whether
/// all of them have expired by then.
///
/// # Errors
/// If the server can't be asked.
pub(super) async fn phase(
    client: &Client,
    stage: &Stage,
    ledger: &mut Ledger,
    output: &mut Output,
) -> Result<(), Failure> {
    let left = ledger.holds(Fate::WalkedAway);
    let (mut holds, mut units, mut last) = (0_u64, 0_u64, 0_i64);
    for entry in left {
        holds = holds.saturating_add(1);
        units = units.saturating_add(entry.units());
        last = last.max(millis(&entry.expires_at));
    }
    let request = pb::GetDropRequest { drop_id: DROP.to_owned() };
    let mut ticks = tokio::time::interval(PROGRESS);
    loop {
        let _due = ticks.tick().await;
        // The time is read first: the metric then covers all deadlines before it.
        let now = patiently(|| client.get_drop(request.clone())).await?.server_time;
        let expired =
            stage.metric("stockade_hold_transitions_total{to=\"expired\"}").await?.unwrap_or_else(|| "0".to_owned());
        output.progress(&format!("{expired} of {holds} holds that were left behind have expired"));
        let over = now.is_some_and(|now| millis(&now) >= last.saturating_add(ON_TIME));
        if over || expired == holds.to_string() {
            output.end_progress();
            if expired != holds.to_string() {
                ledger.trouble(format!("{holds} holds were past their deadlines for {ON_TIME} ms, {expired} expired"));
            }
            ledger.came_back = units;
            return Ok(());
        }
    }
}

/// Milliseconds since the epoch.
fn millis(at: &prost_types::Timestamp) -> i64 {
    at.seconds.saturating_mul(1_000).saturating_add(i64::from(at.nanos) / 1_000_000)
}
