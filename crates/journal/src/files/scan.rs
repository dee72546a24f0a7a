//! Walks over a journal's segments in order and verifies each step. Changes nothing.
//!
//! What is at the end decides whether it is a torn write, which loses nothing acknowledged, or damage: see [`Ending`].

use std::collections::VecDeque;
use std::io;

use stockade_types::ids::Lsn;
use stockade_types::time::Timestamp;

use crate::log::batch::{
    BATCH_BYTES_MAX, BATCH_HEAD, BATCH_MAGIC, Batch, BatchHash, BatchHead, FrameError, parse_batch,
};
use crate::log::segment::{Durability, FileKind, SEGMENT_HEAD, SegmentHead, TRAILER, Trailer, parse_kept_name};
use crate::log::window::Window;
use crate::log::{Batches, LogError, Place};
use crate::storage::{LOCK_FILE, Storage};

/// Bytes at the end of a journal that are no whole batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The file in which they begin.
    pub file: String,
    /// Their offset in it.
    pub offset: u64,
    /// The number of bytes in that file.
    pub bytes: u64,
    /// The record that was expected first.
    pub lsn: Lsn,
    /// What is wrong with the first of them.
    pub what: &'static str,
}

/// How a journal ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// With the trailer of a clean shutdown.
    Clean(Trailer),
    /// With a whole batch: the process stopped while nothing was being written.
    Open,
    /// With an incomplete write, or with bit rot in the last batch: they can't be distinguished.
    Torn(Cut),
    /// With `os` durability: with bytes that the operating system had not written when the machine stopped. Whole
    /// batches follow, in the same file or in the later files named here.
    Lost(Cut, Vec<String>),
}

/// The end of the verified part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tip {
    pub(super) next: Lsn,
    pub(super) chain: BatchHash,
    /// Term of the last batch; 0 before the first.
    pub(super) term: u64,
    pub(super) written_at: Timestamp,
}

impl Tip {
    pub(super) const START: Self = Self { next: Lsn(1), chain: BatchHash::NONE, term: 0, written_at: Timestamp(0) };

    pub(super) const fn after(head: &BatchHead, hash: BatchHash) -> Self {
        Self { next: head.next(), chain: hash, term: head.term, written_at: head.written_at }
    }

    pub(super) const fn segment(&self, durability: Durability) -> SegmentHead {
        let Self { next, chain, term, written_at } = *self;
        SegmentHead { durability, first: next, term, written_at, before: chain }
    }
}

/// Batches of these segments, from the one that contains `from` up to `until`.
pub(super) fn batches_from(storage: &dyn Storage, mut files: Vec<SegmentFile>, from: Lsn, until: Lsn) -> Batches<'_> {
    let passed = files.partition_point(|file| file.first <= from).saturating_sub(1);
    files.drain(..passed);
    let mut scan = Scan::new(storage, files, Some(until));
    let batches = std::iter::from_fn(move || scan.batch().transpose());
    let before = move |read: &Result<_, _>| matches!(read, Ok(Batch { head, .. }) if head.next() <= from);
    Box::new(batches.skip_while(before))
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentFile {
    pub(crate) name: String,
    pub(crate) first: Lsn,
}

/// The files of a journal's folder.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// Ascending.
    pub(super) segments: Vec<SegmentFile>,
    /// Segments that were being made.
    pub(super) unfinished: Vec<String>,
}

impl Files {
    pub(super) fn list(storage: &dyn Storage) -> Result<Self, LogError> {
        let mut files = Self::default();
        let mut foreign = Vec::new();
        for name in storage.list().map_err(LogError::reading)? {
            match FileKind::of(&name) {
                FileKind::Segment(first) => files.segments.push(SegmentFile { name, first }),
                FileKind::New => files.unfinished.push(name),
                FileKind::Lost => {}
                FileKind::Foreign if name == LOCK_FILE => {}
                FileKind::Foreign => foreign.push(name),
            }
        }
        files.segments.sort_unstable_by_key(|segment| segment.first);
        if foreign.is_empty() { Ok(files) } else { Err(LogError::ForeignFiles(foreign)) }
    }
}

/// A segment that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ScannedSegment {
    pub(super) file: SegmentFile,
    pub(super) head: SegmentHead,
    /// Valid bytes, from the start of the file.
    pub(super) good: u64,
    /// When its last batch was written; if it has none, when the batch before it was.
    pub(super) written_at: Timestamp,
}

#[derive(Debug)]
struct Current {
    file: SegmentFile,
    head: SegmentHead,
    window: Window,
    /// Length of the batch that was returned last; the view is still on it.
    returned: usize,
}

