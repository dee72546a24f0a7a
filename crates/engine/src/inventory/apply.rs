//! Applies records: a record changes its entity, and all that follows from it: tallies, usage of subjects, stock,
//! deadlines, counters.
//!
//! One function for all callers: a verb that has just appended the record, with the locks and units that it has taken
//! to decide; and a follower of the journal, which takes locks and units by itself ([`Inventory::follow`]). A start,
//! which reads a whole journal, changes the entities by the same steps but derives all that follows once, at the end
//! ([`BulkLoad`](super::BulkLoad)). Idempotent: an entity that has seen a record already is left as it is.

use stockade_types::hold::{Hold, HoldLine, HoldState};
use stockade_types::ids::{DropId, HoldId, Lsn, Sku, SubjectKey};
use stockade_types::record::{DropImage, DropVerb, HoldChange, Made, Record, Restart, Superseded};
use stockade_types::time::Timestamp;

use super::channels::ChannelTable;
use super::defined::DefinedTable;
use super::drop_entry::{DropChange, DropEntry};
use super::drop_inner::DropInner;
use super::drops::Registry;
use super::facts::FactTable;
use super::limits::{CountedHoldRef, HoldKey};
use super::occurrences::OccurrenceTable;
use super::pool::{PoolUsage, Stock, UsageChange};
use super::reports::Reports;
use super::{CountedHold, HoldSlot, Inventory, LockedShard, LockedShards, Subject};

