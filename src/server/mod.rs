//! A server from start to end: recover, serve, drain, close. Sockets and the signal to stop are arguments.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tracing::field::display;

use crate::admin::{self, Admin, Phase};
use crate::config::Config;
use crate::engine::Engine;
use crate::grpc::{self, BrokenContract, Edge, Health, Streams};
use crate::time::{Adjustment, Clock, Look, wall_clock};

mod clock;
mod lanes;
mod log;
mod open;
mod process;

pub use log::{flush_log, last_words, log_to_stderr};
pub use open::{Opened, open_engine};
pub use process::{end_on_panic, ignore_signals, told_to_stop};

use clock::WallClock;

/// A silent connection is asked so often whether it still lives.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// And given up after so long.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Most calls in flight on one connection: all who may watch may do so over one.
const MAX_STREAMS: usize = grpc::MAX_WATCHERS;
/// Bytes that may be on their way to us on one connection. Half of it is what a connection is allowed to owe in frames
/// smaller than 256 bytes, as most requests are, that are not read yet: beyond it h2 ends the connection as an attack.
/// A herd that comes over one connection is none: as many small requests as there may be calls must fit.
const CONNECTION_WINDOW: usize = 2 * 256 * MAX_STREAMS;

/// The sockets that a server serves on, bound already.
#[derive(Debug)]
pub struct Listeners {
    /// For gRPC.
    pub grpc: TcpListener,
    /// For health, readiness and metrics.
    pub http: TcpListener,
}

/// Why a server did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address can't be listened on.
    #[error("can't listen on {address}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The data folder can't be used: locked, not writable, full, foreign or damaged.
    #[error("{0}")]
    Data(String),
    /// The journal failed while serving: in its own words. What was acknowledged is durable; a start repairs the rest.
    #[error("{0}")]
    Journal(String),
    /// gRPC could not be served on.
    #[error("gRPC serving failed")]
    Grpc(#[source] tonic::transport::Error),
    /// No thread could be started.
    #[error("can't start a thread to serve on")]
    Thread(#[source] std::io::Error),
    /// HTTP could not be served on.
    #[error("HTTP serving failed")]
    Http(#[source] std::io::Error),
    /// The build is broken.
    #[error(transparent)]
    Contract(#[from] BrokenContract),
    /// A part of the server ended that never should.
    #[error("a part of the server ended by itself")]
    Bug,
}

impl ServeError {
    /// What the process ends with: 74 for what the machine or the disk did, 70 for a bug.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Bind { .. } | Self::Data(_) | Self::Journal(_) | Self::Grpc(_) | Self::Thread(_) | Self::Http(_) => {
                74
            }
            Self::Contract(_) | Self::Bug => 70,
        }
    }
}

/// Binds both sockets.
///
/// # Errors
/// Naming the address that can't be had.
pub async fn bind(config: &Config) -> Result<Listeners, ServeError> {
    let listen =
        async |address| TcpListener::bind(address).await.map_err(|source| ServeError::Bind { address, source });
    Ok(Listeners { grpc: listen(config.grpc).await?, http: listen(config.http).await? })
}

/// Serves until `shutdown`, then drains: not ready, the drain delay, GOAWAY, streams ended at a message boundary,
/// calls in flight for at most the drain timeout, journal flushed, snapshot.
///
/// # Errors
/// When the data folder can't be used, the journal fails, or a door can't be served on.
pub async fn run(
    config: Config,
    listeners: Listeners,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let Listeners { grpc, http } = listeners;
    let data = (!config.ephemeral).then(|| config.data.clone());
    let admin = Arc::new(Admin::new(data, wall_clock(), log::log_lines_lost));
    let address = http.local_addr().ok();
    // First, so that a long recovery can be watched.
    let http = AbortOnDrop(tokio::spawn(axum::serve(http, admin::router(Arc::clone(&admin))).into_future()));
    let mut shutdown = std::pin::pin!(shutdown);
    let opening = config.clone();
    let opened = tokio::select! {
        opened = tokio::task::spawn_blocking(move || open_engine(&opening)) => opened.map_err(|_panic| ServeError::Bug)??,
        () = &mut shutdown => return Ok(()),
    };
    let clock: Arc<dyn Clock> = opened.clock.clone();
    admin.show(Arc::clone(&opened.engine), Arc::clone(&clock));
    let edge = Edge::new(Arc::clone(&opened.engine), clock, Arc::clone(&admin.edge));
    let (routes, health, streams) = grpc::routes(edge, Arc::clone(&admin.edge)).await?;
    let wall_clock = WallClock::new(&opened.clock);
    let door = Door { admin, health, address, http, wall_clock };
    let grpc = GrpcDoor::open(grpc, &routes, streams, &opened.engine)?;
    serve(&config, door, opened, grpc, shutdown).await
}

