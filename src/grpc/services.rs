//! Dispatches requests: finds the method by its path, decodes the message, frames the answer and counts the status.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use h2::RecvStream;
use prost::Message;
use stockade_types::record::Origin;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tonic::codegen::http::{HeaderMap, Request, Response, StatusCode, header};
use tonic::{Code, Status};

use super::connect::Codec;
use super::decode::{Decode, Decoded};
use super::drops::DropsService;
use super::events::Events;
use super::facts::FactCalls;
use super::insight::InsightCalls;
use super::intake::{Messages, Received};
use super::observe::{Call, deadline};
use super::others::Others;
use super::reply::{self, Reply};
use super::reservation::Reservations;
use super::rpc::{self, Row, Rpc};
use super::series::SeriesCalls;
use super::status;
use super::storefront::{self, StorefrontService};
use super::stream::{Incoming, Streams};
use super::watch::DropSnapshot;
use super::webhooks::WebhookCalls;
use crate::budget::Exhausted;
use crate::http2::{Answer, Peer, Service};
use crate::metrics::edge::{Code as Counted, EdgeMetrics, Method};

/// Most bytes of a message for health or reflection.
const OTHER_REQUEST_BYTES: usize = 64 * 1024;
/// How long a message that has begun may still take when the server stops.
const STRAGGLERS: Duration = Duration::from_millis(500);
/// The path prefix of our services.
const PREFIX: &str = "/stockade.v1.";

/// All calls of a server.
pub struct Services {
    pub(super) reservations: Reservations,
    pub(super) drops: DropsService,
    pub(super) series: SeriesCalls,
    pub(super) events: Events,
    pub(super) facts: FactCalls,
    pub(super) storefront: StorefrontService,
    pub(super) webhooks: WebhookCalls,
    pub(super) insight: InsightCalls,
    /// Health and reflection.
    pub(super) others: Others,
    pub(super) decode: Arc<Decode>,
    /// Of Connect, in the order of the table of calls.
    pub(super) codecs: Vec<Codec>,
    pub(super) streams: Streams,
    pub(super) metrics: Arc<EdgeMetrics>,
}

impl Service for Services {
    async fn call(self: Arc<Self>, request: Request<RecvStream>, peer: Arc<Peer>) -> Answer {
        self.answer(request, peer).await
    }

    fn no_room(&self, request: &Request<RecvStream>, why: Exhausted) -> Answer {
        let status = status::no_room(why);
        let call = Call::begin(Method::from_path(request.uri().path()), request.headers(), &self.metrics);
        ended(call, Err(status))
    }
}

impl Services {
    async fn answer(&self, request: Request<RecvStream>, peer: Arc<Peer>) -> Answer {
        let path = request.uri().path();
        if !speaks_grpc(request.headers()) {
            let mut head = Response::new(());
            *head.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Answer::head_only(head);
        }
        if !path.starts_with(PREFIX) {
            let messages = |body| Messages::new(body, Arc::clone(&peer), OTHER_REQUEST_BYTES);
            return Box::pin(self.others.answer(request.map(messages), &self.streams)).await;
        }
        let call = Call::begin(Method::from_path(path), request.headers(), &self.metrics);
        let Some((place, row)) = rpc::find(path) else {
            let status = Status::unimplemented(format!("not built yet: {path}"));
            return ended(call, Err(status));
        };
        let deadline = deadline(request.headers());
        // The head is dropped: it is not needed any more.
        let messages = Messages::new(request.into_body(), peer, row.request_bytes_max);
        let reply = self.dispatch((place, row), messages, &call, deadline).await;
        ended(call, reply)
    }

    /// Answers a call, whatever protocol brought it, for as long as its caller waits.
    pub(super) async fn dispatch(
        &self,
        (place, row): (usize, &Row),
        messages: Messages,
        call: &Call,
        deadline: Option<Duration>,
    ) -> Result<Reply, Status> {
        let working = self.reply(row.rpc, IncomingCall { services: self, place, messages, call });
        match deadline {
            None => working.await,
            Some(deadline) => timeout(deadline, working)
                .await
                .unwrap_or_else(|_elapsed| Err(Status::deadline_exceeded("the caller's deadline has passed"))),
        }
    }

