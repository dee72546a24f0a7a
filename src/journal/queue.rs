//! What waits for the writer: whole operations, in the order in which they happened, laid out as batches to be.
//!
//! One mutex orders them. Under it bytes are copied and numbers are counted, nothing else.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::frame::{BATCH_HEAD, MAX_BATCH};
use crate::ids::Lsn;
use crate::metrics::Stopwatch;
use crate::time::Timestamp;

/// Buffers kept for being used again. More are made when much waits, and let go afterwards.
const SPARE: usize = 8;

/// A batch that is not sealed yet.
#[derive(Debug)]
pub(super) struct Gathered {
    /// Room for the head, then the payload.
    pub(super) bytes: Vec<u8>,
    pub(super) first: Lsn,
    pub(super) records: u32,
    pub(super) operations: u64,
    pub(super) written_at: Timestamp,
    /// Since its first operation.
    pub(super) waiting: Stopwatch,
}

/// One operation, encoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) records: u32,
    pub(super) now: Timestamp,
}

/// What the writer is to do next.
#[derive(Debug)]
pub(super) enum Work {
    Write(Gathered),
    /// All is written; end the log cleanly.
    Close(Timestamp),
    /// Leave everything as it is.
    Abandon,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Takes nothing more; what is there is written first.
    Closing(Timestamp),
    /// Takes nothing more and gives nothing more.
    Ended,
}

#[derive(Debug)]
struct Waiting {
    batches: VecDeque<Gathered>,
    spare: Vec<Vec<u8>>,
    next: Lsn,
    phase: Phase,
    /// The writer sleeps and must be woken.
    asleep: bool,
    /// Since when the batch that is being written has waited.
    writing: Option<Stopwatch>,
}

#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    ready: Condvar,
}

/// The queue takes nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended;

impl Queue {
    pub(super) fn new(next: Lsn) -> Self {
        let waiting = Waiting {
            batches: VecDeque::new(),
            spare: (0..SPARE).map(|_| Vec::with_capacity(MAX_BATCH)).collect(),
            next,
            phase: Phase::Open,
            asleep: false,
            writing: None,
        };
        Self { waiting: Mutex::new(waiting), ready: Condvar::new() }
    }

    /// Puts an operation behind all others; `publish` is told the last LSN while the order is held.
    #[inline]
    pub(super) fn push(&self, operation: Operation<'_>, publish: impl FnOnce(Lsn)) -> Result<Lsn, Ended> {
        let mut waiting = self.waiting.lock();
        if waiting.phase != Phase::Open {
            return Err(Ended);
        }
        let first = waiting.next;
        waiting.take_in(operation);
        let next = first.plus(operation.records.into());
        waiting.next = next;
        publish(Lsn(next.0.saturating_sub(1)));
        // Woken only when it sleeps: a wake-up is a system call, and a busy writer looks again by itself.
        let asleep = std::mem::replace(&mut waiting.asleep, false);
        drop(waiting);
        if asleep {
            self.ready.notify_one();
        }
        Ok(first)
    }

    /// Waits for work; gives the oldest batch. From then on no operation joins it.
    pub(super) fn pop(&self) -> Work {
        let mut waiting = self.waiting.lock();
        waiting.writing = None;
        loop {
            if waiting.phase == Phase::Ended {
                return Work::Abandon;
            }
            if let Some(batch) = waiting.batches.pop_front() {
                waiting.writing = Some(batch.waiting);
                return Work::Write(batch);
            }
            if let Phase::Closing(now) = waiting.phase {
                waiting.phase = Phase::Ended;
                return Work::Close(now);
            }
            waiting.asleep = true;
            self.ready.wait(&mut waiting);
            waiting.asleep = false;
        }
    }

    /// Takes a buffer back.
    pub(super) fn recycle(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut waiting = self.waiting.lock();
        if waiting.spare.len() < SPARE {
            waiting.spare.push(buffer);
        }
    }

    /// Takes nothing more from now on; the writer writes what is there and then closes the log.
    pub(super) fn close(&self, now: Timestamp) {
        let mut waiting = self.waiting.lock();
        if waiting.phase == Phase::Open {
            waiting.phase = Phase::Closing(now);
        }
        waiting.asleep = false;
        self.ready.notify_one();
    }

    /// Takes nothing more and drops what is there.
    pub(super) fn end(&self) {
        let mut waiting = self.waiting.lock();
        waiting.phase = Phase::Ended;
        waiting.batches.clear();
        waiting.writing = None;
        waiting.asleep = false;
        self.ready.notify_one();
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

    fn written(work: Work) -> Gathered {
        match work {
            Work::Write(batch) => batch,
            other @ (Work::Close(_) | Work::Abandon) => panic!("{other:?}"),
        }
    }

    #[test]
    fn operations_gather_in_order_and_never_span_two_batches() {
        let queue = Queue::new(Lsn(10));
        let large = vec![1; 100_000];
        for turn in 0..5 {
            assert_eq!(queue.push(operation(&large, turn), |_| {}), Ok(Lsn(10 + 2 * turn)));
        }
        let sizes: Vec<_> = (0..3)
            .map(|_| {
                let batch = written(queue.pop());
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
        let queue = Queue::new(Lsn(1));
        queue.push(operation(b"x", 1), |_| {}).expect("open");
        queue.close(Timestamp(7));
        assert_eq!(queue.push(operation(b"y", 1), |_| {}), Err(Ended));
        assert_eq!(written(queue.pop()).operations, 1);
        assert!(matches!(queue.pop(), Work::Close(Timestamp(7))));
        assert!(matches!(queue.pop(), Work::Abandon));
    }

    #[test]
    fn ending_drops_what_is_there() {
        let queue = Queue::new(Lsn(1));
        queue.push(operation(b"x", 1), |_| {}).expect("open");
        queue.end();
        assert!(matches!(queue.pop(), Work::Abandon));
        assert_eq!(queue.oldest(), Duration::ZERO);
    }

    #[test]
    fn what_is_taken_by_the_writer_still_counts_as_waiting() {
        let queue = Queue::new(Lsn(1));
        assert_eq!(queue.oldest(), Duration::ZERO);
        queue.push(operation(b"x", 1), |_| {}).expect("open");
        let _batch = queue.pop();
        std::thread::sleep(Duration::from_millis(2));
        assert!(queue.oldest() >= Duration::from_millis(2));
    }
}
