//! The table of settings. It defines the flags of `serve`, the variables, the keys of the file, the help and
//! [`Config`]. A test compares the table in docs/operations.md with it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use stockade_types::time::Millis;

use super::log_filter::LogFilter;
use super::parse;
use super::sources::Sources;
use super::{Durability, KeepEvents, LogFormat, SnapshotEvery};
use crate::channels::Channel;

/// The prefix of our variables.
pub(super) const PREFIX: &str = "STOCKADE_";

/// A setting of the server, with its name and description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Its key in the file, and its field in [`Config`].
    pub key: &'static str,
    /// Its flag, without the dashes in front.
    pub flag: &'static str,
    /// What its flag takes.
    pub takes: Takes,
    /// Its value if it is not set.
    pub default: Preset,
    /// One sentence about it.
    pub what: &'static str,
}

impl Setting {
    /// Its variable: `STOCKADE_SNAPSHOT_EVERY` for `snapshot_every`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.key.to_ascii_uppercase())
    }
}

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// A value, with its name in the help.
    Value(&'static str),
    /// Nothing, or `=true` or `=false`.
    Switch,
}

/// The value of a setting that is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// This text, as if it had been set.
    Text(&'static str),
    /// No value; the words say what happens then.
    Unset(&'static str),
}

impl Preset {
    /// As the help shows it.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Text(words) | Self::Unset(words) => words,
        }
    }
}

/// Makes [`Config`], [`SETTINGS`] and the function that reads [`Config`] from the sources, so that no setting can be
/// missing from one of them. A default is `is "text"`, or `unset "words"` for a setting that is an `Option`.
macro_rules! settings {
    ($($key:ident $flag:literal: $kind:ty, $takes:expr, $preset:ident $default:literal, $parser:path, $what:literal;)*) => {
        /// A server's settings.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Config {
            $(#[doc = $what] pub $key: $kind,)*
            /// The channels, which only the file has.
            pub channels: Vec<Channel>,
        }

        /// Every setting.
        pub const SETTINGS: &[Setting] = &[$(Setting {
            key: stringify!($key),
            flag: $flag,
            takes: $takes,
            default: settings!(@preset $preset $default),
            what: $what,
        },)*];

        /// Every setting from the sources. `None` if a default can't be parsed, which a test rules out.
        pub(super) fn read(sources: &mut Sources) -> Option<Config> {
            $(let $key = settings!(@take $preset sources, $flag, $default, $parser);)*
            Some(Config { $($key: $key?,)* channels: std::mem::take(&mut sources.channels) })
        }
    };
    (@preset is $text:literal) => { Preset::Text($text) };
    (@preset unset $words:literal) => { Preset::Unset($words) };
    (@take is $sources:ident, $flag:literal, $default:literal, $parser:path) => { $sources.take($flag, $default, $parser) };
    (@take unset $sources:ident, $flag:literal, $default:literal, $parser:path) => {
        Some($sources.take_if_given($flag, $parser))
    };
}

