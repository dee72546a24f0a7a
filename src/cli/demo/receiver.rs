//! The receiver of the demo's webhook: it verifies each delivery by its signature, and keeps what has come.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use serde::Deserialize;
use stockade_client::Client;
use stockade_proto as pb;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use crate::cli::failure::Failure;
use crate::webhooks::signature::{Secret, signature};

/// Events that the demo's webhook is for.
const TYPES: [&str; 2] = ["signal.fired", "drop.sold_out"];
/// How often the receiver is looked at while something is waited for.
const LOOK: Duration = Duration::from_millis(20);
/// Most deliveries that are kept.
const KEPT_MAX: usize = 100;

/// A receiver on a free port. It ends when this is dropped.
pub(super) struct Receiver {
    address: SocketAddr,
    secret: Secret,
    received: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

/// What the receiver reads of an event.
#[derive(Debug, Deserialize)]
struct Delivered {
    r#type: String,
    data: Data,
}

#[derive(Debug, Deserialize)]
struct Data {
    #[serde(default)]
    name: String,
    #[serde(default)]
    sku: String,
}

/// What the deliveries are verified and kept with.
#[derive(Clone)]
struct Kept {
    secret: Secret,
    received: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    /// Listens.
    ///
    /// # Errors
    /// If no port is free, or the machine has no random bytes.
    pub(super) async fn start() -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(Failure::Machine)?;
        let address = listener.local_addr().map_err(Failure::Machine)?;
        let secret = Secret::random().map_err(|_error| Failure::Bug("the machine has no random bytes"))?;
        let received = Arc::<Mutex<Vec<String>>>::default();
        let kept = Kept { secret: secret.clone(), received: Arc::clone(&received) };
        let routes = Router::new().route("/", post(take)).with_state(kept);
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _peer)) = listener.accept().await {
                let service = TowerToHyperService::new(routes.clone());
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
            }
        });
        Ok(Self { address, secret, received, serving })
    }

    /// Creates the webhook that delivers here.
    ///
    /// # Errors
    /// If the server refuses it.
    pub(super) async fn subscribe(&self, client: &Client) -> Result<(), Failure> {
        let types = TYPES.map(str::to_owned).to_vec();
        let webhook = pb::Webhook {
            id: "demo".to_owned(),
            url: format!("http://{}/", self.address),
            filter: Some(pb::EventFilter { types, ..pb::EventFilter::default() }),
            ..pb::Webhook::default()
        };
        let request = pb::CreateWebhookRequest { webhook: Some(webhook), secret: self.secret.text() };
        client.create_webhook(request).await?;
        Ok(())
    }

    /// What has come, once this is among it or the time is over.
    pub(super) async fn wait_for(&self, what: &str, within: Duration) -> Vec<String> {
        let arrives = async {
            while !self.received.lock().iter().any(|received| received == what) {
                sleep(LOOK).await;
            }
        };
        let _late = tokio::time::timeout(within, arrives).await;
        self.received.lock().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn take(State(kept): State<Kept>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Ok(at) = text("webhook-timestamp").parse() else { return StatusCode::BAD_REQUEST };
    let wanted = signature(text("webhook-id"), at, &body, std::slice::from_ref(&kept.secret));
    if text("webhook-signature") != wanted {
        return StatusCode::UNAUTHORIZED;
    }
    let Ok(Delivered { r#type, data: Data { name, sku } }) = serde_json::from_slice(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    let about = if name.is_empty() { sku } else { name };
    let mut received = kept.received.lock();
    if received.len() < KEPT_MAX {
        received.push(format!("{} {about}", r#type.trim_start_matches("stockade.")).trim_end().to_owned());
    }
    StatusCode::NO_CONTENT
}
