//! The journal: every change, in order, on the disk before it is acknowledged.
//!
//! Two storeys. [`Journal`] takes operations and gives tickets; its writer makes sealed batches of what has gathered.
//! A [`Log`] keeps sealed batches: [`FileLog`] on a disk, [`MemoryLog`] for tests and for serving without one.
//! Appending never waits for the disk; waiting for a [`Ticket`] does. This room knows what a record is, and nothing of
//! what it means.

pub mod snapshot;
pub mod storage;

mod file_log;
mod forced;
mod frame;
mod gate;
mod history;
mod inspect;
mod kept;
mod log;
mod marks;
mod memory_log;
mod name;
mod progress;
mod queue;
mod recover;
mod scan;
mod segment;
mod shared;
mod ticket;
mod waiters;
mod window;
mod writer;

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;

pub use file_log::{FileLog, FileLogOptions, SEGMENT_BYTES, SEGMENT_STRETCH};
pub use forced::Beyond;
pub use frame::{BATCH_HEAD, Batch, BatchHash, BatchHead, FORMAT_VERSION, MAX_BATCH, MAX_PAYLOAD, SealedBatch};
pub use gate::{Permit, Permits};
pub use history::{Following, History, HistoryError};
pub use inspect::{Inspection, inspect};
pub use kept::{KeepPolicy, KeptSegments};
pub use log::{Batches, Log, LogError, Place};
pub use memory_log::MemoryLog;
pub use name::JournalName;
pub use progress::JournalFailed;
pub use recover::{Found, Opened};
pub use scan::{Cut, Ending};
pub use segment::{Durability, Trailer};
pub use shared::Appended;
pub use ticket::{Failure, Ticket};
pub use waiters::Courier;
pub use writer::{Turn, Writer};

use stockade_types::ids::Lsn;
use stockade_types::metrics::{Counter, Histogram};
use stockade_types::record::Record;
use stockade_types::time::Timestamp;

use self::gate::Shut;
use self::queue::Operation;
use self::shared::Shared;

/// Most operations that hold a permit or wait for the writer.
pub const MAX_QUEUED_OPERATIONS: u64 = 131_072;
/// No permit is given while more bytes than this wait for the writer. Permits given before may add theirs.
pub const MAX_QUEUED_BYTES: u64 = 32 * 1024 * 1024;
/// The share of what may wait that is much already: beyond it, who is in no hurry leaves the rest to who is.
const BUSY_SHARE: u64 = 16;
/// How long a close waits for permits that are still out. They are held for microseconds.
const PERMITS_RETURN_WITHIN: Duration = Duration::from_secs(5);

/// What the writer goes on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// Where the next record goes.
    pub next: Lsn,
    /// Hash of the last batch.
    pub chain: BatchHash,
    /// This term.
    pub epoch: u64,
}

impl Start {
    /// Of a log that has never been written to.
    pub const FIRST: Self = Self { next: Lsn(1), chain: BatchHash::NONE, epoch: 1 };
}

/// What the journal counts.
#[derive(Debug, Default)]
pub struct JournalMetrics {
    /// How long appending a batch took, the forcing to the disk included.
    pub sync_duration: Histogram,
    /// Batches appended.
    pub batches: Counter,
    /// Records appended.
    pub records: Counter,
    /// Bytes appended, heads included.
    pub bytes: Counter,
}

/// Why an operation can't be journaled. Nothing of it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Too much waits for the disk: try again soon.
    #[error("too much waits for the journal")]
    Full,
    /// The journal has failed; this process is about to end.
    #[error("the journal has failed")]
    Failed,
    /// The journal was closed.
    #[error("the journal is closed")]
    Closed,
}

impl From<Shut> for AppendError {
    fn from(shut: Shut) -> Self {
        match shut {
            Shut::Full => Self::Full,
            Shut::Closed => Self::Closed,
            Shut::Failed => Self::Failed,
        }
    }
}

