//! The server's configuration. Flags override the environment, which overrides the file. All errors are reported at
//! once.
//!
//! Only this module reads the environment. It opens no socket and no data folder.

use std::path::{Path, PathBuf};

use stockade_types::time::Millis;

mod channels;
mod fields;
mod log_filter;
mod parse;
mod sources;
mod table;

pub use log_filter::LogFilter;
pub use parse::span;
pub use sources::{Given, environment, environment_names, unknown_variables};
pub use table::{Config, Preset, SETTINGS, Setting, Takes};

use sources::Sources;

/// Read if it exists and no other file is named.
const DEFAULT_FILE: &str = "stockade.toml";

/// When a record counts as durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Once it is synced to the disk.
    Sync,
    /// Once the operating system has it. A crash of the machine may lose acknowledged records.
    Os,
}

/// When a snapshot is taken: after the first of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotEvery {
    /// This long after the last one.
    pub period: Millis,
    /// After this many bytes of journal, but at least half of the last snapshot's size.
    pub bytes: u64,
}

/// How much of the journal is kept for readers, beyond what a start needs: up to the first of the two bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepEvents {
    /// The largest age.
    pub age: Millis,
    /// The most bytes.
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
    /// Merges flags, environment and file. `file` is the file that was named, if any; `environment` looks up a
    /// variable.
    ///
    /// # Errors
    /// All errors of all three sources.
    pub fn load(
        flags: Vec<Given>,
        file: Option<PathBuf>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigErrors> {
        let mut sources = Sources::new(flags);
        sources.read_environment(&environment);
        let named = file.or_else(|| environment("STOCKADE_CONFIG").map(PathBuf::from));
        match &named {
            Some(file) => sources.read_file(file, &environment),
            None if Path::new(DEFAULT_FILE).exists() => sources.read_file(Path::new(DEFAULT_FILE), &environment),
            None => {}
        }
        Self::from_sources(sources)
    }

    /// From flags alone, without environment and file.
    ///
    /// # Errors
    /// All errors.
    pub fn from_flags(flags: Vec<Given>) -> Result<Self, ConfigErrors> {
        Self::from_sources(Sources::new(flags))
    }

    fn from_sources(mut sources: Sources) -> Result<Self, ConfigErrors> {
        let config = table::read(&mut sources);
        if let Some(Self { grpc, http, public, .. }) = &config {
            let given = [("grpc", Some(*grpc)), ("http", Some(*http)), ("public", *public)];
            let good = given.into_iter().filter(|(flag, _)| !sources.is_faulty(flag));
            let bound: Vec<_> = good.filter_map(|(flag, at)| Some((flag, at.filter(|at| at.port() != 0)?))).collect();
            let others = |place: usize| bound.iter().skip(place.saturating_add(1));
            let pairs = bound.iter().enumerate().flat_map(|(place, one)| others(place).map(move |other| (one, other)));
            let same = pairs.filter(|((_, one), (_, other))| one == other);
            let faults: Vec<_> = same
                .map(|((one, at), (other, _))| format!("{one} and {other} are both {at}: they need an address each"))
                .collect();
            sources.errors.extend(faults);
        }
        if let Some(Self { ephemeral: true, channels, .. }) = &config
            && let Some(channel) = channels.first()
        {
            let what = "channels need a journal that is kept: leave ephemeral out, or the channels";
            sources.errors.push(format!("{}: {what}", channel.place));
        }
        config.filter(|_| sources.errors.is_empty()).ok_or(ConfigErrors(sources.errors))
    }
}

/// The log filter of a command that is no server: `STOCKADE_LOG` if it is set, else `usual`.
///
/// # Errors
/// If that can't be parsed.
pub fn log_filter(environment: impl Fn(&str) -> Option<String>, usual: LogFilter) -> Result<LogFilter, ConfigErrors> {
    let mut sources = Sources::new(Vec::new());
    sources.read_environment(&environment);
    let given = sources.take_if_given("log", parse::log_filter);
    if sources.errors.is_empty() { Ok(given.unwrap_or(usual)) } else { Err(ConfigErrors(sources.errors)) }
}

#[cfg(test)]
mod tests;
