//! The model after each record of the journal: the states that a recovery may reach.

use crate::model::state::Model;

/// The state after one record.
#[derive(Debug, Clone)]
pub struct Moment {
    /// The record's LSN.
    pub lsn: u64,
    /// Engine time when it was appended.
    pub at: u64,
    pub model: Model,
}

/// All moments since the drops were made, in order and without a gap.
#[derive(Debug)]
pub struct History {
    moments: Vec<Moment>,
    /// The LSNs at which batches are known to have ended: a batch survives whole or not at all.
    ends: Vec<u64>,
}

impl History {
    pub fn beginning_with(moment: Moment) -> Self {
        let ends = vec![moment.lsn];
        Self { moments: vec![moment], ends }
    }

    pub fn append(&mut self, at: u64, model: &Model) {
        let lsn = self.last() + 1;
        self.moments.push(Moment { lsn, at, model: model.clone() });
    }

    /// The LSN of the record that made the last of the drops.
    pub fn first(&self) -> u64 {
        self.moments.first().map_or(0, |moment| moment.lsn)
    }

    /// The LSN of the last record appended.
    pub fn last(&self) -> u64 {
        self.moments.last().map_or(0, |moment| moment.lsn)
    }

    pub fn at(&self, lsn: u64) -> Option<&Moment> {
        let place = lsn.checked_sub(self.moments.first()?.lsn)?;
        self.moments.get(usize::try_from(place).ok()?)
    }

    /// Records that a batch ending here was written to the disk.
    pub fn batch_ends(&mut self, lsn: u64) {
        if self.ends.last().is_none_or(|last| *last < lsn) {
            self.ends.push(lsn);
        }
    }

    pub fn is_end(&self, lsn: u64) -> bool {
        self.ends.binary_search(&lsn).is_ok()
    }

    /// The last LSN before this one at which a batch ended.
    pub fn end_before(&self, lsn: u64) -> u64 {
        let earlier = self.ends.partition_point(|end| *end < lsn);
        earlier.checked_sub(1).and_then(|place| self.ends.get(place)).copied().unwrap_or(0)
    }

    /// Removes everything after this LSN.
    pub fn cut(&mut self, lsn: u64) {
        self.moments.retain(|moment| moment.lsn <= lsn);
        self.ends.retain(|end| *end <= lsn);
    }
}
