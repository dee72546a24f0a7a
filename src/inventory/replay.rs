//! From records back to an inventory: apply each, then derive what follows from them.
//!
//! While records are applied only drops and holds change. A snapshot is taken while the engine runs, so halfway through
//! a replay the holds need not add up; stock, limits and deadlines are derived once, at the end, and checked there.

use std::collections::HashSet;
use std::sync::Arc;

use super::drops::among;
use super::gathered::Gathered;
use super::limits::Counted;
use super::{Ended, Inventory, Share, each_share};
use crate::hold::{Change, Hold};
use crate::ids::{HoldId, Lsn};
use crate::record::{Record, Restart, Superseded};

/// Steps in which ended holds are told apart by age.
const AGES: u64 = 4_096;

/// Records that do not add up: damage, or a bug that wrote them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsound {
    /// A record that can't stand where it stands.
    #[error("record {lsn}: {what}")]
    Record {
        /// Its place.
        lsn: Lsn,
        /// What is wrong.
        what: String,
    },
    /// A hold in a drop, item or pool that there is not.
    #[error("hold {0} is in a drop, item or pool that does not exist")]
    Orphan(HoldId),
    /// More is out than was received.
    #[error("drop {drop}, item {item}: {out} units are held or claimed, {received} were received")]
    Oversold {
        /// In which drop.
        drop: String,
        /// Which item.
        item: String,
        /// Units out.
        out: u64,
        /// Units received.
        received: u64,
    },
}

impl Inventory {
    /// Applies one record. Idempotent: what an entity has seen already leaves it as it is.
    ///
    /// # Errors
    /// [`Unsound`] when a drop's number is out of order: then journal or snapshot is not ours.
    pub fn apply(&self, lsn: Lsn, record: &Record) -> Result<(), Unsound> {
        match record {
            Record::Drop(image) => {
                self.drops.apply_image(lsn, image).map_err(|what| Unsound::Record { lsn, what })?;
            }
            Record::Steering(steering) => self.drops.apply_steering(lsn, steering),
            Record::Hold(hold) => self.apply_hold(lsn, hold),
            Record::Change(id, change) => self.apply_change(lsn, id, change),
            Record::Superseded(superseded) => {
                let Superseded { old, at, hold } = superseded.as_ref();
                // Each is guarded by its own revision: a snapshot may have seen either without the other.
                self.apply_change(lsn, old, &Change::Superseded { at: *at, by: hold.id });
                self.apply_hold(lsn, hold);
            }
            Record::Restart(restart) => self.apply_restart(lsn, *restart),
            Record::Adjusted(adjusted) => self.drops.apply_adjusted(lsn, adjusted),
            Record::Stock(image) => self.drops.apply_stock(lsn, image),
            Record::Adjustments(image) => self.drops.apply_adjustments(lsn, image),
            Record::Archived(archived) => self.drops.apply_archived(lsn, archived),
            Record::Usage(image) => self.apply_usage(image),
        }
        Ok(())
    }

    fn apply_change(&self, lsn: Lsn, id: &HoldId, change: &Change) {
        self.holds.with_id(id, |mut shard| {
            if let Some(place) = shard.find(id) {
                shard.change(place, lsn, change);
            }
        });
    }

    fn apply_hold(&self, lsn: Lsn, hold: &Hold) {
        let replaced = self.holds.with_id(&hold.id, |mut shard| {
            let known = shard.find(&hold.id);
            if known.and_then(|place| shard.get(place)).is_some_and(|known| known.revision >= lsn) {
                return None;
            }
            let replaced = known.and_then(|place| Some((place, shard.remove(place)?)));
            let mut hold = hold.clone();
            hold.revision = lsn;
            shard.insert(hold);
            replaced
        });
        if let Some((place, replaced)) = replaced {
            self.fold_replaced(place, &replaced);
        }
    }

    fn apply_restart(&self, lsn: Lsn, restart: Restart) {
        let Restart { stopped_at, grace_until } = restart;
        self.holds.for_each_shard(|mut shard| {
            for hold in shard.iter_mut().filter(|hold| hold.revision < lsn && hold.state.is_live()) {
                if stopped_at < hold.expires_at() && hold.expires_at() < grace_until {
                    hold.set_expires_at(grace_until);
                    hold.revision = lsn;
                }
            }
        });
    }

    /// Whether a restart would move any hold's deadline.
    #[must_use]
    pub fn restart_matters(&self, restart: Restart) -> bool {
        let Restart { stopped_at, grace_until } = restart;
        let mut matters = false;
        self.holds.for_each_shard(|shard| {
            matters |= shard.iter().any(|(_, hold)| {
                hold.state.is_live() && stopped_at < hold.expires_at() && hold.expires_at() < grace_until
            });
        });
        matters
    }

    /// Ended holds that are there, while records are applied.
    #[must_use]
    pub fn ended_in_table(&self) -> usize {
        let [_held, _paying, _claimed, released, expired] = self.holds.counts();
        usize::try_from(released.saturating_add(expired)).unwrap_or(usize::MAX)
    }

