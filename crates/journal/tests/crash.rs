//! The journal on a disk that crashes at every operation, and one that fails at every operation.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that can't go on must stop")]

mod support;

use std::io::ErrorKind;
use std::sync::Arc;

use stockade_journal::storage::simulated::StorageOperation;
use stockade_journal::storage::{SimulatedStorage, Storage};
use stockade_journal::{AppendError, Durability, FileLog, Journal, JournalFailed, Log, LogError};
use stockade_types::ids::Lsn;
use stockade_types::time::Timestamp;

use support::{batch, fill, open_and_read, options, record, trailer};

/// The progress of a run.
#[derive(Debug, Default, Clone, Copy)]
struct Known {
    /// Records appended to the queue.
    appended: u64,
    /// Records whose tickets have resolved with success.
    acknowledged: u64,
    /// Records that a sync has forced, whatever the durability.
    forced: u64,
    /// Records before this may be missing.
    trimmed: u64,
}

/// Runs two terms of a journal: appends of one to three records, a trim, a clean close between the terms and none at
/// the end. Stops at the first failure, after checking that nothing is acknowledged any more.
fn run(storage: &SimulatedStorage, durability: Durability) -> Known {
    let mut known = Known::default();
    for term in 0..2 {
        let Ok((log, opened)) = FileLog::open(Arc::new(storage.clone()), options(durability, 400)) else {
            return known;
        };
        assert_eq!(opened.next.0, known.appended + 1, "the second term goes on where the first ended");
        let journal = Journal::start(Arc::new(log), opened.start(), Arc::default()).expect("starts");
        if !run_term(&journal, &mut known) {
            assert_eq!(journal.permit().err(), Some(AppendError::Failed), "no operation after a failure");
            assert!(journal.barrier().wait().is_err() || known.acknowledged == known.appended);
            return known;
        }
        if term == 0 && journal.close(Timestamp(77)).is_err() {
            return known;
        }
    }
    known
}

fn run_term(journal: &Journal, known: &mut Known) -> bool {
    for turn in 0..8 {
        let count = 1 + turn % 3;
        let records: Vec<_> = (1..=count).map(|n| record(known.appended + n)).collect();
        let Ok(permit) = journal.permit() else { return false };
        let Ok(appended) = journal.append(permit, &records, Timestamp(5)) else { return false };
        known.appended += count;
        assert_eq!(appended.lsn(), Lsn(known.appended));
        if journal.ticket(appended.lsn()).wait().is_err() {
            return false;
        }
        known.acknowledged = known.appended;
        if turn % 3 == 1 {
            // A segment that can't be made in advance is made when it is needed, or the newest segment goes on.
            let _tended = journal.tend();
        }
        if turn == 4 {
            let Ok(forced) = journal.sync() else { return false };
            known.forced = forced.0.0;
            known.trimmed = known.acknowledged - 4;
            // A trim that fails costs space, not records: the journal may go on, or not.
            let _trimmed = journal.trim(Lsn(known.trimmed));
        }
    }
    true
}

/// Opens what is left, checks it, and appends to it.
fn prove(storage: &SimulatedStorage, durability: Durability, known: Known, what: &str) {
    let (log, opened, range) =
        open_and_read(Arc::new(storage.clone()), durability).unwrap_or_else(|error| panic!("{what}: {error}"));
    let must = match durability {
        Durability::Sync => known.acknowledged,
        Durability::Os => known.forced,
    };
    assert!(range.end > must, "{what}: records up to {must} are durable, found {range:?}");
    assert!(range.end <= known.appended + 1, "{what}: found {range:?} of {known:?}");
    assert!(range.start <= known.trimmed.max(1), "{what}: found {range:?} of {known:?}");
    if durability == Durability::Sync {
        assert_eq!(opened.lost, Vec::<String>::new(), "{what}");
    }
    fill(&log, opened.start(), 2).unwrap_or_else(|error| panic!("{what}: {error}"));
    drop(log);
    let (_, again, more) = open_and_read(Arc::new(storage.clone()), durability).expect("opens again");
    assert_eq!((more, again.cut), (range.start..range.end + 4, None), "{what}");
}