#[derive(Debug)]
pub(super) struct Scan<'s> {
    storage: &'s dyn Storage,
    /// Where segments are that have left the journal, if they are among those to walk.
    kept: Option<&'s dyn Storage>,
    waiting: VecDeque<SegmentFile>,
    current: Option<Current>,
    tip: Option<Tip>,
    /// If set, the walk ends here. The log is being written, and everything before must be whole batches.
    until: Option<Lsn>,
    scanned: Vec<ScannedSegment>,
    ending: Option<Ending>,
    failed: bool,
}

impl<'s> Scan<'s> {
    pub(super) fn new(storage: &'s dyn Storage, segments: Vec<SegmentFile>, until: Option<Lsn>) -> Self {
        let waiting = segments.into();
        let (scanned, kept) = (Vec::new(), None);
        Self { storage, kept, waiting, current: None, tip: None, until, scanned, ending: None, failed: false }
    }

    /// The same, with segments in a folder of kept ones, which have other names than those of a journal.
    pub(super) fn with_kept(self, kept: &'s dyn Storage) -> Self {
        Self { kept: Some(kept), ..self }
    }

    /// The storage of a segment.
    fn storage_of(&self, name: &str) -> &'s dyn Storage {
        self.kept.filter(|_| parse_kept_name(name).is_some()).unwrap_or(self.storage)
    }

    /// The position of the walk.
    pub(super) fn tip(&self) -> Tip {
        self.tip.unwrap_or(Tip::START)
    }

    /// How the journal ends; set once the walk is over.
    pub(super) const fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// The segments that were walked to the end of their valid part.
    pub(super) fn scanned(&self) -> &[ScannedSegment] {
        &self.scanned
    }

    /// The next batch's head and hash; none at the end, and after an error.
    pub(super) fn step(&mut self) -> Result<Option<(BatchHead, BatchHash)>, LogError> {
        if self.failed {
            return Ok(None);
        }
        let step = self.try_step();
        self.failed = step.is_err();
        step
    }

    /// The next batch, decoded.
    pub(super) fn batch(&mut self) -> Result<Option<Batch>, LogError> {
        let Some((head, hash)) = self.step()? else { return Ok(None) };
        let Some(current) = self.current.as_mut() else { return Ok(None) };
        let offset = current.window.offset();
        let returned = current.returned;
        let view = current.window.view().map_err(LogError::reading)?;
        let payload = view.get(BATCH_HEAD..returned).unwrap_or_default();
        Batch::decode(head, hash, payload).map(Some).map_err(|(lsn, what)| {
            self.failed = true;
            LogError::Damage { place: Place { file: current.file.name.clone(), offset, lsn }, what: what.to_owned() }
        })
    }

    fn try_step(&mut self) -> Result<Option<(BatchHead, BatchHash)>, LogError> {
        while self.ending.is_none() && self.until.is_none_or(|until| self.tip().next < until) {
            let Some(current) = self.current.as_mut() else {
                self.open_next()?;
                continue;
            };
            current.window.pass(std::mem::take(&mut current.returned));
            let view = current.window.view().map_err(LogError::reading)?;
            if view.is_empty() {
                self.leave();
                continue;
            }
            match parse_batch(view) {
                Ok((head, length)) => {
                    let hash = BatchHash::of(view.get(..length).unwrap_or_default());
                    current.returned = length;
                    self.check(&head)?;
                    self.tip = Some(Tip::after(&head, hash));
                    return Ok(Some((head, hash)));
                }
                Err(FrameError::Foreign(found)) => {
                    return Err(LogError::Foreign { file: current.file.name.clone(), found });
                }
                Err(FrameError::Bad(what)) => self.no_batch(what)?,
            }
        }
        Ok(None)
    }

    /// Damage at the current position.
    fn damage(&self, what: String) -> LogError {
        let (file, offset) =
            self.current.as_ref().map_or_else(Default::default, |now| (now.file.name.clone(), now.window.offset()));
        LogError::Damage { place: Place { file, offset, lsn: self.tip().next }, what }
    }

    /// Finishes a segment.
    fn leave(&mut self) {
        if let Some(Current { file, head, window, returned: _ }) = self.current.take() {
            let written_at = self.tip().written_at;
            self.scanned.push(ScannedSegment { file, head, good: window.offset(), written_at });
        }
    }

    fn open_next(&mut self) -> Result<(), LogError> {
        let Some(file) = self.waiting.pop_front() else {
            self.ending = Some(Ending::Open);
            return Ok(());
        };
        let damage = |lsn, what| {
            let place = Place { file: file.name.clone(), offset: 0, lsn };
            Err(LogError::Damage { place, what })
        };
        let (head, window) = match read_head(self.storage_of(&file.name), &file)? {
            Ok(read) => read,
            Err(what) => return damage(file.first, format!("the segment's head {what}")),
        };
        if head.first != file.first {
            return damage(file.first, format!("the segment begins with record {}, unlike its name", head.first));
        }
        match self.tip {
            None => {
                let SegmentHead { durability: _, first, term, written_at, before } = head;
                self.tip = Some(Tip { next: first, chain: before, term, written_at });
            }
            Some(tip) if tip.next != head.first => {
                let what = format!("the segment begins with record {}: a segment or its end is missing", head.first);
                return damage(tip.next, what);
            }
            Some(tip) if tip.chain != head.before => {
                return damage(tip.next, "the segment was not written after the one before it".to_owned());
            }
            // Recovery copies the last segment and rereads it alone, so its head must agree with everything before.
            Some(tip) if (tip.term, tip.written_at) != (head.term, head.written_at) => {
                let SegmentHead { term, written_at, .. } = head;
                let what = format!("the segment says that the batch before it is of term {term}, {written_at}");
                return damage(tip.next, format!("{what}, but it is of term {}, {}", tip.term, tip.written_at));
            }
            Some(_) => {}
        }
        self.current = Some(Current { file, head, window, returned: 0 });
        Ok(())
    }

    /// A whole batch must be the expected next one: no torn write makes a whole batch in the wrong place.
    fn check(&self, head: &BatchHead) -> Result<(), LogError> {
        let tip = self.tip();
        if head.first != tip.next {
            return Err(self.damage(format!("found a batch that begins with record {}", head.first)));
        }
        if head.before != tip.chain {
            return Err(self.damage("the batch was not written after the one before it".to_owned()));
        }
        if head.term < tip.term {
            return Err(self.damage(format!("the batch is of term {}, after term {}", head.term, tip.term)));
        }
        Ok(())
    }

    fn no_batch(&mut self, what: &'static str) -> Result<(), LogError> {
        let Some(current) = self.current.as_mut() else { return Ok(()) };
        let view = current.window.view().map_err(LogError::reading)?;
        match Trailer::parse(view) {
            Ok(trailer) => {
                let alone = view.len() == TRAILER && self.waiting.is_empty();
                self.end_clean(trailer, alone)
            }
            Err(FrameError::Foreign(found)) => Err(LogError::Foreign { file: current.file.name.clone(), found }),
            Err(FrameError::Bad(_)) => self.end_bad(what),
        }
    }

    fn end_clean(&mut self, trailer: Trailer, alone: bool) -> Result<(), LogError> {
        let tip = self.tip();
        if !alone {
            return Err(self.damage("the journal was closed here, but more follows".to_owned()));
        }
        if trailer.next != tip.next || trailer.chain != tip.chain || trailer.term < tip.term {
            let what = format!("the journal was closed before record {}, but does not end there", trailer.next);
            return Err(self.damage(what));
        }
        self.leave();
        self.ending = Some(Ending::Clean(trailer));
        Ok(())
    }

    /// Handles bytes that are no batch: a torn end, or damage.
    fn end_bad(&mut self, what: &'static str) -> Result<(), LogError> {
        let Some(current) = self.current.as_ref() else { return Ok(()) };
        if self.until.is_some() {
            return Err(self.damage(format!("what stands here {what}")));
        }
        let (file, offset) = (current.file.name.clone(), current.window.offset());
        let length = self.storage_of(&file).length(&file).map_err(LogError::reading)?;
        let follower = self.follower(&file, offset)?;
        let cut = Cut { file, offset, bytes: length.saturating_sub(offset), lsn: self.tip().next, what };
        self.ending = Some(match (current.head.durability, follower) {
            (Durability::Sync, Some(follower)) => {
                return Err(self.damage(format!("what stands here {what}, and {follower}")));
            }
            // Batches are synced one by one, so a torn write leaves at most one. More bytes mean that acknowledged
            // batches were there.
            (Durability::Sync, None) if cut.bytes > u64::try_from(BATCH_BYTES_MAX).unwrap_or(u64::MAX) => {
                return Err(self.damage(format!("what stands here {what}, and is longer than a torn write can be")));
            }
            (Durability::Sync | Durability::Os, None) => Ending::Torn(cut),
            (Durability::Os, Some(_)) => {
                if let Some(forced) = self.forced_later()? {
                    return Err(
                        self.damage(format!("what stands here {what}, and {forced}, forced to the disk, follows"))
                    );
                }
                Ending::Lost(cut, self.waiting.drain(..).map(|later| later.name).collect())
            }
        });
        self.leave();
        Ok(())
    }

    /// Evidence that more had been written after a bad place.
    fn follower(&self, file: &str, bad: u64) -> Result<Option<String>, LogError> {
        if let Some(later) = self.waiting.front() {
            return Ok(Some(format!("{} follows", later.name)));
        }
        let from = bad.saturating_add(1);
        let source = self.storage_of(file).read_at(file, from).map_err(LogError::reading)?;
        let found = find_frame(Window::new(source, from), &self.tip()).map_err(LogError::reading)?;
        Ok(found.map(|offset| format!("a whole batch or trailer follows at byte {offset}")))
    }

    /// A later segment of `sync` durability, or with an unreadable head. All before a segment of `sync` durability was
    /// synced when it began.
    fn forced_later(&self) -> Result<Option<&str>, LogError> {
        for later in &self.waiting {
            match read_head(self.storage_of(&later.name), later)? {
                Ok((SegmentHead { durability: Durability::Os, .. }, _)) => {}
                Ok(_) | Err(_) => return Ok(Some(&later.name)),
            }
        }
        Ok(None)
    }
}

