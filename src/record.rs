//! Records: the facts that the journal and the snapshots are made of, and their bytes.
//!
//! A record carries what an entity became, never a difference, so applying it twice is the same as once. Its LSN is
//! its place in the journal and is not part of its bytes. Images (`Drop`, `Schedule`, `Hold`) are whole entities: the
//! journal has one where the entity is made, a snapshot has one for every entity that there is.

mod archive;
mod definition;
mod hold;
mod stock;

use crate::codec::{DecodeError, Reader, put_option, put_u64};
use crate::definition::Definition;
use crate::hold::{Change, Hold};
use crate::ids::{AdjustmentId, DropNo, HoldId, ItemNo, Lsn, PoolNo, SubjectKey};
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

/// A change of stock that was asked for by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adjustment {
    /// The caller's id: it is made once.
    pub id: AdjustmentId,
    /// In which pool of the item.
    pub pool: PoolNo,
    /// What was asked.
    pub change: StockChange,
}

/// What an adjustment asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StockChange {
    /// So many more units, or fewer.
    Delta(i64),
    /// So many units received in all, if they are `expected` now.
    SetReceived {
        /// Compare with this.
        expected: u64,
        /// And set this.
        units: u64,
    },
}

/// What a pool has received and what was taken out of it by adjustments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolBasis {
    /// Units ever put in.
    pub received: u64,
    /// Units taken out again for good, other than by returns.
    pub taken_out: u64,
}

/// A pool's basis after an adjustment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adjusted {
    /// In which drop.
    pub drop: DropNo,
    /// Of which item.
    pub item: ItemNo,
    /// What was asked for.
    pub adjustment: Adjustment,
    /// What came of it.
    pub basis: PoolBasis,
    /// When it was made; records from before this was written down don't say.
    pub at: Option<Timestamp>,
}

/// An item's stock, whole: for snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockImage {
    /// In which drop.
    pub drop: DropNo,
    /// Which item.
    pub item: ItemNo,
    /// Its pools.
    pub pools: Vec<PoolBasis>,
    /// The last adjustments, oldest first, as they were written before [`AdjustmentsImage`] was.
    pub adjustments: Vec<Adjustment>,
}

/// A part of an item's remembered adjustments. Stands in snapshots only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdjustmentsImage {
    /// In which drop.
    pub drop: DropNo,
    /// Of which item.
    pub item: ItemNo,
    /// The latest instant that one which was forgotten may have been made at; 0 as long as none was forgotten.
    pub forgotten: Timestamp,
    /// Each with the instant at which it was made, as far as that is known; oldest first.
    pub adjustments: Vec<(Adjustment, Option<Timestamp>)>,
}

/// A drop's holds have left memory: what they had of each pool is all that is kept of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archived {
    /// Which drop.
    pub drop: DropNo,
    /// When.
    pub at: Timestamp,
    /// By pool, in the definition's order of items and pools.
    pub pools: Vec<Sold>,
}

/// What became of a pool's units, over all holds that there ever were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sold {
    /// Units sold, and not returned.
    pub claimed: u64,
    /// Units returned, and not for sale again.
    pub withdrawn: u64,
    /// Units ever returned.
    pub returned_total: u64,
}

/// What a subject owns from archived drops. Stands in snapshots only: the journal has the holds that it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageImage {
    /// Whose.
    pub subject: SubjectKey,
    /// What.
    pub usage: Vec<OldUsage>,
}

/// Units of an archived drop's item that a subject owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OldUsage {
    /// In which drop.
    pub drop: DropNo,
    /// Which item.
    pub item: ItemNo,
    /// The end of the bucket of time that they were reserved in.
    pub at: Timestamp,
    /// How many.
    pub units: u64,
}

/// The engine started again and gave the holds that it may have slept through some more time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart {
    /// The last instant before the outage that the journal knows.
    pub stopped_at: Timestamp,
    /// Holds with a deadline after `stopped_at` and before this get this one.
    pub grace_until: Timestamp,
}

impl Restart {
    /// Whether it gives this hold more time.
    #[must_use]
    pub fn moves(&self, hold: &Hold) -> bool {
        hold.state.is_live() && self.stopped_at < hold.expires_at() && hold.expires_at() < self.grace_until
    }

    /// What it changes about each hold to which it gives more time.
    #[must_use]
    pub const fn change(&self) -> Change {
        Change::Extended { expires_at: self.grace_until }
    }
}

