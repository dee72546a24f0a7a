//! Records: the facts that the journal and the snapshots are made of, and their bytes.
//!
//! A record carries what an entity became, never a difference, so applying it twice is the same as once. Its LSN is
//! its place in the journal and is not part of its bytes. Images (`Drop`, `Steering`, `Hold`, …) are whole entities: a
//! snapshot has one for every entity that there is. Facts are what the journal has: what was done, when and by whom, and
//! the entity after it.

mod archive;
mod definition;
mod format1;
mod hold;
mod hold_change;
mod restart;
mod stock;

pub use archive::{Archived, OldUsage, Sold, UsageImage};
pub use format1::OldFact;
pub use hold_change::{Actor, HoldChange, Made, MovedLine, Superseded, Verb};
pub use restart::Restart;
pub use stock::{Adjusted, Adjustment, AdjustmentsImage, PoolBasis, StockChange, StockImage};

use crate::codec::{DecodeError, Reader, put_option, put_u64};
use crate::definition::Definition;
use crate::hold::Hold;
use crate::ids::{DropNo, Lsn};
use crate::time::Timestamp;

/// Most bytes of one encoded record. The largest is a drop of 256 items; a test holds it to this.
pub const MAX_RECORD: usize = 128 * 1024;

/// A drop as it is defined. The entity's revision is `Drop.revision` on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropImage {
    /// Its number in this engine.
    pub number: DropNo,
    /// When it was created.
    pub created_at: Timestamp,
    /// What it is.
    pub definition: Definition,
    /// Digest of the definition as first asked for: tells a repeated `CreateDrop` from another one.
    pub request: [u8; 32],
    /// How its definition was changed last.
    pub update: Option<LastUpdate>,
}

/// The last change of a drop's definition: tells a repeated `UpdateDrop` from another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastUpdate {
    /// The revision that it changed.
    pub base: Lsn,
    /// Digest of what was asked for: see [`update_digest`].
    pub request: [u8; 32],
}

/// What operators did to a drop's running. An entity of its own: it leaves `Drop.revision` alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Steering {
    /// Which drop.
    pub drop: DropNo,
    /// No new reserves for now.
    pub paused: bool,
    /// Closed by hand at this instant.
    pub closed_at: Option<Timestamp>,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A drop, whole.
    Drop(Box<DropImage>),
    /// A drop's pause and close, whole.
    Steering(Steering),
    /// A hold, whole. In the journal only as format 1 wrote it: the reserve that made it.
    Hold(Hold),
    /// A hold was made.
    Made(Made),
    /// A hold was changed.
    Changed(Box<HoldChange>),
    /// A hold took another's place. Both have its LSN as their revision, and each is guarded by its own: a snapshot may
    /// have seen one of them, both, or neither.
    Superseded(Box<Superseded>),
    /// A fact about holds as format 1 wrote it.
    Old(Box<OldFact>),
    /// The engine started after an outage.
    Restart(Restart),
    /// An item's stock was adjusted.
    Adjusted(Adjusted),
    /// An item's stock, whole.
    Stock(StockImage),
    /// A part of an item's remembered adjustments.
    Adjustments(AdjustmentsImage),
    /// A drop was archived.
    Archived(Archived),
    /// What a subject owns from archived drops, whole.
    Usage(UsageImage),
}

/// First byte of an encoded record. Never reused for another meaning.
mod kind {
    pub const DROP: u8 = 1;
    pub const STEERING: u8 = 2;
    pub const HOLD: u8 = 3;
    pub const CHANGE_1: u8 = 4;
    pub const RESTART_1: u8 = 5;
    pub const ADJUSTED_1: u8 = 6;
    pub const STOCK: u8 = 7;
    /// A drop that has parts beyond the first fields.
    pub const DROP_IN_PARTS: u8 = 8;
    pub const SUPERSEDED_1: u8 = 9;
    pub const ARCHIVED: u8 = 10;
    pub const USAGE: u8 = 11;
    /// An adjustment with the instant at which it was made.
    pub const ADJUSTED_AT_1: u8 = 12;
    pub const ADJUSTMENTS: u8 = 13;
    pub const MADE: u8 = 14;
    pub const CHANGED: u8 = 15;
    pub const SUPERSEDED: u8 = 16;
    pub const RESTART: u8 = 17;
}

