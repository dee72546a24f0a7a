//! What a drop plans (openings and closings, windows, flows, tranches, prices) becomes a fact by a record, written by whatever needs it first, a request or
//! the agenda. The record has the scheduled instant, however late it is written.
//!
//! All moments up to now are written in one record, in order, while the drop's gate is closed. So every hold of a drop
//! stands in the journal after the record of its opening and before that of its closing. What has changed of the stock
//! is made known before the closing: then the closing, and what comes behind it, is a record of its own.

use stockade_journal::Permit;
use stockade_types::definition::{Definition, ITEM_UNITS_MAX};
use stockade_types::ids::{DropNo, TrancheId};
use stockade_types::record::{DropFact, DropVerb, Lifecycle, Mark, MarkKind, Origin, PoolFigures, Record};
use stockade_types::time::Timestamp;

use crate::Engine;
use crate::answer::Fault;
use crate::commit::Prepared;
use crate::inventory::{DropEntry, DropInner, Locked};
use crate::rules::stock_changes;

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
        let permit = self.before_closing(permit, (entry, inner), now)?;
        let (lifecycle, marks) = inner.turned(entry, now);
        self.commit_marks(permit, (entry, inner), (lifecycle, marks), now)
    }

    /// If the closing of a drop on sale is due and its stock will have changed by then: records what comes before the
    /// closing, and those changes. Each record is written once there is room for the next, and returned is the room for
    /// that of the closing.
    fn before_closing<'p>(
        &'p self,
        permit: Permit<'p>,
        (entry, inner): (&DropEntry, &mut DropInner),
        now: Timestamp,
    ) -> Result<Permit<'p>, Fault> {
        let (_, mut come) = inner.turned(entry, now);
        let closing = come.iter().position(|mark| mark.kind == MarkKind::Closes);
        let Some(closing) = closing.filter(|_| inner.is_on_sale()) else { return Ok(permit) };
        come.truncate(closing);
        let mut lifecycle = inner.lifecycle.clone();
        for mark in &come {
            lifecycle.mark(*mark);
        }
        let mut stock = entry.figures();
        add_tranches(&inner.definition, &come, &mut stock);
        if stock_changes(&inner.definition, &lifecycle.marks, &stock, now).is_empty() {
            return Ok(permit);
        }
        let permit = if come.is_empty() {
            permit
        } else {
            let next = self.journal.permit()?;
            self.commit_marks(permit, (entry, inner), (lifecycle, come), now)?;
            next
        };
        self.make_last_known(permit, (entry, inner), now)
    }

    pub(super) fn commit_marks(
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
        permit: Permit<'_>,
        (entry, inner): (&DropEntry, &mut DropInner),
        fact: DropFact,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let prepared = Prepared { permit, locked: Locked::Drop(entry, inner), taken: None };
        self.commit(Record::DropFact(Box::new(fact)), prepared, now).map(drop)
    }
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
