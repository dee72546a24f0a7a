//! Connections, and which of them is asked next: the one with the least to do, in turn where several have as little.
//!
//! One that has just failed is left alone for a moment, as long as there are others. Each connects again by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use tonic::{Code, Status};

use super::{Client, ConnectError};

/// A connection that failed is left alone for so long.
const ASIDE: Duration = Duration::from_secs(1);

/// The connections of a client.
#[derive(Debug)]
pub(super) struct Pool {
    connections: Vec<Connection>,
    /// Where the next look begins.
    turn: AtomicUsize,
    since: Instant,
}

#[derive(Debug)]
struct Connection {
    client: Client,
    in_flight: AtomicUsize,
    /// Milliseconds since the pool's beginning until which it is left alone.
    aside_until: AtomicU64,
}

impl Pool {
    /// Connects so many times to each endpoint.
    ///
    /// # Errors
    /// When an endpoint is none, or none of them answers.
    pub(super) async fn connect(endpoints: &[String], each: usize) -> Result<Vec<Client>, ConnectError> {
        // First, so that a misspelt one is told even if the others answer.
        let later = Self::connect_lazy(endpoints, each)?;
        let all = endpoints.iter().flat_map(|endpoint| std::iter::repeat_n(endpoint, each));
        let came = join_all(all.map(|endpoint| Client::connect(endpoint))).await;
        if came.iter().any(Result::is_ok) {
            return Ok(came.into_iter().zip(later).map(|(now, later)| now.unwrap_or(later)).collect());
        }
        came.into_iter().collect()
    }

    /// For connecting when the first call is made.
    ///
    /// # Errors
    /// When an endpoint is none.
    pub(super) fn connect_lazy(endpoints: &[String], each: usize) -> Result<Vec<Client>, ConnectError> {
        if endpoints.is_empty() {
            return Err(ConnectError::Endpoint(String::new()));
        }
        let all = endpoints.iter().flat_map(|endpoint| std::iter::repeat_n(endpoint, each));
        all.map(|endpoint| Client::connect_lazy(endpoint)).collect()
    }

    pub(super) fn new(clients: impl IntoIterator<Item = Client>) -> Self {
        let connection = |client| Connection { client, in_flight: AtomicUsize::new(0), aside_until: AtomicU64::new(0) };
        let connections = clients.into_iter().map(connection).collect();
        Self { connections, turn: AtomicUsize::new(0), since: Instant::now() }
    }

    /// The connection to ask next.
    pub(super) fn pick(self: &Arc<Self>) -> Option<Lease> {
        let now = self.now();
        // Relaxed, here and below: these are counts, and a choice that is a little stale is as good.
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let first = turn.checked_rem(self.connections.len())?;
        let in_turn = self.connections.iter().enumerate().cycle().skip(first).take(self.connections.len());
        let (place, connection) = in_turn.min_by_key(|(_, connection)| {
            let aside = connection.aside_until.load(Ordering::Relaxed) > now;
            (aside, connection.in_flight.load(Ordering::Relaxed))
        })?;
        connection.in_flight.fetch_add(1, Ordering::Relaxed);
        Some(Lease { pool: Arc::clone(self), place, client: connection.client.clone() })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// A call, or a stream, on one of the connections. Counted until it is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    pool: Arc<Pool>,
    place: usize,
    client: Client,
}

impl Lease {
    /// The connection.
    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Says what a call on it ended with.
    pub(super) fn report(&self, ended: Option<&Status>) {
        let Some(connection) = self.pool.connections.get(self.place) else { return };
        let failed = ended.is_some_and(|status| matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded));
        let aside = u64::try_from(ASIDE.as_millis()).unwrap_or(u64::MAX);
        let until = if failed { self.pool.now().saturating_add(aside) } else { 0 };
        if connection.aside_until.load(Ordering::Relaxed) != until {
            connection.aside_until.store(until, Ordering::Relaxed);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.pool.connections.get(self.place) {
            connection.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(connections: usize) -> Arc<Pool> {
        let clients = Pool::connect_lazy(&["http://127.0.0.1:1".to_owned()], connections).expect("an endpoint");
        Arc::new(Pool::new(clients))
    }

    fn places(leases: &[Lease]) -> Vec<usize> {
        let mut places: Vec<usize> = leases.iter().map(|lease| lease.place).collect();
        places.sort_unstable();
        places
    }

    #[tokio::test]
    async fn the_connection_with_the_least_to_do_is_next_and_all_have_their_turn() {
        let pool = pool(3);
        let mut leases: Vec<Lease> = (0..6).map(|_| pool.pick().expect("a connection")).collect();
        assert_eq!(places(&leases), [0, 0, 1, 1, 2, 2]);
        leases.retain(|lease| lease.place != 1);
        let more: Vec<Lease> = (0..2).map(|_| pool.pick().expect("a connection")).collect();
        assert_eq!(places(&more), [1, 1]);
        drop((leases, more));
        let mut one_by_one: Vec<usize> = (0..3).map(|_| pool.pick().expect("a connection").place).collect();
        one_by_one.sort_unstable();
        assert_eq!(one_by_one, [0, 1, 2], "in turn");
    }

    #[tokio::test]
    async fn a_connection_that_failed_is_left_alone_while_there_are_others() {
        let pool = pool(2);
        let failed = pool.pick().expect("a connection");
        failed.report(Some(&Status::unavailable("gone")));
        let place = failed.place;
        drop(failed);
        let leases: Vec<Lease> = (0..4).map(|_| pool.pick().expect("a connection")).collect();
        assert!(leases.iter().all(|lease| lease.place != place));
        leases[0].report(Some(&Status::unavailable("gone")));
        assert_eq!(pool.pick().expect("a connection").place, place, "the least to do, where all have failed");
        leases[0].report(Some(&Status::not_found("no such drop")));
        assert_ne!(pool.pick().expect("a connection").place, place, "an answer is a sign of life");
    }

    #[tokio::test]
    async fn an_endpoint_is_needed() {
        assert!(matches!(Pool::connect_lazy(&[], 1), Err(ConnectError::Endpoint(_))));
        let endpoints = ["http://127.0.0.1:1".to_owned(), "localhost".to_owned()];
        assert!(matches!(Pool::connect(&endpoints, 1).await, Err(ConnectError::Endpoint(_))));
        assert!(matches!(Pool::connect(&endpoints[..1], 1).await, Err(ConnectError::Unreachable { .. })));
    }
}
