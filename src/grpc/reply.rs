//! Replies: messages in their gRPC frames, and statuses as heads and trailers.

use std::sync::Arc;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::future::ready;
use futures_util::stream::{self, BoxStream};
use prost::Message;
use tonic::codegen::http::{HeaderMap, HeaderValue, Response, Version, header};
use tonic::{Code, Status};

use super::decode::{AT_ONCE_BYTES, Decode};
use super::intake::{grow, grow_until, room_deadline};
use crate::budget::Charge;
use crate::http2::{Answer, CALL_BYTES, Chunk, Part, Peer, Rest};

const PREFIX_BYTES: usize = 5;
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const OK: HeaderValue = HeaderValue::from_static("0");
const STATUS: &str = "grpc-status";
/// The memory of an answer, as a value and encoded, relative to its encoded bytes; seldom more.
const DECODED_FACTOR: usize = 3;
/// An answer of up to this size is covered by its call's own charge.
const COVERED_BYTES: usize = CALL_BYTES / 2;

/// The result of a call.
pub(super) enum Reply {
    /// One message, in its frame.
    One(Chunk),
    /// A stream of messages, each in its frame.
    Stream(BoxStream<'static, Result<Chunk, Status>>),
}

impl Reply {
    /// A stream of messages, each with its charge.
    pub(super) fn stream<M: Message + 'static>(
        messages: BoxStream<'static, Result<(M, Charge), Status>>,
        decode: Arc<Decode>,
    ) -> Self {
        let framed = messages.then(move |message| {
            let decode = Arc::clone(&decode);
            async move {
                let (message, charge) = message?;
                framed(message, &decode, charge).await
            }
        });
        Self::Stream(framed.boxed())
    }

    /// A stream of messages that are made from `things`, each once there is room for it.
    pub(super) fn stream_of<T: Send + Sync + 'static, M: Message + 'static>(
        things: BoxStream<'static, Result<T, Status>>,
        make: fn(&T) -> M,
        decode: Arc<Decode>,
        peer: Arc<Peer>,
    ) -> Self {
        let framed = things.then(move |thing| {
            let (decode, peer) = (Arc::clone(&decode), Arc::clone(&peer));
            async move {
                let thing = thing?;
                made(|| ready(Ok(make(&thing))), &decode, &peer).await
            }
        });
        Self::Stream(framed.boxed())
    }

    /// The HTTP/2 answer, with its status.
    pub(super) fn answer(self) -> Answer {
        let head = head();
        match self {
            Self::One(message) => Answer { head, data: Some(message), rest: Rest::Trailers(trailers()) },
            Self::Stream(messages) => Answer { head, data: None, rest: Rest::Stream(Box::pin(parts(messages))) },
        }
    }
}

/// The messages, then the status: the first error, or OK.
fn parts(messages: BoxStream<'static, Result<Chunk, Status>>) -> impl futures_util::Stream<Item = Part> + Send {
    stream::unfold(Some(messages), async |messages| {
        let mut messages = messages?;
        match messages.next().await {
            Some(Ok(message)) => Some((Part::Data(message), Some(messages))),
            Some(Err(status)) => Some((end(&status), None)),
            None => Some((Part::Trailers(trailers()), None)),
        }
    })
}

/// A status as the end of a streamed answer.
pub(super) fn end(status: &Status) -> Part {
    Part::Trailers(status_headers(status))
}

/// An answer that is a status alone.
pub(super) fn failed(status: &Status) -> Answer {
    let mut head = head();
    head.headers_mut().extend(status_headers(status));
    Answer::head_only(head)
}

fn head() -> Response<()> {
    let mut head = Response::new(());
    *head.version_mut() = Version::HTTP_2;
    head.headers_mut().insert(header::CONTENT_TYPE, GRPC);
    head
}

fn trailers() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(STATUS, OK);
    trailers
}

fn status_headers(status: &Status) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if status.add_header(&mut headers).is_err() {
        // No header can carry the message or the metadata; the code can always be sent.
        headers = HeaderMap::new();
        headers.insert(STATUS, HeaderValue::from(i32::from(Code::Internal)));
    }
    headers
}

/// Frames a message that can be made again. If there is no room for it, it is dropped, and made again once there is:
/// waiting messages would be memory that is not charged. All waits together last no longer than one.
///
/// # Errors
/// Those of `make`; also if there is no room.
pub(super) async fn made<M, F>(mut make: impl FnMut() -> F, decode: &Decode, peer: &Arc<Peer>) -> Result<Chunk, Status>
where
    M: Message + 'static,
    F: Future<Output = Result<M, Status>>,
{
    let deadline = room_deadline();
    let mut charge = peer.share.empty_charge();
    loop {
        let message = make().await?;
        let more = charged(message.encoded_len()).saturating_sub(charge.bytes());
        if more == 0 || charge.try_grow(more).is_ok() {
            return framed(message, decode, charge).await;
        }
        drop(message);
        grow_until(deadline, &mut charge, more).await?;
    }
}

