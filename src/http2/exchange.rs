//! One call on a connection: makes the answer and sends it as the peer reads it.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use futures_util::Stream;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use tokio::time::{Instant, timeout_at};
use tonic::codegen::http::Request;

use super::answer::{Answer, Chunk, Part, Rest};
use super::{CALL_BYTES, Peer, Service};

/// An answer is given up if within this time the peer takes
pub(super) const TAKE_TIMEOUT: Duration = Duration::from_secs(15);
/// less than this, and not the remainder.
const TAKE_BYTES: usize = 16 * 1024;

/// Counts a call while it is in flight.
pub(super) struct InFlight(Arc<Peer>);

impl InFlight {
    pub(super) fn new(peer: &Arc<Peer>) -> Self {
        peer.calls.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(peer))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts a call while its answer waits for the peer.
struct Untaken<'a>(&'a Peer);

impl<'a> Untaken<'a> {
    fn new(peer: &'a Peer) -> Self {
        peer.untaken.fetch_add(1, Ordering::Relaxed);
        Self(peer)
    }
}

impl Drop for Untaken<'_> {
    fn drop(&mut self) {
        self.0.untaken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Answers a request, until the peer has the answer or resets the stream.
pub(super) async fn run<S: Service>(
    request: Request<RecvStream>,
    mut respond: SendResponse<Chunk>,
    service: Arc<S>,
    call: InFlight,
) {
    let InFlight(peer) = &call;
    let (charge, answer) = match peer.share.charge(CALL_BYTES) {
        Ok(charge) => {
            let mut answering = pin!(service.call(request, Arc::clone(peer)));
            // The reset is checked first: a request that was sent and reset in one read costs no work.
            let wanted = poll_fn(|cx| match respond.poll_reset(cx) {
                Poll::Ready(_reason) => Poll::Ready(None),
                Poll::Pending => answering.as_mut().poll(cx).map(Some),
            });
            (Some(charge), wanted.await)
        }
        Err(exhausted) => (None, Some(service.no_room(&request, exhausted))),
    };
    let Some(mut answer) = answer else { return };
    // The charge moves to the bytes that are available; a streamed answer keeps it until its end.
    let _charge = match answer.data.take() {
        Some(data) => {
            answer.data = Some(data.or_charge(charge));
            None
        }
        None => charge,
    };
    match send(respond, answer, peer).await {
        Ok(()) => peer.vitals.answered(),
        Err(error) => tracing::debug!(%error, "an answer was not taken"),
    }
}

async fn send(mut respond: SendResponse<Chunk>, answer: Answer, peer: &Peer) -> Result<(), h2::Error> {
    let Answer { head, data, rest } = answer;
    let ends = data.is_none() && matches!(rest, Rest::End);
    let mut stream = respond.send_response(head, ends)?;
    if let Some(data) = data {
        give(&mut stream, data, peer).await?;
    }
    match rest {
        Rest::End if ends => Ok(()),
        Rest::End => end(&mut stream),
        Rest::Trailers(trailers) => stream.send_trailers(trailers),
        Rest::Stream(mut parts) => {
            while let Some(part) = next(&mut stream, parts.as_mut()).await? {
                match part {
                    Part::Data(data) => give(&mut stream, data, peer).await?,
                    Part::Trailers(trailers) => return stream.send_trailers(trailers),
                }
            }
            end(&mut stream)
        }
    }
}

fn end(stream: &mut SendStream<Chunk>) -> Result<(), h2::Error> {
    stream.send_data(Chunk::new(Bytes::new(), None), true)
}

/// The next part of a streamed answer, or an error once the peer resets the stream.
async fn next(
    stream: &mut SendStream<Chunk>,
    mut parts: std::pin::Pin<&mut (dyn Stream<Item = Part> + Send)>,
) -> Result<Option<Part>, h2::Error> {
    poll_fn(|cx| match parts.as_mut().poll_next(cx) {
        Poll::Ready(part) => Poll::Ready(Ok(part)),
        Poll::Pending => stream.poll_reset(cx).map(|reason| reason.and_then(|reason| Err(reason.into()))),
    })
    .await
}

/// Sends data as the peer's window allows. The peer must take [`TAKE_BYTES`], or all that is left, within
/// [`TAKE_TIMEOUT`].
async fn give(stream: &mut SendStream<Chunk>, mut data: Chunk, peer: &Peer) -> Result<(), h2::Error> {
    let mut deadline: Option<(Instant, usize)> = None;
    while data.has_remaining() {
        stream.reserve_capacity(data.remaining());
        let room = match stream.capacity() {
            0 => {
                let _untaken = Untaken::new(peer);
                let left = data.remaining();
                let until = match deadline {
                    Some((until, from)) if from.saturating_sub(left) < TAKE_BYTES => until,
                    Some(_) | None => {
                        let until = Instant::now() + TAKE_TIMEOUT;
                        deadline = Some((until, left));
                        until
                    }
                };
                match timeout_at(until, poll_fn(|cx| stream.poll_capacity(cx))).await {
                    Ok(Some(room)) => room?,
                    Ok(None) => return Err(Reason::CANCEL.into()),
                    Err(_elapsed) => {
                        stream.send_reset(Reason::ENHANCE_YOUR_CALM);
                        return Err(Reason::ENHANCE_YOUR_CALM.into());
                    }
                }
            }
            room => room,
        };
        if room > 0 {
            stream.send_data(data.split_to(room), false)?;
        }
    }
    Ok(())
}
