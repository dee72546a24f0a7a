//! A receiver of webhooks: an HTTP server that keeps what it was sent, and answers as it was set to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use futures_util::stream;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio::time::sleep;

/// How long a test waits for a delivery.
const WITHIN: Duration = Duration::from_secs(30);

/// How a receiver answers.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A status with these headers.
    Status(u16, Vec<(&'static str, String)>),
    /// No answer.
    Silence,
    /// A success whose body never ends.
    Endless,
}

/// A delivery that was received.
#[derive(Debug, Clone)]
pub struct Received {
    /// When.
    pub at: Instant,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

#[derive(Debug)]
struct Kept {
    reply: Reply,
    received: Vec<Received>,
}

/// A receiver. It stops when it is dropped.
pub struct Receiver {
    /// Where it listens.
    pub address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
    serving: JoinHandle<()>,
}

impl Received {
    /// A header.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().expect("text")).unwrap_or_default()
    }

    /// Its `CloudEvents`.
    pub fn events(&self) -> Vec<serde_json::Value> {
        let body: serde_json::Value = serde_json::from_slice(&self.body).expect("json");
        body.as_array().cloned().unwrap_or_else(|| vec![body])
    }
}

impl Receiver {
    /// Takes everything, on a free port.
    pub async fn start() -> Self {
        Self::at("127.0.0.1:0".parse().expect("an address")).await
    }

    /// The same, on this port.
    pub async fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let kept = Arc::new(Mutex::new(Kept { reply: Reply::Status(204, Vec::new()), received: Vec::new() }));
        let routes = Router::new().route("/hook", post(answer)).with_state(Arc::clone(&kept));
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _peer)) = listener.accept().await {
                let service = TowerToHyperService::new(routes.clone());
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
            }
        });
        Self { address, kept, serving }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Answers like this from now on.
    pub fn answers(&self, reply: Reply) {
        self.kept.lock().reply = reply;
    }

    /// Everything received so far.
    pub fn received(&self) -> Vec<Received> {
        self.kept.lock().received.clone()
    }

    /// Waits until this many deliveries were received, and returns all.
    pub async fn wait_for(&self, deliveries: usize) -> Vec<Received> {
        let began = Instant::now();
        loop {
            let received = self.kept.lock().received.len();
            if received >= deliveries {
                return self.received();
            }
            assert!(began.elapsed() < WITHIN, "{received} of {deliveries} deliveries came");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// The LSN and drop of each event, in the order in which they were received.
    pub fn events(&self) -> Vec<(u64, String)> {
        let of = |event: serde_json::Value| {
            let lsn = event["sequence"].as_str().expect("text").parse().expect("a number");
            (lsn, event["subject"].as_str().unwrap_or_default().to_owned())
        };
        self.received().iter().flat_map(Received::events).map(of).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(kept): State<Arc<Mutex<Kept>>>, headers: HeaderMap, body: Bytes) -> Response {
    let reply = {
        let mut kept = kept.lock();
        kept.received.push(Received { at: Instant::now(), headers, body });
        kept.reply.clone()
    };
    match reply {
        Reply::Status(status, headers) => {
            let mut response = StatusCode::from_u16(status).expect("a status").into_response();
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().expect("a value"));
            }
            response
        }
        Reply::Silence => std::future::pending().await,
        Reply::Endless => {
            let drip = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 4096])));
            Response::new(Body::from_stream(drip))
        }
    }
}

/// Checks that each drop's events were first received in their order, and returns how often each was received.
pub fn in_order(events: &[(u64, String)]) -> BTreeMap<u64, usize> {
    let (mut seen, mut last) = (BTreeMap::<u64, usize>::new(), BTreeMap::<&str, u64>::new());
    for (lsn, drop) in events {
        if *seen.entry(*lsn).and_modify(|times| *times += 1).or_insert(1) == 1 {
            let before = last.insert(drop, *lsn);
            assert!(before < Some(*lsn), "{lsn} of {drop} came after {before:?}");
        }
    }
    seen
}
