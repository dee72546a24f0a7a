//! Converts changes of stock: adjustments, reconciliations, and flows that are fired by hand.

use stockade_engine::command::{AdjustStock, FireFlow, ReconcileStock};
use stockade_proto as pb;
use stockade_types::definition::ITEM_UNITS_MAX;
use stockade_types::ids::Lsn;
use stockade_types::record::StockChange;

use super::faults::{Faults, Rejection};
use super::fields::{id, optional_id};

/// A stock adjustment.
///
/// # Errors
/// All faulty fields.
pub fn adjust_stock(request: &pb::AdjustStockRequest) -> Result<AdjustStock, Rejection> {
    let pb::AdjustStockRequest { drop_id, sku, pool, adjustment_id, change } = request;
    let mut faults = Faults::default();
    let drop = id(&mut faults, "drop_id", drop_id);
    let sku = id(&mut faults, "sku", sku);
    let pool = optional_id(&mut faults, "pool", pool);
    let adjustment = id(&mut faults, "adjustment_id", adjustment_id);
    let change = match change {
        Some(pb::adjust_stock_request::Change::Delta(delta)) => {
            if *delta == 0 || delta.unsigned_abs() > ITEM_UNITS_MAX {
                faults.invalid("delta", format_args!("must be 1-{ITEM_UNITS_MAX} units more or fewer"));
            }
            Some(StockChange::Delta(*delta))
        }
        Some(pb::adjust_stock_request::Change::SetReceived(pb::SetReceived { expected, units })) => {
            if *units > ITEM_UNITS_MAX {
                faults.invalid("set_received.units", format_args!("must be at most {ITEM_UNITS_MAX}"));
            }
            Some(StockChange::SetReceived { expected: *expected, units: *units })
        }
        None => {
            faults.invalid("delta", "one of delta and set_received is needed");
            None
        }
    };
    let command = (|| Some(AdjustStock { drop: drop?, sku: sku?, pool, id: adjustment?, change: change? }))();
    faults.finish(command)
}

/// A reconciliation, as of this record; none if the cursor is not one.
///
/// # Errors
/// All faulty fields.
pub fn reconcile_stock(request: &pb::ReconcileStockRequest, at: Option<Lsn>) -> Result<ReconcileStock, Rejection> {
    let pb::ReconcileStockRequest { drop_id, sku, pool, reconciliation_id, as_of: _, on_hand, dry_run } = request;
    let mut faults = Faults::default();
    let drop = id(&mut faults, "drop_id", drop_id);
    let sku = id(&mut faults, "sku", sku);
    let pool = optional_id(&mut faults, "pool", pool);
    let reconciliation = id(&mut faults, "reconciliation_id", reconciliation_id);
    if at.is_none() {
        faults.invalid("as_of", "must be the cursor of an event");
    }
    if *on_hand > ITEM_UNITS_MAX {
        faults.invalid("on_hand", format_args!("must be at most {ITEM_UNITS_MAX}"));
    }
    let (on_hand, dry_run) = (*on_hand, *dry_run);
    let command =
        (|| Some(ReconcileStock { drop: drop?, sku: sku?, pool, id: reconciliation?, as_of: at?, on_hand, dry_run }))();
    faults.finish(command)
}

/// A flow to be fired by hand.
///
/// # Errors
/// All faulty fields.
pub fn fire_flow(request: &pb::FireFlowRequest) -> Result<FireFlow, Rejection> {
    let pb::FireFlowRequest { drop_id, sku, pool, to } = request;
    let mut faults = Faults::default();
    let drop = id(&mut faults, "drop_id", drop_id);
    let sku = id(&mut faults, "sku", sku);
    let (pool, to) = (id(&mut faults, "pool", pool), id(&mut faults, "to", to));
    let command = (|| Some(FireFlow { drop: drop?, sku: sku?, pool: pool?, to: to? }))();
    faults.finish(command)
}
