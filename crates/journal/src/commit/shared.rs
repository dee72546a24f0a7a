//! State shared by the journal and its writer, and how an operation is queued and everything ends.
//!
//! An admitted operation is journaled, or its caller gets an error. Appending never waits; closing does.

use std::sync::Arc;
use std::time::Duration;

use stockade_counter::sound;
use stockade_counter::sync::{Mutex, OnceLock, thread};
use stockade_types::ids::Lsn;
use stockade_types::metrics::Stopwatch;
use stockade_types::time::Timestamp;

use super::journal::JournalMetrics;
use super::permits::{Permit, PermitPool, Refused};
use super::queue::{Queue, QueueClosed, QueuedOperation};
use crate::log::Start;
use crate::log::batch::BatchHash;
use crate::log::{Log, LogError};
use crate::progress::{JournalFailed, Progress};

/// The LSNs of an operation's records. They need not be durable yet: a ticket waits for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "an answer about it must wait until it is durable"]
pub struct Appended {
    first: Lsn,
    last: Lsn,
}

impl Appended {
    /// LSN of the first of them.
    #[must_use]
    pub const fn first(&self) -> Lsn {
        self.first
    }

    /// The LSN of the last of them: the operation is durable when this is.
    #[must_use]
    pub const fn lsn(&self) -> Lsn {
        self.last
    }
}

/// State shared by the journal and its writer.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) log: Arc<dyn Log>,
    pub(super) queue: Queue,
    pub(super) permit_pool: PermitPool,
    /// In an `Arc` of its own: tickets outlive the journal.
    pub(super) progress: Arc<Progress>,
    pub(super) metrics: Arc<JournalMetrics>,
    /// The first reason why it ended, if it has.
    reason: OnceLock<JournalFailed>,
    /// The last LSN and the hash of the last batch in the log.
    pub(super) tip: Mutex<(Lsn, BatchHash)>,
}

impl Shared {
    pub(super) fn new(log: Arc<dyn Log>, start: Start, metrics: Arc<JournalMetrics>) -> Self {
        let last = Lsn(start.next.0.saturating_sub(1));
        Self {
            log,
            queue: Queue::new(start.next),
            permit_pool: PermitPool::default(),
            progress: Arc::new(Progress::from(last)),
            metrics,
            reason: OnceLock::new(),
            tip: Mutex::new((last, start.chain)),
        }
    }

    /// Appends an operation to the queue.
    #[inline]
    pub(super) fn push(&self, permit: Permit<'_>, operation: QueuedOperation<'_>) -> Result<Appended, Refused> {
        debug_assert!(permit.is_of(&self.permit_pool), "the permit is another journal's");
        match self.queue.push(operation, &self.progress) {
            Ok(first) => {
                permit.keep();
                let last = Lsn(first.plus(operation.records.into()).0.saturating_sub(1));
                Ok(Appended { first, last })
            }
            Err(QueueClosed) if self.permit_pool.has_failed() => Err(Refused::Failed),
            Err(QueueClosed) => Err(Refused::Closed),
        }
    }

    /// Accepts nothing more; the writer closes the log when the queue is empty. Waits for outstanding permits, at most
    /// `patience`.
    pub(super) fn close(&self, now: Timestamp, patience: Duration) {
        self.permit_pool.close();
        sound!(self.await_permits(patience), close_that_awaits_no_permits);
        self.queue.close(now, &self.progress);
    }

    /// Waits until every admitted operation is appended.
    fn await_permits(&self, patience: Duration) {
        let watch = Stopwatch::start();
        while self.permit_pool.inside() > 0 && !self.permit_pool.has_failed() && watch.elapsed() < patience {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Fails the journal: nothing more is accepted, and waiting tickets fail.
    #[cold]
    pub(super) fn fail(&self, failure: JournalFailed) {
        match failure {
            JournalFailed::Log(_) | JournalFailed::Panicked => self.permit_pool.fail(),
            JournalFailed::Closed => self.permit_pool.close(),
        }
        // The first reason is kept. It is stored before the queue ends, because the writer then reports `Closed`. It is
        // published afterwards, so that a thread that sees it finds a queue that accepts nothing.
        let said = self.reason.set(failure.clone()).err().and_then(|_later| self.reason.get().cloned());
        self.queue.end(&self.progress);
        self.progress.fail(said.unwrap_or(failure));
    }

    pub(super) fn fail_by_log(&self, error: LogError) -> JournalFailed {
        let failure = JournalFailed::Log(Arc::new(error));
        self.fail(failure.clone());
        failure
    }
}
