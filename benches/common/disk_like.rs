//! A log in memory that is as slow as a disk.

use std::time::Duration;

use stockade_journal::{Batches, Log, LogError, MemoryLog, SealedBatch, Trailer};
use stockade_types::ids::Lsn;

/// Each batch takes as long as a disk takes to force it; meanwhile the next batch gathers.
#[derive(Debug)]
pub struct DiskLike(MemoryLog);

/// The approximate duration of an `fdatasync`.
const FORCING: Duration = Duration::from_micros(120);

impl DiskLike {
    pub fn new() -> Self {
        Self(MemoryLog::ephemeral())
    }
}

impl Log for DiskLike {
    fn append(&self, expected: Lsn, batch: &SealedBatch) -> Result<(), LogError> {
        std::thread::sleep(FORCING);
        self.0.append(expected, batch)
    }
    fn sync(&self) -> Result<(), LogError> {
        self.0.sync()
    }
    fn read(&self, from: Lsn) -> Result<Batches<'_>, LogError> {
        self.0.read(from)
    }
    fn trim(&self, below: Lsn) -> Result<(), LogError> {
        self.0.trim(below)
    }
    fn bytes(&self) -> u64 {
        self.0.bytes()
    }
    fn oldest(&self) -> Lsn {
        self.0.oldest()
    }
    fn close(&self, trailer: &Trailer) -> Result<(), LogError> {
        self.0.close(trailer)
    }
}
