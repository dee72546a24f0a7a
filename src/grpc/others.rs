//! Health and reflection: services by other crates, served under the same bounds.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use http_body::{Body as _, Frame};
use http_body_util::StreamBody;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service as _;
use tonic::codegen::http::{Request, Response};
use tonic::service::Routes;

use super::intake::Messages;
use super::reply;
use super::services::stopping;
use super::status;
use super::stream::Streams;
use crate::http2::{Answer, Chunk, Part, Peer, Rest};

/// Routes of the other services.
pub(super) struct Others(Routes);

impl Others {
    /// Prepares the routes.
    pub(super) fn new(routes: Routes) -> Self {
        Self(routes.prepare())
    }

    /// Passes a request on, each message once it is complete, and its answer back.
    pub(super) async fn answer(&self, request: Request<Messages>, streams: &Streams) -> Answer {
        let peer = Arc::clone(request.body().peer());
        let mut routes = self.0.clone();
        let answered: Result<Response<Body>, Infallible> = tokio::select! {
            biased;
            // The routes are always ready.
            answered = routes.call(request.map(body)) => answered,
            () = stopping(streams.ending()) => return reply::failed(&status::stopping()),
        };
        let Ok(answered) = answered;
        let (head, body) = answered.into_parts();
        let ends = body.is_end_stream();
        let parts = parts(body, peer).take_until(stopping(streams.ending()));
        let stopped = stream::once(async { reply::end(&status::stopping()) });
        let rest = if ends { Rest::End } else { Rest::Stream(Box::pin(parts.chain(stopped))) };
        Answer { head: Response::from_parts(head, ()), data: None, rest }
    }
}

/// Messages as a body: each in one frame.
fn body(messages: Messages) -> Body {
    let frames = stream::unfold(Some(messages), async |messages| {
        let mut messages = messages?;
        match messages.next().await {
            Ok(Some(received)) => Some((Ok(Frame::data(framed(&received.bytes))), Some(messages))),
            Ok(None) => None,
            Err(status) => Some((Err(status), None)),
        }
    });
    Body::new(StreamBody::new(Box::pin(frames)))
}

fn framed(message: &Bytes) -> Bytes {
    let mut frame = BytesMut::with_capacity(message.len().saturating_add(5));
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.extend_from_slice(message);
    frame.freeze()
}

/// A body's frames, with their charge.
fn parts(body: Body, peer: Arc<Peer>) -> impl futures_util::Stream<Item = Part> + Send {
    stream::unfold(Some((body, peer)), async |state| {
        let (mut body, peer) = state?;
        match poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await? {
            Ok(frame) => match frame.into_data() {
                Ok(data) => match peer.share.charge(data.len()) {
                    Ok(charge) => Some((Part::Data(Chunk::new(data, Some(charge))), Some((body, peer)))),
                    Err(exhausted) => Some((reply::end(&status::no_room(exhausted)), None)),
                },
                Err(frame) => Some((Part::Trailers(frame.into_trailers().unwrap_or_default()), None)),
            },
            Err(status) => Some((reply::end(&Status::from_error(Box::new(status))), None)),
        }
    })
}
