//! What a drop plans (openings and closings, windows, flows, tranches, prices) becomes a fact by a record, written by whatever needs it first, a request or
//! the agenda. The record has the scheduled instant, however late it is written.
//!
//! All moments up to now are written in one record, in order, while the drop's gate is closed. So every hold of a drop
//! stands in the journal after the record of its opening and before that of its closing.

use std::collections::HashSet;
use stockade_journal::Permit;
use stockade_types::definition::{Definition, ITEM_UNITS_MAX, SignalNo};
use stockade_types::ids::{DropNo, TrancheId};
use stockade_types::record::{DropFact, DropVerb, Lifecycle, Mark, MarkKind, Origin, PoolFigures, Record};
use stockade_types::time::Timestamp;

use crate::Engine;
use crate::answer::Fault;
use crate::commit::Prepared;
use crate::inventory::{DropEntry, DropInner, Locked};
use crate::rules::{CHANGES_MAX, stock_changes, stock_triggers};

/// Most drops that are turned in one call.
const AT_ONCE: usize = 64;

impl Engine {
    /// Records the moments that are due, of some drops, earliest first. Returns of how many; while that is not 0,
    /// there may be more. While the journal is busy it ends early.
    ///
    /// # Errors
    /// Faults of the journal.
    pub fn turn_due(&self, now: Timestamp) -> Result<usize, Fault> {
        self.turn_due_with(now, || false)
    }

    /// As [`Engine::turn_due`]. Calls `rest` after each drop, while no lock is held, and ends if it returns true.
    pub(crate) fn turn_due_with(&self, now: Timestamp, mut rest: impl FnMut() -> bool) -> Result<usize, Fault> {
        let mut turned = 0_usize;
        for drop in self.inventory.moments.due(now, AT_ONCE) {
            self.turn(drop, now)?;
            turned = turned.saturating_add(1);
            // However many drops open together, they must not fill the journal's queue; a request that needs one turns
            // it.
            if rest() || self.journal.is_busy() {
                break;
            }
        }
        Ok(turned)
    }

    /// Records the moments of a drop that are due.
    pub(crate) fn turn(&self, drop: DropNo, now: Timestamp) -> Result<(), Fault> {
        let turned = self.inventory.drops.with_number(drop, |entry| self.turn_in(entry, &mut entry.write(), now));
        turned.unwrap_or(Ok(()))
    }

    /// As [`Engine::turn`], of a drop whose gate is closed.
    pub(crate) fn turn_in(&self, entry: &DropEntry, inner: &mut DropInner, now: Timestamp) -> Result<(), Fault> {
        if !inner.is_to_turn(now) {
            return Ok(());
        }
        self.turn_with(self.journal.permit()?, entry, inner, now)
    }

