//! Records, applied: a record changes its entity, and with it everything that follows: tallies, usage of subjects, stock,
//! deadlines, counters.
//!
//! One function for all who apply: a verb that has just appended the record, with the locks and the units that it has
//! taken in order to decide; and a follower of the journal, which locks and takes by itself ([`Inventory::follow`]). A
//! start, which has a whole journal to read, changes the entities by the same steps, but derives what follows from them
//! once, at the end ([`BulkLoad`](super::BulkLoad)). Idempotent: what an entity has seen already leaves it as it is.

use stockade_types::hold::{Hold, HoldLine, HoldState};
use stockade_types::ids::{DropId, HoldId, Lsn, Sku, SubjectKey};
use stockade_types::record::{DropImage, DropVerb, HoldChange, Made, Record, Restart, Superseded};
use stockade_types::time::Timestamp;

use super::drop_entry::{DropChange, DropEntry};
use super::drops::Registry;
use super::limits::{Counted, Whose};
use super::pool::{PoolUsage, Stock, UsageChange};
use super::running::Running;
use super::{HoldRef, Inventory, LockedShard, LockedShards, Standing, Subject};

/// What a record is about to change, locked. Of a hold that is its drop, whose gate is held; the shard that it lives in,
/// or will; and its subjects, where the caller has them locked already.
#[derive(Debug)]
pub enum Locked<'a, 's> {
    /// The registry is closed, and no drop has the record's number.
    Registry(&'a mut Registry),
    /// A drop, and what its gate guards: that is closed.
    Drop(&'a DropEntry, &'a mut Running),
    /// No hold has the record's id.
    NewHold(&'a DropEntry, &'a mut LockedShard<'s>, Option<LockedSubjects<'a>>),
    /// A hold, in its place.
    Hold(&'a DropEntry, (&'a mut LockedShard<'s>, HoldRef), Option<LockedSubjects<'a>>),
    /// A hold in its place, and no hold has the id of the one that takes its place: the new one's shard and the old one's,
    /// the subjects of both.
    Succession(&'a DropEntry, (&'a mut LockedShards<'s>, HoldRef), LockedSubjects<'a>),
}

/// The subjects of a hold, and maybe others, while their stripes are locked.
#[derive(Debug)]
pub struct LockedSubjects<'a> {
    /// Whose they are: the hold's customer first.
    pub keys: &'a [SubjectKey],
    /// In the order of the keys.
    pub subjects: &'a mut [Subject],
}

/// What a record has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// A drop.
    Drop,
    /// A hold was made.
    Made,
    /// A hold: how it stood, and how it stands.
    Changed(HoldState, HoldState),
    /// A hold was made, and another was released for it.
    Replaced,
}

/// Records that do not add up: damage, or a bug that wrote them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// A record that can't stand where it stands.
    #[error("record {lsn}: {what}")]
    Record {
        /// Its place.
        lsn: Lsn,
        /// What is wrong.
        what: String,
    },
    /// A hold in a drop, item or pool that there is not.
    #[error("hold {0} is in a drop, item or pool that does not exist")]
    Orphan(HoldId),
    /// More is out than was received.
    #[error("drop {drop}, item {item}: {out} units are held or claimed, {received} were received")]
    Oversold {
        /// In which drop.
        drop: String,
        /// Which item.
        item: String,
        /// Units out.
        out: u64,
        /// Units received.
        received: u64,
    },
}

impl ReplayError {
    /// Of an item's pool.
    pub(super) fn oversold(drop: &DropId, item: &Sku, stock: Stock) -> Self {
        let (out, received) = (stock.out(), stock.received);
        Self::Oversold { drop: drop.to_string(), item: item.to_string(), out, received }
    }
}

/// A hold as it was before a record and as it is by it.
#[derive(Debug, Clone, Copy)]
pub struct HoldTransition<'a> {
    /// The drop that it is in.
    pub drop: &'a DropEntry,
    /// Where it lives.
    pub place: HoldRef,
    /// The record's place.
    pub lsn: Lsn,
    /// How it stood before; nothing for a new one.
    pub before: Option<&'a Standing>,
    /// How it stands now; whichever revision it says.
    pub after: &'a Hold,
}

