//! What a log is to the journal: a place that sealed batches are appended to, in order.

use std::fmt;
use std::io;

use stockade_types::ids::Lsn;

use super::frame::{Batch, SealedBatch};
use super::segment::Trailer;

/// Where something in a log is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Which file.
    pub file: String,
    /// How many bytes into it.
    pub offset: u64,
    /// The record that should stand there.
    pub lsn: Lsn,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, lsn } = self;
        write!(f, "{file}, byte {offset}, record {lsn}")
    }
}

/// Why a log did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The disk refused.
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
    /// The batch was handed over, but whether it will last is not known.
    #[error("the journal could not be forced to the disk: whether its last batch will last is unknown")]
    Unknown(#[source] io::Error),
    /// What is written to is no longer what the path names: nobody would find it again.
    #[error("the journal was taken away while it was served")]
    Gone(#[source] io::Error),
    /// Something is there, and it is wrong.
    #[error("the journal is damaged at {place}: {what}")]
    Damage {
        /// Where.
        place: Place,
        /// What is wrong.
        what: String,
    },
    /// Written in a format that this program does not read.
    #[error("{file} has journal format {found}, but this program reads format {ours}", ours = super::FORMAT_VERSION)]
    Foreign {
        /// Which file.
        file: String,
        /// Its format.
        found: u16,
    },
    /// The folder has files that no journal makes.
    #[error("the journal's folder has files that are not the journal's: {}", .0.join(", "))]
    ForeignFiles(Vec<String>),
    /// A later term has begun: whoever wrote this must stop. Not a fault of the log.
    #[error("the journal belongs to term {current} now")]
    Fenced {
        /// The term that has begun.
        current: u64,
    },
    /// The place asked for is not the log's.
    #[error("record {asked} was asked for, but the journal has {oldest} up to before {next}")]
    WrongPosition {
        /// The place in the call.
        asked: Lsn,
        /// The oldest record that is still there, or would be.
        oldest: Lsn,
        /// Where the next record goes.
        next: Lsn,
    },
    /// The log was closed, or an earlier call has failed: it takes nothing more.
    #[error("the journal takes nothing more")]
    Stopped,
}

impl LogError {
    pub(super) fn writing(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| {
            let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge];
            if full.contains(&source.kind()) { Self::Full(source) } else { Self::Io { doing, source } }
        }
    }

    /// Whether the log takes nothing more, where a call other than `append`, `sync` and `close` ends with it.
    pub(super) const fn is_final(&self) -> bool {
        matches!(self, Self::Unknown(_) | Self::Gone(_))
    }

    pub(super) fn reading(source: io::Error) -> Self {
        Self::Io { doing: "be read", source }
    }
}

/// Batches of a log, in order.
pub type Batches<'a> = Box<dyn Iterator<Item = Result<Batch, LogError>> + Send + 'a>;

/// A log of sealed batches.
///
/// One append is outstanding at a time. What a failed call leaves behind: [`LogError::WrongPosition`] and
/// [`LogError::Fenced`] leave the log as it was. After any other failure of `append`, `sync` or `close`, and after
/// [`LogError::Unknown`] and [`LogError::Gone`] of any call, the log takes nothing more ([`LogError::Stopped`]): the batch may be there wholly,
/// in part or not at all, and only opening the log again tells. Such a batch must never be taken for absent.
pub trait Log: Send + Sync + fmt::Debug {
    /// Appends a batch whose first record has the LSN `expected`. Durable, as this log understands it, on return; and
    /// where it can be taken away under the process ([`LogError::Gone`]), it was still at its place then.
    ///
    /// # Errors
    /// See [`LogError`].
    fn append(&self, expected: Lsn, batch: &SealedBatch) -> Result<(), LogError>;

    /// Forces all that was appended to the disk, whatever the log's durability is. May run beside an append.
    ///
    /// # Errors
    /// See [`LogError`].
    fn sync(&self) -> Result<(), LogError>;

    /// Reads batches, from the one that holds `from` to the last that is appended now. Records before `from` in the
    /// first batch are told too. Nothing when `from` is the next LSN.
    ///
    /// # Errors
    /// [`LogError::WrongPosition`] when `from` is trimmed or not yet there; in the iteration also what is found wrong,
    /// after which it ends. A trim below may take away what a slow reader has still to read.
    fn read(&self, from: Lsn) -> Result<Batches<'_>, LogError>;

    /// Drops whole pieces of the log (segments), all of whose records are before `below`. Never the newest piece.
    ///
    /// # Errors
    /// [`LogError::Io`] when something can't be dropped: it costs room, and the log goes on. [`LogError::Unknown`] when
    /// the dropping can't be forced to the disk: the log takes nothing more. What was dropped by then stays dropped.
    fn trim(&self, below: Lsn) -> Result<(), LogError>;

    /// Looks after what appends rely on, while they go on: that the log is where it was, and that the next piece of it is
    /// ready. To be called several times a second, on no thread that others wait for.
    ///
    /// # Errors
    /// [`LogError::Io`] and [`LogError::Full`]: no next piece can be made now; the log goes on. [`LogError::Gone`] when
    /// it was taken away, and [`LogError::Unknown`]: it takes nothing more.
    fn tend(&self) -> Result<(), LogError> {
        Ok(())
    }

    /// Bytes that the log takes.
    fn bytes(&self) -> u64;

    /// The oldest record that can be read, or would be.
    fn oldest(&self) -> Lsn;

    /// Ends the log cleanly, all of it on the disk. It takes nothing more.
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
