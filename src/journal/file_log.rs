//! The journal on a disk: segments that are appended to, one after another.
//!
//! A segment is rolled when it is full, never in the middle of a batch. All but the newest are on the disk whatever
//! the durability. Nothing that was written is ever written over.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::forced::Forced;
use super::frame::SealedBatch;
use super::log::{Batches, Log, LogError};
use super::recover::{Blank, Found, Opened, Recovered, Segment};
use super::scan::{Tip, batches_from};
use super::segment::{Durability, Trailer, segment_name};
use crate::ids::Lsn;
use crate::storage::{Storage, StorageFile};

/// A segment is rolled before it grows over this, unless told otherwise.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// While no file can be made for the next one, a segment goes on to this many times its size.
pub const SEGMENT_STRETCH: u64 = 16;

/// How a log on a disk is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileLogOptions {
    /// When an append counts as done.
    pub durability: Durability,
    /// Bytes of a segment at most; one with a single batch may be larger, and one is while no file can be made for the
    /// next ([`SEGMENT_STRETCH`]).
    pub segment_bytes: u64,
}

impl Default for FileLogOptions {
    fn default() -> Self {
        Self { durability: Durability::Sync, segment_bytes: SEGMENT_BYTES }
    }
}

/// Where the next batch goes.
#[derive(Debug)]
struct Tail {
    file: Arc<dyn StorageFile>,
    /// Name of the newest segment, which is `file`.
    name: String,
    /// Bytes in the newest segment.
    bytes: u64,
    /// LSN with which the newest segment begins.
    begins: Lsn,
    tip: Tip,
    /// Batches of an older term are fenced off.
    term: u64,
}

/// What can be read.
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
    /// Locked over the writing of a batch; before `readable`.
    tail: Mutex<Tail>,
    /// What the next segment is made of, made ahead. Behind `tail`, before `readable`.
    blank: Mutex<Option<Blank>>,
    /// Locked for instants only.
    readable: Mutex<Readable>,
    /// One trim at a time, so that segments go oldest first.
    trimming: Mutex<()>,
    bytes: AtomicU64,
    /// How far all is on the disk.
    forced: Forced,
    stopped: AtomicBool,
}

impl FileLog {
    /// Opens the journal in a folder and repairs what a crash may leave; an empty folder is a first start.
    ///
    /// # Errors
    /// [`LogError::Damage`], [`LogError::Foreign`] and [`LogError::ForeignFiles`], with nothing changed; else when the
    /// disk refuses.
    pub fn open(storage: Arc<dyn Storage>, options: FileLogOptions) -> Result<(Self, Opened), LogError> {
        Self::serve(Found::look(storage)?, options)
    }

    /// As [`FileLog::open`], with a journal that was looked at before: nobody may have changed it since.
    ///
    /// # Errors
    /// [`LogError::Damage`] when it reads otherwise now; else when the disk refuses.
    pub fn serve(found: Found, options: FileLogOptions) -> Result<(Self, Opened), LogError> {
        let storage = Arc::clone(&found.storage);
        let Recovered { opened, tip, segments, file } = found.repair(options)?;
        let (bytes, begins) = segments.last().map_or((0, tip.next), |newest| (newest.bytes, newest.file.first));
        let tail = Tail { file, name: segment_name(begins), bytes, begins, tip, term: opened.epoch };
        let bytes = AtomicU64::new(segments.iter().map(|segment| segment.bytes).sum());
        let readable = Readable { segments: segments.into(), next: tip.next };
        let log = Self {
            storage,
            options,
            tail: Mutex::new(tail),
            blank: Mutex::new(None),
            readable: Mutex::new(readable),
            trimming: Mutex::new(()),
            bytes,
            // What a start has found is on the disk: the newest segment was copied and forced.
            forced: Forced::from(Lsn(tip.next.0.saturating_sub(1))),
            stopped: AtomicBool::new(false),
        };
        Ok((log, opened))
    }

