//! The life of a server: recover, serve, drain, close. Sockets and the stop signal are arguments.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use stockade_counter::sync::parallelism;
use stockade_engine::lifecycle::term::EngineHandle;
use stockade_engine::memory;
use stockade_journal::JournalFailed;
use stockade_types::time::{Clock, ClockAdjustment, ClockReading, wall_clock};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::field::display;

use crate::admin::{self, Admin, Calls, Phase};
use crate::budget::Budget;
use crate::channels::Sending;
use crate::config::Config;
use crate::grpc::{self, BrokenContract, Edge, Health, Opened, Streams};
use crate::metrics::transport::TransportMetrics;
use crate::public::Public;
use crate::webhooks::{Delivering, NotStarted};

mod accept_rate;
mod answer_deadline;
mod clock;
mod connections;
mod http;
mod log;
mod open;
mod process;
mod public;
mod rate_limited;
mod sockets;
mod webhooks;
mod workers;

pub use log::{flush_log, last_words, log_to_stderr};
pub use open::{OpenedEngine, open_engine};
pub use process::{end_on_panic, ignore_signals, stop_requested};

use clock::WallClock;
use connections::Connections;
use public::PublicEndpoint;
use workers::ConnectionContext;

/// The bound sockets that a server serves on.
#[derive(Debug)]
pub struct Listeners {
    /// For gRPC.
    pub grpc: TcpListener,
    /// For health, readiness and metrics.
    pub http: TcpListener,
    /// For the public, if it is served.
    pub public: Option<TcpListener>,
}

/// Why a server did not start, or did not stop cleanly.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address can't be bound.
    #[error("can't listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The process may open too few files.
    #[error(
        "the process may open {files} files, and a server with {workers} workers needs {least} at the least: raise its \
         limit (ulimit -n, LimitNOFILE)"
    )]
    TooFewFiles {
        /// How many files it may open.
        files: u64,
        /// The number of worker threads.
        workers: usize,
        /// How many files it needs at least.
        least: u64,
    },
    /// The data folder can't be used: locked, not writable, full, foreign or damaged.
    #[error("{0}")]
    Data(String),
    /// The journal failed while serving, with its own message. What was acknowledged is durable; a restart repairs
    /// the rest.
    #[error("{0}")]
    Journal(String),
    /// The last snapshot failed. The journal was closed cleanly and is complete.
    #[error(
        "the last snapshot failed, but nothing is lost: the journal is complete and was closed cleanly; the next start \
         replays it: {0}"
    )]
    LastSnapshot(String),
    /// A thread could not be started.
    #[error("can't start a thread to serve on")]
    Thread(#[source] std::io::Error),
    /// The protobuf descriptors of this build are broken.
    #[error(transparent)]
    Contract(#[from] BrokenContract),
    /// Webhooks can't be delivered.
    #[error(transparent)]
    Webhooks(#[from] NotStarted),
    /// A task of the server ended that never should.
    #[error("a part of the server ended by itself")]
    Bug,
}

impl ServeError {
    /// The exit code of the process: 74 for a failure of the machine or the disk, 70 for a bug.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Bind { .. }
            | Self::TooFewFiles { .. }
            | Self::Data(_)
            | Self::Journal(_)
            | Self::LastSnapshot(_)
            | Self::Thread(_)
            | Self::Webhooks(NotStarted::Thread(_)) => 74,
            Self::Contract(_) | Self::Webhooks(NotStarted::Contract(_)) | Self::Bug => 70,
        }
    }
}

/// Binds the sockets.
///
/// # Errors
/// Names the address that can't be bound.
pub fn bind(config: &Config) -> Result<Listeners, ServeError> {
    let listen = |address| sockets::listen(address).map_err(|source| ServeError::Bind { address, source });
    let public = config.public.map(listen).transpose()?;
    Ok(Listeners { grpc: listen(config.grpc)?, http: listen(config.http)?, public })
}

