//! Snapshots as a whole: round trips, damage, and removal of old ones.

use stockade_types::ids::DropNo;
use stockade_types::record::{Lifecycle, Record};

use super::*;
use crate::storage::SimulatedStorage;

fn record(n: u32) -> Record {
    Record::Lifecycle(Lifecycle { paused: n.is_multiple_of(2), ..Lifecycle::new(DropNo(n)) })
}

fn write(storage: &dyn Storage, from: Lsn, entries: u32) -> Written {
    let mut writer = SnapshotWriter::create(storage, from).expect("a file");
    for n in 0..entries {
        writer.put(Lsn(u64::from(n) + 1), &record(n));
        writer.flush().expect("a write");
    }
    writer.finish(from.plus(10), &[7; 32], Timestamp(5)).expect("a snapshot")
}

fn read(storage: &dyn Storage, from: Lsn) -> Result<(Loaded, Vec<(Lsn, Record)>), SnapshotError> {
    let mut entries = Vec::new();
    let loaded = load(storage, from, |lsn, record| {
        entries.push((lsn, record));
        Ok(())
    })?;
    Ok((loaded, entries))
}

#[test]
fn what_is_written_is_loaded_over_several_blocks() {
    let storage = SimulatedStorage::default();
    let written = write(&storage, Lsn(40), 200_000);
    let (loaded, entries) = read(&storage, Lsn(40)).expect("a snapshot");
    let expected: Vec<_> = (0..200_000).map(|n| (Lsn(u64::from(n) + 1), record(n))).collect();
    assert!(entries == expected);
    assert_eq!((loaded.from, loaded.upto, loaded.chain, loaded.written_at), (Lsn(40), Lsn(50), [7; 32], Timestamp(5)));
    assert_eq!((loaded.entries, loaded.bytes), (written.entries, written.bytes));
    assert_eq!(storage.length("00000000000000000040.snapshot").expect("a length"), written.bytes);
}

#[test]
fn a_snapshot_cut_anywhere_or_with_any_byte_changed_is_refused() {
    let storage = SimulatedStorage::default();
    write(&storage, Lsn(40), 3);
    let whole = storage.read("00000000000000000040.snapshot").expect("bytes");
    let tried = |bytes: &[u8]| {
        let storage = SimulatedStorage::default();
        storage.create("00000000000000000040.snapshot").expect("a file").append(bytes).expect("a write");
        read(&storage, Lsn(40))
    };
    assert!(tried(&whole).is_ok());
    for place in 0..whole.len() {
        assert!(tried(&whole[..place]).is_err(), "cut at {place}");
        let mut changed = whole.clone();
        changed[place] ^= 0x10;
        assert!(tried(&changed).is_err(), "changed at {place}");
    }
    assert!(tried(&[whole.as_slice(), &[0]].concat()).is_err(), "a byte more");
}

#[test]
fn another_version_is_named() {
    let storage = SimulatedStorage::default();
    write(&storage, Lsn(1), 0);
    let mut bytes = storage.read("00000000000000000001.snapshot").expect("bytes");
    bytes[8] = 9;
    let sum = crc32c::crc32c(&bytes[..HEADER - 4]);
    bytes[HEADER - 4..HEADER].copy_from_slice(&sum.to_le_bytes());
    let other = SimulatedStorage::default();
    other.create("00000000000000000001.snapshot").expect("a file").append(&bytes).expect("a write");
    let error = read(&other, Lsn(1)).expect_err("foreign");
    assert!(matches!(error, SnapshotError::Foreign { found: 9, .. }), "{error}");
}

#[test]
fn what_is_set_aside_is_none_of_the_kept_and_does_not_pile_up() {
    let storage = SimulatedStorage::default();
    for from in 1..=5 {
        write(&storage, Lsn(from * 10), 1);
    }
    assert_eq!(set_aside(&storage, &[]).expect("nothing to do"), Vec::<String>::new());
    let named = set_aside(&storage, &[Lsn(50), Lsn(30), Lsn(20)]).expect("set aside");
    assert_eq!(named[0], "00000000000000000050.snapshot.bad");
    let aside = ["00000000000000000030.snapshot.bad", "00000000000000000050.snapshot.bad"];
    assert_eq!(list_set_aside(&storage).expect("a list"), aside);
    assert_eq!(list(&storage).expect("a list"), [Lsn(40), Lsn(10)]);
    assert_eq!(prune(&storage).expect("pruned"), Some(Lsn(10)), "good ones alone are counted");
    assert_eq!(list_set_aside(&storage.reboot(1)).expect("a list"), aside, "forced to the disk");
}

#[test]
fn two_are_kept_and_unfinished_ones_removed() {
    let storage = SimulatedStorage::default();
    drop(SnapshotWriter::create(&storage, Lsn(99)).expect("a file"));
    write(&storage, Lsn(10), 1);
    assert_eq!(prune(&storage).expect("pruned"), None, "with one there is nothing to fall back to: keep the journal");
    write(&storage, Lsn(20), 1);
    write(&storage, Lsn(30), 1);
    assert_eq!(prune(&storage).expect("pruned"), Some(Lsn(20)));
    assert_eq!(list(&storage).expect("a list"), [Lsn(30), Lsn(20)]);
    assert_eq!(storage.list().expect("a list").len(), 2);
}

#[test]
fn a_crash_never_leaves_an_earlier_try_under_the_snapshots_name() {
    let cut_short = || ("00000000000000000040.snapshot.tmp".to_owned(), vec![1, 2, 3]);
    let unfinished = name(Lsn(40)).replace(".snapshot", UNFINISHED);
    for place in 0..8 {
        for seed in 0..64 {
            let (_, bytes) = cut_short();
            let storage = SimulatedStorage::with_files([(unfinished.clone(), bytes)].into());
            storage.crash_at(place);
            let taken = SnapshotWriter::create(&storage, Lsn(40)).map(|mut writer| {
                writer.put(Lsn(1), &record(1));
                writer.finish(Lsn(50), &[7; 32], Timestamp(5))
            });
            drop(taken);
            let found = storage.reboot(seed);
            let names = found.list().expect("names");
            if names.contains(&name(Lsn(40))) {
                assert!(read(&found, Lsn(40)).is_ok(), "crash at {place}, seed {seed}: {names:?}");
            }
        }
    }
}

#[test]
fn a_large_snapshot_that_is_damaged_or_not_wanted_late_is_refused_with_its_place() {
    let storage = SimulatedStorage::default();
    write(&storage, Lsn(40), 200_000);
    let file = "00000000000000000040.snapshot";
    let mut bytes = storage.read(file).expect("bytes");
    let refused = |lsn: Lsn| if lsn == Lsn(199_999) { Err("not wanted".to_owned()) } else { Ok(()) };
    match load(&storage, Lsn(40), |lsn, _| refused(lsn)) {
        Err(SnapshotError::Damage { offset, what, .. }) => {
            assert!(what.contains("not wanted"));
            assert!(offset > 20 * u64::try_from(BLOCK).expect("fits"), "the block that it is in, not {offset}");
        }
        other => panic!("{other:?}"),
    }
    let place = bytes.len() - 2_000;
    bytes[place] ^= 1;
    let damaged = SimulatedStorage::with_files([(file.to_owned(), bytes)].into());
    let mut applied = 0;
    let loaded = load(&damaged, Lsn(40), |_, _| {
        applied += 1;
        Ok(())
    });
    assert!(matches!(loaded, Err(SnapshotError::Damage { what, .. }) if what.contains("checksum")));
    assert!(applied > 100_000, "what stands before it was read: {applied}");
}
