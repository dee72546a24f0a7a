//! Scenarios of the hand-off to the writer, for a model checker; `models/` runs them. They are here because they drive
//! what the crate keeps private.
//!
//! Waiting threads sleep, as in the server: if one is forgotten, all sleep in the end, and the checker reports a
//! deadlock.

#![expect(clippy::expect_used, clippy::panic, reason = "a panic of a scenario is the finding")]
#![expect(clippy::missing_panics_doc, reason = "a scenario says what was broken by a panic, and by nothing else")]

mod book;
pub mod parker;
pub mod closing;
pub mod local_wakers;
pub mod waiting;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering as Plain};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::panicking;

use stockade_counter::sync::thread::{self, Thread};
use stockade_types::ids::Lsn;
use stockade_types::time::Timestamp;

use crate::commit::queue::QueuedOperation;
use crate::progress::ticket::Ticket;
use crate::progress::waiters::LocalWaker;
use crate::progress::{JournalFailed, Progress};

/// An operation of one record.
const ONE: QueuedOperation<'static> = QueuedOperation { bytes: b"x", records: 1, now: Timestamp(1) };
const FIRST: Lsn = Lsn(1);
const SECOND: Lsn = Lsn(2);

fn ticket(progress: &Arc<Progress>, lsn: Lsn) -> Ticket {
    Ticket::new(Arc::clone(progress), lsn)
}

/// A task's waker: it unparks the thread that drives the task. The flag is a plain atomic that the checker does not
/// see: what is checked is that the wake-up happens, and parking orders the flag.
#[derive(Debug)]
struct Call {
    woken: AtomicBool,
    driver: Thread,
}

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Plain::SeqCst);
        self.driver.unpark();
    }
}

/// A task of a thread's runtime.
struct Task<F: Future> {
    future: Option<F>,
    call: Arc<Call>,
    output: Option<F::Output>,
}

impl<F: Future + Unpin> Task<F> {
    /// A task that is polled at once.
    fn new(future: F) -> Self {
        Self {
            future: Some(future),
            call: Arc::new(Call { woken: AtomicBool::new(true), driver: thread::current() }),
            output: None,
        }
    }

    /// Polls it if it was woken. Returns whether it was.
    fn turn(&mut self) -> bool {
        if self.output.is_some() || !self.call.woken.swap(false, Plain::SeqCst) {
            return false;
        }
        let waker = Waker::from(Arc::clone(&self.call));
        let polled = self.future.as_mut().map(|future| Pin::new(future).poll(&mut Context::from_waker(&waker)));
        if let Some(Poll::Ready(output)) = polled {
            self.output = Some(output);
        }
        true
    }
}

impl<F: Future> Drop for Task<F> {
    fn drop(&mut self) {
        // The scenario has failed: a local waker that locks now would hide that.
        if panicking() {
            std::mem::forget(self.future.take());
        }
    }
}

/// The results of the waiting tickets, in order.
type Results = Vec<Option<Result<(), JournalFailed>>>;

/// A thread's runtime: polls woken tasks, first tickets and then the local waker, until no ticket waits.
fn drive(mut local_waker: Option<&mut Task<LocalWaker>>, tickets: &mut [Task<Ticket>]) -> Results {
    while tickets.iter().any(|task| task.output.is_none()) {
        let mut busy = false;
        for task in &mut *tickets {
            busy |= task.turn();
        }
        if let Some(local_waker) = local_waker.as_deref_mut() {
            busy |= local_waker.turn();
        }
        if !busy {
            thread::park();
        }
    }
    tickets.iter_mut().map(|task| task.output.take()).collect()
}

fn all_durable(results: &Results) -> bool {
    results.iter().all(|result| matches!(result, Some(Ok(()))))
}
