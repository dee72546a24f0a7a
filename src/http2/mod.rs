//! HTTP/2 connections: frames, streams and bounds on what a peer may cost.
//!
//! The `h2` crate implements the protocol. This module adds what it leaves to its user: deadlines for what a peer
//! begins and does not end, allowances for control frames, turns between connections, and bounded memory and time for
//! answers that wait for the peer. It handles bytes and heads and knows no messages.

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
/// What a call is charged from its begin: for its task, its stream, its head, and a message or an answer of up to
/// half of this.
pub const CALL_BYTES: usize = 8 * 1024;

/// Answers requests.
pub trait Service: Send + Sync + 'static {
    /// Answers a request. Dropped if the peer resets the stream.
    fn call(
        self: Arc<Self>,
        request: Request<RecvStream>,
        peer: Arc<Peer>,
    ) -> impl Future<Output = Answer> + Send + 'static;

    /// Answers a request for which there is no room.
    fn no_room(&self, request: &Request<RecvStream>, why: crate::budget::Exhausted) -> Answer;
}

/// The peer of a connection, as its calls see it.
#[derive(Debug)]
pub struct Peer {
    /// Its address. An IPv4 address mapped to IPv6 is shown as IPv4.
    pub address: SocketAddr,
    /// The connection's share of the budget.
    pub share: Arc<Share>,
    /// Places in use on this connection: watches of drops, streams of events, and pages of events that wait.
    pub watched: AtomicUsize,
    calls: AtomicUsize,
    /// Calls whose answers wait for the peer to read.
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

    /// Calls in flight that only wait for the peer to read their answers.
    #[must_use]
    pub fn untaken(&self) -> usize {
        self.untaken.load(Ordering::Relaxed)
    }

    /// A long message arrives: requests a wider receive window.
    pub fn widen(&self) {
        self.vitals.widen();
    }
}
