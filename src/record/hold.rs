//! A hold's bytes, and those of its changes. A fresh hold of one line takes about 60.

use smallvec::SmallVec;

use crate::codec::{DecodeError, Reader, put_text, put_u64};
use crate::hold::{Change, ContentHash, Hold, HoldLine, HoldState, Lines, MAX_LINES};
use crate::ids::{DropNo, HoldId, ItemNo, Lsn, PoolNo};
use crate::time::Timestamp;

/// What a hold's bytes carry beyond the plain fields: bits of its second part.
mod has {
    /// `settled_at` follows.
    pub const SETTLED: u8 = 1;
    /// `order_ref` follows.
    pub const ORDER: u8 = 2;
    /// Lines carry what was given back.
    pub const GIVEN_BACK: u8 = 4;
    pub const ALL: u8 = SETTLED | ORDER | GIVEN_BACK;
}

mod change {
    pub const EXTENDED: u8 = 1;
    pub const CLAIMED: u8 = 2;
    pub const RELEASED: u8 = 3;
    pub const EXPIRED: u8 = 4;
}

/// The revision is not part of the bytes: it is the record's LSN, or stands beside it in a snapshot.
pub(super) fn encode(hold: &Hold, out: &mut Vec<u8>) {
    let Hold { id, drop, state, customer, content, created_at, expires_at, settled_at, revision: _, lines, order_ref } =
        hold;
    let given_back = lines.iter().any(|line| line.released > 0 || line.returned > 0);
    let mut flags = 0;
    if settled_at.0 > 0 {
        flags |= has::SETTLED;
    }
    if order_ref.is_some() {
        flags |= has::ORDER;
    }
    if given_back {
        flags |= has::GIVEN_BACK;
    }
    out.extend_from_slice(id.as_bytes());
    out.push(state.number());
    out.push(flags);
    put_u64(out, drop.0.into());
    put_text(out, customer.as_str());
    out.extend_from_slice(&content.0.to_le_bytes());
    put_u64(out, created_at.0);
    put_u64(out, created_at.until(*expires_at).0);
    if settled_at.0 > 0 {
        put_u64(out, settled_at.0);
    }
    if let Some(order_ref) = order_ref {
        put_text(out, order_ref.as_str());
    }
    put_u64(out, u64::try_from(lines.iter().count()).unwrap_or(u64::MAX));
    for HoldLine { item, pool, quantity, released, returned } in lines.iter() {
        put_u64(out, item.0.into());
        put_u64(out, pool.0.into());
        put_u64(out, quantity.into());
        if given_back {
            put_u64(out, released.into());
            put_u64(out, returned.into());
        }
    }
}

pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Hold, DecodeError> {
    let id = HoldId::from_bytes(reader.array()?);
    let state = HoldState::from_number(reader.u8()?).ok_or(DecodeError::Bad("hold state"))?;
    let flags = reader.u8()?;
    if flags & !has::ALL != 0 {
        return Err(DecodeError::Bad("hold flags"));
    }
    let drop = DropNo(reader.small("drop number")?);
    let customer = reader.id("customer id")?;
    let content = ContentHash(u64::from_le_bytes(reader.array()?));
    let created_at = Timestamp(reader.u64()?);
    let life = reader.u64()?;
    let expires_at = Timestamp(created_at.0.checked_add(life).ok_or(DecodeError::Bad("deadline"))?);
    let settled_at = Timestamp(if flags & has::SETTLED != 0 { reader.u64()? } else { 0 });
    let order_ref = if flags & has::ORDER != 0 { Some(Box::new(reader.id("order ref")?)) } else { None };
    let lines = lines(reader, flags & has::GIVEN_BACK != 0)?;
    let revision = Lsn::default();
    Ok(Hold { id, drop, state, customer, content, created_at, expires_at, settled_at, revision, lines, order_ref })
}

fn lines(reader: &mut Reader<'_>, given_back: bool) -> Result<Lines, DecodeError> {
    let count = reader.count(3)?;
    let mut lines: SmallVec<[HoldLine; 4]> = SmallVec::new();
    for _ in 0..count {
        let mut line =
            HoldLine::new(ItemNo(reader.small("item")?), PoolNo(reader.small("pool")?), reader.small("quantity")?);
        if given_back {
            line.released = reader.small("released units")?;
            line.returned = reader.small("returned units")?;
        }
        lines.push(line);
    }
    // A line may be spread over pools, so there may be more of them than a request has.
    let bound = MAX_LINES.saturating_mul(usize::from(u8::MAX));
    if lines.is_empty() || lines.len() > bound { Err(DecodeError::Bad("lines")) } else { Ok(Lines::from_slice(&lines)) }
}

pub(super) fn encode_change(change: &Change, out: &mut Vec<u8>) {
    match change {
        Change::Extended { expires_at } => {
            out.push(change::EXTENDED);
            put_u64(out, expires_at.0);
        }
        Change::Claimed { at, order_ref } => {
            out.push(change::CLAIMED);
            put_u64(out, at.0);
            put_text(out, order_ref.as_str());
        }
        Change::Released { at, kept } => {
            out.push(change::RELEASED);
            put_u64(out, at.0);
            put_u64(out, u64::try_from(kept.len()).unwrap_or(u64::MAX));
            for units in kept {
                put_u64(out, u64::from(*units));
            }
        }
        Change::Expired { at } => {
            out.push(change::EXPIRED);
            put_u64(out, at.0);
        }
    }
}

pub(super) fn decode_change(reader: &mut Reader<'_>) -> Result<Change, DecodeError> {
    match reader.u8()? {
        change::EXTENDED => Ok(Change::Extended { expires_at: Timestamp(reader.u64()?) }),
        change::CLAIMED => Ok(Change::Claimed { at: Timestamp(reader.u64()?), order_ref: reader.id("order ref")? }),
        change::RELEASED => {
            let at = Timestamp(reader.u64()?);
            let count = reader.count(1)?;
            let kept = (0..count).map(|_| reader.small("kept units")).collect::<Result<_, _>>()?;
            Ok(Change::Released { at, kept })
        }
        change::EXPIRED => Ok(Change::Expired { at: Timestamp(reader.u64()?) }),
        _ => Err(DecodeError::Bad("change kind")),
    }
}
