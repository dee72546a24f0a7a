//! A small client over the generated stubs: one connection, a timeout on everything, one method a verb.
//!
//! It never retries: every call can be sent again, and the caller knows best when.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};

use crate::proto as pb;
use crate::proto::drop_service_client::DropServiceClient;
use crate::proto::reservation_service_client::ReservationServiceClient;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a call may take, unless told otherwise.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// A watch that is silent for so long is dead: a message comes every 15 s.
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

/// A connection to a server. Clones share it.
#[derive(Debug, Clone)]
pub struct Client {
    reservations: ReservationServiceClient<Channel>,
    drops: DropServiceClient<Channel>,
    endpoint: Arc<str>,
    timeout: Duration,
}

/// A drop under watch.
#[derive(Debug)]
pub struct Watch {
    messages: Streaming<pb::WatchDropResponse>,
    endpoint: Arc<str>,
}

impl Watch {
    /// The drop at once, then as it changes.
    ///
    /// # Errors
    /// Any gRPC status: it is the end. `UNAVAILABLE` also where the server is silent for longer than the contract lets
    /// it.
    pub async fn next(&mut self) -> Result<pb::WatchDropResponse, Status> {
        let silent = |_elapsed| Err(Status::unavailable(format!("{} is silent: the watch is given up", self.endpoint)));
        let next = tokio::time::timeout(WATCH_SILENCE, self.messages.message()).await.unwrap_or_else(silent);
        let next = next.map_err(|status| lost(&self.endpoint, status))?;
        next.ok_or_else(|| Status::unavailable(format!("{} has ended the watch", self.endpoint)))
    }
}

/// What the transport calls an HTTP answer that is none of gRPC.
const NO_GRPC: &str = "grpc-status header missing";
/// And one that is not even HTTP/2, or that broke off.
const NO_HTTP2: &str = "h2 protocol error";

/// A connection that broke during a call is a server that is not available, whatever the transport calls it; and so is
/// one that speaks something else.
fn lost(endpoint: &str, status: Status) -> Status {
    let message = status.message();
    let broken = status.source().is_some_and(<dyn Error>::is::<tonic::transport::Error>);
    match status.code() {
        Code::Unknown if broken => Status::unavailable(format!("the connection was lost: {message}")),
        // What a proxy says about rights and overload keeps its meaning.
        Code::Unimplemented | Code::Internal | Code::Unknown if message.starts_with(NO_GRPC) => Status::unavailable(
            format!("no gRPC server answers at {endpoint}: what is there speaks HTTP; is it the port of the metrics?"),
        ),
        Code::Internal | Code::Unknown if message.starts_with(NO_HTTP2) => {
            Status::unavailable(format!("no gRPC server answers at {endpoint}, or it broke off: {message}"))
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

macro_rules! verbs {
    ($($(#[$doc:meta])* $verb:ident: $service:ident, $request:ident -> $response:ident;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Errors
            /// Any gRPC status; a business "no" is not one.
            pub async fn $verb(&self, request: pb::$request) -> Result<pb::$response, Status> {
                let mut request = Request::new(request);
                request.set_timeout(self.timeout);
                // The stub only needs to be its own to be called: a clone shares the connection.
                let answered = self.$service.clone().$verb(request).await;
                answered.map(tonic::Response::into_inner).map_err(|status| lost(&self.endpoint, status))
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
        let faulty = || ConnectError::Endpoint(endpoint.to_owned());
        let address = Endpoint::from_shared(endpoint.to_owned()).map_err(|_bad| faulty())?;
        if address.uri().scheme_str() != Some("http") || address.uri().host().is_none() {
            return Err(faulty());
        }
        let address =
            address.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true).http2_keep_alive_interval(KEEPALIVE_INTERVAL);
        let unreachable = |source| ConnectError::Unreachable { endpoint: endpoint.to_owned(), source };
        let channel = address.connect().await.map_err(unreachable)?;
        Ok(Self {
            reservations: ReservationServiceClient::new(channel.clone()),
            drops: DropServiceClient::new(channel),
            endpoint: endpoint.into(),
            timeout: CALL_TIMEOUT,
        })
    }

    /// The same connection with another timeout for calls.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Watches a drop.
    ///
    /// # Errors
    /// Any gRPC status.
    pub async fn watch_drop(&self, request: pb::WatchDropRequest) -> Result<Watch, Status> {
        // No deadline: a watch has no end of its own. But its first message comes at once.
        let answered = tokio::time::timeout(self.timeout, self.drops.clone().watch_drop(request)).await;
        let answered = answered.unwrap_or_else(|_elapsed| Err(Status::deadline_exceeded("no answer in time")));
        let messages = answered.map_err(|status| lost(&self.endpoint, status))?.into_inner();
        Ok(Watch { messages, endpoint: Arc::clone(&self.endpoint) })
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
    }
}
