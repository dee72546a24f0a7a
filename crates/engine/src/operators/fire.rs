//! Flows that operators fire by hand.

use stockade_types::record::{DropVerb, FlowPlace, Lifecycle, Mark, MarkKind};

use crate::Engine;
use crate::answer::{DropView, Fault, InvalidField};
use crate::attempt::{Answer, Decided};
use crate::command::FireFlow;
use crate::context::Context;
use crate::inventory::DropInner;
use crate::operators::turn::fact;
use crate::operators::view::show_drop;

impl Engine {
    /// Fires a flow, before its trigger or without one. If it has fired, no record is written.
    ///
    /// # Errors
    /// [`Fault::NoDrop`]; [`Fault::Invalid`] for a SKU, pool or flow that the drop does not have;
    /// [`Fault::Precondition`] when the drop has ended; and faults of the journal.
    pub fn fire_flow(&self, command: &FireFlow, context: Context<'_>) -> Answer<DropView> {
        let fired = self.inventory.drops.with_id(&command.drop, |entry| {
            let mut inner = entry.write();
            let Context { now, origin } = context.not_before(inner.turned_at);
            self.turn_in(entry, &mut inner, now)?;
            let kind = MarkKind::Flow(find(&inner, command)?);
            if inner.lifecycle.has(kind) {
                return Ok(show_drop(entry, &inner));
            }
            if inner.state().is_over() {
                let what = format!("drop {} is closed: its flows fire no more", command.drop);
                return Err(Decided { value: Fault::Precondition(what), durable_after: inner.durable_after() });
            }
            let mark = Mark { kind, scheduled_for: now };
            let mut lifecycle: Lifecycle = inner.lifecycle.clone();
            lifecycle.mark(mark);
            let mut fact = fact(entry, &inner, DropVerb::Fire, (lifecycle, origin.clone()), now);
            fact.marks.push(mark);
            self.commit_fact(self.journal.permit()?, (entry, &mut inner), fact, now)?;
            Ok(show_drop(entry, &inner))
        });
        fired.unwrap_or_else(|| Err(Fault::NoDrop(command.drop.clone()).into()))
    }
}

fn find(inner: &DropInner, command: &FireFlow) -> Result<FlowPlace, Fault> {
    let FireFlow { drop, sku, pool, to } = command;
    let invalid =
        |field: &str, description: String| Fault::Invalid(vec![InvalidField { field: field.to_owned(), description }]);
    let Some((number, item)) = inner.definition.item(sku) else {
        return Err(invalid("sku", format!("drop {drop} has no item {:?}", sku.as_str())));
    };
    let Some(from) = item.pool_no(pool) else {
        return Err(invalid("pool", format!("item {:?} has no pool {pool}", sku.as_str())));
    };
    let flow = item.flows().find(|((of, _), flow)| *of == from && flow.to == *to);
    let Some(((_, to), _)) = flow else {
        return Err(invalid("to", format!("pool {pool} has no flow to {to}")));
    };
    Ok(FlowPlace { item: number, from, to })
}
