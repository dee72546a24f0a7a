//! The ledger of a pool: what holds have of it, and until when.
//!
//! It is split over stripes by the shard that a hold lives in, so that threads with different holds rarely contend. A
//! stripe has the sums and the deadlines of its own holds behind its own lock; none of its sums can fall below zero.
//! What concerns the whole pool, the units received and taken out, is kept separately.
//!
//! A reader that needs a sum over all holds locks all stripes, ascending, and then what concerns the whole pool. So a
//! hold whose units move to one in another stripe is counted once. Stripes are made for the pool's first hold: most
//! pools of most drops have none.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;
use parking_lot::{Mutex, MutexGuard};
use smallvec::SmallVec;
use stockade_counter::next_due::{Firsts, NextDue, STRIPES};
use stockade_types::ids::Lsn;
use stockade_types::invariant;
use stockade_types::record::PoolBasis;
use stockade_types::time::Timestamp;

use super::expiry::{self, Deadlines};
use super::holds::HoldSlot;
use super::pool::{PoolUsage, UsageChange};

/// The ledger of one pool.
#[derive(Debug)]
pub(super) struct Ledger {
    next_due: NextDue,
    whole: Mutex<PoolTotals>,
    stripes: OnceLock<Box<Stripes>>,
}

/// What concerns the whole pool.
#[derive(Debug, Clone, Copy)]
struct PoolTotals {
    basis: PoolBasis,
    /// LSN of the last record that changed it.
    as_of: Lsn,
}

#[derive(Debug)]
struct Stripes {
    firsts: Firsts,
    stripes: [CachePadded<LedgerStripe>; STRIPES],
}

#[derive(Debug, Default)]
struct LedgerStripe {
    /// Units that holds have out, but only those whose deadline is shown. For readers without the lock.
    out: AtomicU64,
    books: Mutex<StripeBooks>,
}

/// What the holds of a stripe have, and their deadlines.
#[derive(Debug)]
struct StripeBooks {
    sums: Sums,
    /// LSN of the last record that moved units here.
    as_of: Lsn,
    /// The earliest deadline.
    first: Timestamp,
    deadlines: Deadlines,
}

/// All stripes, locked; empty if the pool never had a hold.
type LockedStripes<'a> = SmallVec<[MutexGuard<'a, StripeBooks>; STRIPES]>;

/// What holds have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sums {
    pub(super) held: u64,
    pub(super) paying: u64,
    pub(super) claimed: u64,
    /// Returned by customers and not for sale again.
    pub(super) withdrawn: u64,
    pub(super) returned_total: u64,
}

/// A ledger at one instant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    pub(super) basis: PoolBasis,
    pub(super) sums: Sums,
    /// LSN of the last record that moved units.
    pub(super) as_of: Lsn,
}

impl Sums {
    /// Replaces one hold's part in the sums. None if the sums do not contain `before`.
    #[inline]
    fn count(&mut self, before: &PoolUsage, after: &PoolUsage) -> Option<()> {
        let balance = |sum: u64, before: u32, after: u32| sum.checked_sub(before.into())?.checked_add(after.into());
        self.held = balance(self.held, before.held, after.held)?;
        self.paying = balance(self.paying, before.paying, after.paying)?;
        self.withdrawn = balance(self.withdrawn, before.withdrawn, after.withdrawn)?;
        self.claimed = balance(self.claimed, before.claimed, after.claimed)?;
        self.returned_total = balance(self.returned_total, before.returned, after.returned)?;
        Some(())
    }

    fn plus(&self, other: &Self) -> Option<Self> {
        Some(Self {
            held: self.held.checked_add(other.held)?,
            paying: self.paying.checked_add(other.paying)?,
            claimed: self.claimed.checked_add(other.claimed)?,
            withdrawn: self.withdrawn.checked_add(other.withdrawn)?,
            returned_total: self.returned_total.checked_add(other.returned_total)?,
        })
    }

    /// Units that are not free.
    #[inline]
    fn out(&self) -> Option<u64> {
        self.held.checked_add(self.paying)?.checked_add(self.claimed)?.checked_add(self.withdrawn)
    }
}

impl Cut {
    /// Units received that are neither taken out nor with a hold; none if more is out.
    pub(super) fn free(&self) -> Option<u64> {
        left(self.basis, self.sums.out()?)
    }
}

