//! A pool: the counter that units are taken from, and the ledger of what holds have of it and until when.
//!
//! The counter decides; the ledger (`ledger.rs`) is what is shown. Free units in the ledger are those received minus
//! those out, so its sum is right at every instant by construction. The conservation check compares the counter with
//! it.
//!
//! # Why a refusal never misses a due hold
//!
//! A due hold is given back in this order: its record is appended, its units go back to the counter, and only then does
//! its deadline leave the ledger and `next_due` rise (Release; `crates/counter/src/next_due.rs`). A refuser reads
//! `next_due` (Acquire) *before* the counter. If it is later than now, every hold that was due was given back before
//! that read, and the counter's word, read after it, has those units. If it is not, the refuser gives back the due
//! holds itself.

use std::sync::Arc;

use stockade_counter::stock::{Certainty, Moving, PeekResult, StockCounter, TakeResult, Taken};
use stockade_types::ids::Lsn;
use stockade_types::invariant;
use stockade_types::record::{PoolBasis, PoolFigures, Sold};
use stockade_types::time::Timestamp;

use super::holds::HoldSlot;
use super::ledger::{Cut, Ledger, Sums};

/// Units of a pool: `received = free + held + paying + claimed + withdrawn`, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stock {
    /// Ever put in.
    pub received: u64,
    /// Sellable now.
    pub free: u64,
    /// Held.
    pub held: u64,
    /// In payment.
    pub paying: u64,
    /// Claimed.
    pub claimed: u64,
    /// Taken out of the sale.
    pub withdrawn: u64,
    /// Ever returned after a sale; not part of the sum.
    pub returned_total: u64,
}

impl Stock {
    /// The ledger's figures, with `free` units free.
    const fn of(cut: &Cut, free: u64) -> Self {
        let Cut { basis: PoolBasis { received, taken_out }, sums, as_of: _ } = cut;
        let Sums { held, paying, claimed, withdrawn, returned_total } = *sums;
        let withdrawn = withdrawn.saturating_add(*taken_out);
        Self { received: *received, free, held, paying, claimed, withdrawn, returned_total }
    }

    /// Units that are not free.
    pub const fn out(&self) -> u64 {
        self.held.saturating_add(self.paying).saturating_add(self.claimed).saturating_add(self.withdrawn)
    }

    /// The same without `twice` units that are counted twice.
    const fn once(self, twice: u64) -> Self {
        let held = self.held.saturating_sub(twice);
        let twice = twice.saturating_sub(self.held);
        let paying = self.paying.saturating_sub(twice);
        let claimed = self.claimed.saturating_sub(twice.saturating_sub(self.paying));
        Self { held, paying, claimed, ..self }
    }

    /// The stock of a pool that has left memory with the holds of its drop: nothing is held or in payment.
    #[must_use]
    pub const fn archived(basis: PoolBasis, sold: Sold) -> Self {
        let PoolBasis { received, taken_out } = basis;
        let Sold { claimed, withdrawn, returned_total } = sold;
        let withdrawn = withdrawn.saturating_add(taken_out);
        let free = received.saturating_sub(claimed).saturating_sub(withdrawn);
        Self { received, free, held: 0, paying: 0, claimed, withdrawn, returned_total }
    }

    /// The same with all that is free taken out of the sale.
    #[must_use]
    pub const fn withdrawn_whole(self) -> Self {
        Self { free: 0, withdrawn: self.withdrawn.saturating_add(self.free), ..self }
    }

    /// The sum of both.
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
    /// The hold's deadline, while it is live and has units.
    pub(super) due: Option<Timestamp>,
}

impl PoolUsage {
    /// Units that are not free, so the counter does not have them.
    pub(super) fn out(&self) -> u64 {
        // A sum of numbers of 32 bits never saturates.
        let Self { held, paying, claimed, returned: _, withdrawn, due: _ } = *self;
        [held, paying, claimed, withdrawn].map(u64::from).into_iter().fold(0, u64::saturating_add)
    }

    /// Both together: a hold's lines of one pool. A hold's units fit 32 bits.
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            held: self.held.saturating_add(other.held),
            paying: self.paying.saturating_add(other.paying),
            claimed: self.claimed.saturating_add(other.claimed),
            returned: self.returned.saturating_add(other.returned),
            withdrawn: self.withdrawn.saturating_add(other.withdrawn),
            due: self.due.or(other.due),
        }
    }
}

/// What a hold has of a pool, before and after a change.
#[derive(Debug, Clone, Copy)]
pub(super) struct UsageChange {
    pub(super) hold: HoldSlot,
    pub(super) before: PoolUsage,
    pub(super) after: PoolUsage,
}

/// Whether units can be taken.
#[derive(Debug)]
pub enum Availability<T> {
    /// They can.
    Yes(T),
    /// Too few: at one instant inside this call this many were free, and none was in doubt or due.
    Short {
        /// Units that were free.
        free: u64,
    },
    /// Units are in doubt: try again.
    InDoubt,
    /// Holds are due: expire them, then try again.
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

