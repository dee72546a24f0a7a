//! How many sockets and files there may be, and how sockets are set up.

use std::io;
use std::net::SocketAddr;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::connections::Bounds;

/// Connections that may wait to be accepted: many arrive within the time of one accept. The system may allow fewer
/// (`net.core.somaxconn`).
pub(super) const BACKLOG: u32 = 4_096;
/// Files that are kept back from connections: for the journal and its segments, snapshots and the process,
const KEPT_FILES: u64 = 56;
/// and for each worker's runtime.
const WORKER_FILES: u64 = 4;
/// Most connections for health, metrics, pages and calls over HTTP,
const HTTP_CONNECTIONS_MAX: usize = 256;
/// as long as they are no more than this part of all; but up to
const HTTP_PART: usize = 15;
/// this many if that is less than a quarter of all.
const HTTP_CONNECTIONS_OF_FEW: usize = 64;
/// If files are few, connections have at least this part of them, and HTTP has at most this part of theirs.
const PART_OF_FEW: u64 = 4;
/// Memory that one connection may use, mostly for its windows. It bounds the number of connections by the process's
/// memory.
const CONNECTION_MEMORY: u64 = 256 * 1024;
/// Bytes in flight that are available to each connection at least: twice the piece that a share takes ahead.
const CONNECTION_INFLIGHT: usize = 32 * 1024;
/// One peer may have this part of all connections.
const PART_OF_A_PEER: usize = 2;

/// Raises the soft limit of open files to the hard limit, and returns the resulting limit.
#[must_use]
pub(super) fn raise_file_limit() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
        if let Err(error) = raised {
            tracing::warn!(%error, "the limit of open files could not be raised");
        }
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Files that are kept back from connections. A server does not start with fewer in all: connections or the journal
/// would run out of files.
#[must_use]
pub(super) fn kept_files(workers: usize) -> u64 {
    KEPT_FILES.saturating_add(WORKER_FILES.saturating_mul(u64::try_from(workers).unwrap_or(u64::MAX)))
}

/// How many connections gRPC and HTTP may have: as configured, else as memory allows, and never more than files and
/// bytes in flight allow.
#[must_use]
pub(super) fn bounds(
    files: u64,
    kept: u64,
    memory: u64,
    inflight: usize,
    asked: (Option<u32>, Option<u32>),
) -> (Bounds, usize) {
    let kept = kept.min(files.saturating_sub(files / PART_OF_FEW));
    let for_connections = usize::try_from(files.saturating_sub(kept)).unwrap_or(usize::MAX);
    let of_many = HTTP_CONNECTIONS_MAX.min(for_connections / HTTP_PART);
    let http = HTTP_CONNECTIONS_OF_FEW.min(for_connections / 4).max(of_many).max(2);
    let by_files = for_connections.saturating_sub(http).max(1);
    let by_memory = usize::try_from(memory / CONNECTION_MEMORY).unwrap_or(usize::MAX).max(64);
    let number = |asked: u32| usize::try_from(asked).unwrap_or(usize::MAX);
    let by_bytes = (inflight / CONNECTION_INFLIGHT).max(1);
    let all = asked.0.map_or(by_memory, number).min(by_files).min(by_bytes);
    let of_a_peer = asked.1.map_or(all.div_ceil(PART_OF_A_PEER), number).min(all);
    (Bounds { all, of_a_peer }, http)
}

/// Listens on an address.
///
/// # Errors
/// If the address can't be bound.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // As the standard library does: a restarted server can bind its port at once.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Whether a failed accept is a problem of the server, such as no files or no memory, and not of the connection.
#[must_use]
pub(super) fn is_ours(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// Sets the options of an accepted connection.
///
/// # Errors
/// If the connection is closed already.
pub(super) fn prepare(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    const GIB: usize = 1024 * 1024 * 1024;

    fn derived(files: u64, memory: u64, inflight: usize) -> (Bounds, usize) {
        bounds(files, kept_files(2), memory, inflight, (None, None))
    }

    #[test]
    fn connections_leave_files_memory_and_bytes_for_the_rest() {
        let plenty = derived(1_048_576, 24 * 1024 * MIB, GIB);
        assert_eq!(plenty, (Bounds { all: 32_768, of_a_peer: 16_384 }, 256));
        assert_eq!(derived(1_024, 24 * 1024 * MIB, GIB).0.all, 1_024 - 64 - 64);
        assert_eq!(derived(1_048_576, 512 * MIB, GIB / 16).0.all, 2_048);
        assert_eq!(derived(64, 512 * MIB, GIB / 16), (Bounds { all: 12, of_a_peer: 6 }, 4));
        assert_eq!(derived(0, 0, 0), (Bounds { all: 1, of_a_peer: 1 }, 2));
    }

    #[test]
    fn workers_keep_files_back() {
        assert_eq!([1, 2, 64].map(kept_files), [60, 64, 312]);
        assert_eq!(bounds(1_024, kept_files(64), 24 * 1024 * MIB, GIB, (None, None)).0.all, 1_024 - 312 - 64);
    }

    #[test]
    fn what_is_asked_for_counts_as_far_as_files_go() {
        let asked = |files, all, of_a_peer| bounds(files, 64, 512 * MIB, GIB, (Some(all), Some(of_a_peer))).0;
        assert_eq!(asked(1_048_576, 5_000, 10), Bounds { all: 5_000, of_a_peer: 10 });
        assert_eq!(asked(1_024, 5_000, 4_000), Bounds { all: 896, of_a_peer: 896 });
    }
}
