//! The settings of a server as flags.

use std::path::PathBuf;

use clap::Args;

use crate::config::Given;

pub(super) const SERVE_HELP: &str = "Every flag is also read from the environment, as STOCKADE_GRPC or STOCKADE_SNAPSHOT_EVERY, \
    and from\na TOML file, as grpc or snapshot_every. A flag wins over the environment, that over the file. The level of\n\
    logs is STOCKADE_LOG (error, warn, info, debug).\n\n\
    Examples:\n  \
    stockade serve\n  \
    stockade serve --grpc 0.0.0.0:7411 --http 0.0.0.0:7412 --data /var/lib/stockade --drain-delay 5s\n  \
    stockade serve --ephemeral --log-format json";

/// Run a server.
#[derive(Debug, Args)]
pub struct ServeFlags {
    /// Where to serve gRPC; a name is looked up [default: 127.0.0.1:7411]
    #[arg(long, value_name = "ADDRESS")]
    grpc: Option<String>,
    /// Where to serve /healthz, /readyz and /metrics [default: 127.0.0.1:7412]
    #[arg(long, value_name = "ADDRESS")]
    http: Option<String>,
    /// Where journal and snapshots are kept [default: ./stockade-data]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// A TOML file with settings [default: stockade.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// When a record counts as durable: sync (on the disk) or os (in the page cache) [default: sync]
    #[arg(long, value_name = "sync|os")]
    durability: Option<String>,
    /// Keep nothing: the journal is in memory and gone with the process
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    ephemeral: Option<String>,
    /// When to take a snapshot, whichever comes first [default: 5m,256MiB]
    #[arg(long, value_name = "DURATION,SIZE")]
    snapshot_every: Option<String>,
    /// For how long ended holds are remembered, so that a late retry gets its answer [default: 24h]
    #[arg(long, value_name = "DURATION")]
    retry_window: Option<String>,
    /// How long after its closing a drop is archived, once none of its holds is live: its holds leave memory [default: 7d]
    #[arg(long, value_name = "DURATION")]
    archive_after: Option<String>,
    /// Most holds that are held, in payment or claimed [default: 50000000]
    #[arg(long, value_name = "N")]
    max_holds: Option<String>,
    /// Most ended holds that are remembered [default: 10000000]
    #[arg(long, value_name = "N")]
    max_ended_holds: Option<String>,
    /// A hold that was live when the server stopped lives at least so long after the start [default: 30s]
    #[arg(long, value_name = "DURATION")]
    outage_grace: Option<String>,
    /// How long to go on serving, not ready, when told to stop [default: 0s]
    #[arg(long, value_name = "DURATION")]
    drain_delay: Option<String>,
    /// How long to wait for calls in flight after that [default: 10s]
    #[arg(long, value_name = "DURATION")]
    drain_timeout: Option<String>,
    /// How to write logs to standard error: text or json [default: text]
    #[arg(long, value_name = "text|json")]
    log_format: Option<String>,
    /// Start even if the journal's last record is from the future
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    accept_clock: Option<String>,
    /// A file with the key of the keyed hashes, 32 hexadecimal digits: the data folder has none then [default: none]
    #[arg(long, value_name = "FILE")]
    identity_key_file: Option<String>,
}

impl ServeFlags {
    /// The flags that were given, as text: they are checked together with the other sources.
    pub fn given(self) -> Vec<Given> {
        let Self {
            grpc,
            http,
            data,
            config: _,
            durability,
            ephemeral,
            snapshot_every,
            retry_window,
            archive_after,
            max_holds,
            max_ended_holds,
            outage_grace,
            drain_delay,
            drain_timeout,
            log_format,
            accept_clock,
            identity_key_file,
        } = self;
        let all = [
            ("grpc", grpc),
            ("http", http),
            ("data", data),
            ("durability", durability),
            ("ephemeral", ephemeral),
            ("snapshot-every", snapshot_every),
            ("retry-window", retry_window),
            ("archive-after", archive_after),
            ("max-holds", max_holds),
            ("max-ended-holds", max_ended_holds),
            ("outage-grace", outage_grace),
            ("drain-delay", drain_delay),
            ("drain-timeout", drain_timeout),
            ("log-format", log_format),
            ("accept-clock", accept_clock),
            ("identity-key-file", identity_key_file),
        ];
        all.into_iter().filter_map(|(setting, text)| Some(Given::flag(setting, text?))).collect()
    }
}
