//! Adjustments of an item's stock that are remembered, so that one sent again is not made again.

use std::collections::VecDeque;

use crate::ids::Lsn;
use crate::record::Adjustment;

/// The adjustments of one item.
#[derive(Debug, Default)]
pub struct ItemAdjustments {
    /// LSN of the last one; 0 before the first.
    pub revision: Lsn,
    /// The last [`REMEMBERED`], oldest first.
    pub last: VecDeque<Adjustment>,
}

/// Adjustments of an item that are remembered, so that one sent again is not made again.
pub const REMEMBERED: usize = 256;

impl ItemAdjustments {
    /// Remembers one, and forgets the oldest beyond the bound.
    pub fn remember(&mut self, lsn: Lsn, adjustment: Adjustment) {
        self.revision = lsn;
        self.last.push_back(adjustment);
        if self.last.len() > REMEMBERED {
            self.last.pop_front();
        }
    }

    /// The same with nothing remembered but that there were any.
    pub(super) fn without_ids(&self) -> Self {
        Self { revision: self.revision, ..Self::default() }
    }
}