fn operations(durability: Durability) -> u64 {
    let storage = SimulatedStorage::new();
    let known = run(&storage, durability);
    assert_eq!((known.appended, known.acknowledged), (30, 30), "without a fault all is acknowledged");
    prove(&storage, durability, known, "without a fault");
    let fresh = SimulatedStorage::new();
    run(&fresh, durability);
    fresh.operations()
}

#[test]
fn a_crash_at_any_operation_loses_nothing_that_was_acknowledged() {
    for durability in [Durability::Sync, Durability::Os] {
        let operations = operations(durability);
        assert!(operations > 40, "{operations}");
        for place in 0..=operations {
            let storage = SimulatedStorage::new();
            storage.crash_at(place);
            let known = run(&storage, durability);
            assert_eq!(storage.crashed(), place < operations);
            for seed in 0..12 {
                let what = format!("{durability:?}, crash at operation {place}, seed {seed}");
                prove(&storage.reboot(seed), durability, known, &what);
            }
        }
    }
}

#[test]
fn a_crash_at_any_operation_of_the_recovery_loses_nothing_either() {
    for durability in [Durability::Sync, Durability::Os] {
        for place in (0..=operations(durability)).step_by(3) {
            let storage = SimulatedStorage::new();
            storage.crash_at(place);
            let known = run(&storage, durability);
            for seed in 0..3 {
                for second in 0..20 {
                    let rebooted = storage.reboot(seed);
                    rebooted.crash_at(second);
                    if open_and_read(Arc::new(rebooted.clone()), durability).is_ok() {
                        break;
                    }
                    let what = format!("{durability:?}, crash at {place}, seed {seed}, again at {second} of recovery");
                    prove(&rebooted.reboot(seed + 100), durability, known, &what);
                }
            }
        }
    }
}

#[test]
fn any_failing_operation_is_final_and_loses_nothing_that_was_acknowledged() {
    let kinds = [
        StorageOperation::Create,
        StorageOperation::Append,
        StorageOperation::SyncData,
        StorageOperation::Rename,
        StorageOperation::Remove,
        StorageOperation::SyncDir,
    ];
    for durability in [Durability::Sync, Durability::Os] {
        let fresh = SimulatedStorage::new();
        run(&fresh, durability);
        for kind in kinds {
            assert!(fresh.count(kind) > 0, "the run does all there is: {kind:?}");
            for place in 0..fresh.count(kind) {
                let storage = SimulatedStorage::new();
                storage.fail_at(kind, place, if place % 2 == 0 { ErrorKind::Other } else { ErrorKind::StorageFull });
                let known = run(&storage, durability);
                let what = format!("{durability:?}, {kind:?} {place} fails");
                let goes_on = matches!(kind, StorageOperation::Remove | StorageOperation::Create);
                assert!(known.acknowledged < 30 || goes_on || place + 1 == fresh.count(kind), "{what}");
                for seed in 0..6 {
                    prove(&storage.reboot(seed), durability, known, &format!("{what}, seed {seed}"));
                }
                prove(&storage, durability, known, &format!("{what}, the process alone starts again"));
                // Records that recovery has read and made durable survive a crash of the machine too.
                let range = open_and_read(Arc::new(storage.clone()), durability).expect("opens").2;
                let after = open_and_read(Arc::new(storage.reboot(1)), durability).expect("opens").2;
                assert_eq!(range, after, "{what}");
            }
        }
    }
}

#[test]
fn a_log_takes_nothing_more_after_a_failed_write_or_sync() {
    for (kind, place) in [(StorageOperation::Append, 2), (StorageOperation::SyncData, 2)] {
        let storage = SimulatedStorage::new();
        storage.fail_at(kind, place, ErrorKind::StorageFull);
        let (log, opened) = FileLog::open(Arc::new(storage.clone()), options(Durability::Sync, 4000)).expect("opens");
        let end = fill(&log, opened.start(), 1).expect("the first is written");
        let error = log.append(end.next, &batch(end, 2)).expect_err("set to fail");
        // A write without space reports that; the outcome of a batch whose sync failed is unknown.
        let reported = if kind == StorageOperation::Append {
            matches!(error, LogError::Full(_))
        } else {
            matches!(error, LogError::Unknown(_))
        };
        assert!(reported, "{error:?}");
        assert!(matches!(log.append(end.next, &batch(end, 2)), Err(LogError::Stopped)), "not tried again");
        assert!(matches!(log.sync(), Err(LogError::Stopped)));
        assert!(matches!(log.close(&trailer(end)), Err(LogError::Stopped)), "no clean end after a failure");
    }
}