/// The parts that show how the server stands.
struct Door {
    admin: Arc<Admin>,
    health: Health,
    address: Option<SocketAddr>,
    http: AbortOnDrop<std::io::Result<()>>,
    wall_clock: WallClock,
}

impl Door {
    /// Shows what a look at the wall clock has come to, and takes reserves or not.
    async fn follow(&mut self, look: Look, opened: &Opened) {
        self.admin.clock_ahead.store(look.ahead, Ordering::Relaxed);
        if let Adjustment::Stepped(by) = look.adjustment {
            self.admin.clock_steps.add(by.0);
        }
        self.wall_clock.report(look, opened.clock.now());
        match self.wall_clock.turned(look) {
            None => {}
            Some(is_in_doubt @ true) => {
                opened.engine.doubt_clock(is_in_doubt);
                self.admin.enter(Phase::ClockInDoubt);
                self.health.not_serving().await;
            }
            Some(is_in_doubt @ false) => {
                opened.engine.doubt_clock(is_in_doubt);
                self.admin.enter(Phase::Ready);
                self.health.serving().await;
            }
        }
    }
}

async fn serve(
    config: &Config,
    mut door: Door,
    mut opened: Opened,
    mut grpc: GrpcDoor,
    mut shutdown: std::pin::Pin<&mut (impl Future<Output = ()> + Send)>,
) -> Result<(), ServeError> {
    door.admin.enter(Phase::Ready);
    door.health.serving().await;
    let (grpc_at, http_at) = (grpc.address.map(display), door.address.map(display));
    tracing::info!(grpc = grpc_at, http = http_at, "serving");
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            reason = &mut opened.failed => {
                door.admin.enter(Phase::Failed);
                door.health.not_serving().await;
                return Err(ServeError::Journal(open::told_whole(&reason)));
            }
            ended = &mut grpc.serving.0 => return Err(ended.map_or(ServeError::Bug, |result| {
                result.map_or_else(ServeError::Grpc, |()| ServeError::Bug)
            })),
            ended = &mut door.http.0 => return Err(ended.map_or(ServeError::Bug, |result| {
                result.map_or_else(ServeError::Http, |()| ServeError::Bug)
            })),
            look = door.wall_clock.look() => door.follow(look, &opened).await,
        }
    }
    drain(config, &door, grpc).await;
    tokio::task::spawn_blocking(move || opened.close()).await.map_err(|_panic| ServeError::Bug)?
}

async fn drain(config: &Config, door: &Door, mut grpc: GrpcDoor) {
    tracing::info!(delay = ?config.drain_delay, timeout = ?config.drain_timeout, "draining");
    door.admin.enter(Phase::Draining);
    door.health.not_serving().await;
    tokio::time::sleep(config.drain_delay).await;
    grpc.streams.end();
    // A receiver that is gone has stopped already.
    if grpc.stop.send(()).is_ok() {
        match tokio::time::timeout(config.drain_timeout, &mut grpc.serving.0).await {
            Ok(_ended) => tracing::info!("all calls are finished"),
            Err(_elapsed) => tracing::warn!("calls in flight were left behind"),
        }
    }
}

/// Connections as gRPC is served on.
#[must_use]
pub fn incoming(listener: TcpListener) -> TcpIncoming {
    TcpIncoming::from(listener).with_nodelay(Some(true)).with_keepalive(Some(KEEPALIVE_INTERVAL))
}

/// The transport that gRPC is served over, with all its settings.
#[must_use]
pub fn transport() -> tonic::transport::Server {
    tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_concurrent_streams(u32::try_from(MAX_STREAMS).ok())
        .initial_connection_window_size(u32::try_from(CONNECTION_WINDOW).ok())
        // A proxy whose customers give up by the dozen is no attacker: all calls in flight may be cancelled at once.
        .http2_max_pending_accept_reset_streams(Some(MAX_STREAMS))
}

/// The gRPC side, serving in a task of its own.
struct GrpcDoor {
    address: Option<SocketAddr>,
    streams: Streams,
    stop: oneshot::Sender<()>,
    serving: AbortOnDrop<Result<(), tonic::transport::Error>>,
}

impl GrpcDoor {
    fn open(
        listener: TcpListener,
        routes: &Routes,
        streams: Streams,
        engine: &Arc<Engine>,
    ) -> Result<Self, ServeError> {
        let (stop, stopped) = oneshot::channel();
        let address = listener.local_addr().ok();
        let engine = Arc::clone(engine);
        let courier = move || engine.journal().courier();
        let serving = lanes::serve(listener, routes, courier, stopped).map_err(ServeError::Thread)?;
        Ok(Self { address, streams, stop, serving: AbortOnDrop(tokio::spawn(serving)) })
    }
}

/// A task that does not outlive what started it.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
