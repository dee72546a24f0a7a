//! The journal as a whole: order, acknowledgement, bounds, failure and closing.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Condvar;
use stockade_types::record::Restart;

use super::super::writer::Step;
use super::*;
use crate::log::Batches;
use crate::log::batch::SealedBatch;
use crate::log::memory::MemoryLog;
use crate::log::segment::Trailer;

fn record(n: u64) -> Record {
    Record::Restart(Restart { stopped_at: Timestamp(n), grace_until: Timestamp(n), at: None })
}

fn started(log: &Arc<dyn Log>) -> Journal {
    Journal::start(Arc::clone(log), Start::FIRST, Arc::default()).expect("starts")
}

fn append(journal: &Journal, n: u64) -> Ticket {
    let permit = journal.permit().expect("there is room");
    let appended = journal.append(permit, &[record(n)], Timestamp(n)).expect("open");
    journal.ticket(appended.lsn())
}

/// A log that blocks each append until it is let through. It can be set to fail or to panic then.
#[derive(Debug)]
struct HeldLog {
    inner: MemoryLog,
    open: Mutex<bool>,
    opened: Condvar,
    fails: AtomicBool,
    panics: AtomicBool,
}

impl HeldLog {
    fn new() -> Arc<Self> {
        let (open, opened) = (Mutex::new(false), Condvar::new());
        let (fails, panics) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self { inner: MemoryLog::keeping(), open, opened, fails, panics })
    }

    fn let_through(&self) {
        *self.open.lock() = true;
        self.opened.notify_all();
    }
}

impl Log for HeldLog {
    fn append(&self, expected: Lsn, batch: &SealedBatch) -> Result<(), LogError> {
        let mut open = self.open.lock();
        while !*open {
            self.opened.wait(&mut open);
        }
        assert!(!self.panics.load(Ordering::Relaxed), "set to panic");
        if self.fails.load(Ordering::Relaxed) {
            return Err(LogError::Unknown(io::Error::other("set to fail")));
        }
        self.inner.append(expected, batch)
    }
    fn sync(&self) -> Result<(), LogError> {
        self.inner.sync()
    }
    fn read(&self, from: Lsn) -> Result<Batches<'_>, LogError> {
        self.inner.read(from)
    }
    fn trim(&self, below: Lsn) -> Result<(), LogError> {
        self.inner.trim(below)
    }
    fn bytes(&self) -> u64 {
        self.inner.bytes()
    }
    fn oldest(&self) -> Lsn {
        self.inner.oldest()
    }
    fn close(&self, trailer: &Trailer) -> Result<(), LogError> {
        self.inner.close(trailer)
    }
}

fn pending<F: Future + Unpin>(future: &mut F) -> bool {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

#[test]
fn appends_get_lsns_in_order_and_tickets_resolve() {
    let log: Arc<dyn Log> = Arc::new(MemoryLog::keeping());
    let journal = started(&log);
    assert_eq!((journal.appended(), journal.durable()), (Lsn(0), Lsn(0)));
    let permit = journal.permit().expect("there is room");
    let pair = journal.append(permit, &[record(1), record(2)], Timestamp(5)).expect("open");
    assert_eq!((pair.first(), pair.lsn()), (Lsn(1), Lsn(2)));
    let waiting = journal.ticket(pair.lsn());
    let third = append(&journal, 3);
    assert_eq!((third.lsn(), journal.appended()), (Lsn(3), Lsn(3)));
    third.wait().expect("durable");
    assert!(matches!(std::pin::pin!(waiting).poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(()))));
    assert_eq!(journal.durable(), Lsn(3));
    let records: Vec<Record> =
        log.read(Lsn(1)).expect("reads").flat_map(|batch| batch.expect("whole").records).collect();
    assert_eq!(records, [record(1), record(2), record(3)]);
}

#[test]
fn the_reason_of_a_failure_stands_whatever_the_writer_says_of_its_end() {
    for _ in 0..2_000 {
        let log: Arc<dyn Log> = Arc::new(MemoryLog::keeping());
        let journal = started(&log);
        let mut failure = journal.failure();
        journal.taken_away(io::ErrorKind::NotFound.into());
        assert!(!pending(&mut failure), "the writer was quicker to say that it was closed");
    }
}

