//! Streams of batches: answered in the order of the requests. The next message is decided while earlier ones wait for
//! the disk.
//!
//! A task per stream reads and decides messages, each as a whole; decided messages wait in a bounded queue. If the
//! caller does not read answers, no further messages are read.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use stockade_engine::answer::Fault;
use stockade_proto as pb;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::batch::{self, Decisions};
use super::convert::{self, OPERATIONS_MAX};
use super::decode::{Decode, Decoded};
use super::edge::Edge;
use super::intake::Messages;
use super::status::{self, of_fault};
use crate::budget::Charge;

/// Most messages of a stream that are decided and not yet answered.
const MESSAGES_IN_FLIGHT: usize = 64;
/// Most operations in them: few enough that several streams together do not fill the journal's queue.
const OPERATIONS_IN_FLIGHT: usize = 16 * 1024;
// A full message fits.
const _: () = assert!(OPERATIONS_MAX <= OPERATIONS_IN_FLIGHT);

/// A stream's answers, each with the charge of its request.
pub(super) type Answers = BoxStream<'static, Result<(pb::BatchStreamResponse, Charge), Status>>;

/// Ends all streams of a server. Clones belong to the same server.
#[derive(Debug, Clone)]
pub struct Streams(watch::Sender<bool>);

impl Streams {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// From now on no stream reads another message: each answers what it has and ends with `UNAVAILABLE`. Watches and
    /// readers of events end too.
    pub fn end(&self) {
        self.0.send_replace(true);
    }

    /// Whether the streams end.
    pub(super) fn ended(&self) -> bool {
        *self.0.borrow()
    }

    /// A receiver to wait for the end of the streams.
    pub(super) fn ending(&self) -> watch::Receiver<bool> {
        self.0.subscribe()
    }

    /// The answers to these messages.
    pub(super) fn answers(&self, edge: &Arc<Edge>, messages: Incoming) -> Answers {
        let (answers, decided) = mpsc::channel(MESSAGES_IN_FLIGHT);
        let intake = Intake { edge: Arc::clone(edge), messages, ending: self.ending(), answers };
        tokio::spawn(intake.run());
        ReceiverStream::new(decided).then(durable_response).boxed()
    }
}

/// The messages of a stream.
pub(super) struct Incoming {
    /// The encoded messages.
    pub messages: Messages,
    /// Their decoder.
    pub decode: Arc<Decode>,
    /// The call's place in the table of calls.
    pub place: usize,
}

impl Incoming {
    /// The next message; `None` if there will be no more.
    async fn next(&mut self) -> Result<Option<Decoded<pb::BatchStreamRequest>>, Status> {
        match self.messages.next().await? {
            Some(received) => self.decode.batch_stream(self.place, received).await.map(Some),
            None => Ok(None),
        }
    }
}

/// A decided message, or the status that ends the stream. Boxed: a channel allocates 32 slots at once, and most
/// streams are idle.
type Next = Box<Result<OperationsInFlight, Status>>;

/// A message that was decided and is not answered yet.
struct OperationsInFlight {
    sequence: u64,
    decided: Decisions,
    /// Released once it is answered.
    room: OwnedSemaphorePermit,
    /// Moves to the answer.
    charge: Charge,
}

async fn durable_response(next: Next) -> Result<(pb::BatchStreamResponse, Charge), Status> {
    let OperationsInFlight { sequence, decided, room, charge } = (*next)?;
    let (results, at) = decided.durable().await.map_err(of_fault)?;
    drop(room);
    Ok((pb::BatchStreamResponse { sequence, results, server_time: Some(convert::timestamp(at)) }, charge))
}

/// The reading side of a stream.
struct Intake {
    edge: Arc<Edge>,
    messages: Incoming,
    ending: watch::Receiver<bool>,
    answers: mpsc::Sender<Next>,
}

impl Intake {
    /// Runs until the caller sends no more or is gone, or the server stops. A message that was begun is decided to
    /// its end.
    async fn run(mut self) {
        let room = Arc::new(Semaphore::new(OPERATIONS_IN_FLIGHT));
        loop {
            let next = match self.message().await {
                // Boxed, so that an idle stream does not hold the memory for deciding.
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

    /// The next message; `None` if there will be no more, or the answers are not read any more.
    async fn message(&mut self) -> Result<Option<Decoded<pb::BatchStreamRequest>>, Status> {
        tokio::select! {
            biased;
            // Also if the sender is gone.
            _ended = self.ending.wait_for(|ended| *ended) => Err(status::stopping()),
            () = self.answers.closed() => Ok(None),
            message = self.messages.next() => message,
        }
    }

    async fn decide(
        &self,
        asked: Decoded<pb::BatchStreamRequest>,
        room: Arc<Semaphore>,
    ) -> Result<OperationsInFlight, Status> {
        let Decoded { message: pb::BatchStreamRequest { sequence, operations, view }, charge } = asked;
        let permits = u32::try_from(operations.len().min(OPERATIONS_MAX)).unwrap_or(u32::MAX);
        // It is never closed.
        let room = room.acquire_many_owned(permits).await.map_err(|_closed| of_fault(Fault::JournalFailed))?;
        let decided = match convert::batch(operations.len(), view) {
            Ok(view) => batch::decide(&self.edge, &operations, view).await.map_err(of_fault)?,
            Err(rejection) => batch::reject(&self.edge, &operations, &rejection.into()),
        };
        Ok(OperationsInFlight { sequence, decided, room, charge })
    }
}
