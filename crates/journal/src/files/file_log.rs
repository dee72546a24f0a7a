//! The log on a disk: segment files that are appended to, one after another.
//!
//! The log starts a new segment when the newest is full, always between two batches. All segments but the newest are
//! synced, whatever the durability. Written data is never overwritten.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use stockade_types::ids::Lsn;

use super::forced::Forced;
use super::kept::KeptSegments;
use super::recover::{Blank, JournalState, OpenedFiles, ScannedJournal, Segment};
use super::scan::{Tip, batches_from};
use crate::log::batch::SealedBatch;
use crate::log::segment::{Durability, Trailer, segment_name};
use crate::log::{Batches, Log, LogError};
use crate::storage::{Storage, StorageFile};

/// Default for the most bytes of a segment.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// While no file can be made for the next segment, the newest grows to up to this many times its size.
pub const SEGMENT_STRETCH: u64 = 16;

/// Options of a log on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileLogOptions {
    /// When an append counts as done.
    pub durability: Durability,
    /// The most bytes of a segment. A segment with a single batch may be larger, and so may one while no file can be
    /// made for the next ([`SEGMENT_STRETCH`]).
    pub segment_bytes: u64,
}

impl Default for FileLogOptions {
    fn default() -> Self {
        Self { durability: Durability::Sync, segment_bytes: SEGMENT_BYTES }
    }
}

/// The end of the log, where the next batch goes.
#[derive(Debug)]
struct Tail {
    file: Arc<dyn StorageFile>,
    /// Name of the newest segment, which is `file`.
    name: String,
    /// Bytes in the newest segment.
    bytes: u64,
    /// First LSN of the newest segment.
    begins: Lsn,
    tip: Tip,
    /// Batches of older terms are rejected.
    term: u64,
}

/// The readable part of the log.
#[derive(Debug)]
struct Readable {
    /// Oldest first, never empty.
    segments: VecDeque<Segment>,
    next: Lsn,
}

impl Readable {
    fn oldest(&self) -> Lsn {
        self.segments.front().map_or(self.next, |segment| segment.file.first)
    }
}

/// A log in a folder of its own.
#[derive(Debug)]
pub struct FileLog {
    storage: Arc<dyn Storage>,
    options: FileLogOptions,
    /// Locked while a batch is written. Lock order: `tail`, `blank`, `readable`.
    tail: Mutex<Tail>,
    /// The file for the next segment, made ahead.
    blank: Mutex<Option<Blank>>,
    /// Where trimmed segments are moved; none: they are removed.
    kept: Option<KeptSegments>,
    /// Locked briefly.
    readable: Mutex<Readable>,
    /// One trim at a time, so that segments are removed oldest first.
    trimming: Mutex<()>,
    bytes: AtomicU64,
    /// How far everything is synced.
    forced: Forced,
    stopped: AtomicBool,
}

impl FileLog {
    /// Opens the journal in a folder and repairs what a crash may leave; an empty folder is a first start.
    ///
    /// # Errors
    /// [`LogError::Damage`], [`LogError::Foreign`] and [`LogError::ForeignFiles`], with nothing changed; otherwise
    /// errors of the disk.
    pub fn open(storage: Arc<dyn Storage>, options: FileLogOptions) -> Result<(Self, JournalState), LogError> {
        Self::serve(ScannedJournal::scan(storage)?, options)
    }

    /// As [`FileLog::open`], with a journal that was scanned before. It must not have changed since.
    ///
    /// # Errors
    /// [`LogError::Damage`] when it reads differently now; otherwise errors of the disk.
    pub fn serve(scanned: ScannedJournal, options: FileLogOptions) -> Result<(Self, JournalState), LogError> {
        Self::serve_keeping(scanned, options, None)
    }

