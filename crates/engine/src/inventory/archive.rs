//! Takes the holds of an archived drop out of memory, and keeps what they count for limits of a series or a shop.
//!
//! A sale goes on counting for its customer, so each claimed hold leaves its units with its subjects, as reserved at
//! the end of the hour in which it was made: a rolling limit counts them up to an hour longer than it would have
//! counted the hold, never shorter. Folding a drop again finds no holds and changes nothing.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use stockade_types::hold::{Hold, HoldState};
use stockade_types::ids::DropNo;
use stockade_types::record::{OldUsage, UsageImage};
use stockade_types::time::{Millis, Timestamp};

use super::holds::SHARDS;
use super::limits::{CountedHoldRef, HoldKey};
use super::{DropEntry, HoldSlot, Inventory, LockedShard};

/// Reserves within one such span are folded together, by subject and item.
pub(super) const BUCKET: Millis = Millis::from_secs(60 * 60);

/// Archived drops whose holds are taken out piece by piece. Between two pieces each hold either is there or is folded.
#[derive(Debug)]
pub struct Folding {
    drops: HashMap<DropNo, Arc<DropEntry>>,
    /// Shards that may still have holds of these drops.
    shards: Range<u32>,
    /// Chunks of the list of ended holds that may still name holds of these drops; none until all shards are done.
    chunks: Option<usize>,
    /// Drops that still have their pools.
    pools: Vec<DropNo>,
    holds: u64,
}

impl Folding {
    /// Nothing is folded yet.
    #[must_use]
    pub fn of(drops: Vec<Arc<DropEntry>>) -> Self {
        let shards = if drops.is_empty() { 0..0 } else { 0..u32::try_from(SHARDS).unwrap_or(u32::MAX) };
        let pools = drops.iter().map(|drop| drop.number).collect();
        let drops = drops.into_iter().map(|drop| (drop.number, drop)).collect();
        Self { drops, shards, chunks: None, pools, holds: 0 }
    }

    /// The number of drops.
    #[must_use]
    pub fn drops(&self) -> usize {
        self.drops.len()
    }

    /// Holds that were taken out so far.
    #[must_use]
    pub const fn holds(&self) -> u64 {
        self.holds
    }
}

impl Inventory {
    /// Takes all holds of archived drops out, and then the drops' pools.
    pub(super) fn fold(&self, drops: Vec<Arc<DropEntry>>) {
        let mut folding = Folding::of(drops);
        while self.fold_some(&mut folding) {}
    }

    /// Takes one piece out: the holds of one shard, the names in one chunk of ended holds, or a drop's pools. Returns
    /// whether there is more.
    pub fn fold_some(&self, folding: &mut Folding) -> bool {
        let Folding { drops, shards, chunks, pools, holds } = folding;
        if let Some(shard) = shards.next() {
            let drop_of = |hold: &Hold| drops.get(&hold.drop).map(Arc::as_ref);
            let counted = |hold: &Hold| {
                if !hold.state.is_ended() {
                    self.forget_owned();
                }
                true
            };
            let folded = self.holds.with_number(shard, |mut shard| self.fold_shard(&mut shard, drop_of, counted));
            *holds = holds.saturating_add(folded);
            return true;
        }
        // Their names are removed, since they would count for the bound on ended holds.
        let left = if drops.is_empty() { 0 } else { *chunks.get_or_insert_with(|| self.ended.lock().chunks()) };
        if let Some(chunk) = left.checked_sub(1) {
            self.ended.lock().retain_in(chunk, |ended| !drops.contains_key(&ended.drop));
            *chunks = Some(chunk);
            return true;
        }
        if let Some(drop) = pools.pop() {
            self.drops.settle_archived(&[drop]);
        }
        !pools.is_empty()
    }

    /// Schedules the archiving of a drop as if it had closed at `closed_at`; an instant after its real closing
    /// postpones it. The caller holds the drop's gate.
    pub fn expect_archiving(&self, drop: DropNo, closed_at: Timestamp) {
        self.closings.expect(drop, closed_at);
    }

    /// Takes holds of archived drops out of one shard. `drop_of` returns the drop of a hold that must go, `counted`
    /// whether the hold's subjects count it.
    pub(super) fn fold_shard<'d>(
        &self,
        shard: &mut LockedShard<'_>,
        drop_of: impl Fn(&Hold) -> Option<&'d DropEntry>,
        counted: impl Fn(&Hold) -> bool,
    ) -> u64 {
        let going = |(place, hold): (HoldSlot, &Hold)| Some((place, drop_of(hold)?));
        let going: Vec<(HoldSlot, &DropEntry)> = shard.iter().filter_map(going).collect();
        let mut folded = 0_u64;
        for (place, drop) in going {
            if let Some(hold) = shard.remove(place) {
                self.fold_hold(drop, place, &hold, counted(&hold));
                folded = folded.saturating_add(1);
            }
        }
        folded
    }

    /// Keeps what a hold counts for when, while records are applied, a new hold gets its id. If its drop is archived,
    /// the engine that wrote the records had folded it already. Any other hold had been forgotten and counts for
    /// nothing.
    pub(super) fn fold_replaced(&self, place: HoldSlot, hold: &Hold) {
        let _known = self.drops.with_number(hold.drop, |drop| {
            if drop.read().archived.is_some() {
                self.fold_hold(drop, place, hold, false);
            }
        });
    }

    fn fold_hold(&self, drop: &DropEntry, place: HoldSlot, hold: &Hold, counted: bool) {
        let hold_key = HoldKey { drop: hold.drop, place, created_at: hold.created_at() };
        let keys = self.subjects_of(&drop.scope, hold);
        let returned = self.returned_order(&drop.scope, hold);
        self.subjects.with(&keys, |subjects| {
            for subject in subjects {
                returned.into_iter().for_each(|order| subject.forget_fact_return(order));
                if counted && let Some(counted) = CountedHoldRef::of(hold) {
                    subject.enter(hold_key, Some(counted), None);
                }
                if hold.state == HoldState::Claimed {
                    hold.conduct_at().into_iter().for_each(|at| subject.fold_return(at));
                    for line in hold.lines().iter().filter(|line| line.quantity > 0) {
                        let at = bucket(hold.created_at());
                        subject.fold(OldUsage { drop: hold.drop, item: line.item, at, units: line.quantity.into() });
                    }
                }
            }
        });
    }

    /// Restores a subject's folded usage from a snapshot.
    pub(super) fn apply_usage(&self, image: &UsageImage) {
        self.subjects.with(&[image.subject], |subjects| {
            for subject in subjects {
                image.usage.iter().for_each(|usage| subject.fold(*usage));
                image.returns.iter().for_each(|at| subject.fold_return(*at));
            }
        });
    }
}

/// The end of the bucket that contains `at`.
fn bucket(at: Timestamp) -> Timestamp {
    Timestamp(at.0.div_ceil(BUCKET.0).saturating_mul(BUCKET.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_ends_at_the_full_hour_and_never_before_what_is_in_it() {
        let hour = BUCKET.0;
        for (at, end) in [(0, 0), (1, hour), (hour, hour), (hour + 1, 2 * hour)] {
            assert_eq!(bucket(Timestamp(at)), Timestamp(end), "{at}");
        }
    }
}
