//! Counts gives to the pools of one item, so that a reader of one pool after the other knows whether units came back to
//! a pool that it had read.
//!
//! ```text
//!  63 ................. 20   19 ............. 0
//!  gives begun               gives in flight
//! ```
//!
//! # Why nothing is missed
//!
//! Each give to any of the pools is counted before it, and leaves the count of gives in flight after it. A reader finds
//! none in flight, reads the pools, and then finds the same word again. So no give began in between, and each that had
//! begun had landed before the first pool was read. A pool gains units by a give only: from its reading to the second
//! load of the word it had at most what was read, units in doubt included. At that second load all pools together had
//! at most the sum.
//!
//! # Why these orderings
//!
//! `Release` at the end of a give, `Acquire` at the first load: a reader that sees the give landed sees its units. The
//! second load comes after reads that are `Acquire`: a reader that saw a pool as left by a thread that knew of a give
//! sees that give's beginning. The beginning is `AcqRel`, as all changes of the counter's words.
//!
//! The count of gives begun wraps after 2^44: for the same word to appear again between two loads, a reader would have
//! to be stopped during as many gives. Each give in flight is a thread inside one call, so 2^20 of them are never
//! reached in practice.

use crossbeam_utils::CachePadded;

use crate::sync::{AtomicU64, Ordering};
use crate::{fault, ordering, sound};

/// Bits that count the gives in flight.
const FLIGHT_BITS: u32 = 20;
/// One give in flight.
const ONE_IN_FLIGHT: u64 = 1;
/// One give that has begun.
const ONE_BEGUN: u64 = 1 << FLIGHT_BITS;

/// Gives to the pools of one item: those in flight, and those that ever began.
#[derive(Debug)]
pub struct Moving(CachePadded<AtomicU64>);

impl Moving {
    /// For an item to whose pools nothing was given yet.
    #[must_use]
    pub fn still() -> Self {
        Self(CachePadded::new(AtomicU64::new(0)))
    }

    /// Counts a give to one of the pools.
    pub fn count(&self, give: impl FnOnce()) {
        fault!(counted_before_the_give_alone, {
            self.0.fetch_add(ONE_BEGUN, Ordering::AcqRel);
            return give();
        });
        fault!(counted_after_the_give_alone, {
            give();
            self.0.fetch_add(ONE_BEGUN, Ordering::AcqRel);
            return;
        });
        self.0.fetch_add(ONE_BEGUN.wrapping_add(ONE_IN_FLIGHT), Ordering::AcqRel);
        give();
        self.0.fetch_sub(ONE_IN_FLIGHT, ordering!(AcqRel, a_give_lands_relaxed));
    }

    /// Returns what `read` found in the pools, and whether nothing was given to any of them meanwhile.
    pub fn watch<T>(&self, read: impl FnOnce() -> T) -> (T, bool) {
        let before = self.0.load(Ordering::Acquire);
        let found = read();
        let still = sound!(in_flight(before) == 0, read_while_a_give_is_in_flight, true);
        let undisturbed = still && self.0.load(Ordering::Acquire) == before;
        (found, undisturbed)
    }
}

const fn in_flight(word: u64) -> u64 {
    word & ONE_BEGUN.wrapping_sub(1)
}
