//! The log below the journal: it stores sealed batches in order. What a log is, the bytes of batches and segments, and a
//! log in memory.

pub(crate) mod batch;
pub(crate) mod memory;
pub(crate) mod segment;
pub(crate) mod window;

use std::fmt;
use std::io;

use stockade_types::ids::Lsn;

use self::batch::{Batch, BatchHash, SealedBatch};
use self::segment::Trailer;

/// The location of a fault in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Which file.
    pub file: String,
    /// The byte offset in it.
    pub offset: u64,
    /// The record that was expected there.
    pub lsn: Lsn,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, lsn } = self;
        write!(f, "{file}, byte {offset}, record {lsn}")
    }
}

/// Why a call of a log failed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The disk returned an error.
    #[error("the journal could not {doing}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// No room is left.
    #[error("no room is left for the journal")]
    Full(#[source] io::Error),
    /// The batch was written, but its sync failed: whether it is durable is unknown.
    #[error("the journal could not be synced to the disk: whether its last batch is durable is unknown")]
    Unknown(#[source] io::Error),
    /// The path no longer names the open file: a restart would not find it.
    #[error("the journal was taken away while it was served")]
    Gone(#[source] io::Error),
    /// The contents are wrong.
    #[error("the journal is damaged at {place}: {what}")]
    Damage {
        /// Where.
        place: Place,
        /// What is wrong.
        what: String,
    },
    /// The file's format is one that this program does not read.
    #[error("{file} has journal format {found}, but this program reads format {ours}", ours = self::batch::FORMAT_VERSION)]
    Foreign {
        /// Which file.
        file: String,
        /// Its format.
        found: u16,
    },
    /// The folder has files that no journal makes.
    #[error("the journal's folder has files that are not the journal's: {}", .0.join(", "))]
    ForeignFiles(Vec<String>),
    /// A later term has begun: the writer of this batch must stop. The log is intact.
    #[error("the journal belongs to term {current} now")]
    Fenced {
        /// The term that has begun.
        current: u64,
    },
    /// The requested position is outside the log.
    #[error("record {asked} was requested, but the journal begins with record {oldest} and ends before record {next}")]
    WrongPosition {
        /// The position in the call.
        asked: Lsn,
        /// The oldest record, or `next` if there is none.
        oldest: Lsn,
        /// The LSN of the next record.
        next: Lsn,
    },
    /// The log was closed, or an earlier call failed: it accepts nothing more.
    #[error("the journal accepts nothing more")]
    Stopped,
}

impl LogError {
    pub(crate) fn writing(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| {
            let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge];
            if full.contains(&source.kind()) { Self::Full(source) } else { Self::Io { doing, source } }
        }
    }

    /// Whether the log accepts nothing more after a call other than `append`, `sync` and `close` returned this.
    pub(crate) const fn is_final(&self) -> bool {
        matches!(self, Self::Unknown(_) | Self::Gone(_))
    }

    pub(crate) fn reading(source: io::Error) -> Self {
        Self::Io { doing: "be read", source }
    }
}

/// Batches of a log, in order.
pub type Batches<'a> = Box<dyn Iterator<Item = Result<Batch, LogError>> + Send + 'a>;

/// Where the writer continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The LSN of the next record.
    pub next: Lsn,
    /// Hash of the last batch.
    pub chain: BatchHash,
    /// This term.
    pub term: u64,
}

impl Start {
    /// For an empty log.
    pub const FIRST: Self = Self { next: Lsn(1), chain: BatchHash::NONE, term: 1 };
}

/// A log of sealed batches.
///
/// Only one append runs at a time. After a failed call: [`LogError::WrongPosition`] and [`LogError::Fenced`] leave the
/// log unchanged. After any other failure of `append`, `sync` or `close`, and after [`LogError::Unknown`] and
/// [`LogError::Gone`] of any call, the log accepts nothing more ([`LogError::Stopped`]). The failed batch may then be
/// present wholly, in part or not at all, and only opening the log again shows which. It must never be assumed absent.
pub trait Log: Send + Sync + fmt::Debug {
    /// Appends a batch whose first record has the LSN `expected`. On return the batch is durable, as this log defines
    /// it, and the log was still at its path, for logs that can be removed ([`LogError::Gone`]).
    ///
    /// # Errors
    /// See [`LogError`].
    fn append(&self, expected: Lsn, batch: &SealedBatch) -> Result<(), LogError>;

    /// Syncs everything appended to the disk, whatever the log's durability. May run concurrently with an append.
    ///
    /// # Errors
    /// See [`LogError`].
    fn sync(&self) -> Result<(), LogError>;

    /// Reads batches, from the one that contains `from` to the last one appended at the time of the call. The first
    /// batch also has its records before `from`. Nothing if `from` is the next LSN.
    ///
    /// # Errors
    /// [`LogError::WrongPosition`] when `from` is trimmed or not yet appended. The iteration also returns damage, and
    /// ends after it. A trim may remove what a slow reader has not read yet.
    fn read(&self, from: Lsn) -> Result<Batches<'_>, LogError>;

    /// Drops whole segments, all of whose records are before `below`. Never the newest.
    ///
    /// # Errors
    /// [`LogError::Io`] when a segment can't be dropped: it takes up room, and the log continues. [`LogError::Unknown`]
    /// when dropping can't be synced: the log accepts nothing more. What was dropped before stays dropped.
    fn trim(&self, below: Lsn) -> Result<(), LogError>;

    /// Background maintenance while appends run: checks that the log is at its path, and prepares the next segment.
    /// Must be called several times a second, on a thread that nobody waits for.
    ///
    /// # Errors
    /// [`LogError::Io`] and [`LogError::Full`]: no next segment can be made now; the log continues. [`LogError::Gone`]
    /// when the log was removed or replaced, and [`LogError::Unknown`]: it accepts nothing more.
    fn tend(&self) -> Result<(), LogError> {
        Ok(())
    }

    /// Its size in bytes.
    fn bytes(&self) -> u64;

    /// The oldest record that can be read, or the next LSN if there is none.
    fn oldest(&self) -> Lsn;

    /// Closes the log cleanly, all of it synced. It accepts nothing more.
    ///
    /// # Errors
    /// See [`LogError`].
    fn close(&self, trailer: &Trailer) -> Result<(), LogError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_room_is_told_apart() {
        let error = LogError::writing("be written")(io::ErrorKind::StorageFull.into());
        assert!(matches!(error, LogError::Full(_)), "{error:?}");
        let error = LogError::writing("be written")(io::ErrorKind::PermissionDenied.into());
        assert!(matches!(&error, LogError::Io { doing: "be written", .. }), "{error:?}");
        assert_eq!(error.to_string(), "the journal could not be written");
    }

    #[test]
    fn damage_names_its_place() {
        let place = Place { file: "a.journal".to_owned(), offset: 68, lsn: Lsn(7) };
        let text = LogError::Damage { place, what: "it is torn".to_owned() }.to_string();
        assert_eq!(text, "the journal is damaged at a.journal, byte 68, record 7: it is torn");
    }
}