    /// As [`FileLog::serve`], with a folder for trimmed segments.
    ///
    /// # Errors
    /// As [`FileLog::serve`].
    pub fn serve_keeping(
        scanned: ScannedJournal,
        options: FileLogOptions,
        kept: Option<KeptSegments>,
    ) -> Result<(Self, JournalState), LogError> {
        let storage = Arc::clone(&scanned.storage);
        let OpenedFiles { state, tip, segments, file } = scanned.repair(options)?;
        let (bytes, begins) = segments.last().map_or((0, tip.next), |newest| (newest.bytes, newest.file.first));
        let tail = Tail { file, name: segment_name(begins), bytes, begins, tip, term: state.term };
        let bytes = AtomicU64::new(segments.iter().map(|segment| segment.bytes).sum());
        let readable = Readable { segments: segments.into(), next: tip.next };
        let log = Self {
            storage,
            options,
            tail: Mutex::new(tail),
            blank: Mutex::new(None),
            kept,
            readable: Mutex::new(readable),
            trimming: Mutex::new(()),
            bytes,
            // Everything found at a start is synced: the newest segment was copied and synced.
            forced: Forced::from(Lsn(tip.next.0.saturating_sub(1))),
            stopped: AtomicBool::new(false),
        };
        Ok((log, state))
    }

    fn running(&self) -> Result<(), LogError> {
        // Acquire pairs with the release in `stop`; only the flag itself matters.
        if self.stopped.load(Ordering::Acquire) { Err(LogError::Stopped) } else { Ok(()) }
    }

    /// Stops the log after a failure, which is final: it accepts nothing more.
    fn stop(&self, error: LogError) -> LogError {
        self.stopped.store(true, Ordering::Release);
        self.forced.end();
        error
    }

    pub(crate) const fn forced(&self) -> &Forced {
        &self.forced
    }

    pub(crate) const fn kept(&self) -> Option<&KeptSegments> {
        self.kept.as_ref()
    }

    pub(crate) fn storage(&self) -> &dyn Storage {
        self.storage.as_ref()
    }

    /// The segment that has or will have a record, and the first LSN of the segment after it; or, as the error, the
    /// oldest record.
    pub(crate) fn segment_of(&self, lsn: Lsn) -> Result<(Segment, Option<Lsn>), Lsn> {
        let readable = self.readable.lock();
        let begun = readable.segments.partition_point(|segment| segment.file.first <= lsn);
        let segment = begun.checked_sub(1).and_then(|place| readable.segments.get(place)).cloned();
        let next = readable.segments.get(begun).map(|segment| segment.file.first);
        segment.map(|segment| (segment, next)).ok_or_else(|| readable.oldest())
    }

    /// The LSN after a segment's last record and, for the newest segment, the byte offset that it will have.
    pub(crate) fn behind(&self, segment: Lsn) -> (Lsn, Option<u64>) {
        let readable = self.readable.lock();
        let begun = readable.segments.partition_point(|later| later.file.first <= segment);
        match readable.segments.get(begun) {
            Some(later) => (later.file.first, None),
            None => (readable.next, readable.segments.back().map(|newest| newest.bytes)),
        }
    }

    const fn stretched(&self) -> u64 {
        self.options.segment_bytes.saturating_mul(SEGMENT_STRETCH)
    }

    fn misplaced(&self, asked: Lsn) -> LogError {
        let readable = self.readable.lock();
        LogError::WrongPosition { asked, oldest: readable.oldest(), next: readable.next }
    }

