//! Operators' actions during the load.

use std::time::Duration;

use stockade_proto as pb;
use stockade_proto::adjust_stock_request::Change;
use tonic::{Code, Status};

use crate::failure::Failure;
use crate::floor::Floor;
use crate::ledger::{Restock, at};
use crate::scenario::{Action, Event};
use crate::wire::Operators;

/// How often a request that was answered with `UNAVAILABLE` is sent again.
const RETRIES_MAX: u32 = 100;
/// The wait before that.
const PAUSE: Duration = Duration::from_millis(50);

/// Runs all actions, each when it is due.
///
/// # Errors
/// When the server refuses one.
pub async fn happen(floor: &Floor, mut operators: Operators) -> Result<(), Failure> {
    let mut events: Vec<&Event> = floor.scenario.events.iter().collect();
    events.sort_by_key(|event| event.after);
    for event in events {
        tokio::time::sleep(event.after.0.saturating_sub(floor.watch.elapsed())).await;
        let drop = floor.scenario.drops.iter().position(|sale| sale.id == event.drop).unwrap_or(usize::MAX);
        let drop_id = floor.drops.get(drop).cloned().unwrap_or_default();
        match event.action {
            Action::Restock => restock(floor, &mut operators, event, (drop, drop_id)).await?,
            Action::Pause => {
                let paused = operators.pause_drop(pb::PauseDropRequest { drop_id }).await;
                paused.map_err(Failure::status("pausing a drop"))?;
            }
            Action::Resume => {
                let resumed = operators.resume_drop(pb::ResumeDropRequest { drop_id }).await;
                resumed.map_err(Failure::status("resuming a drop"))?;
            }
            Action::Close => {
                let closed = operators.close_drop(pb::CloseDropRequest { drop_id }).await;
                closed.map_err(Failure::status("closing a drop"))?;
            }
        }
    }
    Ok(())
}

async fn restock(
    floor: &Floor,
    operators: &mut Operators,
    event: &Event,
    (drop, drop_id): (usize, String),
) -> Result<(), Failure> {
    let sku = event.sku.clone().unwrap_or_default();
    let goods = floor.scenario.drops.get(drop).map(|sale| sale.items.iter().position(|goods| goods.sku == sku));
    let item = goods.flatten().and_then(|item| u16::try_from(item).ok()).unwrap_or(u16::MAX);
    let units = event.units.unwrap_or_default();
    let request = pb::AdjustStockRequest {
        drop_id,
        sku,
        pool: String::new(),
        adjustment_id: uuid::Uuid::new_v4().to_string(),
        change: Some(Change::Delta(i64::try_from(units).unwrap_or(i64::MAX))),
    };
    let drop = u16::try_from(drop).unwrap_or(u16::MAX);
    let mut kept = Restock { drop, item, units, sent: at(floor.watch.elapsed()), received: None };
    let answer = patiently(operators, &request).await;
    kept.received = answer.is_ok().then(|| at(floor.watch.elapsed()));
    floor.ledger.keep_restock(kept);
    answer.map_err(Failure::status("adjusting the stock"))
}

/// Sends an adjustment again while the server is busy: its id makes that safe.
async fn patiently(operators: &mut Operators, request: &pb::AdjustStockRequest) -> Result<(), Status> {
    let mut tries = 0_u32;
    loop {
        match operators.adjust_stock(request.clone()).await {
            Err(status) if status.code() == Code::Unavailable && tries < RETRIES_MAX => {
                tries = tries.saturating_add(1);
                tokio::time::sleep(PAUSE).await;
            }
            answered => return answered.map(|_drop| ()),
        }
    }
}
