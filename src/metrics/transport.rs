//! What is counted of connections: how many there are, and what was shed.

use stockade_types::metrics::{Counter, Gauge};

/// Why the server ended a connection, or did not take one or a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shed {
    /// Too many calls were begun and reset.
    Resets,
    /// Too many pings, settings and other frames of control.
    ControlFrames,
    /// Too many window updates.
    WindowUpdates,
    /// The peer did not say what it came for in time.
    Silent,
    /// The peer began something and did not go on, or did not take what it asked for.
    Stuck,
    /// There were as many connections as there may be.
    Connections,
    /// Its peer had as many connections as a peer may have.
    PeerConnections,
    /// A silent connection made room for another.
    MadeRoom,
    /// There was no room for more bytes in flight.
    Bytes,
}

impl Shed {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Resets,
        Self::ControlFrames,
        Self::WindowUpdates,
        Self::Silent,
        Self::Stuck,
        Self::Connections,
        Self::PeerConnections,
        Self::MadeRoom,
        Self::Bytes,
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
        }
    }
}

/// The counts of a server's connections.
#[derive(Debug, Default)]
pub struct TransportMetrics {
    /// gRPC connections that have not called yet.
    pub silent: Gauge,
    /// gRPC connections that have.
    pub calling: Gauge,
    /// HTTP connections.
    pub http: Gauge,
    shed: [Counter; Shed::ALL.len()],
}

impl TransportMetrics {
    /// Counts what was shed.
    pub fn shed(&self, reason: Shed) {
        if let Some((count, _)) = self.shed.iter().zip(Shed::ALL).find(|(_, other)| *other == reason) {
            count.increment();
        }
    }

    /// What was shed so far, by reason.
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
