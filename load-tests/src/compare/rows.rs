//! The rows of the comparison: the peers, and the bound of each ratio.

use load_test_peers::redis::Callers;

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
    /// The function in `PostgreSQL`, over this many connections.
    Postgres(usize),
}

impl Contestant {
    /// The name for display.
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

/// What happens during the load in a row that compares Stockade with itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// Snapshots of all live holds are taken.
    Snapshot,
    /// All those holds expire within one second.
    Expiry,
    /// The public reads: many streams are open, and statuses are polled.
    Readers,
}

/// How a row is measured.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Throughput against a peer in its fastest of several configurations.
    Rate {
        /// The work.
        work: Work,
        /// The configurations; the fastest in a run of each is chosen.
        peers: &'static [Contestant],
        /// The least ratio of Stockade's rate to the peer's.
        least: f64,
        /// The least rate in operations a second.
        floor: Option<f64>,
    },
    /// The 99th percentile while something happens, divided by that without it.
    Tail {
        /// What happens.
        beside: Beside,
        /// The greatest ratio.
        most: f64,
    },
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The name by which it is chosen.
    pub name: &'static str,
    /// The title for display.
    pub title: &'static str,
    /// How it is measured.
    pub kind: Kind,
}

const fn redis(clients: usize, pipeline: usize) -> Contestant {
    Contestant::Redis(Callers { clients, pipeline })
}

/// All rows, whether their peer is another program or Stockade itself.
pub const ROWS: [Row; 9] = [
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
    Row {
        name: "p99-readers",
        title: "p99 beside readers of the public listener, open loop at half of capacity, by p99 without",
        kind: Kind::Tail { beside: Beside::Readers, most: 1.25 },
    },
];
