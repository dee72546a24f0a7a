//! Taking the holds of an archived drop out of memory, and keeping what they count for limits of a series or a shop.
//!
//! A sale goes on counting for its customer, so each claimed hold leaves its units behind with its subjects, as
//! reserved at the end of the hour that it was made in: a rolling limit counts them up to an hour longer than it would
//! have counted the hold, never shorter. Folding again what was folded finds nothing: the holds are gone.

use std::collections::HashMap;
use std::sync::Arc;

use super::limits::{Counted, Whose};
use super::{DropEntry, HoldRef, Inventory, LockedShard};
use crate::hold::{Hold, HoldState};
use crate::ids::DropNo;
use crate::record::{OldUsage, UsageImage};
use crate::time::{Millis, Timestamp};

/// Reserves within one such span are folded together, by subject and item.
pub const BUCKET: Millis = Millis::from_secs(60 * 60);

impl Inventory {
    /// Takes all holds of archived drops out, and then the drops' pools. Says how many holds those were. Each shard is
    /// locked by itself.
    pub fn fold(&self, drops: &[Arc<DropEntry>]) -> u64 {
        if drops.is_empty() {
            return 0;
        }
        let numbers: Vec<DropNo> = drops.iter().map(|drop| drop.number).collect();
        let drops: HashMap<DropNo, &DropEntry> = drops.iter().map(|drop| (drop.number, drop.as_ref())).collect();
        let mut folded = 0_u64;
        self.holds.for_each_shard(|mut shard| {
            let drop_of = |hold: &Hold| drops.get(&hold.drop).copied();
            folded = folded.saturating_add(self.fold_shard(&mut shard, drop_of, |hold| {
                if !hold.state.is_ended() {
                    self.forget_owned();
                }
                true
            }));
        });
        // They are forgotten: those of other drops must not make room for them.
        self.ended.lock().retain(|ended| !drops.contains_key(&ended.drop));
        self.drops.settle_archived(&numbers);
        folded
    }

    /// Takes the holds of archived drops out of one shard: `drop_of` names the drop of those that are to go, `counted`
    /// says of each whether its subjects count it.
    pub(super) fn fold_shard<'d>(
        &self,
        shard: &mut LockedShard<'_>,
        drop_of: impl Fn(&Hold) -> Option<&'d DropEntry>,
        counted: impl Fn(&Hold) -> bool,
    ) -> u64 {
        let going = |(place, hold): (HoldRef, &Hold)| Some((place, drop_of(hold)?));
        let going: Vec<(HoldRef, &DropEntry)> = shard.iter().filter_map(going).collect();
        let mut folded = 0_u64;
        for (place, drop) in going {
            if let Some(hold) = shard.remove(place) {
                self.fold_hold(drop, place, &hold, counted(&hold));
                folded = folded.saturating_add(1);
            }
        }
        folded
    }

    /// Keeps what a hold counts for whose id was given to another, while records are applied: one of an archived drop
    /// was there until then, where the engine had folded it already. Any other had been forgotten, and counts for nothing.
    pub(super) fn fold_replaced(&self, place: HoldRef, hold: &Hold) {
        let _known = self.drops.with_number(hold.drop, |drop| {
            if drop.running().archived.is_some() {
                self.fold_hold(drop, place, hold, false);
            }
        });
    }

    fn fold_hold(&self, drop: &DropEntry, place: HoldRef, hold: &Hold, counted: bool) {
        let whose = Whose { drop: hold.drop, place, created_at: hold.created_at() };
        let keys = self.subjects_of(&drop.scope, hold);
        self.subjects.with(&keys, |subjects| {
            for subject in subjects {
                if counted && let Some(counted) = Counted::of(hold) {
                    subject.enter(whose, Some(counted), None);
                }
                if hold.state == HoldState::Claimed {
                    for line in hold.lines().iter().filter(|line| line.quantity > 0) {
                        let at = bucket(hold.created_at());
                        subject.fold(OldUsage { drop: hold.drop, item: line.item, at, units: line.quantity.into() });
                    }
                }
            }
        });
    }

    /// Restores what a subject owns from archived drops, from a snapshot.
    pub(super) fn apply_usage(&self, image: &UsageImage) {
        self.subjects.with(&[image.subject], |subjects| {
            for subject in subjects {
                image.usage.iter().for_each(|usage| subject.fold(*usage));
            }
        });
    }
}

/// The end of the bucket that an instant is in.
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
