//! The queue to the writer: whole operations in order, laid out as future batches.
//!
//! One mutex orders them. While it is held, bytes are copied and counters are updated; there is no I/O.

use std::collections::VecDeque;
use std::time::Duration;

use stockade_counter::sync::{AtomicU64, Mutex, Ordering, thread};
use stockade_types::ids::Lsn;
use stockade_types::metrics::Stopwatch;
use stockade_types::time::Timestamp;

use super::frame::{BATCH_HEAD, MAX_BATCH};
use super::progress::Progress;

/// Buffers kept for reuse. More are allocated under load and freed afterwards.
const SPARE: usize = 8;
/// A batch of at least this many bytes is written even if nobody waits for it.
const ENOUGH: usize = 64 * 1024;
/// Records that nobody waits for are written after at most this time. The writer wakes up by itself: waking it for such
/// records would cost more than everything else about them.
const PATIENCE: Duration = Duration::from_millis(5);

/// A batch that is not sealed yet.
#[derive(Debug)]
pub(super) struct Gathered {
    /// Reserved bytes for the head, then the payload.
    pub(super) bytes: Vec<u8>,
    pub(super) first: Lsn,
    pub(super) records: u32,
    pub(super) operations: u64,
    pub(super) written_at: Timestamp,
    /// Runs since its first operation.
    pub(super) waiting: Stopwatch,
}

/// One operation, encoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) records: u32,
    pub(super) now: Timestamp,
}

/// What the writer does next.
#[derive(Debug)]
pub(super) enum Work {
    Write(Gathered),
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
    Ended,
}

#[derive(Debug)]
struct Waiting {
    batches: VecDeque<Gathered>,
    spare: Vec<Vec<u8>>,
    next: Lsn,
    phase: Phase,
    /// How long the batch that is being written has waited.
    writing: Option<Stopwatch>,
}

#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    /// Payload bytes in the queue, readable without the lock.
    bytes: AtomicU64,
}

/// The queue accepts nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended;

impl Queue {
    pub(super) fn new(next: Lsn) -> Self {
        let waiting = Waiting {
            batches: VecDeque::new(),
            spare: (0..SPARE).map(|_| Vec::with_capacity(MAX_BATCH)).collect(),
            next,
            phase: Phase::Open,
            writing: None,
        };
        Self { waiting: Mutex::new(waiting), bytes: AtomicU64::new(0) }
    }

    /// Queued payload bytes.
    #[inline]
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Appends an operation and publishes the new end of the journal. Wakes the writer only if enough has gathered;
    /// otherwise a waiting ticket wakes it.
    #[inline]
    pub(super) fn push(&self, operation: Operation<'_>, progress: &Progress) -> Result<Lsn, Ended> {
        let mut waiting = self.waiting.lock();
        if waiting.phase != Phase::Open {
            return Err(Ended);
        }
        let first = waiting.next;
        let bytes = u64::try_from(operation.bytes.len()).unwrap_or(0);
        let next = first.plus(operation.records.into());
        waiting.take_in(operation);
        waiting.next = next;
        // Both are written under the lock only, so plain stores suffice.
        self.bytes.store(self.bytes().saturating_add(bytes), Ordering::Relaxed);
        progress.appended.raise(Lsn(next.0.saturating_sub(1)));
        let enough = waiting.has_enough();
        drop(waiting);
        if enough {
            progress.bell.ring();
        }
        Ok(first)
    }

    /// Waits until there is a batch that is large enough, waited for or old enough, and returns the oldest. No
    /// operation joins that batch afterwards. For the writer's thread only.
    pub(super) fn pop(&self, progress: &Progress) -> Work {
        let mut rung = false;
        loop {
            let mut waiting = self.waiting.lock();
            waiting.writing = None;
            if waiting.phase == Phase::Ended {
                return Work::Abandon;
            }
            let at_once = rung || waiting.phase != Phase::Open || waiting.has_enough() || progress.is_awaited();
            let batch = if at_once { self.take(&mut waiting) } else { None };
            // Checked again after the parked flag is set: later arrivals wake the writer.
            let late = || if progress.bell.doze() > progress.durable() { self.take(&mut waiting) } else { None };
            if let Some(batch) = batch.or_else(late) {
                progress.bell.rise();
                return Work::Write(batch);
            }
            if let Phase::Closing(now) = waiting.phase {
                waiting.phase = Phase::Ended;
                return Work::Close(now);
            }
            drop(waiting);
            thread::park_timeout(PATIENCE);
            rung = true;
        }
    }

