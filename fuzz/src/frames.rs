//! Reads and reseals the bytes of journals and snapshots without the product's code, from `docs/journal-format.md`
//! alone. What the product reads is compared with this.

use std::collections::BTreeMap;

use stockade_types::codec::Reader;
use stockade_types::record::Record;

/// Files of a folder by name.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

const SEGMENT: &[u8] = b"\xffSKJ";
const BATCH: &[u8] = b"\xffSKB";
/// Bytes of a segment's header.
pub(crate) const SEGMENT_HEAD: usize = 68;
const BATCH_HEAD: usize = 76;
const PAYLOAD_BYTES_MAX: usize = 262_068;
const SNAPSHOT_HEAD: usize = 24;
const BLOCK_HEAD: usize = 9;

/// The integer at `at`; 0 if the bytes end before it.
fn number(bytes: &[u8], at: usize, size: usize) -> u64 {
    let field = bytes.get(at..).unwrap_or_default().iter().take(size).rev();
    field.fold(0, |value, byte| (value << 8) | u64::from(*byte))
}

fn index(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    bytes.get_mut(at..at + field.len()).expect("room in a head").copy_from_slice(field);
}

/// Writes at `at` the CRC32C of everything before and after it.
fn seal(bytes: &mut [u8], at: usize) {
    let sum = crc(bytes, at);
    put(bytes, at, &sum.to_le_bytes());
}

fn crc(bytes: &[u8], at: usize) -> u32 {
    let (head, rest) = bytes.split_at(at);
    crc32c::crc32c_append(crc32c::crc32c(head), rest.get(4..).unwrap_or_default())
}

fn name(first: u64) -> String {
    format!("{first:020}.journal")
}

/// A journal's files from one input: a segment begins where the bytes say so.
#[must_use]
pub fn journal_of(input: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let begins = |at: &usize| *at == 0 || input.get(*at..).is_some_and(|rest| rest.starts_with(SEGMENT));
    let starts: Vec<usize> = (0..input.len()).filter(begins).collect();
    let ends = starts.iter().copied().skip(1).chain([input.len()]);
    let segments = starts.iter().zip(ends).filter_map(|(start, end)| input.get(*start..end));
    segments.map(|segment| (name(number(segment, 8, 8).max(1)), segment.to_vec())).collect()
}

/// The LSN in a snapshot's bytes, and its file.
#[must_use]
pub fn snapshot_of(input: &[u8]) -> (u64, BTreeMap<String, Vec<u8>>) {
    let from = number(input, 12, 8);
    (from, BTreeMap::from([(format!("{from:020}.snapshot"), input.to_vec())]))
}

/// The contents of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) first: u64,
    pub(crate) term: u64,
    pub(crate) records: Vec<Record>,
}

/// The good batches from the front. If not all bytes are good, also the file and the offset after the last good batch.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    pub(crate) frames: Vec<Frame>,
    pub(crate) stopped: Option<(String, u64)>,
}

/// Reads a journal's files as the document says that opening does.
pub(crate) fn walk(files: &Files) -> Walk {
    let mut walk = Walk::default();
    let (mut next, mut chain, mut term, mut written_at) = (None, Vec::new(), 0, 0);
    for (file, bytes) in files {
        let head = bytes.get(..SEGMENT_HEAD).unwrap_or_default();
        let first = number(head, 8, 8);
        let good = head.starts_with(SEGMENT)
            && number(head, 4, 2) == 1
            && matches!(number(head, 6, 2), 1 | 2)
            && name(first) == *file
            && u64::from(crc(head, SEGMENT_HEAD - 4)) == number(head, SEGMENT_HEAD - 4, 4)
            && next.is_none_or(|next| {
                let before = (number(head, 16, 8), number(head, 24, 8));
                next == first && before == (term, written_at) && head.get(32..64) == Some(&chain)
            });
        if !good {
            walk.stopped = Some((file.clone(), 0));
            return walk;
        }
        if next.is_none() {
            (term, written_at) = (number(head, 16, 8), number(head, 24, 8));
            chain = head.get(32..64).unwrap_or_default().to_vec();
        }
        let (mut at, mut expected) = (SEGMENT_HEAD, first);
        while at < bytes.len() {
            let rest = bytes.get(at..).unwrap_or_default();
            let length = BATCH_HEAD.saturating_add(index(number(rest, 68, 4)));
            let batch = rest.get(..length).unwrap_or_default();
            let frame = frame(batch)
                .filter(|frame| frame.first == expected && frame.term >= term && batch.get(32..64) == Some(&chain));
            let Some(frame) = frame else {
                walk.stopped = Some((file.clone(), u64::try_from(at).expect("small")));
                return walk;
            };
            expected += u64::try_from(frame.records.len()).expect("small");
            (term, written_at) = (frame.term, number(batch, 24, 8));
            chain = blake3::hash(batch).as_bytes().to_vec();
            at += length;
            walk.frames.push(frame);
        }
        next = Some(expected);
    }
    walk
}

