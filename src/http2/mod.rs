//! HTTP/2 connections: frames, streams and what a peer may cost.
//!
//! The protocol itself is the `h2` crate's. Here is what it leaves to its user: deadlines for what a peer begins and
//! does not end, allowances for frames of control, turns between connections, and that an answer waits in bounded
//! memory and not for ever. This room knows bytes and heads; what a message is, it does not know.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use h2::RecvStream;
use tonic::codegen::http::Request;

use crate::budget::Share;

mod answer;
mod connection;
mod exchange;
mod guarded;
mod meter;
mod watchdog;

pub use answer::{Answer, Chunk, Part, Rest};
pub use connection::{Control, Ended, serve};
pub use meter::{Excess, FrameMeter};

use guarded::Vitals;

/// Most calls in flight on one connection.
pub const STREAMS_MAX: u32 = 1_024;
/// Most bytes of a request's head.
pub const HEAD_BYTES_MAX: u32 = 16 * 1024;
/// What a call is charged from its begin on: its task, its stream, its head, and a message or an answer of up to half
/// of this.
pub const CALL_BYTES: usize = 8 * 1024;

/// What answers requests.
pub trait Service: Send + Sync + 'static {
    /// Answers one. Dropped when the peer does not want the answer any more.
    fn call(
        self: Arc<Self>,
        request: Request<RecvStream>,
        peer: Arc<Peer>,
    ) -> impl Future<Output = Answer> + Send + 'static;

    /// Answers one for which there is no room.
    fn no_room(&self, request: &Request<RecvStream>, why: crate::budget::Exhausted) -> Answer;
}

/// The other side of a connection, as its calls know it.
#[derive(Debug)]
pub struct Peer {
    /// Where it is: an address of IPv4 that came over a socket of IPv6 is shown as one of IPv4.
    pub address: SocketAddr,
    /// What the connection has in flight.
    pub share: Arc<Share>,
    /// Drops that are watched, and readings of events that go on, over this connection.
    pub watched: AtomicUsize,
    calls: AtomicUsize,
    /// Calls whose answers wait for the peer to take something.
    untaken: AtomicUsize,
    vitals: Arc<Vitals>,
}

impl Peer {
    /// The peer of a connection that was just accepted.
    #[must_use]
    pub fn new(address: SocketAddr, share: Arc<Share>) -> Self {
        Self {
            address: SocketAddr::new(address.ip().to_canonical(), address.port()),
            share,
            watched: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            untaken: AtomicUsize::new(0),
            vitals: Arc::default(),
        }
    }

    /// Calls in flight.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// Calls in flight for which nothing is left to do but to wait for the peer to take its answers.
    #[must_use]
    pub fn untaken(&self) -> usize {
        self.untaken.load(Ordering::Relaxed)
    }

    /// A long message comes: the connection may have more on its way.
    pub fn widen(&self) {
        self.vitals.widen();
    }
}