    /// The same as one of several pools of an item: units that come back to it are counted in `moving`.
    pub(super) fn among(self, moving: Arc<Moving>) -> Self {
        Self { counter: self.counter.among(moving), ..self }
    }

    /// Whether `units` would be refused at `now`. Read-only, one load of the counter, so that many refusals cost
    /// little.
    #[must_use]
    pub fn peek(&self, units: u64, now: Timestamp) -> Availability<()> {
        let due = self.next_due() <= now; // before the counter: see the module's head
        match self.counter.peek(units) {
            PeekResult::MayServe => Availability::Yes(()),
            PeekResult::Short { .. } | PeekResult::InDoubt if due => Availability::SweepDue,
            PeekResult::Short { free } => Availability::Short { free },
            PeekResult::InDoubt => Availability::InDoubt,
        }
    }

    /// As [`Pool::peek`], but exact also while the units are spread: takes them and gives them back. For a caller that
    /// would refuse for another reason, over which `SOLD_OUT` has precedence.
    #[inline(never)]
    pub fn probe(&self, units: u64, now: Timestamp) -> Availability<()> {
        match self.take(units, Certainty::Doubtful, now) {
            Availability::Yes(taken) => {
                drop(taken);
                Availability::Yes(())
            }
            Availability::Short { free } => Availability::Short { free },
            Availability::InDoubt => Availability::InDoubt,
            Availability::SweepDue => Availability::SweepDue,
        }
    }

