//! Giving back what is due: in the background, and by whoever would otherwise have to refuse.
//!
//! Each hold is expired by itself, under its own lock, so a sweep never holds up more than one customer.

use stockade_types::ids::{DropNo, ItemNo, PoolNo};
use stockade_types::time::{Millis, Timestamp};

use super::answer::Fault;
use super::{Engine, OwnHold};
use crate::inventory::{HoldRef, Pool};

/// Holds that one sweep of a pool gives back at most.
pub const MOST_AT_ONCE: usize = 64;
/// A pool: its drop, its item, and which of the item's pools it is.
pub(super) type PoolPlace = (DropNo, ItemNo, PoolNo);
/// Holds that are given back under one look at their drop: whoever would steer it waits for so many.
const UNDER_ONE_GATE: usize = 8;

impl Engine {
    /// Gives back what is due anywhere, a bounded part of it. Says how many holds that were: as long as it is more
    /// than none, there may be more.
    ///
    /// # Errors
    /// Faults of the journal.
    pub fn sweep(&self, now: Timestamp) -> Result<usize, Fault> {
        self.sweep_pools(self.inventory.due(now), now, |_, _| false)
    }

    /// Gives back what is due in these pools, a bounded part of each. Says how many holds that were. Calls `rest` after each
    /// pool, when no lock is held, with the number of holds that were given back in it, and how late the first of them was;
    /// ends where that says so.
    pub(super) fn sweep_pools(
        &self,
        pools: impl IntoIterator<Item = PoolPlace>,
        now: Timestamp,
        mut rest: impl FnMut(usize, Millis) -> bool,
    ) -> Result<usize, Fault> {
        let mut expired = 0_usize;
        for (drop, item, pool) in pools {
            let late = self.late(drop, item, pool, now);
            let swept = self.sweep_pool(drop, item, pool, now)?;
            expired = expired.saturating_add(swept);
            let rested = rest(swept, late);
            // However many pools there are, a wave does not fill the journal's queue: the others' turn comes.
            if rested || (expired > 0 && self.journal.is_busy()) {
                break;
            }
        }
        Ok(expired)
    }

    /// How long ago the earliest deadline of a pool was.
    fn late(&self, drop: DropNo, item: ItemNo, pool: PoolNo, now: Timestamp) -> Millis {
        let due = self.inventory.drops.with_number(drop, |entry| entry.pool(item, pool).map(Pool::next_due));
        due.flatten().map_or(Millis(0), |due| due.until(now))
    }

    /// Whether there is hardly room for new holds: then those that are due must not take it.
    pub(super) fn has_hardly_room(&self) -> bool {
        self.bounds.is_nearly_full(self.inventory.owned())
    }

    /// Whether more ended holds are remembered than should be.
    pub(super) fn remembers_too_many(&self) -> bool {
        self.inventory.ended() > self.bounds.max_ended_holds
    }

    /// When there is something to forget.
    pub(super) fn next_forgotten(&self) -> Timestamp {
        self.inventory.next_forgotten(self.bounds.retry_window, self.bounds.max_ended_holds)
    }

    /// Forgets ended holds that are beyond the bound or older than the retry window, a bounded number of them.
    pub fn forget(&self, now: Timestamp) -> usize {
        let forget = || self.inventory.forget(now, self.bounds.retry_window, self.bounds.max_ended_holds);
        (0..MOST_AT_ONCE).take_while(|_| forget()).count()
    }

    pub(super) fn sweep_pool(&self, drop: DropNo, item: ItemNo, pool: PoolNo, now: Timestamp) -> Result<usize, Fault> {
        let due = self.inventory.drops.with_number(drop, |entry| {
            entry.pool(item, pool).map_or_else(Vec::new, |pool| pool.due(now, MOST_AT_ONCE))
        });
        self.expire_all(drop, &due.unwrap_or_default(), now)
    }

    /// Gives back what is due in any of an item's pools, a bounded part of each.
    pub(super) fn sweep_item(&self, drop: DropNo, item: ItemNo, now: Timestamp) -> Result<(), Fault> {
        let due = self.inventory.drops.with_number(drop, |entry| {
            let pools = entry.item_stock(item).pools();
            pools.flat_map(|pool| pool.due(now, MOST_AT_ONCE)).collect::<Vec<_>>()
        });
        self.expire_all(drop, &due.unwrap_or_default(), now).map(|_expired| ())
    }

    pub(super) fn sweep_hold(&self, hold: HoldRef, now: Timestamp) -> Result<usize, Fault> {
        let drop = self.inventory.holds.with_ref(hold, |shard| Some(shard.get(hold)?.drop));
        drop.map_or(Ok(0), |drop| self.expire_all(drop, &[hold], now))
    }

    /// Expires those of these holds of a drop that are due, each under its own lock. Another may live in a hold's place by
    /// now: then that one's deadline counts, if it is in the same drop; else its own drop's sweep finds it.
    fn expire_all(&self, number: DropNo, holds: &[HoldRef], now: Timestamp) -> Result<usize, Fault> {
        let mut expired = 0_usize;
        for some in holds.chunks(UNDER_ONE_GATE) {
            expired = expired.saturating_add(self.expire_some(number, some, now)?);
        }
        Ok(expired)
    }

    fn expire_some(&self, number: DropNo, holds: &[HoldRef], now: Timestamp) -> Result<usize, Fault> {
        let expired = self.inventory.drops.with_number_among(number, |drop, roster| {
            let running = drop.running();
            let permits = self.journal.permits(u64::try_from(holds.len()).unwrap_or(u64::MAX))?;
            let mut expired = 0_usize;
            // Where there is room for fewer, the next sweep finds the others.
            for (place, permit) in holds.iter().zip(permits) {
                let due = self.inventory.holds.with_ref(*place, |mut shard| {
                    if shard.get(*place).is_none_or(|hold| hold.drop != number) {
                        return Ok(false);
                    }
                    let view = &running.definition;
                    let mut own = OwnHold { drop, roster, view, shard: &mut shard, place: *place };
                    Ok::<_, Fault>(self.expire_if_due(&mut own, permit, now)?.is_none())
                })?;
                expired = expired.saturating_add(usize::from(due));
            }
            Ok(expired)
        });
        expired.unwrap_or(Ok(0))
    }
}
