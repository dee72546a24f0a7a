//! Operators' changes of stock. Each is made once for its id and never takes units that customers have.
//!
//! The drop's gate is closed meanwhile, so nothing else moves its units and the ledger's figures are exact. If the
//! drop's next opening or closing is due, it is recorded first: no adjustment stands in the journal before an opening
//! that it is later than.

use stockade_types::definition::ITEM_UNITS_MAX;
use stockade_types::ids::{AdjustmentId, DropId, ItemNo, Lsn, PoolId, PoolNo, Sku};
use stockade_types::invariant;
use stockade_types::record::{Adjusted, AdjustedBy, Adjustment, PoolBasis, Reconciliation, Record, StockChange};
use stockade_types::time::Timestamp;

use crate::Engine;
use crate::answer::{DropView, Fault, InvalidField};
use crate::attempt::{Answer, Attempt, Chore, Decided, Undecided};
use crate::command::AdjustStock;
use crate::commit::Prepared;
use crate::context::Context;
use crate::inventory::{Availability, DropEntry, DropInner, Locked, Pool};
use crate::operators::view::view;

impl Engine {
    /// Changes the stock of an item, once for each id.
    ///
    /// # Errors
    /// [`Fault::NoDrop`]; [`Fault::Invalid`] for a SKU or pool that the drop does not have; [`Fault::Exists`] when the
    /// id was used for another change; [`Fault::Stale`] when the units received are not the expected ones;
    /// [`Fault::Precondition`] when it would take units that customers have, or exceed the most that an item may have;
    /// and faults of the journal.
    pub fn adjust_stock(&self, command: &AdjustStock, context: Context<'_>) -> Answer<DropView> {
        self.sweep_named(&command.drop, (&command.sku, command.pool.as_ref()), context.now)?;
        self.decide(context.now, || {
            let adjusted = self
                .inventory
                .drops
                .with_id(&command.drop, |entry| self.adjust_in(entry, &mut entry.write(), command, context));
            adjusted.unwrap_or_else(|| Err(Fault::NoDrop(command.drop.clone()).into()))
        })
    }

    fn adjust_in(
        &self,
        entry: &DropEntry,
        inner: &mut DropInner,
        command: &AdjustStock,
        context: Context<'_>,
    ) -> Attempt<Decided<DropView>> {
        if inner.is_to_turn(context.not_before(inner.turned_at).now) {
            return Err(Undecided::Retry(Chore::Turn(entry.number)));
        }
        if inner.archived.is_some() {
            let what = format!("drop {} is archived: its stock stays as it is", command.drop);
            return Err(Decided { value: Fault::Precondition(what), durable_after: inner.durable_after() }.into());
        }
        let (item, place) = find(inner, &command.sku, command.pool.as_ref())?;
        let adjustment = Adjustment { id: command.id, pool: place, change: command.change };
        let known = inner.adjusted.get(item.index());
        // The answer shows the drop's state as well, so it waits for that, too.
        let durable_after = known.map_or(Lsn::default(), |known| known.revision).max(inner.durable_after());
        if let Some(made) = known.and_then(|known| known.find(&command.id)) {
            if made != adjustment {
                let what = format!("adjustment {}", command.id);
                let field = if made.pool == place { "change" } else { "pool" };
                return Err(Decided { value: Fault::Exists { what, field }, durable_after }.into());
            }
            return Ok(Decided { value: view(entry, inner), durable_after });
        }
        if known.is_some_and(|known| known.may_be_forgotten(&command.id)) {
            let fault = may_be_made(&command.sku, &command.id, "adjustment");
            return Err(Decided { value: fault, durable_after }.into());
        }
        let durable_after = self.make_adjustment((entry, inner), (item, adjustment), durable_after, context)?;
        Ok(Decided { value: view(entry, inner), durable_after })
    }

    /// Gives back the due holds of a pool, since their units can be taken out. Other pools are not waited for.
    pub(super) fn sweep_named(
        &self,
        drop: &DropId,
        (sku, pool): (&Sku, Option<&PoolId>),
        now: Timestamp,
    ) -> Result<(), Fault> {
        let named = self
            .inventory
            .drops
            .with_id(drop, |entry| find(&entry.read(), sku, pool).map(|(item, pool)| (entry.number, item, pool)));
        if let Some(Ok((drop, item, pool))) = named {
            while self.sweep_pool(drop, item, pool, now)? > 0 {}
        }
        Ok(())
    }

