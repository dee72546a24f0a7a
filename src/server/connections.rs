//! Admits connections: a bound on all, and a bound on those of one peer.
//!
//! A connection without a call is silent. If all places are taken, the connection that has been silent longest is
//! ended to make room. So idle connections can't keep callers out.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::metrics::transport::{Shed, TransportMetrics};

/// Most connections that were asked to make room and are still open.
const GOING_MAX: usize = 16;

/// Bounds on connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// In all.
    pub all: usize,
    /// Of one remote address; loopback addresses are not bounded.
    pub of_a_peer: usize,
}

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// All places are taken, and no silent connection can make room.
    All,
    /// The peer has as many as one peer may have.
    Peer,
}

/// The connections of a listener.
#[derive(Debug)]
pub(super) struct Connections {
    bounds: Bounds,
    open: Mutex<Open>,
    metrics: Arc<TransportMetrics>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    all: usize,
    peers: HashMap<IpAddr, usize>,
    /// The silent connections, in the order in which they arrived.
    silent: BTreeMap<u64, Arc<Notify>>,
}

impl Connections {
    /// No connections yet.
    #[must_use]
    pub(super) fn new(bounds: Bounds, metrics: Arc<TransportMetrics>) -> Arc<Self> {
        Arc::new(Self { bounds, open: Mutex::default(), metrics })
    }

    /// Takes a place for a connection of this peer.
    ///
    /// # Errors
    /// If there is no place.
    pub(super) fn enter(self: &Arc<Self>, peer: IpAddr) -> Result<Place, Refused> {
        let mut open = self.open.lock();
        let peer = peer.to_canonical();
        let counted = (!peer.is_loopback()).then_some(peer);
        if counted.is_some_and(|peer| open.peers.get(&peer).is_some_and(|count| *count >= self.bounds.of_a_peer)) {
            self.metrics.shed(Shed::PeerConnections);
            return Err(Refused::Peer);
        }
        if open.all >= self.bounds.all {
            // Connections that were asked to go and are still open need files; a few are kept back for them.
            let going = open.all.saturating_sub(self.bounds.all);
            let longest = if going < GOING_MAX { open.silent.pop_first() } else { None };
            let Some((_, longest)) = longest else {
                self.metrics.shed(Shed::Connections);
                return Err(Refused::All);
            };
            longest.notify_one();
            self.metrics.shed(Shed::MadeRoom);
        }
        let number = open.next;
        open.next = number.saturating_add(1);
        open.all = open.all.saturating_add(1);
        if let Some(peer) = counted {
            let count = open.peers.entry(peer).or_default();
            *count = count.saturating_add(1);
        }
        let make_room = Arc::new(Notify::new());
        open.silent.insert(number, Arc::clone(&make_room));
        self.metrics.silent.add(1);
        Ok(Place { connections: Arc::clone(self), number, peer: counted, make_room, calls: false })
    }
}

/// A connection's place. Dropped, it is free again.
#[derive(Debug)]
pub(super) struct Place {
    connections: Arc<Connections>,
    number: u64,
    /// `None` for a loopback address.
    peer: Option<IpAddr>,
    /// Notified when the connection must make room.
    pub make_room: Arc<Notify>,
    calls: bool,
}

impl Place {
    /// The first call has arrived: the connection is no longer silent and keeps its place. False if it was already
    /// asked to make room.
    #[must_use]
    pub(super) fn spoke(&mut self) -> bool {
        if self.calls {
            return true;
        }
        if self.connections.open.lock().silent.remove(&self.number).is_none() {
            return false;
        }
        self.calls = true;
        self.connections.metrics.silent.subtract(1);
        self.connections.metrics.calling.add(1);
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock();
        open.all = open.all.saturating_sub(1);
        open.silent.remove(&self.number);
        if let Some(peer) = self.peer
            && let Some(count) = open.peers.get_mut(&peer)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.peers.remove(&peer);
            }
        }
        let metrics = &self.connections.metrics;
        let state = if self.calls { &metrics.calling } else { &metrics.silent };
        state.subtract(1);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const FAR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 2, 3));

    fn asked(place: &Place) -> bool {
        place.make_room.notified().now_or_never().is_some()
    }

    #[test]
    fn the_longest_silent_makes_room() {
        let connections = Connections::new(Bounds { all: 3, of_a_peer: 3 }, Arc::default());
        let mut places: Vec<_> = (0..3).map(|_| connections.enter(HERE).expect("a place")).collect();
        assert!(places[0].spoke());
        assert_eq!((connections.metrics.silent.get(), connections.metrics.calling.get()), (2, 1));
        let fourth = connections.enter(HERE).expect("the second makes room");
        assert_eq!(places.iter().map(asked).collect::<Vec<_>>(), [false, true, false]);
        assert!(!places[1].spoke(), "its place is another's");
        places.remove(1);
        assert!(places[1].spoke());
        let mut fourth = fourth;
        assert!(fourth.spoke());
        assert_eq!(connections.enter(HERE).map(drop), Err(Refused::All));
        drop(fourth);
        assert!(connections.enter(HERE).is_ok());
        drop(places);
        assert_eq!((connections.metrics.silent.get(), connections.metrics.calling.get()), (0, 0));
        let shed: Vec<_> = connections.metrics.all_shed().filter(|(_, count)| *count > 0).collect();
        assert_eq!(shed, [(Shed::Connections, 1), (Shed::MadeRoom, 1)]);
    }

    #[test]
    fn a_peer_beyond_this_machine_keeps_to_its_part() {
        let connections = Connections::new(Bounds { all: 8, of_a_peer: 2 }, Arc::default());
        let places = [connections.enter(FAR).expect("one"), connections.enter(FAR).expect("two")];
        assert_eq!(connections.enter(FAR).map(drop), Err(Refused::Peer));
        // The same peer, as a dual-stack socket shows it.
        let mapped = "::ffff:10.1.2.3".parse().expect("an address");
        assert_eq!(connections.enter(mapped).map(drop), Err(Refused::Peer));
        let here: Vec<_> = (0..6).map(|_| connections.enter(HERE).expect("no bound")).collect();
        drop(places);
        assert!(connections.enter(FAR).is_ok());
        assert_eq!(here.len(), 6);
        drop(here);
        assert!(connections.open.lock().peers.is_empty());
    }
}
