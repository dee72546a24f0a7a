//! Operations of many callers in shared messages. Each caller waits for its own result; a driver sends the messages.
//!
//! If a caller gives up, its operation is left out if it is not in flight yet; else its result is dropped. If the
//! queue is full, callers wait; none is refused.

mod driver;
mod session;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prost::Message as _;
use prost_types::Timestamp;
use stockade_proto as pb;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tonic::Status;

use self::driver::{Driver, Limits};
use super::attempts::Deadline;
use super::pool::ConnectionPool;
use super::retry::Policy;
use super::{Error, Options};

/// Most bytes of operations in a message: well below the server's bound.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Most bytes that a message adds to an operation: its tag and its length.
const FRAME_BYTES: usize = 6;

/// A result, with the server's clock.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) result: pb::Result,
    pub(super) server_time: Option<Timestamp>,
}

/// Why there is no result.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// It must not be sent again.
    Final(Error),
    /// The server wants it again later than the other operations can wait. The status has the delay.
    Later(Status),
}

/// An operation that waits for its result.
#[derive(Debug)]
struct Job {
    /// Shared with the caller, who may send it again.
    operation: Arc<pb::Operation>,
    bytes: usize,
    deadline: Deadline,
    /// How often it was sent.
    sent: u32,
    reply: oneshot::Sender<Result<Answered, Unanswered>>,
}

impl Job {
    /// Whether its caller still waits.
    fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }

    /// Answers its caller. The caller may be gone.
    fn tell(self, answer: Result<Answered, Unanswered>) {
        drop(self.reply.send(answer));
    }
}

/// Accepts operations. Dropping it ends the streams.
#[derive(Debug)]
pub(super) struct Batcher {
    streams: Vec<BatchStream>,
    turn: AtomicUsize,
}

#[derive(Debug)]
struct BatchStream {
    jobs: mpsc::Sender<Job>,
    driver: JoinHandle<()>,
}

impl Drop for BatchStream {
    fn drop(&mut self) {
        // It may be waiting for its server, and no caller waits for it.
        self.driver.abort();
    }
}

impl Batcher {
    /// Makes a driver for each stream, from options that are within their bounds. Needs a tokio runtime.
    pub(super) fn new(options: &Options, pool: &Arc<ConnectionPool>, policy: &Arc<Policy>) -> Self {
        let stream = |_| {
            let (jobs, queued) = mpsc::channel(options.batching.queue);
            let driver = Driver::new(Limits::of(options), Arc::clone(pool), Arc::clone(policy), queued);
            BatchStream { jobs, driver: tokio::spawn(driver.run()) }
        };
        Self { streams: (0..options.batching.streams).map(stream).collect(), turn: AtomicUsize::new(0) }
    }

    /// Has an operation decided. If a stream breaks, the operation is sent again, as often as the policy allows; an
    /// error of the operation itself is returned to the caller.
    ///
    /// # Errors
    /// If there is no result.
    pub(super) async fn decide(
        &self,
        operation: Arc<pb::Operation>,
        deadline: Deadline,
    ) -> Result<Answered, Unanswered> {
        let closed = || Unanswered::Final(Error::Closed);
        let bytes = operation.encoded_len().saturating_add(FRAME_BYTES);
        if bytes > MESSAGE_BYTES_MAX {
            let why = format!("an operation of {bytes} bytes is larger than any message, {MESSAGE_BYTES_MAX} at most");
            return Err(Unanswered::Final(Error::of(Status::invalid_argument(why), 0)));
        }
        // Relaxed: the number guards no other data.
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let stream =
            turn.checked_rem(self.streams.len()).and_then(|place| self.streams.get(place)).ok_or_else(closed)?;
        let room = stream.jobs.reserve().await.map_err(|_ended| closed())?;
        let (reply, answer) = oneshot::channel();
        room.send(Job { operation, bytes, deadline, sent: 0, reply });
        answer.await.map_err(|_ended| closed())?
    }
}
