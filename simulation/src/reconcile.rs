//! Reconciliations as the edge makes them: the stock is counted, the feed says what moved since, and both are compared.

use std::sync::Arc;

use stockade_engine::Engine;
use stockade_engine::answer::{Fault, Reconciled, Reconciling, StockCount};
use stockade_engine::command::{ExpectedStock, ReconcileStock};
use stockade_engine::context::Context;
use stockade_feed::{Feed, FeedError, StockPlace};
use stockade_types::ids::Lsn;
use stockade_types::time::Timestamp;

use crate::world::durable;

/// The feed of an engine whose journal is kept.
pub fn feed(engine: &Arc<Engine>) -> Feed {
    let names = Arc::clone(engine);
    Feed::new(engine.history().expect("a journal that is kept"), move |number| names.definition(number))
}

/// What should be on hand by a record, from what was counted by a later one.
pub fn expected(feed: &Feed, as_of: Lsn, counted: &StockCount) -> Result<ExpectedStock, FeedError> {
    let StockCount { drop, item, pool, on_hand, at } = *counted;
    let (mut sum, mut read_to) = (i128::from(on_hand), as_of);
    while read_to < at {
        let (moved, to) = feed.moved(StockPlace { drop, item, pool }, (read_to, at))?;
        (sum, read_to) = (sum - moved, to);
    }
    Ok(ExpectedStock { on_hand: i64::try_from(sum).expect("within the bounds on units"), at })
}

/// The answer to a reconciliation, once it is durable.
pub fn reconciled(engine: &Arc<Engine>, command: &ReconcileStock, now: Timestamp) -> Result<Reconciled, Fault> {
    let mut known = None;
    loop {
        match durable(engine, engine.reconcile_stock(command, known, Context::anonymous(now)))? {
            Reconciling::Done(reconciled) => return Ok(reconciled),
            Reconciling::Counted(counted) => {
                known = Some(expected(&feed(engine), command.as_of, &counted).expect("kept"));
            }
        }
    }
}
