//! The plain storey: one connection over the generated stubs, a timeout on everything, one method a verb.
//!
//! It connects again by itself, but never sends a call a second time: that is for whoever knows the whole deadline.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use stockade_proto as pb;
use stockade_proto::drop_service_client::DropServiceClient;
use stockade_proto::event_service_client::EventServiceClient;
use stockade_proto::reservation_service_client::ReservationServiceClient;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming, TimeoutExpired};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a call may take, unless told otherwise.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// No timeout is longer: the wire can't say more than some thousand years.
const LONGEST_TIMEOUT: Duration = Duration::from_hours(365 * 24);
/// A watch, or one who follows events, that is silent for so long is dead: a message comes every 15 s.
const WATCH_SILENCE: Duration = Duration::from_secs(30);
/// A silent connection is asked so often whether it still lives, while calls are in flight.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The endpoint is not an URL of the form `http://host:port`.
    #[error("{0:?} is not an endpoint such as http://127.0.0.1:7411")]
    Endpoint(String),
    /// Nobody answers there.
    #[error("no server answers at {endpoint}")]
    Unreachable {
        /// Where.
        endpoint: String,
        /// Why not.
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
    events: EventServiceClient<Channel>,
    endpoint: Arc<str>,
    timeout: Duration,
    headers: MetadataMap,
}

/// What the transport calls an HTTP answer that is none of gRPC.
const NO_GRPC: &str = "grpc-status header missing";
/// And one that is not even HTTP/2, or that broke off.
const NO_HTTP2: &str = "h2 protocol error";

/// A connection that broke during a call is a server that is not available, whatever the transport calls it; and so is
/// one that speaks something else.
fn lost(endpoint: &str, status: Status) -> Status {
    let message = status.message();
    // What a server says has no source: it came over the wire. This side's own troubles have one.
    let ours = status.source();
    if causes(ours).any(<dyn Error>::is::<TimeoutExpired>) {
        return late(message);
    }
    match status.code() {
        // What a proxy says about rights and overload keeps its meaning.
        Code::Unimplemented | Code::Internal | Code::Unknown if message.starts_with(NO_GRPC) => Status::unavailable(
            format!("no gRPC server answers at {endpoint}: what is there speaks HTTP; is it the port of the metrics?"),
        ),
        Code::Internal | Code::Unknown if message.starts_with(NO_HTTP2) => {
            Status::unavailable(format!("no gRPC server answers at {endpoint}, or it broke off: {message}"))
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

/// Messages that a server sends one after another.
#[derive(Debug)]
pub struct Incoming<T> {
    messages: Streaming<T>,
    endpoint: Arc<str>,
}

impl<T> Incoming<T> {
    /// The next one; none when the server has ended the stream in order. Dropping the future loses no message.
    ///
    /// # Errors
    /// How the stream ended otherwise.
    pub async fn message(&mut self) -> Result<Option<T>, Status> {
        self.messages.message().await.map_err(|status| lost(&self.endpoint, status))
    }
}

/// A drop under watch.
#[derive(Debug)]
pub struct Watch {
    incoming: Incoming<pb::WatchDropResponse>,
}

/// Events as they are read.
#[derive(Debug)]
pub struct Events {
    incoming: Incoming<pb::ReadEventsResponse>,
}

impl<T> Incoming<T> {
    /// The next one of a stream in which one comes every 15 s.
    async fn message_in_time(&mut self) -> Result<Option<T>, Status> {
        let Ok(next) = tokio::time::timeout(WATCH_SILENCE, self.message()).await else {
            return Err(Status::unavailable(format!("{} is silent: the watch is given up", self.endpoint)));
        };
        next
    }
}

impl Watch {
    /// The drop at once, then as it changes. Dropping the future loses no message.
    ///
    /// # Errors
    /// Any gRPC status: it is the end. `UNAVAILABLE` also where the server is silent for longer than the contract lets
    /// it.
    pub async fn next(&mut self) -> Result<pb::WatchDropResponse, Status> {
        let next = self.incoming.message_in_time().await?;
        next.ok_or_else(|| Status::unavailable(format!("{} has ended the watch", self.incoming.endpoint)))
    }
}

impl Events {
    /// The next message; none at the end of what one who does not follow reads. Dropping the future loses no message.
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
            /// Any gRPC status; a business "no" is not one.
            pub async fn $verb(&self, request: pb::$request) -> Result<pb::$response, Status> {
                let mut request = self.request(request);
                request.set_timeout(self.timeout);
                // The stub only needs to be its own to be called: a clone shares the connection.
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
    /// When it is no endpoint, or nobody answers there.
    pub async fn connect(endpoint: &str) -> Result<Self, ConnectError> {
        let unreachable = |source| ConnectError::Unreachable { endpoint: endpoint.to_owned(), source };
        let channel = address(endpoint)?.connect().await.map_err(unreachable)?;
        Ok(Self::over(channel, endpoint))
    }

    /// For such an endpoint, to be connected to when the first call is made.
    ///
    /// # Errors
    /// When it is no endpoint.
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
            events: EventServiceClient::new(channel),
            endpoint: endpoint.into(),
            timeout: CALL_TIMEOUT,
            headers: MetadataMap::new(),
        }
    }

    /// The same connection with another timeout for calls, of a year at most.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout: timeout.min(LONGEST_TIMEOUT), ..self }
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

    /// The server keeps to the deadline that it is sent; this side does not rely on it.
    async fn in_time<T>(&self, call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        match tokio::time::timeout(self.timeout, call).await {
            Ok(answered) => answered.map_err(|status| lost(&self.endpoint, status)),
            Err(elapsed) => Err(late(&elapsed.to_string())),
        }
    }

    /// Opens a stream of messages of operations. The timeout is for the opening.
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

    /// Watches a drop. The timeout is for the opening: a watch has no end of its own.
    ///
    /// # Errors
    /// Any gRPC status.
    pub async fn watch_drop(&self, request: pb::WatchDropRequest) -> Result<Watch, Status> {
        let mut stub = self.drops.clone();
        let opened = self.in_time(stub.watch_drop(self.request(request))).await?;
        Ok(Watch { incoming: Incoming { messages: opened.into_inner(), endpoint: Arc::clone(&self.endpoint) } })
    }

    /// Reads events. The timeout is for the opening.
    ///
    /// # Errors
    /// Any gRPC status.
    pub async fn read_events(&self, request: pb::ReadEventsRequest) -> Result<Events, Status> {
        let mut stub = self.events.clone();
        let opened = self.in_time(stub.read_events(self.request(request))).await?;
        Ok(Events { incoming: Incoming { messages: opened.into_inner(), endpoint: Arc::clone(&self.endpoint) } })
    }

    verbs! {
        /// Sets units aside.
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
        /// Stops new reserves for now.
        pause_drop: drops, PauseDropRequest -> PauseDropResponse;
        /// Ends a pause.
        resume_drop: drops, ResumeDropRequest -> ResumeDropResponse;
        /// Ends a sale for good.
        close_drop: drops, CloseDropRequest -> CloseDropResponse;
        /// Lists events, page by page.
        list_events: events, ListEventsRequest -> ListEventsResponse;
    }
}
