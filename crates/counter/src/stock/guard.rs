//! What a caller of the counter gets into its hands. Each guard puts things right when it is dropped.

use std::mem;

use super::StockCounter;

/// What may still become of units once they are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Certainty {
    /// The taker keeps them: it takes last, nothing after can refuse the request. A hold of one line.
    Certain,
    /// The taker may still give them back, because another line may fail. Until it has made up its mind nobody is
    /// refused on account of these units.
    Doubtful,
}

/// How a try to take ended.
#[derive(Debug)]
#[must_use = "what was taken is given back when this is dropped"]
pub enum Take<'a> {
    /// The units are the taker's, unless it drops them.
    Taken(Taken<'a>),
    /// Fewer units were free than asked, and none was in doubt.
    Short {
        /// Units that were free at that instant.
        free: u64,
    },
    /// Too few for now, but some may come back: try again, or tell the caller to.
    InDoubt,
}

/// What a read-only look at a pool found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a look changes nothing"]
pub enum Look {
    /// A try to take is worth it. It may still fail.
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

    /// How many units were taken.
    #[must_use]
    pub const fn units(&self) -> u64 {
        self.units
    }

    /// Gives back all but `units`; never grows. A doubt goes on about those that are left.
    pub fn shrink(&mut self, units: u64) {
        let back = self.units.saturating_sub(units);
        if back > 0 {
            self.units = units;
            self.counter.give(back);
        }
    }

    /// Keeps the units: from here on only [`StockCounter::give`] brings them back.
    #[inline]
    pub fn keep(self) {
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

/// Someone is about to give units back: while it lives, nobody is refused. Ends when dropped.
#[derive(Debug)]
#[must_use = "a doubt that is dropped at once protects nothing"]
pub struct Doubt<'a>(&'a StockCounter);

impl<'a> Doubt<'a> {
    pub(super) const fn new(counter: &'a StockCounter) -> Self {
        Self(counter)
    }

    /// Gives `units` and ends the doubt, where it can in one step. As [`StockCounter::give`], it comes after the
    /// record was appended.
    pub fn give(self, units: u64) {
        self.0.give_and_end_doubt(units);
        mem::forget(self);
    }

    /// The doubt goes over to one who has taken `units`.
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
