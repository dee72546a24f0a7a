//! Snapshots: every entity whole, as of its revision, in one file, so that the journal before it can be trimmed.
//!
//! A snapshot is taken while the engine runs. Each entry is as of some instant between the journal's positions `from`,
//! before the walk, and `upto`, after it. Loading it and applying the journal after `from`, where each entity skips
//! what it contains already, restores the state. A snapshot is valid only with a journal that reaches `upto`. This
//! module writes, reads and keeps the files; the engine decides what is in them and when they are taken.
//!
//! `docs/journal-format.md` describes the bytes.

mod read;
mod write;

use std::io;

use stockade_types::codec::DecodeError;
use stockade_types::ids::Lsn;
use stockade_types::time::Timestamp;

use crate::storage::Storage;

pub use read::load;
pub use write::{SnapshotWriter, Written};

/// Version of the format. Other versions are refused.
pub const FORMAT_VERSION: u32 = 1;
/// How many snapshots are kept: the newest, and the one before in case it is damaged.
pub const KEPT: usize = 2;
/// How many snapshots set aside are kept, for later inspection.
pub const KEPT_ASIDE: usize = 2;

const MAGIC: [u8; 8] = *b"STKSNAP\0";
const SUFFIX: &str = ".snapshot";
const UNFINISHED: &str = ".snapshot.tmp";
/// A snapshot that a start could not use.
const ASIDE: &str = ".snapshot.bad";
/// Header: magic, version, `from`, CRC32C.
const HEADER: usize = 8 + 4 + 8 + 4;
/// Before each block: kind, length of its payload, CRC32C over kind, length and payload.
const BLOCK_HEADER: usize = 1 + 4 + 4;
/// Payload bytes after which a block ends.
const BLOCK: usize = 64 * 1024;

mod block {
    /// Entries: revision, length, record.
    pub(super) const ENTRIES: u8 = 1;
    /// The end: `upto`, chain hash, time, count of entries.
    pub(super) const END: u8 = 2;
}

/// Why a snapshot can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The disk returned an error.
    #[error("snapshot {file}: {source}")]
    Io {
        /// Which file.
        file: String,
        /// Its error.
        source: io::Error,
    },
    /// The bytes are not what was written.
    #[error("snapshot {file} is damaged at byte {offset}: {what}")]
    Damage {
        /// Which file.
        file: String,
        /// The byte.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// It has another format version.
    #[error("snapshot {file} has format version {found}; this build reads version {FORMAT_VERSION}")]
    Foreign {
        /// Which file.
        file: String,
        /// Its version.
        found: u32,
    },
}

/// A loaded snapshot's metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Replay starts after this LSN.
    pub from: Lsn,
    /// The journal must reach this LSN.
    pub upto: Lsn,
    /// Hash of the journal's batch that ends at `upto`.
    pub chain: [u8; 32],
    /// When it was finished.
    pub written_at: Timestamp,
    /// The number of entities.
    pub entries: u64,
    /// The file's size in bytes.
    pub bytes: u64,
}

/// The name of the snapshot whose replay begins after `from`.
#[must_use]
pub fn name(from: Lsn) -> String {
    format!("{:020}{SUFFIX}", from.0)
}

/// Snapshots in the folder, newest first. Other files are ignored.
///
/// # Errors
/// When the folder can't be read.
pub fn list(storage: &dyn Storage) -> io::Result<Vec<Lsn>> {
    let names = storage.list()?;
    let mut found: Vec<Lsn> =
        names.iter().filter_map(|name| name.strip_suffix(SUFFIX)?.parse().ok()).map(Lsn).collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

/// Names of the snapshots that were set aside, oldest first.
///
/// # Errors
/// When the folder can't be read.
pub fn list_set_aside(storage: &dyn Storage) -> io::Result<Vec<String>> {
    let mut names = storage.list()?;
    names.retain(|name| name.ends_with(ASIDE));
    names.sort_unstable();
    Ok(names)
}

/// Renames unusable snapshots, so that none counts as a fallback. Keeps the newest [`KEPT_ASIDE`] of all set aside.
/// Returns the new names.
///
/// # Errors
/// When a file can't be renamed or removed, or the folder can't be synced.
pub fn set_aside(storage: &dyn Storage, unusable: &[Lsn]) -> io::Result<Vec<String>> {
    if unusable.is_empty() {
        return Ok(Vec::new());
    }
    let mut named = Vec::new();
    for from in unusable {
        let aside = format!("{:020}{ASIDE}", from.0);
        storage.rename(&name(*from), &aside)?;
        named.push(aside);
    }
    storage.sync_dir()?;
    for old in list_set_aside(storage)?.iter().rev().skip(KEPT_ASIDE) {
        storage.remove(old)?;
    }
    storage.sync_dir()?;
    Ok(named)
}

/// Removes all but the newest [`KEPT`] snapshots and the remains of unfinished ones. Returns the `from` of the oldest
/// kept one, up to which the journal may be trimmed; none if fewer than [`KEPT`] exist.
///
/// # Errors
/// When a file can't be removed.
pub fn prune(storage: &dyn Storage) -> io::Result<Option<Lsn>> {
    for unfinished in storage.list()?.iter().filter(|name| name.ends_with(UNFINISHED)) {
        storage.remove(unfinished)?;
    }
    let found = list(storage)?;
    for old in found.iter().skip(KEPT) {
        storage.remove(&name(*old))?;
    }
    storage.sync_dir()?;
    Ok(if found.len() < KEPT { None } else { found.into_iter().take(KEPT).next_back() })
}

fn bad(file: &str, offset: u64, error: DecodeError) -> SnapshotError {
    SnapshotError::Damage { file: file.to_owned(), offset, what: format!("it {error}") }
}

#[cfg(test)]
mod tests;