#[test]
fn a_trim_that_can_not_be_forced_fails_the_journal_with_its_reason() {
    let storage = SimulatedStorage::new();
    let (log, opened) = FileLog::open(Arc::new(storage.clone()), options(Durability::Sync, 300)).expect("opens");
    let end = fill(&log, opened.start(), 6).expect("appends");
    let journal = Journal::start(Arc::new(log), end, Arc::default()).expect("starts");
    storage.fail_at(StorageOperation::SyncDir, storage.count(StorageOperation::SyncDir), ErrorKind::Other);
    let error = journal.trim(Lsn(9)).expect_err("set to fail");
    assert!(matches!(*error, LogError::Unknown(_)), "{error:?}");
    assert_eq!(journal.permit().err(), Some(AppendError::Failed));
    let reported = journal.ticket(Lsn(1_000)).wait().expect_err("failed");
    assert!(matches!(reported, JournalFailed::Log(reason) if matches!(*reason, LogError::Unknown(_))));
}

#[test]
fn a_trim_that_fails_leaves_no_gap_and_the_next_goes_on_from_there() {
    for place in 0..5 {
        let storage = SimulatedStorage::new();
        let (log, opened) = FileLog::open(Arc::new(storage.clone()), options(Durability::Sync, 300)).expect("opens");
        let end = fill(&log, opened.start(), 12).expect("appends");
        assert_eq!(storage.files().len(), 6, "two batches a segment");
        let first = storage.count(StorageOperation::Remove);
        storage.fail_at(StorageOperation::Remove, first + place, ErrorKind::PermissionDenied);
        let (once, twice) = (log.trim(Lsn(15)), log.trim(Lsn(19)));
        assert_ne!(once.is_ok(), place < 3, "{place}: three go at first, one later");
        assert_ne!(twice.is_ok(), place == 3, "{place}");
        let kept = length(&storage, ".journal");
        assert_eq!(log.bytes(), kept, "{place}: what stays is counted");
        let oldest = log.oldest();
        assert!(oldest <= Lsn(19));
        drop(log);
        let (log, again, range) = open_and_read(Arc::new(storage), Durability::Sync).expect("no gap");
        assert_eq!((range, again.oldest), (oldest.0..end.next.0, oldest), "{place}: what was not dropped is there");
        log.trim(Lsn(19)).expect("works again");
    }
}

#[test]
fn with_os_durability_what_was_lost_in_between_is_set_aside() {
    let mut lost = 0;
    for seed in 0..200 {
        let storage = SimulatedStorage::new();
        let (log, opened) = FileLog::open(Arc::new(storage.clone()), options(Durability::Os, 1 << 20)).expect("opens");
        fill(&log, opened.start(), 200).expect("appends");
        storage.crash();
        let rebooted = storage.reboot(seed);
        let before: u64 = length(&rebooted, ".journal");
        let (_, opened, range) = open_and_read(Arc::new(rebooted.clone()), Durability::Os).expect("opens");
        assert_eq!(range.start, 1);
        let Some(cut) = opened.cut else { continue };
        assert_eq!(cut.lsn, opened.next);
        if !opened.lost.is_empty() {
            lost += 1;
            assert_eq!(rebooted.length(&opened.lost[0]).expect("there"), cut.bytes, "all that was cut is kept");
            assert_eq!(cut.offset + cut.bytes, before);
        }
    }
    assert!(lost > 10, "{lost} of 200 seeds lose something in between");
}

fn length(storage: &SimulatedStorage, suffix: &str) -> u64 {
    storage
        .files()
        .iter()
        .filter(|(name, _)| name.ends_with(suffix))
        .map(|(_, bytes)| u64::try_from(bytes.len()).expect("small"))
        .sum()
}