/// Serves until `shutdown` resolves, then drains: it reports not ready, waits for the drain delay, sends GOAWAY, ends
/// streams at a message boundary, waits for calls in flight for at most the drain timeout, flushes the journal and
/// takes a snapshot.
///
/// # Errors
/// If the data folder can't be used, the journal fails, or an endpoint can't be served.
pub async fn run(
    config: Config,
    listeners: Listeners,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let Listeners { grpc, http, public } = listeners;
    let data = (!config.ephemeral).then(|| config.data.clone());
    // If the memory is unknown, only the bounds that do not depend on it apply.
    let memory = config.memory_budget.or_else(|| memory::limit().map(|limit| limit.bytes)).unwrap_or(u64::MAX);
    let budget = Budget::of_memory(memory);
    let engines = Arc::new(EngineHandle::default());
    let shown = Arc::clone(&engines);
    let admin = Arc::new(Admin::new(shown, data, wall_clock(), Arc::clone(&budget), log::log_lines_lost));
    let address = http.local_addr().ok();
    let files = sockets::raise_file_limit();
    let workers = parallelism();
    let least = sockets::kept_files(workers);
    if files < least {
        return Err(ServeError::TooFewFiles { files, workers, least });
    }
    let asked = (config.max_connections, config.max_connections_per_peer);
    let metrics = Arc::clone(&admin.transport);
    let public = public.map(|listener| open_to_public(listener, &config, (files, memory), metrics)).transpose()?;
    let of_public = public.as_ref().map_or(0, |(_, _, connections)| *connections);
    let files = files.saturating_sub(of_public);
    let (bounds, http_most) = sockets::bounds(files, least, memory, budget.capacity(), asked);
    let (connections, bytes) = (bounds.all, budget.capacity());
    tracing::info!(connections, of_a_peer = bounds.of_a_peer, files, inflight_bytes = bytes, "bounds of connections");
    // Served first, so that a long recovery can be watched.
    let calls = Calls::on(config.http, config.insecure_listen);
    let pages = admin::router(Arc::clone(&admin), calls);
    let http = AbortOnDrop(tokio::spawn(http::serve(http, pages, http_most, Arc::clone(&admin.transport))));
    let mut shutdown = std::pin::pin!(shutdown);
    let opening = config.clone();
    let opened = tokio::select! {
        opened = tokio::task::spawn_blocking(move || open_engine(&opening)) => opened.map_err(|_panic| ServeError::Bug)??,
        () = &mut shutdown => return Ok(()),
    };
    let clock: Arc<dyn Clock> = opened.clock.clone();
    let _none = engines.swap(Some(Arc::clone(&opened.engine)));
    let sending = webhooks::start_channels(&config, &opened, &admin)?;
    let (webhooks, delivering) = webhooks::start(&config, &opened, &admin, files.saturating_sub(least))?.unzip();
    let edge = Edge::new(Arc::clone(&engines), clock, Arc::clone(&admin.edge));
    let Opened { services, health, streams, storefront, reports } =
        grpc::services(edge, Arc::clone(&admin.edge), webhooks).await?;
    let reporting = AbortOnDrop(reports.start(config.keep_reports));
    if let Some((public, _, _)) = &public {
        public.open(storefront);
    }
    admin.serve_calls(Arc::clone(&services));
    let metrics = Arc::clone(&admin.transport);
    let connections = Connections::new(bounds, Arc::clone(&metrics));
    let serving = ConnectionContext { services, budget, connections, metrics };
    let wall_clock = WallClock::new(&opened.clock);
    let public = public.map(|(_, endpoint, _)| endpoint);
    let endpoints = StatusEndpoints {
        admin,
        health,
        address,
        http,
        public,
        wall_clock,
        delivering,
        sending,
        _reporting: reporting,
    };
    let grpc = GrpcEndpoint::open(grpc, serving, streams, engines)?;
    serve(&config, endpoints, opened, grpc, shutdown).await
}

/// The HTTP endpoint, the health service and the wall clock: what shows the server's state.
struct StatusEndpoints {
    admin: Arc<Admin>,
    health: Health,
    address: Option<SocketAddr>,
    http: AbortOnDrop<()>,
    /// Serves until this is dropped.
    public: Option<PublicEndpoint>,
    wall_clock: WallClock,
    delivering: Option<Delivering>,
    sending: Option<Sending>,
    /// Records reports until this is dropped.
    _reporting: AbortOnDrop<()>,
}

/// Serves the public, which is turned away until the engine is open. Returns how many connections it may have, too.
fn open_to_public(
    listener: TcpListener,
    config: &Config,
    (files, memory): (u64, u64),
    metrics: Arc<TransportMetrics>,
) -> Result<(Arc<Public>, PublicEndpoint, u64), ServeError> {
    let most = public::connections(files, memory, config.max_public_connections);
    let public = Public::new(public::bounds(most, memory), config.public_url.clone(), Arc::clone(&metrics));
    let public = Arc::new(public);
    let endpoint = PublicEndpoint::start(listener, Arc::clone(&public), most, metrics).map_err(ServeError::Thread)?;
    tracing::info!(connections = most, "bounds of the public");
    Ok((public, endpoint, most))
}

impl StatusEndpoints {
    /// Handles a look at the wall clock. Returns whether the clock is in doubt, if that has changed.
    fn follow(&mut self, reading: ClockReading, opened: &OpenedEngine) -> Option<bool> {
        self.admin.clock_ahead.store(reading.ahead, Ordering::Relaxed);
        if let ClockAdjustment::Stepped(by) = reading.adjustment {
            self.admin.clock_steps.add(by.0);
        }
        self.wall_clock.report(reading, opened.clock.now());
        let turned = self.wall_clock.turned(reading);
        if let Some(is_in_doubt) = turned {
            opened.engine.doubt_clock(is_in_doubt);
        }
        turned
    }

