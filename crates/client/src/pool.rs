//! The connections of a client, and the choice of the next one: the one with the fewest calls in flight, in turn
//! among equals.
//!
//! A connection that has failed is set aside while others are available. After a while one caller tries it, and the
//! others use it again once that succeeded. Each connection reconnects by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use tonic::{Code, Status};

use super::{Client, ConnectError};

/// How long a failed connection is set aside. The time doubles with each try that fails,
const ASIDE: Duration = Duration::from_secs(1);
/// this many times.
const DOUBLINGS: u32 = 4;
/// If a caller got no answer on a connection for this long, and no other caller did either, the connection is dead. A
/// shorter wait says nothing about the connection.
const QUIET: Duration = Duration::from_millis(100);

/// The connections of a client.
#[derive(Debug)]
pub(super) struct ConnectionPool {
    connections: Vec<Connection>,
    /// Where the next choice begins.
    turn: AtomicUsize,
    since: Instant,
}

#[derive(Debug)]
struct Connection {
    client: Client,
    in_flight: AtomicUsize,
    /// Failures and tries since the last success. 0: it is well.
    failures: AtomicU32,
    /// When a failed connection may be tried again. Here and below: milliseconds since the pool was made.
    aside_until: AtomicU64,
    /// When something was last received on it.
    heard: AtomicU64,
}

impl Connection {
    const fn over(client: Client) -> Self {
        Self {
            client,
            in_flight: AtomicUsize::new(0),
            failures: AtomicU32::new(0),
            aside_until: AtomicU64::new(0),
            heard: AtomicU64::new(0),
        }
    }

    // Relaxed, here and below: these are counts, and a slightly stale choice does no harm.

    fn is_aside(&self, now: u64) -> bool {
        self.failures.load(Ordering::Relaxed) > 0 && self.aside_until.load(Ordering::Relaxed) > now
    }

    fn note_success(&self, now: u64) {
        self.heard.store(now, Ordering::Relaxed);
        if self.failures.load(Ordering::Relaxed) > 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// Of many calls that fail at once only the first counts.
    fn note_failure(&self, now: u64) {
        if self.failures.compare_exchange(0, 1, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.aside_until.store(now.saturating_add(span(0)), Ordering::Relaxed);
        }
    }

    /// A caller that takes a failed connection tries it; it is set aside for the others for longer.
    fn note_taken(&self, now: u64) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let failures = self.failures.load(Ordering::Relaxed);
        if failures > 0 && !self.is_aside(now) {
            self.failures.store(failures.saturating_add(1), Ordering::Relaxed);
            self.aside_until.store(now.saturating_add(span(failures)), Ordering::Relaxed);
        }
    }
}

