//! What the hand-off's source names and the models do not check: places, times, batches and a log that only notes.

/// What `crate::ids` has of a place in the journal.
pub mod ids {
    /// A place in the journal.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
    pub struct Lsn(pub u64);

    impl Lsn {
        /// The place `records` further on.
        #[must_use]
        pub const fn plus(self, records: u64) -> Self {
            Self(self.0 + records)
        }
    }
}

/// What `crate::time` has of an instant.
pub mod time {
    /// An instant.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub struct Timestamp(pub u64);

    impl Timestamp {
        /// Later than every instant.
        pub const NEVER: Self = Self(u64::MAX);
    }
}

/// What `crate::metrics` has of measuring.
pub mod metrics {
    use std::time::Duration;

    /// Time stands still in the models.
    #[derive(Debug, Clone, Copy)]
    pub struct Stopwatch;

    impl Stopwatch {
        /// Now.
        #[must_use]
        pub const fn start() -> Self {
            Self
        }

        /// Always nothing.
        #[must_use]
        pub const fn elapsed(&self) -> Duration {
            Duration::ZERO
        }
    }

    /// Counts nothing.
    #[derive(Debug, Default)]
    pub struct Uncounted;

    impl Uncounted {
        /// Nothing.
        pub const fn observe(&self, _took: Duration) {}
        /// Nothing.
        pub const fn increment(&self) {}
        /// Nothing.
        pub const fn add(&self, _more: u64) {}
    }
}

/// What the journal's own modules have of a batch: its head, and its place for a hash.
pub mod frame {
    use crate::ids::Lsn;
    use crate::time::Timestamp;

    /// Bytes before the payload.
    pub const BATCH_HEAD: usize = 8;
    /// Room for two operations.
    pub const MAX_BATCH: usize = BATCH_HEAD + 2;

    /// The last place of the batch that it is the hash of.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct BatchHash(pub u64);

    /// What stands before a batch's records.
    #[derive(Debug, Clone, Copy)]
    pub struct BatchHead {
        /// The term.
        pub epoch: u64,
        /// Place of the first record.
        pub first: Lsn,
        /// How many.
        pub count: u32,
        /// When.
        pub written_at: Timestamp,
        /// Hash of the batch before.
        pub before: BatchHash,
    }

    impl BatchHead {
        /// Where the next batch goes.
        #[must_use]
        pub fn next(&self) -> Lsn {
            self.first.plus(self.count.into())
        }
    }

    /// A batch as it is written.
    #[derive(Debug)]
    pub struct SealedBatch {
        head: BatchHead,
        bytes: Vec<u8>,
    }

    impl SealedBatch {
        /// Of these bytes.
        #[must_use]
        pub const fn seal(head: BatchHead, bytes: Vec<u8>) -> Self {
            Self { head, bytes }
        }

        /// Its head.
        #[must_use]
        pub const fn head(&self) -> &BatchHead {
            &self.head
        }

        /// Its hash.
        #[must_use]
        pub fn hash(&self) -> BatchHash {
            BatchHash(self.head.next().0 - 1)
        }

        /// Its bytes.
        #[must_use]
        pub fn bytes(&self) -> &[u8] {
            &self.bytes
        }

        /// The buffer, to be used again.
        #[must_use]
        pub fn into_buffer(self) -> Vec<u8> {
            self.bytes
        }
    }
}

/// What the journal's own modules have of a segment's end.
pub mod segment {
    use super::frame::BatchHash;
    use crate::ids::Lsn;
    use crate::time::Timestamp;

    /// How the log ends.
    #[derive(Debug, Clone, Copy)]
    pub struct Trailer {
        /// The term.
        pub epoch: u64,
        /// Where the next term goes on.
        pub next: Lsn,
        /// When.
        pub closed_at: Timestamp,
        /// Hash of the last batch.
        pub chain: BatchHash,
    }
}

/// What the journal's own modules have of a log, and one that notes how far it was written.
pub mod log {
    use super::frame::SealedBatch;
    use super::segment::Trailer;
    use crate::ids::Lsn;
    use crate::sync::{AtomicU64, Ordering};

    /// A log's refusal.
    #[derive(Debug, Clone, thiserror::Error)]
    #[error("the log refused")]
    pub struct LogError;

    /// A log of batches.
    pub trait Log: Send + Sync + std::fmt::Debug {
        /// Appends a batch.
        ///
        /// # Errors
        /// When the log refuses.
        fn append(&self, expected: Lsn, batch: &SealedBatch) -> Result<(), LogError>;

        /// Ends the log.
        ///
        /// # Errors
        /// When the log refuses.
        fn close(&self, trailer: &Trailer) -> Result<(), LogError>;
    }

    /// Notes how far it was written, with no ordering of its own: who reads it late has been told too early.
    #[derive(Debug)]
    pub struct Book {
        written: AtomicU64,
        ended: AtomicU64,
        takes: u64,
    }

    impl Book {
        /// A log that takes records up to this place, and refuses then.
        #[must_use]
        pub fn up_to(takes: u64) -> Self {
            Self { written: AtomicU64::new(0), ended: AtomicU64::new(0), takes }
        }

        /// The last record that it was given.
        pub fn written(&self) -> Lsn {
            Lsn(self.written.load(Ordering::Relaxed))
        }

        /// Where it was ended; 0 while it is not.
        pub fn ended(&self) -> Lsn {
            Lsn(self.ended.load(Ordering::Relaxed))
        }
    }

    impl Log for Book {
        fn append(&self, expected: Lsn, batch: &SealedBatch) -> Result<(), LogError> {
            assert_eq!(expected, self.written().plus(1), "a batch out of order");
            let last = batch.hash().0;
            if last > self.takes {
                return Err(LogError);
            }
            self.written.store(last, Ordering::Relaxed);
            Ok(())
        }

        fn close(&self, trailer: &Trailer) -> Result<(), LogError> {
            self.ended.store(trailer.next.0, Ordering::Relaxed);
            Ok(())
        }
    }
}

/// What the journal has of what it goes on with.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    /// Where the next record goes.
    pub next: ids::Lsn,
    /// Hash of the last batch.
    pub chain: frame::BatchHash,
    /// This term.
    pub epoch: u64,
}

impl Start {
    /// Of a log that has never been written to.
    pub const FIRST: Self = Self { next: ids::Lsn(1), chain: frame::BatchHash(0), epoch: 1 };
}

/// What the journal has of metrics.
#[derive(Debug, Default)]
pub struct JournalMetrics {
    /// Not counted.
    pub sync_duration: metrics::Uncounted,
    /// Not counted.
    pub batches: metrics::Uncounted,
    /// Not counted.
    pub records: metrics::Uncounted,
    /// Not counted.
    pub bytes: metrics::Uncounted,
}
