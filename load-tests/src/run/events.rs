//! Operators' actions during the load.

use stockade_client::Client;
use stockade_drill::Failure;
use stockade_drill::ledger::{Restock, at};
use stockade_drill::wire::patiently;
use stockade_proto as pb;
use stockade_proto::adjust_stock_request::Change;

use crate::rush::Rush;
use crate::scenario::{Action, Event};

/// Runs all actions, each when it is due.
///
/// # Errors
/// When the server refuses one.
pub async fn happen(rush: &Rush, operator: &Client) -> Result<(), Failure> {
    let mut events: Vec<&Event> = rush.scenario.events.iter().collect();
    events.sort_by_key(|event| event.after);
    for event in events {
        tokio::time::sleep(event.after.0.saturating_sub(rush.floor.watch.elapsed())).await;
        let drop = rush.scenario.drops.iter().position(|sale| sale.id == event.drop).unwrap_or(usize::MAX);
        let drop_id = rush.floor.sales.get(drop).map(|sale| sale.id.clone()).unwrap_or_default();
        match event.action {
            Action::Restock => restock(rush, operator, event, drop).await?,
            Action::Pause => {
                let paused = operator.pause_drop(pb::PauseDropRequest { drop_id }).await;
                paused.map_err(Failure::status("pausing a drop"))?;
            }
            Action::Resume => {
                let resumed = operator.resume_drop(pb::ResumeDropRequest { drop_id }).await;
                resumed.map_err(Failure::status("resuming a drop"))?;
            }
            Action::Close => {
                let closed = operator.close_drop(pb::CloseDropRequest { drop_id }).await;
                closed.map_err(Failure::status("closing a drop"))?;
            }
        }
    }
    Ok(())
}

async fn restock(rush: &Rush, operator: &Client, event: &Event, drop: usize) -> Result<(), Failure> {
    let sale = rush.floor.sales.get(drop).cloned().unwrap_or_default();
    let sku = event.sku.clone().unwrap_or_default();
    let (item, units) = (sale.item(&sku).unwrap_or(u16::MAX), event.units.unwrap_or_default());
    let request = pb::AdjustStockRequest {
        drop_id: sale.id,
        sku,
        pool: String::new(),
        // The id makes it safe to send it again.
        adjustment_id: uuid::Uuid::new_v4().to_string(),
        change: Some(Change::Delta(i64::try_from(units).unwrap_or(i64::MAX))),
    };
    let (drop, watch) = (u16::try_from(drop).unwrap_or(u16::MAX), rush.floor.watch);
    let mut kept = Restock { drop, item, units, sent: at(watch.elapsed()), received: None };
    let answer = patiently(|| operator.adjust_stock(request.clone())).await;
    kept.received = answer.is_ok().then(|| at(watch.elapsed()));
    rush.floor.ledger.keep_restock(kept);
    answer.map_err(Failure::status("adjusting the stock"))?;
    Ok(())
}