impl DropImage {
    /// Bytes that its record takes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let mut bytes = Vec::new();
        self.encode(&mut bytes);
        bytes.len()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let Self { number, created_at, definition, request, update } = self;
        let in_parts = update.is_some() || definition::has_parts(definition);
        out.push(if in_parts { kind::DROP_IN_PARTS } else { kind::DROP });
        put_u64(out, number.0.into());
        put_u64(out, created_at.0);
        out.extend_from_slice(request);
        if in_parts {
            out.push(u8::from(update.is_some()));
        }
        if let Some(LastUpdate { base, request }) = update {
            put_u64(out, base.0);
            out.extend_from_slice(request);
        }
        definition::encode(definition, in_parts, out);
    }
}

impl Record {
    /// The highest kind that there is: a data folder says which kinds may be in it.
    pub const KIND_MAX: u8 = kind::RESTART;

    /// The drop that it is about: itself, not its holds.
    #[must_use]
    pub const fn drop_number(&self) -> Option<DropNo> {
        match self {
            Self::Drop(image) => Some(image.number),
            Self::Steering(Steering { drop, .. })
            | Self::Adjusted(Adjusted { drop, .. })
            | Self::Stock(StockImage { drop, .. })
            | Self::Adjustments(AdjustmentsImage { drop, .. })
            | Self::Archived(Archived { drop, .. }) => Some(*drop),
            Self::Hold(_)
            | Self::Made(_)
            | Self::Changed(_)
            | Self::Superseded(_)
            | Self::Old(_)
            | Self::Restart(_)
            | Self::Usage(_) => None,
        }
    }