    /// Takes `units`, if they are free.
    #[expect(
        clippy::inline_always,
        reason = "by `just instructions` it costs each reserve and each close look 40 more on its own"
    )]
    #[inline(always)]
    pub fn take(&self, units: u64, certainty: Certainty, now: Timestamp) -> Availability<Taken<'_>> {
        let due = self.next_due() <= now; // before the counter: see the module's head
        match self.counter.take(units, certainty) {
            TakeResult::Taken(taken) => Availability::Yes(taken),
            TakeResult::Short { .. } | TakeResult::InDoubt if due => Availability::SweepDue,
            TakeResult::Short { free } => Availability::Short { free },
            TakeResult::InDoubt => Availability::InDoubt,
        }
    }

    /// Takes `most` units or, if fewer are free, all of those: at one instant inside this call no more were free, and
    /// none was in doubt or due. [`Availability::Short`] only if none was free. The taker is in doubt until it keeps
    /// the units, since it may not be able to use them all.
    pub fn take_up_to(&self, most: u64, now: Timestamp) -> Availability<Taken<'_>> {
        let due = self.next_due() <= now; // before the counter: see the module's head
        // Due holds may have the missing units: until they are given back, less is not settled for.
        let take = if due { self.counter.take(most, Certainty::Doubtful) } else { self.counter.take_up_to(most) };
        match take {
            TakeResult::Taken(taken) => Availability::Yes(taken),
            TakeResult::Short { .. } | TakeResult::InDoubt if due => Availability::SweepDue,
            TakeResult::Short { free } => Availability::Short { free },
            TakeResult::InDoubt => Availability::InDoubt,
        }
    }

    /// Takes `units` with certainty; takes nothing and succeeds if `units` is 0.
    pub fn take_any(&self, units: u64, now: Timestamp) -> Availability<Option<Taken<'_>>> {
        if units == 0 {
            return Availability::Yes(None);
        }
        match self.take(units, Certainty::Certain, now) {
            Availability::Yes(taken) => Availability::Yes(Some(taken)),
            Availability::Short { free } => Availability::Short { free },
            Availability::InDoubt => Availability::InDoubt,
            Availability::SweepDue => Availability::SweepDue,
        }
    }

    /// The most units that may be free, by what is entered. If that is more than are free, a request has taken units
    /// that are not entered yet. None while by this count more is out than the pool has received.
    #[must_use]
    pub fn free_at_most(&self) -> Option<u64> {
        self.ledger.free_at_most()
    }

    /// The earliest deadline of the pool's live holds; [`Timestamp::NEVER`] without one.
    #[must_use]
    pub fn next_due(&self) -> Timestamp {
        self.ledger.next_due()
    }

    /// The same without this hold.
    #[must_use]
    pub fn next_due_without(&self, hold: HoldSlot) -> Timestamp {
        self.ledger.next_due_without(hold)
    }

    /// Whether units that holds have of this pool may be given back: some are out, or are just being taken. `free` were
    /// free when the pool was found to be short.
    #[must_use]
    pub fn may_have_more(&self, free: u64) -> bool {
        let is_held = || self.next_due() != Timestamp::NEVER;
        // A hold that is entered between the first two reads is in the queue by the third.
        is_held() || self.free_at_most().is_some_and(|known| known > free) || is_held()
    }

    /// At most `most` holds that are due, earliest first.
    #[must_use]
    pub fn due(&self, now: Timestamp, most: usize) -> Vec<HoldSlot> {
        self.ledger.due(now, most)
    }

    /// The pool's units, and the record up to which they are counted. What a hold gives back is free before it leaves
    /// the ledger, so another hold may have taken it and be entered already. Then it is shown once only: the sum is
    /// right, and for that instant the figures held, in payment or claimed may be too low by what the other hold has
    /// more.
    #[must_use]
    pub fn stock(&self) -> (Stock, Lsn) {
        let cut = self.ledger.cut();
        let free = cut.free();
        let stock = Stock::of(&cut, free.unwrap_or(0));
        let stock = if free.is_some() { stock } else { stock.once(stock.out().saturating_sub(stock.received)) };
        (stock, cut.as_of)
    }

    /// The ledger's figures.
    #[must_use]
    pub fn figures(&self) -> PoolFigures {
        let Cut { basis, sums, as_of: _ } = self.ledger.cut();
        let Sums { held, paying, claimed, withdrawn, returned_total } = sums;
        PoolFigures { basis, held, paying, claimed, withdrawn, returned_total }
    }

    /// Units by which counter and ledger disagree: always 0. Exact only while nothing moves units: with the drop's gate
    /// closed.
    #[must_use]
    pub fn conservation_error(&self) -> u64 {
        self.ledger.cut().free().map_or(u64::MAX, |free| free.abs_diff(self.counter.sum()))
    }

    /// Enters a record's change of what a hold has. Units that the hold lost go back to the counter; units that it
    /// gained were taken from it before. Returns whether the hold is due before all others of the pool.
    pub(super) fn apply_usage(&self, lsn: Lsn, change: &UsageChange) -> bool {
        if let Some(back @ 1..) = change.before.out().checked_sub(change.after.out()) {
            self.counter.give(back);
        }
        self.ledger.enter(lsn, change)
    }

    /// The ledger's part of [`Pool::apply_usage`] only: for a bulk load, which sets the counter at its end.
    pub(super) fn enter(&self, lsn: Lsn, change: &UsageChange) -> bool {
        self.ledger.enter(lsn, change)
    }

    /// Enters deadlines of holds that were entered without them, earliest first: for a bulk load.
    pub(super) fn enter_dues(&self, dues: impl Iterator<Item = (Timestamp, HoldSlot)>) {
        self.ledger.enter_dues(dues);
    }

    /// Moves what one hold had to another, by one record. Units that neither has any more go back to the counter; units
    /// that the new hold has beyond the old one's were taken from it before. The ledger shows both changes or neither,
    /// so the units that move are always with one of the two holds, under its deadline.
    pub(super) fn transfer(&self, lsn: Lsn, from: &UsageChange, to: &UsageChange) {
        let out = |from: PoolUsage, to: PoolUsage| from.out().saturating_add(to.out());
        if let Some(back @ 1..) = out(from.before, to.before).checked_sub(out(from.after, to.after)) {
            self.counter.give(back);
        }
        self.ledger.transfer(lsn, from, to);
    }

    /// The units that the pool has received, and that adjustments have taken out of it.
    #[must_use]
    pub fn basis(&self) -> PoolBasis {
        self.ledger.basis()
    }

    /// Enters an adjustment. Units that it adds go to the counter; units that it takes out were taken from it before.
    /// The drop's gate is closed, so nothing else moves units meanwhile.
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

    /// The ledger's part of [`Pool::adjust`] only: for a bulk load.
    pub(super) fn set_basis(&self, lsn: Lsn, basis: PoolBasis) {
        self.ledger.set_basis(lsn, basis);
    }

    /// Sets the counter to the ledger's free units. Fails if the ledger has more out than it received.
    pub(super) fn reset_counter(&mut self) -> Result<(), Stock> {
        let cut = self.ledger.cut();
        let free = cut.free().ok_or_else(|| Stock::of(&cut, 0))?;
        self.counter.set(free);
        Ok(())
    }

    /// All of it as text, for comparing two inventories: stock, counter, and how many holds are due when.
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
        Pool::new(5).enter(Lsn(1), &UsageChange { hold: HoldSlot::from_raw(0), before, after });
    }

    #[test]
    fn a_unit_that_another_has_before_it_left_the_books_of_the_first_is_shown_once() {
        let pool = Pool::new(3);
        let enter = |hold: u32, after: PoolUsage| {
            pool.enter(Lsn(1), &UsageChange { hold: HoldSlot::from_raw(hold), before: PoolUsage::default(), after });
        };
        enter(0, PoolUsage { claimed: 2, ..PoolUsage::default() });
        enter(1, PoolUsage { paying: 1, ..PoolUsage::default() });
        // One of two claimed units comes back and is held again before the return is entered; then the other one, too.
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