/// A hold took another's place: one ended and the other was made, in one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superseded {
    /// The hold that ended.
    pub old: HoldId,
    /// When.
    pub at: Timestamp,
    /// The one that took its place, whole.
    pub hold: Hold,
}

/// One fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A drop, whole.
    Drop(Box<DropImage>),
    /// A drop's pause and close, whole.
    Steering(Steering),
    /// A hold, whole: in the journal, the reserve that made it.
    Hold(Hold),
    /// A change of one hold.
    Change(HoldId, Change),
    /// A hold took another's place. Both have its LSN as their revision, and each is guarded by its own: a snapshot may
    /// have seen one of them, both, or neither.
    Superseded(Box<Superseded>),
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
    pub const CHANGE: u8 = 4;
    pub const RESTART: u8 = 5;
    pub const ADJUSTED: u8 = 6;
    pub const STOCK: u8 = 7;
    /// A drop that has parts beyond the first fields.
    pub const DROP_IN_PARTS: u8 = 8;
    pub const SUPERSEDED: u8 = 9;
    pub const ARCHIVED: u8 = 10;
    pub const USAGE: u8 = 11;
    /// An adjustment with the instant at which it was made.
    pub const ADJUSTED_AT: u8 = 12;
    pub const ADJUSTMENTS: u8 = 13;
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
            Self::Hold(_) | Self::Change(..) | Self::Superseded(_) | Self::Restart(_) | Self::Usage(_) => None,
        }
    }

    /// Appends the record's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        // Records that end with a hold's image: encoded in one place, for every reserve comes by here.
        let image = match self {
            Self::Hold(image) => {
                out.push(kind::HOLD);
                image
            }
            Self::Superseded(superseded) => {
                let Superseded { old, at, hold } = superseded.as_ref();
                out.push(kind::SUPERSEDED);
                out.extend_from_slice(old.as_bytes());
                put_u64(out, at.0);
                hold
            }
            Self::Drop(_)
            | Self::Steering(_)
            | Self::Change(..)
            | Self::Restart(_)
            | Self::Adjusted(_)
            | Self::Stock(_)
            | Self::Adjustments(_)
            | Self::Archived(_)
            | Self::Usage(_) => return self.encode_other(out),
        };
        hold::encode(image, out);
    }

    fn encode_other(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hold(_) | Self::Superseded(_) => {}
            Self::Drop(image) => image.encode(out),
            Self::Steering(Steering { drop, paused, closed_at }) => {
                out.push(kind::STEERING);
                put_u64(out, drop.0.into());
                out.push(u8::from(*paused));
                put_option(out, closed_at.map(|at| at.0));
            }
            Self::Change(id, change) => {
                out.push(kind::CHANGE);
                out.extend_from_slice(id.as_bytes());
                hold::encode_change(change, out);
            }
            Self::Restart(Restart { stopped_at, grace_until }) => {
                out.push(kind::RESTART);
                put_u64(out, stopped_at.0);
                put_u64(out, grace_until.0);
            }
            Self::Adjusted(adjusted) => {
                out.push(if adjusted.at.is_some() { kind::ADJUSTED_AT } else { kind::ADJUSTED });
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
            kind @ (kind::DROP | kind::DROP_IN_PARTS) => {
                Self::Drop(Box::new(drop_image(&mut reader, kind == kind::DROP_IN_PARTS)?))
            }
            kind::STEERING => Self::Steering(Steering {
                drop: DropNo(reader.small("drop number")?),
                paused: flag(&mut reader)?,
                closed_at: reader.option()?.map(Timestamp),
            }),
            kind::HOLD => Self::Hold(hold::decode(&mut reader)?),
            kind::CHANGE => Self::Change(HoldId::from_bytes(reader.array()?), hold::decode_change(&mut reader)?),
            kind::SUPERSEDED => {
                let (old, at) = (HoldId::from_bytes(reader.array()?), Timestamp(reader.u64()?));
                let hold = hold::decode(&mut reader)?;
                if hold.id == old {
                    return Err(DecodeError::Bad("hold that takes its own place"));
                }
                Self::Superseded(Box::new(Superseded { old, at, hold }))
            }
            kind::RESTART => {
                Self::Restart(Restart { stopped_at: Timestamp(reader.u64()?), grace_until: Timestamp(reader.u64()?) })
            }
            kind @ (kind::ADJUSTED | kind::ADJUSTED_AT) => {
                Self::Adjusted(stock::decode_adjusted(&mut reader, kind == kind::ADJUSTED_AT)?)
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
