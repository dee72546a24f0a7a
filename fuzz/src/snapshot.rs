//! Snapshots: one that can be loaded can be written, and is loaded as the same again; others are refused with an
//! offset.

use stockade_journal::snapshot::{Loaded, SnapshotError, SnapshotWriter, load};
use stockade_journal::storage::{SimulatedStorage, Storage};
use stockade_types::ids::Lsn;
use stockade_types::record::Record;

use crate::bounds::bounded;
use crate::frames::{sealed_snapshot, snapshot_of};
use crate::{record, written};

/// Memory for loading: a buffer of the file, and one block.
const MEMORY: (u64, u64) = (2 * 1024 * 1024, 128);

type Entries = Vec<(Lsn, Record)>;

pub(crate) fn run(input: &[u8]) {
    check(input);
    // Nearly every changed byte fails a checksum; with corrected checksums, the contents are read.
    check(&sealed_snapshot(input));
}

fn read(storage: &dyn Storage, from: Lsn) -> Result<(Loaded, Entries), SnapshotError> {
    let mut entries = Vec::new();
    let loaded = load(storage, from, |lsn, record| {
        entries.push((lsn, record));
        Ok(())
    })?;
    Ok((loaded, entries))
}

fn check(input: &[u8]) {
    let (from, files) = snapshot_of(input);
    let from = Lsn(from);
    let storage = SimulatedStorage::with_files(files.clone());
    let counted = bounded("loading a snapshot", input.len(), MEMORY, || load(&storage, from, |_, _| Ok(())));
    let (loaded, entries) = match (read(&storage, from), counted) {
        (Ok((loaded, entries)), Ok(counted)) => {
            assert_eq!(loaded, counted, "loaded twice, it says something else");
            (loaded, entries)
        }
        (Err(error), Err(_)) => {
            assert_eq!(storage.files(), files, "loading changes nothing");
            return placed(&error, input.len());
        }
        (found, counted) => panic!("loaded twice: {found:?}, then {counted:?}"),
    };
    assert_eq!(u64::try_from(entries.len()), Ok(loaded.entries));
    assert_eq!(u64::try_from(input.len()), Ok(loaded.bytes), "not all bytes were looked at");
    let copy = SimulatedStorage::new();
    let mut writer = SnapshotWriter::create(&copy, from).expect("a file");
    for (revision, entry) in &entries {
        record::again(entry, usize::MAX);
        writer.put(*revision, entry);
        writer.flush().expect("a write");
    }
    writer.finish(loaded.upto, &loaded.chain, loaded.written_at).expect("a snapshot");
    let (copied, again) = read(&copy, from).expect("what is written is loaded");
    assert_eq!(again, entries, "written and loaded again, it has other entries");
    assert_eq!(Loaded { bytes: loaded.bytes, ..copied }, loaded);
    written::restored(&entries);
}

/// A refusal names an offset within the file.
fn placed(error: &SnapshotError, bytes: usize) {
    match error {
        SnapshotError::Damage { offset, what, .. } => {
            assert!(*offset <= u64::try_from(bytes).expect("small") && !what.is_empty(), "{error}");
        }
        SnapshotError::Foreign { found, .. } => assert_ne!(*found, stockade_journal::snapshot::FORMAT_VERSION),
        SnapshotError::Io { .. } => panic!("another no than one for bad bytes: {error}"),
    }
}
