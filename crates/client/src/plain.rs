//! The plain layer: one connection over the generated stubs, a timeout for every call, one method for each RPC.
//!
//! It reconnects by itself, but never sends a call twice: retries are for a caller that knows the whole deadline.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use stockade_proto as pb;
use stockade_proto::drop_service_client::DropServiceClient;
use stockade_proto::event_service_client::EventServiceClient;
use stockade_proto::insight_service_client::InsightServiceClient;
use stockade_proto::reservation_service_client::ReservationServiceClient;
use stockade_proto::series_service_client::SeriesServiceClient;
use stockade_proto::storefront_service_client::StorefrontServiceClient;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming, TimeoutExpired};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a call may take, unless another timeout is set.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest timeout: gRPC can't express more than about 11,000 years.
const TIMEOUT_MAX: Duration = Duration::from_hours(365 * 24);
/// A watch or an event stream that is silent for this long is dead: the server sends a message every 15 s.
const WATCH_SILENCE: Duration = Duration::from_secs(30);
/// How often a silent connection is pinged while calls are in flight.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// Why a connection can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The endpoint is not a URL of the form `http://host:port`.
    #[error("{0:?} is not an endpoint such as http://127.0.0.1:7411")]
    Endpoint(String),
    /// No server answers there.
    #[error("no server answers at {endpoint}")]
    Unreachable {
        /// The endpoint.
        endpoint: String,
        /// The cause.
        #[source]
        source: tonic::transport::Error,
    },
}

fn address(endpoint: &str) -> Result<Endpoint, ConnectError> {
    let faulty = || ConnectError::Endpoint(endpoint.to_owned());
    let address = Endpoint::from_shared(endpoint.to_owned()).map_err(|_bad| faulty())?;
    if address.uri().scheme_str() != Some("http") || address.uri().host().is_none() {
        return Err(faulty());
    }
    Ok(address.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true).http2_keep_alive_interval(KEEPALIVE_INTERVAL))
}

/// A connection to a server. Clones share it.
#[derive(Debug, Clone)]
pub struct Client {
    reservations: ReservationServiceClient<Channel>,
    drops: DropServiceClient<Channel>,
    series: SeriesServiceClient<Channel>,
    events: EventServiceClient<Channel>,
    insight: InsightServiceClient<Channel>,
    storefront: StorefrontServiceClient<Channel>,
    endpoint: Arc<str>,
    timeout: Duration,
    headers: MetadataMap,
}

/// tonic's message for an HTTP answer without gRPC.
const NO_GRPC: &str = "grpc-status header missing";
/// h2's message for an answer that is not HTTP/2, or that broke off.
const NO_HTTP2: &str = "h2 protocol error";

/// Maps the transport's own errors. A connection that failed during a call, and a peer that speaks another protocol,
/// mean that the server is unavailable, whatever code the transport uses.
fn lost(endpoint: &str, status: Status) -> Status {
    let message = status.message();
    // A status from the wire has no source; an error of this side has one.
    let ours = status.source();
    if causes(ours).any(<dyn Error>::is::<TimeoutExpired>) {
        return late(message);
    }
    match status.code() {
        // A proxy's statuses about permissions and overload are kept as they are.
        Code::Unimplemented | Code::Internal | Code::Unknown if message.starts_with(NO_GRPC) => Status::unavailable(
            format!("no gRPC server answers at {endpoint}: the peer speaks HTTP; is this the metrics port?"),
        ),
        Code::Internal | Code::Unknown if message.starts_with(NO_HTTP2) => {
            Status::unavailable(format!("no gRPC server answers at {endpoint}, or it closed the connection: {message}"))
        }
        Code::Unknown | Code::Cancelled | Code::Internal if ours.is_some() => {
            Status::unavailable(format!("the connection was lost: {message}"))
        }
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::InvalidArgument
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss
        | Code::Unauthenticated => status,
    }
}