/// What a record changes, locked. For a hold: its drop, whose gate is held; the shard that it lives or will live in;
/// and its subjects, if the caller has locked them.
#[derive(Debug)]
pub enum Locked<'a, 's> {
    /// The registry is closed, and no drop has the record's number.
    Registry(&'a mut Registry),
    /// All definitions of the record's kind.
    Defined(&'a mut DefinedTable),
    /// What came of the occurrences of series; the series are locked, too.
    Occurrences(&'a mut OccurrenceTable),
    /// How far the messages of channels are.
    Channels(&'a mut ChannelTable),
    /// What is kept of facts.
    Facts(&'a mut FactTable),
    /// The reports of drops.
    Reports(&'a mut Reports),
    /// What is asked of a drop: it was counted already, and only the place of the record is new.
    Demand(&'a DropEntry),
    /// A drop with its running state; its gate is closed.
    Drop(&'a DropEntry, &'a mut DropInner),
    /// No hold has the record's id.
    NewHold(&'a DropEntry, &'a mut LockedShard<'s>, Option<LockedSubjects<'a>>),
    /// A hold, in its place.
    Hold(&'a DropEntry, (&'a mut LockedShard<'s>, HoldSlot), Option<LockedSubjects<'a>>),
    /// A hold in its place, and no hold has its successor's id: the successor's shard and the hold's, and the subjects
    /// of both.
    Succession(&'a DropEntry, (&'a mut LockedShards<'s>, HoldSlot), LockedSubjects<'a>),
}

/// Subjects whose stripes are locked: those of a hold, possibly with others.
#[derive(Debug)]
pub struct LockedSubjects<'a> {
    /// Their keys: the hold's customer first.
    pub keys: &'a [SubjectKey],
    /// In the order of the keys.
    pub subjects: &'a mut [Subject],
}

/// What a record has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// A drop.
    Drop,
    /// A definition, what came of an occurrence or of a drop, what was asked, or how far webhooks or channels are.
    Defined,
    /// What is kept of facts.
    Facts,
    /// A hold was made.
    Made,
    /// A hold changed from one state to another.
    Changed(HoldState, HoldState),
    /// A hold was made, and another was released for it.
    Replaced,
}

/// Records that contradict each other: damage, or a bug of the engine that wrote them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// A record that is not possible at its place.
    #[error("record {lsn}: {what}")]
    Record {
        /// Its place.
        lsn: Lsn,
        /// What is wrong.
        what: String,
    },
    /// A hold in a drop, item or pool that does not exist.
    #[error("hold {0} is in a drop, item or pool that does not exist")]
    Orphan(HoldId),
    /// More units are out than were received.
    #[error("drop {drop}, item {item}: {out} units are held or claimed, {received} were received")]
    Oversold {
        /// Its drop.
        drop: String,
        /// Its item.
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

/// A hold before and after a record.
#[derive(Debug, Clone, Copy)]
pub struct HoldTransition<'a> {
    /// Its drop.
    pub drop: &'a DropEntry,
    /// Where it lives.
    pub place: HoldSlot,
    /// The record's LSN.
    pub lsn: Lsn,
    /// What it counted for before; none for a new hold.
    pub before: Option<&'a CountedHold>,
    /// The hold after the record. Its own revision is ignored.
    pub after: &'a Hold,
}

impl Inventory {
    /// Applies a record to what is locked, and changes all that follows. The caller has taken from the counters the
    /// units that a hold gains or an adjustment takes out; units that a hold loses are given to the counters here.
    /// Returns none if the entity has seen the record already, or if something else is locked than what the record is
    /// about.
    #[expect(
        clippy::inline_always,
        reason = "the caller knows what is locked: one arm is left, and no call for a reserve"
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
            (Locked::Drop(entry, inner), record) => {
                match entry.change(inner, lsn, &record)? {
                    DropChange::Itself => {}
                    DropChange::Opening { before } => self.openings.moved(entry.number, lsn, before),
                    DropChange::Basis(bases) => bases.into_iter().for_each(|(pool, basis)| pool.adjust(lsn, basis)),
                }
                self.expect_moments(entry.number, inner);
                Some(Applied::Drop)
            }
            (locked, record) => self.apply_elsewhere(locked, lsn, record),
        }
    }

    /// The same for all that is neither a hold nor a drop.
    fn apply_elsewhere(&self, locked: Locked<'_, '_>, lsn: Lsn, record: Record) -> Option<Applied> {
        match (locked, record) {
            (Locked::Registry(registry), Record::Drop(image)) => Some(self.make_drop(registry, lsn, &image)),
            (Locked::Registry(registry), Record::DropFact(fact)) if fact.verb == DropVerb::Create => {
                Some(self.make_drop(registry, lsn, &fact.image))
            }
            (Locked::Defined(table), Record::Defined(fact)) => {
                self.expect_look(&fact);
                table.apply(lsn, &fact).then_some(Applied::Defined)
            }
            (Locked::Occurrences(table), Record::Occurrence(fact)) => {
                table.apply(lsn, &fact).then_some(Applied::Defined)
            }
            (Locked::Defined(table), Record::Delivered(delivered)) => {
                table.delivered(lsn, &delivered);
                Some(Applied::Defined)
            }
            (Locked::Channels(table), Record::Channel(fact)) => {
                table.apply(lsn, &fact);
                Some(Applied::Defined)
            }
            (Locked::Reports(reports), Record::Report(fact)) => {
                reports.keep(lsn, fact.into());
                Some(Applied::Defined)
            }
            (Locked::Demand(entry), Record::Demand(fact)) => {
                entry.demand_was_recorded(lsn, fact.at);
                Some(Applied::Defined)
            }
            (Locked::Facts(table), Record::Facts(facts)) => {
                self.enter_facts(table, lsn, &facts);
                Some(Applied::Facts)
            }
            (
                Locked::Registry(_)
                | Locked::Defined(_)
                | Locked::Occurrences(_)
                | Locked::Channels(_)
                | Locked::Facts(_)
                | Locked::Reports(_)
                | Locked::Demand(_)
                | Locked::Drop(..)
                | Locked::NewHold(..)
                | Locked::Hold(..)
                | Locked::Succession(..),
                _other,
            ) => None,
        }
    }

    fn make_drop(&self, registry: &mut Registry, lsn: Lsn, image: &DropImage) -> Applied {
        let entry = registry.put(lsn, image);
        self.expect_moments(entry.number, &entry.read());
        Applied::Drop
    }

    /// Moves a hold's deadline by the record of a start.
    pub(super) fn move_deadline(
        &self,
        (drop, shard, place): (&DropEntry, &mut LockedShard<'_>, HoldSlot),
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
            // The usual hold: it needs no list of keys.
            let customer = self.customer_of(&changed.drop.scope, changed.after);
            let enter = |subject: &mut Subject| self.enter_with(changed, &[customer], std::slice::from_mut(subject));
            return self.subjects.with_one(customer, enter);
        }
        let keys = self.subjects_of(&changed.drop.scope, changed.after);
        self.subjects.with(&keys, |subjects| self.enter_with(changed, &keys, subjects));
    }

    /// The same, with the stripes of all subjects of the hold locked, possibly with others; `keys` are the subjects'
    /// keys, the customer's first.
    pub fn enter_with(&self, changed: &HoldTransition<'_>, keys: &[SubjectKey], subjects: &mut [Subject]) {
        let HoldTransition { drop, place, lsn, before, after } = changed;
        changed.enter_subjects(keys, subjects);
        if changed.comes_back() {
            self.forget_fact_returns(changed, subjects);
        }
        let mut is_first = false;
        each_usage(*before, after, |line, before, after| {
            let change = UsageChange { hold: *place, before, after };
            is_first |= drop.pool_of(line).apply_usage(*lsn, &change);
        });
        // If it is not its pool's first deadline, an earlier one is in the pool's queue: that was announced already, or
        // is about to be, or the scan that resets the announced instant finds it there.
        if is_first && after.state.is_live() {
            self.expect_due(after.expires_at());
        }
        self.count_owned(changed);
    }
}

impl Inventory {
    /// The hold counts as returned from now on, and facts about its order don't.
    #[cold]
    fn forget_fact_returns(&self, changed: &HoldTransition<'_>, subjects: &mut [Subject]) {
        if let Some(order) = self.returned_order(&changed.drop.scope, changed.after) {
            for subject in subjects {
                subject.forget_fact_return(order);
            }
        }
    }
}

impl HoldTransition<'_> {
    /// Enters the change into those of these subjects that are the hold's. `keys` are the subjects' keys, the
    /// customer's first.
    pub(super) fn enter_subjects(&self, keys: &[SubjectKey], subjects: &mut [Subject]) {
        let Self { drop, place, lsn: _, before, after } = self;
        let hold_key = HoldKey { drop: drop.number, place: *place, created_at: after.created_at() };
        let (before, now) = (before.map(CountedHoldRef::from), CountedHoldRef::of(after));
        if let Some((customer, others)) = subjects.split_first_mut() {
            customer.enter(hold_key, before, now);
            for (key, subject) in keys.iter().skip(1).zip(others) {
                if after.identities().iter().any(|identity| identity.subject == *key) {
                    subject.enter(hold_key, before, now);
                }
            }
        }
    }

    /// Whether units of a sale come back by the change.
    #[inline]
    fn comes_back(&self) -> bool {
        let was_at = || self.before.and_then(|before| before.conduct_at);
        self.after.state == HoldState::Claimed && self.after.conduct_at().is_some_and(|at| was_at() != Some(at))
    }

    /// Whether the hold had units before.
    pub(super) fn was_owned(&self) -> bool {
        self.before.is_some_and(|before| !before.state.is_ended())
    }
}

/// A hold with the revision of its record.
pub(super) fn at(mut hold: Hold, lsn: Lsn) -> Hold {
    hold.revision = lsn;
    hold
}

/// Visits each pool that the hold has lines of, by the first of them, with what the hold had of the pool before and has
/// now. A hold's lines never change their order.
#[inline]
pub(super) fn each_usage(
    before: Option<&CountedHold>,
    after: &Hold,
    mut f: impl FnMut(&HoldLine, PoolUsage, PoolUsage),
) {
    let (lines, expires_at) = (after.lines(), after.expires_at());
    let now = |line: &HoldLine| usage(after.state, expires_at, line);
    let then = |before: &CountedHold, line: &HoldLine| usage(before.state, before.expires_at, line);
    // The usual hold has one line: no walk through two lists.
    if let Some(is) = lines.only() {
        match before {
            None => return f(&is, PoolUsage::default(), now(&is)),
            Some(before) => {
                if let Some(was) = before.lines.view().only() {
                    return f(&is, then(before, &was), now(&is));
                }
            }
        }
    }
    each_usage_of_many(before, after, &mut f);
}

/// The same for a hold of several lines, or of one of which something was given back.
#[cold]
fn each_usage_of_many(before: Option<&CountedHold>, after: &Hold, f: &mut dyn FnMut(&HoldLine, PoolUsage, PoolUsage)) {
    let (lines, expires_at) = (after.lines(), after.expires_at());
    let now = |line: &HoldLine| usage(after.state, expires_at, line);
    let then = |before: &CountedHold, line: &HoldLine| usage(before.state, before.expires_at, line);
    let mut of_pool: Option<(HoldLine, PoolUsage, PoolUsage)> = None;
    let mut known = before.map(|before| before.lines.iter());
    for is in lines {
        let was = known.as_mut().and_then(Iterator::next).zip(before).map(|(was, before)| then(before, &was));
        let (was, now) = (was.unwrap_or_default(), now(&is));
        of_pool = match of_pool {
            // Lines of one pool follow each other: at two prices they are one share of it.
            Some((first, before, after)) if first.is_of_same_pool(&is) => {
                Some((first, before.plus(was), after.plus(now)))
            }
            other => {
                if let Some((line, before, after)) = other {
                    f(&line, before, after);
                }
                Some((is, was, now))
            }
        };
    }
    if let Some((line, before, after)) = of_pool {
        f(&line, before, after);
    }
}

/// What a hold in this state has of a line's pool.
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