fn cut(PoolTotals { basis, as_of }: PoolTotals, all: &LockedStripes<'_>) -> Cut {
    let of_none = Cut { basis, sums: Sums::default(), as_of };
    all.iter().fold(of_none, |Cut { basis, sums, as_of }, books| {
        let more = sums.plus(&books.sums);
        invariant!(let Some(sums) = more, "a pool has more out than can be counted: {sums:?} and {:?}", books.sums);
        Cut { basis, sums, as_of: as_of.max(books.as_of) }
    })
}

fn left(PoolBasis { received, taken_out }: PoolBasis, out: u64) -> Option<u64> {
    received.checked_sub(out.checked_add(taken_out)?)
}

impl Default for StripeBooks {
    fn default() -> Self {
        let (sums, deadlines) = (Sums::default(), Deadlines::default());
        Self { sums, as_of: Lsn::default(), first: Timestamp::NEVER, deadlines }
    }
}

impl StripeBooks {
    /// Enters what a hold has now. Returns whether the earliest deadline has changed.
    #[inline]
    fn enter(&mut self, lsn: Lsn, change: &UsageChange) -> bool {
        let UsageChange { hold, before, after } = change;
        let counts = self.sums.count(before, after).is_some();
        invariant!(counts, "a pool's books don't have what a hold has had of it: {before:?}");
        self.as_of = self.as_of.max(lsn);
        if before.due == after.due {
            return false;
        }
        if let Some(at) = before.due {
            self.deadlines.remove(at, *hold);
        }
        if let Some(at) = after.due {
            self.deadlines.insert(at, *hold);
        }
        self.find_first()
    }

    #[inline]
    fn find_first(&mut self) -> bool {
        let before = self.first;
        self.first = self.deadlines.next();
        self.first != before
    }

    #[inline]
    fn out(&self) -> u64 {
        let out = self.sums.out();
        invariant!(let Some(out) = out, "a pool has more out than can be counted: {:?}", self.sums);
        out
    }
}

impl Stripes {
    fn new() -> Box<Self> {
        Box::new(Self { firsts: Firsts::never(), stripes: Default::default() })
    }

    #[inline]
    #[expect(clippy::indexing_slicing, reason = "below the number of stripes")]
    fn of(&self, hold: HoldSlot) -> (usize, &LedgerStripe) {
        let number = stripe_of(hold);
        (number, &self.stripes[number])
    }

    fn lock_all(&self) -> LockedStripes<'_> {
        self.stripes.iter().map(|stripe| stripe.books.lock()).collect()
    }
}

#[inline]
fn stripe_of(hold: HoldSlot) -> usize {
    usize::try_from(hold.shard()).unwrap_or(0) % STRIPES
}

impl Ledger {
    /// The ledger of a pool with its first stock.
    pub(super) fn new(received: u64) -> Self {
        let whole = PoolTotals { basis: PoolBasis { received, taken_out: 0 }, as_of: Lsn::default() };
        Self { next_due: NextDue::never(), whole: Mutex::new(whole), stripes: OnceLock::new() }
    }

    /// The earliest deadline of the pool's live holds; [`Timestamp::NEVER`] without one.
    #[inline]
    pub(super) fn next_due(&self) -> Timestamp {
        self.next_due.get()
    }

    /// The same without this hold.
    pub(super) fn next_due_without(&self, hold: HoldSlot) -> Timestamp {
        let Some(stripes) = self.stripes.get() else { return Timestamp::NEVER };
        let (number, stripe) = stripes.of(hold);
        let books = stripe.books.lock();
        books.deadlines.next_without(hold).min(stripes.firsts.least_without(number))
    }

    /// At most `most` holds that are due, earliest first.
    pub(super) fn due(&self, now: Timestamp, most: usize) -> Vec<HoldSlot> {
        let all = self.lock_all();
        let due = all.iter().filter(|books| books.first <= now);
        expiry::due(due.map(|books| &books.deadlines), now, most)
    }

    /// The most units that may be free, by what is entered. Units that are entered during this call may be counted as
    /// free, unless their deadline was shown before it.
    pub(super) fn free_at_most(&self) -> Option<u64> {
        let basis = self.whole.lock().basis;
        // Acquire: a reader that sees units as out also sees their deadline, or what has replaced it.
        let out = |stripe: &CachePadded<LedgerStripe>| stripe.out.load(Ordering::Acquire);
        let mut outs = self.stripes.get().into_iter().flat_map(|stripes| &stripes.stripes).map(out);
        left(basis, outs.try_fold(0, u64::checked_add)?)
    }

