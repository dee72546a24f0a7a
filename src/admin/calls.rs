//! Calls over the HTTP endpoint: the contract's unary calls by the Connect protocol, and the pages that stand on them.
//!
//! Callers are not authenticated yet, so calls are served on the loopback alone, unless the operator says otherwise.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, Request, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, post};
use tonic::Status;

use super::Admin;
use super::hooks;
use super::problem::{self, Problem};
use super::query;
use crate::budget::Share;
use crate::grpc::connect::{self, BadPath};
use crate::grpc::{Services, starting};
use crate::http2::Peer;

/// The method behind `/v1/events`.
pub(super) const LIST_EVENTS: &str = "/stockade.v1.EventService/ListEvents";

/// The address of a connection's peer.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddress(pub SocketAddr);

/// Whether the endpoint serves calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    /// It does.
    Served,
    /// Anyone could call: only what changes nothing and shows no customer is served.
    Refused,
}

impl Calls {
    /// Served on the loopback; elsewhere only if the operator insists.
    #[must_use]
    pub const fn on(address: SocketAddr, insists: bool) -> Self {
        if address.ip().is_loopback() || insists { Self::Served } else { Self::Refused }
    }
}

/// The routes of calls.
pub(super) fn routes(calls: Calls) -> Router<Arc<Admin>> {
    match calls {
        Calls::Served => Router::new()
            .route("/{service}/{method}", any(connect))
            .route("/v1/events", get(events))
            .route("/v1/hooks", post(hooks::create))
            .route("/v1/hooks/samples", get(hooks::samples))
            .route("/v1/hooks/{id}", delete(hooks::remove))
            .route("/openapi.json", get(super::openapi::page))
            .route("/asyncapi.json", get(super::asyncapi::page)),
        Calls::Refused => Router::new()
            .route("/{service}/{method}", any(refused))
            .route("/v1/{*rest}", any(refused))
            .route("/openapi.json", any(refused))
            .route("/asyncapi.json", any(refused)),
    }
}

impl Admin {
    /// Serves calls from now on.
    pub fn serve_calls(&self, services: Arc<Services>) {
        // Set once: a server has one set of services.
        let _first = self.services.set(services);
    }

    /// The services, and a peer for the calls of one request.
    pub(super) fn caller(&self, PeerAddress(address): PeerAddress) -> Result<(&Arc<Services>, Arc<Peer>), Status> {
        let services = self.services.get().ok_or_else(starting)?;
        let share = Share::open(&self.budget).map_err(|exhausted| Status::unavailable(exhausted.to_string()))?;
        Ok((services, Arc::new(Peer::new(address, share))))
    }
}

async fn connect(
    State(admin): State<Arc<Admin>>,
    Extension(peer): Extension<PeerAddress>,
    request: Request<Body>,
) -> Response {
    if let Err(BadPath) = connect::check_path(request.uri().path()) {
        return problem::not_found(request.uri());
    }
    let answer = match admin.caller(peer) {
        Ok((services, peer)) => services.connect(request, peer).await,
        Err(status) => connect::fault(&status),
    };
    answer.map(Body::from)
}

async fn refused(uri: Uri) -> Response {
    let advice = "beyond the loopback, and without tokens, only /healthz, /readyz and /metrics are served here; \
                  --insecure-listen serves calls to anyone who reaches this address";
    let status = Status::permission_denied(advice);
    match connect::check_path(uri.path()) {
        Ok(()) => connect::fault(&status).map(Body::from),
        Err(BadPath) => Problem::of(&status).into_response(),
    }
}

/// `ListEvents` as a page.
async fn events(
    State(admin): State<Arc<Admin>>,
    Extension(peer): Extension<PeerAddress>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let answer = async {
        let asked = query::events(uri.query().unwrap_or_default())?;
        let (services, peer) = admin.caller(peer)?;
        services.json_for_page(LIST_EVENTS, &asked, &headers, &peer).await
    };
    answer.await.map_or_else(|status| Problem::of(&status).into_response(), json)
}

/// An answer as JSON, which no cache may keep.
pub(super) fn json(body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
