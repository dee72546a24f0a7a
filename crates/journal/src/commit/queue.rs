//! The queue to the writer: whole operations in order, laid out as future batches.
//!
//! One mutex orders them. While it is held, bytes are copied and counters are updated; there is no I/O.

use std::collections::VecDeque;
use std::time::Duration;

use stockade_counter::sync::{AtomicU64, Mutex, Ordering, thread};
use stockade_counter::{fault, sound};
use stockade_types::ids::Lsn;
use stockade_types::metrics::Stopwatch;
use stockade_types::time::Timestamp;

use crate::log::batch::{BATCH_BYTES_MAX, BATCH_HEAD};
use crate::progress::Progress;

/// Buffers kept for reuse. More are allocated under load and freed afterwards.
const SPARE: usize = 8;
/// A batch of at least this many bytes is written even if nobody waits for it.
pub(super) const FLUSH_BYTES: usize = 64 * 1024;
/// Records that nobody waits for are written after at most this time. The writer wakes up by itself: waking it for such
/// records would cost more than everything else about them.
const FLUSH_INTERVAL: Duration = Duration::from_millis(5);

/// A batch that is not sealed yet.
#[derive(Debug)]
pub(super) struct PendingBatch {
    /// Reserved bytes for the head, then the payload.
    pub(super) bytes: Vec<u8>,
    pub(super) first: Lsn,
    pub(super) records: u32,
    pub(super) operations: u64,
    pub(super) written_at: Timestamp,
    /// Runs since its first operation.
    pub(super) queued_since: Stopwatch,
}

/// One operation, encoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueuedOperation<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) records: u32,
    pub(super) now: Timestamp,
}

/// What the writer does next.
#[derive(Debug)]
pub(super) enum Work {
    Write(PendingBatch),
    /// Everything is written: close the log cleanly.
    Close(Timestamp),
    /// Stop at once.
    Abandon,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Accepts nothing more; what is queued is written first.
    Closing(Timestamp),
    /// Accepts and returns nothing more.
    QueueClosed,
}

#[derive(Debug)]
struct QueueState {
    batches: VecDeque<PendingBatch>,
    spare: Vec<Vec<u8>>,
    next: Lsn,
    phase: Phase,
    /// How long the batch that is being written has waited.
    writing: Option<Stopwatch>,
}

#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<QueueState>,
    /// Payload bytes in the queue, readable without the lock.
    bytes: AtomicU64,
}

/// The queue accepts nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct QueueClosed;

impl Queue {
    pub(super) fn new(next: Lsn) -> Self {
        let state = QueueState {
            batches: VecDeque::new(),
            spare: (0..SPARE).map(|_| Vec::with_capacity(BATCH_BYTES_MAX)).collect(),
            next,
            phase: Phase::Open,
            writing: None,
        };
        Self { state: Mutex::new(state), bytes: AtomicU64::new(0) }
    }

    /// Queued payload bytes.
    #[inline]
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Appends an operation and publishes the new end of the journal. Wakes the writer only if enough has gathered;
    /// otherwise a waiting ticket wakes it.
    #[inline]
    pub(super) fn push(&self, operation: QueuedOperation<'_>, progress: &Progress) -> Result<Lsn, QueueClosed> {
        let mut state = self.state.lock();
        if sound!(state.phase != Phase::Open, push_after_the_close, false) {
            return Err(QueueClosed);
        }
        let first = state.next;
        let bytes = u64::try_from(operation.bytes.len()).unwrap_or(0);
        let next = first.plus(operation.records.into());
        state.take_in(operation);
        state.next = next;
        // Both are written under the lock only, so plain stores suffice.
        self.bytes.store(self.bytes().saturating_add(bytes), Ordering::Relaxed);
        progress.appended.raise(Lsn(next.0.saturating_sub(1)));
        let flush_due = state.is_flush_due();
        drop(state);
        if sound!(flush_due, enough_that_does_not_ring, false) {
            progress.parker.unpark();
        }
        Ok(first)
    }

