//! The rows of the comparison: who stands beside whom, and what Stockade has to reach.

use super::redis::Callers;
use super::work::Work;

/// Who does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contestant {
    /// Stockade.
    Stockade(Work),
    /// The bare handler.
    Bare(Work),
    /// The script in Redis.
    Redis(Callers),
    /// The function in `PostgreSQL`, with so many connections.
    Postgres(usize),
}

impl Contestant {
    /// For people.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Stockade(_) => "Stockade".to_owned(),
            Self::Bare(_) => "empty handler".to_owned(),
            Self::Redis(Callers { clients, pipeline: 1 }) => format!("Redis, {clients} in flight"),
            Self::Redis(Callers { clients, pipeline }) => format!("Redis, {clients} clients, pipelined {pipeline}"),
            Self::Postgres(clients) => format!("PostgreSQL, {clients} clients"),
        }
    }
}

/// What happens beside the load in a row that compares Stockade with itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// Snapshots of all live holds are taken.
    Snapshot,
    /// All those holds expire within one second.
    Expiry,
}

/// How a row is measured.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Throughput beside a peer at its best of several ways.
    Rate {
        /// What is done.
        work: Work,
        /// The ways; the best is chosen by a run of each.
        peers: &'static [Contestant],
        /// Stockade's rate by the peer's, at least.
        least: f64,
        /// And operations a second, at least.
        floor: Option<f64>,
    },
    /// The 99th percentile while something happens, by that without.
    Tail {
        /// What happens.
        beside: Beside,
        /// At most.
        most: f64,
    },
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// By which it is chosen.
    pub name: &'static str,
    /// For people.
    pub title: &'static str,
    /// How.
    pub kind: Kind,
}

const fn redis(clients: usize, pipeline: usize) -> Contestant {
    Contestant::Redis(Callers { clients, pipeline })
}

/// Every row that has a peer, or itself as one.
pub const ROWS: [Row; 8] = [
    Row {
        name: "unary-empty",
        title: "unary Reserve, durable, 8 x 16 in flight, by an empty handler with the same answer",
        kind: Kind::Rate { work: Work::Reserve, peers: &[Contestant::Bare(Work::Reserve)], least: 0.75, floor: None },
    },
    Row {
        name: "unary-redis",
        title: "unary Reserve, durable, by reserve.lua on Redis with appendfsync always",
        kind: Kind::Rate { work: Work::Reserve, peers: &[redis(50, 1), redis(128, 1)], least: 1.5, floor: None },
    },
    Row {
        name: "batch-empty",
        title: "BatchStream, durable, brief, 1,000 a message, 8 streams, by an empty handler with the same messages",
        kind: Kind::Rate {
            work: Work::Batch,
            peers: &[Contestant::Bare(Work::Batch)],
            least: 0.35,
            floor: Some(1_000_000.0),
        },
    },
    Row {
        name: "batch-redis",
        title: "BatchStream, durable, by reserve.lua pipelined 64 on Redis with appendfsync always",
        kind: Kind::Rate { work: Work::Batch, peers: &[redis(8, 64), redis(50, 64)], least: 10.0, floor: None },
    },
    Row {
        name: "refusal-empty",
        title: "refusal of a sold-out SKU, unary, by an empty handler with the same refusal",
        kind: Kind::Rate { work: Work::Refusal, peers: &[Contestant::Bare(Work::Refusal)], least: 0.92, floor: None },
    },
    Row {
        name: "unary-postgres",
        title: "unary Reserve, durable, by reserve.sql on PostgreSQL",
        kind: Kind::Rate {
            work: Work::Reserve,
            peers: &[Contestant::Postgres(4), Contestant::Postgres(50), Contestant::Postgres(128)],
            least: 12.0,
            floor: None,
        },
    },
    Row {
        name: "p99-snapshot",
        title: "p99 while a snapshot of all live holds is taken, open loop at half of capacity, by p99 without",
        kind: Kind::Tail { beside: Beside::Snapshot, most: 1.3 },
    },
    Row {
        name: "p99-expiry",
        title: "p99 while all those holds expire in one second, open loop at half of capacity, by p99 without",
        kind: Kind::Tail { beside: Beside::Expiry, most: 1.5 },
    },
];
