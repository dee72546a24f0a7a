//! Giving back what is due: in the background, and by whoever would otherwise have to refuse.
//!
//! Each hold is expired by itself, under its own lock, so a sweep never holds up more than one customer.

use super::answer::Fault;
use super::{Engine, OwnHold};
use crate::ids::{DropNo, ItemNo, PoolNo};
use crate::inventory::HoldRef;
use crate::time::Timestamp;

/// Holds that one sweep of a pool gives back at most.
pub const MOST_AT_ONCE: usize = 64;

impl Engine {
    /// Gives back what is due anywhere, a bounded part of it. Says how many holds that were: as long as it is more
    /// than none, there may be more.
    ///
    /// # Errors
    /// Faults of the journal.
    pub fn sweep(&self, now: Timestamp) -> Result<usize, Fault> {
        self.sweep_with(now, |_| {})
    }

    /// As [`Engine::sweep`]; calls `rest` after each pool with the number of holds that were given back in it, when no
    /// lock is held.
    ///
    /// # Errors
    /// Faults of the journal.
    pub fn sweep_with(&self, now: Timestamp, mut rest: impl FnMut(usize)) -> Result<usize, Fault> {
        let mut expired = 0_usize;
        for (drop, item, pool) in self.inventory.due(now) {
            let swept = self.sweep_pool(drop, item, pool, now)?;
            expired = expired.saturating_add(swept);
            rest(swept);
            // However many pools there are, a wave does not fill the journal's queue: the others' turn comes.
            if expired > 0 && self.journal.is_busy() {
                break;
            }
        }
        Ok(expired)
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
        self.expire_all(&due.unwrap_or_default(), now)
    }

    pub(super) fn sweep_hold(&self, hold: HoldRef, now: Timestamp) -> Result<usize, Fault> {
        self.expire_all(&[hold], now)
    }

    fn expire_all(&self, holds: &[HoldRef], now: Timestamp) -> Result<usize, Fault> {
        let mut expired = 0_usize;
        for hold in holds {
            if self.expire(*hold, now)? {
                expired = expired.saturating_add(1);
            }
        }
        Ok(expired)
    }

    /// Expires the hold that lives there, if it is due. Another may live there by now: then that one's deadline counts.
    fn expire(&self, place: HoldRef, now: Timestamp) -> Result<bool, Fault> {
        let drop_of = |hold: HoldRef| self.inventory.holds.with_ref(hold, |shard| Some(shard.get(hold)?.drop));
        let Some(number) = drop_of(place) else { return Ok(false) };
        let expired = self.inventory.drops.with_number_among(number, |drop, roster| {
            let permit = self.journal.permit()?;
            let running = drop.running();
            self.inventory.holds.with_ref(place, |mut shard| {
                if shard.get(place).is_none_or(|hold| hold.drop != number) {
                    return Ok(false);
                }
                let mut own = OwnHold { drop, roster, view: &running.definition, shard: &mut shard, place };
                Ok(self.expire_if_due(&mut own, permit, now)?.is_none())
            })
        });
        expired.unwrap_or(Ok(false))
    }
}