    /// What it is, in a word.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Drop(_) => "drop",
            Self::Steering(_) => "steering",
            Self::Hold(_) => "hold",
            Self::Made(_) => "made",
            Self::Changed(_) => "changed",
            Self::Superseded(_) => "superseded",
            Self::Old(_) => "change of format 1",
            Self::Restart(_) => "restart",
            Self::Adjusted(_) => "adjusted",
            Self::Stock(_) => "stock",
            Self::Adjustments(_) => "adjustments",
            Self::Archived(_) => "archived",
            Self::Usage(_) => "usage",
        }
    }

    /// Appends the record's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Made(Made { actor, hold }) => {
                out.extend_from_slice(&[kind::MADE, actor.number()]);
                hold::encode(hold, out);
            }
            Self::Changed(change) => {
                out.push(kind::CHANGED);
                hold_change::encode(change, out);
            }
            Self::Superseded(superseded) => {
                out.push(kind::SUPERSEDED);
                hold_change::encode_superseded(superseded, out);
            }
            Self::Hold(image) => {
                out.push(kind::HOLD);
                hold::encode(image, out);
            }
            Self::Drop(image) => image.encode(out),
            Self::Steering(Steering { drop, paused, closed_at }) => {
                out.push(kind::STEERING);
                put_u64(out, drop.0.into());
                out.push(u8::from(*paused));
                put_option(out, closed_at.map(|at| at.0));
            }
            Self::Old(fact) => {
                out.push(match fact.as_ref() {
                    OldFact::Change(..) => kind::CHANGE_1,
                    OldFact::Superseded { .. } => kind::SUPERSEDED_1,
                });
                format1::encode(fact, out);
            }
            Self::Restart(restart) => {
                out.push(if restart.at.is_some() { kind::RESTART } else { kind::RESTART_1 });
                restart::encode(restart, out);
            }
            Self::Adjusted(adjusted) => {
                out.push(if adjusted.at.is_some() { kind::ADJUSTED_AT_1 } else { kind::ADJUSTED_1 });
                stock::encode_adjusted(adjusted, out);
            }
            Self::Stock(image) => {
                out.push(kind::STOCK);
                stock::encode_image(image, out);
            }
            Self::Adjustments(image) => {
                out.push(kind::ADJUSTMENTS);
                stock::encode_adjustments(image, out);
            }
            Self::Archived(archived) => {
                out.push(kind::ARCHIVED);
                archive::encode_archived(archived, out);
            }
            Self::Usage(image) => {
                out.push(kind::USAGE);
                archive::encode_usage(image, out);
            }
        }
    }

    /// Reads one record, all bytes of it.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are not exactly one record.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let record = match reader.u8()? {
            kind::MADE => Self::Made(Made { actor: Actor::decode(&mut reader)?, hold: hold::decode(&mut reader)? }),
            kind::CHANGED => Self::Changed(Box::new(hold_change::decode(&mut reader)?)),
            kind::SUPERSEDED => Self::Superseded(Box::new(hold_change::decode_superseded(&mut reader)?)),
            kind::HOLD => Self::Hold(hold::decode(&mut reader)?),
            kind @ (kind::DROP | kind::DROP_IN_PARTS) => {
                Self::Drop(Box::new(drop_image(&mut reader, kind == kind::DROP_IN_PARTS)?))
            }
            kind::STEERING => Self::Steering(Steering {
                drop: DropNo(reader.small("drop number")?),
                paused: flag(&mut reader)?,
                closed_at: reader.option()?.map(Timestamp),
            }),
            kind::CHANGE_1 => Self::Old(Box::new(format1::decode(&mut reader)?)),
            kind::SUPERSEDED_1 => Self::Old(Box::new(format1::decode_superseded(&mut reader)?)),
            kind @ (kind::RESTART | kind::RESTART_1) => {
                Self::Restart(restart::decode(&mut reader, kind == kind::RESTART)?)
            }
            kind @ (kind::ADJUSTED_1 | kind::ADJUSTED_AT_1) => {
                Self::Adjusted(stock::decode_adjusted(&mut reader, kind == kind::ADJUSTED_AT_1)?)
            }
            kind::ADJUSTMENTS => Self::Adjustments(stock::decode_adjustments(&mut reader)?),
            kind::STOCK => Self::Stock(stock::decode_image(&mut reader)?),
            kind::ARCHIVED => Self::Archived(archive::decode_archived(&mut reader)?),
            kind::USAGE => Self::Usage(archive::decode_usage(&mut reader)?),
            _ => return Err(DecodeError::Bad("record kind")),
        };
        reader.finish()?;
        Ok(record)
    }
}

/// The digest that tells one `CreateDrop` from another: over the definition's bytes as they would stand on disk.
#[must_use]
pub fn request_digest(definition: &Definition) -> [u8; 32] {
    let mut bytes = Vec::new();
    definition::encode(definition, definition::has_parts(definition), &mut bytes);
    blake3::hash(&bytes).into()
}

/// The digest that tells one `UpdateDrop` of a revision from another: over the fields that it names, none being all, and
/// the whole definition as it wants it.
#[must_use]
pub fn update_digest(named: &[&str], wanted: &Definition) -> [u8; 32] {
    let mut bytes = Vec::new();
    for name in named {
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(b',');
    }
    bytes.push(b'=');
    definition::encode(wanted, definition::has_parts(wanted), &mut bytes);
    blake3::hash(&bytes).into()
}

fn drop_image(reader: &mut Reader<'_>, in_parts: bool) -> Result<DropImage, DecodeError> {
    let number = DropNo(reader.small("drop number")?);
    let created_at = Timestamp(reader.u64()?);
    let request = reader.array()?;
    let updated = in_parts && flag(reader)?;
    let update = if updated { Some(LastUpdate { base: Lsn(reader.u64()?), request: reader.array()? }) } else { None };
    Ok(DropImage { number, created_at, definition: definition::decode(reader, in_parts)?, request, update })
}

fn flag(reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::Bad("flag")),
    }
}

#[cfg(test)]
mod tests;
