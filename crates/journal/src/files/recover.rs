//! Opens a journal: a scan that changes nothing, then the repair, then a new last segment.
//!
//! The valid part of the last segment is copied, synced and renamed over the old file before anything is appended:
//! after a failed sync the operating system may show bytes that the disk does not have. If the machine stops after any
//! step, the folder opens to the same records.

use std::io::Read;
use std::sync::Arc;

use stockade_types::ids::Lsn;
use stockade_types::time::Timestamp;

use super::file_log::FileLogOptions;
use super::scan::{Cut, Ending, Files, Scan, ScannedSegment, SegmentFile, Tip, batches_from};
use crate::log::Start;
use crate::log::batch::BatchHash;
use crate::log::segment::{Durability, SEGMENT_HEAD, SegmentHead, lost_name, new_name, segment_name};
use crate::log::{Batches, LogError, Place};
use crate::storage::{Storage, StorageFile};

/// Bytes copied at once.
const COPY: u64 = 1024 * 1024;

/// The result of opening a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalState {
    /// The oldest record, or the next LSN if there is none.
    pub oldest: Lsn,
    /// The LSN of the next record; 1 on a first start.
    pub next: Lsn,
    /// Hash of the last batch.
    pub chain: BatchHash,
    /// The term that this opening begins.
    pub term: u64,
    /// The last instant in the journal: of the last batch, or of the clean shutdown. None on a first start.
    pub last_written_at: Option<Timestamp>,
    /// Whether it was closed cleanly: nothing can have been lost.
    pub clean: bool,
    /// What was cut off: never acknowledged with `sync` durability, possibly acknowledged with `os`.
    pub cut: Option<Cut>,
    /// Files with the data that was cut from between whole batches (`os` durability only): an operator should know of
    /// them.
    pub lost: Vec<String>,
}

impl JournalState {
    /// Where the journal's writer continues.
    #[must_use]
    pub const fn start(&self) -> Start {
        Start { next: self.next, chain: self.chain, term: self.term }
    }
}

/// A segment that is complete or being written.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) file: SegmentFile,
    pub(crate) bytes: u64,
    /// When its last batch was written; if it has none, when the batch before it was.
    pub(crate) written_at: Timestamp,
}

/// A journal that was scanned and verified, but not changed. It can be read, so that its opener may still refuse it;
/// [`crate::FileLog::serve`] repairs it.
#[derive(Debug)]
pub struct ScannedJournal {
    pub(super) storage: Arc<dyn Storage>,
    scanned: Vec<ScannedSegment>,
    unfinished: Vec<String>,
    /// If the journal is cut between whole batches: the segments after the cut.
    later: Option<Vec<String>>,
    tip: Tip,
    state: JournalState,
}

/// A journal that can be appended to.
#[derive(Debug)]
pub(super) struct OpenedFiles {
    pub(super) state: JournalState,
    pub(super) tip: Tip,
    /// Oldest first; the last one is `file`.
    pub(super) segments: Vec<Segment>,
    pub(super) file: Arc<dyn StorageFile>,
}

impl ScannedJournal {
    /// Scans the journal in a folder; an empty folder is a first start. Changes nothing.
    ///
    /// # Errors
    /// [`LogError::Damage`], [`LogError::Foreign`], [`LogError::ForeignFiles`], or when the disk can't be read.
    pub fn scan(storage: Arc<dyn Storage>) -> Result<Self, LogError> {
        let files = Files::list(storage.as_ref())?;
        let mut scan = Scan::new(storage.as_ref(), files.segments, None);
        while scan.step()?.is_some() {}
        let tip = scan.tip();
        let (mut clean, mut cut, mut later, mut term, mut known) = (false, None, None, tip.term, tip.written_at);
        match scan.ending() {
            Some(Ending::Clean(trailer)) => {
                clean = true;
                term = term.max(trailer.term);
                known = known.max(trailer.closed_at);
            }
            Some(Ending::Torn(torn)) => cut = Some(torn.clone()),
            Some(Ending::Lost(torn, lost)) => {
                cut = Some(torn.clone());
                later = Some(lost.clone());
            }
            Some(Ending::Open) | None => {}
        }
        let scanned = scan.scanned().to_vec();
        let state = JournalState {
            oldest: scanned.first().map_or(tip.next, |segment| segment.file.first),
            next: tip.next,
            chain: tip.chain,
            term: term.saturating_add(1),
            last_written_at: (known > Timestamp(0)).then_some(known),
            clean,
            cut,
            lost: Vec::new(),
        };
        Ok(Self { storage, scanned, unfinished: files.unfinished, later, tip, state })
    }

    /// The result that opening it will have, without the names of files set aside.
    #[must_use]
    pub const fn state(&self) -> &JournalState {
        &self.state
    }

