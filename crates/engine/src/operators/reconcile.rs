//! Reconciliations: what a system of record has on hand is compared with what it should have, and the difference is
//! made as an adjustment, once for each id.
//!
//! The system of record is behind: it has taken in what happened up to some record. The engine has no past, so what
//! should be on hand by that record is computed by the caller: the engine counts the stock as a later record left it,
//! and the caller takes from that what the records in between moved. Not what reconciliations moved: those corrected
//! differences that the system of record reports until it has taken the corrections in. If another reconciliation of the
//! item came after the count, the stock is counted anew; other adjustments change nothing of what should have been on
//! hand by then.

use stockade_types::ids::{ItemNo, Lsn, PoolNo};
use stockade_types::record::{Adjustment, MarkKind, PoolFigures, Reconciliation, StockChange};

use super::adjust::{find, may_be_made, pool_of};
use super::view::view;
use crate::Engine;
use crate::answer::{Fault, Reconciled, Reconciling, StockCount};
use crate::attempt::{Answer, Attempt, Chore, Decided, Undecided};
use crate::command::{ExpectedStock, ReconcileStock};
use crate::context::Context;
use crate::inventory::{DropEntry, DropInner};

impl Engine {
    /// Compares the stock of an item with what a system of record has on hand, and sets the difference right, once for
    /// each id. Units that customers have are never taken out: those that are missing then are the shortage.
    ///
    /// Without `expected`, or if the item was reconciled since, the answer is the stock as it is now; unless the id is
    /// known, then it is the first answer.
    ///
    /// # Errors
    /// [`Fault::NoDrop`]; [`Fault::Invalid`] for a SKU or pool that the drop does not have, or an id that may have been
    /// used; [`Fault::Exists`] when the id was used for something else; [`Fault::Precondition`] for an archived drop, a
    /// slot that has begun, or more units than an item may have; and faults of the journal.
    pub fn reconcile_stock(
        &self,
        command: &ReconcileStock,
        expected: Option<ExpectedStock>,
        context: Context<'_>,
    ) -> Answer<Reconciling> {
        if expected.is_some() {
            self.sweep_named(&command.drop, (&command.sku, command.pool.as_ref()), context.now)?;
        }
        self.decide(context.now, || {
            let reconciled = self.inventory.drops.with_id(&command.drop, |entry| {
                self.reconcile_in((entry, &mut entry.write()), command, expected, context)
            });
            reconciled.unwrap_or_else(|| Err(Fault::NoDrop(command.drop.clone()).into()))
        })
    }

    fn reconcile_in(
        &self,
        (entry, inner): (&DropEntry, &mut DropInner),
        command: &ReconcileStock,
        expected: Option<ExpectedStock>,
        context: Context<'_>,
    ) -> Attempt<Decided<Reconciling>> {
        if inner.is_to_turn(context.not_before(inner.turned_at).now) {
            return Err(Undecided::Retry(Chore::Turn(entry.number)));
        }
        let (item, place) = find(inner, &command.sku, command.pool.as_ref())?;
        if let Some(what) = is_over(inner, item, command) {
            return Err(Decided { value: Fault::Precondition(what), durable_after: inner.durable_after() }.into());
        }
        let known = inner.adjusted.get(item.index());
        let revision = known.map_or(Lsn::default(), |known| known.revision);
        let durable_after = revision.max(inner.durable_after());
        if let Some(made) = known.and_then(|known| known.find(&command.id)) {
            let made = known_as(&made, place, command).map_err(|value| Decided { value, durable_after })?;
            return Ok(Decided { value: done(&made, made.applied, (entry, inner)), durable_after });
        }
        if known.is_some_and(|known| known.may_be_forgotten(&command.id)) {
            let fault = may_be_made(&command.sku, &command.id, "reconciliation");
            return Err(Decided { value: fault, durable_after }.into());
        }
        let reconciled = known.map_or(Lsn::default(), |known| known.reconciled);
        let Some(expected) = expected.filter(|expected| reconciled <= expected.at) else {
            let counted = self.count(entry, (item, command.pool.is_some().then_some(place)));
            return Ok(Decided { durable_after: counted.at, value: Reconciling::Counted(counted) });
        };
        // Both are far below 2^63: see the bounds on units.
        let drift = command.on_hand.cast_signed().saturating_sub(expected.on_hand);
        let (free, _) = pool_of(entry, item, place).stock();
        let applied = drift.max(free.free.cast_signed().saturating_neg());
        let (whole_item, as_of) = (command.pool.is_none(), command.as_of);
        let made = Reconciliation { whole_item, as_of, on_hand: command.on_hand, drift, applied };
        if command.dry_run {
            return Ok(Decided { value: done(&made, 0, (entry, inner)), durable_after });
        }
        let adjustment = Adjustment { id: command.id, pool: place, change: StockChange::Reconcile(made) };
        let durable_after = self.make_adjustment((entry, inner), (item, adjustment), durable_after, context)?;
        Ok(Decided { value: done(&made, applied, (entry, inner)), durable_after })
    }

    /// The stock as the last record of the drop left it. The drop's gate is closed: no record is on its way to memory.
    fn count(&self, entry: &DropEntry, (item, pool): (ItemNo, Option<PoolNo>)) -> StockCount {
        let figures = entry.item_figures(item);
        let places = pool.map_or(0..figures.len(), |pool| pool.index()..pool.index().saturating_add(1));
        let counted = figures.get(places).unwrap_or_default();
        let on_hand = counted.iter().map(PoolFigures::on_hand).fold(0, u64::saturating_add);
        StockCount { drop: entry.number, item, pool, on_hand, at: self.journal.appended() }
    }
}

fn done(made: &Reconciliation, applied: i64, (entry, inner): (&DropEntry, &DropInner)) -> Reconciling {
    let (drift, shortage) = (made.drift, made.shortage());
    Reconciling::Done(Reconciled { drift, applied, shortage, view: view(entry, inner) })
}

/// Why nothing of the item is compared any more, if that is so.
fn is_over(inner: &DropInner, item: ItemNo, command: &ReconcileStock) -> Option<String> {
    if inner.archived.is_some() {
        return Some(format!("drop {} is archived: its stock stays as it is", command.drop));
    }
    let has_begun = inner.lifecycle.has(MarkKind::SlotStarts(item));
    has_begun.then(|| format!("slot {:?} has begun: what is free of it is withdrawn", command.sku.as_str()))
}

/// What came of the id's first use, if that was for the same.
fn known_as(made: &Adjustment, place: PoolNo, command: &ReconcileStock) -> Result<Reconciliation, Fault> {
    let exists = |what: &str, field| Fault::Exists { what: format!("{what} {}", command.id), field };
    let StockChange::Reconcile(known) = made.change else { return Err(exists("adjustment", "change")) };
    let of_pool = (made.pool, known.whole_item) == (place, command.pool.is_none());
    match (of_pool, known.as_of == command.as_of, known.on_hand == command.on_hand) {
        (true, true, true) => Ok(known),
        (false, ..) => Err(exists("reconciliation", "pool")),
        (true, false, _) => Err(exists("reconciliation", "as_of")),
        (true, true, false) => Err(exists("reconciliation", "on_hand")),
    }
}
