//! Moments of drops become facts: a drop opens, and closes, by a record that says so, made by whoever needs it first, a
//! request or the agenda. What it was scheduled for stands in it, however late it comes.
//!
//! All moments up to now come by one record, in their order, while the drop's gate is closed. So every hold of a drop
//! stands in the journal behind the record of its opening, and before that of its closing.

use stockade_journal::Permit;
use stockade_types::ids::DropNo;
use stockade_types::record::{DropFact, DropVerb, Lifecycle, Moment, Origin, Record};
use stockade_types::time::Timestamp;

use super::Engine;
use super::answer::Fault;
use super::commit::Prepared;
use crate::inventory::{DropEntry, Locked, Running};

/// Drops that are turned at one turn of the agenda's entry, at most.
const AT_ONCE: usize = 64;

impl Engine {
    /// Makes the moments that have come facts, of some drops, earliest first. Says of how many: as long as it is more than
    /// none, there may be more. Where the journal is busy that may be for later.
    ///
    /// # Errors
    /// Faults of the journal.
    pub fn turn_due(&self, now: Timestamp) -> Result<usize, Fault> {
        self.turn_due_with(now, || false)
    }

    /// As [`Engine::turn_due`]; calls `rest` after each drop, when no lock is held, and ends where that says so.
    pub(super) fn turn_due_with(&self, now: Timestamp, mut rest: impl FnMut() -> bool) -> Result<usize, Fault> {
        let mut turned = 0_usize;
        for drop in self.inventory.moments.due(now, AT_ONCE) {
            self.turn(drop, now)?;
            turned = turned.saturating_add(1);
            // However many drops open together, they do not fill the journal's queue: a request that needs one turns it.
            if rest() || self.journal.is_busy() {
                break;
            }
        }
        Ok(turned)
    }

    /// Makes a drop's moments that have come facts.
    pub(super) fn turn(&self, drop: DropNo, now: Timestamp) -> Result<(), Fault> {
        let turned = self.inventory.drops.with_number(drop, |entry| self.turn_in(entry, &mut entry.steer(), now));
        turned.unwrap_or(Ok(()))
    }

    /// As [`Engine::turn`], of a drop whose gate is closed.
    pub(super) fn turn_in(&self, entry: &DropEntry, running: &mut Running, now: Timestamp) -> Result<(), Fault> {
        if !running.is_to_turn(now) {
            return Ok(());
        }
        self.turn_with(self.journal.permit()?, entry, running, now)
    }

    /// The same with a permit that is there already.
    pub(super) fn turn_with(
        &self,
        permit: Permit<'_>,
        entry: &DropEntry,
        running: &mut Running,
        now: Timestamp,
    ) -> Result<(), Fault> {
        if !running.is_to_turn(now) {
            return Ok(());
        }
        let now = now.max(running.turned_at);
        let (lifecycle, moments) = running.turned(entry, now);
        let fact = DropFact { moments, ..fact(entry, running, DropVerb::Turn, (lifecycle, Origin::ENGINE), now) };
        let come = fact.moments.clone();
        let prepared = Prepared { permit, locked: Locked::Drop(entry, running), taken: None };
        self.commit(Record::DropFact(Box::new(fact)), prepared, now)?;
        for Moment { kind, scheduled_for } in come {
            let (drop, what) = (&running.definition.id, kind.label());
            tracing::info!(%drop, %scheduled_for, "drop {what}");
        }
        Ok(())
    }

    /// Appends a fact about a drop, and makes it so. The drop's gate is closed.
    pub(super) fn commit_fact(
        &self,
        entry: &DropEntry,
        running: &mut Running,
        fact: DropFact,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let permit = self.journal.permit()?;
        let prepared = Prepared { permit, locked: Locked::Drop(entry, running), taken: None };
        self.commit(Record::DropFact(Box::new(fact)), prepared, now).map(drop)
    }
}

/// What is done to a drop as it is now, by which its lifecycle is another. Its gate is closed.
pub(super) fn fact(
    entry: &DropEntry,
    running: &Running,
    verb: DropVerb,
    (lifecycle, origin): (Lifecycle, Origin),
    at: Timestamp,
) -> DropFact {
    DropFact { verb, at, origin, image: entry.image(running), lifecycle, moments: Vec::new(), stock: entry.figures() }
}
