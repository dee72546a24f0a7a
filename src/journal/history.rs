//! What a journal keeps for readers: the segments that were trimmed and kept, and the journal itself, up to what is forced
//! to the disk.
//!
//! Whatever the durability, a record that is not forced is not shown: after a loss of power its place may be another's.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::file_log::FileLog;
use super::forced::Beyond;
use super::frame::Batch;
use super::log::{Log as _, LogError};
use super::name::JournalName;
use crate::ids::Lsn;

/// Why records can't be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// They are no longer kept.
    #[error("the journal is kept from record {oldest} on")]
    NotKept {
        /// The first record that can be read.
        oldest: Lsn,
    },
    /// They do not exist yet: who names their place has it from another journal, or from before a restore.
    #[error("the journal ends with record {end}")]
    Beyond {
        /// The last record that can be read.
        end: Lsn,
    },
    /// What is kept is not what was written.
    #[error(transparent)]
    Damage(LogError),
    /// The disk.
    #[error("the journal could not be read")]
    Io(#[source] io::Error),
}

impl From<LogError> for HistoryError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Io { doing: _, source } => Self::Io(source),
            error @ (LogError::Full(_)
            | LogError::Unknown(_)
            | LogError::Gone(_)
            | LogError::Damage { .. }
            | LogError::Foreign { .. }
            | LogError::ForeignFiles(_)
            | LogError::Fenced { .. }
            | LogError::WrongPosition { .. }
            | LogError::Stopped) => Self::Damage(error),
        }
    }
}

/// What a journal keeps for readers.
#[derive(Debug)]
pub struct History {
    name: JournalName,
    log: Arc<FileLog>,
    followers: Arc<AtomicUsize>,
}

/// While one lives, what is appended is forced to the disk about every 100 ms, whatever the durability.
#[derive(Debug)]
#[must_use = "the journal is followed only while this lives"]
pub struct Following(Arc<AtomicUsize>);

impl Drop for Following {
    fn drop(&mut self) {
        // Relaxed: a figure that carries no other data.
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl History {
    /// Of a log.
    #[must_use]
    pub fn new(name: JournalName, log: Arc<FileLog>) -> Self {
        Self { name, log, followers: Arc::default() }
    }

    /// What names the journal.
    #[must_use]
    pub const fn name(&self) -> JournalName {
        self.name
    }

    /// The first record that can be read, or could be if there were one. Blocks: who asks first after a start may wait
    /// for a look at the folder of kept segments.
    #[must_use]
    pub fn oldest(&self) -> Lsn {
        self.log.oldest()
    }

    /// Everything up to here is forced to the disk, whatever the durability: the last record that can be read, 0 before
    /// the first. Never falls.
    #[must_use]
    pub fn forced(&self) -> Lsn {
        self.log.forced().get()
    }

    /// Whole batches, from the one that holds `from` on: about so many bytes of them, at least one if there is one, none
    /// behind [`History::forced`]. Nothing where `from` is the next record after that. Blocks: for threads that may.
    ///
    /// # Errors
    /// [`HistoryError`].
    pub fn batches(&self, from: Lsn, bytes: usize) -> Result<Vec<Batch>, HistoryError> {
        let end = self.forced();
        let (oldest, next) = (self.oldest(), end.next());
        if from > next {
            return Err(HistoryError::Beyond { end });
        }
        if from < oldest {
            return Err(HistoryError::NotKept { oldest });
        }
        let (mut batches, mut taken) = (Vec::new(), 0_u64);
        for batch in self.log.read(from)? {
            let batch = batch?;
            if batch.head.first >= next || taken >= u64::try_from(bytes).unwrap_or(u64::MAX) {
                break;
            }
            taken = taken.saturating_add(batch.bytes);
            batches.push(batch);
        }
        Ok(batches)
    }

    /// Resolves once [`History::forced`] is behind `lsn`; with an error once the journal has ended.
    pub fn beyond(&self, lsn: Lsn) -> Beyond {
        self.log.forced().beyond(lsn)
    }

    /// The journal is followed from now on, until the answer is dropped.
    pub fn follow(&self) -> Following {
        self.followers.fetch_add(1, Ordering::Relaxed);
        Following(Arc::clone(&self.followers))
    }

    /// Whether somebody follows.
    #[must_use]
    pub fn is_followed(&self) -> bool {
        self.followers.load(Ordering::Relaxed) > 0
    }
}
