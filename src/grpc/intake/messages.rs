//! Assembles messages from the bytes that have arrived, never trusting the announced length.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::future::poll_fn;
use h2::RecvStream;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tonic::Status;

use super::super::status;
use crate::budget::Charge;
use crate::http2::{CALL_BYTES, Peer};

/// A message that has begun must continue within this time,
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);
/// by at least this many bytes, or to its end.
const PROGRESS_BYTES: usize = 64 * 1024;
/// How long a message waits for room in the budget of bytes in flight,
const ROOM_TIMEOUT: Duration = Duration::from_secs(2);
/// and how often it tries.
const ROOM_PERIOD: Duration = Duration::from_millis(5);
/// The compression flag and the length.
const PREFIX_BYTES: usize = 5;
/// A message of up to this size is covered by its call's own charge.
const COVERED_BYTES: usize = CALL_BYTES / 2;
/// A message longer than this needs a wider receive window than a connection has at first.
const LONG_BYTES: usize = 16 * 1024;

/// A complete message.
#[derive(Debug)]
pub struct Received {
    /// The encoded bytes.
    pub bytes: Bytes,
    /// For what the call's own charge does not cover.
    pub charge: Charge,
}

impl Received {
    /// Charges this many bytes more, as soon as there is room.
    ///
    /// # Errors
    /// `UNAVAILABLE` or `RESOURCE_EXHAUSTED` if there is no room for too long.
    pub async fn charge_more(&mut self, bytes: usize) -> Result<(), Status> {
        grow(&mut self.charge, bytes).await
    }
}

/// Where a call's messages are from.
enum Body {
    /// An HTTP/2 stream.
    Stream(RecvStream),
    /// The only message was received whole.
    Whole(Option<Received>),
}

/// The messages of one call.
pub struct Messages {
    body: Body,
    peer: Arc<Peer>,
    /// Most bytes of a message.
    most: usize,
    /// Received bytes that were not processed yet.
    left: Bytes,
}

impl Messages {
    /// The messages of a request's body, each of at most `most` bytes.
    pub const fn new(body: RecvStream, peer: Arc<Peer>, most: usize) -> Self {
        Self { body: Body::Stream(body), peer, most, left: Bytes::new() }
    }

    /// A call whose only message was received whole.
    pub const fn of_one(message: Received, peer: Arc<Peer>) -> Self {
        Self { body: Body::Whole(Some(message)), peer, most: 0, left: Bytes::new() }
    }

    /// The peer that sends them.
    pub const fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// The next message; `None` if the peer sends no more.
    ///
    /// # Errors
    /// If a message is too long, compressed, cut off or too slow, or there is no room for it.
    pub async fn next(&mut self) -> Result<Option<Received>, Status> {
        if let Body::Whole(message) = &mut self.body {
            return Ok(message.take());
        }
        if self.left.is_empty() && !self.more().await? {
            return Ok(None);
        }
        // Nearly always the first bytes are the whole message.
        match self.whole()? {
            Some(bytes) => Ok(Some(Received { bytes, charge: self.peer.share.empty_charge() })),
            None => self.gathered().await.map(Some),
        }
    }

    /// The only message of a unary call, once the peer has ended the request.
    ///
    /// # Errors
    /// As [`Messages::next`]; also if there is no message, or more than one.
    pub async fn only(&mut self) -> Result<Received, Status> {
        if let Body::Whole(message) = &mut self.body {
            return message.take().ok_or_else(no_message);
        }
        let there = !self.left.is_empty() || self.more_in_time().await?;
        let message = if there { self.next().await? } else { None };
        let message = message.ok_or_else(no_message)?;
        if !self.left.is_empty() || (!self.has_ended() && self.more_in_time().await?) {
            return Err(Status::invalid_argument("the request has more than one message"));
        }
        Ok(message)
    }

    /// As [`Messages::more`], with a timeout.
    async fn more_in_time(&mut self) -> Result<bool, Status> {
        let mut more = std::pin::pin!(self.more());
        // No timer if the bytes are available already.
        match futures_util::poll!(more.as_mut()) {
            std::task::Poll::Ready(more) => more,
            std::task::Poll::Pending => timeout(MESSAGE_TIMEOUT, more).await.unwrap_or_else(|_elapsed| Err(late())),
        }
    }

    /// The message, if it is complete in the received bytes.
    fn whole(&mut self) -> Result<Option<Bytes>, Status> {
        let Some(length) = self.length(&self.left)? else { return Ok(None) };
        if length > COVERED_BYTES || self.left.len() < PREFIX_BYTES.saturating_add(length) {
            return Ok(None);
        }
        self.left.advance(PREFIX_BYTES);
        let message = self.left.split_to(length);
        self.release(PREFIX_BYTES.saturating_add(length))?;
        Ok(Some(message))
    }

