//! Metrics of connections: how many there are, and what was shed.

use stockade_types::metrics::{Counter, Gauge};

/// Why the server closed a connection, or refused one or a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shed {
    /// Too many calls were started and reset.
    Resets,
    /// Too many pings, settings and other control frames.
    ControlFrames,
    /// Too many window updates.
    WindowUpdates,
    /// The peer did not send its first request in time.
    Silent,
    /// The peer stalled: it did not finish what it began to send, or did not read what it requested.
    Stuck,
    /// The limit on all connections was reached.
    Connections,
    /// The limit on connections of one peer was reached.
    PeerConnections,
    /// A silent connection was closed to make room for another.
    MadeRoom,
    /// The limit on bytes in flight was reached.
    Bytes,
    /// A bound of the public listener was reached.
    Public,
}

impl Shed {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Resets,
        Self::ControlFrames,
        Self::WindowUpdates,
        Self::Silent,
        Self::Stuck,
        Self::Connections,
        Self::PeerConnections,
        Self::MadeRoom,
        Self::Bytes,
        Self::Public,
    ];

    /// As the metric's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Resets => "resets",
            Self::ControlFrames => "control_frames",
            Self::WindowUpdates => "window_updates",
            Self::Silent => "silent",
            Self::Stuck => "stuck",
            Self::Connections => "connections",
            Self::PeerConnections => "peer_connections",
            Self::MadeRoom => "made_room",
            Self::Bytes => "bytes",
            Self::Public => "public",
        }
    }
}

/// The metrics of a server's connections.
#[derive(Debug, Default)]
pub struct TransportMetrics {
    /// gRPC connections that have not called yet.
    pub silent: Gauge,
    /// gRPC connections that have.
    pub calling: Gauge,
    /// HTTP connections.
    pub http: Gauge,
    /// Connections of the public listener,
    pub public: Gauge,
    /// and those of their streams that are open.
    pub public_streams: Gauge,
    shed: [Counter; Shed::ALL.len()],
}

impl TransportMetrics {
    /// Counts one shed connection or call.
    pub fn shed(&self, reason: Shed) {
        if let Some((count, _)) = self.shed.iter().zip(Shed::ALL).find(|(_, other)| *other == reason) {
            count.increment();
        }
    }

    /// Counts by reason.
    pub fn all_shed(&self) -> impl Iterator<Item = (Shed, u64)> + '_ {
        self.shed.iter().zip(Shed::ALL).map(|(count, reason)| (reason, count.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shed_is_counted_by_reason() {
        let metrics = TransportMetrics::default();
        metrics.shed(Shed::Stuck);
        metrics.shed(Shed::Stuck);
        let counts: Vec<_> = metrics.all_shed().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counts, [(Shed::Stuck, 2)]);
    }
}
