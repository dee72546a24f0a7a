//! What records moved of a stock: by how much they changed the units that are not sold.
//!
//! Of such units there are more by an adjustment, a tranche, or units that are returned and go on sale again, and fewer
//! by a claim. A hold that is made, extended, released or expires, or takes another's place, changes nothing: its units
//! are not sold before it is claimed. An item's first units came with it and were not moved: by records from before the
//! item they are there already.

use stockade_journal::Batch;
use stockade_types::definition::ITEM_UNITS_MAX;
use stockade_types::hold::{Hold, HoldLine};
use stockade_types::ids::{DropNo, ItemNo, Lsn, PoolNo};
use stockade_types::record::{Adjusted, DropFact, HoldChange, MarkKind, Record, StockChange, Verb};

use crate::{Feed, FeedError, HistoryError, READ_BYTES};

/// An item's stock, or that of one of its pools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StockPlace {
    /// In which drop.
    pub drop: DropNo,
    /// Of which item.
    pub item: ItemNo,
    /// Of which pool; none: all of them.
    pub pool: Option<PoolNo>,
}

impl Feed {
    /// By how many units the records after `after` and up to `upto` moved the stock, reconciliations left out. Reads
    /// about 256 KiB of the journal, and returns how far that was as well. Blocks.
    ///
    /// # Errors
    /// [`FeedError`]; [`FeedError::Unknown`] if a record does not say it, and what it continues is no longer kept.
    pub fn moved(&self, of: StockPlace, (after, upto): (Lsn, Lsn)) -> Result<(i128, Lsn), FeedError> {
        let (mut sum, mut read_to) = (0_i128, after);
        if after < upto {
            for batch in self.history.batches(after.next(), READ_BYTES)? {
                let wanted = batch.iter().filter(|(lsn, _)| (after.next()..=upto).contains(lsn));
                for (lsn, record) in wanted {
                    // A sum of fewer than 2^64 numbers below 2^63 fits.
                    sum = sum.saturating_add(self.moved_by(of, lsn, record)?.into());
                }
                read_to = read_to.max(last_of(&batch)).min(upto);
            }
        }
        Ok((sum, read_to))
    }

    fn moved_by(&self, of: StockPlace, lsn: Lsn, record: &Record) -> Result<i64, FeedError> {
        match record {
            Record::Changed(change) if change.hold.drop == of.drop => self.moved_by_hold(of, lsn, change),
            Record::Adjusted(adjusted) if of.has(adjusted.drop, adjusted.item, adjusted.adjustment.pool) => {
                Ok(moved_by_adjustment(adjusted))
            }
            Record::DropFact(fact) if fact.number() == of.drop => moved_by_tranches(of, lsn, fact),
            // Records of format 1 don't say what they moved, and this one ends them.
            Record::Upgraded(_) => Err(FeedError::Unknown(lsn)),
            Record::Changed(_)
            | Record::Adjusted(_)
            | Record::DropFact(_)
            | Record::Made(_)
            | Record::Superseded(_)
            | Record::Restart(_)
            | Record::Drop(_)
            | Record::Lifecycle(_)
            | Record::Hold(_)
            | Record::Old(_)
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
            | Record::Usage(_) => Ok(0),
        }
    }

    fn moved_by_hold(&self, of: StockPlace, lsn: Lsn, change: &HoldChange) -> Result<i64, FeedError> {
        let HoldChange { verb, hold, .. } = change;
        let moved = change.moved();
        let lines = hold.lines().iter().zip(&moved).filter(|(line, _)| of.has(hold.drop, line.item, line.pool));
        match verb {
            Verb::Claim => Ok(lines.map(|(_, moved)| -i64::from(moved.quantity)).sum()),
            Verb::Return => {
                let returned = lines.map(|(_, moved)| i64::from(moved.returned)).sum();
                Ok(if returned > 0 && self.is_restocked(lsn, change)? { returned } else { 0 })
            }
            Verb::Extend | Verb::Release | Verb::Expire | Verb::Supersede => Ok(0),
        }
    }

    /// Whether the units that a return brought back went on sale again. Where the totals after it allow both, those of
    /// the hold's record before it are read.
    fn is_restocked(&self, lsn: Lsn, change: &HoldChange) -> Result<bool, FeedError> {
        if let Some(known) = change.restocked() {
            return Ok(known);
        }
        let withdrawn = |hold: &Hold| hold.lines().iter().map(|line: HoldLine| u64::from(line.withdrawn)).sum::<u64>();
        let batches = match self.history.batches(change.prev, 1) {
            Err(HistoryError::NotKept { .. }) => return Err(FeedError::Unknown(lsn)),
            read => read?,
        };
        let mut records = batches.iter().flat_map(Batch::iter);
        let before = records.find(|(known, _)| *known == change.prev).map(|(_, record)| record);
        let Some(Record::Changed(before)) = before else { return Err(FeedError::Unknown(lsn)) };
        Ok(withdrawn(&before.hold) == withdrawn(&change.hold))
    }
}

impl StockPlace {
    fn has(&self, drop: DropNo, item: ItemNo, pool: PoolNo) -> bool {
        (self.drop, self.item) == (drop, item) && self.pool.is_none_or(|of| of == pool)
    }
}

fn last_of(batch: &Batch) -> Lsn {
    Lsn(batch.head.next().0.saturating_sub(1))
}

fn moved_by_adjustment(adjusted: &Adjusted) -> i64 {
    match adjusted.adjustment.change {
        StockChange::Delta(delta) => delta,
        StockChange::SetReceived { expected, units } => units.cast_signed().saturating_sub(expected.cast_signed()),
        StockChange::Reconcile(_) => 0,
    }
}

fn moved_by_tranches(of: StockPlace, lsn: Lsn, fact: &DropFact) -> Result<i64, FeedError> {
    let definition = &fact.image.definition;
    let mut sum = 0_i64;
    for mark in &fact.marks {
        let MarkKind::Tranche(number) = mark.kind else { continue };
        let Some(tranche) = definition.tranche(number) else { continue };
        let Some((item, pool)) = definition.tranche_pool(tranche).filter(|(item, pool)| of.has(of.drop, *item, *pool))
        else {
            continue;
        };
        // A pool that is full takes a part of it only.
        let received = definition.pool_place(item, pool).and_then(|place| fact.stock.get(place));
        if received.is_none_or(|figures| figures.basis.received >= ITEM_UNITS_MAX) {
            return Err(FeedError::Unknown(lsn));
        }
        sum = sum.saturating_add(tranche.units.cast_signed());
    }
    Ok(sum)
}
