//! The contract of every log that the journal and the engine depend on, tested with each implementation.

#![expect(clippy::expect_used, reason = "a test that can't go on must stop")]

use std::path::PathBuf;
use std::sync::Arc;

use stockade_journal::storage::{DiskStorage, SimulatedStorage, Storage};
use stockade_journal::{
    BatchHead, Durability, FileLog, FileLogOptions, Log, LogError, MemoryLog, SealedBatch, Start, Trailer,
};
use stockade_types::ids::Lsn;
use stockade_types::record::{Record, Restart};
use stockade_types::time::Timestamp;

/// A log that can be reopened with everything that it has kept.
trait Subject {
    fn open(&mut self) -> (Arc<dyn Log>, Start);
}

struct OnFiles {
    storage: Arc<dyn Storage>,
    durability: Durability,
}

impl Subject for OnFiles {
    fn open(&mut self) -> (Arc<dyn Log>, Start) {
        // Small segments, so that a few batches fill several.
        let options = FileLogOptions { durability: self.durability, segment_bytes: 400 };
        let (log, opened) = FileLog::open(Arc::clone(&self.storage), options).expect("opens");
        (Arc::new(log), opened.start())
    }
}

struct InMemory(Arc<MemoryLog>);

impl Subject for InMemory {
    fn open(&mut self) -> (Arc<dyn Log>, Start) {
        let log: Arc<dyn Log> = self.0.clone();
        (log, self.0.reopen())
    }
}

fn on_every_log(check: impl Fn(&mut dyn Subject)) {
    check(&mut InMemory(Arc::new(MemoryLog::keeping())));
    for durability in [Durability::Sync, Durability::Os] {
        check(&mut OnFiles { storage: Arc::new(SimulatedStorage::new()), durability });
        let folder = tempfile::tempdir().expect("a folder");
        let path: PathBuf = folder.path().join("journal");
        check(&mut OnFiles { storage: Arc::new(DiskStorage::open(path).expect("opens")), durability });
    }
}

fn record(n: u64) -> Record {
    Record::Restart(Restart { stopped_at: Timestamp(n), grace_until: Timestamp(n), at: None })
}

fn batch(start: Start, records: u64) -> SealedBatch {
    let Start { next, chain, term } = start;
    let head = BatchHead { term, first: next, count: 0, written_at: Timestamp(1000 + next.0), before: chain };
    let records: Vec<Record> = (0..records).map(|n| record(next.0 + n)).collect();
    SealedBatch::of_records(head, &records)
}

/// Appends batches of two records each. Returns the log's new start.
fn fill(log: &dyn Log, mut start: Start, batches: usize) -> Start {
    for _ in 0..batches {
        let batch = batch(start, 2);
        log.append(start.next, &batch).expect("appends");
        start = Start { next: batch.head().next(), chain: batch.hash(), ..start };
    }
    start
}

fn read(log: &dyn Log, from: u64) -> Vec<(Lsn, Record)> {
    let batches = log.read(Lsn(from)).expect("can be read");
    batches
        .flat_map(|batch| {
            let batch = batch.expect("whole");
            batch.iter().map(|(lsn, record)| (lsn, record.clone())).collect::<Vec<_>>()
        })
        .collect()
}

fn records(from: u64, before: u64) -> Vec<(Lsn, Record)> {
    (from..before).map(|n| (Lsn(n), record(n))).collect()
}

#[test]
fn a_fresh_log_begins_with_record_1_and_reads_as_empty() {
    on_every_log(|subject| {
        let (log, start) = subject.open();
        assert_eq!((start.next, log.oldest()), (Lsn(1), Lsn(1)));
        assert_eq!(read(log.as_ref(), 1), []);
    });
}

#[test]
fn what_is_appended_is_read_from_any_place() {
    on_every_log(|subject| {
        let (log, start) = subject.open();
        let end = fill(log.as_ref(), start, 10);
        assert_eq!(end.next, Lsn(21));
        for from in 1..=20 {
            let begins = from - (from + 1) % 2;
            assert_eq!(read(log.as_ref(), from), records(begins, 21), "from {from}: whole batches");
        }
        assert_eq!(read(log.as_ref(), 21), [], "the end is a place too");
        for wrong in [0, 22] {
            let error = log.read(Lsn(wrong)).err().expect("no such place");
            assert!(matches!(error, LogError::WrongPosition { asked, .. } if asked == Lsn(wrong)), "{error:?}");
        }
        assert!(log.bytes() > 10 * 76);
    });
}

#[test]
fn batches_tell_who_wrote_them_and_when() {
    on_every_log(|subject| {
        let (log, start) = subject.open();
        let sealed = batch(start, 3);
        log.append(start.next, &sealed).expect("appends");
        let found = log.read(Lsn(1)).expect("can be read").next().expect("one").expect("whole");
        assert_eq!((found.head, found.hash), (*sealed.head(), sealed.hash()));
    });
}

