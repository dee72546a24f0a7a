//! A hold's bytes. A new hold of one line takes about 60.

use smallvec::SmallVec;

use crate::codec::{DecodeError, Reader, put_text, put_u64};
use crate::definition::{OfferNo, WindowNo};
use crate::hold::{
    ContentHash, HOLD_LINES_MAX, Hold, HoldExtras, HoldFields, HoldLine, HoldParts, HoldState, Identity, Lines,
    LinesView, Pinned, ShortLine,
};
use crate::ids::{DropNo, HoldId, ItemNo, Lsn, PoolNo, SubjectKey};
use crate::refusal::Reason;
use crate::time::{Millis, Timestamp};

/// Bytes of a hold's id.
const ID_BYTES: usize = 16;

/// Flags: what a hold's bytes carry beyond the plain fields.
mod has {
    /// `settled_at` follows.
    pub(super) const SETTLED: u8 = 1;
    /// `order_ref` follows.
    pub(super) const ORDER: u8 = 2;
    /// Lines carry the units given back.
    pub(super) const GIVEN_BACK: u8 = 4;
    /// It was claimed late.
    pub(super) const LATE: u8 = 8;
    /// `superseded_by` follows.
    pub(super) const SUPERSEDED: u8 = 16;
    /// Parts follow the lines, each preceded by its tag.
    pub(super) const PARTS: u8 = 32;
    /// Lines carry their window and price.
    pub(super) const PINNED: u8 = 64;
    /// An outage moved its deadline.
    pub(super) const GRACE: u8 = 128;
}

/// Tags of a hold's rare parts, each at most once.
mod part {
    pub(super) const END: u8 = 0;
    pub(super) const IDENTITIES: u8 = 1;
    pub(super) const TIERS: u8 = 2;
    pub(super) const OVER_LIMITS: u8 = 3;
    pub(super) const SHORTS: u8 = 4;
    pub(super) const OVER_WINDOWS: u8 = 5;
    pub(super) const LIFE_MAX: u8 = 6;
    pub(super) const RETURNED_AT: u8 = 7;
}

/// Encodes a hold. The revision is not part of the bytes: it is the record's LSN, or is stored next to it in a
/// snapshot.
pub(super) fn encode(hold: &Hold, out: &mut Vec<u8>) {
    let HoldParts {
        id,
        drop,
        state,
        customer,
        content,
        created_at,
        expires_at,
        settled_at,
        has_grace,
        revision: _,
        lines,
        extras,
    } = hold.parts();
    let order_ref = extras.and_then(|extras| extras.order_ref.as_ref());
    let superseded_by = extras.and_then(|extras| extras.superseded_by);
    let parts = extras.filter(|extras| has_parts(extras));
    let (given_back, pinned) = (lines.any_given_back(), lines.any_pinned());
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
    if extras.is_some_and(|extras| extras.late) {
        flags |= has::LATE;
    }
    if superseded_by.is_some() {
        flags |= has::SUPERSEDED;
    }
    if parts.is_some() {
        flags |= has::PARTS;
    }
    if pinned {
        flags |= has::PINNED;
    }
    if has_grace {
        flags |= has::GRACE;
    }
    encode_head(id, [state.number(), flags], drop, out);
    put_text(out, customer.as_str());
    out.extend_from_slice(&content.0.to_le_bytes());
    put_u64(out, created_at.0);
    put_u64(out, created_at.until(expires_at).0);
    if settled_at.0 > 0 {
        put_u64(out, settled_at.0);
    }
    if let Some(order_ref) = order_ref {
        put_text(out, order_ref.as_str());
    }
    if let Some(by) = superseded_by {
        out.extend_from_slice(by.as_bytes());
    }
    encode_lines(lines, (given_back, pinned), out);
    if let Some(extras) = parts {
        encode_parts(extras, out);
    }
}

/// Appends the fields of known length in one piece, because each append checks the buffer's capacity.
fn encode_head(id: HoldId, [state, flags]: [u8; 2], drop: DropNo, out: &mut Vec<u8>) {
    if let Ok(drop @ ..0x80) = u8::try_from(drop.0) {
        let mut head = [0; ID_BYTES + 3];
        let (of_id, rest) = head.split_at_mut(ID_BYTES);
        of_id.copy_from_slice(id.as_bytes());
        rest.copy_from_slice(&[state, flags, drop]);
        return out.extend_from_slice(&head);
    }
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(&[state, flags]);
    put_u64(out, drop.0.into());
}