thread_local! {
    /// Where this thread encodes: at most an operation's bytes.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The journal of one term. Dropping it without [`Journal::close`] is like a crash: what waits is told so.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Journal {
    /// A journal whose writer runs on a thread of its own.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(log: Arc<dyn Log>, start: Start, metrics: Arc<JournalMetrics>) -> io::Result<Self> {
        let (journal, writer) = Self::driven(log, start, metrics);
        journal.run(writer)?;
        Ok(journal)
    }

    /// A journal and its writer, for who decides by himself when a batch is written: a simulation. Until the writer has
    /// its turns nothing becomes durable, so nothing that waits for that may be called on the thread that drives it;
    /// [`Journal::close`] only asks for the end then, and says how it was when it is called again afterwards.
    #[must_use]
    pub fn driven(log: Arc<dyn Log>, start: Start, metrics: Arc<JournalMetrics>) -> (Self, Writer) {
        let shared = Arc::new(Shared::new(log, start, metrics));
        let writer = Writer::new(Arc::clone(&shared), start);
        (Self { shared, writer: Mutex::new(None) }, writer)
    }

    /// Gives the writer of [`Journal::driven`] a thread of its own.
    ///
    /// # Errors
    /// When no thread can be started; the journal is closed then.
    pub fn run(&self, writer: Writer) -> io::Result<()> {
        let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run())?;
        *self.writer.lock() = Some(thread);
        Ok(())
    }

    /// Room for one operation. With it, [`Journal::append`] can fail only if the journal has failed.
    ///
    /// # Errors
    /// [`AppendError`].
    #[inline]
    pub fn permit(&self) -> Result<Permit<'_>, AppendError> {
        // Relaxed: a bound, not a balance. It may be passed by what the permits out bring.
        if self.shared.queue.bytes() > MAX_QUEUED_BYTES {
            return Err(AppendError::Full);
        }
        Ok(self.shared.gate.enter(MAX_QUEUED_OPERATIONS)?)
    }

    /// Room for so many operations, or for as many as there is room for, by one look at the bounds: at least for one.
    ///
    /// # Errors
    /// [`AppendError`].
    #[inline]
    pub fn permits(&self, count: u64) -> Result<Permits<'_>, AppendError> {
        if self.shared.queue.bytes() > MAX_QUEUED_BYTES {
            return Err(AppendError::Full);
        }
        Ok(self.shared.gate.enter_many(count, MAX_QUEUED_OPERATIONS)?)
    }

    /// Whether much waits for the writer. There is still room, but what comes now has a while to wait.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.shared.gate.inside() > MAX_QUEUED_OPERATIONS / BUSY_SHARE
            || self.shared.queue.bytes() > MAX_QUEUED_BYTES / BUSY_SHARE
    }

    /// Appends one operation's records, after all that were appended before. They come to stand in one batch. Never
    /// waits for the disk.
    ///
    /// # Errors
    /// [`AppendError::Failed`]; [`AppendError::Closed`] only if a close has waited for the permit in vain.
    ///
    /// # Panics
    /// When there is no record, or they take more than [`MAX_PAYLOAD`] bytes: a bug.
    #[inline]
    pub fn append(&self, permit: Permit<'_>, records: &[Record], now: Timestamp) -> Result<Appended, AppendError> {
        let shared = self.shared.as_ref();
        if shared.gate.has_failed() {
            return Err(AppendError::Failed);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.clear();
            for record in records {
                frame::put_record(scratch, record);
            }
            assert!(!scratch.is_empty() && scratch.len() <= MAX_PAYLOAD, "an operation of {} bytes", scratch.len());
            let count = u32::try_from(records.len()).unwrap_or(u32::MAX);
            Ok(shared.push(permit, Operation { bytes: scratch, records: count, now })?)
        })
    }

    /// Resolves when all up to `lsn` is durable.
    pub fn ticket(&self, lsn: Lsn) -> Ticket {
        if lsn <= self.durable() { Ticket::settled(lsn) } else { Ticket::new(Arc::clone(&self.shared.progress), lsn) }
    }

    /// Resolves when all that was appended so far is durable.
    pub fn barrier(&self) -> Ticket {
        self.ticket(self.appended())
    }

    /// LSN of the last record appended. Never falls.
    pub fn appended(&self) -> Lsn {
        self.shared.progress.appended.get()
    }

    /// LSN up to which all is durable. Never falls, and is never past [`Journal::appended`].
    pub fn durable(&self) -> Lsn {
        self.shared.progress.durable()
    }

    /// Waits until all that was appended so far is on the disk, whatever the durability. Gives the last LSN of the batch
    /// up to which it is, and that batch's hash. Blocks: for threads that may.
    ///
    /// # Errors
    /// [`JournalFailed`].
    pub fn sync(&self) -> Result<(Lsn, BatchHash), JournalFailed> {
        self.ticket(self.appended()).wait()?;
        let tip = *self.shared.tip.lock();
        if let Some(JournalFailed::Closed) = self.shared.progress.failure() {
            return Ok(tip); // closing forces everything to the disk
        }
        self.shared.log.sync().map_err(|error| self.shared.fail_by_log(error))?;
        Ok(tip)
    }

    /// Forces to the disk what the log has, whatever the durability: for those who follow it. Blocks.
    ///
    /// # Errors
    /// The journal has failed, or was closed.
    pub fn force(&self) -> Result<(), Arc<LogError>> {
        self.shared.log.sync().map_err(|error| self.judge(error))
    }

    /// What it counts.
    pub fn metrics(&self) -> &JournalMetrics {
        &self.shared.metrics
    }

    /// Bytes written in this term, heads included.
    pub fn written(&self) -> u64 {
        self.shared.metrics.bytes.get()
    }

    /// For a thread that drives many tasks: whoever waits on it for a ticket from now on is woken through this, which must
    /// be driven there. It spares the writer a system call for each.
    pub fn courier(&self) -> Courier {
        Courier::new(Arc::clone(&self.shared.progress))
    }

    /// Resolves once the journal has failed, with the reason.
    pub fn failure(&self) -> Failure {
        Failure::new(Arc::clone(&self.shared.progress))
    }

    /// Drops what is wholly before `below`. Blocks.
    ///
    /// # Errors
    /// [`LogError::Io`]: what could not be dropped costs room, nothing else. [`LogError::Unknown`]: the journal has
    /// failed.
    pub fn trim(&self, below: Lsn) -> Result<(), Arc<LogError>> {
        self.shared.log.trim(below).map_err(|error| self.judge(error))
    }

    /// Looks after what appends rely on: see [`Log::tend`]. Blocks.
    ///
    /// # Errors
    /// [`LogError::Io`] and [`LogError::Full`]: what can't be done now is tried again by the next call. All others: the
    /// journal has failed.
    pub fn tend(&self) -> Result<(), Arc<LogError>> {
        self.shared.log.tend().map_err(|error| self.judge(error))
    }

    /// Ends it because what it is written to was taken away: nothing that it acknowledged from now on would be found
    /// again.
    pub fn taken_away(&self, why: io::Error) {
        self.shared.fail_by_log(LogError::Gone(why));
    }

    /// What did not fail in the writer's hands fails the journal only where the log takes nothing more.
    fn judge(&self, error: LogError) -> Arc<LogError> {
        let error = Arc::new(error);
        if error.is_final() {
            self.shared.fail(JournalFailed::Log(Arc::clone(&error)));
        }
        error
    }

    /// Bytes that the log takes.
    pub fn bytes(&self) -> u64 {
        self.shared.log.bytes()
    }

    /// How long the oldest record that is not durable has waited; nothing if none is.
    pub fn oldest_unsynced(&self) -> Duration {
        self.shared.queue.oldest()
    }

    /// Takes nothing more, waits until all is durable and ends the log cleanly. Blocks.
    ///
    /// # Errors
    /// [`JournalFailed`] when the journal has failed, before or in this.
    pub fn close(&self, now: Timestamp) -> Result<(), JournalFailed> {
        // Who drives the writer would wait for himself.
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
            // A panic was told to the hook, and to all that waited, where it happened.
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
