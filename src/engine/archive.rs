//! Archiving: a drop that closed long ago, and has no live hold, gives its holds' memory back.
//!
//! One record says so, under the drop's gate; from then on no verb finds a hold of that drop. Its holds are taken out
//! after that, one shard after the other, and what they count for limits of a series or a shop is folded into their
//! subjects. Whoever starts from the record finds the holds still there and folds them again: it comes to the same.

use std::sync::Arc;

use super::Engine;
use super::answer::Fault;
use crate::inventory::{DropEntry, Pool, Running};
use crate::record::{Archived, Record};
use crate::time::Timestamp;

impl Engine {
    /// Archives every drop whose time has come. Says how many those were. Blocks for as long as it takes to look
    /// through the holds, if there are any such drops: for threads that may.
    ///
    /// # Errors
    /// Faults of the journal.
    pub fn archive(&self, now: Timestamp) -> Result<usize, Fault> {
        let mut archived = 0_usize;
        for entry in self.inventory.drops.all() {
            if self.may_be_archived(&entry, &entry.running(), now) && self.archive_one(&entry, now)? {
                archived = archived.saturating_add(1);
            }
        }
        Ok(archived)
    }

    fn may_be_archived(&self, entry: &DropEntry, running: &Running, now: Timestamp) -> bool {
        let waited = running.closed_since(now).is_some_and(|at| at.plus(self.bounds.archive_after) <= now);
        waited
            && running.archived.is_none()
            && entry.pools().all(|pool| {
                let (stock, _) = pool.stock();
                stock.held == 0 && stock.paying == 0
            })
    }

    fn archive_one(&self, entry: &Arc<DropEntry>, now: Timestamp) -> Result<bool, Fault> {
        let permit = self.journal.permit()?;
        // No snapshot may be under way: it would hold some of the holds, and of others only what was folded.
        let _walking = self.walk.lock();
        {
            let mut running = entry.steer();
            // Looked at again: a claim may have come back to life, late, before the gate was closed.
            if !self.may_be_archived(entry, &running, now) {
                return Ok(false);
            }
            let pools = entry.pools().map(Pool::sold);
            let archived = Archived { drop: entry.number, at: now, pools: pools.collect() };
            let record = Record::Archived(archived.clone());
            let ticket = self.journal.append(permit, std::slice::from_ref(&record), now)?;
            running.archived = Some((ticket.lsn(), archived));
        }
        let holds = self.inventory.fold(entry);
        tracing::info!(drop = %entry.running().definition.id, holds, "archived");
        Ok(true)
    }
}