    /// Appends an adjustment of a pool and applies it. The drop's gate is closed, and due holds of the pool were given
    /// back up to `context.now`. Holds that came due since keep their units. A fault waits for `durable_after`.
    pub(super) fn make_adjustment(
        &self,
        (entry, inner): (&DropEntry, &mut DropInner),
        (item, adjustment): (ItemNo, Adjustment),
        durable_after: Lsn,
        context: Context<'_>,
    ) -> Attempt<Lsn> {
        let Context { now, origin } = context.not_before(inner.turned_at);
        self.has_memory()?;
        let permit = self.journal.permit()?;
        let (pool, sku) = (pool_of(entry, item, adjustment.pool), inner.definition.sku(item));
        let (basis, less) = outcome(pool, sku, adjustment.change).map_err(|value| Decided { value, durable_after })?;
        let taken = match pool.take_any(less, context.now) {
            Availability::Yes(taken) => taken,
            Availability::Short { .. } => return Err(too_few(pool, sku).into()),
            Availability::InDoubt => return Err(Undecided::InDoubt),
            Availability::SweepDue => return Err(Undecided::Retry(Chore::SweepItem(entry.number, item))),
        };
        let mut stock = entry.item_figures(item);
        if let Some(figures) = stock.get_mut(adjustment.pool.index()) {
            figures.basis = basis;
        }
        let by = Some(Box::new(AdjustedBy { origin: origin.clone(), stock }));
        let record =
            Record::Adjusted(Box::new(Adjusted { drop: entry.number, item, adjustment, basis, at: Some(now), by }));
        let locked = Locked::Drop(entry, inner);
        Ok(self.commit(record, Prepared { permit, locked, taken }, now)?)
    }
}

/// A pool of the drop's definition.
pub(super) fn pool_of(entry: &DropEntry, item: ItemNo, place: PoolNo) -> &Pool {
    invariant!(let Some(pool) = entry.pool(item, place), "item {item} of drop {} has no pool {place}", entry.number);
    pool
}

/// The item and the pool. If no pool is named, it is the one that has the rest.
pub(super) fn find(inner: &DropInner, sku: &Sku, pool: Option<&PoolId>) -> Result<(ItemNo, PoolNo), Fault> {
    let definition = &inner.definition;
    let Some((number, item)) = definition.item(sku) else {
        let description = format!("drop {} has no item {:?}", definition.id, sku.as_str());
        return Err(Fault::Invalid(vec![InvalidField { field: "sku".to_owned(), description }]));
    };
    let usual = || u16::try_from(item.usual_pool()?).ok().map(PoolNo);
    let place = pool.map_or_else(usual, |id| item.pool_no(id)).ok_or_else(|| {
        let description = format!("item {:?} has no such pool", sku.as_str());
        Fault::Invalid(vec![InvalidField { field: "pool".to_owned(), description }])
    })?;
    Ok((number, place))
}

/// The pool's basis after the change, and the units that must be taken from the free ones.
fn outcome(pool: &Pool, sku: &Sku, change: StockChange) -> Result<(PoolBasis, u64), Fault> {
    let is = pool.basis();
    let (stock, _) = pool.stock();
    let (received, taken_out, less) = match change {
        StockChange::Delta(delta) => {
            let by = delta.unsigned_abs();
            if delta >= 0 {
                (is.received.saturating_add(by), is.taken_out, 0)
            } else {
                (is.received, is.taken_out.saturating_add(by), by)
            }
        }
        StockChange::SetReceived { expected, .. } if expected != is.received => {
            return Err(Fault::Stale(format!(
                "{:?} has received {} units, not the expected {expected}",
                sku.as_str(),
                is.received
            )));
        }
        StockChange::SetReceived { units, .. } => (units, is.taken_out, is.received.saturating_sub(units)),
        StockChange::Reconcile(Reconciliation { applied, .. }) => {
            let received = is.received.saturating_add_signed(applied);
            (received, is.taken_out, is.received.saturating_sub(received))
        }
    };
    if received > ITEM_UNITS_MAX {
        let what = format!("{:?} would have received more than {ITEM_UNITS_MAX} units", sku.as_str());
        return Err(Fault::Precondition(what));
    }
    if less > stock.free { Err(too_few(pool, sku)) } else { Ok((PoolBasis { received, taken_out }, less)) }
}

/// The id is older than the adjustments that are remembered; `what` it is of.
pub(super) fn may_be_made(sku: &Sku, id: &AdjustmentId, what: &str) -> Fault {
    let made = Timestamp(id.made_at().unwrap_or_default());
    let description = format!(
        "is a UUID of version 7 from {made}, older than the adjustments of {:?} that are remembered: it may have been made \
         already. Check the stock; a change that must still be made needs a new id",
        sku.as_str()
    );
    Fault::Invalid(vec![InvalidField { field: format!("{what}_id"), description }])
}

fn too_few(pool: &Pool, sku: &Sku) -> Fault {
    let (stock, _) = pool.stock();
    Fault::Precondition(format!(
        "only {} units of {:?} are free: what is held, paying or claimed can't be taken out",
        stock.free,
        sku.as_str()
    ))
}
