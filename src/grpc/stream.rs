//! Messages of operations as a stream: answers in the order of the requests, and the next message is decided while
//! the ones before it wait for the disk.
//!
//! A task of its own takes messages in and decides them, each as a whole; what was decided waits its turn in a bounded
//! queue. The caller's pace is the pace: when answers are not fetched, messages are not taken in.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use stockade_engine::answer::Fault;
use stockade_proto as pb;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::batch::{self, Decisions};
use super::convert::{self, MAX_OPERATIONS};
use super::decode::{Decode, Decoded};
use super::edge::Edge;
use super::intake::Messages;
use super::status::{self, of_fault};
use crate::budget::Charge;

/// Most messages of a stream that are decided and not yet answered.
const MESSAGES_IN_FLIGHT: usize = 64;
/// Most operations in them: few enough that several streams together don't fill the journal's queue.
const OPERATIONS_IN_FLIGHT: usize = 16 * 1024;
// A full message fits by itself.
const _: () = assert!(MAX_OPERATIONS <= OPERATIONS_IN_FLIGHT);

/// A stream's answers, each with what its request is charged, which goes over to it.
pub type Answers = BoxStream<'static, Result<(pb::BatchStreamResponse, Charge), Status>>;

/// The switch of all streams of a server. Clones are of the same server.
#[derive(Debug, Clone)]
pub struct Streams(watch::Sender<bool>);

impl Streams {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// From now on no stream takes another message in: each answers what it has and ends with `UNAVAILABLE`. Whoever
    /// watches a drop is told the same.
    pub fn end(&self) {
        self.0.send_replace(true);
    }

    /// Whether they end.
    pub(super) fn ended(&self) -> bool {
        *self.0.borrow()
    }

    /// For waiting until they end.
    pub(super) fn ending(&self) -> watch::Receiver<bool> {
        self.0.subscribe()
    }

    /// The answers to these messages.
    pub(super) fn answers(&self, edge: &Arc<Edge>, messages: Incoming) -> Answers {
        let (answers, decided) = mpsc::channel(MESSAGES_IN_FLIGHT);
        let intake = Intake { edge: Arc::clone(edge), messages, ending: self.ending(), answers };
        tokio::spawn(intake.run());
        ReceiverStream::new(decided).then(told).boxed()
    }
}

/// The messages of a stream, as they come.
pub struct Incoming {
    /// As they are encoded.
    pub messages: Messages,
    /// Decodes them.
    pub decode: Arc<Decode>,
    /// The call's place among all.
    pub place: usize,
}

impl Incoming {
    /// The next; none if no more will come.
    async fn next(&mut self) -> Result<Option<Decoded<pb::BatchStreamRequest>>, Status> {
        match self.messages.next().await? {
            Some(received) => self.decode.batch_stream(self.place, received).await.map(Some),
            None => Ok(None),
        }
    }
}

/// A message that was decided, or how the stream ends. Boxed, for a channel has room for 32 of them from its beginning:
/// most streams that there are wait for something.
type Next = Box<Result<InFlight, Status>>;

/// A message that was decided and is not answered yet.
struct InFlight {
    sequence: u64,
    decided: Decisions,
    /// Given back once it is answered.
    room: OwnedSemaphorePermit,
    /// Goes over to the answer.
    charge: Charge,
}

async fn told(next: Next) -> Result<(pb::BatchStreamResponse, Charge), Status> {
    let InFlight { sequence, decided, room, charge } = (*next)?;
    let (results, at) = decided.durable().await.map_err(of_fault)?;
    drop(room);
    Ok((pb::BatchStreamResponse { sequence, results, server_time: Some(convert::timestamp(at)) }, charge))
}

/// The side of a stream that takes messages in.
struct Intake {
    edge: Arc<Edge>,
    messages: Incoming,
    ending: watch::Receiver<bool>,
    answers: mpsc::Sender<Next>,
}

impl Intake {
    /// Until the caller has no more, is gone, or the server ends. A message that was begun is decided to its end.
    async fn run(mut self) {
        let room = Arc::new(Semaphore::new(OPERATIONS_IN_FLIGHT));
        loop {
            let next = match self.message().await {
                // Boxed: a stream that is not used does not keep the memory of deciding.
                Ok(Some(message)) => Box::pin(self.decide(message, Arc::clone(&room))).await,
                Ok(None) => return,
                Err(status) => Err(status),
            };
            let last = next.is_err();
            if self.answers.send(Box::new(next)).await.is_err() || last {
                return;
            }
        }
    }

    /// The next message; none if no more will come, or nobody listens any more.
    async fn message(&mut self) -> Result<Option<Decoded<pb::BatchStreamRequest>>, Status> {
        tokio::select! {
            biased;
            // Also when nobody is left who could say so.
            _ended = self.ending.wait_for(|ended| *ended) => Err(status::stopping()),
            () = self.answers.closed() => Ok(None),
            message = self.messages.next() => message,
        }
    }

    async fn decide(&self, asked: Decoded<pb::BatchStreamRequest>, room: Arc<Semaphore>) -> Result<InFlight, Status> {
        let Decoded { message: pb::BatchStreamRequest { sequence, operations, view }, charge } = asked;
        let permits = u32::try_from(operations.len().min(MAX_OPERATIONS)).unwrap_or(u32::MAX);
        // It is never closed.
        let room = room.acquire_many_owned(permits).await.map_err(|_closed| of_fault(Fault::JournalFailed))?;
        let decided = match convert::batch(operations.len(), view) {
            Ok(view) => batch::decide(&self.edge, &operations, view).await.map_err(of_fault)?,
            Err(rejection) => batch::reject(&self.edge, &operations, &rejection.into()),
        };
        Ok(InFlight { sequence, decided, room, charge })
    }
}
