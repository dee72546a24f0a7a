//! Places for long calls: watches of drops, streams of events, and pages of events that wait. They share one bound.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use stockade_engine::answer::Fault;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::edge::Edge;
use crate::http2::Peer;

/// Most places of a server.
pub const WATCHERS_MAX: usize = 20_000;

/// The places of a server.
pub(super) struct Seats {
    edge: Arc<Edge>,
    free: Arc<Semaphore>,
}

/// A place, free again when it is dropped.
pub(super) struct Seat {
    edge: Arc<Edge>,
    peer: Arc<Peer>,
    _permit: OwnedSemaphorePermit,
}

impl Seats {
    /// All places are free.
    pub(super) fn new(edge: Arc<Edge>) -> Self {
        Self { edge, free: Arc::new(Semaphore::new(WATCHERS_MAX)) }
    }

    /// Takes a place for this peer.
    ///
    /// # Errors
    /// `Exhausted` if no place is free, or the connection already has more than there are left.
    pub(super) fn take(&self, peer: &Arc<Peer>) -> Result<Seat, Fault> {
        let full = Fault::Exhausted("too many watchers: the server's bound is reached");
        let permit = Arc::clone(&self.free).try_acquire_owned().map_err(|_none| full)?;
        // A connection may not have more places than are left, so none can take all.
        if peer.watched.load(Ordering::Relaxed) > self.free.available_permits() {
            return Err(Fault::Exhausted("too many watchers on this connection, with few places left on the server"));
        }
        self.edge.watchers().add(1);
        peer.watched.fetch_add(1, Ordering::Relaxed);
        Ok(Seat { edge: Arc::clone(&self.edge), peer: Arc::clone(peer), _permit: permit })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.edge.watchers().subtract(1);
        self.peer.watched.fetch_sub(1, Ordering::Relaxed);
    }
}
