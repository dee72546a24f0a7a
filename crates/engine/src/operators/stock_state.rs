//! What comes of a drop by the state of its stock: rules that fire at a level, and what is made known of it. The agenda
//! looks for it with the gate open; what it seems to have found is judged again behind the closed gate.

use std::collections::HashSet;

use stockade_journal::Permit;
use stockade_types::definition::SignalNo;
use stockade_types::ids::DropNo;
use stockade_types::record::{Mark, MarkKind, STOCK_MARKS_MAX};
use stockade_types::time::Timestamp;

use crate::Engine;
use crate::answer::Fault;
use crate::inventory::{DropEntry, DropInner};
use crate::rules::{may_make_known, stock_changes, stock_triggers};

impl Engine {
    /// Records the rules of a drop that fire because the stock has reached their level: those that are reached now, with
    /// the drop standing still. Of tranches one at a time, since its units may take the others' levels back.
    pub(crate) fn turn_by_stock(&self, drop: DropNo, now: Timestamp, ceased: &mut Ceased) -> Result<(), Fault> {
        let mut fired = Vec::new();
        self.turn_to(drop, now, |entry, inner, now| {
            let Reached { fires, left } = reached(entry, inner, now, ceased);
            ceased.cease(drop, &left);
            fired.clone_from(&fires);
            if fires.is_empty() { Vec::new() } else { vec![fires] }
        })?;
        ceased.reached_anew(drop, &fired);
        Ok(())
    }

    /// Records what has changed of what the public sees of a drop's stock, with the drop standing still: at most
    /// [`STOCK_MARKS_MAX`] changes in one record.
    pub(crate) fn turn_by_sale(&self, drop: DropNo, now: Timestamp) -> Result<(), Fault> {
        self.turn_to(drop, now, |entry, inner, now| in_records(&changes_of_sale(entry, inner, now)))
    }

    /// Records the marks of these kinds, found while the drop's gate is closed, each list in a record of its own. While the
    /// journal is busy it ends early.
    fn turn_to(
        &self,
        drop: DropNo,
        now: Timestamp,
        found: impl FnOnce(&DropEntry, &DropInner, Timestamp) -> Vec<Vec<MarkKind>>,
    ) -> Result<(), Fault> {
        let turned = self.inventory.drops.with_number(drop, |entry| {
            let inner = &mut *entry.write();
            self.turn_in(entry, inner, now)?;
            let now = now.max(inner.turned_at);
            let mut permit = Some(self.journal.permit()?);
            for kinds in found(entry, inner, now) {
                let permit = match permit.take() {
                    Some(first) => first,
                    None if self.journal.is_busy() => break,
                    None => self.journal.permit()?,
                };
                self.commit_found(permit, (entry, inner), kinds, now)?;
            }
            Ok(())
        });
        turned.unwrap_or(Ok(()))
    }

    /// Records marks of these kinds that come by the state of the drop and were scheduled for no instant.
    fn commit_found(
        &self,
        permit: Permit<'_>,
        (entry, inner): (&DropEntry, &mut DropInner),
        kinds: Vec<MarkKind>,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let marks: Vec<Mark> = kinds.into_iter().map(|kind| Mark { kind, scheduled_for: now }).collect();
        let mut lifecycle = inner.lifecycle.clone();
        for mark in &marks {
            lifecycle.mark(*mark);
        }
        self.commit_marks(permit, (entry, inner), (lifecycle, marks), now)
    }

    /// Records what has changed of the stock of a drop on sale that closes next, however soon after the last changes
    /// that were made known. Returns the room for the closing.
    pub(crate) fn make_last_known<'p>(
        &'p self,
        mut permit: Permit<'p>,
        (entry, inner): (&DropEntry, &mut DropInner),
        now: Timestamp,
    ) -> Result<Permit<'p>, Fault> {
        let changes = stock_changes(&inner.definition, &inner.lifecycle.marks, &entry.figures(), now);
        for kinds in in_records(&changes) {
            let next = self.journal.permit()?;
            self.commit_found(permit, (entry, inner), kinds, now)?;
            permit = next;
        }
        Ok(permit)
    }
}

