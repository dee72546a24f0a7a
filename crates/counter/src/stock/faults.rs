//! The planted faults of the counter that take more than one step. See [`mod@crate::fault`].

use super::word::{Core, SHUT};
use super::{PeekResult, StockCounter, Taken};
use crate::sync::{AtomicU64, Ordering};

impl StockCounter {
    pub(super) fn take_then_doubt(&self, units: u64) -> Option<Taken<'_>> {
        let took = self.change_home(|shard| shard.without(units));
        took.then(|| self.begin_doubt().into_taken(units))
    }

    pub(super) fn end_doubt_then_give(&self, units: u64) {
        self.end_doubt();
        self.give_uncounted(units);
    }
}

/// The units of a shard, which is then shut.
pub(super) fn read_then_shut(shard: &AtomicU64) -> u64 {
    let held = shard.load(Ordering::Acquire);
    shard.store(SHUT, Ordering::Release);
    held
}

impl Core {
    /// All units that there are, also while some are in doubt.
    pub(super) fn free_up_to(self, most: u64) -> u64 {
        match self.peek(most) {
            PeekResult::MayServe => most,
            PeekResult::Short { .. } | PeekResult::InDoubt => self.units().max(1),
        }
    }
}