#[test]
fn what_comes_while_a_batch_is_written_gathers_into_the_next() {
    let held = HeldLog::new();
    let log: Arc<dyn Log> = held.clone();
    let journal = started(&log);
    let tickets: Vec<Ticket> = (1..=100).map(|n| append(&journal, n)).collect();
    assert_eq!((journal.appended(), journal.durable()), (Lsn(100), Lsn(0)));
    std::thread::sleep(Duration::from_millis(2));
    assert!(journal.oldest_unsynced() >= Duration::from_millis(1));
    held.let_through();
    for ticket in tickets {
        ticket.wait().expect("durable");
    }
    journal.barrier().wait().expect("durable");
    let batches = held.read(Lsn(1)).expect("reads").count();
    assert!((1..=2).contains(&batches), "{batches} batches for 100 appends");
    assert_eq!(journal.sync().expect("syncs").0, Lsn(100));
}

#[test]
fn a_failed_log_fails_every_ticket_and_every_later_append() {
    let held = HeldLog::new();
    let log: Arc<dyn Log> = held.clone();
    let journal = started(&log);
    let mut failure = journal.failure();
    let first = append(&journal, 1);
    let early = journal.permit().expect("before the failure");
    assert!(pending(&mut failure));
    held.fails.store(true, Ordering::Relaxed);
    held.let_through();
    assert!(matches!(first.wait(), Err(JournalFailed::Log(_))));
    assert_eq!(journal.append(early, &[record(2)], Timestamp(2)).expect_err("failed"), AppendError::Failed);
    assert_eq!(journal.permit().expect_err("failed"), AppendError::Failed);
    assert!(!pending(&mut failure));
    assert!(matches!(journal.barrier().wait(), Err(JournalFailed::Log(_))));
    assert!(matches!(journal.sync(), Err(JournalFailed::Log(_))));
    assert!(matches!(journal.close(Timestamp(9)), Err(JournalFailed::Log(_))));
}

#[test]
fn a_panicking_writer_fails_every_ticket() {
    let held = HeldLog::new();
    let log: Arc<dyn Log> = held.clone();
    let journal = started(&log);
    let first = append(&journal, 1);
    held.panics.store(true, Ordering::Relaxed);
    held.let_through();
    assert!(matches!(first.wait(), Err(JournalFailed::Panicked)));
    assert_eq!(journal.permit().expect_err("failed"), AppendError::Failed);
}

#[test]
fn a_dropped_journal_fails_what_waits() {
    let held = HeldLog::new();
    let log: Arc<dyn Log> = held.clone();
    let journal = started(&log);
    let first = append(&journal, 1);
    while journal.shared.permit_pool.inside() > 0 {
        std::thread::yield_now();
    }
    let second = append(&journal, 2);
    let dropping = std::thread::spawn(move || drop(journal));
    assert!(matches!(second.wait(), Err(JournalFailed::Closed)));
    held.let_through();
    dropping.join().expect("ends");
    let _unknown = first.wait();
    assert_eq!(held.read(Lsn(1)).expect("reads").count(), 1, "only what was being written");
}

#[test]
fn closing_writes_what_waits_and_takes_nothing_more() {
    let log: Arc<dyn Log> = Arc::new(MemoryLog::keeping());
    let journal = started(&log);
    let tickets: Vec<Ticket> = (1..=50).map(|n| append(&journal, n)).collect();
    journal.close(Timestamp(9)).expect("closes");
    for ticket in tickets {
        ticket.wait().expect("durable");
    }
    assert_eq!(journal.permit().expect_err("closed"), AppendError::Closed);
    assert!(pending(&mut journal.failure()), "closing is no failure");
    journal.close(Timestamp(10)).expect("again is the same");
    assert_eq!(journal.sync().expect("all is on the disk").0, Lsn(50));
}

#[test]
fn a_close_waits_for_permits_that_are_out() {
    let log: Arc<dyn Log> = Arc::new(MemoryLog::keeping());
    let journal = started(&log);
    let permit = journal.permit().expect("there is room");
    std::thread::scope(|scope| {
        let closing = scope.spawn(|| journal.close(Timestamp(9)));
        while journal.permit().is_ok() {
            std::thread::yield_now();
        }
        let appended = journal.append(permit, &[record(1)], Timestamp(1)).expect("was admitted");
        journal.ticket(appended.lsn()).wait().expect("durable");
        closing.join().expect("ends").expect("closes");
    });
}

