//! The journal: takes operations and returns tickets.
//!
//! Appending never waits for the disk; waiting for a [`Ticket`] does.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use stockade_types::ids::Lsn;
use stockade_types::metrics::{Counter, Histogram};
use stockade_types::record::Record;
use stockade_types::time::Timestamp;

use super::permits::{Permit, Permits, Refused};
use super::queue::QueuedOperation;
use super::shared::{Appended, Shared};
use super::writer::Writer;
use crate::log::batch::{BatchHash, PAYLOAD_BYTES_MAX, put_record};
use crate::log::{Log, LogError, Start};
use crate::progress::JournalFailed;
use crate::progress::ticket::{Failure, Ticket};
use crate::progress::waiters::LocalWaker;

/// Most operations that hold a permit or are queued for the writer.
pub const QUEUED_OPERATIONS_MAX: u64 = 131_072;
/// No permit is granted while more bytes than this are queued. Permits granted before may still add to them.
pub const QUEUED_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Above this fraction of the bounds the journal counts as busy, and background work pauses to leave room for requests.
const BUSY_SHARE: u64 = 16;
/// How long a close waits for outstanding permits. They are held for microseconds.
const PERMITS_RETURN_WITHIN: Duration = Duration::from_secs(5);

/// Metrics of the journal.
#[derive(Debug, Default)]
pub struct JournalMetrics {
    /// How long appending a batch took, including the sync.
    pub sync_duration: Histogram,
    /// Batches appended.
    pub batches: Counter,
    /// Records appended.
    pub records: Counter,
    /// Bytes appended, heads included.
    pub bytes: Counter,
}

/// Why an operation was not journaled. No part of it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Too much is queued: try again soon.
    #[error("too much is queued for the journal")]
    Full,
    /// The journal has failed; this process is about to end.
    #[error("the journal has failed")]
    Failed,
    /// The journal was closed.
    #[error("the journal is closed")]
    Closed,
}

impl From<Refused> for AppendError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Full => Self::Full,
            Refused::Closed => Self::Closed,
            Refused::Failed => Self::Failed,
        }
    }
}