impl Inventory {
    /// Applies a record to what is locked, and changes all that follows. Units that a hold wins, or that an adjustment
    /// takes out, have been taken from their counters before; units that are lost are given to them here. Nothing where
    /// the entity has seen the record already, or where something else is locked than what the record is about.
    #[expect(
        clippy::inline_always,
        reason = "who calls knows what is locked: one arm is left, and no call for a reserve"
    )]
    #[inline(always)]
    pub fn apply(&self, locked: Locked<'_, '_>, lsn: Lsn, record: Record) -> Option<Applied> {
        match (locked, record) {
            (Locked::NewHold(drop, shard, subjects), Record::Made(Made { actor: _, hold }) | Record::Hold(hold)) => {
                let place = shard.insert(at(hold, lsn));
                let after = shard.get(place)?;
                self.enter(&HoldTransition { drop, place, lsn, before: None, after }, subjects);
                Some(Applied::Made)
            }
            (Locked::Hold(drop, (shard, place), subjects), Record::Changed(change)) => {
                let HoldChange { hold, .. } = change;
                let (before, after) = shard.change(place, lsn, |known| *known = hold)?;
                self.enter(&HoldTransition { drop, place, lsn, before: Some(&before), after }, subjects);
                Some(Applied::Changed(before.state, after.state))
            }
            (Locked::Succession(drop, (shards, old), subjects), Record::Superseded(superseded)) => {
                let Superseded { ended: HoldChange { hold: ended, .. }, made } = *superseded;
                let ended = at(ended, lsn);
                let (before, _) = shards.other().change(old, lsn, |known| *known = ended.clone())?;
                let made = at(made, lsn);
                let place = shards.own().insert(made.clone());
                let ended = HoldTransition { drop, place: old, lsn, before: Some(&before), after: &ended };
                let made = HoldTransition { drop, place, lsn, before: None, after: &made };
                self.enter_successor(&ended, &made, subjects);
                Some(Applied::Replaced)
            }
            (Locked::Registry(registry), Record::Drop(image)) => Some(self.make_drop(registry, lsn, &image)),
            (Locked::Registry(registry), Record::DropFact(fact)) if fact.verb == DropVerb::Create => {
                Some(self.make_drop(registry, lsn, &fact.image))
            }
            (Locked::Drop(entry, running), record) => {
                match entry.change(running, lsn, &record)? {
                    DropChange::Itself => {}
                    DropChange::Opening { before } => self.openings.moved(entry.number, lsn, before),
                    DropChange::Basis { pool, basis } => pool.adjust(lsn, basis),
                }
                self.expect_moments(entry.number, running);
                Some(Applied::Drop)
            }
            (Locked::Registry(_) | Locked::NewHold(..) | Locked::Hold(..) | Locked::Succession(..), _other) => None,
        }
    }

    fn make_drop(&self, registry: &mut Registry, lsn: Lsn, image: &DropImage) -> Applied {
        let entry = registry.put(lsn, image);
        self.expect_moments(entry.number, &entry.running());
        Applied::Drop
    }

    /// Gives a hold more time by the record of a start.
    pub(super) fn move_deadline(
        &self,
        (drop, shard, place): (&DropEntry, &mut LockedShard<'_>, HoldRef),
        lsn: Lsn,
        restart: Restart,
    ) {
        if let Some((before, after)) = shard.change(place, lsn, |hold| restart.change(hold)) {
            self.enter(&HoldTransition { drop, place, lsn, before: Some(&before), after }, None);
        }
    }

    /// Enters what follows from a hold's change: subjects, stock, deadlines.
    #[inline]
    fn enter(&self, changed: &HoldTransition<'_>, subjects: Option<LockedSubjects<'_>>) {
        if let Some(LockedSubjects { keys, subjects }) = subjects {
            return self.enter_with(changed, keys, subjects);
        }
        if changed.after.identities().is_empty() {
            // Nearly every hold: no list of keys for one.
            let customer = self.customer_of(&changed.drop.scope, changed.after);
            let enter = |subject: &mut Subject| self.enter_with(changed, &[customer], std::slice::from_mut(subject));
            return self.subjects.with_one(customer, enter);
        }
        let keys = self.subjects_of(&changed.drop.scope, changed.after);
        self.subjects.with(&keys, |subjects| self.enter_with(changed, &keys, subjects));
    }

    /// The same, with the stripes of all subjects of the hold locked, and maybe of others: `keys` says whose, the customer
    /// first.
    pub fn enter_with(&self, changed: &HoldTransition<'_>, keys: &[SubjectKey], subjects: &mut [Subject]) {
        let HoldTransition { drop, place, lsn, before, after } = changed;
        changed.enter_subjects(keys, subjects);
        let mut is_first = false;
        each_usage(*before, after, |line, before, after| {
            let change = UsageChange { hold: *place, before, after };
            is_first |= drop.pool_of(line).apply_usage(*lsn, &change);
        });
        // Else a deadline before it is in a queue: it was told of, or is about to be, or whoever forgets what was told
        // finds it there.
        if is_first && after.state.is_live() {
            self.expect_due(after.expires_at());
        }
        self.count_owned(changed);
    }
}

