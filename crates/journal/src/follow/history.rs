//! A journal's history for readers: the kept segments and the journal itself, up to the last synced record.
//!
//! Whatever the durability, a record that is not synced is not returned: after a loss of power another record may have
//! its LSN.

mod reader;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use stockade_types::ids::Lsn;
use stockade_types::time::Timestamp;

use self::reader::{HistoryRead, OpenSegment};
use super::marks::{Mark, Marks};
use super::name::JournalName;
use crate::files::file_log::FileLog;
use crate::files::forced::Beyond;
use crate::files::kept::KeptSegment;
use crate::log::batch::Batch;
use crate::log::segment::kept_name;
use crate::log::{Log as _, LogError};

/// How often to search again for a segment that is moved each time before it is opened.
const OPENINGS: usize = 8;

/// Why records can't be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The records are no longer kept.
    #[error("the journal is kept from record {oldest} on")]
    NotKept {
        /// The first record that can be read.
        oldest: Lsn,
    },
    /// The records do not exist yet: the position is from another journal, or from before a restore.
    #[error("the journal ends with record {end}")]
    Beyond {
        /// The last record that can be read.
        end: Lsn,
    },
    /// What is kept is not what was written.
    #[error(transparent)]
    Damage(LogError),
    /// The disk returned an error.
    #[error("the journal could not be read")]
    Io(#[source] io::Error),
}

/// Where known damage ends: nothing before it can be read in order.
#[derive(Debug, Clone, Copy, Default)]
struct Sound {
    from: Lsn,
    /// The segment, and the place in it, if damage ends within one; none if it ends at a segment's begin.
    inside: Option<(Lsn, Mark)>,
}

/// A journal's history for readers.
#[derive(Debug)]
pub struct History {
    name: JournalName,
    log: Arc<FileLog>,
    followers: Arc<AtomicUsize>,
    /// Locked briefly.
    marks: Mutex<Marks>,
    /// Locked briefly. Kept in memory only: the next process finds the damage again, or that it was repaired.
    sound: Mutex<Sound>,
}

/// While one exists, appended records are synced about every 100 ms, whatever the durability.
#[derive(Debug)]
#[must_use = "the journal is followed only while this lives"]
pub struct Following(Arc<AtomicUsize>);

