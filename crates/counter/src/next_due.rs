//! A pool's next deadline, if its holds are split over stripes: one word for all that may have to refuse.
//!
//! Each stripe has a first deadline, which changes under that stripe's lock; the word is the least of them. If a thread
//! set the word after reading the other stripes, an earlier deadline could be entered in one of them between the
//! reading and the setting, and would be lost. So a thread that changes a stripe's first deadline enters it in a list
//! that all stripes share, and sets the word from that list, both under the list's lock. The word is the least of the
//! list after every step, and a step that moves a hold from stripe to stripe changes both entries at once. Deadlines
//! after a stripe's first are entered and removed without the list.

use stockade_types::time::Timestamp;

use crate::sync::{AtomicU64, Mutex, Ordering};
use crate::{fault, ordering};

/// Stripes of a pool.
pub const STRIPES: usize = 8;

/// The word.
#[derive(Debug)]
pub struct NextDue(AtomicU64);

/// The first deadline of each stripe.
#[derive(Debug)]
pub struct Firsts(Mutex<[Timestamp; STRIPES]>);

impl NextDue {
    /// Of a pool without deadlines.
    pub fn never() -> Self {
        Self(AtomicU64::new(Timestamp::NEVER.0))
    }

    /// The earliest deadline of a hold that has not been given back.
    #[inline]
    pub fn get(&self) -> Timestamp {
        // Acquire: pairs with the Release in `show`, so that what was given back before is seen after.
        Timestamp(self.0.load(ordering!(Acquire, read_relaxed)))
    }

    /// Only called under the lock of the firsts. Returns whether the deadline is earlier than before.
    fn show(&self, next: Timestamp) -> bool {
        // Relaxed: it is only written under the lock.
        let shown = Timestamp(self.0.load(Ordering::Relaxed));
        if next != shown {
            // Release: a reader that sees a later deadline sees the units that were given back before, by this thread
            // or by one that had the lock before it.
            self.0.store(next.0, ordering!(Release, shown_relaxed));
        }
        next < shown
    }
}

impl Firsts {
    /// Of stripes without deadlines.
    pub fn never() -> Self {
        Self(Mutex::new([Timestamp::NEVER; STRIPES]))
    }

    /// The first deadlines of some stripes have changed, all in one step; those stripes are locked. Says whether the
    /// pool's next deadline came nearer.
    pub fn change(&self, next_due: &NextDue, changes: &[(usize, Timestamp)]) -> bool {
        let mut firsts = self.0.lock();
        for (stripe, first) in changes {
            fault!(
                a_stripe_is_left_out,
                if *stripe == 0 {
                    continue;
                }
            );
            if let Some(known) = firsts.get_mut(*stripe) {
                *known = *first;
            }
        }
        let next = firsts.iter().copied().min().unwrap_or(Timestamp::NEVER);
        fault!(shown_after_the_list_is_unlocked, drop(firsts));
        next_due.show(next)
    }

    /// The least of all but one stripe's.
    pub fn least_without(&self, stripe: usize) -> Timestamp {
        let firsts = self.0.lock();
        let others = firsts.iter().enumerate().filter(|(other, _)| *other != stripe);
        others.map(|(_, first)| *first).min().unwrap_or(Timestamp::NEVER)
    }
}
