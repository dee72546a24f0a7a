//! The guards that the counter returns. Each restores the counter when it is dropped.

use std::mem;

use super::StockCounter;
use crate::fault;

/// Whether units that are taken may be given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Certainty {
    /// The taker keeps them: it takes last, and nothing after can refuse the request. A hold of one line.
    Certain,
    /// The taker may still give them back, because another line may fail. Until it has decided, nobody is refused
    /// because of these units.
    Doubtful,
}

/// The result of a try to take.
#[derive(Debug)]
#[must_use = "what was taken is given back when this is dropped"]
pub enum TakeResult<'a> {
    /// The units are the taker's, unless it drops this.
    Taken(Taken<'a>),
    /// Fewer units were free than asked, and none was in doubt.
    Short {
        /// Units that were free at that instant.
        free: u64,
    },
    /// Too few for now, but some may come back: try again.
    InDoubt,
}

/// The result of a read-only look at a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a look changes nothing"]
pub enum PeekResult {
    /// A try to take may succeed.
    MayServe,
    /// Fewer units were free than asked, and none was in doubt.
    Short {
        /// Units that were free at that instant.
        free: u64,
    },
    /// Too few for now, but some may come back.
    InDoubt,
}

/// Units that were taken: given back when dropped, unless kept.
#[derive(Debug)]
#[must_use = "units that are not kept are given back"]
pub struct Taken<'a> {
    counter: &'a StockCounter,
    units: u64,
    certainty: Certainty,
}

impl<'a> Taken<'a> {
    pub(super) const fn new(counter: &'a StockCounter, units: u64, certainty: Certainty) -> Self {
        Self { counter, units, certainty }
    }

    /// The number of units taken.
    #[must_use]
    pub const fn units(&self) -> u64 {
        self.units
    }

    /// Gives back all but `units`; never grows. A doubt goes on about the units that are left.
    pub fn shrink(&mut self, units: u64) {
        let back = self.units.saturating_sub(units);
        if back > 0 {
            self.units = units;
            self.counter.give(back);
        }
    }

    /// Keeps the units: from here on only [`StockCounter::give`] returns them.
    #[inline]
    pub fn keep(self) {
        fault!(kept_doubt_never_ends, return mem::forget(self));
        match self.certainty {
            Certainty::Certain => {}
            Certainty::Doubtful => self.counter.end_doubt(),
        }
        mem::forget(self);
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        match self.certainty {
            Certainty::Certain => self.counter.give(self.units),
            Certainty::Doubtful => self.counter.give_and_end_doubt(self.units),
        }
    }
}

/// While this lives nobody is refused, since its owner is about to give units back. Ends when dropped.
#[derive(Debug)]
#[must_use = "a doubt that is dropped at once protects nothing"]
pub struct Doubt<'a>(&'a StockCounter);

impl<'a> Doubt<'a> {
    pub(super) const fn new(counter: &'a StockCounter) -> Self {
        Self(counter)
    }

    /// Gives `units` and ends the doubt, if possible in one step. As with [`StockCounter::give`], the record was
    /// appended before.
    pub fn give(self, units: u64) {
        self.0.give_and_end_doubt(units);
        mem::forget(self);
    }

    /// Turns the doubt into that of a taker of `units`.
    pub(super) fn into_taken(self, units: u64) -> Taken<'a> {
        let counter = self.0;
        mem::forget(self);
        Taken::new(counter, units, Certainty::Doubtful)
    }
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        self.0.end_doubt();
    }
}