impl Drop for Following {
    fn drop(&mut self) {
        // Relaxed: the figure orders no other data.
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl History {
    /// The history of a log.
    #[must_use]
    pub fn new(name: JournalName, log: Arc<FileLog>) -> Self {
        Self { name, log, followers: Arc::default(), marks: Mutex::default(), sound: Mutex::default() }
    }

    /// The journal's name.
    #[must_use]
    pub const fn name(&self) -> JournalName {
        self.name
    }

    /// The first record that can be read, or the next LSN if there is none: after all gaps and known damage. Blocks:
    /// the first call after a start may list the folder of kept segments.
    ///
    /// # Errors
    /// [`HistoryError::Io`] when that listing fails: a later call may succeed.
    pub fn oldest(&self) -> Result<Lsn, HistoryError> {
        let oldest = self.log.oldest();
        let oldest = self.log.kept().map_or(Ok(oldest), |kept| kept.oldest(oldest)).map_err(HistoryError::Io)?;
        Ok(oldest.max(self.sound.lock().from))
    }

    /// Whether a record can be read, or could be if it existed. Blocks as [`History::oldest`] does, except for records
    /// in the journal itself.
    ///
    /// # Errors
    /// As [`History::oldest`].
    pub fn keeps(&self, lsn: Lsn) -> Result<bool, HistoryError> {
        let is_sound = lsn >= self.sound.lock().from;
        Ok(is_sound && (lsn >= self.log.oldest() || lsn >= self.oldest()?))
    }

    /// The last synced record, whatever the durability, which is the last that can be read; 0 if there is none. Never
    /// decreases.
    #[must_use]
    pub fn forced(&self) -> Lsn {
        self.log.forced().get()
    }

    /// Whole batches, from the one that contains `from` on, none after [`History::forced`]: about `bytes` bytes, at
    /// least one batch if there is one. Nothing if `from` is the next LSN. Each batch's checksum is verified, and that
    /// it follows the one before. Reading stops at damage; from then on the history begins after the damaged segment.
    /// Blocks the thread.
    ///
    /// # Errors
    /// [`HistoryError`].
    pub fn batches(&self, from: Lsn, bytes: usize) -> Result<Vec<Batch>, HistoryError> {
        let end = self.forced();
        if from > end.next() {
            return Err(HistoryError::Beyond { end });
        }
        if from < self.sound.lock().from {
            return Err(HistoryError::NotKept { oldest: self.oldest()? });
        }
        let mut read = HistoryRead::new(&self.marks, from, end.next(), u64::try_from(bytes).unwrap_or(u64::MAX));
        while read.has_more() {
            let segment = self.open(read.place())?;
            let bounds = segment.bounds();
            if let Err(error) = read.pass(segment) {
                self.note(&error, bounds);
                // What was read before the damage is returned: it can't be read again.
                if !read.has_batches() || !matches!(error, HistoryError::Damage(_)) {
                    return Err(error);
                }
                break;
            }
        }
        Ok(read.into_batches())
    }

    /// Marks damage, so that a reader who continues from the oldest record does not meet it again. In the newest
    /// segment only what exists now may be damaged: later records can be read.
    fn note(&self, error: &HistoryError, (first, next): (Lsn, Option<Lsn>)) {
        let HistoryError::Damage(_) = error else { return };
        let (from, offset) = next.map_or_else(|| self.log.behind(first), |next| (next, None));
        let inside = offset.map(|offset| (first, Mark { next: from, offset, chain: None }));
        let mut sound = self.sound.lock();
        if from > sound.from {
            tracing::error!(%error, oldest = %from, "what is kept for readers is damaged: it begins behind that now");
            *sound = Sound { from, inside };
        }
    }

    /// Opens the segment that contains a record. It may be moved or dropped after it was found; then the search is
    /// repeated. Once open, it stays readable.
    fn open(&self, lsn: Lsn) -> Result<OpenSegment, HistoryError> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for _ in 0..OPENINGS {
            match self.try_open(lsn) {
                Err(HistoryError::Io(error)) if error.kind() == io::ErrorKind::NotFound => last = error,
                done => return done,
            }
        }
        Err(HistoryError::Io(last))
    }

    fn try_open(&self, lsn: Lsn) -> Result<OpenSegment, HistoryError> {
        let kept = self.log.kept();
        let (segment, next) = match (self.log.segment_of(lsn), kept) {
            (Ok(found), _) => found,
            (Err(oldest), None) => return Err(HistoryError::NotKept { oldest }),
            (Err(oldest), Some(kept)) => {
                let found = kept.holding(lsn, oldest).map_err(HistoryError::Io)?;
                let KeptSegment { name, first, next, .. } = found.map_err(|oldest| HistoryError::NotKept { oldest })?;
                let start = self.start(first, lsn);
                // The listing may contain a segment that was removed by hand.
                let source = kept.storage().read_at(&name, start.offset).inspect_err(|error| {
                    if error.kind() == io::ErrorKind::NotFound {
                        kept.forget();
                    }
                });
                return Ok(OpenSegment::new(name, (first, Some(next)), start, source.map_err(HistoryError::Io)?));
            }
        };
        let (name, first) = (segment.file.name, segment.file.first);
        let start = self.start(first, lsn);
        let source = match (self.log.storage().read_at(&name, start.offset), kept.zip(next)) {
            // It was moved, but the log does not say so yet.
            (Err(error), Some((kept, next))) if error.kind() == io::ErrorKind::NotFound => {
                kept.storage().read_at(&kept_name(first, next, segment.written_at), start.offset)
            }
            (source, _) => source,
        };
        Ok(OpenSegment::new(name, (first, next), start, source.map_err(HistoryError::Io)?))
    }

    /// Where to begin in a segment to reach a record.
    fn start(&self, segment: Lsn, lsn: Lsn) -> Mark {
        let known = self.marks.lock().before(segment, lsn);
        let known = known.unwrap_or(Mark { next: segment, offset: 0, chain: None });
        let sound = self.sound.lock().inside.filter(|(of, _)| *of == segment).map(|(_, mark)| mark);
        sound.filter(|mark| mark.next <= lsn && mark.next > known.next).unwrap_or(known)
    }

    /// Whether the journal has ended: nothing more will be synced.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.log.forced().has_ended()
    }

    /// Resolves once [`History::forced`] is after `lsn`; with an error once the journal has ended.
    pub fn beyond(&self, lsn: Lsn) -> Beyond {
        self.log.forced().beyond(lsn)
    }

    /// Marks the journal as followed until the result is dropped.
    pub fn follow(&self) -> Following {
        self.followers.fetch_add(1, Ordering::Relaxed);
        Following(Arc::clone(&self.followers))
    }

    /// Whether the journal is followed.
    #[must_use]
    pub fn is_followed(&self) -> bool {
        self.followers.load(Ordering::Relaxed) > 0
    }

    /// Periodic maintenance of kept segments: drops those beyond the policy and, while the disk is nearly full, the
    /// oldest. Must be called about once a second, on a thread that nobody waits for: the first call lists the folder.
    ///
    /// # Errors
    /// When the folder can't be read or changed, or a segment could not be kept since the last call.
    pub fn tend(&self, now: Timestamp) -> io::Result<()> {
        self.log.kept().map_or(Ok(()), |kept| kept.tend(now))
    }
}

#[cfg(test)]
mod tests;
