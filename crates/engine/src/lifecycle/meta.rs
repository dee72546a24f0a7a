//! `stockade.meta`, the file that describes a data folder: its format, its key, the journal's name, and the highest
//! kind of record that may be in it.

use std::io;

use stockade_journal::JournalName;
use stockade_journal::storage::Storage;
use stockade_types::codec::{DecodeError, Reader};
use stockade_types::digest::DigestKey;
use stockade_types::record::Record;

/// Version of the data folder as a whole, by the records in it.
pub const FORMAT_VERSION: u32 = 2;
/// The file.
pub(super) const META: &str = "stockade.meta";
/// The file while it is being written.
pub(super) const META_UNFINISHED: &str = "stockade.meta.tmp";

const MAGIC: [u8; 8] = *b"STOCKADE";
/// The file's own version in a folder of format 1 that has its key in it.
const FORMAT_1: u32 = 1;
/// The same, of format 1 with the key kept elsewhere.
const FORMAT_1_KEY_ELSEWHERE: u32 = 2;
/// The same, from format 2 on.
const FORMAT_2: u32 = 3;
/// Flag: the key is kept elsewhere.
const KEY_ELSEWHERE: u8 = 1;
/// Flag: the folder was of format 1, and its journal may not say yet where that ends.
const UPGRADING: u8 = 2;

/// What the file has of the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MetaKey {
    /// The key itself.
    Here(DigestKey),
    /// The check value of a key that is kept elsewhere.
    Elsewhere([u8; 16]),
}

/// The file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) key: MetaKey,
    /// None: the folder is of format 1.
    pub(crate) format: Option<Format>,
}

/// What the file has in addition from format 2 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Format {
    pub(crate) journal: JournalName,
    /// Records of this kind, and of all before it, may be in its journal and snapshots.
    pub(crate) highest_kind: u8,
    /// The folder was of format 1, and the record that says where that ends may not be durable yet.
    pub(crate) upgrading: bool,
}

/// Why a file is not a meta file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MetaError {
    /// Not written by a build that this one knows.
    #[error("{0}")]
    Foreign(String),
    /// Changed since it was written.
    #[error("{0}")]
    Damaged(String),
}