#[test]
fn operations_are_bounded_and_dropped_permits_give_their_room_back() {
    let log: Arc<dyn Log> = Arc::new(MemoryLog::ephemeral());
    let journal = started(&log);
    let permits: Vec<_> = (0..QUEUED_OPERATIONS_MAX).map(|_| journal.permit().expect("there is room")).collect();
    assert_eq!(journal.permit().expect_err("full"), AppendError::Full);
    drop(permits);
    append(&journal, 1).wait().expect("durable");
}

#[test]
fn bytes_are_bounded_too() {
    let held = HeldLog::new();
    let log: Arc<dyn Log> = held.clone();
    let journal = started(&log);
    let operation = vec![record(1); 9_000];
    let mut appended = 0_u64;
    let refused = loop {
        match journal.permit() {
            Ok(permit) => appended += journal.append(permit, &operation, Timestamp(1)).map(|_| 1).expect("open"),
            Err(error) => break error,
        }
    };
    assert_eq!(refused, AppendError::Full);
    assert!(appended < QUEUED_BYTES_MAX / 9_000, "{appended} operations");
    held.let_through();
    journal.barrier().wait().expect("durable");
    append(&journal, 1).wait().expect("there is room again");
}

#[test]
fn many_threads_append_and_every_ticket_tells_its_own_place() {
    let log: Arc<dyn Log> = Arc::new(MemoryLog::keeping());
    let journal = started(&log);
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let journal = &journal;
            scope.spawn(move || {
                for n in 0..500 {
                    let ticket = append(journal, thread * 1000 + n);
                    if n % 50 == 0 {
                        let lsn = ticket.lsn();
                        ticket.wait().expect("durable");
                        assert!(journal.durable() >= lsn);
                    }
                }
            });
        }
    });
    journal.close(Timestamp(1)).expect("closes");
    let read: Vec<(Lsn, Record)> = log
        .read(Lsn(1))
        .expect("reads")
        .flat_map(|batch| batch.expect("whole").iter().map(|(lsn, record)| (lsn, record.clone())).collect::<Vec<_>>())
        .collect();
    assert!(read.iter().map(|(lsn, _)| lsn.0).eq(1..=2000));
    for thread in 0..4 {
        let own = read.iter().filter_map(|(_, found)| (0..500).find(|n| *found == record(thread * 1000 + n)));
        assert!(own.eq(0..500), "each thread's records stand in its order");
    }
}

#[test]
#[should_panic(expected = "an operation of")]
fn an_operation_that_fits_no_batch_is_a_bug() {
    let log: Arc<dyn Log> = Arc::new(MemoryLog::ephemeral());
    let journal = started(&log);
    let permit = journal.permit().expect("there is room");
    let _ticket = journal.append(permit, &vec![record(u64::MAX); 20_000], Timestamp(1));
}

#[test]
fn a_driven_writer_writes_when_it_has_its_turn_and_not_before() {
    let log: Arc<dyn Log> = Arc::new(MemoryLog::keeping());
    let (journal, mut writer) = Journal::driven(log, Start::FIRST, Arc::default());
    let mut tickets: Vec<_> = (0..3).map(|n| append(&journal, n)).collect();
    let mut polled = || Pin::new(&mut tickets[1]).poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled().is_pending() && journal.durable() == Lsn(0));
    assert_eq!(writer.step(), Step::Wrote);
    assert!(matches!(polled(), Poll::Ready(Ok(()))));
    assert_eq!(journal.durable(), Lsn(3), "one batch of all that had gathered");
    journal.close(Timestamp(5)).expect("asked to close");
    assert_eq!((writer.step(), writer.step()), (Step::Ended, Step::Ended));
    journal.close(Timestamp(6)).expect("closed in order");
}

#[test]
fn a_driven_writer_that_is_dropped_leaves_nobody_waiting() {
    let (journal, writer) = Journal::driven(Arc::new(MemoryLog::keeping()), Start::FIRST, Arc::default());
    let ticket = append(&journal, 1);
    drop(writer);
    assert!(matches!(ticket.wait(), Err(JournalFailed::Closed)));
    assert!(matches!(journal.permit(), Err(AppendError::Closed)));
}
