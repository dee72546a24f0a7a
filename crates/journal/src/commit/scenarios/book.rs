//! A log that notes how far it was written, and nothing else.

use stockade_counter::sync::{AtomicU64, Ordering};
use stockade_types::ids::Lsn;

use crate::log::batch::SealedBatch;
use crate::log::segment::Trailer;
use crate::log::{Batches, Log, LogError};

/// The notes, without ordering: an early acknowledgement shows as a stale value.
#[derive(Debug)]
pub(super) struct Book {
    written: AtomicU64,
    ended: AtomicU64,
    takes: u64,
}

impl Book {
    /// A log that accepts records up to this LSN, and then fails.
    pub(super) fn up_to(takes: u64) -> Self {
        Self { written: AtomicU64::new(0), ended: AtomicU64::new(0), takes }
    }

    /// The last record that it was given.
    pub(super) fn written(&self) -> Lsn {
        Lsn(self.written.load(Ordering::Relaxed))
    }

    /// Where it was ended; 0 if it was not.
    pub(super) fn ended(&self) -> Lsn {
        Lsn(self.ended.load(Ordering::Relaxed))
    }
}

impl Log for Book {
    fn append(&self, expected: Lsn, batch: &SealedBatch) -> Result<(), LogError> {
        assert_eq!(expected, self.written().next(), "a batch out of order");
        let last = batch.head().next().0.saturating_sub(1);
        if last > self.takes {
            return Err(LogError::Stopped);
        }
        self.written.store(last, Ordering::Relaxed);
        Ok(())
    }

    fn sync(&self) -> Result<(), LogError> {
        Ok(())
    }

    fn read(&self, _from: Lsn) -> Result<Batches<'_>, LogError> {
        Err(LogError::Stopped)
    }

    fn trim(&self, _below: Lsn) -> Result<(), LogError> {
        Ok(())
    }

    fn bytes(&self) -> u64 {
        0
    }

    fn oldest(&self) -> Lsn {
        Lsn(1)
    }

    fn close(&self, trailer: &Trailer) -> Result<(), LogError> {
        self.ended.store(trailer.next.0, Ordering::Relaxed);
        Ok(())
    }
}
