//! `load-tests history`: checks for linearizability what real clients saw of a real server that is killed and paused.

mod event;
mod market;
mod file;
mod state;
mod terms;
mod lens;
mod step;
mod search;
mod plain;
mod explain;
mod check;

mod floor;
mod ask;
mod client;
mod chaos;
mod drive;

#[cfg(test)]
mod planted;
#[cfg(test)]
mod planted_rules;

use std::path::Path;

pub use check::Report;
pub use drive::{Options, record};
pub use event::History;

use stockade_drill::Failure;

/// Checks a history, with the usual bounds of the search.
#[must_use]
pub fn check(history: &History) -> Report {
    check::check(history, search::Bounds::default())
}

/// Reads a history from a file.
///
/// # Errors
/// When it can't be read, or is not a history.
pub fn read(path: &Path) -> Result<History, Failure> {
    file::read(path)
}

/// Writes a history to a file.
///
/// # Errors
/// When it can't be written.
pub fn write(history: &History, path: &Path) -> Result<(), Failure> {
    file::write(history, path)
}
