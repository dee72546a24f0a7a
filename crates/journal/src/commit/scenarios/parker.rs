//! The end of the queue where the writer sleeps, and its wake-up. Its patience is endless here: only an unpark, or a
//! spurious wake-up, wakes it.

use std::sync::Arc;

use stockade_counter::model::{at, joined};
use stockade_types::ids::Lsn;
use stockade_types::time::Timestamp;

use super::{FIRST, ONE, SECOND, Task, ticket};
use crate::commit::queue::{FLUSH_BYTES, PendingBatch, Queue, QueuedOperation, Work};
use crate::progress::Progress;

/// Bytes that are written even if nobody waits for them.
static ENOUGH: [u8; FLUSH_BYTES] = [0; FLUSH_BYTES];

struct Desk {
    queue: Queue,
    progress: Arc<Progress>,
}

impl Desk {
    fn open() -> Arc<Self> {
        Arc::new(Self { queue: Queue::new(FIRST), progress: Arc::new(Progress::from(Lsn(0))) })
    }

    /// The writer: publishes batches until everything up to `last` is durable, or the queue is closed. Returns where it
    /// ended.
    fn write_up_to(&self, last: Lsn) -> Lsn {
        self.progress.parker.bind();
        let mut durable = Lsn(0);
        while durable < last {
            match self.queue.pop(&self.progress) {
                Work::Write(PendingBatch { first, records, .. }) => {
                    durable = Lsn(first.plus(records.into()).0 - 1);
                    self.progress.advance(durable, &mut Vec::new());
                }
                Work::Close(_) | Work::Abandon => return durable,
            }
        }
        durable
    }

    fn append(&self, operation: QueuedOperation<'_>) -> Lsn {
        self.queue.push(operation, &self.progress).expect("an open queue")
    }
}

/// One thread appends and waits while the writer goes to sleep: the writer wakes up.
pub fn who_waits_is_not_left_to_a_sleeping_writer() {
    let desk = Desk::open();
    let writing = desk.clone();
    let writer = at(1, move || writing.write_up_to(FIRST));
    let lsn = desk.append(ONE);
    assert!(ticket(&desk.progress, lsn).wait().is_ok(), "reported as lost");
    joined(writer);
}

/// Two threads append and wait; one may append before or after the other has its result.
pub fn two_who_wait_are_not_left_to_a_sleeping_writer() {
    let desk = Desk::open();
    let (writing, other) = (desk.clone(), desk.clone());
    let writer = at(1, move || writing.write_up_to(SECOND));
    let other = at(0, move || {
        let lsn = other.append(ONE);
        ticket(&other.progress, lsn).wait().is_ok()
    });
    let lsn = desk.append(ONE);
    assert!(ticket(&desk.progress, lsn).wait().is_ok(), "reported as lost");
    assert!(joined(other), "reported as lost");
    joined(writer);
}

/// A waiter for a later record does not hide one that waits for an appended record.
pub fn who_asks_for_later_hides_nobody() {
    let desk = Desk::open();
    let mut later = Task::new(ticket(&desk.progress, Lsn(9)));
    assert!(later.turn() && later.output.is_none(), "reported too early");
    let writing = desk.clone();
    let writer = at(1, move || writing.write_up_to(FIRST));
    let lsn = desk.append(ONE);
    assert!(ticket(&desk.progress, lsn).wait().is_ok(), "reported as lost");
    joined(writer);
}

/// Enough records for a batch are queued, and nobody waits for them: the writer wakes up nevertheless.
pub fn enough_is_written_whoever_waits() {
    let desk = Desk::open();
    let writing = desk.clone();
    let writer = at(1, move || writing.write_up_to(FIRST));
    desk.append(QueuedOperation { bytes: &ENOUGH, ..ONE });
    assert!(joined(writer) >= FIRST, "not written");
}

/// The queue is closed while the writer goes to sleep, and nobody waits: queued records are written, then the writer
/// learns of the close.
pub fn a_close_is_told_to_a_sleeping_writer() {
    let desk = Desk::open();
    let writing = desk.clone();
    let writer = at(1, move || writing.write_up_to(Lsn(u64::MAX)));
    let lsn = desk.append(ONE);
    desk.queue.close(Timestamp(1), &desk.progress);
    assert_eq!(joined(writer), lsn, "closed, and not all written");
}
