//! What the journal and its writer share: how an operation comes in, and how it all ends.
//!
//! What was admitted is journaled, or told that it was not. Appending never waits; closing does.

use std::sync::Arc;
use std::time::Duration;

use stockade_counter::sync::{Mutex, OnceLock, thread};
use stockade_types::ids::Lsn;
use stockade_types::metrics::Stopwatch;
use stockade_types::time::Timestamp;

use super::frame::BatchHash;
use super::gate::{Gate, Permit, Shut};
use super::log::{Log, LogError};
use super::progress::{JournalFailed, Progress};
use super::queue::{Ended, Operation, Queue};
use super::{JournalMetrics, Start};

/// Where an operation's records stand. It says nothing of their being durable: a ticket does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "what is told of it must wait until it is durable"]
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

    /// LSN of the last of them: what rests on the operation is durable when this is.
    #[must_use]
    pub const fn lsn(&self) -> Lsn {
        self.last
    }
}

/// What the journal and its writer share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) log: Arc<dyn Log>,
    pub(super) queue: Queue,
    pub(super) gate: Gate,
    /// By itself in an `Arc`: tickets outlive the journal.
    pub(super) progress: Arc<Progress>,
    pub(super) metrics: Arc<JournalMetrics>,
    /// Why it has ended, if it has: what is reported to others.
    reason: OnceLock<JournalFailed>,
    /// The last batch in the log: its last LSN and its hash.
    pub(super) tip: Mutex<(Lsn, BatchHash)>,
}

impl Shared {
    pub(super) fn new(log: Arc<dyn Log>, start: Start, metrics: Arc<JournalMetrics>) -> Self {
        let last = Lsn(start.next.0.saturating_sub(1));
        Self {
            log,
            queue: Queue::new(start.next),
            gate: Gate::default(),
            progress: Arc::new(Progress::from(last)),
            metrics,
            reason: OnceLock::new(),
            tip: Mutex::new((last, start.chain)),
        }
    }

    /// Puts an operation behind all others.
    #[inline]
    pub(super) fn push(&self, permit: Permit<'_>, operation: Operation<'_>) -> Result<Appended, Shut> {
        debug_assert!(permit.is_of(&self.gate), "the permit is another journal's");
        match self.queue.push(operation, &self.progress) {
            Ok(first) => {
                permit.keep();
                let last = Lsn(first.plus(operation.records.into()).0.saturating_sub(1));
                Ok(Appended { first, last })
            }
            Err(Ended) if self.gate.has_failed() => Err(Shut::Failed),
            Err(Ended) => Err(Shut::Closed),
        }
    }

    /// Takes nothing more; once the writer has written what is there, it ends the log. Waits for who was admitted, but
    /// no longer than `patience`.
    pub(super) fn close(&self, now: Timestamp, patience: Duration) {
        self.gate.close();
        self.await_permits(patience);
        self.queue.close(now, &self.progress);
    }

    /// Waits for who holds a permit to append: what is admitted is journaled.
    fn await_permits(&self, patience: Duration) {
        let watch = Stopwatch::start();
        while self.gate.inside() > 0 && !self.gate.has_failed() && watch.elapsed() < patience {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Ends it all: nothing more is taken, and what waits is told.
    #[cold]
    pub(super) fn fail(&self, failure: JournalFailed) {
        match failure {
            JournalFailed::Log(_) | JournalFailed::Panicked => self.gate.fail(),
            JournalFailed::Closed => self.gate.close(),
        }
        // The first reason stays, and it is kept before the queue ends: the writer, once that has ended, says no more than
        // that it is closed. It is said to others only afterwards: who hears it finds a queue that takes nothing.
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