fn causes<'e>(first: Option<&'e (dyn Error + 'static)>) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(first, |error: &&'e (dyn Error + 'static)| (*error).source())
}

fn late(why: &str) -> Status {
    Status::deadline_exceeded(format!("no answer came in time: {why}"))
}

/// A stream of messages from the server.
#[derive(Debug)]
pub struct Incoming<T> {
    messages: Streaming<T>,
    endpoint: Arc<str>,
}

impl<T> Incoming<T> {
    /// The next message; `None` once the server has ended the stream in order. Dropping the future loses no message.
    ///
    /// # Errors
    /// The status that ended the stream otherwise.
    pub async fn message(&mut self) -> Result<Option<T>, Status> {
        self.messages.message().await.map_err(|status| lost(&self.endpoint, status))
    }
}

/// A watched drop.
#[derive(Debug)]
pub struct Watch {
    incoming: Incoming<pb::WatchDropResponse>,
}

/// A stream of events.
#[derive(Debug)]
pub struct Events {
    incoming: Incoming<pb::ReadEventsResponse>,
}

impl<T> Incoming<T> {
    /// The next message of a stream on which the server sends one every 15 s.
    async fn message_in_time(&mut self) -> Result<Option<T>, Status> {
        let Ok(next) = tokio::time::timeout(WATCH_SILENCE, self.message()).await else {
            return Err(Status::unavailable(format!("{} is silent: the stream is given up", self.endpoint)));
        };
        next
    }
}

impl Watch {
    /// The drop at once, then each time it changes. Dropping the future loses no message.
    ///
    /// # Errors
    /// Any gRPC status; it ends the watch. `UNAVAILABLE` also if the server is silent for longer than the contract
    /// allows.
    pub async fn next(&mut self) -> Result<pb::WatchDropResponse, Status> {
        let next = self.incoming.message_in_time().await?;
        next.ok_or_else(|| Status::unavailable(format!("{} has ended the watch", self.incoming.endpoint)))
    }
}

impl Events {
    /// The next message; `None` at the end of a read that does not follow. Dropping the future loses no message.
    ///
    /// # Errors
    /// As [`Watch::next`].
    pub async fn next(&mut self) -> Result<Option<pb::ReadEventsResponse>, Status> {
        self.incoming.message_in_time().await
    }
}

macro_rules! verbs {
    ($($(#[$doc:meta])* $verb:ident: $service:ident, $request:ident -> $response:ident;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Errors
            /// Any gRPC status. A refusal is none.
            pub async fn $verb(&self, request: pb::$request) -> Result<pb::$response, Status> {
                let mut request = self.request(request);
                request.set_timeout(self.timeout);
                // Calling needs a mutable stub; a clone shares the connection.
                let mut stub = self.$service.clone();
                self.in_time(stub.$verb(request)).await.map(tonic::Response::into_inner)
            }
        )*
    };
}

impl Client {
    /// Connects to an endpoint such as `http://127.0.0.1:7411`.
    ///
    /// # Errors
    /// If the endpoint is malformed, or no server answers there.
    pub async fn connect(endpoint: &str) -> Result<Self, ConnectError> {
        let unreachable = |source| ConnectError::Unreachable { endpoint: endpoint.to_owned(), source };
        let channel = address(endpoint)?.connect().await.map_err(unreachable)?;
        Ok(Self::over(channel, endpoint))
    }

    /// As [`Client::connect`], but connects at the first call.
    ///
    /// # Errors
    /// If the endpoint is malformed.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn connect_lazy(endpoint: &str) -> Result<Self, ConnectError> {
        Ok(Self::over(address(endpoint)?.connect_lazy(), endpoint))
    }

    fn over(channel: Channel, endpoint: &str) -> Self {
        Self {
            reservations: ReservationServiceClient::new(channel.clone()),
            drops: DropServiceClient::new(channel.clone()),
            series: SeriesServiceClient::new(channel.clone()),
            events: EventServiceClient::new(channel.clone()),
            insight: InsightServiceClient::new(channel.clone()),
            storefront: StorefrontServiceClient::new(channel),
            endpoint: endpoint.into(),
            timeout: CALL_TIMEOUT,
            headers: MetadataMap::new(),
        }
    }

    /// The same connection with another timeout for calls, of a year at most.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout: timeout.min(TIMEOUT_MAX), ..self }
    }

    /// The same connection, sending these headers with every call.
    #[must_use]
    pub fn with_headers(self, headers: MetadataMap) -> Self {
        Self { headers, ..self }
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().clone_from(&self.headers);
        request
    }

    /// The server enforces the deadline that it receives; this side does not rely on it.
    async fn in_time<T>(&self, call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        match tokio::time::timeout(self.timeout, call).await {
            Ok(answered) => answered.map_err(|status| lost(&self.endpoint, status)),
            Err(elapsed) => Err(late(&elapsed.to_string())),
        }
    }

    /// Opens a stream of batches of operations. The timeout applies to opening it.
    ///
    /// # Errors
    /// Any gRPC status.
    pub async fn batch_stream(
        &self,
        messages: impl Stream<Item = pb::BatchStreamRequest> + Send + 'static,
    ) -> Result<Incoming<pb::BatchStreamResponse>, Status> {
        let mut stub = self.reservations.clone();
        let opened = self.in_time(stub.batch_stream(self.request(messages))).await?;
        Ok(Incoming { messages: opened.into_inner(), endpoint: Arc::clone(&self.endpoint) })
    }

    /// Watches a drop. The timeout applies to opening the stream; a watch has no end of its own.
    ///
    /// # Errors
    /// Any gRPC status.
    pub async fn watch_drop(&self, request: pb::WatchDropRequest) -> Result<Watch, Status> {
        let mut stub = self.drops.clone();
        let opened = self.in_time(stub.watch_drop(self.request(request))).await?;
        Ok(Watch { incoming: Incoming { messages: opened.into_inner(), endpoint: Arc::clone(&self.endpoint) } })
    }

    /// Reads events. The timeout applies to opening the stream.
    ///
    /// # Errors
    /// Any gRPC status.
    pub async fn read_events(&self, request: pb::ReadEventsRequest) -> Result<Events, Status> {
        let mut stub = self.events.clone();
        let opened = self.in_time(stub.read_events(self.request(request))).await?;
        Ok(Events { incoming: Incoming { messages: opened.into_inner(), endpoint: Arc::clone(&self.endpoint) } })
    }

    verbs! {
        /// Reserves units.
        reserve: reservations, ReserveRequest -> ReserveResponse;
        /// Moves a hold's deadline.
        extend: reservations, ExtendRequest -> ExtendResponse;
        /// Turns a hold into a sale.
        claim: reservations, ClaimRequest -> ClaimResponse;
        /// Gives units back before the sale.
        release: reservations, ReleaseRequest -> ReleaseResponse;
        /// Gives units back after the sale.
        return_units: reservations, ReturnUnitsRequest -> ReturnUnitsResponse;
        /// Shows a hold.
        get_hold: reservations, GetHoldRequest -> GetHoldResponse;
        /// Lists holds, page by page.
        list_holds: reservations, ListHoldsRequest -> ListHoldsResponse;
        /// Why a hold is as it is, or why a customer was refused.
        explain: reservations, ExplainRequest -> ExplainResponse;
        /// Many operations, each with its own result.
        batch: reservations, BatchRequest -> BatchResponse;
        /// Creates a drop.
        create_drop: drops, CreateDropRequest -> CreateDropResponse;
        /// Changes a drop's definition.
        update_drop: drops, UpdateDropRequest -> UpdateDropResponse;
        /// Shows a drop with its stock.
        get_drop: drops, GetDropRequest -> GetDropResponse;
        /// Lists drops, page by page.
        list_drops: drops, ListDropsRequest -> ListDropsResponse;
        /// Changes the stock of an item, once for each id.
        adjust_stock: drops, AdjustStockRequest -> AdjustStockResponse;
        /// Compares the stock of an item with what a system of record has on hand, and sets it right, once for each id.
        reconcile_stock: drops, ReconcileStockRequest -> ReconcileStockResponse;
        /// Fires a pool's flow by hand.
        fire_flow: drops, FireFlowRequest -> FireFlowResponse;
        /// Stops new reserves for now.
        pause_drop: drops, PauseDropRequest -> PauseDropResponse;
        /// Ends a pause.
        resume_drop: drops, ResumeDropRequest -> ResumeDropResponse;
        /// Ends a sale permanently.
        close_drop: drops, CloseDropRequest -> CloseDropResponse;
        /// Creates a series: drops that come again.
        create_series: series, CreateSeriesRequest -> CreateSeriesResponse;
        /// Changes a series, and what is to come of it.
        update_series: series, UpdateSeriesRequest -> UpdateSeriesResponse;
        /// Shows a series.
        get_series: series, GetSeriesRequest -> GetSeriesResponse;
        /// Lists series, page by page.
        list_series: series, ListSeriesRequest -> ListSeriesResponse;
        /// The next occurrences of a series, also of one that is not created yet.
        preview_series: series, PreviewSeriesRequest -> PreviewSeriesResponse;
        /// Records what other systems know of orders and of demand, each fact once by its id.
        record_facts: insight, RecordFactsRequest -> RecordFactsResponse;
        /// What came of a drop; while it runs, so far.
        get_drop_report: insight, GetDropReportRequest -> GetDropReportResponse;
        /// Lists recorded reports, the latest opening first, page by page.
        list_drop_reports: insight, ListDropReportsRequest -> ListDropReportsResponse;
        /// Lists events, page by page.
        list_events: events, ListEventsRequest -> ListEventsResponse;
        /// Shows what the public may see of a drop.
        get_drop_status: storefront, GetDropStatusRequest -> GetDropStatusResponse;
        /// Lists what the public may see of drops, page by page.
        list_drop_statuses: storefront, ListDropStatusesRequest -> ListDropStatusesResponse;
        /// Creates a webhook.
        create_webhook: events, CreateWebhookRequest -> CreateWebhookResponse;
        /// Changes a webhook.
        update_webhook: events, UpdateWebhookRequest -> UpdateWebhookResponse;
        /// Shows a webhook with its last attempts.
        get_webhook: events, GetWebhookRequest -> GetWebhookResponse;
        /// Lists webhooks, page by page.
        list_webhooks: events, ListWebhooksRequest -> ListWebhooksResponse;
        /// Deletes a webhook.
        delete_webhook: events, DeleteWebhookRequest -> DeleteWebhookResponse;
        /// Sends a test event to a webhook.
        test_webhook: events, TestWebhookRequest -> TestWebhookResponse;
    }
}
