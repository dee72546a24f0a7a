//! The HTTP listener. Its connections have deadlines and places of their own, so that health checks are answered
//! whatever the gRPC load.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use super::rate_limited::Seldom;
use super::sockets;
use crate::admin::Connection;
use crate::metrics::transport::{Shed, TransportMetrics};

/// A request's head must arrive within this time, also the next one's on an open connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection takes no further request after this time,
const CONNECTION_TIMEOUT: Duration = Duration::from_mins(2);
/// and the last one must be answered within this, which is longer than a page of events may wait.
const LAST_ANSWER_TIMEOUT: Duration = Duration::from_secs(45);
/// Most bytes of a head, and of the buffers for reading and writing.
const BUFFER_BYTES: usize = 16 * 1024;
/// The first bytes of an HTTP/2 peer.
const GREETING: [u8; 14] = *b"PRI * HTTP/2.0";
/// The refusal as HTTP/2 frames: empty SETTINGS, then GOAWAY with `HTTP_1_1_REQUIRED`.
const HTTP_1_1_REQUIRED: [u8; 26] = [0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13];
/// How long sending the refusal may take.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long to wait after accepting has failed.
const AFTER_A_FAILURE: Duration = Duration::from_millis(50);

/// A connection that is being served.
struct Served {
    task: AbortHandle,
    /// Calls over it that are being answered.
    calls: Arc<AtomicUsize>,
}

/// Serves until it is dropped. If all places are taken, the oldest connection without a call is closed to make room; if
/// there is none, the new one is closed.
pub(super) async fn serve(listener: TcpListener, pages: Router, most: usize, metrics: Arc<TransportMetrics>) {
    let mut connections = JoinSet::new();
    let mut oldest: VecDeque<Served> = VecDeque::new();
    let mut failures = Seldom::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_ended) = connections.join_next() => {
                oldest.retain(|connection| !connection.task.is_finished());
                metrics.http.set(u64::try_from(connections.len()).unwrap_or(u64::MAX));
                continue;
            }
        };
        match accepted {
            Ok((socket, peer)) => {
                if connections.len() >= most {
                    // Relaxed: a call that has just begun is sent again.
                    let idle = |connection: &Served| connection.calls.load(Ordering::Relaxed) == 0;
                    metrics.shed(Shed::MadeRoom);
                    let Some(place) = oldest.iter().position(idle) else { continue };
                    if let Some(longest) = oldest.remove(place) {
                        longest.task.abort();
                    }
                }
                let calls = Arc::new(AtomicUsize::new(0));
                let seen = Connection { address: peer, calls: Arc::clone(&calls) };
                let task = connections.spawn(connection(socket, pages.clone().layer(Extension(seen))));
                oldest.push_back(Served { task, calls });
                metrics.http.set(u64::try_from(connections.len()).unwrap_or(u64::MAX));
            }
            Err(error) if sockets::is_ours(&error) => {
                if let Some(others) = failures.now() {
                    tracing::warn!(%error, others, "an HTTP connection could not be accepted");
                }
                tokio::time::sleep(AFTER_A_FAILURE).await;
            }
            Err(_gone) => {}
        }
    }
}

/// Refuses an HTTP/2 peer in its own protocol: usually it has mistaken this port for the gRPC port.
async fn refuse(mut socket: TcpStream) -> io::Result<()> {
    socket.write_all(&HTTP_1_1_REQUIRED).await?;
    socket.shutdown().await?;
    // Reads what the peer has sent: closing with unread bytes would reset the connection before the peer reads the
    // refusal.
    tokio::io::copy(&mut socket, &mut tokio::io::sink()).await?;
    Ok(())
}

async fn connection(socket: TcpStream, pages: Router) {
    let served: Result<_, io::Error> = async {
        sockets::prepare(&socket)?;
        let mut first = [0; GREETING.len()];
        tokio::time::timeout(HEAD_TIMEOUT, socket.peek(&mut first)).await??;
        if first == GREETING {
            return tokio::time::timeout(LAST_WORDS, refuse(socket)).await?;
        }
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(BUFFER_BYTES);
        let serving = http.serve_connection(TokioIo::new(socket), TowerToHyperService::new(pages));
        let mut serving = std::pin::pin!(serving);
        if let Ok(ended) = tokio::time::timeout(CONNECTION_TIMEOUT, serving.as_mut()).await {
            return ended.map_err(io::Error::other);
        }
        serving.as_mut().graceful_shutdown();
        tokio::time::timeout(LAST_ANSWER_TIMEOUT, serving).await.map_err(io::Error::from)?.map_err(io::Error::other)
    }
    .await;
    if let Err(error) = served {
        tracing::debug!(%error, "an HTTP connection ended");
    }
}