    /// Waits until there is a batch that is large enough, waited for or old enough, and returns the oldest. No
    /// operation joins that batch afterwards. For the writer's thread only.
    pub(super) fn pop(&self, progress: &Progress) -> Work {
        let mut woken = false;
        loop {
            let mut state = self.state.lock();
            state.writing = None;
            if state.phase == Phase::QueueClosed {
                return Work::Abandon;
            }
            let closing = sound!(state.phase != Phase::Open, closed_before_all_is_written, false);
            let at_once = woken || closing || state.is_flush_due() || progress.is_awaited();
            let batch = if at_once { self.take(&mut state) } else { None };
            // Checked again after the parked flag is set: later arrivals wake the writer.
            let late = || {
                let wanted = progress.parker.prepare_park();
                if sound!(wanted > progress.durable(), doze_after_the_look, false) {
                    self.take(&mut state)
                } else {
                    None
                }
            };
            if let Some(batch) = batch.or_else(late) {
                progress.parker.cancel_park();
                return Work::Write(batch);
            }
            if let Phase::Closing(now) = state.phase {
                state.phase = Phase::QueueClosed;
                return Work::Close(now);
            }
            drop(state);
            fault!(up_before_it_sleeps, progress.parker.cancel_park());
            thread::park_timeout(FLUSH_INTERVAL);
            woken = true;
        }
    }

    fn take(&self, state: &mut QueueState) -> Option<PendingBatch> {
        let batch = state.batches.pop_front()?;
        let payload = u64::try_from(batch.bytes.len().saturating_sub(BATCH_HEAD)).unwrap_or(0);
        self.bytes.store(self.bytes().saturating_sub(payload), Ordering::Relaxed);
        state.writing = Some(batch.queued_since);
        Some(batch)
    }

    /// Returns a buffer for reuse.
    pub(super) fn recycle(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut state = self.state.lock();
        if state.spare.len() < SPARE {
            state.spare.push(buffer);
        }
    }

