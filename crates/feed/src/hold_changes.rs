//! The changes of holds, read backwards: each record names the one before it, so none but these are searched for.

use std::collections::BinaryHeap;

use stockade_journal::{Batch, HistoryError};
use stockade_types::ids::{HoldId, Lsn};
use stockade_types::record::{Made, Record, Superseded};
use stockade_types::time::Timestamp;

use super::Feed;

/// A record about a hold: it made the hold or changed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldRecord {
    /// Which hold. A hold that replaces another has its record together with that one.
    pub hold: HoldId,
    /// The record's place.
    pub lsn: Lsn,
    /// When it was decided.
    pub at: Timestamp,
    /// The record.
    pub record: Record,
}

/// What was read of the changes of some holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct HoldChanges {
    /// Oldest first.
    pub records: Vec<HoldRecord>,
    /// No later change of these holds is missing; none if nothing can be read.
    pub since: Option<Timestamp>,
}

impl Feed {
    /// The newest `most` changes of these holds, each given with the LSN of its last record, as long as `goes_on`.
    /// Blocks: each record is a read of one batch of the journal; the first in a segment walks to it from the segment's
    /// begin, later ones from a place nearby.
    ///
    /// # Errors
    /// [`HistoryError::Io`], and [`HistoryError::Beyond`] for a change that can't be read yet.
    pub fn changes_of(
        &self,
        holds: impl IntoIterator<Item = (HoldId, Lsn)>,
        most: usize,
        goes_on: impl Fn() -> bool,
    ) -> Result<HoldChanges, HistoryError> {
        let mut heads: BinaryHeap<(Lsn, HoldId)> = holds.into_iter().map(|(hold, lsn)| (lsn, hold)).collect();
        let (mut batch, mut changes) = (None, HoldChanges::default());
        // Whether all changes were read that are kept; if not, the last that was read before the first that was not.
        let (mut is_whole, mut whole_since) = (true, None);
        while let Some((lsn, hold)) = heads.pop() {
            let is_over = changes.records.len() >= most || !goes_on();
            let read = if is_over { Ok(None) } else { self.record(lsn, &mut batch) };
            let read = match read {
                Ok(read) => read.and_then(|record| Some((record, place_of(record, hold)?))),
                // History begins behind it; of damage, from now on.
                Err(HistoryError::NotKept { .. } | HistoryError::Damage(_)) => break,
                Err(error @ (HistoryError::Beyond { .. } | HistoryError::Io(_))) => return Err(error),
            };
            // A record of format 1 does not say what was before it.
            let Some((record, (prev, at))) = read else {
                if is_whole {
                    (is_whole, whole_since) = (false, changes.records.last().map(|record| record.at));
                }
                continue;
            };
            if prev > Lsn::default() {
                heads.push((prev, hold));
            }
            changes.records.push(HoldRecord { hold, lsn, at, record: record.clone() });
        }
        changes.records.reverse();
        let kept = self.kept_since()?;
        changes.since = if is_whole { kept } else { whole_since.map(|at| kept.map_or(at, |kept| kept.max(at))) };
        Ok(changes)
    }

    /// A record, from the batch that was read last if that has it.
    fn record<'b>(&self, lsn: Lsn, batch: &'b mut Option<Batch>) -> Result<Option<&'b Record>, HistoryError> {
        if !batch.as_ref().is_some_and(|read| (read.head.first..read.head.next()).contains(&lsn)) {
            *batch = self.history.batches(lsn, 1)?.into_iter().next();
        }
        let place = |read: &Batch| usize::try_from(lsn.0.checked_sub(read.head.first.0)?).ok();
        Ok(batch.as_ref().and_then(|read| read.records.get(place(read)?)))
    }

    /// When the oldest record that can be read was written.
    fn kept_since(&self) -> Result<Option<Timestamp>, HistoryError> {
        match self.history.batches(self.history.oldest()?, 1) {
            Ok(batches) => Ok(batches.first().map(|batch| batch.head.written_at)),
            // It was dropped or found damaged just now.
            Err(HistoryError::NotKept { .. } | HistoryError::Damage(_)) => Ok(None),
            Err(error @ (HistoryError::Beyond { .. } | HistoryError::Io(_))) => Err(error),
        }
    }
}

/// The LSN of the hold's record before this one, 0 if this one made it, and its instant; nothing if this is not one of
/// the hold's records.
fn place_of(record: &Record, id: HoldId) -> Option<(Lsn, Timestamp)> {
    let (of, place) = match record {
        Record::Made(Made { hold, .. }) => (hold.id, (Lsn::default(), hold.created_at())),
        Record::Changed(change) => (change.hold.id, (change.prev, change.at)),
        Record::Superseded(superseded) => {
            let Superseded { ended, made } = superseded.as_ref();
            let prev = if made.id == id { Lsn::default() } else { ended.prev };
            (if made.id == id { id } else { ended.hold.id }, (prev, ended.at))
        }
        Record::Drop(_)
        | Record::Lifecycle(_)
        | Record::DropFact(_)
        | Record::Upgraded(_)
        | Record::Hold(_)
        | Record::Old(_)
        | Record::Restart(_)
        | Record::Adjusted(_)
        | Record::Stock(_)
        | Record::Adjustments(_)
        | Record::Archived(_)
        | Record::Defined(_)
        | Record::Occurrence(_)
        | Record::Delivered(_)
        | Record::Channel(_)
        | Record::Facts(_)
        | Record::FactsImage(_)
        | Record::Totals(_)
        | Record::Demand(_)
        | Record::Report(_)
        | Record::Usage(_) => return None,
    };
    (of == id).then_some(place)
}
