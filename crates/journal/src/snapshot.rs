//! Snapshots: every entity whole, as of its revision, in one file, so that the journal behind it can go.
//!
//! A snapshot is taken while the engine runs. Its entries are as of any instant between the journal's place `from`,
//! before the walk, and `upto`, after it; loading it and applying the journal from `from` on, each entity skipping
//! what it has seen, gives what was there. It is good only together with a journal that reaches `upto`. This room
//! writes, reads and keeps the files; what is in them and when they are taken, the engine knows.
//!
//! The bytes are drawn in `docs/journal-format.md`.

mod read;
mod write;

use std::io;

use stockade_types::codec::DecodeError;
use stockade_types::ids::Lsn;
use stockade_types::time::Timestamp;

use crate::storage::Storage;

pub use read::load;
pub use write::{SnapshotWriter, Written};

/// Version of the format. Another one is refused, never guessed at.
pub const FORMAT_VERSION: u32 = 1;
/// Snapshots that are kept: the newest, and the one before in case it is damaged.
pub const KEPT: usize = 2;
/// Snapshots that were set aside are kept so many, for who wants to know what became of them.
pub const KEPT_ASIDE: usize = 2;

const MAGIC: [u8; 8] = *b"STKSNAP\0";
const SUFFIX: &str = ".snapshot";
const UNFINISHED: &str = ".snapshot.tmp";
/// What could not be used at a start.
const ASIDE: &str = ".snapshot.bad";
/// Header: magic, version, `from`, CRC32C.
const HEADER: usize = 8 + 4 + 8 + 4;
/// Before each block: kind, length of its payload, CRC32C over kind, length and payload.
const BLOCK_HEADER: usize = 1 + 4 + 4;
/// Payload bytes after which a block is closed.
const BLOCK: usize = 64 * 1024;

mod block {
    /// Entries: revision, length, record.
    pub const ENTRIES: u8 = 1;
    /// The end: `upto`, chain hash, time, count of entries.
    pub const END: u8 = 2;
}

/// Why a snapshot can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The disk.
    #[error("snapshot {file}: {source}")]
    Io {
        /// Which file.
        file: String,
        /// What it said.
        source: io::Error,
    },
    /// Bytes that are not what was written.
    #[error("snapshot {file} is damaged at byte {offset}: {what}")]
    Damage {
        /// Which file.
        file: String,
        /// Where.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// Another version wrote it.
    #[error("snapshot {file} has format version {found}; this build reads version {FORMAT_VERSION}")]
    Foreign {
        /// Which file.
        file: String,
        /// Its version.
        found: u32,
    },
}

/// What a loaded snapshot says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Replay starts after this place.
    pub from: Lsn,
    /// The journal must reach this place.
    pub upto: Lsn,
    /// Hash of the journal's batch that ends at `upto`.
    pub chain: [u8; 32],
    /// When it was finished.
    pub written_at: Timestamp,
    /// Entities in it.
    pub entries: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// The name of the snapshot that replay continues after `from`.
#[must_use]
pub fn name(from: Lsn) -> String {
    format!("{:020}{SUFFIX}", from.0)
}

/// Snapshots in the folder, newest first. Other files are not looked at.
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

/// Sets snapshots aside that can't be used, so that none of them counts as one to fall back to. Keeps the newest
/// [`KEPT_ASIDE`] of all that ever were. Says how those given are named now.
///
/// # Errors
/// When a file can't be renamed or removed, or that can't be forced to the disk.
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

/// Removes all but the newest [`KEPT`] snapshots and what unfinished ones have left. Says where the oldest kept one
/// starts: the journal up to there may go.
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