fn encode_lines(lines: LinesView<'_>, (given_back, pinned): (bool, bool), out: &mut Vec<u8>) {
    if let LinesView::One { item, pool, pinned: Pinned { window, offer }, quantity } = lines
        && let (Ok(item), Ok(pool), Ok(quantity)) = (u8::try_from(item.0), u8::try_from(pool.0), u8::try_from(quantity))
        && let Ok(offer) = u8::try_from(offer.0)
        && [item, pool, quantity, window.0, offer].iter().all(|number| *number < 0x80)
    {
        // Nearly every hold is like this. Each number takes one byte, so all are appended in one piece.
        return if pinned {
            out.extend_from_slice(&[1, item, pool, quantity, window.0, offer]);
        } else {
            out.extend_from_slice(&[1, item, pool, quantity]);
        };
    }
    put_count(lines.count(), out);
    for line in lines {
        let HoldLine { item, pool, pinned: Pinned { window, offer }, quantity, released, returned, withdrawn } = line;
        put_u64(out, item.0.into());
        put_u64(out, pool.0.into());
        put_u64(out, quantity.into());
        if pinned {
            put_u64(out, window.0.into());
            put_u64(out, offer.0.into());
        }
        if given_back {
            put_u64(out, released.into());
            put_u64(out, returned.into());
            put_u64(out, withdrawn.into());
        }
    }
}

const fn has_parts(extras: &HoldExtras) -> bool {
    let HoldExtras {
        order_ref: _,
        late: _,
        superseded_by: _,
        identities,
        tiers,
        over_limits,
        over_windows,
        shorts,
        life_max,
        returned_at,
    } = extras;
    let overridden = over_limits.is_some() || over_windows.is_some();
    let by_conduct = life_max.is_some() || returned_at.0 > 0;
    overridden || by_conduct || !identities.is_empty() || !tiers.is_empty() || !shorts.is_empty()
}

fn encode_parts(extras: &HoldExtras, out: &mut Vec<u8>) {
    let HoldExtras {
        order_ref: _,
        late: _,
        superseded_by: _,
        identities,
        tiers,
        over_limits,
        over_windows,
        shorts,
        life_max,
        returned_at,
    } = extras;
    if !identities.is_empty() {
        out.push(part::IDENTITIES);
        put_count(identities.len(), out);
        for Identity { kind, subject } in identities {
            put_text(out, kind.as_str());
            out.extend_from_slice(&subject.0.to_le_bytes());
        }
    }
    if !tiers.is_empty() {
        out.push(part::TIERS);
        put_count(tiers.len(), out);
        for tier in tiers {
            put_text(out, tier.as_str());
        }
    }
    for (part, reason) in [(part::OVER_LIMITS, over_limits), (part::OVER_WINDOWS, over_windows)] {
        if let Some(reason) = reason {
            out.push(part);
            put_text(out, reason);
        }
    }
    if !shorts.is_empty() {
        out.push(part::SHORTS);
        put_count(shorts.len(), out);
        for ShortLine { item, requested, reason } in shorts {
            put_u64(out, item.0.into());
            put_u64(out, u64::from(*requested));
            out.push(reason.number());
        }
    }
    let spans = [(part::LIFE_MAX, life_max.map_or(0, |life| life.0)), (part::RETURNED_AT, returned_at.0)];
    for (part, number) in spans.into_iter().filter(|(_, number)| *number > 0) {
        out.push(part);
        put_u64(out, number);
    }
    out.push(part::END);
}

fn put_count(count: usize, out: &mut Vec<u8>) {
    put_u64(out, u64::try_from(count).unwrap_or(u64::MAX));
}