    /// Shows whether reserves are taken: they are not while the wall clock is in doubt.
    async fn show_doubt(&self, is_in_doubt: bool) {
        if is_in_doubt {
            self.admin.enter(Phase::ClockInDoubt);
            self.health.not_serving().await;
        } else {
            self.admin.enter(Phase::Ready);
            self.health.serving().await;
        }
    }

    /// Shows that the journal has failed, and returns the error that the process ends with.
    async fn failed(&self, reason: &JournalFailed) -> ServeError {
        self.admin.enter(Phase::Failed);
        self.health.not_serving().await;
        ServeError::Journal(open::told_whole(reason))
    }
}

async fn serve(
    config: &Config,
    mut endpoints: StatusEndpoints,
    mut opened: OpenedEngine,
    mut grpc: GrpcEndpoint,
    mut shutdown: std::pin::Pin<&mut (impl Future<Output = ()> + Send)>,
) -> Result<(), ServeError> {
    endpoints.admin.enter(Phase::Ready);
    endpoints.health.serving().await;
    let (grpc_at, http_at) = (grpc.address.map(display), endpoints.address.map(display));
    let public_at = endpoints.public.as_ref().and_then(|public| public.address).map(display);
    tracing::info!(grpc = grpc_at, http = http_at, public = public_at, "serving");
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            reason = &mut opened.failed => return Err(endpoints.failed(&reason).await),
            _ended = &mut grpc.serving.0 => return Err(ServeError::Bug),
            _ended = &mut endpoints.http.0 => return Err(ServeError::Bug),
            reading = endpoints.wall_clock.read() => {
                if let Some(is_in_doubt) = endpoints.follow(reading, &opened) {
                    endpoints.show_doubt(is_in_doubt).await;
                }
            }
        }
    }
    drain(config, &mut endpoints, &mut opened, grpc).await?;
    let (delivering, sending) = (endpoints.delivering.take(), endpoints.sending.take());
    let close = move || {
        // Before the journal ends, which keeps how far deliveries and messages are.
        if let Some(delivering) = delivering {
            delivering.stop();
        }
        if let Some(sending) = sending {
            sending.stop();
        }
        opened.close()
    };
    tokio::task::spawn_blocking(close).await.map_err(|_panic| ServeError::Bug)?
}

/// Reports not ready and serves on for the drain delay. Then sends GOAWAY and waits for the calls in flight.
async fn drain(
    config: &Config,
    endpoints: &mut StatusEndpoints,
    opened: &mut OpenedEngine,
    mut grpc: GrpcEndpoint,
) -> Result<(), ServeError> {
    tracing::info!(delay = ?config.drain_delay, timeout = ?config.drain_timeout, "draining");
    endpoints.admin.enter(Phase::Draining);
    endpoints.health.not_serving().await;
    let mut delay = std::pin::pin!(tokio::time::sleep(config.drain_delay));
    loop {
        tokio::select! {
            () = &mut delay => break,
            reason = &mut opened.failed => return Err(endpoints.failed(&reason).await),
            // Readiness does not change: the server is not ready already.
            reading = endpoints.wall_clock.read() => { endpoints.follow(reading, opened); }
        }
    }
    grpc.streams.end();
    // If the receiver is gone, serving has stopped already.
    if grpc.stop.send(()).is_ok() {
        let calls = async { tokio::join!(&mut grpc.serving.0, endpoints.admin.finish_calls()) };
        match tokio::time::timeout(config.drain_timeout, calls).await {
            Ok(_ended) => tracing::info!("all calls are finished"),
            Err(_elapsed) => tracing::warn!("calls in flight were left behind"),
        }
    }
    Ok(())
}

/// The gRPC endpoint, served in a task of its own.
struct GrpcEndpoint {
    address: Option<SocketAddr>,
    streams: Streams,
    stop: oneshot::Sender<()>,
    serving: AbortOnDrop<()>,
}

impl GrpcEndpoint {
    fn open(
        listener: TcpListener,
        serving: ConnectionContext,
        streams: Streams,
        engines: Arc<EngineHandle>,
    ) -> Result<Self, ServeError> {
        let (stop, stopped) = oneshot::channel();
        let address = listener.local_addr().ok();
        let local_waker = move || engines.local_waker();
        let serving = workers::serve(listener, serving, local_waker, stopped).map_err(ServeError::Thread)?;
        Ok(Self { address, streams, stop, serving: AbortOnDrop(tokio::spawn(serving)) })
    }
}

/// A task that is aborted when this is dropped.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
