//! The words of a pool and their bits: plain arithmetic on values, no atomics.
//!
//! ```text
//!  core   63      62..60   59 ......... 40   39 ................. 0
//!         FOLDED  0        doubts            units
//!  shard  63               62 .............. 40   39 ............ 0
//!         SHUT             0                      units
//! ```

use super::{Certainty, PeekResult};
use crate::{fault, sound};

/// Bits of a word that count units.
const UNIT_BITS: u32 = 40;
/// Bits of core that count doubts.
const DOUBT_BITS: u32 = 20;

/// Most units that one pool can account for: 2^40 - 1, more than an item may have.
pub const UNITS_MAX: u64 = (1 << UNIT_BITS) - 1;
/// Most doubts that core can count: 2^20 - 1.
pub const DOUBTS_MAX: u64 = (1 << DOUBT_BITS) - 1;
/// From this many doubts on, a taker in doubt must wait. The other half is for those that cannot wait.
const DOUBTS_OF_TAKERS: u64 = DOUBTS_MAX / 2;

/// In core: every shard is shut, so core has all units that are free.
pub(super) const FOLDED: u64 = 1 << 63;
/// In core: a thread that has taken or is giving back, and may still change what is free.
pub(super) const ONE_DOUBT: u64 = 1 << UNIT_BITS;
/// In a shard: no taker or giver may change it; its units are in core.
pub(super) const SHUT: u64 = 1 << 63;

/// A value of core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Core(pub(super) u64);

impl Core {
    /// No doubts, all units here.
    pub(super) const fn folded(units: u64) -> Self {
        Self(FOLDED | units)
    }

    pub(super) const fn is_folded(self) -> bool {
        self.0 & FOLDED != 0
    }

    pub(super) const fn units(self) -> u64 {
        self.0 & UNITS_MAX
    }

    pub(super) const fn doubts(self) -> u64 {
        (self.0 >> UNIT_BITS) & DOUBTS_MAX
    }

    /// Whether `units` more can be counted without overflowing into the doubts.
    pub(super) const fn has_room_for(self, units: u64) -> bool {
        units <= UNITS_MAX.saturating_sub(self.units())
    }

    /// Whether a taker in doubt must wait until others have decided.
    pub(super) const fn is_crowded(self) -> bool {
        self.doubts() >= DOUBTS_OF_TAKERS
    }

    /// What this value, read at one instant, means for a request of `units`.
    pub(super) fn peek(self, units: u64) -> PeekResult {
        let free = self.units();
        if sound!(!self.is_folded(), refusal_ignores_the_mark, false) || free >= units {
            PeekResult::MayServe
        } else if sound!(self.doubts() == 0, refusal_ignores_doubts, true) {
            PeekResult::Short { free }
        } else {
            PeekResult::InDoubt
        }
    }

    /// As many of `most` units as can be asked for without a false refusal: all that there are if this value, read at
    /// one instant, would be *short* of `most`; but never 0.
    pub(super) fn up_to(self, most: u64) -> u64 {
        fault!(less_is_taken_beside_doubts, return self.free_up_to(most));
        match self.peek(most) {
            PeekResult::Short { free: 0 } => 1,
            PeekResult::Short { free } => free,
            PeekResult::MayServe | PeekResult::InDoubt => most,
        }
    }

    /// Without `units`, which it must have; with one more doubt, if the taker is in doubt.
    pub(super) const fn taken(self, units: u64, certainty: Certainty) -> Self {
        let rest = self.0.wrapping_sub(units);
        match certainty {
            Certainty::Certain => Self(rest),
            Certainty::Doubtful => Self(rest.wrapping_add(ONE_DOUBT)),
        }
    }

    /// No longer folded and without `units`, which the shards get.
    pub(super) const fn spread(self, units: u64) -> Self {
        Self((self.0 & !FOLDED).wrapping_sub(units))
    }
}

/// A value of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shard(pub(super) u64);

impl Shard {
    /// The units of an open shard; a shut one has none.
    pub(super) const fn open(self) -> Option<u64> {
        if self.0 & SHUT == 0 { Some(self.0) } else { None }
    }

    /// With `units` more, if it is open.
    pub(super) fn with(self, units: u64) -> Option<u64> {
        fault!(giving_to_a_shut_shard, return Some(self.open().unwrap_or(0).wrapping_add(units)));
        self.open().map(|held| held.wrapping_add(units))
    }

    /// With `units` less, if it is open and has them.
    pub(super) const fn without(self, units: u64) -> Option<u64> {
        match self.open() {
            Some(held) => held.checked_sub(units),
            None => None,
        }
    }
}
