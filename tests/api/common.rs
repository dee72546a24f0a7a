//! A server on free ports in this process, and the requests of the tests.

use std::net::SocketAddr;
use std::sync::Arc;

use stockade::budget::{Budget, Share};
use stockade::config::{Config, Given};
use stockade::grpc::{self, Edge, Services};
use stockade::http2::{self, Control, Peer};
use stockade::metrics::edge::EdgeMetrics;
use stockade::server::{self, ServeError};
use stockade_client::Client;
use stockade_engine::inventory::Inventory;
use stockade_engine::lifecycle::term::EngineHandle;
use stockade_engine::{Bounds, Engine};
use stockade_journal::{Journal, MemoryLog, Start};
use stockade_proto as pb;
use stockade_types::digest::DigestKey;
use stockade_types::time::Clock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// A running server. Dropping it stops it.
pub struct Server {
    /// The URL of its gRPC service.
    pub endpoint: String,
    /// The address of its HTTP pages.
    pub http: SocketAddr,
    /// The address of what it serves to the public, if it does.
    pub public: Option<SocketAddr>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), ServeError>>,
}

/// Starts an ephemeral server, unless the flags say otherwise.
pub async fn start(flags: &[(&'static str, &str)]) -> Server {
    let own = [("grpc", "127.0.0.1:0"), ("http", "127.0.0.1:0"), ("ephemeral", "true")];
    // The first flag for a setting wins.
    let flags = flags.iter().chain(&own).map(|(setting, text)| Given::flag(setting, (*text).to_owned())).collect();
    let config = Config::from_flags(flags).expect("a good configuration");
    let listeners = server::bind(&config).expect("free ports");
    let endpoint = format!("http://{}", listeners.grpc.local_addr().expect("an address"));
    let http = listeners.http.local_addr().expect("an address");
    let public = listeners.public.as_ref().map(|listener| listener.local_addr().expect("an address"));
    let (stop, stopped) = oneshot::channel();
    let serving = tokio::spawn(server::run(config, listeners, async { stopped.await.unwrap_or_default() }));
    Server { endpoint, http, public, stop, serving }
}

/// Serves an engine of the test in the test's runtime, where its tasks can be counted. Returns the endpoint.
pub async fn serve_here(engine: &Arc<Engine>, clock: Arc<dyn Clock>, metrics: &Arc<EdgeMetrics>) -> String {
    serve_terms(EngineHandle::of(Arc::clone(engine)), clock, metrics).await
}

/// As [`serve_here`], for engines that can be replaced.
pub async fn serve_terms(engines: Arc<EngineHandle>, clock: Arc<dyn Clock>, metrics: &Arc<EdgeMetrics>) -> String {
    let edge = Edge::new(engines, clock, Arc::clone(metrics));
    let grpc::Opened { services, .. } = grpc::services(edge, Arc::clone(metrics), None).await.expect("the contract");
    serve_services(services).await
}

/// Serves these services in the test's runtime. Returns the endpoint.
pub async fn serve_services(services: Arc<Services>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let budget = Budget::new(256 << 20);
    tokio::spawn(async move {
        let (_stop, stopping) = watch::channel(false);
        while let Ok((socket, address)) = listener.accept().await {
            let peer = Peer::new(address, Share::open(&budget).expect("room"));
            let control = Control { stopping: stopping.clone(), make_room: Arc::default(), spoke: || true };
            tokio::spawn(http2::serve(socket, Arc::clone(&services), peer, control));
        }
    });
    endpoint
}

/// An ephemeral engine.
pub fn engine() -> Arc<Engine> {
    let journal = Journal::start(Arc::new(MemoryLog::ephemeral()), Start::FIRST, Arc::default()).expect("starts");
    Arc::new(Engine::new(Inventory::new(DigestKey::from_bytes([1; 16])), journal, Bounds::default()))
}

impl Server {
    /// A client with a connection to it.
    pub async fn client(&self) -> Client {
        Client::connect(&self.endpoint).await.expect("a connection")
    }

    /// Tells it to stop, and does not wait.
    pub fn stop(self) -> JoinHandle<Result<(), ServeError>> {
        self.stop.send(()).expect("a running server");
        self.serving
    }
}

/// Headers and body of an HTTP answer.
pub async fn get(address: SocketAddr, path: &str, accept: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: {accept}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    (head.to_owned(), body.to_owned())
}

/// The id of the n-th hold.
pub fn hold_id(n: u8) -> String {
    format!("018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c{n:02x}")
}

/// An item.
pub fn item(sku: &str, quantity: u64) -> pb::Item {
    pb::Item { sku: sku.into(), quantity, ..pb::Item::default() }
}

/// A line of a request.
pub fn line(sku: &str, quantity: u32) -> pb::Line {
    pb::Line { sku: sku.into(), quantity, pool: String::new() }
}

/// Ten knives and three sheaths, at most two units for a customer.
pub fn knife_drop(id: &str) -> pb::Drop {
    let limit = pb::Limit {
        id: "two-each".into(),
        scope: pb::LimitScope::Drop.into(),
        max_units: Some(2),
        ..pb::Limit::default()
    };
    let items = vec![item("KNIFE", 10), item("SHEATH", 3)];
    pb::Drop { id: id.into(), items, limits: vec![limit], ..pb::Drop::default() }
}

/// Creates a drop.
pub async fn create(client: &Client, drop: pb::Drop) -> pb::Drop {
    let request = pb::CreateDropRequest { drop: Some(drop), validate_only: false };
    Box::pin(client.create_drop(request)).await.expect("a drop").drop.expect("a drop")
}

/// A request for a hold.
pub fn reserve(n: u8, drop: &str, customer: &str, lines: Vec<pb::Line>) -> pb::ReserveRequest {
    pb::ReserveRequest {
        hold_id: hold_id(n),
        drop_id: drop.into(),
        lines,
        customer: Some(pb::Customer { id: customer.into(), ..pb::Customer::default() }),
        ..pb::ReserveRequest::default()
    }
}

/// Reserves; the answer must be a hold.
pub async fn held(client: &Client, request: pb::ReserveRequest) -> pb::Hold {
    match client.reserve(request).await.expect("an answer").outcome {
        Some(pb::reserve_response::Outcome::Hold(hold)) => hold,
        other => panic!("no hold: {other:?}"),
    }
}

/// Reserves; the answer must be a refusal.
pub async fn refused(client: &Client, request: pb::ReserveRequest) -> pb::Refusal {
    match client.reserve(request).await.expect("an answer").outcome {
        Some(pb::reserve_response::Outcome::Refusal(refusal)) => refusal,
        other => panic!("no refusal: {other:?}"),
    }
}
