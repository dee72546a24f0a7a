//! Calls over the HTTP endpoint: the contract's unary calls by the Connect protocol, and the pages that stand on them.
//!
//! Callers are not authenticated yet, so calls are served on the loopback alone, unless the operator says otherwise. A
//! browser on the same machine may be made to call by any site that it shows: so a call must name this server as its
//! host, and come from no page of another.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, Request, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, post};
use tokio::sync::SemaphorePermit;
use tonic::Status;

use super::Admin;
use super::facts;
use super::hooks;
use super::query;
use super::reports;
use crate::budget::Share;
use crate::grpc::connect::{self, BadPath};
use crate::grpc::{Services, starting, stopping};
use crate::http2::Peer;
use crate::web::Problem;

/// The method behind `/v1/events`.
pub(super) const LIST_EVENTS: &str = "/stockade.v1.EventService/ListEvents";
/// Most calls at once, more than there are connections.
pub(super) const CALLS_MAX: u32 = 4_096;

/// A connection, as its requests see it.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Its peer.
    pub address: SocketAddr,
    /// Calls over it that are being answered.
    pub calls: Arc<AtomicUsize>,
}

/// Whether the endpoint serves calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    /// To this machine: the host that a call names must be the loopback.
    Local,
    /// To anyone who reaches the address.
    Anyone,
    /// To nobody: only what changes nothing and shows no customer is served.
    Refused,
}

impl Calls {
    /// Served on the loopback; elsewhere only if the operator insists.
    #[must_use]
    pub const fn on(address: SocketAddr, insists: bool) -> Self {
        match (insists, address.ip().is_loopback()) {
            (true, _) => Self::Anyone,
            (false, true) => Self::Local,
            (false, false) => Self::Refused,
        }
    }
}

/// The routes of calls.
pub(super) fn routes(calls: Calls) -> Router<Arc<Admin>> {
    if calls == Calls::Refused {
        return Router::new()
            .route("/{service}/{method}", any(refused))
            .route("/v1/{*rest}", any(refused))
            .route("/reports/{drop}", any(refused))
            .route("/openapi.json", any(refused))
            .route("/asyncapi.json", any(refused));
    }
    Router::new()
        .route("/{service}/{method}", any(connect))
        .route("/v1/events", get(events))
        .route("/v1/facts", post(facts::record))
        .route("/v1/reports/{drop}", get(reports::report))
        .route("/reports/{drop}", get(reports::shown))
        .route("/v1/hooks", post(hooks::create))
        .route("/v1/hooks/samples", get(hooks::samples))
        .route("/v1/hooks/{id}", delete(hooks::remove))
        .route("/openapi.json", get(super::openapi::page))
        .route("/asyncapi.json", get(super::asyncapi::page))
        .route_layer(middleware::from_fn_with_state(calls == Calls::Local, guard))
}

/// Answers a request only if it may be made from where it comes.
async fn guard(State(is_local): State<bool>, request: Request<Body>, next: Next) -> Response {
    match from_here(request.headers(), is_local) {
        Ok(()) => next.run(request).await,
        Err(why) => Problem::forbidden(why).into_response(),
    }
}

/// Whether a call names this machine as its host, if it must, and comes from no page of another.
fn from_here(headers: &HeaderMap, is_local: bool) -> Result<(), &'static str> {
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or_default());
    let host = text(header::HOST).unwrap_or_default();
    if is_local && !is_loopback(host) {
        return Err("Host: must be localhost or a loopback address: calls are served to this machine alone");
    }
    let origin = text(header::ORIGIN).map(|origin| origin.split_once("://").map_or("", |(_, host)| host));
    if origin.is_some_and(|origin| origin != host) {
        return Err("Origin: calls from pages of other servers are not answered");
    }
    Ok(())
}

/// Whether a host, with its port or without, is this machine.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Who makes a call, while it is answered.
pub(super) struct Caller<'a> {
    pub(super) services: &'a Arc<Services>,
    pub(super) peer: Arc<Peer>,
    _place: SemaphorePermit<'a>,
    _connection: BusyConnection,
}

/// A connection counts a call until this is dropped.
struct BusyConnection(Arc<AtomicUsize>);

impl Drop for BusyConnection {
    fn drop(&mut self) {
        // Relaxed: only compared, when connections are too many.
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Admin {
    /// Serves calls from now on.
    pub fn serve_calls(&self, services: Arc<Services>) {
        // Set once: a server has one set of services.
        let _first = self.services.set(services);
    }

    /// Answers no further call, and waits for those that are being answered.
    pub async fn finish_calls(&self) {
        // Fails only if it was closed before.
        let all = self.calls.acquire_many(CALLS_MAX).await;
        self.calls.close();
        drop(all);
    }

    /// The caller of one request.
    ///
    /// # Errors
    /// `UNAVAILABLE` before the server serves and once it stops; also if there is no room.
    pub(super) fn caller(&self, Connection { address, calls }: Connection) -> Result<Caller<'_>, Status> {
        let services = self.services.get().ok_or_else(starting)?;
        let place = self.calls.try_acquire().map_err(|_ending| stopping())?;
        let share = Share::open(&self.budget).map_err(|exhausted| Status::unavailable(exhausted.to_string()))?;
        calls.fetch_add(1, Ordering::Relaxed);
        let peer = Arc::new(Peer::new(address, share));
        Ok(Caller { services, peer, _place: place, _connection: BusyConnection(calls) })
    }
}

async fn connect(
    State(admin): State<Arc<Admin>>,
    Extension(connection): Extension<Connection>,
    request: Request<Body>,
) -> Response {
    if let Err(BadPath) = connect::check_path(request.uri().path()) {
        return not_found(request.uri());
    }
    let answer = match admin.caller(connection) {
        Ok(caller) => caller.services.connect(request, Arc::clone(&caller.peer)).await,
        Err(status) => connect::fault(&status),
    };
    answer.map(Body::from)
}

/// There is no such page.
pub(super) fn not_found(uri: &Uri) -> Response {
    Problem::not_found(format!("{}: no such page", uri.path())).into_response()
}

async fn refused(uri: Uri) -> Response {
    let advice = "beyond the loopback, and without tokens, only /healthz, /readyz and /metrics are served here; \
                  --insecure-listen serves calls to anyone who reaches this address";
    let status = Status::permission_denied(advice);
    match connect::check_path(uri.path()) {
        Ok(()) => connect::fault(&status).map(Body::from),
        Err(BadPath) => Problem::from(&status).into_response(),
    }
}

/// `ListEvents` as a page.
async fn events(
    State(admin): State<Arc<Admin>>,
    Extension(connection): Extension<Connection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asked = query::events(uri.query())?;
    let Caller { services, peer, .. } = &admin.caller(connection)?;
    Ok(json(services.json_for_page(LIST_EVENTS, &asked, &headers, peer).await?))
}

/// An answer as JSON, which no cache may keep.
pub(super) fn json(body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_name_and_by_address() {
        for host in ["localhost", "LOCALHOST:7412", "127.0.0.1:7412", "127.9.9.9", "[::1]:7412", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["", "evil.example:7412", "localhost.evil.example", "10.0.0.1", "[::2]:1", "127.0.0.1.evil.example"]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
