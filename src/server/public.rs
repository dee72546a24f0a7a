//! The public listener: threads and connections of its own. Its threads yield to all others, so that a flood takes only
//! the time that requests leave.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::sockopt;
use stockade_counter::sync::parallelism;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::answer_deadline::{Answers, Written};
use super::rate_limited::Seldom;
use super::sockets;
use crate::metrics::transport::{Shed, TransportMetrics};
use crate::public::{Body, Public, PublicBounds};

/// Most threads.
const THREADS_MAX: usize = 4;
/// How much later than others its threads get a core (`nice`).
const NICENESS: i32 = 10;
/// A request's head must arrive within this time, also the next one's on an open connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// An ordinary answer must be taken within this time, or up to twice that if it follows another. Until then it takes room.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// A peer that acknowledges nothing for this time is gone, in milliseconds.
const UNACKNOWLEDGED_MAX: u32 = 60_000;
/// Most bytes of a head, and of the buffers for reading and writing.
const BUFFER_BYTES: usize = 8 * 1024;
/// Most connections that are being turned away at once; beyond it they are closed without a word,
const TURNED_AWAY_MAX: usize = 256;
/// and how long that may take.
const TURNED_AWAY_WITHIN: Duration = Duration::from_secs(2);
/// How long to wait after accepting has failed.
const AFTER_A_FAILURE: Duration = Duration::from_millis(50);
/// Memory of a connection, with its part of the system's.
const CONNECTION_MEMORY: u64 = 32 * 1024;
/// The part of the memory that connections may take, and of the files that may be open.
const PART_OF_MEMORY: u64 = 8;
const PART_OF_FILES: u64 = 2;
/// Most connections, unless more are asked for.
const CONNECTIONS_MAX: u64 = 120_000;
/// The part of the memory that answers may take, and the least and the most of it.
const PART_OF_ANSWERS: u64 = 64;
const ANSWERS_MIN: u64 = 16 * 1024 * 1024;
const ANSWERS_MAX: u64 = 256 * 1024 * 1024;

/// How many connections the public may have: as configured, else as memory and files allow.
#[must_use]
pub(super) fn connections(files: u64, memory: u64, asked: Option<u32>) -> u64 {
    let by_memory = (memory / PART_OF_MEMORY / CONNECTION_MEMORY).min(CONNECTIONS_MAX);
    asked.map_or(by_memory, u64::from).min(files / PART_OF_FILES).max(1)
}

/// The bounds of what is answered over so many connections.
#[must_use]
pub(super) fn bounds(connections: u64, memory: u64) -> PublicBounds {
    let bytes = (memory / PART_OF_ANSWERS).clamp(ANSWERS_MIN, ANSWERS_MAX);
    let whole = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    PublicBounds { streams: whole(connections), bytes: whole(bytes) }
}

/// The listener while it serves. Dropped, it abandons its connections.
pub(super) struct PublicEndpoint {
    runtime: Option<Runtime>,
    /// Where it serves.
    pub(super) address: Option<SocketAddr>,
}

impl PublicEndpoint {
    /// Serves on its own threads.
    ///
    /// # Errors
    /// If they can't be started.
    pub(super) fn start(
        listener: TcpListener,
        public: Arc<Public>,
        most: u64,
        metrics: Arc<TransportMetrics>,
    ) -> io::Result<Self> {
        let address = listener.local_addr().ok();
        let listener = listener.into_std()?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(parallelism().div_ceil(2).min(THREADS_MAX))
            .thread_name("public")
            .on_thread_start(yield_to_others)
            .enable_all()
            .build()?;
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        runtime.spawn(accept(listener, public, Arc::new(Semaphore::new(most)), metrics));
        Ok(Self { runtime: Some(runtime), address })
    }
}

impl Drop for PublicEndpoint {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Gives the calling thread a lower priority.
fn yield_to_others() {
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::warn!(%error, "a thread of the public listener could not get a lower priority");
    }
}

async fn accept(listener: TcpListener, public: Arc<Public>, places: Arc<Semaphore>, metrics: Arc<TransportMetrics>) {
    let turned_away = Arc::new(Semaphore::new(TURNED_AWAY_MAX));
    let mut failures = Seldom::default();
    loop {
        let socket = match listener.accept().await {
            Ok((socket, _peer)) => socket,
            Err(error) if !sockets::is_ours(&error) => continue,
            Err(error) => {
                if let Some(others) = failures.now() {
                    tracing::warn!(%error, others, "a connection of the public could not be accepted");
                }
                tokio::time::sleep(AFTER_A_FAILURE).await;
                continue;
            }
        };
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            let (public, metrics) = (Arc::clone(&public), Arc::clone(&metrics));
            tokio::spawn(async move {
                metrics.public.add(1);
                serve(socket, public).await;
                metrics.public.subtract(1);
                drop(place);
            });
            continue;
        }
        metrics.shed(Shed::Public);
        if let Ok(place) = Arc::clone(&turned_away).try_acquire_owned() {
            tokio::spawn(async move {
                // A peer that takes too long gets no reason.
                let _late = timeout(TURNED_AWAY_WITHIN, turn_away(socket)).await;
                drop(place);
            });
        }
    }
}

