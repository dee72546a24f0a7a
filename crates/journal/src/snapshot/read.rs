//! Reads a snapshot block by block: it is never in memory as a whole.

use std::io::{self, BufReader, Read};
use std::sync::mpsc;
use std::thread;

use stockade_types::codec::{DecodeError, Reader};
use stockade_types::ids::Lsn;
use stockade_types::record::Record;
use stockade_types::time::Timestamp;

use super::{BLOCK_HEADER, FORMAT_VERSION, HEADER, Loaded, MAGIC, SnapshotError, bad, block, name};
use crate::storage::Storage;

/// Most bytes of a block. Blocks end as soon as they are full, and one shard of holds is written at once, so a larger
/// one was never written, and a damaged length can't make a reader allocate.
const LARGEST_BLOCK: u32 = 1 << 30;

/// Bytes that are read and decoded on the calling thread. A larger snapshot is worth a second thread.
const ALONE: u64 = 1024 * 1024;
/// Most decoded blocks that wait to be applied.
const AHEAD: usize = 4;

/// Reads the snapshot that starts at `from` and passes each entity with its revision to `apply`. A large one is decoded
/// on a separate thread while this one applies.
///
/// # Errors
/// [`SnapshotError`]; what was applied until then is not a valid state and must be discarded.
pub fn load(
    storage: &dyn Storage,
    from: Lsn,
    mut apply: impl FnMut(Lsn, Record) -> Result<(), String>,
) -> Result<Loaded, SnapshotError> {
    let mut decoder = Decoder { source: Source::open(storage, from)?, from, entries: 0, payload: Vec::new() };
    let file = decoder.source.file.clone();
    let mut take = |part: Part| match part {
        Part::Entries { at, entries } => {
            for (revision, record) in entries {
                apply(revision, record).map_err(|what| damage(&file, at, what))?;
            }
            Ok(None)
        }
        Part::End(loaded) => Ok(Some(loaded)),
    };
    while decoder.source.offset < ALONE {
        if let Some(loaded) = take(decoder.part()?)? {
            return Ok(loaded);
        }
    }
    thread::scope(|scope| {
        let (ahead, parts) = mpsc::sync_channel(AHEAD);
        let read = move || loop {
            let part = decoder.part();
            let more = matches!(part, Ok(Part::Entries { .. }));
            // A send fails if applying failed: the rest is not needed.
            if ahead.send(part).is_err() || !more {
                return;
            }
        };
        let spawned = thread::Builder::new().name("stockade-load".to_owned()).spawn_scoped(scope, read);
        spawned.map_err(|source| SnapshotError::Io { file: file.clone(), source })?;
        for part in parts {
            if let Some(loaded) = take(part?)? {
                return Ok(loaded);
            }
        }
        Err(damage(&file, 0, "it has no end".to_owned())) // unreachable: the last part is the end or an error
    })
}

/// The result of reading one block.
enum Part {
    /// Entities with their revisions, from the block at byte `at`.
    Entries {
        at: u64,
        entries: Vec<(Lsn, Record)>,
    },
    End(Loaded),
}

struct Decoder {
    source: Source,
    from: Lsn,
    entries: u64,
    payload: Vec<u8>,
}

impl Decoder {
    fn part(&mut self) -> Result<Part, SnapshotError> {
        let Self { source, from, entries, payload } = self;
        let at = source.offset;
        match source.block(payload)? {
            block::ENTRIES => {
                let mut reader = Reader::new(payload);
                let mut read = Vec::new();
                while reader.left() > 0 {
                    read.push(entry(&mut reader).map_err(|error| bad(&source.file, at, error))?);
                }
                *entries = entries.saturating_add(u64::try_from(read.len()).unwrap_or(u64::MAX));
                Ok(Part::Entries { at, entries: read })
            }
            block::END => source.end(*from, payload, *entries).map(Part::End),
            kind => Err(source.damage(at, format!("unknown kind of block {kind}"))),
        }
    }
}

fn entry(reader: &mut Reader<'_>) -> Result<(Lsn, Record), DecodeError> {
    let revision = Lsn(reader.u64()?);
    let length = reader.count(1)?;
    Ok((revision, Record::decode(reader.bytes(length)?)?))
}

