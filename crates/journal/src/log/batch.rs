//! Sealed batches: the unit that the journal's writer appends to a log, and its bytes.
//!
//! A batch contains its position (term, first LSN), its write time and the hash of the batch before it, so that a log
//! proves its own order. Its checksum covers every byte. All integers are little-endian.

use std::fmt;

use stockade_types::codec::{Reader, put_u64};
use stockade_types::ids::Lsn;
use stockade_types::record::{RECORD_BYTES_MAX, Record};
use stockade_types::time::Timestamp;

/// Version of the journal's format. A program reads this one only.
pub const FORMAT_VERSION: u16 = 1;
/// Most bytes of a sealed batch, its head included.
pub const BATCH_BYTES_MAX: usize = 256 * 1024;
/// Bytes before a batch's payload.
pub const BATCH_HEAD: usize = 76;
/// Most payload bytes of a batch, and so of one operation: each record is preceded by its length.
pub const PAYLOAD_BYTES_MAX: usize = BATCH_BYTES_MAX - BATCH_HEAD;

/// First bytes of a batch. 0xff does not occur in UTF-8, so no text in a record can look like the start of a batch.
pub(crate) const BATCH_MAGIC: [u8; 4] = [0xff, b'S', b'K', b'B'];
/// Offset of the checksum: after all other fields of the head.
const CHECKSUM_AT: usize = BATCH_HEAD - 4;
/// No record is empty, and each is preceded by its length.
const RECORD_BYTES_MIN: usize = 2;

const _: () = assert!(RECORD_BYTES_MAX + 3 <= PAYLOAD_BYTES_MAX, "the largest record, with its length, fits a batch");

/// BLAKE3 of a batch's sealed bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BatchHash(pub [u8; 32]);

impl BatchHash {
    /// The hash before the first batch.
    pub const NONE: Self = Self([0; 32]);

    /// The hash of sealed bytes.
    #[must_use]
    pub fn of(sealed: &[u8]) -> Self {
        Self(blake3::hash(sealed).into())
    }
}

impl fmt::Display for BatchHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BatchHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A batch's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHead {
    /// The term of its writer: never decreases along a journal.
    pub term: u64,
    /// LSN of its first record.
    pub first: Lsn,
    /// The number of its records; at least one.
    pub count: u32,
    /// The latest `now` of the operations in it.
    pub written_at: Timestamp,
    /// Hash of the batch before.
    pub before: BatchHash,
}

impl BatchHead {
    /// The LSN after its last record.
    #[must_use]
    pub const fn next(&self) -> Lsn {
        // Lossless: u32 into u64; `From` is not const.
        let [a, b, c, d] = self.count.to_le_bytes();
        self.first.plus(u64::from_le_bytes([a, b, c, d, 0, 0, 0, 0]))
    }
}

/// Why bytes could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameError {
    /// Cut, torn or changed.
    Bad(&'static str),
    /// Whole, but of another format version.
    Foreign(u16),
}

/// A batch whose bytes are final.
#[derive(Debug, Clone)]
pub struct SealedBatch {
    head: BatchHead,
    hash: BatchHash,
    bytes: Vec<u8>,
}