/// Serves a connection until the peer ends it, or does not take an answer in time.
async fn serve(socket: TcpStream, public: Arc<Public>) {
    let prepared =
        sockets::prepare(&socket).and_then(|()| Ok(sockopt::set_tcp_user_timeout(&socket, UNACKNOWLEDGED_MAX)?));
    if prepared.is_err() {
        return;
    }
    let served = serve_with(socket, ANSWER_WITHIN, move |request| {
        let public = Arc::clone(&public);
        // Boxed, so that a connection that only streams does not hold the memory for deciding an answer.
        let answering: Answering = Box::pin(async move { public.answer(request).await });
        answering
    });
    match served.await {
        Some(Ok(())) => {}
        Some(Err(error)) => tracing::debug!(%error, "a connection of the public ended"),
        None => tracing::debug!("a connection of the public did not take its answer in time"),
    }
}

type Answering = std::pin::Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// Answers the requests of a connection; `None` once an answer was not taken in time.
async fn serve_with<S: AsyncRead + AsyncWrite + Unpin>(
    socket: S,
    answer_within: Duration,
    answer: impl Fn(Request<Incoming>) -> Answering,
) -> Option<hyper::Result<()>> {
    let answers = Arc::new(Answers::default());
    let begun = Arc::clone(&answers);
    let service = service_fn(move |request| {
        let (answering, begun) = (answer(request), Arc::clone(&begun));
        async move {
            let answer = answering.await;
            if matches!(answer.body(), Body::Whole(Some(_))) {
                begun.begin();
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(BUFFER_BYTES);
    let socket = TokioIo::new(Written::new(socket, Arc::clone(&answers)));
    tokio::select! {
        served = http.serve_connection(socket, service) => Some(served),
        () = answers.overdue(answer_within) => None,
    }
}

/// Says that there is no place, and closes.
async fn turn_away(socket: TcpStream) {
    let answer = service_fn(|_request| async { Ok::<_, Infallible>(Public::no_place()) });
    let serving = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(socket), answer).await;
    if let Err(error) = serving {
        tracing::debug!(%error, "a connection that was turned away ended");
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::StreamExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
    use tokio::task::JoinHandle;

    use super::*;

    /// How long an answer may take here.
    const WITHIN: Duration = Duration::from_millis(200);
    const LENGTH: usize = 64 * 1024;

    /// A connection over which each request is answered with bytes, or with pieces that never end.
    fn served(is_stream: bool) -> (DuplexStream, JoinHandle<Option<hyper::Result<()>>>) {
        let (client, server) = tokio::io::duplex(1024);
        let answer = move |_request| {
            let pieces = futures_util::stream::repeat(Bytes::from_static(b"piece"));
            let whole = Body::Whole(Some(Bytes::from(vec![b'x'; LENGTH])));
            let body = if is_stream { Body::Stream(pieces.boxed()) } else { whole };
            let answering: Answering = Box::pin(async move { Response::new(body) });
            answering
        };
        (client, tokio::spawn(serve_with(server, WITHIN, answer)))
    }

    async fn ask(client: &mut DuplexStream) {
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("asked");
    }

    #[tokio::test]
    async fn a_peer_that_does_not_take_an_answer_in_time_loses_its_connection() {
        let (mut client, serving) = served(false);
        ask(&mut client).await;
        // A byte at a time is no way to keep it.
        let slow = tokio::spawn(async move {
            let mut byte = [0];
            while client.read_exact(&mut byte).await.is_ok() {
                tokio::time::sleep(WITHIN / 200).await;
            }
        });
        let ended = timeout(WITHIN * 20, serving).await.expect("in time").expect("no panic");
        assert!(ended.is_none());
        slow.await.expect("cut off");
    }

    #[tokio::test]
    async fn a_peer_that_takes_its_answers_keeps_its_connection() {
        let (mut client, serving) = served(false);
        for _ in 0..4 {
            ask(&mut client).await;
            let (mut taken, mut bytes) = (0, [0; 4096]);
            while taken < LENGTH {
                taken += client.read(&mut bytes).await.expect("more");
            }
            tokio::time::sleep(WITHIN * 2).await;
            assert!(!serving.is_finished(), "between two requests nothing is overdue");
        }
    }

    #[tokio::test]
    async fn a_stream_has_no_deadline() {
        let (mut client, serving) = served(true);
        ask(&mut client).await;
        tokio::time::sleep(WITHIN * 4).await;
        let mut bytes = [0; 512];
        assert!(client.read(&mut bytes).await.expect("more") > 0 && !serving.is_finished());
    }

    #[test]
    fn the_public_gets_a_part_of_files_and_memory() {
        const GIB: u64 = 1024 * 1024 * 1024;
        assert_eq!(connections(1_048_576, 24 * GIB, None), 98_304);
        assert_eq!(connections(1_048_576, u64::MAX, None), CONNECTIONS_MAX);
        assert_eq!(connections(1_024, 24 * GIB, None), 512);
        assert_eq!(connections(1_048_576, GIB, Some(200_000)), 200_000);
        assert_eq!(connections(1_024, GIB, Some(200_000)), 512);
        assert_eq!(connections(0, 0, None), 1);
        assert_eq!(bounds(7, 24 * GIB).bytes, 256 * 1024 * 1024);
    }
}
