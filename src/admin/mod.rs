//! The HTTP endpoint: liveness, readiness, metrics, and the contract's calls by the Connect protocol.
//!
//! It decides nothing. It is served before the engine is opened, so that a long recovery can be watched.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use stockade_engine::lifecycle::term::EngineHandle;
use stockade_types::metrics::Gauge;
use stockade_types::time::{Millis, Timestamp};
use tokio::sync::Semaphore;

use crate::budget::Budget;
use crate::channels::ChannelMetrics;
use crate::grpc::Services;
use crate::metrics::edge::EdgeMetrics;
use crate::metrics::transport::TransportMetrics;
use crate::web::Problem;
use crate::webhooks::WebhookMetrics;

mod asyncapi;
mod calls;
mod document;
mod exposition;
mod facts;
mod families;
mod hooks;
mod openapi;
mod process;
mod query;
mod reports;
mod schema;

pub use calls::{Calls, Connection};

use exposition::{Family, Format};
use families::ServerReading;

/// The phase of the server, from start to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It reads snapshot and journal.
    Recovering,
    /// It serves.
    Ready,
    /// It serves everything but new reserves: the wall clock is too far ahead to be trusted.
    ClockInDoubt,
    /// It is stopping: calls in flight finish.
    Draining,
    /// The journal has failed, and the process is about to end.
    Failed,
}

impl Phase {
    const ALL: [Self; 5] = [Self::Recovering, Self::Ready, Self::ClockInDoubt, Self::Draining, Self::Failed];

    const fn number(self) -> u8 {
        match self {
            Self::Recovering => 0,
            Self::Ready => 1,
            Self::ClockInDoubt => 2,
            Self::Draining => 3,
            Self::Failed => 4,
        }
    }

    const fn label(self) -> &'static str {
        match self {
            Self::Recovering => "recovering",
            Self::Ready => "ready",
            Self::ClockInDoubt => "the wall clock is too far ahead, no reserves are taken",
            Self::Draining => "draining",
            Self::Failed => "failed",
        }
    }
}

/// The state that the HTTP endpoint shows.
pub struct Admin {
    phase: AtomicU8,
    /// Has no engine before recovery is done, and between two terms.
    engines: Arc<EngineHandle>,
    /// Counters of the gRPC endpoint.
    pub edge: Arc<EdgeMetrics>,
    /// Counters of connections.
    pub transport: Arc<TransportMetrics>,
    /// Counters of webhooks.
    pub webhooks: Arc<WebhookMetrics>,
    /// Counters of channels; none before they are known.
    pub channels: OnceLock<ChannelMetrics>,
    /// The budget of bytes in flight.
    budget: Arc<Budget>,
    /// By how much engine time was stepped ahead since the start, in milliseconds.
    pub clock_steps: Gauge,
    /// How far the wall clock was ahead of engine time at the last check, in milliseconds; negative if it was behind.
    pub clock_ahead: AtomicI64,
    data: Option<PathBuf>,
    started: Timestamp,
    /// Of the calls; none before recovery is done.
    services: OnceLock<Arc<Services>>,
    /// A place for each call that is being answered.
    calls: Semaphore,
    /// Reads how many log lines were lost since the start.
    log_lines_lost: fn() -> u64,
}

impl Admin {
    /// Starts in [`Phase::Recovering`]. `engines` has the engine of the current term, `data` is the data folder, if
    /// there is one, `started` is the wall clock at the start, and `log_lines_lost` reads how many log lines were
    /// lost since then.
    #[must_use]
    pub fn new(
        engines: Arc<EngineHandle>,
        data: Option<PathBuf>,
        started: Timestamp,
        budget: Arc<Budget>,
        log_lines_lost: fn() -> u64,
    ) -> Self {
        Self {
            phase: AtomicU8::new(Phase::Recovering.number()),
            engines,
            edge: Arc::new(EdgeMetrics::default()),
            transport: Arc::default(),
            webhooks: Arc::default(),
            channels: OnceLock::new(),
            budget,
            clock_steps: Gauge::default(),
            clock_ahead: AtomicI64::new(0),
            data,
            started,
            services: OnceLock::new(),
            calls: Semaphore::new(calls::CALLS_MAX.try_into().unwrap_or(Semaphore::MAX_PERMITS)),
            log_lines_lost,
        }
    }

    /// Enters a phase.
    pub fn enter(&self, phase: Phase) {
        // Relaxed: the phase guards no other data.
        self.phase.store(phase.number(), Ordering::Relaxed);
    }

    fn phase(&self) -> Phase {
        let number = self.phase.load(Ordering::Relaxed);
        Phase::ALL.into_iter().find(|phase| phase.number() == number).unwrap_or(Phase::Failed)
    }

    /// All families but the engine's.
    fn families(&self) -> Vec<Family> {
        let disk_free = self.data.as_ref().and_then(|folder| {
            let volume = rustix::fs::statvfs(folder).ok()?;
            Some(volume.f_bavail.saturating_mul(volume.f_frsize))
        });
        let mut all = families::server(ServerReading {
            ready: self.phase() == Phase::Ready,
            format: FORMAT,
            clock_steps: Millis(self.clock_steps.get()),
            clock_ahead: self.clock_ahead.load(Ordering::Relaxed),
            disk_free,
            log_lines_lost: (self.log_lines_lost)(),
        });
        all.extend(families::edge(&self.edge));
        all.extend(families::transport(&self.transport, &self.budget));
        all.extend(families::webhooks(&self.webhooks));
        all.extend(self.channels.get().map(families::channels));
        all.extend(process::families(self.started));
        all
    }

    fn metrics(&self, format: Format) -> String {
        let mut all = self.families();
        if let Some(engine) = self.engines.current() {
            all.extend(families::engine(engine.readings()));
        }
        exposition::write(&all, format)
    }
}

/// The version of the format of journal and snapshot.
const FORMAT: u64 = 1;

/// The routes.
pub fn router(admin: Arc<Admin>, calls: Calls) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .merge(calls::routes(calls))
        .fallback(async |uri: Uri| calls::not_found(&uri))
        .method_not_allowed_fallback(async || Problem::not_allowed("this page has other methods"))
        .with_state(admin)
}

async fn home(State(admin): State<Arc<Admin>>) -> Html<String> {
    let (version, phase) = (env!("CARGO_PKG_VERSION"), admin.phase().label());
    Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Stockade</title>\
         <h1>Stockade {version}</h1><p>State: {phase}.</p>\
         <ul><li><a href=\"/healthz\">healthz</a>: liveness<li><a href=\"/readyz\">readyz</a>: readiness\
         <li><a href=\"/metrics\">metrics</a>: metrics</ul></html>\n"
    ))
}

async fn healthz() -> &'static str {
    "alive\n"
}

async fn readyz(State(admin): State<Arc<Admin>>) -> (StatusCode, String) {
    match admin.phase() {
        Phase::Ready => (StatusCode::OK, "ready\n".to_owned()),
        phase @ (Phase::Recovering | Phase::ClockInDoubt | Phase::Draining | Phase::Failed) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", phase.label()))
        }
    }
}

async fn metrics(State(admin): State<Arc<Admin>>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let format = Format::accepted(accept);
    // Gathering may take locks and visit every drop, so it runs on no thread that serves calls.
    match tokio::task::spawn_blocking(move || admin.metrics(format)).await {
        Ok(page) => ([(header::CONTENT_TYPE, format.content_type())], page).into_response(),
        Err(_panic) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests;