/// How long a connection is set aside after this many tries, in milliseconds.
fn span(tries: u32) -> u64 {
    millis(ASIDE.saturating_mul(2_u32.saturating_pow(tries.min(DOUBLINGS))))
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl ConnectionPool {
    /// Connects `each` times to each endpoint.
    ///
    /// # Errors
    /// If an endpoint is malformed, or none answers.
    pub(super) async fn connect(endpoints: &[String], each: usize) -> Result<Vec<Client>, ConnectError> {
        // First, so that a malformed endpoint is reported even if the others answer.
        let later = Self::connect_lazy(endpoints, each)?;
        let all = endpoints.iter().flat_map(|endpoint| std::iter::repeat_n(endpoint, each));
        let connected = join_all(all.map(|endpoint| Client::connect(endpoint))).await;
        if connected.iter().any(Result::is_ok) {
            return Ok(connected.into_iter().zip(later).map(|(now, later)| now.unwrap_or(later)).collect());
        }
        connected.into_iter().collect()
    }

    /// Makes connections that connect at the first call.
    ///
    /// # Errors
    /// If an endpoint is malformed.
    pub(super) fn connect_lazy(endpoints: &[String], each: usize) -> Result<Vec<Client>, ConnectError> {
        if endpoints.is_empty() {
            return Err(ConnectError::Endpoint(String::new()));
        }
        let all = endpoints.iter().flat_map(|endpoint| std::iter::repeat_n(endpoint, each));
        all.map(|endpoint| Client::connect_lazy(endpoint)).collect()
    }

    pub(super) fn new(clients: impl IntoIterator<Item = Client>) -> Self {
        let connections = clients.into_iter().map(Connection::over).collect();
        Self { connections, turn: AtomicUsize::new(0), since: Instant::now() }
    }

    /// The connection for the next call.
    pub(super) fn pick(self: &Arc<Self>) -> Option<Lease> {
        let now = self.now();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let first = turn.checked_rem(self.connections.len())?;
        let in_turn = self.connections.iter().enumerate().cycle().skip(first).take(self.connections.len());
        let (place, connection) = in_turn
            .min_by_key(|(_, connection)| (connection.is_aside(now), connection.in_flight.load(Ordering::Relaxed)))?;
        connection.note_taken(now);
        Some(Lease { pool: Arc::clone(self), place, client: connection.client.clone(), since: now, ended: false })
    }

    fn now(&self) -> u64 {
        millis(self.since.elapsed())
    }
}

/// A call or a stream on one of the connections, counted until it is dropped.
///
/// A lease that is dropped without a report had no answer: its caller's time was over, or the caller gave up.
#[derive(Debug)]
pub(super) struct Lease {
    pool: Arc<ConnectionPool>,
    place: usize,
    client: Client,
    /// When it was taken, or something was last received.
    since: u64,
    ended: bool,
}

impl Lease {
    /// The connection.
    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    fn connection(&self) -> Option<&Connection> {
        self.pool.connections.get(self.place)
    }

    /// Reports that something was received: the connection is alive.
    pub(super) fn heard(&mut self) {
        self.since = self.pool.now();
        if let Some(connection) = self.connection() {
            connection.note_success(self.since);
        }
    }

    /// Reports how a call on it ended.
    pub(super) fn report(mut self, ended: Option<&Status>) {
        match ended.map(Status::code) {
            // As far as is known it had no answer.
            Some(Code::DeadlineExceeded) => return,
            Some(Code::Unavailable) => {
                if let Some(connection) = self.connection() {
                    connection.note_failure(self.pool.now());
                }
            }
            Some(_) | None => self.heard(),
        }
        self.ended = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(connection) = self.connection() else { return };
        connection.in_flight.fetch_sub(1, Ordering::Relaxed);
        let now = self.pool.now();
        let waited = now.saturating_sub(self.since);
        if !self.ended && waited >= millis(QUIET) && connection.heard.load(Ordering::Relaxed) <= self.since {
            connection.note_failure(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(connections: usize) -> Arc<ConnectionPool> {
        let clients =
            ConnectionPool::connect_lazy(&["http://127.0.0.1:1".to_owned()], connections).expect("an endpoint");
        Arc::new(ConnectionPool::new(clients))
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

    /// Advances the pool's time while there is no lease.
    fn pass(pool: &mut Arc<ConnectionPool>, span: Duration) {
        let pool = Arc::get_mut(pool).expect("no lease");
        pool.since = pool.since.checked_sub(span).expect("a machine that runs for longer");
    }

    /// As if the lease had been taken this much earlier.
    fn wait(lease: &mut Lease, span: Duration) {
        lease.since = lease.since.checked_sub(millis(span)).expect("a pool that is older");
    }

    fn pick(pool: &Arc<ConnectionPool>) -> Lease {
        pool.pick().expect("a connection")
    }

    /// Makes a connection fail, and returns its place.
    fn failed(pool: &Arc<ConnectionPool>) -> usize {
        let lease = pick(pool);
        let place = lease.place;
        lease.report(Some(&Status::unavailable("gone")));
        place
    }

    #[tokio::test]
    async fn a_connection_that_failed_is_left_alone_while_there_are_others() {
        let pool = pool(2);
        let place = failed(&pool);
        let mut leases: Vec<Lease> = (0..4).map(|_| pick(&pool)).collect();
        assert!(leases.iter().all(|lease| lease.place != place));
        leases.pop().expect("a lease").report(Some(&Status::unavailable("gone")));
        assert_eq!(pick(&pool).place, place, "the least to do, where all have failed");
        leases.pop().expect("a lease").report(Some(&Status::not_found("no such drop")));
        assert_ne!(pick(&pool).place, place, "an answer is a sign of life");
    }

    #[tokio::test]
    async fn one_caller_at_a_time_tries_a_connection_that_failed_ever_less_often_until_it_is_well() {
        let mut pool = pool(2);
        let place = failed(&pool);
        let mut tried = Vec::new();
        for second in 0..60 {
            let leases: Vec<Lease> = (0..10).map(|_| pick(&pool)).collect();
            match leases.into_iter().filter(|lease| lease.place == place).count() {
                0 => {}
                1 => tried.push(second),
                more => panic!("{more} callers at once"),
            }
            pass(&mut pool, Duration::from_secs(1));
        }
        assert_eq!(tried, [1, 3, 7, 15, 31, 47]);
        pass(&mut pool, Duration::from_secs(16));
        let leases: Vec<Lease> = (0..2).map(|_| pick(&pool)).collect();
        for lease in leases.into_iter().filter(|lease| lease.place == place) {
            lease.report(None);
        }
        assert_eq!(places(&(0..4).map(|_| pick(&pool)).collect::<Vec<_>>()), [0, 0, 1, 1], "all come back");
    }

    #[tokio::test]
    async fn a_connection_without_a_sign_of_life_is_found_dead_by_who_waits() {
        let next = |pool: &Arc<ConnectionPool>| places(&(0..4).map(|_| pick(pool)).collect::<Vec<_>>());
        let mut pool = pool(2);
        pass(&mut pool, Duration::from_mins(1));
        // Dropped at once, it says nothing about the connection.
        drop(pick(&pool));
        assert_eq!(next(&pool), [0, 0, 1, 1]);
        // One call is slow while another is answered on the same connection.
        let (mut slow, quick) = (pick(&pool), (pick(&pool), pick(&pool)));
        wait(&mut slow, QUIET);
        quick.0.report(None);
        quick.1.report(None);
        slow.report(Some(&Status::deadline_exceeded("late")));
        assert_eq!(next(&pool), [0, 0, 1, 1]);
        // A stream that has received something is well.
        let mut stream = pick(&pool);
        wait(&mut stream, QUIET);
        stream.heard();
        drop(stream);
        assert_eq!(next(&pool), [0, 0, 1, 1]);
        pass(&mut pool, Duration::from_mins(1));
        // Nothing was received, because the caller's time was over or the caller gave up.
        let mut given_up = pick(&pool);
        let place = given_up.place;
        wait(&mut given_up, QUIET);
        drop(given_up);
        assert_eq!(next(&pool), [1 - place; 4]);
    }

    #[tokio::test]
    async fn an_endpoint_is_needed() {
        assert!(matches!(ConnectionPool::connect_lazy(&[], 1), Err(ConnectError::Endpoint(_))));
        let endpoints = ["http://127.0.0.1:1".to_owned(), "localhost".to_owned()];
        assert!(matches!(ConnectionPool::connect(&endpoints, 1).await, Err(ConnectError::Endpoint(_))));
        assert!(matches!(ConnectionPool::connect(&endpoints[..1], 1).await, Err(ConnectError::Unreachable { .. })));
    }
}
