//! Segments: their file names, their heads, and the trailer of a clean shutdown. All integers are little-endian.

use stockade_types::codec::Reader;
use stockade_types::ids::Lsn;
use stockade_types::time::Timestamp;

use super::batch::{BatchHash, FORMAT_VERSION, FrameError};

/// Bytes of a segment's head.
pub(crate) const SEGMENT_HEAD: usize = 68;
/// Bytes of a trailer.
pub(crate) const TRAILER: usize = 68;
/// First bytes of a segment. They begin with 0xff as a batch's do, for the same reason.
const SEGMENT_MAGIC: [u8; 4] = [0xff, b'S', b'K', b'J'];
/// First bytes of a trailer.
pub(crate) const TRAILER_MAGIC: [u8; 4] = [0xff, b'S', b'K', b'T'];

const SEGMENT_SUFFIX: &str = ".journal";
/// A segment in the making: it has nothing acknowledged.
const NEW_SUFFIX: &str = ".journal.new";
/// Data that a recovery set aside.
const LOST_SUFFIX: &str = ".lost";
/// Digits of an LSN in a file name: enough for any u64, so that names sort as numbers.
const DIGITS: usize = 20;

/// When an append counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// When it is synced to the disk: it survives a loss of power.
    #[default]
    Sync,
    /// When the operating system has it: it survives the end of the process, but not of the machine.
    Os,
}

impl Durability {
    /// The mark on disk. Never reused for another meaning.
    const fn mark(self) -> u8 {
        match self {
            Self::Sync => 1,
            Self::Os => 2,
        }
    }

    const fn from_mark(mark: u8) -> Option<Self> {
        match mark {
            1 => Some(Self::Sync),
            2 => Some(Self::Os),
            _ => None,
        }
    }
}

/// A segment's head: it describes the segment and the batch before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHead {
    pub(crate) durability: Durability,
    /// LSN of the first record, which need not exist yet.
    pub(crate) first: Lsn,
    /// Term of the batch before; 0 before the first.
    pub(crate) term: u64,
    /// Write time of the batch before; 0 before the first.
    pub(crate) written_at: Timestamp,
    /// Hash of the batch before.
    pub(crate) before: BatchHash,
}

impl SegmentHead {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let Self { durability, first, term, written_at, before } = self;
        let mut out = Vec::with_capacity(SEGMENT_HEAD);
        out.extend_from_slice(&SEGMENT_MAGIC);
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&[durability.mark(), 0]);
        out.extend_from_slice(&first.0.to_le_bytes());
        out.extend_from_slice(&term.to_le_bytes());
        out.extend_from_slice(&written_at.0.to_le_bytes());
        out.extend_from_slice(&before.0);
        sealed(out)
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, FrameError> {
        let mut reader = Reader::new(bytes);
        if reader.array() == Ok(SEGMENT_MAGIC)
            && let Ok(version) = reader.array().map(u16::from_le_bytes)
            && version != FORMAT_VERSION
        {
            // Checked before the checksum, which another version may place elsewhere. This can't be a torn head: a head
            // is synced before its segment gets its name.
            return Err(FrameError::Foreign(version));
        }
        let mut reader = open(bytes, SEGMENT_MAGIC)?;
        let [mark, reserved] = part(&mut reader)?;
        let durability = Durability::from_mark(mark).filter(|_| reserved == 0).ok_or(FrameError::Bad(UNFIT))?;
        Ok(Self {
            durability,
            first: Lsn(u64::from_le_bytes(part(&mut reader)?)),
            term: u64::from_le_bytes(part(&mut reader)?),
            written_at: Timestamp(u64::from_le_bytes(part(&mut reader)?)),
            before: BatchHash(part(&mut reader)?),
        })
    }
}

/// The last bytes of a closed journal: everything before it was synced when it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trailer {
    /// The term that ended.
    pub term: u64,
    /// The LSN after the last record.
    pub next: Lsn,
    /// When it was closed.
    pub closed_at: Timestamp,
    /// Hash of the last batch.
    pub chain: BatchHash,
}

impl Trailer {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let Self { term, next, closed_at, chain } = self;
        let mut out = Vec::with_capacity(TRAILER);
        out.extend_from_slice(&TRAILER_MAGIC);
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&term.to_le_bytes());
        out.extend_from_slice(&next.0.to_le_bytes());
        out.extend_from_slice(&closed_at.0.to_le_bytes());
        out.extend_from_slice(&chain.0);
        sealed(out)
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, FrameError> {
        let mut reader = open(bytes, TRAILER_MAGIC)?;
        if part::<2>(&mut reader)? != [0; 2] {
            return Err(FrameError::Bad(UNFIT));
        }
        Ok(Self {
            term: u64::from_le_bytes(part(&mut reader)?),
            next: Lsn(u64::from_le_bytes(part(&mut reader)?)),
            closed_at: Timestamp(u64::from_le_bytes(part(&mut reader)?)),
            chain: BatchHash(part(&mut reader)?),
        })
    }
}

const UNFIT: &str = "has an invalid field";

