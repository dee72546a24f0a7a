//! Drops as they are shown.

use std::sync::Arc;

use stockade_types::definition::Definition;
use stockade_types::ids::{DropId, DropNo, ItemNo};
use stockade_types::record::{Announced, MarkKind};
use stockade_types::time::Timestamp;

use crate::Engine;
use crate::answer::{DropView, Fault};
use crate::attempt::{Answer, Decided};
use crate::context::Context;
use crate::inventory::{DropEntry, DropInner};

impl Engine {
    /// One drop, with its state and stock.
    ///
    /// # Errors
    /// [`Fault::NoDrop`].
    pub fn get_drop(&self, id: &DropId, context: Context<'_>) -> Answer<DropView> {
        let shown = self.inventory.drops.with_id(id, |entry| self.show_now(entry, context.now));
        shown.ok_or_else(|| Fault::NoDrop(id.clone()).into())
    }

    /// A drop's current definition; none once it is archived and forgotten. Its names never change.
    #[must_use]
    pub fn definition(&self, number: DropNo) -> Option<Arc<Definition>> {
        self.inventory.drops.with_number(number, |entry| Arc::clone(&entry.read().definition))
    }

    /// The drop after openings and closings up to `now` are recorded. If the journal can't take those records now, the
    /// drop is shown by the records there are: reading a drop never fails for that, and no opening is shown without a
    /// record.
    pub(crate) fn show_now(&self, entry: &DropEntry, now: Timestamp) -> Decided<DropView> {
        let inner = entry.read();
        if !inner.is_to_turn(now) {
            return show_drop(entry, &inner);
        }
        drop(inner);
        let mut inner = entry.write();
        let _turned = self.turn_in(entry, &mut inner, now);
        show_drop(entry, &inner)
    }
}

/// Shows the drop, once its definition and state are durable. Its stock may include changes that are not durable yet.
pub(crate) fn show_drop(entry: &DropEntry, inner: &DropInner) -> Decided<DropView> {
    Decided { value: view(entry, inner), durable_after: inner.durable_after() }
}

pub(crate) fn view(entry: &DropEntry, inner: &DropInner) -> DropView {
    let (mut stock, moved) = entry.stock(inner);
    for (item, pools) in (0..).map(ItemNo).zip(&mut stock) {
        // What is free of a slot that has begun, or comes back to it later, is not for sale any more.
        if inner.lifecycle.has(MarkKind::SlotStarts(item)) {
            for pool in pools.iter_mut() {
                *pool = pool.withdrawn_whole();
            }
        }
    }
    DropView {
        definition: Arc::clone(&inner.definition),
        opens_at: inner.opens_at(entry),
        closed_at: inner.lifecycle.closed.map(|closed| closed.at),
        announced: announced(entry, inner),
        state: inner.state(),
        revision: inner.revision,
        as_of: moved.max(inner.durable_after()),
        stock,
        marks: inner.lifecycle.marks.clone(),
    }
}

/// What calendars say of the drop's last change. An end by hand is one; an end on time was announced before.
fn announced(entry: &DropEntry, inner: &DropInner) -> Announced {
    let none = Announced { changes: 0, at: entry.created_at };
    let updated = inner.update.and_then(|update| update.announced).unwrap_or(none);
    match inner.lifecycle.closed {
        Some(closed) if closed.by_hand => {
            Announced { changes: updated.changes.saturating_add(1), at: updated.at.max(closed.at) }
        }
        Some(_) | None => updated,
    }
}
