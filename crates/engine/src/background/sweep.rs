//! Expires due holds: in the background, and for requests that would otherwise be refused.
//!
//! Each hold is expired under its own shard's lock, so a sweep blocks no shard for long.

use stockade_types::ids::{DropNo, ItemNo, PoolNo};
use stockade_types::time::{Millis, Timestamp};

use crate::Engine;
use crate::answer::Fault;
use crate::inventory::{HoldSlot, Pool};
use crate::locked_hold::LockedHold;

/// Most holds of a pool that one sweep expires.
pub(crate) const AT_ONCE_MAX: usize = 64;
/// A pool: its drop, its item, and which of the item's pools it is.
pub(crate) type PoolPlace = (DropNo, ItemNo, PoolNo);
/// Most holds that are expired under one hold of their drop's gate: a verb that steers the drop waits for that many.
const UNDER_ONE_GATE: usize = 8;

impl Engine {
    /// Expires due holds of all pools, a bounded number of each. Returns how many; while that is not 0, there may be
    /// more.
    ///
    /// # Errors
    /// Faults of the journal.
    pub fn sweep(&self, now: Timestamp) -> Result<usize, Fault> {
        self.sweep_pools(self.inventory.due(now), now, |_, _| false)
    }

    /// Expires due holds of these pools, a bounded number of each. Returns how many. Calls `rest` after each pool,
    /// while no lock is held, with the number of holds expired in it and how late the first was; ends if `rest` returns
    /// true.
    pub(crate) fn sweep_pools(
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
            // However many pools have due holds, they must not fill the journal's queue: the others get their turn
            // later.
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

    /// Whether due holds must be expired without rests, to leave room for new holds.
    pub(crate) fn has_hardly_room(&self) -> bool {
        self.bounds.is_nearly_full(self.inventory.owned())
    }

    /// Whether more ended holds are remembered than the bound allows.
    pub(crate) fn has_too_many_ended(&self) -> bool {
        self.inventory.ended() > self.bounds.max_ended_holds
    }

    /// When the next hold may be forgotten.
    pub(crate) fn next_eviction(&self) -> Timestamp {
        self.inventory.next_eviction(self.bounds.retry_window, self.bounds.max_ended_holds)
    }

    /// Forgets a bounded number of ended holds beyond the bound or older than the retry window. Returns how many.
    pub fn evict_ended(&self, now: Timestamp) -> usize {
        let evict_ended = || self.inventory.evict_ended(now, self.bounds.retry_window, self.bounds.max_ended_holds);
        (0..AT_ONCE_MAX).take_while(|_| evict_ended()).count()
    }

    pub(crate) fn sweep_pool(&self, drop: DropNo, item: ItemNo, pool: PoolNo, now: Timestamp) -> Result<usize, Fault> {
        let due = self
            .inventory
            .drops
            .with_number(drop, |entry| entry.pool(item, pool).map_or_else(Vec::new, |pool| pool.due(now, AT_ONCE_MAX)));
        self.expire_all(drop, &due.unwrap_or_default(), now)
    }

    /// Expires due holds of all pools of an item, a bounded number of each.
    pub(crate) fn sweep_item(&self, drop: DropNo, item: ItemNo, now: Timestamp) -> Result<(), Fault> {
        let due = self.inventory.drops.with_number(drop, |entry| {
            let pools = entry.item_stock(item).pools();
            pools.flat_map(|pool| pool.due(now, AT_ONCE_MAX)).collect::<Vec<_>>()
        });
        self.expire_all(drop, &due.unwrap_or_default(), now).map(|_expired| ())
    }

    pub(crate) fn sweep_hold(&self, hold: HoldSlot, now: Timestamp) -> Result<usize, Fault> {
        let drop = self.inventory.holds.with_ref(hold, |shard| Some(shard.get(hold)?.drop));
        drop.map_or(Ok(0), |drop| self.expire_all(drop, &[hold], now))
    }

    /// Expires those of these holds of a drop that are due, each under its own lock. If another hold lives in a place
    /// by now, its own deadline counts; a hold of another drop is left to that drop's sweep.
    fn expire_all(&self, number: DropNo, holds: &[HoldSlot], now: Timestamp) -> Result<usize, Fault> {
        let mut expired = 0_usize;
        for some in holds.chunks(UNDER_ONE_GATE) {
            expired = expired.saturating_add(self.expire_some(number, some, now)?);
        }
        Ok(expired)
    }

    fn expire_some(&self, number: DropNo, holds: &[HoldSlot], now: Timestamp) -> Result<usize, Fault> {
        let expired = self.inventory.drops.with_number_among(number, |drop, drop_table| {
            let inner = drop.read();
            let permits = self.journal.permits(u64::try_from(holds.len()).unwrap_or(u64::MAX))?;
            let mut expired = 0_usize;
            // If the journal has room for fewer, the next sweep finds the others.
            for (place, permit) in holds.iter().zip(permits) {
                let due = self.inventory.holds.with_ref(*place, |mut shard| {
                    if shard.get(*place).is_none_or(|hold| hold.drop != number) {
                        return Ok(false);
                    }
                    let mut own = LockedHold::of(drop, drop_table, &inner, (&mut shard, *place));
                    Ok::<_, Fault>(self.expire_if_due(&mut own, permit, now)?.is_none())
                })?;
                expired = expired.saturating_add(usize::from(due));
            }
            Ok(expired)
        });
        expired.unwrap_or(Ok(0))
    }
}