    async fn reply(&self, rpc: Rpc, incoming: IncomingCall<'_>) -> Result<Reply, Status> {
        let (holds, drops, series, webhooks) = (&self.reservations, &self.drops, &self.series, &self.webhooks);
        match rpc {
            Rpc::Reserve => incoming.unary(|asked| holds.reserve(asked)).await,
            Rpc::Claim => incoming.unary(|asked| holds.claim(asked)).await,
            Rpc::Release => incoming.unary(|asked| holds.release(asked)).await,
            Rpc::Extend => incoming.unary(|asked| holds.extend(asked)).await,
            // Boxed, so that the future of the calls above stays small.
            Rpc::ReturnUnits => Box::pin(incoming.unary(|asked| holds.return_units(asked))).await,
            Rpc::GetHold => Box::pin(incoming.unary(|asked| holds.get_hold(asked))).await,
            Rpc::ListHolds => Box::pin(incoming.read(|asked| holds.list_holds(asked))).await,
            Rpc::Batch => Box::pin(incoming.batch()).await,
            Rpc::BatchStream => Ok(incoming.batch_stream()),
            Rpc::CreateDrop => Box::pin(incoming.operation(|asked, origin| drops.create_drop(asked, origin))).await,
            Rpc::UpdateDrop => Box::pin(incoming.operation(|asked, origin| drops.update_drop(asked, origin))).await,
            Rpc::GetDrop => Box::pin(incoming.read(|asked| drops.get_drop(asked))).await,
            Rpc::ListDrops => Box::pin(incoming.read(|asked| drops.list_drops(asked))).await,
            Rpc::PauseDrop => Box::pin(incoming.operation(|asked, origin| drops.pause_drop(asked, origin))).await,
            Rpc::ResumeDrop => Box::pin(incoming.operation(|asked, origin| drops.resume_drop(asked, origin))).await,
            Rpc::CloseDrop => Box::pin(incoming.operation(|asked, origin| drops.close_drop(asked, origin))).await,
            Rpc::AdjustStock => Box::pin(incoming.operation(|asked, origin| drops.adjust_stock(asked, origin))).await,
            Rpc::FireFlow => Box::pin(incoming.operation(|asked, origin| drops.fire_flow(asked, origin))).await,
            Rpc::ReconcileStock => {
                let peer = Arc::clone(incoming.messages.peer());
                let reconcile = |asked, origin| drops.reconcile_stock(asked, (origin, peer), &self.events);
                Box::pin(incoming.operation(reconcile)).await
            }
            Rpc::CreateSeries => Box::pin(incoming.operation(|asked, origin| series.create(asked, origin))).await,
            Rpc::UpdateSeries => Box::pin(incoming.operation(|asked, origin| series.update(asked, origin))).await,
            Rpc::GetSeries => Box::pin(incoming.read(|asked| series.get(asked))).await,
            Rpc::ListSeries => Box::pin(incoming.read(|asked| series.list(asked))).await,
            Rpc::PreviewSeries => Box::pin(incoming.read(|asked| series.preview(asked))).await,
            Rpc::WatchDrop => Box::pin(incoming.watch_drop()).await,
            Rpc::ReadEvents => Box::pin(incoming.read_events()).await,
            Rpc::ListEvents => Box::pin(incoming.list_events()).await,
            Rpc::Explain => Box::pin(incoming.explain()).await,
            Rpc::GetDropStatus => Box::pin(incoming.read(|asked| self.storefront.get_drop_status(asked))).await,
            Rpc::ListDropStatuses => Box::pin(incoming.read(|asked| self.storefront.list_drop_statuses(asked))).await,
            Rpc::WatchDropStatus => Box::pin(incoming.watch_drop_status()).await,
            Rpc::CreateWebhook => Box::pin(incoming.operation(|asked, origin| webhooks.create(asked, origin))).await,
            Rpc::UpdateWebhook => Box::pin(incoming.operation(|asked, origin| webhooks.update(asked, origin))).await,
            Rpc::GetWebhook => Box::pin(incoming.read(|asked| webhooks.get(asked))).await,
            Rpc::ListWebhooks => Box::pin(incoming.read(|asked| webhooks.list(asked))).await,
            Rpc::DeleteWebhook => Box::pin(incoming.operation(|asked, origin| webhooks.delete(asked, origin))).await,
            Rpc::RecordFacts => {
                let facts = &self.facts;
                Box::pin(incoming.operation(|asked, origin| facts.record(asked, origin))).await
            }
            Rpc::TestWebhook => Box::pin(incoming.unary(|asked| webhooks.test(asked))).await,
            Rpc::GetDropReport => Box::pin(incoming.unary(|asked| self.insight.report(asked))).await,
            Rpc::ListDropReports => Box::pin(incoming.unary(|asked| self.insight.list(asked))).await,
        }
    }
}

/// A request with a known call.
struct IncomingCall<'a> {
    services: &'a Services,
    /// The call's place in the table of calls.
    place: usize,
    messages: Messages,
    call: &'a Call,
}

