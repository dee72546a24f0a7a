//! Archiving: a drop that closed long ago, whose pickup slots ended long ago, and that has no live hold has its holds
//! taken out of memory.
//!
//! One record marks the drop as archived, under its gate; from then on no verb finds its holds. Then its holds are
//! taken out, shard by shard, and what they count for limits of a series or a shop is folded into their subjects. While
//! a snapshot is being taken, this waits, but the record does not: otherwise the snapshot could contain a hold both as
//! itself and folded, or not at all. A start from the record finds the holds in memory and folds them again, with the
//! same result.

use std::sync::Arc;

use stockade_types::ids::DropNo;
use stockade_types::record::DropVerb;
use stockade_types::time::{Millis, Timestamp};

use crate::answer::Fault;
use crate::background::agenda::{TurnEnd, Work};
use crate::background::throttle::Throttle;
use crate::context::Context;
use crate::inventory::{DropEntry, DropInner, Folding};
use crate::operators::turn::fact;
use crate::{Bounds, Engine};

/// Most drops that are archived in one turn.
const DROPS_A_TURN: usize = 16;
/// Most archived drops that wait for their holds to be taken out; no more are archived meanwhile.
const WAITING_MAX: usize = 4_096;
/// Shards whose holds are taken out in one turn; with 50 million holds a shard has some 12,000.
const PIECES_A_TURN: usize = 8;
/// When a drop that had a live hold is checked again; after a fault, all drops.
const AGAIN: Millis = Millis(1_000);
/// How often to check whether a snapshot has ended, while holds wait for that.
const SNAPSHOT_CHECK: Millis = Millis(100);

/// Called after each piece of work, with no lock held, with the number of records that it appended. Returns whether it
/// has rested.
type Rest<'r> = &'r mut dyn FnMut(usize) -> bool;

/// The agenda's entry that archives drops: it writes records, and takes the holds of archived drops out of memory.
/// Neither waits for the other.
#[derive(Debug, Default)]
pub(crate) struct Archiving {
    /// Archived drops whose holds must leave memory.
    waiting: Vec<Arc<DropEntry>>,
    /// The drops whose holds are being taken out.
    folding: Option<Folding>,
    /// No drop is archived before this.
    archives_from: Timestamp,
    /// No hold is taken out before this.
    folds_from: Timestamp,
}

impl Work for Archiving {
    fn due_at(&self, engine: &Engine) -> Timestamp {
        self.archives_at(engine).min(self.folds_at())
    }

    fn take_turn(&mut self, engine: &Engine, now: Timestamp, throttle: &mut Throttle) -> TurnEnd {
        let mut rest = |appended| throttle.rest(appended, Millis(0));
        if self.archives_at(engine) <= now
            && let Err(fault) = self.archive(engine, now, &mut rest)
        {
            tracing::warn!(%fault, "nothing was archived");
            self.archives_from = now.plus(AGAIN);
        }
        // This writes no record, so it goes on whatever the journal does.
        for _ in 0..PIECES_A_TURN {
            if self.folds_at() > now {
                break;
            }
            let Some(scanning) = engine.scan_lock.try_lock() else {
                self.folds_from = now.plus(SNAPSHOT_CHECK);
                break;
            };
            self.fold(engine);
            drop(scanning);
            if rest(0) {
                break;
            }
        }
        if engine.journal.is_busy() { TurnEnd::Soon } else { TurnEnd::Done }
    }
}

impl Archiving {
    fn archives_at(&self, engine: &Engine) -> Timestamp {
        if self.waiting.len() >= WAITING_MAX {
            return Timestamp::NEVER;
        }
        engine.inventory.closings.next().plus(engine.bounds.archive_after).max(self.archives_from)
    }

    fn folds_at(&self) -> Timestamp {
        if self.folding.is_none() && self.waiting.is_empty() { Timestamp::NEVER } else { self.folds_from }
    }

    /// Archives some drops that are due for it. Returns how many.
    fn archive(&mut self, engine: &Engine, now: Timestamp, rest: Rest<'_>) -> Result<usize, Fault> {
        if engine.has_folded_enough() {
            self.archives_from = now.plus(AGAIN);
            return Ok(0);
        }
        let mut drops = 0_usize;
        let room = WAITING_MAX.saturating_sub(self.waiting.len()).min(DROPS_A_TURN);
        for number in engine.inventory.closings.due(now.minus(engine.bounds.archive_after), room) {
            let archived = engine.archive_drop(number, Context::engine(now))?;
            let count = usize::from(archived.is_some());
            drops = drops.saturating_add(count);
            self.waiting.extend(archived);
            if rest(count) || engine.journal.is_busy() {
                break;
            }
        }
        Ok(drops)
    }