    /// The whole ledger at one instant.
    pub(super) fn cut(&self) -> Cut {
        let all = self.lock_all();
        let whole = *self.whole.lock();
        cut(whole, &all)
    }

    /// The units that the pool has received and that were taken out of it.
    pub(super) fn basis(&self) -> PoolBasis {
        self.whole.lock().basis
    }

    /// Sets these. Returns the ledger before and after.
    pub(super) fn set_basis(&self, lsn: Lsn, basis: PoolBasis) -> (Cut, Cut) {
        let all = self.lock_all();
        let mut whole = self.whole.lock();
        let before = *whole;
        *whole = PoolTotals { basis, as_of: before.as_of.max(lsn) };
        (cut(before, &all), cut(*whole, &all))
    }

    /// Enters a record's change of what a hold has. Returns whether the hold is due before all others of the pool.
    #[inline]
    pub(super) fn enter(&self, lsn: Lsn, change: &UsageChange) -> bool {
        let stripes = self.stripes();
        let (number, stripe) = stripes.of(change.hold);
        let mut books = stripe.books.lock();
        if books.enter(lsn, change) {
            return self.show(stripes, &[(number, stripe, &*books)]);
        }
        // Release: the hold's deadline is entered, after one that is shown already.
        stripe.out.store(books.out(), Ordering::Release);
        false
    }

    /// Enters deadlines of holds that were entered without them, earliest first: for a bulk load.
    pub(super) fn enter_dues(&self, dues: impl Iterator<Item = (Timestamp, HoldSlot)>) {
        let stripes = self.stripes();
        let mut all = stripes.lock_all();
        for (at, hold) in dues {
            if let Some(books) = all.get_mut(stripe_of(hold)) {
                books.deadlines.insert(at, hold);
            }
        }
        let found = (0..).zip(&mut all).map(|(number, books)| {
            books.find_first();
            (number, books.first)
        });
        let firsts: SmallVec<[_; STRIPES]> = found.collect();
        stripes.firsts.change(&self.next_due, &firsts);
    }

    /// Moves what one hold had to another, by one record. A reader that locks all stripes sees both changes or neither,
    /// and so does one that reads the next deadline.
    pub(super) fn transfer(&self, lsn: Lsn, from: &UsageChange, to: &UsageChange) {
        let stripes = self.stripes();
        let ((left, left_stripe), (gained, came_stripe)) = (stripes.of(from.hold), stripes.of(to.hold));
        if left == gained {
            let mut books = left_stripe.books.lock();
            books.enter(lsn, from);
            books.enter(lsn, to);
            self.show(stripes, &[(left, left_stripe, &*books)]);
            return;
        }
        let (mut left_books, mut came_books);
        if left < gained {
            left_books = left_stripe.books.lock();
            came_books = came_stripe.books.lock();
        } else {
            came_books = came_stripe.books.lock();
            left_books = left_stripe.books.lock();
        }
        left_books.enter(lsn, from);
        came_books.enter(lsn, to);
        self.show(stripes, &[(left, left_stripe, &*left_books), (gained, came_stripe, &*came_books)]);
    }

    /// Shows changes in some stripes to readers without locks. Returns whether the next deadline is earlier now.
    fn show<const N: usize>(&self, stripes: &Stripes, changed: &[(usize, &LedgerStripe, &StripeBooks); N]) -> bool {
        // Units are shown as out only while their deadline is shown: first fewer units, then the deadlines, then all
        // units; each with Release.
        for (_, stripe, books) in changed {
            // Relaxed: it is only written under the stripe's lock.
            let shown = stripe.out.load(Ordering::Relaxed);
            stripe.out.store(shown.min(books.out()), Ordering::Release);
        }
        let firsts = changed.map(|(number, _, books)| (number, books.first));
        let nearer = stripes.firsts.change(&self.next_due, &firsts);
        for (_, stripe, books) in changed {
            stripe.out.store(books.out(), Ordering::Release);
        }
        nearer
    }

    #[inline]
    fn stripes(&self) -> &Stripes {
        self.stripes.get_or_init(Stripes::new)
    }

    /// Locks all stripes, ascending.
    fn lock_all(&self) -> LockedStripes<'_> {
        self.stripes.get().map_or_else(LockedStripes::new, |stripes| stripes.lock_all())
    }

    /// The number of holds by deadline, for comparing two ledgers.
    pub(super) fn image(&self) -> Vec<(Timestamp, usize)> {
        let all = self.lock_all();
        expiry::image(all.iter().map(|books| &books.deadlines))
    }
}

#[cfg(test)]
mod tests;
