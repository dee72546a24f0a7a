//! Decodes messages. A message is checked first and charged for the memory that it will take. Large messages are
//! decoded on threads for long work.

use std::sync::Arc;

use prost::Message;
use stockade_counter::sync::parallelism;
use stockade_proto as pb;
use tokio::sync::Semaphore;
use tonic::Status;

use super::intake::{BrokenShape, Received, Shapes, decoded_size, grow};
use super::rpc::CALLS;
use super::status;
use crate::budget::Charge;
use crate::http2::CALL_BYTES;

/// A message of up to this size is decoded, and an answer encoded, on the call's own thread: it takes about a
/// millisecond.
pub(super) const AT_ONCE_BYTES: usize = 256 * 1024;
/// Memory that the result of an operation takes in nearly all cases: a hold with a few lines.
const RESULT_BYTES: usize = 768;
/// Memory of a decoded request that the call's own charge covers.
const COVERED_BYTES: usize = CALL_BYTES / 2;

/// A decoded request, with its charge.
#[derive(Debug)]
pub(super) struct Decoded<T> {
    /// The request.
    pub message: T,
    /// Gives its bytes back when it is dropped.
    pub charge: Charge,
}

/// Decodes requests.
pub(super) struct Decode {
    shapes: Arc<Shapes>,
    /// The place of each call's request type in the shapes, in the order of [`CALLS`].
    places: Vec<usize>,
    /// Bounds the large messages that are decoded or encoded at once.
    large: Arc<Semaphore>,
}

impl Decode {
    /// Decodes the requests of all calls.
    ///
    /// # Errors
    /// If the contract's descriptors can't be used.
    pub(super) fn new() -> Result<Self, BrokenShape> {
        let (shapes, places) = Shapes::of(CALLS.iter().map(|call| call.request))?;
        Ok(Self { shapes: Arc::new(shapes), places, large: Arc::new(Semaphore::new(parallelism().div_ceil(2))) })
    }

    /// Decodes a request of the call at this place in [`CALLS`].
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` if it is malformed or has too many parts; also if the budget has no room for it.
    pub(super) async fn decode<T>(&self, call: usize, received: Received) -> Result<Decoded<T>, Status>
    where
        T: Message + Default + 'static,
    {
        let place = self.places.get(call).copied().unwrap_or_default();
        let large = received.bytes.len() > AT_ONCE_BYTES;
        // The charge moves along: if the caller gives up meanwhile, the work goes on and the memory stays charged.
        let (takes, mut received) = if large {
            let shapes = Arc::clone(&self.shapes);
            self.aside(move || (decoded_size(&shapes, place, &received.bytes), received)).await?
        } else {
            (decoded_size(&self.shapes, place, &received.bytes), received)
        };
        let takes = takes.map_err(|oversized| status::oversized(&oversized))?;
        let encoded = received.charge.bytes();
        if let Some(more) = takes.checked_sub(COVERED_BYTES).filter(|more| *more > 0) {
            received.charge_more(more).await?;
        }
        let Received { bytes, mut charge } = received;
        let decode = move || {
            let message = T::decode(bytes);
            // The encoded bytes are freed.
            charge.shrink_to(charge.bytes().saturating_sub(encoded));
            message.map(|message| Decoded { message, charge })
        };
        let decoded = if large { self.aside(decode).await? } else { decode() };
        decoded.map_err(|error| status::undecodable(&error))
    }

    /// Decodes a batch. The memory of its results is charged too.
    ///
    /// # Errors
    /// As [`Decode::decode`].
    pub(super) async fn batch(&self, call: usize, received: Received) -> Result<Decoded<pb::BatchRequest>, Status> {
        let mut decoded = self.decode::<pb::BatchRequest>(call, received).await?;
        grow(&mut decoded.charge, decoded.message.operations.len().saturating_mul(RESULT_BYTES)).await?;
        Ok(decoded)
    }

    /// Decodes a message of a stream of batches. The memory of its results is charged too.
    ///
    /// # Errors
    /// As [`Decode::decode`].
    pub(super) async fn batch_stream(
        &self,
        call: usize,
        received: Received,
    ) -> Result<Decoded<pb::BatchStreamRequest>, Status> {
        let mut decoded = self.decode::<pb::BatchStreamRequest>(call, received).await?;
        grow(&mut decoded.charge, decoded.message.operations.len().saturating_mul(RESULT_BYTES)).await?;
        Ok(decoded)
    }

    /// Runs long work on a thread for it, a few at once.
    ///
    /// # Errors
    /// If the server stops meanwhile.
    pub(super) async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Status> {
        let permit = Arc::clone(&self.large).acquire_owned().await.map_err(|_closed| status::stopping())?;
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        // A panic would have ended the process through its hook.
        done.await.map_err(|_stopped| status::stopping())
    }
}