/// A segment's head and a view of what follows it; or what is wrong with the head.
fn read_head(
    storage: &dyn Storage,
    file: &SegmentFile,
) -> Result<Result<(SegmentHead, Window), &'static str>, LogError> {
    let mut window = Window::new(storage.read_at(&file.name, 0).map_err(LogError::reading)?, 0);
    match SegmentHead::parse(window.view().map_err(LogError::reading)?) {
        Ok(head) => {
            window.pass(SEGMENT_HEAD);
            Ok(Ok((head, window)))
        }
        Err(FrameError::Bad(what)) => Ok(Err(what)),
        Err(FrameError::Foreign(found)) => Err(LogError::Foreign { file: file.name.clone(), found }),
    }
}

/// Searches every byte for the start of a whole batch or trailer that could come after `tip` in this journal.
fn find_frame(mut window: Window, tip: &Tip) -> io::Result<Option<u64>> {
    loop {
        let view = window.view()?;
        let Some(start) = view.iter().position(|byte| *byte == BATCH_MAGIC[0]) else {
            let length = view.len();
            if length == 0 {
                return Ok(None);
            }
            window.pass(length);
            continue;
        };
        window.pass(start);
        let view = window.view()?;
        let batch = parse_batch(view).is_ok_and(|(head, _)| head.first >= tip.next && head.term >= tip.term);
        let trailer = Trailer::parse(view).is_ok_and(|trailer| trailer.next >= tip.next && trailer.term >= tip.term);
        if batch || trailer {
            return Ok(Some(window.offset()));
        }
        window.pass(1);
    }
}

