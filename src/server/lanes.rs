//! Lanes: the threads that gRPC is served on, one for each core, each with a runtime of its own.
//!
//! A connection stays on its lane. There tasks run in the order in which they were woken: all calls that came in one
//! read are decided before the first answer is written, and all that became durable in one sync are answered in one
//! write. A runtime of several threads runs what was woken last first, and nearly every answer was a write, and for
//! the caller a read and a wake-up, of its own. What a connection costs is paid by one core, though: callers who want
//! more than one open more than one, as they must to get past what HTTP/2 allows on one.
//!
//! One task accepts for all of them and gives each connection to the lane that has the fewest.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::transport::server::{Connected, TcpConnectInfo};

use super::{incoming, transport};
use crate::sync::parallelism;

/// Connections that were accepted and wait for their lane.
const WAITING: usize = 1024;
/// How long nothing is accepted after that has failed.
const AFTER_A_FAILURE: Duration = Duration::from_millis(50);
/// Threads of a lane for calls that take long: lists of holds.
const LONG_CALLS: usize = 8;

/// Why a lane is at its end before it was told so.
type Served = Result<(), tonic::transport::Error>;

/// Serves on all cores, with a task `beside` on each lane's thread that is made there. Ends once `stopped` says so and every call is finished; dropped, it leaves the calls behind.
///
/// # Errors
/// When the connections can't be served on. A lane that can't be started is an [`io::Error`], at once.
pub fn serve<B, F>(
    listener: TcpListener,
    routes: &Routes,
    beside: B,
    stopped: oneshot::Receiver<()>,
) -> io::Result<impl Future<Output = Served> + Send + use<B, F>>
where
    B: FnOnce() -> F + Clone + Send + 'static,
    F: Future<Output = Infallible> + Send + 'static,
{
    let (stop, stopping) = watch::channel(false);
    let count = parallelism();
    let mut lanes = Vec::with_capacity(count);
    let mut ends = Vec::with_capacity(count);
    for number in 0..count {
        let (lane, end) = Lane::start(number, routes.clone(), beside.clone(), stopping.clone())?;
        lanes.push(lane);
        ends.push(end);
    }
    Ok(async move {
        // Dropped with this future: then the lanes stop, whatever they are at.
        let _abandon = &stop;
        tokio::select! {
            () = accept(listener, lanes) => {}
            // By a word, or because whoever could say it is gone.
            _word = stopped => {}
            // A lane ends by itself only if it can't go on.
            (ended, _, _) = futures_util::future::select_all(&mut ends) => return ended.unwrap_or(Ok(())),
        }
        stop.send_replace(true);
        for end in ends {
            end.await.unwrap_or(Ok(()))?;
        }
        Ok(())
    })
}

/// Gives connections to lanes for as long as there are any.
async fn accept(listener: TcpListener, lanes: Vec<Lane>) {
    let mut connections = incoming(listener);
    while let Some(connection) = connections.next().await {
        let connection = match connection.and_then(TcpStream::into_std) {
            Ok(connection) => connection,
            Err(error) => {
                // Out of files, mostly: it stays so for a while, and the socket goes on saying that someone is there.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(AFTER_A_FAILURE).await;
                continue;
            }
        };
        let Some(lane) = emptiest(&lanes) else { return };
        let accepted = Accepted { socket: connection, counted: Counted::one_more(&lane.connections) };
        if lane.accepted.send(accepted).await.is_err() {
            return;
        }
    }
}

fn emptiest(lanes: &[Lane]) -> Option<&Lane> {
    lanes.iter().min_by_key(|lane| lane.connections.load(Ordering::Relaxed))
}

/// One thread that serves connections.
struct Lane {
    accepted: mpsc::Sender<Accepted>,
    /// How many it has.
    connections: Arc<AtomicUsize>,
}

