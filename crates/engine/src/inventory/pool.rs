//! A pool: the counter that is taken from, and the ledger of who has what of it and until when.
//!
//! The counter decides; the ledger (`ledger.rs`) tells. Free units in the ledger are what is left of those received, so
//! its sum holds at every instant by construction; that the counter agrees is what the conservation check compares.
//!
//! # Why a refusal never overlooks a due hold
//!
//! A hold that falls due is given back in this order: its record is appended, its units go back to the counter, and
//! only then does its deadline leave the ledger and `next_due` rise (Release; `next_due.rs`). A refuser reads `next_due`
//! (Acquire) *before* the counter. If it is later than now, every hold that was due has been given back before that
//! read, and the counter's word, read after it, has those units. If it is not, the refuser gives back what is due
//! itself.

use std::sync::Arc;

use stockade_counter::stock::{Certainty, Look, Moving, StockCounter, Take, Taken};
use stockade_types::ids::Lsn;
use stockade_types::invariant;
use stockade_types::record::{PoolBasis, PoolFigures, Sold};
use stockade_types::time::Timestamp;

use super::holds::HoldRef;
use super::ledger::{Cut, Ledger, Sums};

/// Units of a pool: `received = free + held + paying + claimed + withdrawn`, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stock {
    /// Ever put in.
    pub received: u64,
    /// Sellable now.
    pub free: u64,
    /// Set aside.
    pub held: u64,
    /// At the till.
    pub paying: u64,
    /// Sold.
    pub claimed: u64,
    /// Taken out for good.
    pub withdrawn: u64,
    /// Ever returned after a sale; not part of the sum.
    pub returned_total: u64,
}

impl Stock {
    /// As the ledger has it, with `free` units free.
    const fn of(cut: &Cut, free: u64) -> Self {
        let Cut { basis: PoolBasis { received, taken_out }, sums, as_of: _ } = cut;
        let Sums { held, paying, claimed, withdrawn, returned_total } = *sums;
        let withdrawn = withdrawn.saturating_add(*taken_out);
        Self { received: *received, free, held, paying, claimed, withdrawn, returned_total }
    }

    /// Units out: not free.
    pub(super) const fn out(&self) -> u64 {
        self.held.saturating_add(self.paying).saturating_add(self.claimed).saturating_add(self.withdrawn)
    }

    /// Without units that are counted twice.
    const fn once(self, twice: u64) -> Self {
        let held = self.held.saturating_sub(twice);
        let twice = twice.saturating_sub(self.held);
        let paying = self.paying.saturating_sub(twice);
        let claimed = self.claimed.saturating_sub(twice.saturating_sub(self.paying));
        Self { held, paying, claimed, ..self }
    }

    /// Of a pool that has left memory with the holds of its drop: nothing is set aside.
    #[must_use]
    pub const fn archived(basis: PoolBasis, sold: Sold) -> Self {
        let PoolBasis { received, taken_out } = basis;
        let Sold { claimed, withdrawn, returned_total } = sold;
        let withdrawn = withdrawn.saturating_add(taken_out);
        let free = received.saturating_sub(claimed).saturating_sub(withdrawn);
        Self { received, free, held: 0, paying: 0, claimed, withdrawn, returned_total }
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            received: self.received.saturating_add(other.received),
            free: self.free.saturating_add(other.free),
            held: self.held.saturating_add(other.held),
            paying: self.paying.saturating_add(other.paying),
            claimed: self.claimed.saturating_add(other.claimed),
            withdrawn: self.withdrawn.saturating_add(other.withdrawn),
            returned_total: self.returned_total.saturating_add(other.returned_total),
        }
    }
}

/// What one hold has of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct PoolUsage {
    pub(super) held: u32,
    pub(super) paying: u32,
    pub(super) claimed: u32,
    pub(super) returned: u32,
    pub(super) withdrawn: u32,
    /// The hold's deadline, while it has one that counts.
    pub(super) due: Option<Timestamp>,
}

impl PoolUsage {
    /// Units that are not free: the counter must not have them.
    pub(super) fn out(&self) -> u64 {
        // Of numbers of 32 bits: the sum never saturates.
        let Self { held, paying, claimed, returned: _, withdrawn, due: _ } = *self;
        [held, paying, claimed, withdrawn].map(u64::from).into_iter().fold(0, u64::saturating_add)
    }
}