    /// The same with a permit that the caller has already.
    pub(crate) fn turn_with(
        &self,
        permit: Permit<'_>,
        entry: &DropEntry,
        inner: &mut DropInner,
        now: Timestamp,
    ) -> Result<(), Fault> {
        if !inner.is_to_turn(now) {
            return Ok(());
        }
        let now = now.max(inner.turned_at);
        let (lifecycle, marks) = inner.turned(entry, now);
        self.commit_marks(permit, (entry, inner), (lifecycle, marks), now)
    }

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
    /// [`CHANGES_MAX`] changes in one record.
    pub(crate) fn turn_by_sale(&self, drop: DropNo, now: Timestamp) -> Result<(), Fault> {
        self.turn_to(drop, now, |entry, inner, now| {
            let changes = changes_of_sale(entry, inner, now);
            let mut records: Vec<_> = changes.chunks(CHANGES_MAX).map(<[MarkKind]>::to_vec).collect();
            for kinds in &mut records {
                kinds.sort();
            }
            records
        })
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
                let marks: Vec<Mark> = kinds.into_iter().map(|kind| Mark { kind, scheduled_for: now }).collect();
                let mut lifecycle = inner.lifecycle.clone();
                for mark in &marks {
                    lifecycle.mark(*mark);
                }
                self.commit_marks(permit, (entry, inner), (lifecycle, marks), now)?;
            }
            Ok(())
        });
        turned.unwrap_or(Ok(()))
    }

    fn commit_marks(
        &self,
        permit: Permit<'_>,
        (entry, inner): (&DropEntry, &mut DropInner),
        (lifecycle, marks): (Lifecycle, Vec<Mark>),
        now: Timestamp,
    ) -> Result<(), Fault> {
        let mut fact = fact(entry, inner, DropVerb::Turn, (lifecycle, Origin::ENGINE), now);
        let beyond = add_tranches(&inner.definition, &marks, &mut fact.stock);
        fact.marks.clone_from(&marks);
        let come = marks;
        let prepared = Prepared { permit, locked: Locked::Drop(entry, inner), taken: None };
        self.commit(Record::DropFact(Box::new(fact)), prepared, now)?;
        for Mark { kind, scheduled_for } in come {
            let (drop, what) = (&inner.definition.id, kind.label());
            if kind.is_of_stock() {
                // Up to one a second for each drop.
                tracing::debug!(%drop, "drop {what}");
            } else {
                tracing::info!(%drop, %scheduled_for, "drop {what}");
            }
        }
        for (tranche, units) in beyond {
            let drop = &inner.definition.id;
            tracing::warn!(%drop, %tranche, units, "a tranche brought fewer units: its pool is full");
        }
        Ok(())
    }

    /// Appends a fact about a drop and applies it. The drop's gate is closed.
    pub(crate) fn commit_fact(
        &self,
        entry: &DropEntry,
        inner: &mut DropInner,
        fact: DropFact,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let permit = self.journal.permit()?;
        let prepared = Prepared { permit, locked: Locked::Drop(entry, inner), taken: None };
        self.commit(Record::DropFact(Box::new(fact)), prepared, now).map(drop)
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

/// What has changed of what the public sees of a drop's stock. Exact while its gate is closed.
pub(crate) fn changes_of_sale(entry: &DropEntry, inner: &DropInner, now: Timestamp) -> Vec<MarkKind> {
    if !inner.is_on_sale() {
        return Vec::new();
    }
    stock_changes(&inner.definition, &inner.lifecycle, &entry.figures(), now)
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

/// Adds the units of tranches that have come to the figures of their pools. Returns those of which a part has no room,
/// for adjustments have filled the pool meanwhile, each with the units of that part.
fn add_tranches(definition: &Definition, marks: &[Mark], stock: &mut [PoolFigures]) -> Vec<(TrancheId, u64)> {
    let mut beyond = Vec::new();
    for mark in marks {
        let MarkKind::Tranche(number) = mark.kind else { continue };
        let Some(tranche) = definition.tranche(number) else { continue };
        if let Some(figures) = definition.tranche_place(tranche).and_then(|place| stock.get_mut(place)) {
            let room = ITEM_UNITS_MAX.saturating_sub(figures.basis.received);
            figures.basis.received = figures.basis.received.saturating_add(tranche.units.min(room));
            if tranche.units > room {
                beyond.push((tranche.id.clone(), tranche.units.saturating_sub(room)));
            }
        }
    }
    beyond
}

/// A fact about a drop as it is now, with its new lifecycle. The drop's gate is closed.
pub(crate) fn fact(
    entry: &DropEntry,
    inner: &DropInner,
    verb: DropVerb,
    (lifecycle, origin): (Lifecycle, Origin),
    at: Timestamp,
) -> DropFact {
    DropFact { verb, at, origin, image: entry.image(inner), lifecycle, marks: Vec::new(), stock: entry.figures() }
}

#[cfg(test)]
mod tests {
    use stockade_types::definition::{Item, Moment, Named, Pool, Rules, Schedule, Terms, Tranche, Trigger};
    use stockade_types::record::PoolBasis;
    use stockade_types::time::Millis;

    use super::*;

    #[test]
    fn a_tranche_fills_its_pool_and_what_has_no_room_is_reported() {
        let when = Trigger::Moment(Moment::from(Named::AfterOpening(0)));
        let sku = || "A".parse().expect("a sku");
        let tranche = Tranche { id: "more".parse().expect("an id"), sku: sku(), pool: None, units: 5, when };
        let mut definition = Definition {
            id: "d".parse().expect("an id"),
            title: String::new(),
            shop: "s".parse().expect("an id"),
            series: None,
            labels: std::collections::BTreeMap::new(),
            schedule: Schedule { opens_at: None, closes_at: None },
            terms: Terms { hold_ttl: Millis(1), max_hold_life: Millis(1), payment_ttl: Millis(1) },
            items: vec![Item::plain(sku(), vec![Pool::plain("general".parse().expect("an id"), 3)])],
            limits: Vec::new(),
            rules: Rules { tranches: vec![tranche], ..Rules::default() },
        };
        definition.number_names().expect("few");
        let number = definition.rules.names.tranche_no(&"more".parse().expect("an id")).expect("a number");
        let mark = Mark { kind: MarkKind::Tranche(number), scheduled_for: Timestamp(1) };
        let added = |received| {
            let basis = PoolBasis { received, taken_out: 0 };
            let mut stock = [PoolFigures { basis, ..PoolFigures::default() }];
            let beyond = add_tranches(&definition, &[mark], &mut stock);
            (stock[0].basis.received, beyond.into_iter().map(|(_, units)| units).collect::<Vec<_>>())
        };
        assert_eq!(added(3), (8, vec![]));
        assert_eq!(added(ITEM_UNITS_MAX - 5), (ITEM_UNITS_MAX, vec![]));
        assert_eq!(added(ITEM_UNITS_MAX - 3), (ITEM_UNITS_MAX, vec![2]));
        assert_eq!(added(ITEM_UNITS_MAX), (ITEM_UNITS_MAX, vec![5]));
    }
}
