//! Archiving: a drop that closed long ago, and has no live hold, gives its holds' memory back.
//!
//! One record says so, under the drop's gate; from then on no verb finds a hold of that drop. Its holds are taken out
//! after that, one shard after the other, and what they count for limits of a series or a shop is folded into their
//! subjects. Whoever starts from the record finds the holds still there and folds them again: it comes to the same.

use std::sync::Arc;

use super::answer::Fault;
use super::context::Context;
use super::turn::fact;
use super::{Bounds, Engine};
use crate::inventory::{DropEntry, Running};
use crate::record::DropVerb;
use crate::time::Timestamp;

/// Drops that are archived at one look: the others wait for the next.
const MOST_AT_ONCE: usize = 256;

impl Engine {
    /// Archives drops whose time has come, a bounded number of them. Says how many those were. Blocks for as long as it
    /// takes to look through the holds once, if there are any such drops: for threads that may.
    ///
    /// # Errors
    /// Faults of the journal.
    pub fn archive(&self, context: Context<'_>) -> Result<usize, Fault> {
        let now = context.now;
        // What is folded has a bound as well: beyond it, holds stay, and count for --max-holds.
        if self.inventory.subjects.old() >= self.bounds.max_holds {
            return Ok(0);
        }
        let due = |entry: &Arc<DropEntry>| self.may_be_archived(entry, &entry.running(), now);
        while self.turn_due(now)? > 0 {}
        let due: Vec<_> = self.inventory.drops.all().into_iter().filter(due).take(MOST_AT_ONCE).collect();
        if due.is_empty() {
            return Ok(0);
        }
        // No snapshot may be under way: it would hold some of the holds, and of others only what was folded.
        let _walking = self.walk.lock();
        let mut archived = Vec::new();
        let mut done = Ok(());
        for entry in due {
            match self.mark_archived(&entry, context) {
                Ok(true) => archived.push(entry),
                Ok(false) => {}
                Err(fault) => {
                    done = Err(fault);
                    break;
                }
            }
        }
        let holds = self.inventory.fold(&archived);
        let Bounds { max_archived_drops, max_archived_bytes, .. } = self.bounds;
        for forgotten in self.inventory.drops.forget_archived(max_archived_drops, max_archived_bytes) {
            tracing::info!(drop = %forgotten.running().definition.id, "archived long ago, forgotten now");
        }
        for entry in &archived {
            tracing::info!(drop = %entry.running().definition.id, "archived");
        }
        tracing::info!(drops = archived.len(), holds, "holds of archived drops have left memory");
        done.map(|()| archived.len())
    }

    fn may_be_archived(&self, entry: &DropEntry, running: &Running, now: Timestamp) -> bool {
        let waited = running.lifecycle.closed.is_some_and(|closed| closed.at.plus(self.bounds.archive_after) <= now);
        waited
            && running.archived.is_none()
            && entry.pools().all(|pool| {
                let (stock, _) = pool.stock();
                stock.held == 0 && stock.paying == 0
            })
    }

    /// Writes down that a drop is archived; from then on nobody finds its holds.
    fn mark_archived(&self, entry: &DropEntry, Context { now, origin }: Context<'_>) -> Result<bool, Fault> {
        let mut running = entry.steer();
        // Looked at again: a claim may have come late, before the gate was closed.
        if !self.may_be_archived(entry, &running, now) {
            return Ok(false);
        }
        let fact = fact(entry, &running, DropVerb::Archive, (running.lifecycle, origin.clone()), now);
        self.commit_fact(entry, &mut running, fact, now)?;
        Ok(true)
    }
}