fn sealed(mut out: Vec<u8>) -> Vec<u8> {
    let checksum = crc32c::crc32c(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

/// Checks magic, version and checksum; returns a reader positioned after the version. Heads and trailers both have 68
/// bytes.
fn open(bytes: &[u8], magic: [u8; 4]) -> Result<Reader<'_>, FrameError> {
    let short = FrameError::Bad("is cut short");
    let (body, rest) = bytes.split_at_checked(SEGMENT_HEAD - 4).ok_or(short)?;
    let checksum = rest.first_chunk::<4>().ok_or(short)?;
    let mut reader = Reader::new(body);
    if part::<4>(&mut reader)? != magic {
        return Err(FrameError::Bad("does not begin with the expected bytes"));
    }
    let version = u16::from_le_bytes(part(&mut reader)?);
    if crc32c::crc32c(body) != u32::from_le_bytes(*checksum) {
        return Err(FrameError::Bad("has a wrong checksum"));
    }
    if version == FORMAT_VERSION { Ok(reader) } else { Err(FrameError::Foreign(version)) }
}

fn part<const N: usize>(reader: &mut Reader<'_>) -> Result<[u8; N], FrameError> {
    reader.array().map_err(|_| FrameError::Bad("is cut short"))
}

/// The kind of a file in the journal's folder, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    Segment(Lsn),
    /// In the making when the process stopped.
    New,
    /// Set aside by a recovery.
    Lost,
    Foreign,
}

impl FileKind {
    pub(crate) fn of(name: &str) -> Self {
        let Some((digits, rest)) = name.split_at_checked(DIGITS) else { return Self::Foreign };
        let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
        let Some(lsn) = digits.parse().ok().filter(|_| all_digits).map(Lsn) else { return Self::Foreign };
        match rest {
            SEGMENT_SUFFIX => Self::Segment(lsn),
            NEW_SUFFIX => Self::New,
            _ if rest.starts_with('.') && rest.ends_with(LOST_SUFFIX) => Self::Lost,
            _ => Self::Foreign,
        }
    }
}

pub(crate) fn segment_name(first: Lsn) -> String {
    format!("{first:0>DIGITS$}{SEGMENT_SUFFIX}", first = first.0)
}

pub(crate) fn new_name(first: Lsn) -> String {
    format!("{first:0>DIGITS$}{NEW_SUFFIX}", first = first.0)
}

/// Name for a segment that is kept after it was trimmed: listing the folder shows what each file contains.
pub(crate) fn kept_name(first: Lsn, next: Lsn, written_at: Timestamp) -> String {
    let (first, next, written_at) = (first.0, next.0, written_at.0);
    format!("{first:0>DIGITS$}-{next:0>DIGITS$}-{written_at:0>DIGITS$}{SEGMENT_SUFFIX}")
}

/// The first record, the one after the last, and when the last batch was written; none for other names.
pub(crate) fn parse_kept_name(name: &str) -> Option<(Lsn, Lsn, Timestamp)> {
    let mut numbers = name.strip_suffix(SEGMENT_SUFFIX)?.split('-').map(|digits| {
        let whole = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|_| whole)
    });
    let (first, next, written_at) = (numbers.next()??, numbers.next()??, numbers.next()??);
    (numbers.next().is_none() && first < next).then_some((Lsn(first), Lsn(next), Timestamp(written_at)))
}

/// Name for data set aside from `lsn` on, the `turn`-th time that this happens there.
pub(crate) fn lost_name(lsn: Lsn, turn: u64) -> String {
    format!("{lsn:0>DIGITS$}.{turn}{LOST_SUFFIX}", lsn = lsn.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> SegmentHead {
        SegmentHead {
            durability: Durability::Os,
            first: Lsn(12),
            term: 3,
            written_at: Timestamp(5),
            before: BatchHash([9; 32]),
        }
    }

    fn trailer() -> Trailer {
        Trailer { term: 4, next: Lsn(99), closed_at: Timestamp(7), chain: BatchHash([8; 32]) }
    }

    #[test]
    fn heads_and_trailers_are_read_as_written() {
        assert_eq!(head().encode().len(), SEGMENT_HEAD);
        assert_eq!(trailer().encode().len(), TRAILER);
        assert_eq!(SegmentHead::parse(&head().encode()), Ok(head()));
        assert_eq!(Trailer::parse(&trailer().encode()), Ok(trailer()));
    }

    #[test]
    fn every_changed_bit_and_every_cut_is_noticed() {
        let (head, trailer) = (head().encode(), trailer().encode());
        for place in 0..SEGMENT_HEAD {
            assert!(SegmentHead::parse(&head[..place]).is_err() && Trailer::parse(&trailer[..place]).is_err());
            for bit in 0..8 {
                let (mut head, mut trailer) = (head.clone(), trailer.clone());
                head[place] ^= 1 << bit;
                trailer[place] ^= 1 << bit;
                assert!(SegmentHead::parse(&head).is_err() && Trailer::parse(&trailer).is_err());
            }
        }
    }

    #[test]
    fn names_say_what_a_file_is() {
        assert_eq!(segment_name(Lsn(7)), "00000000000000000007.journal");
        assert_eq!(FileKind::of(&segment_name(Lsn(u64::MAX))), FileKind::Segment(Lsn(u64::MAX)));
        assert_eq!(FileKind::of(&new_name(Lsn(7))), FileKind::New);
        assert_eq!(FileKind::of(&lost_name(Lsn(7), 0)), FileKind::Lost);
        let kept = kept_name(Lsn(7), Lsn(9), Timestamp(u64::MAX));
        assert_eq!(kept, "00000000000000000007-00000000000000000009-18446744073709551615.journal");
        assert_eq!(parse_kept_name(&kept), Some((Lsn(7), Lsn(9), Timestamp(u64::MAX))));
        let others = ["", &segment_name(Lsn(7)), &kept.replace('-', "-0"), &kept.replace("9-", "7-"), &kept[1..]];
        assert_eq!(others.map(parse_kept_name), [None; 5]);
        let foreign = ["", "7.journal", "notes.txt", "00000000000000000007", "+0000000000000000007.journal"];
        for name in foreign {
            assert_eq!(FileKind::of(name), FileKind::Foreign, "{name}");
        }
    }
}
