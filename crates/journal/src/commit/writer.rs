//! The writer: seals gathered operations into batches, appends them to the log and wakes the waiters. It runs on its
//! own thread or is driven turn by turn.
//!
//! While it writes one batch the next one gathers; that is the whole group commit. A failure is final.

use std::sync::Arc;

use stockade_counter::fault;
use stockade_types::ids::Lsn;
use stockade_types::metrics::Stopwatch;
use stockade_types::time::Timestamp;

use super::queue::{PendingBatch, Work};
use super::shared::Shared;
use crate::log::LogError;
use crate::log::Start;
use crate::log::batch::{BatchHash, BatchHead, SealedBatch};
use crate::log::segment::Trailer;
use crate::progress::JournalFailed;

/// The journal's only writer. Dropping it fails the journal.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    term: u64,
    next: Lsn,
    chain: BatchHash,
    woken: Vec<std::task::Waker>,
}

/// The outcome of one turn of the writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A batch is durable and its waiters were woken. There may be more.
    Wrote,
    /// The journal was closed or has failed: there are no more turns.
    Ended,
}

impl Drop for Writer {
    fn drop(&mut self) {
        // A panic continues to the thread's end; the hook has reported it already.
        let why = if std::thread::panicking() { JournalFailed::Panicked } else { JournalFailed::Closed };
        self.shared.fail(why);
    }
}

impl Writer {
    pub(super) const fn new(shared: Arc<Shared>, start: Start) -> Self {
        let Start { next, chain, term } = start;
        Self { shared, term, next, chain, woken: Vec::new() }
    }

    /// Runs all turns on this thread.
    pub(super) fn run(mut self) {
        self.shared.progress.parker.bind();
        while self.step() == Step::Wrote {}
    }

    /// One turn: waits until a batch is large enough, waited for or old enough, and writes it; or closes the log, once
    /// the journal is closed and everything is written. It does not block if a ticket of a queued record was polled, or
    /// if the journal was closed, so the driver controls when there is a turn.
    pub fn step(&mut self) -> Step {
        let done = match self.shared.queue.pop(&self.shared.progress) {
            Work::Write(batch) => self.write(batch),
            Work::Close(now) => {
                self.close(now);
                return Step::Ended;
            }
            Work::Abandon => return Step::Ended,
        };
        if let Err(error) = done {
            self.shared.fail_by_log(error);
            return Step::Ended;
        }
        Step::Wrote
    }

    /// Ends the journal as a crash of the writer's thread would.
    pub fn abandon(&self) {
        self.shared.fail(JournalFailed::Closed);
    }

    fn write(&mut self, batch: PendingBatch) -> Result<(), LogError> {
        let PendingBatch { bytes, first, records, operations, written_at, queued_since: _ } = batch;
        // Releases their room: while these are written, the next ones gather.
        self.shared.permit_pool.leave(operations);
        assert_eq!(first, self.next, "the queue gives out batches in order");
        let head = BatchHead { term: self.term, first, count: records, written_at, before: self.chain };
        let sealed = SealedBatch::seal(head, bytes);
        let last = Lsn(sealed.head().next().0.saturating_sub(1));
        let watch = Stopwatch::start();
        fault!(mark_before_the_log, self.shared.progress.advance(last, &mut self.woken));
        self.shared.log.append(first, &sealed)?;
        let metrics = &self.shared.metrics;
        metrics.sync_duration.observe(watch.elapsed());
        metrics.batches.increment();
        metrics.records.add(records.into());
        metrics.bytes.add(u64::try_from(sealed.bytes().len()).unwrap_or(0));
        self.next = sealed.head().next();
        self.chain = sealed.hash();
        fault!(tip_after_the_mark, self.shared.progress.advance(last, &mut self.woken));
        // Before the mark is raised: a thread that sees the mark finds a tip that is not behind it.
        *self.shared.tip.lock() = (last, self.chain);
        self.shared.progress.advance(last, &mut self.woken);
        self.shared.queue.recycle(sealed.into_buffer());
        Ok(())
    }

    fn close(&self, now: Timestamp) {
        let trailer = Trailer { term: self.term, next: self.next, closed_at: now, chain: self.chain };
        if let Err(error) = self.shared.log.close(&trailer) {
            self.shared.fail_by_log(error);
        }
    }
}
