//! Writes a snapshot: blocks as they fill, then its final name once everything is synced.

use std::io;

use stockade_types::codec::put_u64;
use stockade_types::ids::Lsn;
use stockade_types::record::Record;
use stockade_types::time::Timestamp;

use super::{BLOCK, FORMAT_VERSION, MAGIC, UNFINISHED, block, name};
use crate::storage::{Storage, StorageFile};

/// Bytes after which written data is synced: in small parts, so that the last sync does not delay the journal's.
const SYNC_EVERY: u64 = 512 * 1024;

/// A snapshot that is being written. Dropped unfinished, it leaves a file that does not count as a snapshot.
#[derive(Debug)]
pub struct SnapshotWriter<'a> {
    storage: &'a dyn Storage,
    file: Box<dyn StorageFile>,
    unfinished: String,
    from: Lsn,
    block: Vec<u8>,
    scratch: Vec<u8>,
    entries: u64,
    bytes: u64,
    synced: u64,
}

/// A finished snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The number of entities.
    pub entries: u64,
    /// The file's size in bytes.
    pub bytes: u64,
}

impl<'a> SnapshotWriter<'a> {
    /// Starts a snapshot whose replay begins after `from`.
    ///
    /// # Errors
    /// When the file can't be created.
    pub fn create(storage: &'a dyn Storage, from: Lsn) -> io::Result<Self> {
        let unfinished = format!("{:020}{UNFINISHED}", from.0);
        if storage.list()?.contains(&unfinished) {
            storage.remove(&unfinished)?; // left by an unfinished snapshot
            // Synced before the name is used again: disks keep no order among names, so after a crash the old file
            // might otherwise be under the snapshot's final name.
            storage.sync_dir()?;
        }
        let file = storage.create(&unfinished)?;
        let mut header = Vec::new();
        header.extend_from_slice(&MAGIC);
        header.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        header.extend_from_slice(&from.0.to_le_bytes());
        let sum = crc32c::crc32c(&header);
        header.extend_from_slice(&sum.to_le_bytes());
        file.append(&header)?;
        let bytes = length(&header);
        Ok(Self {
            storage,
            file,
            unfinished,
            from,
            block: Vec::new(),
            scratch: Vec::new(),
            entries: 0,
            bytes,
            synced: 0,
        })
    }

    /// Adds an entity as of its revision. Only buffers it: call [`SnapshotWriter::flush`] when no lock is held.
    pub fn put(&mut self, revision: Lsn, record: &Record) {
        self.scratch.clear();
        record.encode(&mut self.scratch);
        put_u64(&mut self.block, revision.0);
        put_u64(&mut self.block, length(&self.scratch));
        self.block.extend_from_slice(&self.scratch);
        self.entries = self.entries.saturating_add(1);
    }

    /// Writes what is buffered, if that fills a block.
    ///
    /// # Errors
    /// When the disk returns an error; the snapshot is lost then.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.block.len() >= BLOCK { self.write_entries() } else { Ok(()) }
    }

    /// Finishes the snapshot and gives it its final name once all of it is synced. The journal must be synced up to
    /// `upto` before; `chain` is the hash of its batch that ends there.
    ///
    /// # Errors
    /// When the disk returns an error; then there is no such snapshot.
    pub fn finish(mut self, upto: Lsn, chain: &[u8; 32], now: Timestamp) -> io::Result<Written> {
        if !self.block.is_empty() {
            self.write_entries()?;
        }
        let mut end = Vec::new();
        put_u64(&mut end, upto.0);
        end.extend_from_slice(chain);
        put_u64(&mut end, now.0);
        put_u64(&mut end, self.entries);
        self.write_block(block::END, &end)?;
        self.file.sync_data()?;
        self.storage.rename(&self.unfinished, &name(self.from))?;
        self.storage.sync_dir()?;
        Ok(Written { entries: self.entries, bytes: self.bytes })
    }

    fn write_entries(&mut self) -> io::Result<()> {
        let payload = std::mem::take(&mut self.block);
        self.write_block(block::ENTRIES, &payload)?;
        self.block = payload;
        self.block.clear();
        if self.bytes.saturating_sub(self.synced) >= SYNC_EVERY {
            self.file.sync_data()?;
            self.synced = self.bytes;
        }
        Ok(())
    }

    fn write_block(&mut self, kind: u8, payload: &[u8]) -> io::Result<()> {
        let mut header = vec![kind];
        let size = u32::try_from(payload.len()).map_err(|_| io::Error::other("a snapshot block over 4 GiB"))?;
        header.extend_from_slice(&size.to_le_bytes());
        let sum = crc32c::crc32c_append(crc32c::crc32c(&header), payload);
        header.extend_from_slice(&sum.to_le_bytes());
        self.file.append(&header)?;
        self.file.append(payload)?;
        self.bytes = self.bytes.saturating_add(length(&header)).saturating_add(length(payload));
        Ok(())
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
