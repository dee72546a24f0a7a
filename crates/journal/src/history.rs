//! What a journal keeps for readers: the segments that were trimmed and kept, and the journal itself, up to what is forced
//! to the disk.
//!
//! Whatever the durability, a record that is not forced is not shown: after a loss of power its place may be another's.

mod walk;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use stockade_types::ids::Lsn;
use stockade_types::time::Timestamp;

use self::walk::{Opened, Walk};
use super::file_log::FileLog;
use super::forced::Beyond;
use super::frame::Batch;
use super::kept::KeptSegment;
use super::log::{Log as _, LogError};
use super::marks::{Mark, Marks};
use super::name::JournalName;
use super::segment::kept_name;

/// How often a segment is looked for that is always moved before it is opened.
const OPENINGS: usize = 8;

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

/// Where damage ends that somebody has met: before it, nothing can be read in order.
#[derive(Debug, Clone, Copy, Default)]
struct Sound {
    from: Lsn,
    /// Within which segment that is, and where there; none where it is a segment's begin.
    inside: Option<(Lsn, Mark)>,
}

/// What a journal keeps for readers.
#[derive(Debug)]
pub struct History {
    name: JournalName,
    log: Arc<FileLog>,
    followers: Arc<AtomicUsize>,
    /// Locked for instants only.
    marks: Mutex<Marks>,
    /// Locked for instants only. Known until the process ends: the next one meets the damage again, or what was put right.
    sound: Mutex<Sound>,
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
        Self { name, log, followers: Arc::default(), marks: Mutex::default(), sound: Mutex::default() }
    }

    /// What names the journal.
    #[must_use]
    pub const fn name(&self) -> JournalName {
        self.name
    }

    /// The first record that can be read, or could be if there were one: behind what is missing, and behind damage that
    /// somebody has met. Blocks: who asks first after a start may wait for a listing of the folder of kept segments.
    ///
    /// # Errors
    /// [`HistoryError::Io`] when that listing fails: it may succeed later.
    pub fn oldest(&self) -> Result<Lsn, HistoryError> {
        let oldest = self.log.oldest();
        let oldest = self.log.kept().map_or(Ok(oldest), |kept| kept.oldest(oldest)).map_err(HistoryError::Io)?;
        Ok(oldest.max(self.sound.lock().from))
    }

    /// Whether a record can be read, or could be if it were there. Blocks as [`History::oldest`] does, except for records
    /// that the journal itself has.
    ///
    /// # Errors
    /// As [`History::oldest`].
    pub fn keeps(&self, lsn: Lsn) -> Result<bool, HistoryError> {
        let is_sound = lsn >= self.sound.lock().from;
        Ok(is_sound && (lsn >= self.log.oldest() || lsn >= self.oldest()?))
    }

    /// Everything up to here is forced to the disk, whatever the durability: the last record that can be read, 0 before
    /// the first. Never falls.
    #[must_use]
    pub fn forced(&self) -> Lsn {
        self.log.forced().get()
    }

    /// Whole batches, from the one that holds `from` on: about `bytes` bytes of them, at least one if there is one, none
    /// behind [`History::forced`]. Nothing where `from` is the next record after that. What is read is checked: each
    /// batch's checksum, and that each was written after the one before it. Where it is damaged it ends; what is kept begins
    /// behind that segment from then on. Blocks: for threads that may.
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
        let mut walk = Walk::new(&self.marks, from, end.next(), u64::try_from(bytes).unwrap_or(u64::MAX));
        while walk.goes_on() {
            let segment = self.open(walk.place())?;
            let bounds = segment.bounds();
            if let Err(error) = walk.pass(segment) {
                self.note(&error, bounds);
                // What was read before the damage is given: it can't be asked for again.
                if !walk.has_batches() || !matches!(error, HistoryError::Damage(_)) {
                    return Err(error);
                }
                break;
            }
        }
        Ok(walk.into_batches())
    }

    /// Who goes on from the oldest record after damage is not to come to it again. The newest segment may be damaged only
    /// so far as it has come: what is appended from now on can be read.
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

    /// Opens the segment that holds a record. A segment may be moved or dropped between the search for its place and the
    /// opening: then it is looked for again. Once it is open, it stays readable.
    fn open(&self, lsn: Lsn) -> Result<Opened, HistoryError> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for _ in 0..OPENINGS {
            match self.try_open(lsn) {
                Err(HistoryError::Io(error)) if error.kind() == io::ErrorKind::NotFound => last = error,
                done => return done,
            }
        }
        Err(HistoryError::Io(last))
    }

    fn try_open(&self, lsn: Lsn) -> Result<Opened, HistoryError> {
        let kept = self.log.kept();
        let (segment, next) = match (self.log.segment_of(lsn), kept) {
            (Ok(found), _) => found,
            (Err(oldest), None) => return Err(HistoryError::NotKept { oldest }),
            (Err(oldest), Some(kept)) => {
                let found = kept.holding(lsn, oldest).map_err(HistoryError::Io)?;
                let KeptSegment { name, first, next, .. } = found.map_err(|oldest| HistoryError::NotKept { oldest })?;
                let start = self.start(first, lsn);
                // One that was removed by hand is still known of.
                let source = kept.storage().read_at(&name, start.offset).inspect_err(|error| {
                    if error.kind() == io::ErrorKind::NotFound {
                        kept.forget();
                    }
                });
                return Ok(Opened::new(name, (first, Some(next)), start, source.map_err(HistoryError::Io)?));
            }
        };
        let (name, first) = (segment.file.name, segment.file.first);
        let start = self.start(first, lsn);
        let source = match (self.log.storage().read_at(&name, start.offset), kept.zip(next)) {
            // It was moved, and the log is about to say so.
            (Err(error), Some((kept, next))) if error.kind() == io::ErrorKind::NotFound => {
                kept.storage().read_at(&kept_name(first, next, segment.written_at), start.offset)
            }
            (source, _) => source,
        };
        Ok(Opened::new(name, (first, next), start, source.map_err(HistoryError::Io)?))
    }

    /// Where to begin in a segment to come to a record.
    fn start(&self, segment: Lsn, lsn: Lsn) -> Mark {
        let known = self.marks.lock().before(segment, lsn);
        let known = known.unwrap_or(Mark { next: segment, offset: 0, chain: None });
        let sound = self.sound.lock().inside.filter(|(of, _)| *of == segment).map(|(_, mark)| mark);
        sound.filter(|mark| mark.next <= lsn && mark.next > known.next).unwrap_or(known)
    }

    /// Whether the journal has ended: nothing more will be forced.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.log.forced().has_ended()
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

    /// Looks after the kept segments: drops what the policy no longer keeps, and, while the disk is nearly full, the
    /// oldest. To be called about once a second, on no thread that others wait for: the first call lists the folder.
    ///
    /// # Errors
    /// When the folder can't be read or changed, or a segment could not be kept since the last call.
    pub fn tend(&self, now: Timestamp) -> io::Result<()> {
        self.log.kept().map_or(Ok(()), |kept| kept.tend(now))
    }
}

#[cfg(test)]
mod tests;