settings! {
    grpc "grpc": SocketAddr, Takes::Value("ADDRESS"), is "127.0.0.1:7411", parse::address,
        "Where gRPC is served: an IP address or a name, with a port; of a name's addresses the first is taken";
    http "http": SocketAddr, Takes::Value("ADDRESS"), is "127.0.0.1:7412", parse::address,
        "Where /healthz, /readyz, /metrics and calls by the Connect protocol are served";
    insecure_listen "insecure-listen": bool, Takes::Switch, is "false", parse::switch,
        "Serve calls at --http beyond the loopback too, where anyone who reaches the address may make them";
    public "public": Option<SocketAddr>, Takes::Value("ADDRESS"), unset "nothing is served to the public",
        parse::address,
        "Where anyone may read statuses, pages and the calendar of drops";
    public_url "public-url": Option<String>, Takes::Value("URL"), unset "as each request names it", parse::url,
        "The site under which the public reaches that, with its scheme, for links in calendars";
    max_public_connections "max-public-connections": Option<u32>, Takes::Value("N"),
        unset "from the memory, and the files that it may open", parse::small_count,
        "Most connections of the public at once, and most streams of statuses";
    data "data": PathBuf, Takes::Value("DIR"), is "./stockade-data", parse::path,
        "The data folder: journal and snapshots";
    durability "durability": Durability, Takes::Value("sync|os"), is "sync", parse::durability,
        "When a record counts as durable: sync, once the disk has it; os, once the operating system has it";
    ephemeral "ephemeral": bool, Takes::Switch, is "false", parse::switch,
        "Keep nothing: the journal is in memory and gone with the process";
    snapshot_every "snapshot-every": SnapshotEvery, Takes::Value("DURATION,SIZE"), is "5m,256MiB",
        parse::snapshot_every,
        "A snapshot is taken after this time or this much journal, whichever comes first; by size never before half \
         of the last snapshot's size. At least 100ms,1KiB";
    keep_events "keep-events": KeepEvents, Takes::Value("AGE,SIZE|none"), is "7d,10GiB", parse::keep_events,
        "How long the journal is kept for readers beyond what a start needs: to this age or size, whichever is less; \
         none keeps nothing";
    archive_after "archive-after": Millis, Takes::Value("DURATION"), is "45d", parse::millis,
        "How long after its closing a drop without live holds is archived: nothing of it can be returned any more";
    keep_reports "keep-reports": Millis, Takes::Value("DURATION"), is "800d", parse::millis,
        "How long the report of a drop is kept";
    webhooks_to_private "webhooks-to-private": bool, Takes::Switch, is "false", parse::switch,
        "Let webhooks reach addresses that are not public, and by http; otherwise public ones by https alone";
    retry_window "retry-window": Millis, Takes::Value("DURATION"), is "24h", parse::millis,
        "How long an ended hold is remembered, so that a late retry gets its answer";
    max_holds "max-holds": Option<u64>, Takes::Value("N"), unset "from the memory, at most 50000000", parse::count,
        "Most holds that are held, in payment or claimed; with --max-ended-holds, also most subjects of limits";
    max_ended_holds "max-ended-holds": Option<u64>, Takes::Value("N"), unset "from the memory, at most 10000000",
        parse::count,
        "Most ended holds that are remembered; beyond it the oldest are forgotten early";
    memory_budget "memory-budget": Option<u64>, Takes::Value("SIZE"), unset "from the memory that the process may have",
        parse::size_above_zero,
        "Memory that the server may use; bounds, and when nothing new is let in, follow from it";
    max_connections "max-connections": Option<u32>, Takes::Value("N"), unset "from the memory, and the files that it may open",
        parse::small_count,
        "Most gRPC connections at once";
    max_connections_per_peer "max-connections-per-peer": Option<u32>, Takes::Value("N"), unset "from --max-connections",
        parse::small_count,
        "Most gRPC connections at once from one address";
    identity_key_file "identity-key-file": Option<PathBuf>, Takes::Value("FILE"), unset "kept in the data folder",
        parse::path,
        "The file with the key that identities are hashed with; the data folder then has none";
    outage_grace "outage-grace": Millis, Takes::Value("DURATION"), is "30s", parse::millis,
        "A hold that was live when the server stopped lives at least this long after the start";
    drain_delay "drain-delay": Duration, Takes::Value("DURATION"), is "0s", parse::span,
        "How long a stopping server still serves, not ready, so that balancers see it";
    drain_timeout "drain-timeout": Duration, Takes::Value("DURATION"), is "10s", parse::span,
        "How long it then waits for calls in flight";
    log "log": LogFilter, Takes::Value("LEVEL"), is "info", parse::log_filter,
        "What is logged: error, warn, info, debug, trace or off, or a list such as warn,stockade::grpc=debug, in \
         which a level alone is for all other targets";
    log_format "log-format": LogFormat, Takes::Value("text|json"), is "text", parse::log_format,
        "How logs are written to standard error: text or json";
    accept_clock "accept-clock": bool, Takes::Switch, is "false", parse::switch,
        "Start although the wall clock is more than 5 s behind the journal";
}