    fn take(&self, waiting: &mut Waiting) -> Option<Gathered> {
        let batch = waiting.batches.pop_front()?;
        let payload = u64::try_from(batch.bytes.len().saturating_sub(BATCH_HEAD)).unwrap_or(0);
        self.bytes.store(self.bytes().saturating_sub(payload), Ordering::Relaxed);
        waiting.writing = Some(batch.waiting);
        Some(batch)
    }

    /// Returns a buffer for reuse.
    pub(super) fn recycle(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut waiting = self.waiting.lock();
        if waiting.spare.len() < SPARE {
            waiting.spare.push(buffer);
        }
    }

    /// Accepts nothing more; the writer writes what is queued and then closes the log.
    pub(super) fn close(&self, now: Timestamp, progress: &Progress) {
        let mut waiting = self.waiting.lock();
        if waiting.phase == Phase::Open {
            waiting.phase = Phase::Closing(now);
        }
        drop(waiting);
        progress.bell.ring();
    }

    /// Accepts nothing more and drops what is queued.
    pub(super) fn end(&self, progress: &Progress) {
        let mut waiting = self.waiting.lock();
        waiting.phase = Phase::Ended;
        waiting.batches.clear();
        waiting.writing = None;
        drop(waiting);
        progress.bell.ring();
    }

    /// How long the oldest operation that is not written has waited.
    pub(super) fn oldest(&self) -> Duration {
        let waiting = self.waiting.lock();
        let oldest = waiting.writing.or(waiting.batches.front().map(|batch| batch.waiting));
        oldest.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

impl Waiting {
    #[inline]
    fn take_in(&mut self, operation: Operation<'_>) {
        let Operation { bytes, records, now } = operation;
        let room = self.batches.back().map_or(0, |last| MAX_BATCH.saturating_sub(last.bytes.len()));
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
    fn has_enough(&self) -> bool {
        self.batches.len() > 1 || self.batches.front().is_some_and(|batch| batch.bytes.len() >= ENOUGH)
    }

    fn begin_batch(&mut self) {
        let mut bytes = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(MAX_BATCH));
        bytes.resize(BATCH_HEAD, 0);
        self.batches.push_back(Gathered {
            bytes,
            first: self.next,
            records: 0,
            operations: 0,
            written_at: Timestamp(0),
            waiting: Stopwatch::start(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(bytes: &[u8], now: u64) -> Operation<'_> {
        Operation { bytes, records: 2, now: Timestamp(now) }
    }

    fn progress(last: u64) -> Progress {
        Progress::from(Lsn(last))
    }

    fn written(work: Work) -> Gathered {
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
        assert_eq!(queue.push(operation(b"y", 1), &progress), Err(Ended));
        assert_eq!(written(queue.pop(&progress)).operations, 1);
        assert!(matches!(queue.pop(&progress), Work::Close(Timestamp(7))));
        assert!(matches!(queue.pop(&progress), Work::Abandon));
    }

    #[test]
    fn what_nobody_waits_for_is_written_after_a_while_and_much_of_it_at_once() {
        let (queue, progress) = (Queue::new(Lsn(1)), progress(0));
        progress.bell.answer();
        queue.push(operation(b"x", 1), &progress).expect("open");
        let watch = Stopwatch::start();
        assert_eq!(written(queue.pop(&progress)).operations, 1);
        assert!(watch.elapsed() >= PATIENCE);
        queue.push(operation(&vec![1; ENOUGH], 1), &progress).expect("open");
        assert_eq!(queue.bytes(), u64::try_from(ENOUGH).expect("small"));
        let watch = Stopwatch::start();
        assert_eq!(written(queue.pop(&progress)).operations, 1);
        assert!(watch.elapsed() < PATIENCE);
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
