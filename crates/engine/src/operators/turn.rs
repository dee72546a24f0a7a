//! Moments of drops, openings and closings, become facts by a record, written by whatever needs it first, a request or
//! the agenda. The record has the scheduled instant, however late it is written.
//!
//! All moments up to now are written in one record, in order, while the drop's gate is closed. So every hold of a drop
//! stands in the journal after the record of its opening and before that of its closing.

use stockade_journal::Permit;
use stockade_types::ids::DropNo;
use stockade_types::record::{DropFact, DropVerb, Lifecycle, Moment, Origin, Record};
use stockade_types::time::Timestamp;

use crate::Engine;
use crate::answer::Fault;
use crate::commit::Prepared;
use crate::inventory::{DropEntry, DropInner, Locked};

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
        let (lifecycle, moments) = inner.turned(entry, now);
        let fact = DropFact { moments, ..fact(entry, inner, DropVerb::Turn, (lifecycle, Origin::ENGINE), now) };
        let come = fact.moments.clone();
        let prepared = Prepared { permit, locked: Locked::Drop(entry, inner), taken: None };
        self.commit(Record::DropFact(Box::new(fact)), prepared, now)?;
        for Moment { kind, scheduled_for } in come {
            let (drop, what) = (&inner.definition.id, kind.label());
            tracing::info!(%drop, %scheduled_for, "drop {what}");
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

/// A fact about a drop as it is now, with its new lifecycle. The drop's gate is closed.
pub(crate) fn fact(
    entry: &DropEntry,
    inner: &DropInner,
    verb: DropVerb,
    (lifecycle, origin): (Lifecycle, Origin),
    at: Timestamp,
) -> DropFact {
    DropFact { verb, at, origin, image: entry.image(inner), lifecycle, moments: Vec::new(), stock: entry.figures() }
}
