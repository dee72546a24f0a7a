//! Rolling, segments made ahead, and what happens if no file can be made.

use stockade_types::record::{Record, Restart};
use stockade_types::time::Timestamp;

use super::*;
use crate::log::batch::BatchHead;
use crate::storage::SimulatedStorage;
use crate::storage::simulated::StorageOperation;

fn filled(durability: Durability, batches: u64) -> (SimulatedStorage, FileLog) {
    let storage = SimulatedStorage::new();
    let options = FileLogOptions { durability, segment_bytes: 1_000 };
    let (log, opened) = FileLog::open(Arc::new(storage.clone()), options).expect("opens");
    let (mut next, mut before) = (opened.next, opened.chain);
    for n in 0..batches {
        let record = Record::Restart(Restart { stopped_at: Timestamp(n), grace_until: Timestamp(n), at: None });
        let head = BatchHead { term: opened.term, first: next, count: 0, written_at: Timestamp(n), before };
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
    assert_eq!(storage.count(StorageOperation::SyncData), 1, "the segment's head");
    log.sync().expect("syncs");
    assert_eq!(storage.count(StorageOperation::SyncData), 2);
    assert_eq!(filled(Durability::Sync, 5).0.count(StorageOperation::SyncData), 6, "and each batch");
}

/// Appends `batches` batches, each after the one before.
fn go_on(log: &FileLog, batches: u64) -> Result<(), LogError> {
    for n in 0..batches {
        let tip = log.tail.lock().tip;
        let record = Record::Restart(Restart { stopped_at: Timestamp(n), grace_until: Timestamp(n), at: None });
        let term = log.tail.lock().term;
        let head = BatchHead { term, first: tip.next, count: 0, written_at: Timestamp(n), before: tip.chain };
        log.append(tip.next, &SealedBatch::of_records(head, &[record]))?;
    }
    Ok(())
}

#[test]
fn what_was_made_ahead_is_the_next_segment_and_nothing_is_made_when_it_is_needed() {
    let (storage, log) = filled(Durability::Sync, 5);
    log.tend().expect("makes one");
    let made = storage.count(StorageOperation::Create);
    log.tend().expect("one is enough");
    assert_eq!((storage.count(StorageOperation::Create), storage.files().len()), (made, 2));
    storage.fail_at(StorageOperation::Create, made, io::ErrorKind::Other);
    go_on(&log, 10).expect("the next is there");
    assert_eq!(storage.count(StorageOperation::Create), made);
    assert!(storage.files().len() == 2 && storage.files().keys().all(|name| name.ends_with(".journal")));
    log.tend().expect_err("set to fail");
    log.tend().expect("tried again");
    let trailer = Trailer { term: 1, next: Lsn(16), closed_at: Timestamp(1), chain: log.tail.lock().tip.chain };
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
    log.close(&Trailer { term: 1, next: tip.next, closed_at: Timestamp(1), chain: tip.chain }).expect("closes");
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
    let creates = storage.count(StorageOperation::Create);
    go_on(&log, 10).expect("begins the one that is there");
    assert_eq!(storage.count(StorageOperation::Create), creates);
    let batches = log.read(Lsn(1)).expect("reads").map(|batch| batch.expect("whole").head.first);
    assert!(batches.eq((1..=25).map(Lsn)), "every batch is found, in order");
}

#[test]
fn while_no_segment_can_be_made_the_newest_goes_on_for_a_while() {
    let (storage, log) = filled(Durability::Sync, 5);
    let kinds = [io::ErrorKind::Other, io::ErrorKind::StorageFull];
    let first = storage.count(StorageOperation::Create);
    for (place, kind) in (0..20).zip(kinds.into_iter().cycle()) {
        storage.fail_at(StorageOperation::Create, first + place, kind);
    }
    let before = storage.files().len();
    go_on(&log, 20).expect("goes on");
    assert_eq!(storage.files().len(), before);
    go_on(&log, 10).expect("and begins the next as soon as it can");
    assert!(storage.count(StorageOperation::Create) > first + 10 && storage.files().len() > before);
    for place in 0..1_000 {
        storage.fail_at(
            StorageOperation::Create,
            storage.count(StorageOperation::Create) + place,
            io::ErrorKind::Other,
        );
    }
    let error = go_on(&log, 1_000).expect_err("not for ever");
    assert!(matches!(error, LogError::Io { .. }), "{error:?}");
    let longest = storage.files().values().map(Vec::len).max().expect("segments");
    assert!((15_000..=16_000).contains(&longest), "{longest}");
}