#[test]
fn a_reader_sees_what_was_there_when_it_began_while_the_log_grows() {
    on_every_log(|subject| {
        let (log, start) = subject.open();
        let start = fill(log.as_ref(), start, 5);
        let mut batches = log.read(Lsn(1)).expect("can be read");
        assert!(batches.next().is_some());
        fill(log.as_ref(), start, 5);
        assert_eq!(batches.flatten().count(), 4);
    });
}

#[test]
fn a_batch_in_the_wrong_place_is_refused_and_changes_nothing() {
    on_every_log(|subject| {
        let (log, start) = subject.open();
        let end = fill(log.as_ref(), start, 2);
        let wrong = [
            Start { next: Lsn(end.next.0 + 1), ..end },
            Start { next: Lsn(end.next.0 - 1), ..end },
            Start { chain: start.chain, ..end },
        ];
        for place in wrong {
            let error = log.append(place.next, &batch(place, 2)).expect_err("not its place");
            assert!(matches!(error, LogError::WrongPosition { next, .. } if next == end.next), "{error:?}");
        }
        fill(log.as_ref(), end, 1);
        assert_eq!(read(log.as_ref(), 1), records(1, 7));
    });
}

#[test]
fn an_older_term_is_fenced_off() {
    on_every_log(|subject| {
        let (log, older) = subject.open();
        let end = fill(log.as_ref(), older, 1);
        drop(log);
        let (log, newer) = subject.open();
        assert!(newer.term > older.term);
        let error = log.append(end.next, &batch(end, 2)).expect_err("an older term");
        assert!(matches!(error, LogError::Fenced { current } if current == newer.term), "{error:?}");
        fill(log.as_ref(), newer, 1);
    });
}

#[test]
fn a_log_opened_again_has_all_of_it_and_goes_on() {
    on_every_log(|subject| {
        let (log, start) = subject.open();
        fill(log.as_ref(), start, 7);
        drop(log);
        for turn in 0..3 {
            let (log, start) = subject.open();
            assert_eq!(start.next, Lsn(15 + 2 * turn));
            fill(log.as_ref(), start, 1);
            assert_eq!(read(log.as_ref(), 1), records(1, 17 + 2 * turn));
        }
    });
}

#[test]
fn a_closed_log_takes_nothing_more_and_opens_again() {
    on_every_log(|subject| {
        let (log, start) = subject.open();
        let end = fill(log.as_ref(), start, 3);
        let trailer = Trailer { term: end.term, next: end.next, closed_at: Timestamp(7), chain: end.chain };
        let early = Trailer { next: Lsn(1), ..trailer };
        assert!(matches!(log.close(&early), Err(LogError::WrongPosition { .. })), "a trailer must fit");
        log.close(&trailer).expect("closes");
        assert!(matches!(log.append(end.next, &batch(end, 2)), Err(LogError::Stopped)));
        assert!(matches!(log.close(&trailer), Err(LogError::Stopped)));
        drop(log);
        let (log, start) = subject.open();
        fill(log.as_ref(), start, 1);
        assert_eq!(read(log.as_ref(), 1), records(1, 9));
    });
}

#[test]
fn trimming_drops_nothing_at_or_after_its_mark() {
    on_every_log(|subject| {
        let (log, start) = subject.open();
        fill(log.as_ref(), start, 20);
        let before = log.bytes();
        let mut mark = 1;
        for below in [0, 1, 9, 22, 10] {
            log.trim(Lsn(below)).expect("trims");
            mark = mark.max(below);
            assert!(log.oldest() <= Lsn(mark), "{} after a trim below {mark}", log.oldest());
        }
        assert!(log.bytes() < before, "something was dropped");
        let oldest = log.oldest();
        assert!(oldest > Lsn(9) && oldest <= Lsn(22), "{oldest}");
        assert_eq!(read(log.as_ref(), oldest.0), records(oldest.0, 41));
        assert!(matches!(log.read(Lsn(oldest.0 - 1)), Err(LogError::WrongPosition { .. })));
        drop(log);
        let (log, start) = subject.open();
        assert_eq!((log.oldest(), start.next), (oldest, Lsn(41)));
        fill(log.as_ref(), start, 1);
        assert_eq!(read(log.as_ref(), oldest.0), records(oldest.0, 43));
    });
}

#[test]
fn trimming_all_keeps_the_place() {
    on_every_log(|subject| {
        let (log, start) = subject.open();
        let end = fill(log.as_ref(), start, 20);
        log.trim(Lsn(1_000)).expect("trims");
        assert!(log.oldest() <= Lsn(41));
        fill(log.as_ref(), end, 1);
        drop(log);
        let (log, start) = subject.open();
        assert_eq!(start.next, Lsn(43));
        assert_eq!(read(log.as_ref(), 41), records(41, 43));
    });
}

#[test]
fn a_sync_is_allowed_at_any_time() {
    on_every_log(|subject| {
        let (log, start) = subject.open();
        log.sync().expect("syncs");
        fill(log.as_ref(), start, 3);
        log.sync().expect("syncs");
    });
}
