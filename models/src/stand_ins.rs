//! Types that the hand-off's source names and the models do not check: LSNs, times, batches, and a log that only notes
//! LSNs.

/// The part of `crate::ids` for LSNs.
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

/// The part of `crate::time` for instants.
pub mod time {
    /// An instant.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub struct Timestamp(pub u64);

    impl Timestamp {
        /// Later than every instant.
        pub const NEVER: Self = Self(u64::MAX);
    }
}

/// The part of `crate::metrics` for durations.
pub mod metrics {
    use std::time::Duration;

    /// A stopwatch; time does not pass in the models.
    #[derive(Debug, Clone, Copy)]
    pub struct Stopwatch;

    impl Stopwatch {
        /// Now.
        #[must_use]
        pub const fn start() -> Self {
            Self
        }

        /// Always zero.
        #[must_use]
        pub const fn elapsed(&self) -> Duration {
            Duration::ZERO
        }
    }

    /// A metric that records nothing.
    #[derive(Debug, Default)]
    pub struct Uncounted;

    impl Uncounted {
        /// Does nothing.
        pub const fn observe(&self, _took: Duration) {}
        /// Does nothing.
        pub const fn increment(&self) {}
        /// Does nothing.
        pub const fn add(&self, _more: u64) {}
    }
}

/// Batches of the journal: the head, and an LSN in place of the hash.
pub mod frame {
    use crate::ids::Lsn;
    use crate::time::Timestamp;

    /// Bytes before the payload.
    pub const BATCH_HEAD: usize = 8;
    /// Room for two operations.
    pub const BATCH_BYTES_MAX: usize = BATCH_HEAD + 2;

    /// The last LSN of the batch, in place of its hash.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct BatchHash(pub u64);

    /// The head of a batch.
    #[derive(Debug, Clone, Copy)]
    pub struct BatchHead {
        /// The term.
        pub term: u64,
        /// LSN of the first record.
        pub first: Lsn,
        /// Number of records.
        pub count: u32,
        /// The time of writing.
        pub written_at: Timestamp,
        /// Hash of the batch before.
        pub before: BatchHash,
    }

    impl BatchHead {
        /// The LSN of the next batch.
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
        /// A batch with these bytes.
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

        /// The buffer, to be reused.
        #[must_use]
        pub fn into_buffer(self) -> Vec<u8> {
            self.bytes
        }
    }
}

/// The end of a segment.
pub mod segment {
    use super::frame::BatchHash;
    use crate::ids::Lsn;
    use crate::time::Timestamp;

    /// The end of the log.
    #[derive(Debug, Clone, Copy)]
    pub struct Trailer {
        /// The term.
        pub term: u64,
        /// Where the next term continues.
        pub next: Lsn,
        /// The time of closing.
        pub closed_at: Timestamp,
        /// Hash of the last batch.
        pub chain: BatchHash,
    }
}

/// A log, and an implementation that notes how far it was written.
pub mod log {
    use super::frame::SealedBatch;
    use super::segment::Trailer;
    use crate::ids::Lsn;
    use crate::sync::{AtomicU64, Ordering};

    /// The log's error.
    #[derive(Debug, Clone, thiserror::Error)]
    #[error("the log refused")]
    pub struct LogError;

    /// A log of batches.
    pub trait Log: Send + Sync + std::fmt::Debug {
        /// Appends a batch.
        ///
        /// # Errors
        /// When the log fails.
        fn append(&self, expected: Lsn, batch: &SealedBatch) -> Result<(), LogError>;

        /// Ends the log.
        ///
        /// # Errors
        /// When the log fails.
        fn close(&self, trailer: &Trailer) -> Result<(), LogError>;
    }

    /// A log that notes how far it was written, without ordering: an early acknowledgement shows as a stale value.
    #[derive(Debug)]
    pub struct Book {
        written: AtomicU64,
        ended: AtomicU64,
        takes: u64,
    }

    impl Book {
        /// A log that accepts records up to this LSN, and then fails.
        #[must_use]
        pub fn up_to(takes: u64) -> Self {
            Self { written: AtomicU64::new(0), ended: AtomicU64::new(0), takes }
        }

        /// The last record that it was given.
        pub fn written(&self) -> Lsn {
            Lsn(self.written.load(Ordering::Relaxed))
        }

        /// Where it was ended; 0 if it was not.
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

/// The state with which a journal starts.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    /// LSN of the next record.
    pub next: ids::Lsn,
    /// Hash of the last batch.
    pub chain: frame::BatchHash,
    /// This term.
    pub term: u64,
}

impl Start {
    /// The start of an empty log.
    pub const FIRST: Self = Self { next: ids::Lsn(1), chain: frame::BatchHash(0), term: 1 };
}

/// The metrics of the journal.
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