impl IncomingCall<'_> {
    /// Decodes the only message, and frames the handler's answer.
    async fn unary<T, U, F>(mut self, handler: impl FnOnce(T) -> F) -> Result<Reply, Status>
    where
        T: Message + Default + 'static,
        U: Message + 'static,
        F: Future<Output = Result<U, Status>>,
    {
        let Self { services, place, .. } = self;
        let received = self.only().await?;
        let Decoded { message, charge } = services.decode.decode(place, received).await?;
        let answer = handler(message).await?;
        drop(charge);
        let charge = self.messages.peer().share.empty_charge();
        Ok(Reply::One(reply::framed(answer, &services.decode, charge).await?))
    }

    /// As [`IncomingCall::unary`], for an operator's change, whose record has its origin.
    async fn operation<T, U, F>(self, handler: impl FnOnce(T, Origin) -> F) -> Result<Reply, Status>
    where
        T: Message + Default + 'static,
        U: Message + 'static,
        F: Future<Output = Result<U, Status>>,
    {
        let origin = self.call.origin(self.messages.peer());
        self.unary(|asked| handler(asked, origin)).await
    }

    /// As [`IncomingCall::unary`], for a read whose answer may be long: the handler is called again if there was no
    /// room for its answer.
    async fn read<T, U, F>(mut self, handler: impl Fn(T) -> F) -> Result<Reply, Status>
    where
        T: Message + Default + Clone + 'static,
        U: Message + 'static,
        F: Future<Output = Result<U, Status>>,
    {
        let Self { services, place, .. } = self;
        let received = self.only().await?;
        let Decoded { message, charge: _charge } = services.decode.decode::<T>(place, received).await?;
        let make = || handler(message.clone());
        Ok(Reply::One(reply::made(make, &services.decode, self.messages.peer()).await?))
    }

    async fn batch(mut self) -> Result<Reply, Status> {
        let received = self.only().await?;
        let decode = &self.services.decode;
        let asked = decode.batch(self.place, received).await?;
        // Boxed, so that a call that waits for its message does not hold the memory for deciding it.
        let (answer, charge) = Box::pin(self.services.reservations.batch(asked)).await?;
        Ok(Reply::One(reply::framed(answer, decode, charge).await?))
    }

    fn batch_stream(self) -> Reply {
        let Self { services, place, messages, .. } = self;
        let decode = Arc::clone(&services.decode);
        let answers = services.reservations.batch_stream(Incoming { messages, decode: Arc::clone(&decode), place });
        Reply::stream(answers, decode)
    }

    async fn watch_drop(mut self) -> Result<Reply, Status> {
        let received = self.only().await?;
        let (decode, peer) = (Arc::clone(&self.services.decode), Arc::clone(self.messages.peer()));
        let Decoded { message, charge: _charge } = decode.decode(self.place, received).await?;
        let updates = self.services.drops.watch_drop(message, &peer).await?;
        Ok(Reply::stream_of(updates, DropSnapshot::message, decode, peer))
    }

    async fn watch_drop_status(mut self) -> Result<Reply, Status> {
        let received = self.only().await?;
        let (decode, peer) = (Arc::clone(&self.services.decode), Arc::clone(self.messages.peer()));
        let Decoded { message, charge: _charge } = decode.decode(self.place, received).await?;
        let updates = self.services.storefront.watch_drop_status(message, &peer).await?;
        Ok(Reply::stream_of(updates, storefront::watched, decode, peer))
    }

    async fn read_events(mut self) -> Result<Reply, Status> {
        let received = self.only().await?;
        let (decode, peer) = (Arc::clone(&self.services.decode), Arc::clone(self.messages.peer()));
        let Decoded { message, charge: _charge } = decode.decode(self.place, received).await?;
        let messages = self.services.events.read_events(&message, &peer).await?;
        Ok(Reply::stream(messages, decode))
    }

    async fn list_events(mut self) -> Result<Reply, Status> {
        let received = self.only().await?;
        let decode = &self.services.decode;
        let Decoded { message, charge: _charge } = decode.decode(self.place, received).await?;
        let (answer, charge) = self.services.events.list_events(&message, self.messages.peer()).await?;
        Ok(Reply::One(reply::framed(answer, decode, charge).await?))
    }

    async fn explain(mut self) -> Result<Reply, Status> {
        let received = self.only().await?;
        let decode = &self.services.decode;
        let Decoded { message, charge: _charge } = decode.decode(self.place, received).await?;
        let (answer, charge) = self.services.events.explain(&message, self.messages.peer()).await?;
        Ok(Reply::One(reply::framed(answer, decode, charge).await?))
    }

    /// The only message. A stopping server does not wait for it.
    async fn only(&mut self) -> Result<Received, Status> {
        let streams = &self.services.streams;
        let mut receiving = std::pin::pin!(self.messages.only());
        // Nearly always it has arrived already.
        if let Poll::Ready(received) = futures_util::poll!(receiving.as_mut()) {
            return received;
        }
        tokio::select! {
            biased;
            received = receiving => received,
            () = stopping(streams.ending()) => Err(status::stopping()),
        }
    }
}

/// Resolves when the server stops, after a grace time for messages that are on their way.
pub(super) async fn stopping(mut ending: watch::Receiver<bool>) {
    // Also if the sender is gone.
    drop(ending.wait_for(|ended| *ended).await);
    sleep(STRAGGLERS).await;
}

fn speaks_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|content| content.as_bytes().starts_with(b"application/grpc"))
}

fn ended(call: Call, reply: Result<Reply, Status>) -> Answer {
    let (code, mut answer) = match reply {
        Ok(reply) => (Code::Ok, reply.answer()),
        Err(status) => (status.code(), reply::failed(&status)),
    };
    call.end(Counted::from_number(i32::from(code)), answer.head.headers_mut());
    answer
}