    /// Begins a new segment; the newest is complete and synced from then on. While no file can be made, also after room
    /// was freed, the newest keeps growing up to a bound.
    fn roll(&self, tail: &mut Tail, length: u64) -> Result<(), LogError> {
        let made_ahead = self.blank.lock().take();
        let blank = match made_ahead.map_or_else(|| self.make(tail.tip.next), Ok) {
            Ok(blank) => blank,
            Err(LogError::Io { .. } | LogError::Full(_)) if tail.bytes.saturating_add(length) <= self.stretched() => {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if self.options.durability == Durability::Os {
            tail.file.sync_data().map_err(LogError::Unknown)?;
            self.forced.raise(tail.tip.next);
        }
        let head = tail.tip.segment(self.options.durability);
        let put = |file: &dyn StorageFile, name: &str, bytes: &[u8]| self.put(file, name, 0, bytes);
        let (segment, file) = blank.begin(self.storage.as_ref(), &head, put)?;
        tail.file = file;
        tail.name.clone_from(&segment.file.name);
        tail.bytes = segment.bytes;
        tail.begins = segment.file.first;
        self.bytes.fetch_add(segment.bytes, Ordering::Relaxed);
        self.readable.lock().segments.push_back(segment);
        Ok(())
    }

    /// Checks that the newest segment's path still names its open file; the folders above it are in place then, too. If
    /// the check itself fails, that proves nothing: only a missing or different file counts as gone.
    fn at_its_place(&self, tail: &Tail) -> Result<(), LogError> {
        match self.storage.still_names(&tail.name, tail.file.id()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(LogError::Gone(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Stores the file for the next segment, unless the log has stopped.
    fn put_ahead(&self, made: Blank) {
        let mut blank = self.blank.lock();
        // `close` stops the log before it takes this file: one of the two sees the other.
        if self.running().is_ok() {
            *blank = Some(made);
        } else {
            made.remove(self.storage.as_ref());
        }
    }

    /// If the disk is full, drops the oldest segment kept for readers. Returns whether it did.
    fn make_room(&self, full: &io::Error) -> bool {
        // Freeing room does not help a file that has reached its maximum size.
        full.kind() != io::ErrorKind::FileTooLarge && self.kept.as_ref().is_some_and(KeptSegments::make_room)
    }

    /// Makes a file for a segment. If the disk is full, segments kept for readers are dropped first.
    fn make(&self, after: Lsn) -> Result<Blank, LogError> {
        loop {
            match Blank::make(self.storage.as_ref(), after) {
                Err(LogError::Full(full)) if self.make_room(&full) => {}
                made => return made,
            }
        }
    }

    /// Appends to a file of `end` bytes. If the disk is full, segments kept for readers are dropped, and the part that
    /// was not written yet is appended.
    fn put(&self, file: &dyn StorageFile, name: &str, end: u64, bytes: &[u8]) -> Result<(), LogError> {
        let mut rest = bytes;
        loop {
            let full = match file.append(rest).map_err(LogError::writing("be written")) {
                Err(LogError::Full(full)) => full,
                done => return done,
            };
            let written = self.storage.length(name).ok().and_then(|length| length.checked_sub(end));
            let missing = written.and_then(|written| bytes.get(usize::try_from(written).ok()?..));
            match missing.filter(|_| self.make_room(&full)) {
                Some(missing) => rest = missing,
                None => return Err(LogError::Full(full)),
            }
        }
    }

    fn write(&self, tail: &mut Tail, batch: &SealedBatch) -> Result<(), LogError> {
        let length = u64::try_from(batch.bytes().len()).unwrap_or(u64::MAX);
        let full = tail.bytes.saturating_add(length) > self.options.segment_bytes;
        if full && tail.tip.next > tail.begins {
            self.roll(tail, length)?;
        }
        self.put(tail.file.as_ref(), &tail.name, tail.bytes, batch.bytes())?;
        if self.options.durability == Durability::Sync {
            tail.file.sync_data().map_err(LogError::Unknown)?;
        }
        // After the sync and before any answer: what is acknowledged was durable at a path where a start will find it,
        // as far as that can be checked. A folder that can't be read is reported by its lock.
        self.at_its_place(tail)?;
        tail.tip = Tip::after(batch.head(), batch.hash());
        tail.bytes = tail.bytes.saturating_add(length);
        // Relaxed: a figure for people.
        self.bytes.fetch_add(length, Ordering::Relaxed);
        let mut readable = self.readable.lock();
        readable.next = tail.tip.next;
        if let Some(newest) = readable.segments.back_mut() {
            newest.bytes = tail.bytes;
            newest.written_at = tail.tip.written_at;
        }
        drop(readable);
        if self.options.durability == Durability::Sync {
            self.forced.raise(tail.tip.next);
        }
        Ok(())
    }
}

impl Log for FileLog {
    fn append(&self, expected: Lsn, batch: &SealedBatch) -> Result<(), LogError> {
        let mut tail = self.tail.lock();
        self.running()?;
        let head = batch.head();
        if head.term < tail.term {
            return Err(LogError::Fenced { current: tail.term });
        }
        if expected != tail.tip.next || head.first != expected || head.before != tail.tip.chain {
            return Err(self.misplaced(expected));
        }
        self.write(&mut tail, batch).map_err(|error| self.stop(error))
    }

    fn sync(&self) -> Result<(), LogError> {
        self.running()?;
        match self.options.durability {
            Durability::Sync => Ok(()),
            Durability::Os => {
                // The lock is released before the sync, so that appends go on.
                let tail = self.tail.lock();
                // All segments before the newest are synced already.
                let (file, next) = (Arc::clone(&tail.file), tail.tip.next);
                drop(tail);
                file.sync_data().map_err(|error| self.stop(LogError::Unknown(error)))?;
                self.forced.raise(next);
                Ok(())
            }
        }
    }

    fn read(&self, from: Lsn) -> Result<Batches<'_>, LogError> {
        let readable = self.readable.lock();
        let (oldest, next) = (readable.oldest(), readable.next);
        if from < oldest || from > next {
            return Err(LogError::WrongPosition { asked: from, oldest, next });
        }
        let files = readable.segments.iter().map(|segment| segment.file.clone()).collect();
        drop(readable);
        Ok(batches_from(self.storage.as_ref(), files, from, next))
    }

    fn trim(&self, below: Lsn) -> Result<(), LogError> {
        let _one = self.trimming.lock();
        loop {
            let readable = self.readable.lock();
            let second = readable.segments.get(1).map(|second| second.file.first).filter(|first| *first <= below);
            let Some((oldest, next)) = readable.segments.front().cloned().zip(second) else { break };
            drop(readable);
            let kept = self.kept.as_ref().filter(|kept| kept.take_in(self.storage(), &oldest, next));
            if kept.is_none() {
                // It is forgotten only once it is gone: if one stayed while later ones were removed, there would be a
                // gap.
                match self.storage.remove(&oldest.file.name) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(LogError::writing("drop a segment")(error));
                    }
                    Ok(()) | Err(_) => {}
                }
            }
            self.readable.lock().segments.pop_front();
            self.bytes.fetch_sub(oldest.bytes, Ordering::Relaxed);
            // The folder that it moved to is synced first: after a crash it is in one of the two.
            kept.inspect(|kept| kept.settle());
            // One segment at a time: a crash must never leave a gap. A failed sync is final here too: a later sync of
            // the folder would not prove that a new segment's name is durable.
            self.storage.sync_dir().map_err(|error| self.stop(LogError::Unknown(error)))?;
        }
        if let Some(kept) = &self.kept {
            kept.shrink();
        }
        Ok(())
    }

    fn tend(&self) -> Result<(), LogError> {
        // Under the lock, so that the newest segment stays the same.
        let tail = self.tail.lock();
        self.running()?;
        self.at_its_place(&tail).map_err(|error| self.stop(error))?;
        // The newest segment's first LSN makes a unique name: no later segment begins with it.
        let begins = tail.begins;
        drop(tail);
        if self.blank.lock().is_some() {
            return Ok(());
        }
        // No lock is held: a batch that needs a new segment in the meantime makes one itself.
        let made = Blank::make(self.storage.as_ref(), begins);
        let made = made.map_err(|error| if error.is_final() { self.stop(error) } else { error })?;
        self.put_ahead(made);
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn oldest(&self) -> Lsn {
        self.readable.lock().oldest()
    }

    fn close(&self, trailer: &Trailer) -> Result<(), LogError> {
        let tail = self.tail.lock();
        self.running()?;
        if trailer.next != tail.tip.next || trailer.chain != tail.tip.chain {
            return Err(self.misplaced(trailer.next));
        }
        self.stopped.store(true, Ordering::Release);
        if self.options.durability == Durability::Os {
            // The trailer says that everything before it is synced, so it must not reach the disk first. Tasks that
            // wait for more are failed in either case.
            tail.file.sync_data().map_err(|error| self.stop(LogError::Unknown(error)))?;
            self.forced.raise(tail.tip.next);
        }
        self.forced.end();
        tail.file.append(&trailer.encode()).map_err(LogError::writing("be closed"))?;
        tail.file.sync_data().map_err(LogError::Unknown)?;
        self.at_its_place(&tail)?;
        if let Some(blank) = self.blank.lock().take() {
            blank.remove(self.storage.as_ref());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
