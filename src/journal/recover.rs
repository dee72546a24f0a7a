//! Opening a journal: a scan that changes nothing, then the repair that it calls for, then a fresh last segment.
//!
//! The last segment's good part is copied, forced and renamed over the old one before anything is appended: after a
//! failed sync the operating system may show bytes that the disk does not have. Every step leaves a folder that opens
//! to the same records when the machine stops right after it.

use std::io::Read;
use std::sync::Arc;

use super::Start;
use super::file_log::FileLogOptions;
use super::frame::BatchHash;
use super::log::LogError;
use super::scan::{Cut, Ending, Files, Scan, SegmentFile, Tip, Walked};
use super::segment::{SEGMENT_HEAD, SegmentHead, lost_name, new_name, segment_name};
use crate::ids::Lsn;
use crate::storage::{Storage, StorageFile};
use crate::time::Timestamp;

/// Bytes copied at once.
const COPY: u64 = 1024 * 1024;

/// What was found when a journal was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The oldest record that is there, or would be.
    pub oldest: Lsn,
    /// Where the next record goes; 1 on a first start.
    pub next: Lsn,
    /// Hash of the last batch.
    pub chain: BatchHash,
    /// The term that begins with this opening.
    pub epoch: u64,
    /// The last instant that the journal knows: the last batch's, or that of the clean shutdown. None on a first start.
    pub last_written_at: Option<Timestamp>,
    /// Whether it was closed: nothing can have been lost.
    pub clean: bool,
    /// What was cut off: never acknowledged with `sync` durability, perhaps acknowledged with `os`.
    pub cut: Option<Cut>,
    /// Files that hold what was cut from between whole batches (`os` durability only): an operator should know.
    pub lost: Vec<String>,
}

impl Opened {
    /// What the journal's writer goes on with.
    #[must_use]
    pub const fn start(&self) -> Start {
        Start { next: self.next, chain: self.chain, epoch: self.epoch }
    }
}

/// A segment that is complete or being written.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) file: SegmentFile,
    pub(super) bytes: u64,
}

/// A journal that can be appended to.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) opened: Opened,
    pub(super) tip: Tip,
    /// Oldest first; the last one is `file`.
    pub(super) segments: Vec<Segment>,
    pub(super) file: Arc<dyn StorageFile>,
}

pub(super) fn recover(storage: &dyn Storage, options: FileLogOptions) -> Result<Recovered, LogError> {
    let files = Files::list(storage)?;
    let mut scan = Scan::new(storage, files.segments, None);
    while scan.step()?.is_some() {}
    let tip = scan.tip();
    let (mut clean, mut cut, mut lost, mut epoch, mut known) = (false, None, Vec::new(), tip.epoch, tip.written_at);
    let repaired = match scan.ending() {
        Some(Ending::Clean(trailer)) => {
            clean = true;
            epoch = epoch.max(trailer.epoch);
            known = known.max(trailer.closed_at);
            scan.walked()
        }
        Some(Ending::Torn(torn)) => {
            cut = Some(torn.clone());
            scan.walked()
        }
        Some(Ending::Lost(torn, later)) => {
            lost = set_aside(storage, torn, later)?;
            cut = Some(torn.clone());
            scan.walked()
        }
        Some(Ending::Open) | None => scan.walked(),
    };
    for name in &files.unfinished {
        storage.remove(name).map_err(LogError::writing("remove an unfinished segment"))?;
    }
    let (segments, file) = renew(storage, options, repaired, &tip)?;
    let opened = Opened {
        oldest: segments.first().map_or(tip.next, |segment| segment.file.first),
        next: tip.next,
        chain: tip.chain,
        epoch: epoch.saturating_add(1),
        last_written_at: (known > Timestamp(0)).then_some(known),
        clean,
        cut,
        lost,
    };
    Ok(Recovered { opened, tip, segments, file })
}

/// Makes the last segment anew, so that it can be appended to and is known to be on the disk.
fn renew(
    storage: &dyn Storage,
    options: FileLogOptions,
    walked: &[Walked],
    tip: &Tip,
) -> Result<(Vec<Segment>, Arc<dyn StorageFile>), LogError> {
    let segment = |walked: &Walked| Segment { file: walked.file.clone(), bytes: walked.good };
    let Some((last, before)) = walked.split_last() else {
        let (made, file) = make_segment(storage, &tip.segment(options.durability))?;
        return Ok((vec![made], file));
    };
    let mut segments: Vec<Segment> = before.iter().map(segment).collect();
    if tip.next == last.head.first {
        let (made, file) = make_segment(storage, &tip.segment(options.durability))?;
        segments.push(made);
        return Ok((segments, file));
    }
    let file = copy_segment(storage, last)?;
    segments.push(segment(last));
    if last.head.durability == options.durability {
        return Ok((segments, file));
    }
    let (made, file) = make_segment(storage, &tip.segment(options.durability))?;
    segments.push(made);
    Ok((segments, file))
}

/// Makes a segment without batches. It gets its name only when its head is on the disk; one of that name is replaced.
pub(super) fn make_segment(
    storage: &dyn Storage,
    head: &SegmentHead,
) -> Result<(Segment, Arc<dyn StorageFile>), LogError> {
    let new = new_name(head.first);
    let writing = || LogError::writing("begin a segment");
    let file = storage.create(&new).map_err(writing())?;
    file.append(&head.encode()).map_err(writing())?;
    let name = segment_name(head.first);
    publish(storage, file.as_ref(), &new, &name)?;
    let bytes = u64::try_from(SEGMENT_HEAD).unwrap_or(u64::MAX);
    Ok((Segment { file: SegmentFile { name, first: head.first }, bytes }, Arc::from(file)))
}

/// Copies what is good of a segment into a new file and puts that in its place.
fn copy_segment(storage: &dyn Storage, walked: &Walked) -> Result<Arc<dyn StorageFile>, LogError> {
    let new = new_name(walked.head.first);
    let file = storage.create(&new).map_err(LogError::writing("copy its last segment"))?;
    let source = storage.read_at(&walked.file.name, 0).map_err(LogError::reading)?;
    copy(source.take(walked.good), file.as_ref())?;
    publish(storage, file.as_ref(), &new, &walked.file.name)?;
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

/// Forces a file and its name to the disk, then gives it the name that counts.
fn publish(storage: &dyn Storage, file: &dyn StorageFile, new: &str, name: &str) -> Result<(), LogError> {
    file.sync_data().map_err(LogError::writing("force a new segment to the disk"))?;
    storage.sync_dir().map_err(LogError::writing("force its folder to the disk"))?;
    storage.rename(new, name).map_err(LogError::writing("name a new segment"))?;
    storage.sync_dir().map_err(LogError::writing("force its folder to the disk"))
}

/// Keeps what an `os` journal lost the thread of: the rest of the segment that is cut, and all later ones. On the disk
/// before the segment itself is made good: until then a crash leaves a journal that is cut at the same place again.
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
        let first = recover(&storage, FileLogOptions::default()).expect("opens").opened;
        let files = storage.files();
        let second = recover(&storage, FileLogOptions::default()).expect("opens").opened;
        assert_eq!((storage.files(), second), (files, first));
    }
}
