//! What is kept of an archived drop, and its bytes.

use crate::codec::{DecodeError, Reader, put_u64};
use crate::ids::{DropNo, ItemNo, SubjectKey};
use crate::time::Timestamp;

/// A drop was archived: its holds were removed from memory, and these sums per pool replace them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archived {
    /// Which drop.
    pub drop: DropNo,
    /// When.
    pub at: Timestamp,
    /// Per pool, in the definition's order of items and pools.
    pub pools: Vec<Sold>,
}

/// Sums over all holds that a pool ever had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sold {
    /// Units sold and not returned.
    pub claimed: u64,
    /// Units returned and not for sale again.
    pub withdrawn: u64,
    /// Units ever returned.
    pub returned_total: u64,
}

/// What a subject owns from archived drops. In snapshots only: the journal has the holds that it was computed from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageImage {
    /// The subject.
    pub subject: SubjectKey,
    /// Its units.
    pub usage: Vec<OldUsage>,
    /// When units of its orders came back last: one for each such order, ascending.
    pub returns: Vec<Timestamp>,
}

/// Units of an archived drop's item that a subject owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OldUsage {
    /// In which drop.
    pub drop: DropNo,
    /// Which item.
    pub item: ItemNo,
    /// The end of the time bucket in which they were reserved.
    pub at: Timestamp,
    /// How many.
    pub units: u64,
}

pub(super) fn encode_archived(archived: &Archived, out: &mut Vec<u8>) {
    let Archived { drop, at, pools } = archived;
    put_u64(out, drop.0.into());
    put_u64(out, at.0);
    put_count(pools.len(), out);
    for Sold { claimed, withdrawn, returned_total } in pools {
        put_u64(out, *claimed);
        put_u64(out, *withdrawn);
        put_u64(out, *returned_total);
    }
}

pub(super) fn decode_archived(reader: &mut Reader<'_>) -> Result<Archived, DecodeError> {
    let drop = DropNo(reader.small("drop number")?);
    let at = Timestamp(reader.u64()?);
    let count = reader.count(3)?;
    let mut sold = || Ok(Sold { claimed: reader.u64()?, withdrawn: reader.u64()?, returned_total: reader.u64()? });
    let pools = (0..count).map(|_| sold()).collect::<Result<_, DecodeError>>()?;
    Ok(Archived { drop, at, pools })
}

pub(super) fn encode_usage(image: &UsageImage, out: &mut Vec<u8>) {
    let UsageImage { subject, usage, returns } = image;
    out.extend_from_slice(&subject.0.to_le_bytes());
    put_count(usage.len(), out);
    for OldUsage { drop, item, at, units } in usage {
        put_u64(out, drop.0.into());
        put_u64(out, item.0.into());
        put_u64(out, at.0);
        put_u64(out, *units);
    }
    // Left out if there are none: the record is of another kind then.
    if !returns.is_empty() {
        put_count(returns.len(), out);
        for at in returns {
            put_u64(out, at.0);
        }
    }
}

pub(super) fn decode_usage(reader: &mut Reader<'_>, has_returns: bool) -> Result<UsageImage, DecodeError> {
    let subject = SubjectKey(u128::from_le_bytes(reader.array()?));
    let count = reader.count(4)?;
    let mut usage = || {
        let (drop, item) = (DropNo(reader.small("drop number")?), ItemNo(reader.small("item")?));
        Ok(OldUsage { drop, item, at: Timestamp(reader.u64()?), units: reader.u64()? })
    };
    let usage = (0..count).map(|_| usage()).collect::<Result<_, DecodeError>>()?;
    let returns = if has_returns { reader.count(1)? } else { 0 };
    let returns = (0..returns).map(|_| Ok(Timestamp(reader.u64()?))).collect::<Result<_, DecodeError>>()?;
    Ok(UsageImage { subject, usage, returns })
}

fn put_count(count: usize, out: &mut Vec<u8>) {
    put_u64(out, u64::try_from(count).unwrap_or(u64::MAX));
}