impl Meta {
    /// The file of a new folder.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub(crate) fn new(key: MetaKey) -> io::Result<Self> {
        let journal = JournalName::random()?;
        Ok(Self { key, format: Some(Format { journal, highest_kind: Record::KIND_MAX, upgrading: false }) })
    }

    /// The file as this build writes it; none if it is that already.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub(crate) fn upgraded(&self) -> io::Result<Option<Self>> {
        let format = match self.format {
            Some(format) if format.highest_kind == Record::KIND_MAX => return Ok(None),
            Some(format) => Format { highest_kind: Record::KIND_MAX, ..format },
            None => Format { journal: JournalName::random()?, highest_kind: Record::KIND_MAX, upgrading: true },
        };
        Ok(Some(Self { key: self.key.clone(), format: Some(format) }))
    }

    /// The file, if there is one.
    ///
    /// # Errors
    /// The disk's error; the inner one says why the file is not a meta file.
    pub(crate) fn read(root: &dyn Storage) -> io::Result<Result<Option<Self>, MetaError>> {
        match root.read(META) {
            Ok(bytes) => Ok(Self::decode(&bytes).map(Some)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Ok(None)),
            Err(error) => Err(error),
        }
    }

    /// Writes the file, replacing the one that exists.
    ///
    /// # Errors
    /// The disk's error.
    pub(crate) fn write(&self, root: &dyn Storage) -> io::Result<()> {
        if root.list()?.iter().any(|file| file == META_UNFINISHED) {
            root.remove(META_UNFINISHED)?;
        }
        let file = root.create(META_UNFINISHED)?;
        file.append(&self.encode())?;
        file.sync_data()?;
        root.rename(META_UNFINISHED, META)?;
        root.sync_dir()
    }

    fn encode(&self) -> Vec<u8> {
        let Self { key, format } = self;
        let (key, elsewhere) = match key {
            MetaKey::Here(key) => (key.as_bytes(), false),
            MetaKey::Elsewhere(check) => (check, true),
        };
        let version = match format {
            Some(_) => FORMAT_2,
            None if elsewhere => FORMAT_1_KEY_ELSEWHERE,
            None => FORMAT_1,
        };
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&version.to_le_bytes());
        bytes.extend_from_slice(key);
        if let Some(Format { journal, highest_kind, upgrading }) = format {
            let flags = if elsewhere { KEY_ELSEWHERE } else { 0 } | if *upgrading { UPGRADING } else { 0 };
            bytes.extend_from_slice(&[flags, *highest_kind, 0, 0]);
            bytes.extend_from_slice(&journal.to_bytes());
        }
        let sum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, MetaError> {
        let damaged = |error: DecodeError| MetaError::Damaged(format!("its {META} {error}"));
        let mut reader = Reader::new(bytes);
        let (magic, version): ([u8; 8], [u8; 4]) = (reader.array().map_err(damaged)?, reader.array().map_err(damaged)?);
        let (covered, sum) = bytes.split_last_chunk::<4>().ok_or(DecodeError::Short).map_err(damaged)?;
        if magic != MAGIC {
            return Err(MetaError::Foreign(format!("its {META} is not one of ours")));
        }
        if crc32c::crc32c(covered) != u32::from_le_bytes(*sum) {
            return Err(MetaError::Damaged(format!("its {META} is damaged: the checksum is wrong")));
        }
        let version = u32::from_le_bytes(version);
        if ![FORMAT_1, FORMAT_1_KEY_ELSEWHERE, FORMAT_2].contains(&version) {
            let what = format!("its {META} has version {version}; this build reads versions up to {FORMAT_2}");
            return Err(MetaError::Foreign(what));
        }
        Self::decode_rest(version, &mut reader).map_err(damaged)?.known()
    }

    fn decode_rest(version: u32, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let key: [u8; 16] = reader.array()?;
        let (elsewhere, format) = if version == FORMAT_2 {
            let [flags, highest_kind, _, _] = reader.array()?;
            let journal = JournalName::from_bytes(reader.array()?);
            if flags & !(KEY_ELSEWHERE | UPGRADING) != 0 {
                return Err(DecodeError::Bad("flags"));
            }
            let upgrading = flags & UPGRADING != 0;
            (flags & KEY_ELSEWHERE != 0, Some(Format { journal, highest_kind, upgrading }))
        } else {
            (version == FORMAT_1_KEY_ELSEWHERE, None)
        };
        let _checksum: [u8; 4] = reader.array()?;
        reader.finish()?;
        let key = if elsewhere { MetaKey::Elsewhere(key) } else { MetaKey::Here(DigestKey::from_bytes(key)) };
        Ok(Self { key, format })
    }

    /// Refuses a file whose folder may have records that this build does not know.
    fn known(self) -> Result<Self, MetaError> {
        match self.format {
            Some(Format { highest_kind, .. }) if highest_kind > Record::KIND_MAX => Err(MetaError::Foreign(format!(
                "a newer build has written to it: it may have records of kind {highest_kind}, and this build knows kinds \
                 up to {}",
                Record::KIND_MAX
            ))),
            Some(_) | None => Ok(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> MetaKey {
        MetaKey::Here(DigestKey::from_bytes([7; 16]))
    }

    #[test]
    fn each_form_is_read_as_it_was_written() {
        for key in [here(), MetaKey::Elsewhere([8; 16])] {
            let of_2 = |upgrading| Format {
                journal: JournalName::from_bytes([5; 8]),
                highest_kind: Record::KIND_MAX - 1,
                upgrading,
            };
            for format in [None, Some(of_2(false)), Some(of_2(true))] {
                let meta = Meta { key: key.clone(), format };
                assert_eq!(Meta::decode(&meta.encode()), Ok(meta));
            }
        }
    }

    #[test]
    fn one_from_a_newer_build_is_refused_by_its_kind_or_its_version() {
        let newer =
            Format { journal: JournalName::from_bytes([5; 8]), highest_kind: Record::KIND_MAX + 1, upgrading: false };
        let text = Meta::decode(&Meta { key: here(), format: Some(newer) }.encode()).expect_err("newer").to_string();
        assert!(text.contains("a newer build has written to it"), "{text}");
        let mut bytes = Meta { key: here(), format: None }.encode();
        bytes[8] = 4;
        let sum = crc32c::crc32c(&bytes[..28]);
        bytes[28..].copy_from_slice(&sum.to_le_bytes());
        assert!(matches!(Meta::decode(&bytes), Err(MetaError::Foreign(text)) if text.contains("version 4")));
    }

    #[test]
    fn an_upgrade_keeps_key_and_name_and_is_made_once() {
        let old = Meta { key: here(), format: None };
        let new = old.upgraded().expect("random").expect("an upgrade");
        assert_eq!((new.key.clone(), new.upgraded().expect("random")), (here(), None));
        let name = new.format.expect("format 2").journal;
        assert!(new.format.is_some_and(|format| format.upgrading));
        let older = Format { journal: name, highest_kind: 1, upgrading: false };
        let after = Meta { format: Some(older), ..new }.upgraded().expect("random").expect("a higher kind");
        assert_eq!(after.format, Some(Format { highest_kind: Record::KIND_MAX, ..older }));
        assert_eq!(name.to_string().len(), 16);
    }

    #[test]
    fn any_byte_changed_or_missing_is_seen() {
        let whole = Meta::new(here()).expect("random").encode();
        assert_eq!(whole.len(), 44);
        for place in 0..whole.len() {
            let mut changed = whole.clone();
            changed[place] ^= 1;
            assert!(Meta::decode(&changed).is_err(), "byte {place}");
            assert!(Meta::decode(&whole[..place]).is_err(), "cut at {place}");
        }
    }
}
