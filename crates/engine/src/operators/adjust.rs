//! Operators' changes of stock. Each is made once for its id and never takes units that customers have.
//!
//! The drop's gate is closed meanwhile, so nothing else moves its units and the ledger's figures are exact. If the
//! drop's next opening or closing is due, it is recorded first: no adjustment stands in the journal before an opening
//! that it is later than.

use stockade_types::definition::ITEM_UNITS_MAX;
use stockade_types::ids::{ItemNo, Lsn, PoolNo};
use stockade_types::invariant;
use stockade_types::record::{Adjusted, AdjustedBy, Adjustment, PoolBasis, Record, StockChange};
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
        // Due holds of this pool are given back first, since their units can be taken out. Other pools are not waited
        // for.
        let named = self.inventory.drops.with_id(&command.drop, |entry| {
            find(&entry.read(), command).map(|(item, pool)| (entry.number, item, pool))
        });
        if let Some(Ok((drop, item, pool))) = named {
            while self.sweep_pool(drop, item, pool, context.now)? > 0 {}
        }
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
        let Context { now, origin } = context.not_before(inner.turned_at);
        if inner.is_to_turn(now) {
            return Err(Undecided::Retry(Chore::Turn(entry.number)));
        }
        if inner.archived.is_some() {
            let what = format!("drop {} is archived: its stock stays as it is", command.drop);
            return Err(Decided { value: Fault::Precondition(what), durable_after: inner.durable_after() }.into());
        }
        let (item, place) = find(inner, command)?;
        invariant!(let Some(pool) = entry.pool(item, place), "item {item} of {} has no pool {place}", command.drop);
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
            return Err(Decided { value: may_be_made(command), durable_after }.into());
        }
        self.has_memory()?;
        let permit = self.journal.permit()?;
        let (basis, taken_out) = outcome(pool, command).map_err(|value| Decided { value, durable_after })?;
        // Due holds were given back up to `context.now`. Holds that are due between it and `now` keep their units.
        let taken = match pool.take_any(taken_out, context.now) {
            Availability::Yes(taken) => taken,
            Availability::Short { .. } => return Err(too_few(pool, command).into()),
            Availability::InDoubt => return Err(Undecided::InDoubt),
            Availability::SweepDue => return Err(Undecided::Retry(Chore::SweepItem(entry.number, item))),
        };
        let mut stock = entry.item_figures(item);
        if let Some(figures) = stock.get_mut(place.index()) {
            figures.basis = basis;
        }
        let by = Some(Box::new(AdjustedBy { origin: origin.clone(), stock }));
        let record = Record::Adjusted(Adjusted { drop: entry.number, item, adjustment, basis, at: Some(now), by });
        let locked = Locked::Drop(entry, inner);
        let durable_after = self.commit(record, Prepared { permit, locked, taken }, now)?;
        Ok(Decided { value: view(entry, inner), durable_after })
    }
}

/// The item and the pool. If the command names no pool, it is the one that has the rest.
fn find(inner: &DropInner, command: &AdjustStock) -> Result<(ItemNo, PoolNo), Fault> {
    let definition = &inner.definition;
    let Some((number, item)) = definition.item(&command.sku) else {
        let description = format!("drop {} has no item {:?}", definition.id, command.sku.as_str());
        return Err(Fault::Invalid(vec![InvalidField { field: "sku".to_owned(), description }]));
    };
    let place = match &command.pool {
        Some(id) => item.pools.iter().position(|pool| pool.id == *id),
        None => item.usual_pool(),
    };
    let place = place.and_then(|place| u16::try_from(place).ok()).ok_or_else(|| {
        let description = format!("item {:?} has no such pool", command.sku.as_str());
        Fault::Invalid(vec![InvalidField { field: "pool".to_owned(), description }])
    })?;
    Ok((number, PoolNo(place)))
}

/// The pool's basis after the change, and the units that must be taken from the free ones.
fn outcome(pool: &Pool, command: &AdjustStock) -> Result<(PoolBasis, u64), Fault> {
    let is = pool.basis();
    let (stock, _) = pool.stock();
    let (received, taken_out, less) = match command.change {
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
                command.sku.as_str(),
                is.received
            )));
        }
        StockChange::SetReceived { units, .. } => (units, is.taken_out, is.received.saturating_sub(units)),
    };
    if received > ITEM_UNITS_MAX {
        let what = format!("{:?} would have received more than {ITEM_UNITS_MAX} units", command.sku.as_str());
        return Err(Fault::Precondition(what));
    }
    if less > stock.free { Err(too_few(pool, command)) } else { Ok((PoolBasis { received, taken_out }, less)) }
}

/// The id is older than the adjustments that are remembered.
fn may_be_made(command: &AdjustStock) -> Fault {
    let made = Timestamp(command.id.made_at().unwrap_or_default());
    let description = format!(
        "is a UUID of version 7 from {made}, older than the adjustments of {:?} that are remembered: it may have been made \
         already. Check the stock; a change that must still be made needs a new id",
        command.sku.as_str()
    );
    Fault::Invalid(vec![InvalidField { field: "adjustment_id".to_owned(), description }])
}

fn too_few(pool: &Pool, command: &AdjustStock) -> Fault {
    let (stock, _) = pool.stock();
    Fault::Precondition(format!(
        "only {} units of {:?} are free: what is held, paying or claimed can't be taken out",
        stock.free,
        command.sku.as_str()
    ))
}