    /// Accepts nothing more; the writer writes what is queued and then closes the log.
    pub(super) fn close(&self, now: Timestamp, progress: &Progress) {
        let mut state = self.state.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Closing(now);
        }
        drop(state);
        sound!(progress.parker.unpark(), close_that_does_not_ring);
    }

    /// Accepts nothing more and drops what is queued.
    pub(super) fn end(&self, progress: &Progress) {
        let mut state = self.state.lock();
        state.phase = Phase::QueueClosed;
        state.batches.clear();
        state.writing = None;
        drop(state);
        progress.parker.unpark();
    }

    /// How long the oldest operation that is not written has waited.
    pub(super) fn oldest(&self) -> Duration {
        let state = self.state.lock();
        let oldest = state.writing.or(state.batches.front().map(|batch| batch.queued_since));
        oldest.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

impl QueueState {
    #[inline]
    fn take_in(&mut self, operation: QueuedOperation<'_>) {
        let QueuedOperation { bytes, records, now } = operation;
        let room = self.batches.back().map_or(0, |last| BATCH_BYTES_MAX.saturating_sub(last.bytes.len()));
        if room < bytes.len() {
            self.begin_batch();
        }
        if let Some(last) = self.batches.back_mut() {
            last.bytes.extend_from_slice(bytes);
            last.records = last.records.saturating_add(records);
            last.operations = last.operations.saturating_add(1);
            last.written_at = last.written_at.max(now);
        }
    }

    /// Whether a batch should be written even if nobody waits for it.
    #[inline]
    fn is_flush_due(&self) -> bool {
        self.batches.len() > 1 || self.batches.front().is_some_and(|batch| batch.bytes.len() >= FLUSH_BYTES)
    }

    fn begin_batch(&mut self) {
        let mut bytes = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(BATCH_BYTES_MAX));
        bytes.resize(BATCH_HEAD, 0);
        self.batches.push_back(PendingBatch {
            bytes,
            first: self.next,
            records: 0,
            operations: 0,
            written_at: Timestamp(0),
            queued_since: Stopwatch::start(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(bytes: &[u8], now: u64) -> QueuedOperation<'_> {
        QueuedOperation { bytes, records: 2, now: Timestamp(now) }
    }

    fn progress(last: u64) -> Progress {
        Progress::from(Lsn(last))
    }

    fn written(work: Work) -> PendingBatch {
        match work {
            Work::Write(batch) => batch,
            other @ (Work::Close(_) | Work::Abandon) => panic!("{other:?}"),
        }
    }

    #[test]
    fn operations_gather_in_order_and_never_span_two_batches() {
        let (queue, progress) = (Queue::new(Lsn(10)), progress(9));
        let large = vec![1; 100_000];
        for turn in 0..5 {
            assert_eq!(queue.push(operation(&large, turn), &progress), Ok(Lsn(10 + 2 * turn)));
        }
        let sizes: Vec<_> = (0..3)
            .map(|_| {
                let batch = written(queue.pop(&progress));
                (batch.first, batch.operations, batch.records, batch.written_at, batch.bytes.len() - BATCH_HEAD)
            })
            .collect();
        assert_eq!(
            sizes,
            [
                (Lsn(10), 2, 4, Timestamp(1), 200_000),
                (Lsn(14), 2, 4, Timestamp(3), 200_000),
                (Lsn(18), 1, 2, Timestamp(4), 100_000)
            ]
        );
    }

    #[test]
    fn closing_writes_what_is_there_first_and_takes_nothing_more() {
        let (queue, progress) = (Queue::new(Lsn(1)), progress(0));
        queue.push(operation(b"x", 1), &progress).expect("open");
        queue.close(Timestamp(7), &progress);
        assert_eq!(queue.push(operation(b"y", 1), &progress), Err(QueueClosed));
        assert_eq!(written(queue.pop(&progress)).operations, 1);
        assert!(matches!(queue.pop(&progress), Work::Close(Timestamp(7))));
        assert!(matches!(queue.pop(&progress), Work::Abandon));
    }

    #[test]
    fn what_nobody_waits_for_is_written_after_a_while_and_much_of_it_at_once() {
        let (queue, progress) = (Queue::new(Lsn(1)), progress(0));
        progress.parker.bind();
        queue.push(operation(b"x", 1), &progress).expect("open");
        let watch = Stopwatch::start();
        assert_eq!(written(queue.pop(&progress)).operations, 1);
        assert!(watch.elapsed() >= FLUSH_INTERVAL);
        queue.push(operation(&vec![1; FLUSH_BYTES], 1), &progress).expect("open");
        assert_eq!(queue.bytes(), u64::try_from(FLUSH_BYTES).expect("small"));
        let watch = Stopwatch::start();
        assert_eq!(written(queue.pop(&progress)).operations, 1);
        assert!(watch.elapsed() < FLUSH_INTERVAL);
        assert_eq!(queue.bytes(), 0);
    }

    #[test]
    fn ending_drops_what_is_there() {
        let (queue, progress) = (Queue::new(Lsn(1)), progress(0));
        queue.push(operation(b"x", 1), &progress).expect("open");
        queue.end(&progress);
        assert!(matches!(queue.pop(&progress), Work::Abandon));
        assert_eq!(queue.oldest(), Duration::ZERO);
    }

    #[test]
    fn what_is_taken_by_the_writer_still_counts_as_waiting() {
        let (queue, progress) = (Queue::new(Lsn(1)), progress(0));
        assert_eq!(queue.oldest(), Duration::ZERO);
        queue.push(operation(b"x", 1), &progress).expect("open");
        let _batch = queue.pop(&progress);
        std::thread::sleep(Duration::from_millis(2));
        assert!(queue.oldest() >= Duration::from_millis(2));
    }
}
