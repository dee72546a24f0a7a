//! The one place where a decision becomes a fact: its record is appended and applied to memory, and the units that were
//! taken for it are kept.
//!
//! All that can be refused or can fail happens before: with a permit, the append fails only if the journal has failed.
//! After the append nothing may fail. A record that does not apply then is a bug and ends the process before any caller
//! gets an answer.

use stockade_counter::stock::Taken;
use stockade_journal::Permit;
use stockade_types::hold::HoldState;
use stockade_types::ids::Lsn;
use stockade_types::invariant;
use stockade_types::record::Record;
use stockade_types::time::Timestamp;

use crate::Engine;
use crate::answer::Fault;
use crate::inventory::{Applied, Locked};

/// What an operation has when it has decided: room in the journal's queue, the locks on what its record changes, and
/// the units taken for it.
pub(crate) struct Prepared<'a, 's, 'p, T> {
    pub(crate) permit: Permit<'p>,
    pub(crate) locked: Locked<'a, 's>,
    pub(crate) taken: T,
}

impl Engine {
    /// Appends a record and applies it. Returns its LSN.
    ///
    /// The units are kept last, after the deadline of their hold is entered: before that, nothing could find out that
    /// they are due.
    #[expect(clippy::inline_always, reason = "measured: on its own it costs each reserve some 100 instructions")]
    #[inline(always)]
    pub(crate) fn commit<'d>(
        &self,
        record: Record,
        prepared: Prepared<'_, '_, '_, impl IntoIterator<Item = Taken<'d>>>,
        now: Timestamp,
    ) -> Result<Lsn, Fault> {
        let Prepared { permit, locked, taken } = prepared;
        let lsn = self.journal.append(permit, std::slice::from_ref(&record), now)?.lsn();
        // From here on nothing may fail. A panic ends the process without running the guards.
        let applied = self.inventory.apply(locked, lsn, record);
        invariant!(let Some(applied) = applied, "record {lsn} was written and does not apply");
        taken.into_iter().for_each(Taken::keep);
        match applied {
            Applied::Made => self.count_transition(HoldState::Held),
            Applied::Changed(from, to) if from != to => self.count_transition(to),
            Applied::Replaced => {
                self.count_transition(HoldState::Released);
                self.count_transition(HoldState::Held);
            }
            Applied::Drop | Applied::Defined | Applied::Facts | Applied::Changed(..) => {}
        }
        Ok(lsn)
    }

    fn count_transition(&self, to: HoldState) {
        if let Some(counter) = self.metrics.transitions.get(to.place()) {
            counter.increment();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use stockade_journal::{Journal, MemoryLog, Start};
    use stockade_types::digest::DigestKey;
    use stockade_types::record::Restart;

    use super::*;
    use crate::Bounds;
    use crate::inventory::Inventory;

    #[test]
    #[should_panic(expected = "a bug: record 1 was written and does not apply")]
    fn what_was_written_and_does_not_apply_ends_the_process() {
        let journal = Journal::start(Arc::new(MemoryLog::ephemeral()), Start::FIRST, Arc::default());
        let inventory = Inventory::new(DigestKey::from_bytes([1; 16]));
        let engine = Engine::new(inventory, journal.expect("a journal"), Bounds::default());
        let _added = engine.inventory.drops.add(&"d".parse().expect("an id"), |registry| {
            let permit = engine.journal.permit().expect("room");
            let prepared = Prepared { permit, locked: Locked::Registry(registry), taken: None };
            let about_no_drop =
                Record::Restart(Restart { stopped_at: Timestamp(1), grace_until: Timestamp(2), at: None });
            engine.commit(about_no_drop, prepared, Timestamp(1)).map(drop)
        });
    }
}