impl Lane {
    fn start<B: Future<Output = Infallible> + Send + 'static>(
        number: usize,
        routes: Routes,
        beside: impl FnOnce() -> B + Send + 'static,
        stopping: watch::Receiver<bool>,
    ) -> io::Result<(Self, oneshot::Receiver<Served>)> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().max_blocking_threads(LONG_CALLS).build()?;
        let (accepted, waiting) = mpsc::channel(WAITING);
        let (ended, end) = oneshot::channel();
        std::thread::Builder::new().name(format!("lane-{number}")).spawn(move || {
            let served = runtime.block_on(async {
                // Ends with the runtime.
                let _beside = tokio::spawn(beside());
                run(routes, waiting, stopping).await
            });
            // What is left of its calls goes first: whoever hears of the end hears that nothing is left.
            drop(runtime);
            // Whoever listened may be gone: then nobody wants to know.
            let _told = ended.send(served);
        })?;
        Ok((Self { accepted, connections: Arc::default() }, end))
    }
}

async fn run(routes: Routes, waiting: mpsc::Receiver<Accepted>, mut stopping: watch::Receiver<bool>) -> Served {
    let mut abandoned = stopping.clone();
    // Sockets belong to the runtime that they are made in: here, not where they were accepted.
    let connections = ReceiverStream::new(waiting).map(Connection::open);
    let stopped = async move {
        // An error: whoever could say it is gone.
        let _word = stopping.wait_for(|stop| *stop).await;
    };
    tokio::select! {
        served = transport().add_routes(routes).serve_with_incoming_shutdown(connections, stopped) => served,
        () = async { while abandoned.changed().await.is_ok() {} } => Ok(()),
    }
}

/// A connection that no lane has taken yet.
struct Accepted {
    socket: std::net::TcpStream,
    counted: Counted,
}

/// Takes a connection off its lane's count when it is gone.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn one_more(connections: &Arc<AtomicUsize>) -> Self {
        connections.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(connections))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection on its lane.
struct Connection {
    socket: TcpStream,
    _counted: Counted,
}

impl Connection {
    fn open(Accepted { socket, counted }: Accepted) -> io::Result<Self> {
        Ok(Self { socket: TcpStream::from_std(socket)?, _counted: counted })
    }

    fn socket(self: Pin<&mut Self>) -> Pin<&mut TcpStream> {
        Pin::new(&mut self.get_mut().socket)
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.socket.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.socket().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.socket().poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    const WITHIN: Duration = Duration::from_secs(20);

    #[test]
    fn a_connection_goes_where_there_are_fewest_and_is_counted_while_it_lasts() {
        let lane = || Lane { accepted: mpsc::channel(1).0, connections: Arc::default() };
        let lanes = [lane(), lane(), lane()];
        let place = |lane: &Lane| lanes.iter().position(|other| Arc::ptr_eq(&other.connections, &lane.connections));
        let mut open: Vec<(usize, Counted)> = Vec::new();
        for _ in 0..6 {
            let lane = emptiest(&lanes).expect("one of three");
            open.push((place(lane).expect("one of them"), Counted::one_more(&lane.connections)));
        }
        let counts = || lanes.each_ref().map(|lane| lane.connections.load(Ordering::Relaxed));
        assert_eq!(counts(), [2, 2, 2]);
        open.retain(|(place, _)| *place != 1);
        assert_eq!(counts(), [2, 0, 2]);
        assert_eq!(emptiest(&lanes).and_then(place), Some(1));
    }

    async fn served() -> (String, oneshot::Sender<()>, tokio::task::JoinHandle<Served>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let (stop, stopped) = oneshot::channel();
        (
            address,
            stop,
            tokio::spawn(serve(listener, &Routes::default(), std::future::pending, stopped).expect("threads")),
        )
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
        tokio::time::timeout(WITHIN, serving).await.expect("in time").expect("no panic").expect("served");
    }

    #[tokio::test]
    async fn a_server_that_is_dropped_closes_its_connections() {
        let (address, _stop, serving) = served().await;
        let mut connection = TcpStream::connect(address).await.expect("accepted");
        serving.abort();
        // Whatever was on its way, and then the end; or a reset, which is one, too.
        let mut bytes = Vec::new();
        let closed = async { connection.read_to_end(&mut bytes).await.unwrap_or(0) };
        tokio::time::timeout(WITHIN, closed).await.expect("closed in time");
    }
}