#[cfg(test)]
mod tests {
    use stockade_types::record::{Record, Restart};

    use super::*;
    use crate::log::batch::SealedBatch;

    fn batch(first: u64) -> SealedBatch {
        let record = Record::Restart(Restart { stopped_at: Timestamp(first), grace_until: Timestamp(first), at: None });
        let head =
            BatchHead { term: 2, first: Lsn(first), count: 1, written_at: Timestamp(1), before: BatchHash::NONE };
        SealedBatch::of_records(head, &[record])
    }

    fn find(bytes: Vec<u8>, next: u64) -> Option<u64> {
        let tip = Tip { next: Lsn(next), chain: BatchHash::NONE, term: 2, written_at: Timestamp(0) };
        find_frame(Window::new(Box::new(io::Cursor::new(bytes)), 10), &tip).expect("reads")
    }

    #[test]
    fn a_whole_batch_is_found_at_any_byte() {
        for junk in [0, 1, 75, 300_000] {
            let bytes = [vec![0xff; junk], batch(5).bytes().to_vec()].concat();
            assert_eq!(find(bytes, 5), Some(10 + u64::try_from(junk).expect("fits")));
        }
    }

    #[test]
    fn batches_from_before_or_cut_ones_are_not_followers() {
        assert_eq!(find(batch(4).bytes().to_vec(), 5), None, "an older batch");
        let whole = batch(5);
        assert_eq!(find(whole.bytes()[..whole.bytes().len() - 1].to_vec(), 5), None);
    }
}