    fn running(&self) -> Result<(), LogError> {
        // Acquire: pairs with the release in `stop`; only the flag itself matters.
        if self.stopped.load(Ordering::Acquire) { Err(LogError::Stopped) } else { Ok(()) }
    }

    /// A failure is final: the log takes nothing more.
    fn stop(&self, error: LogError) -> LogError {
        self.stopped.store(true, Ordering::Release);
        self.forced.end();
        error
    }

    pub(super) const fn forced(&self) -> &Forced {
        &self.forced
    }

    const fn stretched(&self) -> u64 {
        self.options.segment_bytes.saturating_mul(SEGMENT_STRETCH)
    }

    fn misplaced(&self, asked: Lsn) -> LogError {
        let readable = self.readable.lock();
        LogError::WrongPosition { asked, oldest: readable.oldest(), next: readable.next }
    }

    /// Begins a new segment behind the newest, which is complete and on the disk from then on. While no file can be made
    /// for it, the newest goes on, for a while.
    fn roll(&self, tail: &mut Tail, length: u64) -> Result<(), LogError> {
        let made_ahead = self.blank.lock().take();
        let blank = match made_ahead.map_or_else(|| Blank::make(self.storage.as_ref(), tail.tip.next), Ok) {
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
        let (segment, file) = blank.begin(self.storage.as_ref(), &head)?;
        tail.file = file;
        tail.name.clone_from(&segment.file.name);
        tail.bytes = segment.bytes;
        tail.begins = segment.file.first;
        self.bytes.fetch_add(segment.bytes, Ordering::Relaxed);
        self.readable.lock().segments.push_back(segment);
        Ok(())
    }

    /// Looks whether the newest segment is still found by its name: with it the folders above it are at their places,
    /// too. A look that fails says nothing of where it is: only what is missing or another file is gone.
    fn at_its_place(&self, tail: &Tail) -> Result<(), LogError> {
        match self.storage.still_names(&tail.name, tail.file.id()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(LogError::Gone(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Keeps what was made for the next segment, unless the log takes nothing more.
    fn put_ahead(&self, made: Blank) {
        let mut blank = self.blank.lock();
        // `close` stops the log before it takes what was made ahead: one of the two sees the other.
        if self.running().is_ok() {
            *blank = Some(made);
        } else {
            made.remove(self.storage.as_ref());
        }
    }

    fn write(&self, tail: &mut Tail, batch: &SealedBatch) -> Result<(), LogError> {
        let length = u64::try_from(batch.bytes().len()).unwrap_or(u64::MAX);
        let full = tail.bytes.saturating_add(length) > self.options.segment_bytes;
        if full && tail.tip.next > tail.begins {
            self.roll(tail, length)?;
        }
        tail.file.append(batch.bytes()).map_err(LogError::writing("be written"))?;
        if self.options.durability == Durability::Sync {
            tail.file.sync_data().map_err(LogError::Unknown)?;
        }
        // Behind the sync and before anybody is answered: what is acknowledged was durable where a start will look for it,
        // as far as that can be seen. A folder that can't be looked at is reported by its lock.
        self.at_its_place(tail)?;
        tail.tip = Tip::after(batch.head(), batch.hash());
        tail.bytes = tail.bytes.saturating_add(length);
        // Relaxed: a figure for people.
        self.bytes.fetch_add(length, Ordering::Relaxed);
        let mut readable = self.readable.lock();
        readable.next = tail.tip.next;
        if let Some(newest) = readable.segments.back_mut() {
            newest.bytes = tail.bytes;
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
        if head.epoch < tail.term {
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
                // The lock is let go before the disk is asked, so that appends go on.
                let tail = self.tail.lock();
                // All segments before the newest are forced already.
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
            let done = readable.segments.get(1).is_none_or(|second| second.file.first > below);
            let Some(oldest) = (if done { None } else { readable.segments.front().cloned() }) else { return Ok(()) };
            drop(readable);
            // Forgotten only once it is gone: one that stayed while later ones went would leave a gap.
            match self.storage.remove(&oldest.file.name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(LogError::writing("drop a segment")(error));
                }
                Ok(()) | Err(_) => {}
            }
            self.readable.lock().segments.pop_front();
            self.bytes.fetch_sub(oldest.bytes, Ordering::Relaxed);
            // One by one: a crash must never leave a gap in the middle.
            // A failed sync is final here too: a later one of the folder would prove nothing for a new segment's name.
            self.storage.sync_dir().map_err(|error| self.stop(LogError::Unknown(error)))?;
        }
    }

    fn tend(&self) -> Result<(), LogError> {
        // Under the lock, so that no other segment becomes the newest meanwhile.
        let tail = self.tail.lock();
        self.running()?;
        self.at_its_place(&tail).map_err(|error| self.stop(error))?;
        // The segment's first LSN is no other's, and the next one is not begun with it.
        let begins = tail.begins;
        drop(tail);
        if self.blank.lock().is_some() {
            return Ok(());
        }
        // Made with nothing locked: a batch that needs a new segment meanwhile makes one itself and does not wait.
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
            // The trailer says that all before it is on the disk, so it may not get there first.
            tail.file.sync_data().map_err(LogError::Unknown)?;
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
mod tests {
    use super::*;
    use crate::journal::frame::BatchHead;
    use crate::record::{Record, Restart};
    use crate::storage::SimulatedStorage;
    use crate::storage::simulated::Operation;
    use crate::time::Timestamp;

    fn filled(durability: Durability, batches: u64) -> (SimulatedStorage, FileLog) {
        let storage = SimulatedStorage::new();
        let options = FileLogOptions { durability, segment_bytes: 1_000 };
        let (log, opened) = FileLog::open(Arc::new(storage.clone()), options).expect("opens");
        let (mut next, mut before) = (opened.next, opened.chain);
        for n in 0..batches {
            let record = Record::Restart(Restart { stopped_at: Timestamp(n), grace_until: Timestamp(n), at: None });
            let head = BatchHead { epoch: opened.epoch, first: next, count: 0, written_at: Timestamp(n), before };
            let batch = SealedBatch::of_records(head, &[record]);
            log.append(next, &batch).expect("appends");
            (next, before) = (batch.head().next(), batch.hash());
        }
        (storage, log)
    }

    #[test]
    fn segments_are_rolled_before_they_grow_too_large() {
        let (storage, log) = filled(Durability::Sync, 100);
        let files = storage.files();
        assert!(files.len() > 5 && files.values().all(|bytes| bytes.len() <= 1_000));
        let all: usize = files.values().map(Vec::len).sum();
        assert_eq!(log.bytes(), u64::try_from(all).expect("small"));
        log.trim(Lsn(50)).expect("trims");
        let kept: usize = storage.files().values().map(Vec::len).sum();
        assert!(kept < all);
        assert_eq!(log.bytes(), u64::try_from(kept).expect("small"));
    }

    #[test]
    fn with_os_durability_only_segments_and_explicit_syncs_are_forced() {
        let (storage, log) = filled(Durability::Os, 5);
        assert_eq!(storage.count(Operation::SyncData), 1, "the segment's head");
        log.sync().expect("syncs");
        assert_eq!(storage.count(Operation::SyncData), 2);
        assert_eq!(filled(Durability::Sync, 5).0.count(Operation::SyncData), 6, "and each batch");
    }

    /// Fills a log further, each batch where the one before ended. Says how far it came.
    fn go_on(log: &FileLog, batches: u64) -> Result<(), LogError> {
        for n in 0..batches {
            let tip = log.tail.lock().tip;
            let record = Record::Restart(Restart { stopped_at: Timestamp(n), grace_until: Timestamp(n), at: None });
            let term = log.tail.lock().term;
            let head =
                BatchHead { epoch: term, first: tip.next, count: 0, written_at: Timestamp(n), before: tip.chain };
            log.append(tip.next, &SealedBatch::of_records(head, &[record]))?;
        }
        Ok(())
    }

    #[test]
    fn what_was_made_ahead_is_the_next_segment_and_nothing_is_made_when_it_is_needed() {
        let (storage, log) = filled(Durability::Sync, 5);
        log.tend().expect("makes one");
        let made = storage.count(Operation::Create);
        log.tend().expect("one is enough");
        assert_eq!((storage.count(Operation::Create), storage.files().len()), (made, 2));
        storage.fail_at(Operation::Create, made, io::ErrorKind::Other);
        go_on(&log, 10).expect("the next is there");
        assert_eq!(storage.count(Operation::Create), made);
        assert!(storage.files().len() == 2 && storage.files().keys().all(|name| name.ends_with(".journal")));
        log.tend().expect_err("told to fail");
        log.tend().expect("tried again");
        let trailer = Trailer { epoch: 1, next: Lsn(16), closed_at: Timestamp(1), chain: log.tail.lock().tip.chain };
        log.close(&trailer).expect("closes");
        assert!(storage.files().keys().all(|name| name.ends_with(".journal")), "none is left behind");
    }

    #[test]
    fn a_segment_is_gone_when_its_name_is_and_not_when_a_look_fails() {
        let (storage, log) = filled(Durability::Sync, 1);
        let name = log.tail.lock().name.clone();
        storage.remove(&name).expect("removed");
        let gone = log.at_its_place(&log.tail.lock()).expect_err("its name is");
        assert!(matches!(gone, LogError::Gone(_)), "{gone:?}");
        storage.crash();
        log.at_its_place(&log.tail.lock()).expect("nothing can be looked at any more");
    }

    #[test]
    fn a_segment_that_is_made_ahead_of_a_log_that_was_closed_meanwhile_is_removed() {
        let (storage, log) = filled(Durability::Sync, 1);
        let tip = log.tail.lock().tip;
        log.close(&Trailer { epoch: 1, next: tip.next, closed_at: Timestamp(1), chain: tip.chain }).expect("closes");
        log.put_ahead(Blank::make(&storage, Lsn(1)).expect("makes one"));
        assert!(storage.files().keys().all(|name| name.ends_with(".journal")), "none is left behind");
    }

    #[test]
    fn a_segment_that_is_made_ahead_while_another_is_begun_is_the_one_after() {
        let (storage, log) = filled(Durability::Sync, 5);
        let begins = log.tail.lock().begins;
        let made = Blank::make(&storage, begins).expect("makes one");
        go_on(&log, 10).expect("begins a segment by itself");
        assert!(log.tail.lock().begins > begins);
        log.put_ahead(made);
        let creates = storage.count(Operation::Create);
        go_on(&log, 10).expect("begins the one that is there");
        assert_eq!(storage.count(Operation::Create), creates);
        let batches = log.read(Lsn(1)).expect("reads").map(|batch| batch.expect("whole").head.first);
        assert!(batches.eq((1..=25).map(Lsn)), "every batch is found, in order");
    }

    #[test]
    fn while_no_segment_can_be_made_the_newest_goes_on_for_a_while() {
        let (storage, log) = filled(Durability::Sync, 5);
        let kinds = [io::ErrorKind::Other, io::ErrorKind::StorageFull];
        let first = storage.count(Operation::Create);
        for (place, kind) in (0..20).zip(kinds.into_iter().cycle()) {
            storage.fail_at(Operation::Create, first + place, kind);
        }
        let before = storage.files().len();
        go_on(&log, 20).expect("goes on");
        assert_eq!(storage.files().len(), before);
        go_on(&log, 10).expect("and begins the next as soon as it can");
        assert!(storage.count(Operation::Create) > first + 10 && storage.files().len() > before);
        for place in 0..1_000 {
            storage.fail_at(Operation::Create, storage.count(Operation::Create) + place, io::ErrorKind::Other);
        }
        let error = go_on(&log, 1_000).expect_err("not for ever");
        assert!(matches!(error, LogError::Io { .. }), "{error:?}");
        let longest = storage.files().values().map(Vec::len).max().expect("segments");
        assert!((15_000..=16_000).contains(&longest), "{longest}");
    }
}