/// What a hold has of a pool, as it was and as it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct UsageChange {
    pub(super) hold: HoldRef,
    pub(super) before: PoolUsage,
    pub(super) after: PoolUsage,
}

/// Whether units can be had.
#[derive(Debug)]
pub enum Verdict<T> {
    /// They can.
    Yes(T),
    /// They can't: at one instant inside this call so few were free, and none was in doubt or due.
    Short {
        /// Units that were free.
        free: u64,
    },
    /// Units are in doubt: ask again.
    InDoubt,
    /// Holds are due: give them back, then ask again.
    SweepDue,
}

/// A named part of an item's stock.
#[derive(Debug)]
pub struct Pool {
    counter: StockCounter,
    ledger: Ledger,
}

impl Pool {
    /// A pool with its first stock.
    #[must_use]
    pub fn new(units: u64) -> Self {
        Self { counter: StockCounter::new(units), ledger: Ledger::new(units) }
    }

    /// As it is, one of several pools of an item: what comes back to it is counted there.
    pub(super) fn among(self, moving: Arc<Moving>) -> Self {
        Self { counter: self.counter.among(moving), ..self }
    }

    /// Whether `units` would be refused at `now`: a read-only look, so that a herd is refused from one word.
    #[must_use]
    pub fn look(&self, units: u64, now: Timestamp) -> Verdict<()> {
        let due = self.next_due() <= now; // before the counter: see the module's head
        match self.counter.look(units) {
            Look::MayServe => Verdict::Yes(()),
            Look::Short { .. } | Look::InDoubt if due => Verdict::SweepDue,
            Look::Short { free } => Verdict::Short { free },
            Look::InDoubt => Verdict::InDoubt,
        }
    }

    /// As [`Pool::look`], but certain also when the units are spread: by taking them and giving them back. For
    /// whoever would refuse for another reason, which stands behind `SOLD_OUT` in the order of refusals.
    #[inline(never)]
    pub fn look_closely(&self, units: u64, now: Timestamp) -> Verdict<()> {
        match self.take(units, Certainty::Doubtful, now) {
            Verdict::Yes(taken) => {
                drop(taken);
                Verdict::Yes(())
            }
            Verdict::Short { free } => Verdict::Short { free },
            Verdict::InDoubt => Verdict::InDoubt,
            Verdict::SweepDue => Verdict::SweepDue,
        }
    }