    /// A message's length, once its prefix has arrived.
    fn length(&self, bytes: &[u8]) -> Result<Option<usize>, Status> {
        let Some(([flag, length @ ..], _)) = bytes.split_first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
        match flag {
            0 => {}
            1 => {
                return Err(Status::unimplemented("compressed messages are not accepted: send grpc-encoding identity"));
            }
            _ => return Err(Status::invalid_argument("the message's compression flag is neither 0 nor 1")),
        }
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length > self.most {
            let most = self.most;
            return Err(Status::out_of_range(format!(
                "the message is too long: it has {length} bytes, and this method takes at most {most} bytes"
            )));
        }
        Ok(Some(length))
    }

    /// Assembles a message. The buffer grows with the bytes that have arrived.
    async fn gathered(&mut self) -> Result<Received, Status> {
        let mut charge = self.peer.share.empty_charge();
        let mut buffer = BytesMut::new();
        let mut length = None;
        let (mut deadline, mut from) = (Instant::now() + MESSAGE_TIMEOUT, 0_usize);
        loop {
            let wanted = length.map_or(PREFIX_BYTES, |length: usize| length.saturating_add(PREFIX_BYTES));
            let missing = wanted.saturating_sub(buffer.len()).min(self.left.len());
            make_room(&mut buffer, missing, wanted, &mut charge).await?;
            buffer.extend_from_slice(&self.left.split_to(missing));
            self.release(missing)?;
            if length.is_none() {
                length = self.length(&buffer)?;
            }
            if buffer.len() > LONG_BYTES {
                self.peer.widen();
            }
            if length.is_some_and(|length| buffer.len() >= length.saturating_add(PREFIX_BYTES)) {
                buffer.advance(PREFIX_BYTES);
                return Ok(Received { bytes: buffer.freeze(), charge });
            }
            if buffer.len().saturating_sub(from) >= PROGRESS_BYTES {
                (deadline, from) = (Instant::now() + MESSAGE_TIMEOUT, buffer.len());
            }
            if self.left.is_empty()
                && !timeout_at(deadline, self.more()).await.unwrap_or_else(|_elapsed| Err(late()))?
            {
                return Err(Status::invalid_argument("the request ends in the middle of a message"));
            }
        }
    }

    /// Whether the peer has ended the request.
    fn has_ended(&self) -> bool {
        match &self.body {
            Body::Stream(body) => body.is_end_stream(),
            Body::Whole(_) => true,
        }
    }

    /// Waits for more bytes. False if the request has ended.
    async fn more(&mut self) -> Result<bool, Status> {
        let Body::Stream(body) = &mut self.body else { return Ok(false) };
        loop {
            match poll_fn(|cx| body.poll_data(cx)).await {
                Some(Ok(bytes)) if bytes.is_empty() => {}
                Some(Ok(bytes)) => {
                    self.left = bytes;
                    return Ok(true);
                }
                Some(Err(error)) => return Err(Status::cancelled(error.to_string())),
                None => return Ok(false),
            }
        }
    }

    /// Allows the peer to send this many bytes more.
    fn release(&mut self, bytes: usize) -> Result<(), Status> {
        match &mut self.body {
            Body::Stream(body) => body.flow_control().release_capacity(bytes),
            Body::Whole(_) => Ok(()),
        }
        .map_err(|error| Status::internal(error.to_string()))
    }
}

/// Makes room for received bytes: doubles the buffer, but never beyond the message's length.
async fn make_room(buffer: &mut BytesMut, more: usize, wanted: usize, charge: &mut Charge) -> Result<(), Status> {
    let needed = buffer.len().saturating_add(more);
    if needed > buffer.capacity() {
        let capacity = needed.saturating_mul(2).min(wanted).max(needed);
        let covered = COVERED_BYTES.max(charge.bytes());
        if let Some(more) = capacity.checked_sub(covered) {
            grow(charge, more).await?;
        }
        buffer.reserve(capacity.saturating_sub(buffer.len()));
    }
    Ok(())
}

/// Charges this many bytes more, as soon as there is room.
///
/// # Errors
/// `UNAVAILABLE` or `RESOURCE_EXHAUSTED` if there is no room for too long.
pub async fn grow(charge: &mut Charge, bytes: usize) -> Result<(), Status> {
    grow_until(room_deadline(), charge, bytes).await
}

/// The deadline of a wait for room that begins now.
pub fn room_deadline() -> Instant {
    Instant::now() + ROOM_TIMEOUT
}

/// Charges this many bytes more, as soon as there is room. After the deadline it tries once more.
///
/// # Errors
/// `UNAVAILABLE` or `RESOURCE_EXHAUSTED` if there is no room by the deadline.
pub async fn grow_until(deadline: Instant, charge: &mut Charge, bytes: usize) -> Result<(), Status> {
    while Instant::now() < deadline {
        if charge.try_grow(bytes).is_ok() {
            return Ok(());
        }
        sleep(ROOM_PERIOD).await;
    }
    charge.grow(bytes).map_err(status::no_room)
}

fn no_message() -> Status {
    Status::invalid_argument("the request has no message")
}

fn late() -> Status {
    let seconds = MESSAGE_TIMEOUT.as_secs();
    Status::deadline_exceeded(format!("the message did not continue within {seconds} s"))
}