/// Signals that have fired, may fire again, and whose levels were found not to be reached since. They are in memory
/// alone: after a start, a level must be found not to be reached once more.
#[derive(Debug, Default)]
pub(crate) struct Ceased(HashSet<(DropNo, SignalNo)>);

/// What a look at a drop's stock has found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Reached {
    /// What fires.
    fires: Vec<MarkKind>,
    /// Signals that may fire again, whose levels are not reached, which was not known.
    left: Vec<SignalNo>,
}

impl Reached {
    /// Whether it found nothing.
    pub(crate) fn is_nothing(&self) -> bool {
        self.fires.is_empty() && self.left.is_empty()
    }
}

impl Ceased {
    /// The levels of these are not reached.
    fn cease(&mut self, drop: DropNo, signals: &[SignalNo]) {
        self.0.extend(signals.iter().map(|signal| (drop, *signal)));
    }

    /// These have fired.
    fn reached_anew(&mut self, drop: DropNo, kinds: &[MarkKind]) {
        for kind in kinds {
            if let MarkKind::Signal(number) = kind {
                self.0.remove(&(drop, *number));
            }
        }
    }

    /// Forgets drops that are not on sale any more.
    pub(crate) fn retain(&mut self, is_watched: impl Fn(DropNo) -> bool) {
        self.0.retain(|(drop, _)| is_watched(*drop));
    }
}

/// What has changed of what the public sees of a drop's stock, if it may be made known by now. Exact while its gate is
/// closed.
pub(crate) fn changes_of_sale(entry: &DropEntry, inner: &DropInner, now: Timestamp) -> Vec<MarkKind> {
    if !inner.is_on_sale() || !may_make_known(&inner.lifecycle.marks, now) {
        return Vec::new();
    }
    stock_changes(&inner.definition, &inner.lifecycle.marks, &entry.figures(), now)
}

/// Changes of the stock by the record in which they are made known.
fn in_records(changes: &[MarkKind]) -> Vec<Vec<MarkKind>> {
    let sorted = |kinds: &[MarkKind]| {
        let mut kinds = kinds.to_vec();
        kinds.sort();
        kinds
    };
    changes.chunks(STOCK_MARKS_MAX).map(sorted).collect()
}

/// What fires of a drop because its stock has reached a level, and which signals may fire again because it has left
/// theirs. Exact while its gate is closed: in between, units on their way are counted nowhere.
pub(crate) fn reached(entry: &DropEntry, inner: &DropInner, now: Timestamp, ceased: &Ceased) -> Reached {
    if !inner.watches_stock() {
        return Reached::default();
    }
    let stock = entry.figures();
    let figures = |item, pool| stock.get(inner.definition.pool_place(item, pool)?).copied();
    let (mut has_tranche, mut left) = (false, Vec::new());
    let all = stock_triggers(&inner.definition, &inner.lifecycle);
    let reached = all.iter().filter(|trigger| {
        let is_reached = trigger.is_reached(&inner.definition, figures);
        let Some((number, at)) = trigger.again else { return is_reached };
        let has_ceased = ceased.0.contains(&(entry.number, number));
        if !is_reached && !has_ceased {
            left.push(number);
        }
        is_reached && has_ceased && at <= now
    });
    let first = reached.map(|trigger| trigger.kind).filter(|kind| {
        let is_tranche = matches!(kind, MarkKind::Tranche(_));
        let comes = !(is_tranche && has_tranche);
        has_tranche |= is_tranche;
        comes
    });
    let mut fires: Vec<MarkKind> = first.collect();
    // Two flows to one pool are one opening, whichever fires it.
    fires.dedup();
    Reached { fires, left }
}
