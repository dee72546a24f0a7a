//! Forgetting ended holds while a journal is replayed: the engine that wrote it forgot them as they came, and a start has to
//! do with the memory that serving had.
//!
//! What a record forgets stands in no record, so replay goes by the bound. One thing must not be forgotten: an ended hold
//! that is claimed late further on. Before the first hold goes, the rest of the journal is looked through for those.

use std::collections::HashSet;

use stockade_journal::Found;
use stockade_types::ids::{HoldId, Lsn};
use stockade_types::record::Record;

use super::recover::RecoverError;
use crate::inventory::BulkLoad;

/// Records after which ended holds are counted, at least.
const RECORDS_MIN: usize = 16 * 1024;

/// What is forgotten during one replay.
#[derive(Debug)]
pub(super) struct Oblivion {
    /// Ended holds that are kept.
    most: usize,
    /// Records since they were counted.
    since: usize,
    /// Holds that are claimed late further on; looked up once it matters.
    spared: Option<HashSet<HoldId>>,
}

impl Oblivion {
    /// Keeps about so many ended holds: a quarter more for a while.
    pub(super) const fn new(most: usize) -> Self {
        Self { most, since: usize::MAX, spared: None }
    }

    /// So many records more were applied, up to this place.
    pub(super) fn after(
        &mut self,
        load: &BulkLoad,
        found: &Found,
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
            self.spared = Some(claimed_late(found, upto)?);
        }
        if let Some(spared) = &self.spared {
            load.forget_oldest_ended(self.most, spared);
        }
        Ok(())
    }
}

/// Holds that are claimed late behind a place of the journal.
fn claimed_late(found: &Found, behind: Lsn) -> Result<HashSet<HoldId>, RecoverError> {
    let mut late = HashSet::new();
    for batch in found.read(behind.next())? {
        for (_, record) in batch?.iter() {
            late.extend(late_claim(record));
        }
    }
    Ok(late)
}

/// The hold that a record claims after its deadline.
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
        | Record::Usage(_) => None,
    }
}
