//! A drop's definition with its last change, and its bytes.

use super::kind;
use crate::codec::{DecodeError, Reader, put_u64};
use crate::definition::Definition;
use crate::ids::{DropNo, Lsn};
use crate::time::Timestamp;

/// A drop's definition. The entity's revision is `Drop.revision` on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropImage {
    /// Its number in this engine.
    pub number: DropNo,
    /// When it was created.
    pub created_at: Timestamp,
    /// Its definition.
    pub definition: Definition,
    /// Digest of the definition as first requested: distinguishes a repeated `CreateDrop` from another one.
    pub request: [u8; 32],
    /// The last change of its definition.
    pub update: Option<LastUpdate>,
}

/// The last change of a drop's definition: distinguishes a repeated `UpdateDrop` from another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastUpdate {
    /// The revision that it changed.
    pub base: Lsn,
    /// Digest of the request: see [`update_digest`].
    pub request: [u8; 32],
    /// The changes so far of what calendars show, this one included; none if no update has changed that.
    pub announced: Option<Announced>,
}

/// The changes of what calendars show of a drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announced {
    /// How many there were.
    pub changes: u32,
    /// When the last one was made.
    pub at: Timestamp,
}

impl DropImage {
    /// The size of its record, in bytes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let mut bytes = Vec::new();
        self.encode(&mut bytes);
        bytes.len()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let Self { number, created_at, definition, request, update } = self;
        let in_parts = update.is_some() || definition.has_parts();
        let announced = update.and_then(|update| update.announced);
        out.push(match in_parts {
            true if announced.is_some() => kind::DROP_ANNOUNCED,
            true if definition.rules.has_news() => kind::DROP_WITH_SIGNALS,
            true if definition.has_rules() => kind::DROP_WITH_RULES,
            true => kind::DROP_IN_PARTS,
            false => kind::DROP,
        });
        put_u64(out, number.0.into());
        put_u64(out, created_at.0);
        out.extend_from_slice(request);
        if in_parts {
            out.push(u8::from(update.is_some()).saturating_add(u8::from(announced.is_some())));
        }
        if let Some(LastUpdate { base, request, announced }) = update {
            put_u64(out, base.0);
            out.extend_from_slice(request);
            if let Some(Announced { changes, at }) = announced {
                put_u64(out, (*changes).into());
                put_u64(out, at.0);
            }
        }
        definition.encode(in_parts, out);
    }
}

/// The digest that distinguishes one `CreateDrop` from another: over the definition's bytes as they would be on disk.
#[must_use]
pub fn request_digest(definition: &Definition) -> [u8; 32] {
    let mut bytes = Vec::new();
    definition.encode(definition.has_parts(), &mut bytes);
    blake3::hash(&bytes).into()
}

/// The digest that distinguishes one `UpdateDrop` of a revision from another: over the named fields (none means all)
/// and the whole requested definition.
#[must_use]
pub fn update_digest(named: &[&str], wanted: &Definition) -> [u8; 32] {
    let mut bytes = Vec::new();
    for name in named {
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(b',');
    }
    bytes.push(b'=');
    wanted.encode(wanted.has_parts(), &mut bytes);
    blake3::hash(&bytes).into()
}

/// Reads a drop's image; its kind byte has been read.
pub(super) fn decode(reader: &mut Reader<'_>, kind: u8) -> Result<DropImage, DecodeError> {
    let with_parts = [kind::DROP_IN_PARTS, kind::DROP_WITH_RULES, kind::DROP_WITH_SIGNALS, kind::DROP_ANNOUNCED];
    let in_parts = with_parts.contains(&kind);
    if !in_parts && kind != kind::DROP {
        return Err(DecodeError::Bad("kind of a drop"));
    }
    let number = DropNo(reader.small("drop number")?);
    let created_at = Timestamp(reader.u64()?);
    let request = reader.array()?;
    let update = match if in_parts { reader.u8()? } else { 0 } {
        0 if kind != kind::DROP_ANNOUNCED => None,
        1 if kind != kind::DROP_ANNOUNCED => {
            Some(LastUpdate { base: Lsn(reader.u64()?), request: reader.array()?, announced: None })
        }
        2 if kind == kind::DROP_ANNOUNCED => {
            let (base, request) = (Lsn(reader.u64()?), reader.array()?);
            let announced = Announced { changes: reader.small("changes")?, at: Timestamp(reader.u64()?) };
            Some(LastUpdate { base, request, announced: Some(announced) })
        }
        _ => return Err(DecodeError::Bad("flag")),
    };
    Ok(DropImage { number, created_at, definition: Definition::decode(reader, in_parts)?, request, update })
}
