//! Forgets ended holds while a journal is replayed: the engine that wrote it forgot them as it ran, and a start must
//! not need more memory.
//!
//! No record says that a hold was forgotten, so replay forgets by the bound. An ended hold that a later record claims
//! late must not be forgotten. So before the first hold is forgotten, the remaining journal is searched for late
//! claims.

use std::collections::HashSet;

use stockade_journal::ScannedJournal;
use stockade_types::ids::{HoldId, Lsn};
use stockade_types::record::Record;

use crate::inventory::BulkLoad;
use crate::lifecycle::recover::RecoverError;

/// Least number of records between two counts of ended holds.
const RECORDS_MIN: usize = 16 * 1024;

/// What is forgotten during one replay.
#[derive(Debug)]
pub(crate) struct ReplayEviction {
    /// Ended holds that are kept.
    most: usize,
    /// Records since the last count.
    since: usize,
    /// Holds that later records claim late; searched for before the first hold is forgotten.
    spared: Option<HashSet<HoldId>>,
}

impl ReplayEviction {
    /// Keeps about `most` ended holds: up to a quarter more at times, or twice [`RECORDS_MIN`] if that is more.
    pub(crate) const fn new(most: usize) -> Self {
        Self { most, since: usize::MAX, spared: None }
    }

    /// Called after `records` more records were applied, the last one being `upto`.
    pub(crate) fn after(
        &mut self,
        load: &BulkLoad,
        scanned: &ScannedJournal,
        upto: Lsn,
        records: u32,
    ) -> Result<(), RecoverError> {
        self.since = self.since.saturating_add(usize::try_from(records).unwrap_or(usize::MAX));
        let often = (self.most / 8).max(RECORDS_MIN);
        if self.since < often {
            return Ok(());
        }
        self.since = 0;
        if load.ended() <= self.most.saturating_add(often) {
            return Ok(());
        }
        if self.spared.is_none() {
            self.spared = Some(claimed_late(scanned, upto)?);
        }
        if let Some(spared) = &self.spared {
            load.evict_oldest_ended(self.most, spared);
        }
        Ok(())
    }
}

/// Holds that are claimed late by records after `behind`.
fn claimed_late(scanned: &ScannedJournal, behind: Lsn) -> Result<HashSet<HoldId>, RecoverError> {
    let mut late = HashSet::new();
    for batch in scanned.read(behind.next())? {
        for (_, record) in batch?.iter() {
            late.extend(late_claim(record));
        }
    }
    Ok(late)
}

/// The hold that this record claims late.
fn late_claim(record: &Record) -> Option<HoldId> {
    match record {
        Record::Changed(change) => change.is_late_claim().then_some(change.hold.id),
        Record::Old(fact) => fact.late_claim(),
        Record::Drop(_)
        | Record::Lifecycle(_)
        | Record::DropFact(_)
        | Record::Upgraded(_)
        | Record::Hold(_)
        | Record::Made(_)
        | Record::Superseded(_)
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
        | Record::Usage(_) => None,
    }
}