impl SealedBatch {
    /// Seals a buffer: its first [`BATCH_HEAD`] bytes are overwritten, the rest is the payload.
    ///
    /// # Panics
    /// When the buffer has no payload or more than [`PAYLOAD_BYTES_MAX`], or the head counts no record: a bug.
    #[must_use]
    pub fn seal(head: BatchHead, mut bytes: Vec<u8>) -> Self {
        assert!(bytes.len() > BATCH_HEAD && bytes.len() <= BATCH_BYTES_MAX, "a batch of {} bytes", bytes.len());
        assert!(head.count > 0, "a batch without a record");
        let payload = u32::try_from(bytes.len().saturating_sub(BATCH_HEAD)).unwrap_or(u32::MAX);
        let mut written = Vec::with_capacity(BATCH_HEAD);
        written.extend_from_slice(&BATCH_MAGIC);
        written.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        written.extend_from_slice(&[0; 2]);
        written.extend_from_slice(&head.term.to_le_bytes());
        written.extend_from_slice(&head.first.0.to_le_bytes());
        written.extend_from_slice(&head.written_at.0.to_le_bytes());
        written.extend_from_slice(&head.before.0);
        written.extend_from_slice(&head.count.to_le_bytes());
        written.extend_from_slice(&payload.to_le_bytes());
        let (_, body) = bytes.split_at(BATCH_HEAD);
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&written), body);
        written.extend_from_slice(&checksum.to_le_bytes());
        if let Some(place) = bytes.get_mut(..BATCH_HEAD) {
            place.copy_from_slice(&written);
        }
        Self { head, hash: BatchHash::of(&bytes), bytes }
    }

    /// Seals records, for tests and tools. The journal's writer encodes into its own buffers.
    ///
    /// # Panics
    /// As [`SealedBatch::seal`].
    #[must_use]
    pub fn of_records(head: BatchHead, records: &[Record]) -> Self {
        let mut bytes = vec![0; BATCH_HEAD];
        for record in records {
            put_record(&mut bytes, record);
        }
        let count = u32::try_from(records.len()).unwrap_or(u32::MAX);
        Self::seal(BatchHead { count, ..head }, bytes)
    }

    /// Its head.
    #[must_use]
    pub const fn head(&self) -> &BatchHead {
        &self.head
    }

    /// Its hash, which the next batch contains.
    #[must_use]
    pub const fn hash(&self) -> BatchHash {
        self.hash
    }

    /// All of its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its buffer, for reuse.
    #[must_use]
    pub fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }

    /// Decodes it, as a log does when it is read.
    #[must_use]
    pub fn decode(&self) -> Option<Batch> {
        Batch::decode(self.head, self.hash, self.bytes.get(BATCH_HEAD..)?).ok()
    }
}

/// Appends a record, preceded by its length.
#[inline]
pub(crate) fn put_record(out: &mut Vec<u8>, record: &Record) {
    // Nearly every record is shorter than 128 bytes: its length fits the byte reserved here.
    let start = out.len();
    out.push(0);
    record.encode(out);
    let length = out.len().saturating_sub(start).saturating_sub(1);
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => {
            if let Some(place) = out.get_mut(start) {
                *place = short;
            }
        }
        Ok(_) | Err(_) => {
            let mut prefix = Vec::new();
            put_u64(&mut prefix, u64::try_from(length).unwrap_or(u64::MAX));
            out.splice(start..start.saturating_add(1), prefix);
        }
    }
}

/// Parses the batch at the front of `bytes`; returns its head and its length, head and payload together.
pub(crate) fn parse_batch(bytes: &[u8]) -> Result<(BatchHead, usize), FrameError> {
    let short = |_| FrameError::Bad("is cut short");
    let mut reader = Reader::new(bytes);
    if reader.array().map_err(short)? != BATCH_MAGIC {
        return Err(FrameError::Bad("does not begin like a batch"));
    }
    let version = u16::from_le_bytes(reader.array().map_err(short)?);
    let reserved = u16::from_le_bytes(reader.array().map_err(short)?);
    let head = BatchHead {
        term: u64::from_le_bytes(reader.array().map_err(short)?),
        first: Lsn(u64::from_le_bytes(reader.array().map_err(short)?)),
        written_at: Timestamp(u64::from_le_bytes(reader.array().map_err(short)?)),
        before: BatchHash(reader.array().map_err(short)?),
        count: u32::from_le_bytes(reader.array().map_err(short)?),
    };
    let payload = usize::try_from(u32::from_le_bytes(reader.array().map_err(short)?)).unwrap_or(usize::MAX);
    let checksum = u32::from_le_bytes(reader.array().map_err(short)?);
    if payload > PAYLOAD_BYTES_MAX {
        return Err(FrameError::Bad("is longer than a batch may be"));
    }
    let body = reader.bytes(payload).map_err(short)?;
    let head_bytes = bytes.get(..CHECKSUM_AT).unwrap_or_default();
    if crc32c::crc32c_append(crc32c::crc32c(head_bytes), body) != checksum {
        return Err(FrameError::Bad("has a wrong checksum"));
    }
    if version != FORMAT_VERSION {
        return Err(FrameError::Foreign(version));
    }
    let counted = usize::try_from(head.count).unwrap_or(usize::MAX);
    if reserved != 0 || counted == 0 || counted.saturating_mul(RECORD_BYTES_MIN) > payload {
        return Err(FrameError::Bad("has an invalid head"));
    }
    Ok((head, BATCH_HEAD.saturating_add(payload)))
}

/// A batch as it is read from a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Its head.
    pub head: BatchHead,
    /// Its hash.
    pub hash: BatchHash,
    /// Its size in a log, head included.
    pub bytes: u64,
    /// Its records, from [`BatchHead::first`] on without a gap.
    pub records: Vec<Record>,
}