/// A batch, if the bytes are exactly one.
fn frame(batch: &[u8]) -> Option<Frame> {
    let count = number(batch, 64, 4);
    let good = batch.len() > BATCH_HEAD
        && batch.len() <= BATCH_HEAD + PAYLOAD_BYTES_MAX
        && batch.starts_with(BATCH)
        && number(batch, 4, 4) == 1
        && u64::from(crc(batch, BATCH_HEAD - 4)) == number(batch, BATCH_HEAD - 4, 4);
    let mut reader = Reader::new(batch.get(BATCH_HEAD..)?);
    let mut records = Vec::new();
    while good && reader.left() > 0 {
        let length = reader.count(1).ok()?;
        records.push(Record::decode(reader.bytes(length).ok()?).ok()?);
    }
    let whole = good && count > 0 && u64::try_from(records.len()) == Ok(count);
    whole.then(|| Frame { first: number(batch, 8 + 8, 8), term: number(batch, 8, 8), records })
}

/// The same journal with all headers, LSNs and checksums corrected, so that the contents of batches are read.
pub(crate) fn sealed_journal(files: &Files) -> Files {
    let (mut next, mut chain, mut term, mut written_at) = (1, vec![0; 32], 0, 0);
    let mut sealed = Files::new();
    for (place, bytes) in files.values().enumerate() {
        let mut bytes = bytes.clone();
        bytes.resize(bytes.len().max(SEGMENT_HEAD), 0);
        if place == 0 {
            next = number(&bytes, 8, 8).max(1);
            (term, written_at) = (number(&bytes, 16, 8), number(&bytes, 24, 8));
            chain = bytes.get(32..64).unwrap_or_default().to_vec();
        }
        let mark = if number(&bytes, 6, 1) == 2 { 2 } else { 1 };
        let (head, _) = bytes.split_at_mut(SEGMENT_HEAD);
        put(head, 0, SEGMENT);
        put(head, 4, &[1, 0, mark, 0]);
        put(head, 8, &u64::to_le_bytes(next));
        put(head, 16, &u64::to_le_bytes(term));
        put(head, 24, &u64::to_le_bytes(written_at));
        put(head, 32, &chain);
        seal(head, SEGMENT_HEAD - 4);
        let (file, mut at) = (name(next), SEGMENT_HEAD);
        while bytes.len() > at + BATCH_HEAD + 1 {
            let rest = bytes.get_mut(at..).unwrap_or_default();
            let payload = index(number(rest, 68, 4)).clamp(2, PAYLOAD_BYTES_MAX).min(rest.len() - BATCH_HEAD);
            let batch = rest.get_mut(..BATCH_HEAD + payload).unwrap_or_default();
            (term, written_at) = (term.max(number(batch, 8, 8)), number(batch, 24, 8));
            put(batch, 0, BATCH);
            put(batch, 4, &[1, 0, 0, 0]);
            put(batch, 8, &term.to_le_bytes());
            put(batch, 16, &next.to_le_bytes());
            put(batch, 32, &chain);
            put(batch, 68, &u32::try_from(payload).expect("small").to_le_bytes());
            seal(batch, BATCH_HEAD - 4);
            next = next.saturating_add(number(batch, 64, 4));
            chain = blake3::hash(batch).as_bytes().to_vec();
            at += BATCH_HEAD + payload;
        }
        sealed.insert(file, bytes);
    }
    sealed
}

/// The same snapshot with its header and the lengths and checksums of its blocks corrected.
pub(crate) fn sealed_snapshot(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().max(SNAPSHOT_HEAD), 0);
    let (head, mut rest) = bytes.split_at_mut(SNAPSHOT_HEAD);
    put(head, 0, b"STKSNAP\0\x01\0\0\0");
    seal(head, SNAPSHOT_HEAD - 4);
    while rest.len() > BLOCK_HEAD {
        let payload = index(number(rest, 1, 4)).min(rest.len() - BLOCK_HEAD);
        let (block, behind) = rest.split_at_mut(BLOCK_HEAD + payload);
        put(block, 1, &u32::try_from(payload).expect("small").to_le_bytes());
        seal(block, 5);
        rest = behind;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: &[u8] = include_bytes!("../corpus/journal/seed-sync");

    #[test]
    fn a_real_journal_is_walked_to_its_end_and_sealing_leaves_it_as_it_is() {
        let files = journal_of(KEPT);
        let walk = walk(&files);
        assert_eq!((files.len() > 1, walk.frames.len() >= files.len(), walk.stopped), (true, true, None));
        assert_eq!(sealed_journal(&files), files);
        let snapshot = include_bytes!("../corpus/snapshot/seed-sync-1");
        assert_eq!(sealed_snapshot(snapshot), snapshot);
    }

    #[test]
    fn a_changed_byte_stops_the_walk_and_sealing_makes_it_whole_again() {
        let mut changed = KEPT.to_vec();
        changed[SEGMENT_HEAD + 20] ^= 1; // The first LSN of the first batch.
        let files = journal_of(&changed);
        let stopped = walk(&files).stopped.expect("not whole");
        assert_eq!(stopped.1, u64::try_from(SEGMENT_HEAD).expect("small"));
        assert_eq!(sealed_journal(&files), journal_of(KEPT));
    }
}