    /// Takes one piece of the archived drops' holds out. The caller excludes snapshots.
    fn fold(&mut self, engine: &Engine) {
        if self.folding.is_none() && !self.waiting.is_empty() {
            self.folding = Some(Folding::of(std::mem::take(&mut self.waiting)));
        }
        if let Some(folding) = &mut self.folding
            && !engine.inventory.fold_some(folding)
        {
            engine.has_folded(folding);
            self.folding = None;
        }
    }
}

impl Engine {
    /// Archives all drops that may be archived by now, also those that were postponed, and takes their holds out of
    /// memory, as the agenda does. Returns the number of drops. Blocks until a snapshot under way has ended, and while
    /// it scans the holds.
    ///
    /// # Errors
    /// Faults of the journal.
    pub fn archive(&self, now: Timestamp) -> Result<usize, Fault> {
        while self.turn_due(now)? > 0 && !self.journal.is_busy() {}
        for entry in self.inventory.drops.all() {
            let inner = entry.read();
            self.inventory.expect_archiving(entry.number, inner.over_at());
        }
        let (mut archiving, mut drops) = (Archiving::default(), 0_usize);
        while archiving.due_at(self) <= now {
            if archiving.archives_at(self) <= now {
                drops = drops.saturating_add(archiving.archive(self, now, &mut |_| false)?);
            }
            let _scanning = self.scan_lock.lock();
            archiving.fold(self);
        }
        Ok(drops)
    }

    /// Folded usage has a bound as well: beyond it no drop is archived, and its holds count for `--max-holds`.
    fn has_folded_enough(&self) -> bool {
        self.inventory.subjects.old() >= self.bounds.max_holds
    }

    /// Archives a drop that closed long ago. Returns none if it may not be archived yet.
    fn archive_drop(&self, number: DropNo, context: Context<'_>) -> Result<Option<Arc<DropEntry>>, Fault> {
        let Some(entry) = self.inventory.drops.entry(number) else { return Ok(None) };
        Ok(self.mark_archived(&entry, context)?.then_some(entry))
    }

    /// Writes the record that the drop is archived, if it may be; from then on no verb finds its holds. If it has a
    /// live hold, it is checked again later. Pickup slots that have begun are recorded first.
    fn mark_archived(&self, entry: &DropEntry, context: Context<'_>) -> Result<bool, Fault> {
        if !self.has_waited(&entry.read(), context.now) {
            return Ok(false);
        }
        let mut inner = entry.write();
        let Context { now, origin } = context.not_before(inner.turned_at);
        // Another thread may have archived it meanwhile.
        if !self.has_waited(&inner, now) {
            return Ok(false);
        }
        if entry.has_live_holds() {
            let again = now.minus(self.bounds.archive_after).plus(AGAIN);
            self.inventory.expect_archiving(entry.number, again);
            return Ok(false);
        }
        self.turn_in(entry, &mut inner, now)?;
        let fact = fact(entry, &inner, DropVerb::Archive, (inner.lifecycle.clone(), origin.clone()), now);
        self.commit_fact(self.journal.permit()?, (entry, &mut inner), fact, now)?;
        tracing::info!(drop = %inner.definition.id, "archived");
        Ok(true)
    }

    fn has_waited(&self, inner: &DropInner, now: Timestamp) -> bool {
        let over_at = inner.over_at();
        over_at < Timestamp::NEVER && over_at.plus(self.bounds.archive_after) <= now
    }

    /// The holds of these drops have left memory. If too many archived drops are remembered, the oldest are forgotten.
    /// The caller excludes snapshots.
    fn has_folded(&self, folding: &Folding) {
        let Bounds { max_archived_drops, max_archived_bytes, .. } = self.bounds;
        for forgotten in self.inventory.forget_archived(max_archived_drops, max_archived_bytes) {
            tracing::info!(drop = %forgotten.read().definition.id, "archived long ago, forgotten now");
        }
        tracing::info!(drops = folding.drops(), holds = folding.holds(), "holds of archived drops have left memory");
    }
}