thread_local! {
    /// This thread's buffer for encoding: at most one operation's bytes.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The journal of one term. Dropping it without [`Journal::close`] is like a crash: waiting tickets fail.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Journal {
    /// Starts a journal with a writer thread.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(log: Arc<dyn Log>, start: Start, metrics: Arc<JournalMetrics>) -> io::Result<Self> {
        let (journal, writer) = Self::driven(log, start, metrics);
        journal.run(writer)?;
        Ok(journal)
    }

    /// A journal and its writer, for a simulation that decides when a batch is written. Nothing becomes durable until
    /// the writer has its turns, so the driving thread must not block on durability. [`Journal::close`] then only
    /// requests the end; calling it again afterwards returns the result.
    #[must_use]
    pub fn driven(log: Arc<dyn Log>, start: Start, metrics: Arc<JournalMetrics>) -> (Self, Writer) {
        let shared = Arc::new(Shared::new(log, start, metrics));
        let writer = Writer::new(Arc::clone(&shared), start);
        (Self { shared, writer: Mutex::new(None) }, writer)
    }

    /// Starts a thread for the writer of [`Journal::driven`].
    ///
    /// # Errors
    /// When no thread can be started; the journal is closed then.
    pub fn run(&self, writer: Writer) -> io::Result<()> {
        let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run())?;
        *self.writer.lock() = Some(thread);
        Ok(())
    }

    /// Reserves room for one operation. With a permit, [`Journal::append`] can fail only if the journal has failed.
    ///
    /// # Errors
    /// [`AppendError`].
    #[inline]
    pub fn permit(&self) -> Result<Permit<'_>, AppendError> {
        // Relaxed: the bound is approximate. Outstanding permits may exceed it.
        if self.shared.queue.bytes() > QUEUED_BYTES_MAX {
            return Err(AppendError::Full);
        }
        Ok(self.shared.permit_pool.enter(QUEUED_OPERATIONS_MAX)?)
    }

    /// Reserves room for up to `count` operations with one check of the bounds: at least for one.
    ///
    /// # Errors
    /// [`AppendError`].
    #[inline]
    pub fn permits(&self, count: u64) -> Result<Permits<'_>, AppendError> {
        if self.shared.queue.bytes() > QUEUED_BYTES_MAX {
            return Err(AppendError::Full);
        }
        Ok(self.shared.permit_pool.enter_many(count, QUEUED_OPERATIONS_MAX)?)
    }

    /// Whether much is queued for the writer: there is still room, but a new operation waits a while.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.shared.permit_pool.inside() > QUEUED_OPERATIONS_MAX / BUSY_SHARE
            || self.shared.queue.bytes() > QUEUED_BYTES_MAX / BUSY_SHARE
    }

    /// Appends one operation's records, after all that were appended before. They are written in one batch. Never waits
    /// for the disk.
    ///
    /// # Errors
    /// [`AppendError::Failed`]; [`AppendError::Closed`] only if a close stopped waiting for the permit.
    ///
    /// # Panics
    /// When there is no record, or they take more than [`PAYLOAD_BYTES_MAX`] bytes: a bug.
    #[inline]
    pub fn append(&self, permit: Permit<'_>, records: &[Record], now: Timestamp) -> Result<Appended, AppendError> {
        let shared = self.shared.as_ref();
        if shared.permit_pool.has_failed() {
            return Err(AppendError::Failed);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.clear();
            for record in records {
                put_record(scratch, record);
            }
            assert!(
                !scratch.is_empty() && scratch.len() <= PAYLOAD_BYTES_MAX,
                "an operation of {} bytes",
                scratch.len()
            );
            let count = u32::try_from(records.len()).unwrap_or(u32::MAX);
            Ok(shared.push(permit, QueuedOperation { bytes: scratch, records: count, now })?)
        })
    }

    /// Resolves when everything up to `lsn` is durable.
    pub fn ticket(&self, lsn: Lsn) -> Ticket {
        if lsn <= self.durable() { Ticket::settled(lsn) } else { Ticket::new(Arc::clone(&self.shared.progress), lsn) }
    }

    /// Resolves when everything appended so far is durable.
    pub fn barrier(&self) -> Ticket {
        self.ticket(self.appended())
    }

    /// The LSN of the last record appended. Never decreases.
    pub fn appended(&self) -> Lsn {
        self.shared.progress.appended.get()
    }

    /// The LSN up to which everything is durable. Never decreases, and never exceeds [`Journal::appended`].
    pub fn durable(&self) -> Lsn {
        self.shared.progress.durable()
    }

    /// Waits until everything appended so far is on the disk, whatever the durability. Returns the last LSN and the
    /// hash of the last batch that is. Blocks the thread.
    ///
    /// # Errors
    /// [`JournalFailed`].
    pub fn sync(&self) -> Result<(Lsn, BatchHash), JournalFailed> {
        self.ticket(self.appended()).wait()?;
        let tip = *self.shared.tip.lock();
        if let Some(JournalFailed::Closed) = self.shared.progress.failure() {
            return Ok(tip); // a close syncs everything
        }
        self.shared.log.sync().map_err(|error| self.shared.fail_by_log(error))?;
        Ok(tip)
    }

    /// Syncs the log to the disk, whatever the durability, for its followers. Blocks.
    ///
    /// # Errors
    /// The journal has failed, or was closed.
    pub fn force(&self) -> Result<(), Arc<LogError>> {
        self.shared.log.sync().map_err(|error| self.judge(error))
    }

    /// Its metrics.
    pub fn metrics(&self) -> &JournalMetrics {
        &self.shared.metrics
    }

    /// Bytes written in this term, heads included.
    pub fn written(&self) -> u64 {
        self.shared.metrics.bytes.get()
    }

    /// A waker for this thread, which drives many tasks: tickets that are polled here from now on are woken through it,
    /// and it must be polled here. It saves the writer a system call per task.
    pub fn local_waker(&self) -> LocalWaker {
        LocalWaker::new(Arc::clone(&self.shared.progress))
    }

    /// Resolves once the journal has failed, with the reason.
    pub fn failure(&self) -> Failure {
        Failure::new(Arc::clone(&self.shared.progress))
    }

    /// Drops segments that are wholly before `below`. Blocks.
    ///
    /// # Errors
    /// [`LogError::Io`]: a segment could not be dropped; it only takes up room. [`LogError::Unknown`]: the journal has
    /// failed.
    pub fn trim(&self, below: Lsn) -> Result<(), Arc<LogError>> {
        self.shared.log.trim(below).map_err(|error| self.judge(error))
    }

    /// Background maintenance for appends: see [`Log::tend`]. Blocks.
    ///
    /// # Errors
    /// [`LogError::Io`] and [`LogError::Full`]: the next call tries again. All others: the journal has failed.
    pub fn tend(&self) -> Result<(), Arc<LogError>> {
        self.shared.log.tend().map_err(|error| self.judge(error))
    }

    /// Fails the journal because its files were removed or replaced: a restart would not find what it acknowledged from
    /// now on.
    pub fn taken_away(&self, why: io::Error) {
        self.shared.fail_by_log(LogError::Gone(why));
    }

    /// An error outside the writer fails the journal only if the log accepts nothing more after it.
    fn judge(&self, error: LogError) -> Arc<LogError> {
        let error = Arc::new(error);
        if error.is_final() {
            self.shared.fail(JournalFailed::Log(Arc::clone(&error)));
        }
        error
    }

    /// The size of the log in bytes.
    pub fn bytes(&self) -> u64 {
        self.shared.log.bytes()
    }

    /// How long the oldest record that is not durable has waited; zero if all are.
    pub fn oldest_unsynced(&self) -> Duration {
        self.shared.queue.oldest()
    }

    /// Accepts nothing more, waits until everything is durable and closes the log cleanly. Blocks.
    ///
    /// # Errors
    /// [`JournalFailed`] when the journal has failed, before or during this.
    pub fn close(&self, now: Timestamp) -> Result<(), JournalFailed> {
        // With a driven writer, waiting would block the thread that drives it.
        let patience = if self.writer.lock().is_some() { PERMITS_RETURN_WITHIN } else { Duration::ZERO };
        self.shared.close(now, patience);
        self.join();
        match self.shared.progress.failure() {
            Some(failure @ (JournalFailed::Log(_) | JournalFailed::Panicked)) => Err(failure.clone()),
            Some(JournalFailed::Closed) | None => Ok(()),
        }
    }

    fn join(&self) {
        if let Some(writer) = self.writer.lock().take() {
            // A panic was reported to the hook and to all waiters when it happened.
            let _ended = writer.join();
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.fail(JournalFailed::Closed);
        self.join();
    }
}

#[cfg(test)]
mod tests;