    /// The durability of its newest segment; none if there is no segment.
    #[must_use]
    pub fn durability(&self) -> Option<Durability> {
        self.scanned.last().map(|newest| newest.head.durability)
    }

    /// Reads batches as [`crate::Log::read`] does, up to the cut.
    ///
    /// # Errors
    /// As [`crate::Log::read`].
    pub fn read(&self, from: Lsn) -> Result<Batches<'_>, LogError> {
        let (oldest, next) = (self.state.oldest, self.state.next);
        if from < oldest || from > next {
            return Err(LogError::WrongPosition { asked: from, oldest, next });
        }
        let files = self.scanned.iter().map(|segment| segment.file.clone()).collect();
        Ok(batches_from(self.storage.as_ref(), files, from, next))
    }

    /// Repairs what a crash may leave, and prepares the journal for appending.
    pub(super) fn repair(self, options: FileLogOptions) -> Result<OpenedFiles, LogError> {
        let Self { storage, scanned, unfinished, later, tip, mut state } = self;
        let storage = storage.as_ref();
        if let (Some(cut), Some(later)) = (&state.cut, &later) {
            state.lost = set_aside(storage, cut, later)?;
        }
        for name in &unfinished {
            storage.remove(name).map_err(LogError::writing("remove an unfinished segment"))?;
        }
        let (segments, file) = renew(storage, options, &scanned, &tip)?;
        Ok(OpenedFiles { state, tip, segments, file })
    }
}

/// Replaces the last segment by a copy, which can be appended to and is synced.
fn renew(
    storage: &dyn Storage,
    options: FileLogOptions,
    scanned: &[ScannedSegment],
    tip: &Tip,
) -> Result<(Vec<Segment>, Arc<dyn StorageFile>), LogError> {
    let segment = |scanned: &ScannedSegment| {
        let ScannedSegment { file, good, written_at, .. } = scanned;
        Segment { file: file.clone(), bytes: *good, written_at: *written_at }
    };
    let Some((last, before)) = scanned.split_last() else {
        let (made, file) = make_segment(storage, &tip.segment(options.durability))?;
        return Ok((vec![made], file));
    };
    let mut segments: Vec<Segment> = before.iter().map(segment).collect();
    if tip.next == last.head.first {
        let (made, file) = make_segment(storage, &tip.segment(options.durability))?;
        segments.push(made);
        return Ok((segments, file));
    }
    let file = copy_segment(storage, last, tip)?;
    segments.push(segment(last));
    if last.head.durability == options.durability {
        return Ok((segments, file));
    }
    let (made, file) = make_segment(storage, &tip.segment(options.durability))?;
    segments.push(made);
    Ok((segments, file))
}

/// A file that becomes a segment once it has a head and a name. It is ignored before.
#[derive(Debug)]
pub(super) struct Blank {
    file: Box<dyn StorageFile>,
    name: String,
}

impl Blank {
    /// Makes one, and syncs its temporary name. This is the only step of making a segment that can fail for want of
    /// room or file handles. `after` must be unique among such files.
    ///
    /// # Errors
    /// [`LogError::Io`] and [`LogError::Full`]: it was not made, and another try may succeed. [`LogError::Unknown`]:
    /// the folder can't be synced, which is final.
    pub(super) fn make(storage: &dyn Storage, after: Lsn) -> Result<Self, LogError> {
        let name = new_name(after);
        let file = storage.create(&name).map_err(LogError::writing("make a segment"))?;
        storage.sync_dir().map_err(LogError::Unknown)?;
        Ok(Self { file, name })
    }

    /// Turns it into the segment with this head, which `put` writes into the file. It gets the segment's name only
    /// after its head is synced; an existing segment of that name is replaced.
    pub(super) fn begin(
        self,
        storage: &dyn Storage,
        head: &SegmentHead,
        put: impl FnOnce(&dyn StorageFile, &str, &[u8]) -> Result<(), LogError>,
    ) -> Result<(Segment, Arc<dyn StorageFile>), LogError> {
        let Self { file, name: blank } = self;
        put(file.as_ref(), &blank, &head.encode())?;
        let name = segment_name(head.first);
        name_segment(storage, file.as_ref(), &blank, &name)?;
        let bytes = u64::try_from(SEGMENT_HEAD).unwrap_or(u64::MAX);
        let segment = Segment { file: SegmentFile { name, first: head.first }, bytes, written_at: head.written_at };
        Ok((segment, Arc::from(file)))
    }

    /// Removes it. One that can't be removed does no harm.
    pub(super) fn remove(self, storage: &dyn Storage) {
        let _removed = storage.remove(&self.name);
    }
}

