//! `load-tests history`: what real clients saw of a real server that is killed and stopped in its tracks, checked for
//! linearizability.

mod event;
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

use std::path::Path;

pub use check::Report;
pub use drive::{Options, record};
pub use event::History;

use crate::failure::Failure;

/// Checks a history; the search within its usual bounds.
#[must_use]
pub fn check(history: &History) -> Report {
    check::check(history, search::Bounds::default())
}

/// Reads a history from a file.
///
/// # Errors
/// When it can't be read, or is none.
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