struct Source {
    file: String,
    reader: BufReader<Box<dyn Read + Send>>,
    offset: u64,
}

impl Source {
    fn open(storage: &dyn Storage, from: Lsn) -> Result<Self, SnapshotError> {
        let file = name(from);
        let reader = storage.read_at(&file, 0).map_err(|source| SnapshotError::Io { file: file.clone(), source })?;
        let mut source = Self { file, reader: BufReader::with_capacity(1 << 20, reader), offset: 0 };
        let header: [u8; HEADER] = source.take()?;
        let mut reader = Reader::new(&header);
        let mut parse = || -> Result<_, DecodeError> {
            let magic: [u8; 8] = reader.array()?;
            let version = u32::from_le_bytes(reader.array()?);
            let start = u64::from_le_bytes(reader.array()?);
            Ok((magic, version, start, u32::from_le_bytes(reader.array()?)))
        };
        let (magic, version, start, sum) = parse().map_err(|error| bad(&source.file, 0, error))?;
        if magic != MAGIC {
            return Err(source.damage(0, "it does not begin like a snapshot".to_owned()));
        }
        if header.split_last_chunk::<4>().is_none_or(|(covered, _)| crc32c::crc32c(covered) != sum) {
            return Err(source.damage(0, "its header's checksum is wrong".to_owned()));
        }
        if version != FORMAT_VERSION {
            return Err(SnapshotError::Foreign { file: source.file, found: version });
        }
        if start != from.0 {
            return Err(source.damage(12, "its header has another position than its file name".to_owned()));
        }
        Ok(source)
    }

    /// Reads a block's payload; returns its kind.
    fn block(&mut self, payload: &mut Vec<u8>) -> Result<u8, SnapshotError> {
        let at = self.offset;
        let header: [u8; BLOCK_HEADER] = self.take()?;
        let [kind, a, b, c, d, sum @ ..] = header;
        let length = u32::from_le_bytes([a, b, c, d]);
        if length > LARGEST_BLOCK {
            return Err(self.damage(at, format!("a block of {length} bytes")));
        }
        payload.clear();
        let read = (&mut self.reader).take(length.into()).read_to_end(payload).map_err(|error| self.io(error))?;
        self.offset = self.offset.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        if read != usize::try_from(length).unwrap_or(usize::MAX) {
            return Err(self.damage(at, "it ends in the middle of a block".to_owned()));
        }
        if crc32c::crc32c_append(crc32c::crc32c(&[kind, a, b, c, d]), payload) != u32::from_le_bytes(sum) {
            return Err(self.damage(at, "a block's checksum is wrong".to_owned()));
        }
        Ok(kind)
    }

    fn end(&mut self, from: Lsn, payload: &[u8], entries: u64) -> Result<Loaded, SnapshotError> {
        let mut reader = Reader::new(payload);
        let mut parse = || -> Result<_, DecodeError> {
            let read = (Lsn(reader.u64()?), reader.array()?, Timestamp(reader.u64()?), reader.u64()?);
            reader.finish()?;
            Ok(read)
        };
        let (upto, chain, written_at, counted) = parse().map_err(|error| bad(&self.file, self.offset, error))?;
        if counted != entries {
            return Err(self.damage(self.offset, format!("{entries} entries where {counted} were written")));
        }
        let mut more = [0];
        if self.reader.read(&mut more).map_err(|error| self.io(error))? > 0 {
            return Err(self.damage(self.offset, "bytes after its end".to_owned()));
        }
        Ok(Loaded { from, upto, chain, written_at, entries, bytes: self.offset })
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let mut bytes = [0; N];
        match self.reader.read_exact(&mut bytes) {
            Ok(()) => {
                self.offset = self.offset.saturating_add(u64::try_from(N).unwrap_or(u64::MAX));
                Ok(bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.damage(self.offset, "it ends too early".to_owned()))
            }
            Err(error) => Err(self.io(error)),
        }
    }

    fn damage(&self, offset: u64, what: String) -> SnapshotError {
        damage(&self.file, offset, what)
    }

    fn io(&self, source: io::Error) -> SnapshotError {
        SnapshotError::Io { file: self.file.clone(), source }
    }
}

fn damage(file: &str, offset: u64, what: String) -> SnapshotError {
    SnapshotError::Damage { file: file.to_owned(), offset, what }
}