/// Makes a segment without batches.
fn make_segment(storage: &dyn Storage, head: &SegmentHead) -> Result<(Segment, Arc<dyn StorageFile>), LogError> {
    Blank::make(storage, head.first)?
        .begin(storage, head, |file, _, bytes| file.append(bytes).map_err(LogError::writing("begin a segment")))
}

/// Copies the valid part of a segment into a new file and replaces the segment by it.
fn copy_segment(storage: &dyn Storage, scanned: &ScannedSegment, tip: &Tip) -> Result<Arc<dyn StorageFile>, LogError> {
    let new = new_name(scanned.head.first);
    let file = storage.create(&new).map_err(LogError::writing("copy its last segment"))?;
    let source = storage.read_at(&scanned.file.name, 0).map_err(LogError::reading)?;
    copy(source.take(scanned.good), file.as_ref())?;
    // The records were applied from the old file. The new one must be the same, even if the operating system returned
    // other data on the second read.
    let copied = SegmentFile { name: new.clone(), first: scanned.head.first };
    let mut scan = Scan::new(storage, vec![copied], Some(tip.next));
    while scan.step()?.is_some() {}
    if scan.tip() != *tip {
        let place = Place { file: scanned.file.name.clone(), offset: scanned.good, lsn: tip.next };
        return Err(LogError::Damage { place, what: "the segment changed between two reads".to_owned() });
    }
    storage.sync_dir().map_err(LogError::writing("force its folder to the disk"))?;
    name_segment(storage, file.as_ref(), &new, &scanned.file.name)?;
    Ok(Arc::from(file))
}

fn copy(mut source: impl Read, file: &dyn StorageFile) -> Result<(), LogError> {
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        if source.by_ref().take(COPY).read_to_end(&mut buffer).map_err(LogError::reading)? == 0 {
            return Ok(());
        }
        file.append(&buffer).map_err(LogError::writing("copy a segment"))?;
    }
}

/// Syncs a file, whose temporary name is synced already, then gives it its final name.
fn name_segment(storage: &dyn Storage, file: &dyn StorageFile, new: &str, name: &str) -> Result<(), LogError> {
    file.sync_data().map_err(LogError::writing("force a new segment to the disk"))?;
    storage.rename(new, name).map_err(LogError::writing("name a new segment"))?;
    storage.sync_dir().map_err(LogError::writing("force its folder to the disk"))
}

/// Sets aside what can't be read in order in an `os` journal: the rest of the segment that is cut, and all later ones.
/// It is synced before the segment itself is repaired: until then a crash leaves a journal that is cut at the same
/// place again.
fn set_aside(storage: &dyn Storage, cut: &Cut, later: &[String]) -> Result<Vec<String>, LogError> {
    let writing = || LogError::writing("set lost batches aside");
    let taken = storage.list().map_err(LogError::reading)?;
    let mut free = (0..).map(|turn| lost_name(cut.lsn, turn)).filter(|name| !taken.contains(name));
    let mut lost = Vec::new();
    if let Some(name) = free.next() {
        let file = storage.create(&name).map_err(writing())?;
        copy(storage.read_at(&cut.file, cut.offset).map_err(LogError::reading)?, file.as_ref())?;
        file.sync_data().map_err(writing())?;
        lost.push(name);
    }
    for (segment, name) in later.iter().zip(free) {
        storage.rename(segment, &name).map_err(writing())?;
        lost.push(name);
    }
    storage.sync_dir().map_err(writing())?;
    Ok(lost)
}

#[cfg(test)]
mod tests {
    use super::super::file_log::FileLog;
    use super::*;
    use crate::storage::SimulatedStorage;

    #[test]
    fn what_is_set_aside_never_takes_the_name_of_what_was_before() {
        let storage = SimulatedStorage::new();
        let file = storage.create("cut").expect("creates");
        file.append(b"goodlost").expect("writes");
        let cut = Cut { file: "cut".to_owned(), offset: 4, bytes: 4, lsn: Lsn(9), what: "is torn" };
        for turn in 0..3 {
            drop(storage.create("later").expect("creates"));
            let names = set_aside(&storage, &cut, &["later".to_owned()]).expect("sets aside");
            assert_eq!(names, [lost_name(Lsn(9), 2 * turn), lost_name(Lsn(9), 2 * turn + 1)]);
            assert_eq!(storage.read(&names[0]).expect("there"), b"lost");
        }
    }

    #[test]
    fn opening_again_and_again_changes_nothing_but_the_term() {
        let storage = SimulatedStorage::new();
        let open = || FileLog::open(Arc::new(storage.clone()), FileLogOptions::default()).expect("opens").1;
        let first = open();
        let files = storage.files();
        let second = open();
        assert_eq!((storage.files(), second), (files, first));
    }
}
