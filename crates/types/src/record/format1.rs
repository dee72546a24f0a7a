//! Facts in format 1: they say what a change was, not the entity after it. They are read and converted to today's facts
//! with the state of their hold. Only tests write them.

use smallvec::SmallVec;

use super::hold;
use crate::codec::{DecodeError, Reader, put_text, put_u64};
use crate::hold::{Change, Hold, HoldState};
use crate::ids::HoldId;
use crate::time::Timestamp;

/// A fact of format 1 about holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OldFact {
    /// A change of one hold.
    Change(HoldId, Change),
    /// A hold replaced another: one ended and the other was made, in one step.
    Superseded {
        /// The hold that ended.
        old: HoldId,
        /// When.
        at: Timestamp,
        /// The hold that replaced it, whole.
        hold: Hold,
    },
}

impl OldFact {
    /// The hold, if this claims it after its deadline.
    #[must_use]
    pub fn late_claim(&self) -> Option<HoldId> {
        match self {
            Self::Change(id, Change::Claimed { late: true, .. }) => Some(*id),
            Self::Change(..) | Self::Superseded { .. } => None,
        }
    }
}

/// The byte of each kind of change.
mod change {
    pub(super) const EXTENDED: u8 = 1;
    pub(super) const CLAIMED: u8 = 2;
    pub(super) const RELEASED: u8 = 3;
    pub(super) const EXPIRED: u8 = 4;
    pub(super) const STAGED: u8 = 5;
    pub(super) const RETURNED: u8 = 6;
    pub(super) const SUPERSEDED: u8 = 7;
}

pub(super) fn encode(fact: &OldFact, out: &mut Vec<u8>) {
    match fact {
        OldFact::Change(id, change) => {
            out.extend_from_slice(id.as_bytes());
            encode_change(change, out);
        }
        OldFact::Superseded { old, at, hold } => {
            out.extend_from_slice(old.as_bytes());
            put_u64(out, at.0);
            hold::encode(hold, out);
        }
    }
}

pub(super) fn decode_superseded(reader: &mut Reader<'_>) -> Result<OldFact, DecodeError> {
    let (old, at) = (HoldId::from_bytes(reader.array()?), Timestamp(reader.u64()?));
    let hold = hold::decode(reader)?;
    if hold.id == old {
        Err(DecodeError::Bad("hold that takes its own place"))
    } else {
        Ok(OldFact::Superseded { old, at, hold })
    }
}

fn encode_change(change: &Change, out: &mut Vec<u8>) {
    match change {
        Change::Extended { expires_at } => {
            out.push(change::EXTENDED);
            put_u64(out, expires_at.0);
        }
        Change::Staged { stage, expires_at } => {
            out.push(change::STAGED);
            out.push(stage.number());
            put_u64(out, expires_at.0);
        }
        Change::Claimed { at, order_ref, late, kept } => {
            out.push(change::CLAIMED);
            put_u64(out, at.0);
            put_text(out, order_ref.as_str());
            out.push(u8::from(*late));
            put_kept(kept, out);
        }
        Change::Returned { at: _, totals } => {
            out.push(change::RETURNED);
            put_u64(out, u64::try_from(totals.len()).unwrap_or(u64::MAX));
            for (returned, withdrawn) in totals {
                put_u64(out, u64::from(*returned));
                put_u64(out, u64::from(*withdrawn));
            }
        }
        Change::Released { at, kept } => {
            out.push(change::RELEASED);
            put_u64(out, at.0);
            put_kept(kept, out);
        }
        Change::Superseded { at, by } => {
            out.push(change::SUPERSEDED);
            put_u64(out, at.0);
            out.extend_from_slice(by.as_bytes());
        }
        Change::Expired { at } => {
            out.push(change::EXPIRED);
            put_u64(out, at.0);
        }
    }
}

fn put_kept(kept: &[u32], out: &mut Vec<u8>) {
    put_u64(out, u64::try_from(kept.len()).unwrap_or(u64::MAX));
    for units in kept {
        put_u64(out, u64::from(*units));
    }
}

pub(super) fn decode(reader: &mut Reader<'_>) -> Result<OldFact, DecodeError> {
    Ok(OldFact::Change(HoldId::from_bytes(reader.array()?), decode_change(reader)?))
}

fn decode_change(reader: &mut Reader<'_>) -> Result<Change, DecodeError> {
    Ok(match reader.u8()? {
        change::EXTENDED => Change::Extended { expires_at: Timestamp(reader.u64()?) },
        change::STAGED => {
            let stage = HoldState::from_number(reader.u8()?).filter(|stage| stage.is_live());
            let stage = stage.ok_or(DecodeError::Bad("stage"))?;
            Change::Staged { stage, expires_at: Timestamp(reader.u64()?) }
        }
        change::CLAIMED => Change::Claimed {
            at: Timestamp(reader.u64()?),
            order_ref: reader.id("order ref")?,
            late: reader.flag("flag")?,
            kept: kept(reader)?,
        },
        change::RETURNED => {
            let count = reader.count(2)?;
            let mut total = || Ok((reader.small("returned units")?, reader.small("withdrawn units")?));
            let totals = (0..count).map(|_| total()).collect::<Result<_, DecodeError>>()?;
            Change::Returned { at: None, totals }
        }
        change::RELEASED => Change::Released { at: Timestamp(reader.u64()?), kept: kept(reader)? },
        change::SUPERSEDED => {
            Change::Superseded { at: Timestamp(reader.u64()?), by: HoldId::from_bytes(reader.array()?) }
        }
        change::EXPIRED => Change::Expired { at: Timestamp(reader.u64()?) },
        _ => return Err(DecodeError::Bad("change kind")),
    })
}

fn kept(reader: &mut Reader<'_>) -> Result<SmallVec<[u32; 4]>, DecodeError> {
    let count = reader.count(1)?;
    (0..count).map(|_| reader.small("kept units")).collect()
}