impl Batch {
    /// Its records with their LSNs.
    pub fn iter(&self) -> impl Iterator<Item = (Lsn, &Record)> {
        std::iter::successors(Some(self.head.first), |lsn| Some(lsn.next())).zip(&self.records)
    }

    pub(crate) fn decode(head: BatchHead, hash: BatchHash, payload: &[u8]) -> Result<Self, (Lsn, &'static str)> {
        let mut reader = Reader::new(payload);
        let mut records = Vec::new();
        for offset in 0..head.count {
            let lsn = head.first.plus(offset.into());
            let length = reader.count(1).map_err(|_| (lsn, "record is cut short"))?;
            let bytes = reader.bytes(length).map_err(|_| (lsn, "record is cut short"))?;
            records.push(Record::decode(bytes).map_err(|_| (lsn, "record can't be read"))?);
        }
        reader.finish().map_err(|_| (head.next(), "batch has bytes left over"))?;
        let bytes = u64::try_from(BATCH_HEAD.saturating_add(payload.len())).unwrap_or(u64::MAX);
        Ok(Self { head, hash, bytes, records })
    }
}

#[cfg(test)]
mod tests {
    use stockade_types::record::Restart;

    use super::*;

    fn restart(n: u64) -> Record {
        Record::Restart(Restart { stopped_at: Timestamp(n), grace_until: Timestamp(n), at: None })
    }

    fn sample() -> SealedBatch {
        let before = BatchHash([7; 32]);
        let head = BatchHead { term: 3, first: Lsn(41), count: 0, written_at: Timestamp(9), before };
        SealedBatch::of_records(head, &[restart(1), restart(1 << 40)])
    }

    #[test]
    fn a_batch_is_read_as_it_was_sealed() {
        let sealed = sample();
        let (head, length) = parse_batch(sealed.bytes()).expect("whole");
        assert_eq!((head, length), (*sealed.head(), sealed.bytes().len()));
        assert_eq!((head.first, head.count, head.next()), (Lsn(41), 2, Lsn(43)));
        let batch = sealed.decode().expect("reads");
        let records: Vec<_> = batch.iter().map(|(lsn, record)| (lsn, record.clone())).collect();
        assert_eq!(records, [(Lsn(41), restart(1)), (Lsn(42), restart(1 << 40))]);
    }

    #[test]
    fn every_changed_bit_and_every_cut_is_noticed() {
        let sealed = sample();
        for place in 0..sealed.bytes().len() {
            assert!(parse_batch(&sealed.bytes()[..place]).is_err(), "cut at {place}");
            for bit in 0..8 {
                let mut changed = sealed.bytes().to_vec();
                changed[place] ^= 1 << bit;
                assert!(parse_batch(&changed).is_err(), "bit {bit} of byte {place}");
            }
        }
    }

    #[test]
    fn a_whole_batch_of_another_version_is_foreign() {
        let mut bytes = sample().bytes().to_vec();
        bytes[4] = 9;
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&bytes[..CHECKSUM_AT]), &bytes[BATCH_HEAD..]);
        bytes[CHECKSUM_AT..BATCH_HEAD].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(parse_batch(&bytes), Err(FrameError::Foreign(9)));
    }

    #[test]
    fn long_records_carry_longer_lengths() {
        use stockade_types::hold::Change;
        use stockade_types::ids::{HoldId, OrderRef};
        use stockade_types::record::OldFact;
        let order_ref = OrderRef::try_from("x".repeat(128).as_str()).expect("a ref");
        let claimed = Change::Claimed { at: Timestamp(1), order_ref, late: false, kept: smallvec::SmallVec::new() };
        let record = Record::Old(Box::new(OldFact::Change(HoldId::from_bytes([1; 16]), claimed)));
        let head = BatchHead { term: 1, first: Lsn(1), count: 0, written_at: Timestamp(1), before: BatchHash::NONE };
        let sealed = SealedBatch::of_records(head, &[record.clone(), restart(1)]);
        assert_eq!(sealed.decode().expect("reads").records, [record, restart(1)]);
    }

    #[test]
    #[should_panic(expected = "without a record")]
    fn an_empty_batch_is_a_bug() {
        let head = BatchHead { term: 1, first: Lsn(1), count: 0, written_at: Timestamp(1), before: BatchHash::NONE };
        let _batch = SealedBatch::seal(head, vec![0; BATCH_HEAD + 2]);
    }
}
