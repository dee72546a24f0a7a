//! Workers: the threads that serve gRPC, one for each core, each with a runtime of its own.
//!
//! A connection stays on its worker. The worker runs tasks in the order in which they were woken: all calls that
//! arrived in one read are decided before the first answer is written, and all answers that became durable in one
//! sync are written in one write. A multi-threaded runtime runs the task that was woken last first; with it nearly
//! every answer cost a write, and the caller a read and a wake-up. The price is that one core pays for a whole
//! connection: a caller that needs more than one core opens more than one connection, as it must anyway to get past
//! the stream limit of HTTP/2.
//!
//! One task accepts for all workers and passes each connection to the worker that has the fewest.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use stockade_counter::sync::parallelism;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::accept_rate::AcceptRate;
use super::connections::{Connections, Place, Refused};
use super::rate_limited::Seldom;
use super::sockets;
use crate::budget::{Budget, Share};
use crate::grpc::Services;
use crate::http2::{self, Control, Ended, Excess, Peer};
use crate::metrics::transport::{Shed, TransportMetrics};

/// Accepted connections that may wait for one worker. Few: the worker greets each of them before it serves the calls
/// that arrived meanwhile.
const WAITING: usize = 16;
/// How long to wait after accepting has failed.
const AFTER_A_FAILURE: Duration = Duration::from_millis(50);
/// Threads of a worker for long calls: lists of holds, large messages.
const LONG_CALLS: usize = 8;
/// The runtime polls its sockets after this many polls of tasks, even if tasks are ready. A connection that always
/// has more to read is woken at once, and each of its polls may take a millisecond.
const SOCKETS_EVERY: u32 = 16;

/// What a worker needs to serve connections.
#[derive(Clone)]
pub(super) struct ConnectionContext {
    /// Answers requests.
    pub services: Arc<Services>,
    /// The bytes that may be in flight.
    pub budget: Arc<Budget>,
    /// Admits connections.
    pub connections: Arc<Connections>,
    /// Counts how connections end.
    pub metrics: Arc<TransportMetrics>,
}

/// Serves on all cores. On each worker's thread it also spawns the task that `beside` makes. Resolves once `stopped`
/// resolves and every call is finished. Dropped, it abandons the calls.
///
/// # Errors
/// If a worker can't be started.
pub(super) fn serve<B, F>(
    listener: TcpListener,
    serving: ConnectionContext,
    beside: B,
    stopped: oneshot::Receiver<()>,
) -> io::Result<impl Future<Output = ()> + Send + use<B, F>>
where
    B: FnOnce() -> F + Clone + Send + 'static,
    F: Future<Output = Infallible> + Send + 'static,
{
    let (stop, stopping) = watch::channel(false);
    let count = parallelism();
    let mut workers = Vec::with_capacity(count);
    let mut ends = Vec::with_capacity(count);
    for number in 0..count {
        let (worker, end) = Worker::start(number, serving.clone(), beside.clone(), stopping.clone())?;
        workers.push(worker);
        ends.push(end);
    }
    Ok(async move {
        // Dropped with this future; then the workers stop at once.
        let _abandon = &stop;
        tokio::select! {
            () = accept(listener, workers, &serving) => {}
            // The signal to stop, or its sender is gone.
            _word = stopped => {}
        }
        stop.send_replace(true);
        for end in ends {
            // A worker that is gone has no calls.
            let _gone = end.await;
        }
    })
}

/// Accepts connections and passes them to the workers.
async fn accept(listener: TcpListener, workers: Vec<Worker>, serving: &ConnectionContext) {
    let (mut failures, mut refusals) = (Seldom::default(), Seldom::default());
    let mut rate = AcceptRate::new();
    loop {
        let (socket, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if !sockets::is_ours(&error) => continue,
            Err(error) => {
                // Usually out of files: this lasts for a while, and the listener stays readable meanwhile.
                if let Some(others) = failures.now() {
                    tracing::warn!(%error, others, "a connection could not be accepted");
                }
                tokio::time::sleep(AFTER_A_FAILURE).await;
                continue;
            }
        };
        // A refused connection costs little and does not count against the rate.
        let Some(admitted) = admit(socket, peer, serving, &mut refusals) else { continue };
        rate.one_more().await;
        let Some(worker) = emptiest(&workers) else { return };
        let accepted = Accepted { admitted, counted: ConnectionCount::one_more(&worker.connections) };
        if worker.accepted.send(accepted).await.is_err() {
            return;
        }
    }
}