fn decode_parts(reader: &mut Reader<'_>, extras: &mut HoldExtras) -> Result<(), DecodeError> {
    loop {
        match reader.u8()? {
            part::END => return Ok(()),
            part::IDENTITIES => {
                let count = reader.count(18)?;
                let mut identity = || {
                    let kind = reader.id("identity kind")?;
                    Ok(Identity { kind, subject: SubjectKey(u128::from_le_bytes(reader.array()?)) })
                };
                extras.identities = (0..count).map(|_| identity()).collect::<Result<_, DecodeError>>()?;
            }
            part::TIERS => extras.tiers = (0..reader.count(2)?).map(|_| reader.id("tier")).collect::<Result<_, _>>()?,
            part::OVER_LIMITS => extras.over_limits = Some(reader.text()?.into()),
            part::OVER_WINDOWS => extras.over_windows = Some(reader.text()?.into()),
            part::LIFE_MAX => extras.life_max = Some(Millis(reader.u64()?)),
            part::RETURNED_AT => extras.returned_at = Timestamp(reader.u64()?),
            part::SHORTS => {
                let count = reader.count(3)?;
                let mut short = || {
                    let (item, requested) = (ItemNo(reader.small("item")?), reader.small("requested units")?);
                    let reason = Reason::from_number(reader.u8()?).ok_or(DecodeError::Bad("reason"))?;
                    Ok(ShortLine { item, requested, reason })
                };
                extras.shorts = (0..count).map(|_| short()).collect::<Result<_, DecodeError>>()?;
            }
            _ => return Err(DecodeError::Bad("hold part")),
        }
    }
}

pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Hold, DecodeError> {
    let id = HoldId::from_bytes(reader.array()?);
    let state = HoldState::from_number(reader.u8()?).ok_or(DecodeError::Bad("hold state"))?;
    let flags = reader.u8()?;
    let drop = DropNo(reader.small("drop number")?);
    let customer = reader.id("customer id")?;
    let content = ContentHash(u64::from_le_bytes(reader.array()?));
    let created_at = Timestamp(reader.u64()?);
    let life = reader.u64()?;
    let expires_at = Timestamp(created_at.0.checked_add(life).ok_or(DecodeError::Bad("deadline"))?);
    let settled_at = Timestamp(if flags & has::SETTLED != 0 { reader.u64()? } else { 0 });
    let order_ref = if flags & has::ORDER != 0 { Some(reader.id("order ref")?) } else { None };
    let late = flags & has::LATE != 0;
    let superseded_by = if flags & has::SUPERSEDED != 0 { Some(HoldId::from_bytes(reader.array()?)) } else { None };
    let lines = lines(reader, flags)?;
    let mut extras = HoldExtras { order_ref, late, superseded_by, ..HoldExtras::default() };
    if flags & has::PARTS != 0 {
        decode_parts(reader, &mut extras)?;
    }
    let extras = (extras != HoldExtras::default()).then(|| Box::new(extras));
    let revision = Lsn::default();
    let fields = HoldFields {
        id,
        drop,
        state,
        customer,
        content,
        created_at,
        expires_at,
        settled_at,
        has_grace: flags & has::GRACE != 0,
        revision,
        lines,
        extras,
    };
    Ok(fields.into())
}

fn lines(reader: &mut Reader<'_>, flags: u8) -> Result<Lines, DecodeError> {
    let count = reader.count(3)?;
    let mut lines: SmallVec<[HoldLine; 4]> = SmallVec::new();
    for _ in 0..count {
        let mut line =
            HoldLine::new(ItemNo(reader.small("item")?), PoolNo(reader.small("pool")?), reader.small("quantity")?);
        if flags & has::PINNED != 0 {
            let window = WindowNo(reader.small("window")?);
            line.pinned = Pinned { window, offer: OfferNo(reader.small("price")?) };
        }
        if flags & has::GIVEN_BACK != 0 {
            line.released = reader.small("released units")?;
            line.returned = reader.small("returned units")?;
            line.withdrawn = reader.small("withdrawn units")?;
        }
        lines.push(line);
    }
    // A requested line may be spread over pools, so there may be more lines than a request has.
    let bound = HOLD_LINES_MAX.saturating_mul(usize::from(u8::MAX));
    if lines.is_empty() || lines.len() > bound { Err(DecodeError::Bad("lines")) } else { Ok(Lines::from_slice(&lines)) }
}
