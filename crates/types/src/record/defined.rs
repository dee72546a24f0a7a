//! What operators define by an id, other than drops: one record for each change of such a definition, whole.
//!
//! The record knows a definition's kind, id and digests. The definition itself is bytes, which only the module of its
//! kind reads; neither a follower nor a start needs to.

use super::drop_fact::{Origin, decode_origin, encode_origin};
use crate::codec::{DecodeError, Reader, put_text, put_u64};
use crate::ids::{DefinedId, Lsn};
use crate::time::Timestamp;

/// Most bytes of one definition.
pub const DEFINED_BYTES_MAX: usize = 128 * 1024;

/// What is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DefinedKind {
    /// A series: drops that come again by a rule of the calendar.
    Series,
    /// A webhook: events are delivered to a URL.
    Webhook,
}

/// What was done to a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DefinedVerb {
    /// It was created.
    Create,
    /// It was changed.
    Update,
    /// It was deleted.
    Delete,
}

/// The last change of a definition: distinguishes a repeated request from another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DefinedUpdate {
    /// The revision that it changed.
    pub base: Lsn,
    /// Digest of the request.
    pub request: [u8; 32],
}

/// A definition. Its revision is the LSN of the last record of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinedImage {
    /// What it defines.
    pub kind: DefinedKind,
    /// Its id, unique among those of its kind.
    pub id: DefinedId,
    /// When it was created.
    pub created_at: Timestamp,
    /// Digest of the request that created it: distinguishes a repeated request from another one.
    pub request: [u8; 32],
    /// The last change of it.
    pub update: Option<DefinedUpdate>,
    /// The definition, as its kind encodes it.
    pub bytes: Box<[u8]>,
}

/// A change of a definition. In a snapshot: the last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinedFact {
    /// What was done.
    pub verb: DefinedVerb,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub origin: Origin,
    /// The definition after it; if it was deleted, as it was.
    pub image: DefinedImage,
}

impl DefinedKind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Series, Self::Webhook];

    const fn number(self) -> u8 {
        match self {
            Self::Series => 1,
            Self::Webhook => 2,
        }
    }

    /// Its name, as in messages.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Series => "series",
            Self::Webhook => "webhook",
        }
    }
}

impl DefinedVerb {
    const ALL: [Self; 3] = [Self::Create, Self::Update, Self::Delete];

    const fn number(self) -> u8 {
        match self {
            Self::Create => 1,
            Self::Update => 2,
            Self::Delete => 3,
        }
    }

    /// What happened, in a word.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Create => "created",
            Self::Update => "updated",
            Self::Delete => "deleted",
        }
    }
}

pub(super) fn encode(fact: &DefinedFact, out: &mut Vec<u8>) {
    let DefinedFact { verb, at, origin, image } = fact;
    let DefinedImage { kind, id, created_at, request, update, bytes } = image;
    out.extend_from_slice(&[verb.number(), kind.number()]);
    put_u64(out, at.0);
    encode_origin(origin, out);
    put_text(out, id.as_str());
    put_u64(out, created_at.0);
    out.extend_from_slice(request);
    out.push(u8::from(update.is_some()));
    if let Some(DefinedUpdate { base, request }) = update {
        put_u64(out, base.0);
        out.extend_from_slice(request);
    }
    put_u64(out, u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    out.extend_from_slice(bytes);
}

pub(super) fn decode(reader: &mut Reader<'_>) -> Result<DefinedFact, DecodeError> {
    let [verb, kind] = reader.array()?;
    let verb = DefinedVerb::ALL.into_iter().find(|known| known.number() == verb).ok_or(DecodeError::Bad("verb"))?;
    let kind = DefinedKind::ALL.into_iter().find(|known| known.number() == kind);
    let kind = kind.ok_or(DecodeError::Bad("kind of a definition"))?;
    let (at, origin) = (Timestamp(reader.u64()?), decode_origin(reader)?);
    let (id, created_at, request) = (reader.id("id")?, Timestamp(reader.u64()?), reader.array()?);
    let updated = reader.flag("flag")?;
    let update =
        if updated { Some(DefinedUpdate { base: Lsn(reader.u64()?), request: reader.array()? }) } else { None };
    let length = reader.count(1)?;
    if length > DEFINED_BYTES_MAX {
        return Err(DecodeError::Bad("size of a definition"));
    }
    let bytes = reader.bytes(length)?.into();
    Ok(DefinedFact { verb, at, origin, image: DefinedImage { kind, id, created_at, request, update, bytes } })
}
