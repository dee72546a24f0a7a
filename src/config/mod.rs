//! How a server is set up: flag over environment over file, every error told at once, and then plain typed data.
//!
//! This is the one door to the environment. Nothing here listens, or opens a data folder.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::time::Millis;

mod parse;
mod sources;

pub use parse::span;
pub use sources::{Given, environment, environment_names, unknown_variables};

use sources::Sources;

/// Read when it is there and no other file was named.
const DEFAULT_FILE: &str = "stockade.toml";

/// Every setting by its flag's name. As `STOCKADE_…` in capitals with `_` for `-` in the environment; in the file
/// with `_` or `-`.
pub const SETTINGS: [&str; 15] = [
    "grpc",
    "http",
    "data",
    "durability",
    "ephemeral",
    "snapshot-every",
    "retry-window",
    "max-holds",
    "max-ended-holds",
    "outage-grace",
    "drain-delay",
    "drain-timeout",
    "log-format",
    "accept-clock",
    "identity-key-file",
];

/// A server's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where gRPC is served.
    pub grpc: SocketAddr,
    /// Where health, readiness and metrics are served.
    pub http: SocketAddr,
    /// Where journal and snapshots are kept.
    pub data: PathBuf,
    /// When a record counts as durable.
    pub durability: Durability,
    /// Keep nothing: journal in memory, gone with the process.
    pub ephemeral: bool,
    /// When a snapshot is taken.
    pub snapshot_every: SnapshotEvery,
    /// For how long ended holds are remembered, at least.
    pub retry_window: Millis,
    /// How long after its closing a drop is archived, once none of its holds is live.
    pub archive_after: Millis,
    /// Most holds that are held, in payment or claimed; as many subjects.
    pub max_holds: u64,
    /// Most ended holds that are remembered.
    pub max_ended_holds: u64,
    /// A hold that was live when the server stopped lives at least so long after its start.
    pub outage_grace: Millis,
    /// How long a server that is told to stop still serves, not ready, so that balancers see it.
    pub drain_delay: Duration,
    /// How long it then waits for calls in flight.
    pub drain_timeout: Duration,
    /// Start even if the journal's last record is from the future.
    pub accept_clock: bool,
    /// How logs are written.
    pub log_format: LogFormat,
    /// Where the key of the keyed hashes is kept, if not in the data folder.
    pub identity_key_file: Option<PathBuf>,
}

/// When a record counts as durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Once it is synced to the disk.
    Sync,
    /// Once the operating system has it: a crash of the machine may lose what was acknowledged.
    Os,
}

/// When a snapshot is taken: whichever comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotEvery {
    /// So long after the last one.
    pub period: Millis,
    /// After so many bytes of journal; never before half of the last snapshot's size.
    pub bytes: u64,
}

/// How logs are written, to standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigErrors(pub Vec<String>);

impl Config {
    /// Brings flags, environment and file together. `file` is the file that was named, if any; `environment` looks a
    /// variable up.
    ///
    /// # Errors
    /// With everything that is wrong, in all three sources.
    pub fn load(
        flags: Vec<Given>,
        file: Option<PathBuf>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigErrors> {
        let mut sources = Sources::new(flags);
        sources.read_environment(&environment);
        let named = file.or_else(|| environment("STOCKADE_CONFIG").map(PathBuf::from));
        match &named {
            Some(file) => sources.read_file(file),
            None if Path::new(DEFAULT_FILE).exists() => sources.read_file(Path::new(DEFAULT_FILE)),
            None => {}
        }
        Self::from_sources(sources)
    }

    /// From flags alone: neither environment nor file is looked at.
    ///
    /// # Errors
    /// With everything that is wrong.
    pub fn from_flags(flags: Vec<Given>) -> Result<Self, ConfigErrors> {
        Self::from_sources(Sources::new(flags))
    }

    fn from_sources(mut sources: Sources) -> Result<Self, ConfigErrors> {
        let from = &mut sources;
        let day = Millis::from_secs(24 * 60 * 60);
        let week = Millis::from_secs(7 * 24 * 60 * 60);
        let every = SnapshotEvery { period: Millis::from_secs(5 * 60), bytes: 256 * 1024 * 1024 };
        let config = Self {
            grpc: from.take("grpc", SocketAddr::from(([127, 0, 0, 1], 7411)), parse::address),
            http: from.take("http", SocketAddr::from(([127, 0, 0, 1], 7412)), parse::address),
            data: from.take("data", PathBuf::from("./stockade-data"), parse::folder),
            durability: from.take("durability", Durability::Sync, parse::durability),
            ephemeral: from.take("ephemeral", false, parse::switch),
            snapshot_every: from.take("snapshot-every", every, parse::snapshot_every),
            retry_window: from.take("retry-window", day, parse::millis),
            archive_after: from.take("archive-after", week, parse::millis),
            max_holds: from.take("max-holds", 50_000_000, parse::count),
            max_ended_holds: from.take("max-ended-holds", 10_000_000, parse::count),
            outage_grace: from.take("outage-grace", Millis::from_secs(30), parse::millis),
            drain_delay: from.take("drain-delay", Duration::ZERO, span),
            drain_timeout: from.take("drain-timeout", Duration::from_secs(10), span),
            accept_clock: from.take("accept-clock", false, parse::switch),
            log_format: from.take("log-format", LogFormat::Text, parse::log_format),
            identity_key_file: from.take("identity-key-file", None, parse::key_file),
        };
        if config.grpc == config.http && config.grpc.port() != 0 {
            from.errors.push(format!("grpc and http are both {}: they need an address each", config.grpc));
        }
        if sources.errors.is_empty() { Ok(config) } else { Err(ConfigErrors(sources.errors)) }
    }
}

#[cfg(test)]
mod tests;