/// Frames a message, with what is charged for it already.
///
/// # Errors
/// If there is no room for it.
pub(super) async fn framed<M: Message + 'static>(
    message: M,
    decode: &Decode,
    mut charge: Charge,
) -> Result<Chunk, Status> {
    let length = message.encoded_len();
    if length <= COVERED_BYTES {
        return Ok(Chunk::new(encoded(&message, length), None));
    }
    charge.shrink_to(charged(length));
    let more = charged(length).saturating_sub(charge.bytes());
    if more > 0 {
        grow(&mut charge, more).await?;
    }
    // The charge moves along: if the caller gives up meanwhile, the encoding goes on.
    let encode = move || {
        let bytes = encoded(&message, length);
        drop(message);
        charge.shrink_to(length);
        Chunk::new(bytes, Some(charge))
    };
    if length <= AT_ONCE_BYTES { Ok(encode()) } else { decode.aside(encode).await }
}

/// The message of a frame that was made here.
pub(super) fn without_frame(mut frame: Chunk) -> Chunk {
    frame.advance(PREFIX_BYTES.min(frame.remaining()));
    frame
}

/// The charge for an answer of this length until it is encoded: it covers the value too.
const fn charged(length: usize) -> usize {
    if length <= COVERED_BYTES { 0 } else { length.saturating_mul(DECODED_FACTOR) }
}

fn encoded(message: &impl Message, length: usize) -> Bytes {
    let mut frame = BytesMut::with_capacity(PREFIX_BYTES.saturating_add(length));
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    message.encode_raw(&mut frame);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use stockade_proto::GetDropRequest;
    use stockade_types::metrics::Stopwatch;

    use super::*;
    use crate::budget::{Budget, Share};

    const KIB: usize = 1024;

    fn message(bytes: usize) -> GetDropRequest {
        GetDropRequest { drop_id: "x".repeat(bytes) }
    }

    fn peer_of_few_bytes() -> (Arc<Budget>, Arc<Peer>) {
        let budget = Budget::new(512 * KIB);
        let share = Share::open(&budget).expect("room");
        (budget, Arc::new(Peer::new(([127, 0, 0, 1], 9).into(), share)))
    }

    #[tokio::test]
    async fn what_grows_each_time_that_it_is_made_waits_no_longer_than_once() {
        let (budget, peer) = peer_of_few_bytes();
        let decode = Decode::new().expect("the contract");
        let mut filling = peer.share.charge(300 * KIB).expect("room");
        // Each time there is room for the last message, but not for the next one.
        let freed = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(900)).await;
                filling.shrink_to(filling.bytes().saturating_sub(61 * KIB));
            }
        });
        let mut made_so_often = 0;
        let make = || {
            made_so_often += 1;
            ready(Ok(message(20 * KIB + made_so_often * 20 * KIB)))
        };
        let watch = Stopwatch::start();
        let answer = made(make, &decode, &peer).await;
        assert_eq!(answer.expect_err("no room").code(), Code::Unavailable);
        // It would take five times as long if each message had a wait of its own.
        assert!(watch.elapsed() < Duration::from_secs(5), "{:?}", watch.elapsed());
        assert_eq!((budget.refused(), made_so_often > 1), (1, true), "{made_so_often}");
        freed.abort();
        assert!(freed.await.expect_err("ended").is_cancelled());
        assert_eq!(peer.share.used(), 0, "what it was charged is given back");
    }

    #[tokio::test]
    async fn an_answer_that_is_encoded_aside_is_charged_though_its_caller_has_left() {
        let (_budget, peer) = peer_of_few_bytes();
        let decode = Arc::new(Decode::new().expect("the contract"));
        let charge = peer.share.charge(100 * KIB).expect("room");
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let (go_on, may_go_on) = std::sync::mpsc::sync_channel::<()>(1);
        let work = move || {
            begun.send(()).expect("the test waits");
            may_go_on.recv().expect("the test says when");
            drop(charge);
        };
        let call = tokio::spawn({
            let decode = Arc::clone(&decode);
            async move { decode.aside(work).await }
        });
        has_begun.await.expect("it has begun");
        call.abort();
        assert!(call.await.expect_err("it has left").is_cancelled());
        assert_eq!(peer.share.used(), 100 * KIB);
        go_on.send(()).expect("it goes on");
        while peer.share.used() > 0 {
            tokio::task::yield_now().await;
        }
    }
}