impl HoldTransition<'_> {
    /// Enters it into the hold's subjects among these, which may have others among them: `keys` says whose they are, the
    /// customer first.
    pub(super) fn enter_subjects(&self, keys: &[SubjectKey], subjects: &mut [Subject]) {
        let Self { drop, place, lsn: _, before, after } = self;
        let whose = Whose { drop: drop.number, place: *place, created_at: after.created_at() };
        let (before, now) = (before.map(Counted::from), Counted::of(after));
        if let Some((customer, others)) = subjects.split_first_mut() {
            customer.enter(whose, before, now);
            for (key, subject) in keys.iter().skip(1).zip(others) {
                if after.identities().iter().any(|identity| identity.subject == *key) {
                    subject.enter(whose, before, now);
                }
            }
        }
    }

    /// Whether it had units before.
    pub(super) fn was_owned(&self) -> bool {
        self.before.is_some_and(|before| !before.state.is_ended())
    }
}

/// A hold as its record makes it.
pub(super) fn at(mut hold: Hold, lsn: Lsn) -> Hold {
    hold.revision = lsn;
    hold
}

/// Visits each line with what the hold had of its pool before, and has now. A hold's lines never change their order.
#[inline]
pub(super) fn each_usage(before: Option<&Standing>, after: &Hold, mut f: impl FnMut(&HoldLine, PoolUsage, PoolUsage)) {
    let (lines, expires_at) = (after.lines(), after.expires_at());
    let now = |line: &HoldLine| usage(after.state, expires_at, line);
    let Some(before) = before else {
        return lines.iter().for_each(|line| f(&line, PoolUsage::default(), now(&line)));
    };
    let then = |line: &HoldLine| usage(before.state, before.expires_at, line);
    match (before.lines.view().only(), lines.only()) {
        // Nearly every hold: no walk through two lists.
        (Some(was), Some(is)) => f(&is, then(&was), now(&is)),
        (None, _) | (_, None) => {
            before.lines.iter().zip(lines.iter()).for_each(|(was, is)| f(&is, then(&was), now(&is)));
        }
    }
}

/// What a hold that stands so has of a line's pool.
pub(super) fn usage(state: HoldState, expires_at: Timestamp, line: &HoldLine) -> PoolUsage {
    let units = line.quantity;
    let due = (units > 0).then_some(expires_at);
    let given = PoolUsage { returned: line.returned, withdrawn: line.withdrawn, ..PoolUsage::default() };
    match state {
        HoldState::Held => PoolUsage { held: units, due, ..given },
        HoldState::Paying => PoolUsage { paying: units, due, ..given },
        HoldState::Claimed => PoolUsage { claimed: units, ..given },
        HoldState::Released | HoldState::Expired => given,
    }
}
