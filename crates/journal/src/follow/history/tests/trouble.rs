//! Errors of the disk: kept segments are dropped first, and nothing is lost unnecessarily.

use super::*;

#[test]
fn a_disk_that_is_full_takes_the_journal_once_what_is_kept_has_gone() {
    let mut shop = Shop::new(ALL);
    shop.fill(100).expect("fills");
    shop.log.trim(Lsn(90)).expect("trims");
    let before = shop.kept_files();
    let appends = shop.storage.count(StorageOperation::Append);
    for again in 0..3 {
        shop.storage.fail_at(StorageOperation::Append, appends + again, io::ErrorKind::StorageFull);
    }
    shop.fill(1).expect("half of it, half of the rest, half of that, and then all");
    assert_eq!(shop.storage.failures().len(), 3);
    assert_eq!(shop.kept_files(), before[3..]);
    assert_eq!(shop.read(95, 999).expect("reads"), places(95, 101));
    let mut shop = shop.again(ALL);
    assert_eq!(shop.read(95, 999).expect("reads"), places(95, 101), "as it was meant to be");
    let appends = shop.storage.count(StorageOperation::Append);
    shop.storage.fail_at(StorageOperation::Append, appends, io::ErrorKind::FileTooLarge);
    let kept = shop.kept_files();
    assert!(matches!(shop.fill(1), Err(LogError::Full(_))));
    assert_eq!(shop.kept_files(), kept, "a file that may not grow is not helped by it");
}

#[test]
fn a_disk_that_is_full_takes_the_next_segment_once_what_is_kept_has_gone() {
    for (operation, ahead) in
        [(StorageOperation::Create, false), (StorageOperation::Append, false), (StorageOperation::Append, true)]
    {
        let mut shop = Shop::new(ALL);
        shop.fill(100).expect("fills");
        shop.log.trim(Lsn(90)).expect("trims");
        let segments = |shop: &Shop| shop.storage.files().keys().filter(|name| name.ends_with(".journal")).count();
        let (before, begun) = (shop.kept_files(), segments(&shop));
        let batch = shop.history.batches(Lsn(100), 0).expect("reads")[0].bytes;
        let newest = shop.log.segment_of(Lsn(100)).expect("there").0.file.name;
        // Up to the batch that begins the next segment.
        while shop.storage.length(&newest).expect("there") + batch <= SEGMENT {
            shop.fill(1).expect("fits");
        }
        if ahead {
            shop.log.tend().expect("makes the next ahead");
        }
        let done = shop.storage.count(operation);
        for again in 0..2 {
            shop.storage.fail_at(operation, done + again, io::ErrorKind::StorageFull);
        }
        shop.fill(3).expect("goes on");
        assert_eq!(shop.storage.failures(), [operation; 2]);
        assert_eq!(segments(&shop), begun + 1, "another has begun");
        assert_eq!(shop.kept_files(), before[2..], "{operation:?}");
        let last = shop.next.0 - 1;
        assert_eq!(shop.read(95, 999).expect("reads"), places(95, last));
        assert_eq!(shop.again(ALL).read(95, 999).expect("reads"), places(95, last), "as it was meant to be");
    }
}

#[test]
fn a_segment_that_can_not_be_kept_is_dropped_and_told_of() {
    let mut shop = Shop::new(ALL);
    shop.fill(30).expect("fills");
    shop.storage.fail_at(
        StorageOperation::Rename,
        shop.storage.count(StorageOperation::Rename),
        io::ErrorKind::CrossesDevices,
    );
    shop.log.trim(Lsn(20)).expect("trims all the same");
    let reported = shop.history.tend(Timestamp(0)).expect_err("reported");
    assert_eq!(reported.kind(), io::ErrorKind::CrossesDevices);
    shop.history.tend(Timestamp(0)).expect("once");
    assert!(shop.oldest() > Lsn(1));
    shop.storage.fail_at(
        StorageOperation::SyncDir,
        shop.storage.count(StorageOperation::SyncDir),
        io::ErrorKind::Other,
    );
    shop.log.trim(Lsn(25)).expect("a kept segment that may be lost is not the journal's end");
    shop.history.tend(Timestamp(0)).expect_err("reported");
    shop.fill(1).expect("goes on");
}

#[test]
fn a_segment_whose_old_name_can_not_be_taken_away_is_kept_all_the_same() {
    let mut shop = Shop::new(ALL);
    shop.fill(30).expect("fills");
    assert_eq!(shop.oldest(), Lsn(1), "the folder is known");
    shop.storage.refuse_moves(io::ErrorKind::PermissionDenied);
    shop.log.trim(Lsn(20)).expect("trims all the same");
    assert!(!shop.kept_files().is_empty() && shop.log.oldest() > Lsn(1));
    assert_eq!(shop.oldest(), Lsn(1), "what was moved is known of");
    assert_eq!(shop.read(1, 999).expect("reads"), places(1, 30));
    shop.history.tend(Timestamp(0)).expect_err("reported");
}

#[test]
fn a_folder_that_can_not_be_looked_at_for_a_while_loses_nothing() {
    for is_known in [true, false] {
        let mut shop = Shop::new(ALL);
        shop.fill(60).expect("fills");
        shop.log.trim(Lsn(20)).expect("trims");
        let shop = if is_known { shop } else { shop.again(ALL) };
        if is_known {
            assert_eq!(shop.oldest(), Lsn(1));
        }
        shop.storage.refuse_looks(Some(io::ErrorKind::Other));
        assert!(matches!(shop.history.batches(Lsn(1), 1), Err(HistoryError::Io(_))), "passing");
        let oldest = shop.history.oldest();
        if is_known {
            assert_eq!(oldest.expect("still known"), Lsn(1));
        } else {
            assert!(matches!(oldest, Err(HistoryError::Io(_))), "not the journal's own");
        }
        let own = shop.log.oldest();
        assert!(shop.history.keeps(own).expect("no look is needed"));
        shop.log.trim(Lsn(40)).expect("trims all the same");
        assert!(shop.log.oldest() > Lsn(30));
        shop.storage.refuse_looks(None);
        assert_eq!(shop.oldest(), Lsn(1));
        assert_eq!(shop.read(1, 999).expect("reads"), places(1, 60));
    }
}

#[test]
fn who_waits_hears_of_an_end_that_is_not_forced_to_the_disk() {
    let mut shop = Shop::open(&SimulatedStorage::new(), Durability::Os, ALL).expect("opens");
    shop.fill(2).expect("fills");
    let mut beyond = shop.history.beyond(Lsn(0));
    assert!(!is_ready(&mut beyond));
    shop.storage.fail_at(
        StorageOperation::SyncData,
        shop.storage.count(StorageOperation::SyncData),
        io::ErrorKind::Other,
    );
    let trailer = Trailer { term: shop.term, next: shop.next, closed_at: Timestamp(1), chain: shop.chain };
    assert!(matches!(shop.log.close(&trailer), Err(LogError::Unknown(_))));
    assert!(is_ready(&mut beyond) && beyond.wait().is_err(), "nothing will be forced any more");
    assert_eq!(shop.history.forced(), Lsn(0));
}
