//! A log in memory that does something before each batch.

use std::fmt;

use stockade_journal::{Batches, Log, LogError, MemoryLog, SealedBatch, Trailer};
use stockade_types::ids::Lsn;

/// A log in memory, and what is done before each of its batches.
pub struct Before<F>(pub MemoryLog, pub F);

impl<F> fmt::Debug for Before<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<F: Fn() + Send + Sync> Log for Before<F> {
    fn append(&self, expected: Lsn, batch: &SealedBatch) -> Result<(), LogError> {
        (self.1)();
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