    /// Forgets the oldest ended holds until about `most` are left, but for those that are spared; only while records are
    /// applied, for nothing is derived from them yet.
    pub fn forget_oldest_ended(&self, most: usize, spared: &HashSet<HoldId>) {
        let excess = self.ended_in_table().saturating_sub(most);
        let (mut first, mut last) = (u64::MAX, 0);
        self.each_ended(|hold| {
            (first, last) = (first.min(hold.revision.0), last.max(hold.revision.0));
        });
        // Counted by age in steps: an exact order would take as much memory as what is to be forgotten.
        let step = last.saturating_sub(first).saturating_add(1).div_ceil(AGES).max(1);
        let age = |hold: &Hold| usize::try_from(hold.revision.0.saturating_sub(first) / step).unwrap_or(usize::MAX);
        let mut counts = vec![0_usize; usize::try_from(AGES).unwrap_or(1)];
        self.each_ended(|hold| {
            if let Some(count) = counts.get_mut(age(hold)) {
                *count = count.saturating_add(1);
            }
        });
        let mut sum = 0_usize;
        let mut fits = |count: &usize| {
            sum = sum.saturating_add(*count);
            sum <= excess
        };
        let going = counts.iter().take_while(|count| fits(count)).count();
        self.holds.for_each_shard(|mut shard| {
            let goes = |hold: &Hold| hold.state.is_ended() && age(hold) < going && !spared.contains(&hold.id);
            let places: Vec<_> = shard.iter().filter(|(_, hold)| goes(hold)).map(|(place, _)| place).collect();
            for place in places {
                shard.remove(place);
            }
        });
    }

    fn each_ended(&self, mut f: impl FnMut(&Hold)) {
        self.holds.for_each_shard(|shard| {
            shard.iter().filter(|(_, hold)| hold.state.is_ended()).for_each(|(_, hold)| f(hold));
        });
    }

    /// Derives stock, limits, deadlines and the list of ended holds from drops and holds, once all records are applied.
    /// What it gathers for that takes about `room` bytes at most.
    ///
    /// # Errors
    /// [`Unsound`] when the holds do not add up.
    pub fn derive(&mut self, room: usize) -> Result<(), Unsound> {
        let drops = self.drops.all();
        let mut ended = Vec::new();
        let mut unsound = None;
        let mut gathered = Gathered::new(&drops, &self.subjects, room);
        let any_archived = drops.iter().any(|drop| drop.has_no_pools());
        let gone = |hold: &Hold| among(&drops, hold.drop).filter(|drop| drop.has_no_pools()).map(Arc::as_ref);
        self.holds.for_each_shard(|mut shard| {
            if any_archived {
                self.fold_shard(&mut shard, gone, |_| false);
            }
            for (place, hold) in shard.iter() {
                let Some(drop) = among(&drops, hold.drop) else {
                    unsound = Some(Unsound::Orphan(hold.id));
                    continue;
                };
                each_share(None, hold, |line, was: Share, is: Share| match drop.pool(line.item, line.pool) {
                    Some(pool) => {
                        pool.enter(hold.revision, place, was, Share { due: None, ..is });
                        if let Some(at) = is.due {
                            gathered.due(at, place, (hold.drop, line.item, line.pool));
                        }
                    }
                    None => unsound = Some(Unsound::Orphan(hold.id)),
                });
                if Counted::of(hold).is_some() {
                    gathered.used(&self.subjects_of(&drop.home.shop, hold), place, hold);
                }
                if hold.state.is_ended() {
                    ended.push(Ended::of(place, hold));
                } else {
                    self.count_owned(false, place, hold);
                }
            }
        });
        gathered.finish();
        let newest = drops.iter().map(|drop| drop.running().revision).max();
        self.openings.begin(newest.unwrap_or_default());
        drop(drops);
        ended.sort_unstable_by_key(|ended| ended.revision);
        self.ended.get_mut().extend(ended);
        unsound.map_or(Ok(()), Err)?;
        self.fill()
    }

    /// A digest of all that the engine knows: two inventories with the same history have the same.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut bytes = Vec::new();
        let put = |bytes: &mut Vec<u8>, lsn: Lsn, record: Record| {
            bytes.extend_from_slice(&lsn.0.to_le_bytes());
            record.encode(bytes);
        };
        for entry in self.drops.all() {
            for (revision, image) in entry.images() {
                put(&mut bytes, revision, image);
            }
            for pool in entry.pools() {
                bytes.extend_from_slice(format!("{:?} {}", pool.stock().0, pool.next_due().0).as_bytes());
            }
        }
        let mut holds = Vec::new();
        self.holds.for_each_shard(|shard| holds.extend(shard.iter().map(|(_, hold)| hold.clone())));
        holds.sort_unstable_by_key(|hold| hold.id);
        for hold in holds {
            put(&mut bytes, hold.revision, Record::Hold(hold));
        }
        bytes.extend_from_slice(format!("{:?}", self.subjects.image()).as_bytes());
        blake3::hash(&bytes).into()
    }

    fn fill(&mut self) -> Result<(), Unsound> {
        let mut unsound = None;
        self.drops.for_each_mut(|entry| {
            let definition = Arc::clone(&entry.running().definition);
            let skus = definition.items.iter().flat_map(|item| item.pools.iter().map(|_| &item.sku));
            for (sku, pool) in skus.zip(entry.pools_mut()) {
                if let Err(stock) = pool.fill() {
                    unsound = Some(Unsound::Oversold {
                        drop: definition.id.to_string(),
                        item: sku.to_string(),
                        out: stock.held.saturating_add(stock.claimed).saturating_add(stock.withdrawn),
                        received: stock.received,
                    });
                }
            }
        });
        unsound.map_or(Ok(()), Err)
    }
}
