//! Facts of format 1, turned into current records. What they leave out is taken from their hold as it was before.

use stockade_types::hold::{Change, Hold};
use stockade_types::ids::{HoldId, Lsn};
use stockade_types::record::{Actor, HoldChange, OldFact, Record, Superseded};
use stockade_types::time::Timestamp;

use super::Inventory;

impl Inventory {
    /// The current record that says the same. None if it would change nothing: the hold is missing or has seen the
    /// record.
    pub(super) fn record_of_today(&self, lsn: Lsn, fact: &OldFact) -> Option<Record> {
        match fact {
            OldFact::Change(id, change) => {
                let hold = self.hold_before(lsn, id)?;
                Some(Record::Changed(HoldChange::of(&hold, change, at(change), Actor::of(change))))
            }
            // Each of the two is guarded by its own revision: without the old hold, the new one may still be made.
            OldFact::Superseded { old, at, hold } => Some(match self.hold_before(lsn, old) {
                None => Record::Hold(hold.clone()),
                Some(before) => {
                    let change = Change::Superseded { at: *at, by: hold.id };
                    let ended = HoldChange::of(&before, &change, *at, Actor::Anonymous);
                    Record::Superseded(Box::new(Superseded { ended, made: hold.clone() }))
                }
            }),
        }
    }

    /// The journal is of format 1 up to this record: moments of drops up to `at` are past, without records of them.
    pub(super) fn mark_before(&self, lsn: Lsn, at: Timestamp) {
        for entry in self.drops.all() {
            let mut inner = entry.write();
            inner.mark_before(&entry, lsn, at);
            self.expect_moments(entry.number, &inner);
        }
    }

    fn hold_before(&self, lsn: Lsn, id: &HoldId) -> Option<Hold> {
        self.holds.with_id(id, |shard| shard.get(shard.find(id)?).filter(|hold| hold.revision < lsn).cloned())
    }
}

/// When a change of format 1 was made; 0 if it has no instant.
const fn at(change: &Change) -> Timestamp {
    match change {
        Change::Claimed { at, .. }
        | Change::Released { at, .. }
        | Change::Superseded { at, .. }
        | Change::Expired { at } => *at,
        Change::Extended { .. } | Change::Staged { .. } | Change::Returned { .. } => Timestamp(0),
    }
}