/// Takes a place for a connection, or closes it.
fn admit(socket: TcpStream, peer: SocketAddr, serving: &ConnectionContext, refusals: &mut Seldom) -> Option<Admitted> {
    let why = match serving.connections.enter(peer.ip()) {
        Ok(place) => match Share::open(&serving.budget) {
            // A tokio socket belongs to the runtime that it is made in, which must be the worker's.
            Ok(share) => {
                let prepared = sockets::prepare(&socket).and_then(|()| socket.into_std());
                return prepared.ok().map(|socket| Admitted { socket, place, peer: Peer::new(peer, share) });
            }
            Err(_exhausted) => "no bytes are left for another connection",
        },
        Err(Refused::All) => "the bound on connections is reached",
        Err(Refused::Peer) => "the bound on connections of its address is reached",
    };
    if let Some(others) = refusals.now() {
        tracing::warn!(peer = %peer.ip(), why, others, "a connection was not taken");
    }
    None
}

/// The worker with the fewest connections among those with room in their queue; if none has room, among all.
fn emptiest(workers: &[Worker]) -> Option<&Worker> {
    let load = |worker: &&Worker| worker.connections.load(Ordering::Relaxed);
    // Only this task sends, so a queue that has room now has it when the connection is sent.
    let ready = workers.iter().filter(|worker| worker.accepted.capacity() > 0).min_by_key(load);
    ready.or_else(|| workers.iter().min_by_key(load))
}

/// One thread that serves connections.
struct Worker {
    accepted: mpsc::Sender<Accepted>,
    /// How many connections it has.
    connections: Arc<AtomicUsize>,
}

impl Worker {
    fn start<B: Future<Output = Infallible> + Send + 'static>(
        number: usize,
        serving: ConnectionContext,
        beside: impl FnOnce() -> B + Send + 'static,
        stopping: watch::Receiver<bool>,
    ) -> io::Result<(Self, oneshot::Receiver<()>)> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().event_interval(SOCKETS_EVERY).max_blocking_threads(LONG_CALLS).build()?;
        let (accepted, waiting) = mpsc::channel(WAITING);
        let (ended, end) = oneshot::channel();
        std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            runtime.block_on(async {
                // Ends with the runtime.
                let _beside = tokio::spawn(beside());
                run(serving, waiting, stopping).await;
            });
            // The remaining calls are dropped first, so that the end is reported only when nothing is left.
            drop(runtime);
            // The receiver may be gone.
            let _heard = ended.send(());
        })?;
        Ok((Self { accepted, connections: Arc::default() }, end))
    }
}

async fn run(serving: ConnectionContext, mut waiting: mpsc::Receiver<Accepted>, mut stopping: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = waiting.recv() => match accepted {
                Some(accepted) => {
                    connections.spawn(accepted.serve(serving.clone(), stopping.clone()));
                }
                None => break,
            },
            Some(_ended) = connections.join_next() => {}
            // Stop, or its sender is gone.
            () = async { drop(stopping.wait_for(|stop| *stop).await) } => break,
        }
    }
    // Accepted connections that were not begun are closed.
    drop(waiting);
    tokio::select! {
        () = async { while connections.join_next().await.is_some() {} } => {}
        // The sender is gone: the calls are abandoned.
        () = async { while stopping.changed().await.is_ok() {} } => {}
    }
}

/// A connection that has a place.
struct Admitted {
    socket: std::net::TcpStream,
    place: Place,
    peer: Peer,
}

/// A connection that waits for its worker.
struct Accepted {
    admitted: Admitted,
    counted: ConnectionCount,
}

impl Accepted {
    async fn serve(self, serving: ConnectionContext, stopping: watch::Receiver<bool>) {
        let Self { admitted: Admitted { socket, mut place, peer }, counted: _counted } = self;
        let Ok(socket) = TcpStream::from_std(socket) else { return };
        let make_room = Arc::clone(&place.make_room);
        let control = Control { stopping, make_room, spoke: || place.spoke() };
        let ended = http2::serve(socket, serving.services, peer, control).await;
        if let Some(reason) = shed(&ended) {
            serving.metrics.shed(reason);
        }
        tracing::debug!(?ended, "a connection ended");
    }
}