    /// Takes `units`, if they can be had.
    #[expect(
        clippy::inline_always,
        reason = "by `just instructions` it costs each reserve and each close look 40 more on its own"
    )]
    #[inline(always)]
    pub fn take(&self, units: u64, certainty: Certainty, now: Timestamp) -> Verdict<Taken<'_>> {
        let due = self.next_due() <= now; // before the counter: see the module's head
        match self.counter.take(units, certainty) {
            Take::Taken(taken) => Verdict::Yes(taken),
            Take::Short { .. } | Take::InDoubt if due => Verdict::SweepDue,
            Take::Short { free } => Verdict::Short { free },
            Take::InDoubt => Verdict::InDoubt,
        }
    }

    /// Takes `most` units or, if fewer are free, all of those: at one instant inside this call no more were free, and
    /// none was in doubt or due. [`Verdict::Short`] only where none was free at all. The taker is in doubt until it
    /// keeps them: it may find that it can't use them all.
    pub fn take_up_to(&self, most: u64, now: Timestamp) -> Verdict<Taken<'_>> {
        let due = self.next_due() <= now; // before the counter: see the module's head
        // What is due may make up what is missing: until it is given back, less is not settled for.
        let take = if due { self.counter.take(most, Certainty::Doubtful) } else { self.counter.take_up_to(most) };
        match take {
            Take::Taken(taken) => Verdict::Yes(taken),
            Take::Short { .. } | Take::InDoubt if due => Verdict::SweepDue,
            Take::Short { free } => Verdict::Short { free },
            Take::InDoubt => Verdict::InDoubt,
        }
    }

    /// Takes `units` for sure, or nothing where none are asked for.
    pub fn take_any(&self, units: u64, now: Timestamp) -> Verdict<Option<Taken<'_>>> {
        if units == 0 {
            return Verdict::Yes(None);
        }
        match self.take(units, Certainty::Certain, now) {
            Verdict::Yes(taken) => Verdict::Yes(Some(taken)),
            Verdict::Short { free } => Verdict::Short { free },
            Verdict::InDoubt => Verdict::InDoubt,
            Verdict::SweepDue => Verdict::SweepDue,
        }
    }

    /// The units that may be free at most, by what is entered. Where that is more than are free, someone has taken units
    /// that are not yet entered. None, while more than the pool has received is out by it.
    #[must_use]
    pub fn free_at_most(&self) -> Option<u64> {
        self.ledger.free_at_most()
    }

    /// The earliest deadline of a live hold here; [`Timestamp::NEVER`] without one.
    #[must_use]
    pub fn next_due(&self) -> Timestamp {
        self.ledger.next_due()
    }

    /// The earliest deadline of a live hold here other than this one; [`Timestamp::NEVER`] without one.
    #[must_use]
    pub fn next_due_without(&self, hold: HoldRef) -> Timestamp {
        self.ledger.next_due_without(hold)
    }

    /// Whether units that holds have here may be given back: some are out, or are just being taken. `free` were free when
    /// it was found to be short.
    #[must_use]
    pub fn may_have_more(&self, free: u64) -> bool {
        let is_held = || self.next_due() != Timestamp::NEVER;
        // What is entered between the first two is in the queue by the third.
        is_held() || self.free_at_most().is_some_and(|known| known > free) || is_held()
    }

    /// At most `most` holds that are due, earliest first.
    #[must_use]
    pub fn due(&self, now: Timestamp, most: usize) -> Vec<HoldRef> {
        self.ledger.due(now, most)
    }

    /// Units as they stand, and the place of the journal that this belongs to. What a hold gives back is free before it
    /// leaves the ledger: another may have taken it, and be entered, by then. Of the two only one is shown, whichever it is:
    /// for that instant the sum is right, and what is held, in payment or sold may be short by what the other has more.
    #[must_use]
    pub fn stock(&self) -> (Stock, Lsn) {
        let cut = self.ledger.cut();
        let free = cut.free();
        let stock = Stock::of(&cut, free.unwrap_or(0));
        let stock = if free.is_some() { stock } else { stock.once(stock.out().saturating_sub(stock.received)) };
        (stock, cut.as_of)
    }

    /// The books, whole.
    #[must_use]
    pub fn figures(&self) -> PoolFigures {
        let Cut { basis, sums, as_of: _ } = self.ledger.cut();
        let Sums { held, paying, claimed, withdrawn, returned_total } = sums;
        PoolFigures { basis, held, paying, claimed, withdrawn, returned_total }
    }

    /// By how many units counter and ledger disagree: 0, always. Exact only while nothing moves units: under the
    /// drop's write gate.
    #[must_use]
    pub fn conservation_error(&self) -> u64 {
        self.ledger.cut().free().map_or(u64::MAX, |free| free.abs_diff(self.counter.sum()))
    }

    /// What a hold has was changed by a record. Units that it lost go back to the counter; units that it won have been
    /// taken from there before. Says whether it falls due before all others here.
    pub(super) fn apply_usage(&self, lsn: Lsn, change: &UsageChange) -> bool {
        if let Some(back @ 1..) = change.before.out().checked_sub(change.after.out()) {
            self.counter.give(back);
        }
        self.ledger.enter(lsn, change)
    }

    /// The ledger's part of [`Pool::apply_usage`], alone: for a bulk load, which sets the counter at its end.
    pub(super) fn enter(&self, lsn: Lsn, change: &UsageChange) -> bool {
        self.ledger.enter(lsn, change)
    }

    /// Enters deadlines of holds that were entered without them: for a bulk load, earliest first.
    pub(super) fn enter_dues(&self, dues: impl Iterator<Item = (Timestamp, HoldRef)>) {
        self.ledger.enter_dues(dues);
    }

    /// What one hold had goes over to another, by one record. What both had and have not any more goes back to the
    /// counter; what the new one has beyond what the old one had has been taken from there before. The ledger shows both
    /// or neither, so the units that go over are in one of the two holds, under its deadline, always.
    pub(super) fn transfer(&self, lsn: Lsn, from: &UsageChange, to: &UsageChange) {
        let out = |from: PoolUsage, to: PoolUsage| from.out().saturating_add(to.out());
        if let Some(back @ 1..) = out(from.before, to.before).checked_sub(out(from.after, to.after)) {
            self.counter.give(back);
        }
        self.ledger.transfer(lsn, from, to);
    }

    /// What the pool has received, and what was taken out of it by adjustments.
    #[must_use]
    pub fn basis(&self) -> PoolBasis {
        self.ledger.basis()
    }

    /// Enters an adjustment. Units that it adds go to the counter; units that it takes out have been taken from there
    /// before. Nobody else moves units meanwhile: the drop's gate is closed.
    pub fn adjust(&self, lsn: Lsn, basis: PoolBasis) {
        let (before, after) = self.ledger.set_basis(lsn, basis);
        invariant!(
            let (Some(before), Some(after)) = (before.free(), after.free()),
            "more of a pool is out than it has received, before or with {basis:?}"
        );
        if let Some(more @ 1..) = after.checked_sub(before) {
            self.counter.give(more);
        }
    }

    /// The ledger's part of [`Pool::adjust`], alone: for a bulk load.
    pub(super) fn set_basis(&self, lsn: Lsn, basis: PoolBasis) {
        self.ledger.set_basis(lsn, basis);
    }

    /// Sets the counter to what the ledger says is free. Says so when the ledger has more out than it received.
    pub(super) fn reset_counter(&mut self) -> Result<(), Stock> {
        let cut = self.ledger.cut();
        let free = cut.free().ok_or_else(|| Stock::of(&cut, 0))?;
        self.counter.set(free);
        Ok(())
    }

    /// Everything in it as text, for comparing two inventories: stock, counter, and how many holds are due when.
    pub(super) fn image(&self) -> String {
        let (stock, _) = self.stock();
        format!("{stock:?} {} {} {:?}", self.counter.sum(), self.next_due().0, self.ledger.image())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "a bug: a pool's books don't have what a hold has had of it")]
    fn books_that_would_fall_below_nothing_end_the_process() {
        let (before, after) = (PoolUsage { paying: 2, ..PoolUsage::default() }, PoolUsage::default());
        Pool::new(5).enter(Lsn(1), &UsageChange { hold: HoldRef::from_raw(0), before, after });
    }

    #[test]
    fn a_unit_that_another_has_before_it_left_the_books_of_the_first_is_shown_once() {
        let pool = Pool::new(3);
        let enter = |hold: u32, after: PoolUsage| {
            pool.enter(Lsn(1), &UsageChange { hold: HoldRef::from_raw(hold), before: PoolUsage::default(), after });
        };
        enter(0, PoolUsage { claimed: 2, ..PoolUsage::default() });
        enter(1, PoolUsage { paying: 1, ..PoolUsage::default() });
        // One of the two that are sold comes back, and is held again before the return is entered; then both are.
        for (hold, (held, paying, claimed)) in [(2, (0, 1, 2)), (3, (0, 1, 2))] {
            enter(hold, PoolUsage { held: 1, ..PoolUsage::default() });
            let (shown, _) = pool.stock();
            assert_eq!((shown.held, shown.paying, shown.claimed, shown.free), (held, paying, claimed, 0));
            assert_eq!(shown.free + shown.out(), shown.received, "the sum holds");
        }
        enter(4, PoolUsage { paying: 2, ..PoolUsage::default() });
        let (shown, _) = pool.stock();
        assert_eq!((shown.held, shown.paying, shown.claimed), (0, 1, 2));
    }

    #[test]
    #[should_panic(expected = "a bug: more of a pool is out than it has received")]
    fn a_pool_that_gives_up_what_it_never_had_ends_the_process() {
        Pool::new(5).adjust(Lsn(1), PoolBasis { received: 5, taken_out: 6 });
    }
}
