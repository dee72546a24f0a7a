//! Journals: a scan reads a prefix of whole batches and reports the right ending, and opening agrees with it.

use std::sync::Arc;

use stockade_journal::storage::SimulatedStorage;
use stockade_journal::{Batch, Durability, Ending, FileLog, FileLogOptions, LogError, ScannedJournal, inspect};
use stockade_types::ids::Lsn;
use stockade_types::record::Record;

use crate::bounds::bounded;
use crate::frames::{Files, SEGMENT_HEAD, Walk, journal_of, sealed_journal, walk};
use crate::{record, written};

/// Memory for reading a journal batch by batch: two buffers of a file, and the records of one batch.
const MEMORY: (u64, u64) = (2 * 1024 * 1024, 128);

pub(crate) fn run(input: &[u8]) {
    let files = journal_of(input);
    check(&files);
    // Nearly every changed byte fails a checksum; with corrected checksums, the contents are read.
    check(&sealed_journal(&files));
}

fn check(files: &Files) {
    let storage = SimulatedStorage::with_files(files.clone());
    let bytes = files.values().map(Vec::len).sum();
    let counted = bounded("scanning a journal", bytes, MEMORY, || inspect(&storage).expect("a folder").count());
    let mut inspection = inspect(&storage).expect("a folder of segments");
    let mut batches = Vec::new();
    let mut failed = None;
    for batch in inspection.by_ref() {
        match batch {
            Ok(batch) => batches.push(batch),
            Err(error) => failed = Some(error),
        }
    }
    assert_eq!(counted, batches.len() + usize::from(failed.is_some()), "the same bytes were read in another way");
    let ending = inspection.ending().cloned();
    assert_eq!(storage.operations(), 0, "a scan changes nothing");
    let walk = walk(files);
    prefix(&batches, &walk);
    match (&failed, &ending) {
        (Some(error), _) => placed(error, files),
        (None, Some(ending)) => {
            assert_eq!(batches.len(), walk.frames.len(), "whole batches were not read");
            ends(ending, &walk, files);
        }
        (None, None) => panic!("a walk that is over does not say how it ended"),
    }
    let records: Vec<(Lsn, Record)> =
        batches.iter().flat_map(|batch| batch.iter().map(|(lsn, record)| (lsn, record.clone()))).collect();
    for batch in &batches {
        batch.records.iter().for_each(|read| record::again(read, usize::MAX));
    }
    for durability in [Durability::Sync, Durability::Os] {
        opened(files, durability, failed.as_ref(), &records);
    }
    written::applied(&records);
}

/// What was read must equal the bytes from the front.
fn prefix(batches: &[Batch], walk: &Walk) {
    assert!(batches.len() <= walk.frames.len(), "more batches were read than are whole");
    for (batch, frame) in batches.iter().zip(&walk.frames) {
        assert_eq!((batch.head.first.0, batch.head.term), (frame.first, frame.term), "another batch was read");
        assert_eq!(batch.records, frame.records, "other records were read");
    }
}

fn ends(ending: &Ending, walk: &Walk, files: &Files) {
    match ending {
        Ending::Open => assert_eq!(walk.stopped, None, "bad bytes were passed over"),
        Ending::Clean(trailer) => {
            let (file, at) = walk.stopped.as_ref().expect("a trailer is no batch");
            let (last, bytes) = files.last_key_value().expect("a segment");
            let read: u64 =
                walk.frames.last().map_or(0, |frame| frame.first + u64::try_from(frame.records.len()).expect("small"));
            assert_eq!((file, *at), (last, u64::try_from(bytes.len() - SEGMENT_HEAD).expect("small")));
            assert!(read == 0 || trailer.next.0 == read, "closed elsewhere than at its end");
        }
        Ending::Torn(cut) | Ending::Lost(cut, _) => {
            assert_eq!(walk.stopped, Some((cut.file.clone(), cut.offset)), "cut elsewhere than at the bad bytes");
            let bytes = files.get(&cut.file).expect("a segment").len();
            assert_eq!(cut.offset + cut.bytes, u64::try_from(bytes).expect("small"), "not all of the rest is reported");
        }
    }
}

/// A refusal names the file and an offset within it.
fn placed(error: &LogError, files: &Files) {
    match error {
        LogError::Damage { place, what } => {
            let bytes = files.get(&place.file).unwrap_or_else(|| panic!("damage in {}: {what}", place.file));
            assert!(place.offset <= u64::try_from(bytes.len()).expect("small"), "damage behind the end: {error}");
            assert!(!what.is_empty());
        }
        LogError::Foreign { file, .. } => assert!(files.contains_key(file), "a format of no file: {error}"),
        LogError::Io { .. }
        | LogError::Full(_)
        | LogError::Unknown(_)
        | LogError::Gone(_)
        | LogError::ForeignFiles(_)
        | LogError::Fenced { .. }
        | LogError::WrongPosition { .. }
        | LogError::Stopped => panic!("another no than one for bad bytes: {error}"),
    }
}

/// Opening must find what the scan found, change nothing if it refuses, and leave files that are read as the same
/// again.
fn opened(files: &Files, durability: Durability, failed: Option<&LogError>, records: &[(Lsn, Record)]) {
    let storage = SimulatedStorage::with_files(files.clone());
    // As in a start: everything is read before anything is changed.
    let open = || {
        let scanned = ScannedJournal::scan(Arc::new(storage.clone()))?;
        let mut read = Vec::new();
        for batch in scanned.read(scanned.state().oldest)? {
            read.extend(batch?.iter().map(|(lsn, record)| (lsn, record.clone())));
        }
        let (_log, opened) = FileLog::serve(scanned, FileLogOptions { durability, ..FileLogOptions::default() })?;
        Ok::<_, LogError>((opened, read))
    };
    match (open(), failed) {
        (Ok((first, read)), None) => {
            assert_eq!(read, records, "opened, it has other records");
            let (second, read) = open().expect("what was opened opens again");
            assert_eq!((second.next, second.chain), (first.next, first.chain), "opened again, it ends elsewhere");
            assert!(second.cut.is_none() && second.lost.is_empty(), "cut twice");
            assert_eq!(read, records, "opened again, it has other records");
        }
        (Err(error), Some(_)) => {
            // Of several faults it may report another one: it reads every header before any record.
            placed(&error, files);
            assert_eq!(&storage.files(), files, "a refused journal is left alone");
        }
        (Ok(_), Some(failed)) => panic!("opened although {failed}"),
        (Err(error), None) => panic!("refused although it can be read: {error}"),
    }
}