/// The metric's reason, if the server ended the connection for misuse.
const fn shed(ended: &Ended) -> Option<Shed> {
    match ended {
        Ended::Excess(Excess::Resets) => Some(Shed::Resets),
        Ended::Excess(Excess::Control) => Some(Shed::ControlFrames),
        Ended::Excess(Excess::WindowUpdates) => Some(Shed::WindowUpdates),
        Ended::Silent => Some(Shed::Silent),
        Ended::Stuck | Ended::Dead => Some(Shed::Stuck),
        // `MadeRoom` was counted when room was requested.
        Ended::Closed | Ended::MadeRoom | Ended::Failed(_) => None,
    }
}

/// Counts a connection of a worker until it is dropped.
struct ConnectionCount(Arc<AtomicUsize>);

impl ConnectionCount {
    fn one_more(connections: &Arc<AtomicUsize>) -> Self {
        connections.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(connections))
    }
}

impl Drop for ConnectionCount {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use stockade_engine::Engine;
    use stockade_engine::lifecycle::term::EngineHandle;
    use stockade_types::digest::DigestKey;
    use stockade_types::time::{EngineClock, Timestamp};
    use tokio::io::AsyncReadExt as _;

    use super::super::connections::Bounds;
    use super::*;
    use crate::grpc::{self, Edge};

    const WITHIN: Duration = Duration::from_secs(20);

    #[test]
    fn a_connection_goes_where_there_are_fewest_and_is_counted_while_it_lasts() {
        let worker = || Worker { accepted: mpsc::channel(1).0, connections: Arc::default() };
        let workers = [worker(), worker(), worker()];
        let place =
            |worker: &Worker| workers.iter().position(|other| Arc::ptr_eq(&other.connections, &worker.connections));
        let mut open: Vec<(usize, ConnectionCount)> = Vec::new();
        for _ in 0..6 {
            let worker = emptiest(&workers).expect("one of three");
            open.push((place(worker).expect("one of them"), ConnectionCount::one_more(&worker.connections)));
        }
        let counts = || workers.each_ref().map(|worker| worker.connections.load(Ordering::Relaxed));
        assert_eq!(counts(), [2, 2, 2]);
        open.retain(|(place, _)| *place != 1);
        assert_eq!(counts(), [2, 0, 2]);
        assert_eq!(emptiest(&workers).and_then(place), Some(1));
    }

    async fn served() -> (String, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
        let engines = EngineHandle::of(Arc::new(
            Engine::ephemeral(DigestKey::from_bytes([1; 16]), stockade_engine::Bounds::default()).expect("starts"),
        ));
        let edge = Edge::new(engines, Arc::new(EngineClock::start(Timestamp(0))), Arc::default());
        let grpc::Opened { services, .. } = grpc::services(edge, Arc::default(), None).await.expect("the contract");
        let metrics = Arc::default();
        let connections = Connections::new(Bounds { all: 100, of_a_peer: 100 }, Arc::clone(&metrics));
        let serving = ConnectionContext { services, budget: Budget::new(64 << 20), connections, metrics };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let (stop, stopped) = oneshot::channel();
        (address, stop, tokio::spawn(serve(listener, serving, std::future::pending, stopped).expect("threads")))
    }

    #[tokio::test]
    async fn a_server_that_is_told_to_stop_ends_though_connections_are_open() {
        let (address, stop, serving) = served().await;
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}")).expect("an endpoint");
        let mut open = Vec::new();
        for _ in 0..5 {
            open.push(endpoint.connect().await.expect("a connection"));
        }
        stop.send(()).expect("someone listens");
        tokio::time::timeout(WITHIN, serving).await.expect("in time").expect("no panic");
    }

    #[tokio::test]
    async fn a_server_that_is_dropped_closes_its_connections() {
        let (address, _stop, serving) = served().await;
        let mut connection = TcpStream::connect(address).await.expect("accepted");
        serving.abort();
        // What was on its way, then the end; or a reset, which is an end too.
        let mut bytes = Vec::new();
        let closed = async { connection.read_to_end(&mut bytes).await.unwrap_or(0) };
        tokio::time::timeout(WITHIN, closed).await.expect("closed in time");
    }
}
