//! Adjustments of stock, and their bytes.

use super::Sold;
use super::drop_fact::{Origin, decode_origin, encode_origin};
use crate::codec::{DecodeError, Reader, put_option, put_u64};
use crate::ids::{AdjustmentId, DropNo, ItemNo, Lsn, PoolNo};
use crate::time::Timestamp;

const DELTA: u8 = 1;
const SET_RECEIVED: u8 = 2;
const RECONCILE: u8 = 3;

/// A requested change of stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adjustment {
    /// The caller's id. An adjustment is made once per id.
    pub id: AdjustmentId,
    /// In which pool of the item.
    pub pool: PoolNo,
    /// The requested change.
    pub change: StockChange,
}

/// What an adjustment asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StockChange {
    /// Sets right what a system of record counts otherwise.
    Reconcile(Reconciliation),
    /// Adds this number of units, or removes it if negative.
    Delta(i64),
    /// Sets the units received, if they are `expected` now.
    SetReceived {
        /// The current value must be this.
        expected: u64,
        /// The new value.
        units: u64,
    },
}

/// A comparison with a system of record, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconciliation {
    /// Whether all pools of the item were compared together; otherwise the adjustment's pool alone.
    pub whole_item: bool,
    /// The record up to which the system of record had taken in what happened.
    pub as_of: Lsn,
    /// The units that it had on hand then.
    pub on_hand: u64,
    /// By how much that was more than the units here.
    pub drift: i64,
    /// By how much the units received were changed for it: by the drift or, if units of it are not free, by fewer.
    pub applied: i64,
}

impl Reconciliation {
    /// Units that customers have and that are not there.
    #[must_use]
    pub const fn shortage(&self) -> u64 {
        self.drift.abs_diff(self.applied)
    }

    /// Whether what was changed is the drift or, of missing units, a part of it.
    const fn is_sound(&self) -> bool {
        self.applied == self.drift || (self.drift < self.applied && self.applied <= 0)
    }
}

/// What a pool has received, and what adjustments removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolBasis {
    /// Units ever put in.
    pub received: u64,
    /// Units removed permanently, other than by returns.
    pub taken_out: u64,
}

/// All figures of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolFigures {
    /// What it has received, and what adjustments removed.
    pub basis: PoolBasis,
    /// Units set aside.
    pub held: u64,
    /// Units in payment.
    pub paying: u64,
    /// Units sold and not returned.
    pub claimed: u64,
    /// Units returned and not for sale again.
    pub withdrawn: u64,
    /// Units ever returned.
    pub returned_total: u64,
}

/// Who made an adjustment, and the item's stock after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdjustedBy {
    /// By whom.
    pub origin: Origin,
    /// The item's pools after it, in the definition's order.
    pub stock: Vec<PoolFigures>,
}

/// A pool's basis after an adjustment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adjusted {
    /// In which drop.
    pub drop: DropNo,
    /// Of which item.
    pub item: ItemNo,
    /// What was requested.
    pub adjustment: Adjustment,
    /// The pool's basis after it.
    pub basis: PoolBasis,
    /// When it was made; the oldest records of format 1 don't say.
    pub at: Option<Timestamp>,
    /// By whom, and the stock after it; records of format 1 don't say.
    pub by: Option<Box<AdjustedBy>>,
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
    /// The last adjustments, oldest first, in snapshots older than [`AdjustmentsImage`].
    pub adjustments: Vec<Adjustment>,
}

/// A part of an item's remembered adjustments. In snapshots only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdjustmentsImage {
    /// In which drop.
    pub drop: DropNo,
    /// Of which item.
    pub item: ItemNo,
    /// The latest instant at which a forgotten adjustment may have been made; 0 if none was forgotten.
    pub forgotten: Timestamp,
    /// Each with its instant, if that is known; oldest first.
    pub adjustments: Vec<(Adjustment, Option<Timestamp>)>,
}

pub(super) fn encode_adjusted(adjusted: &Adjusted, out: &mut Vec<u8>) {
    let Adjusted { drop, item, adjustment, basis, at, by } = adjusted;
    put_u64(out, drop.0.into());
    put_u64(out, item.0.into());
    encode_adjustment(adjustment, out);
    encode_basis(*basis, out);
    if let Some(at) = at {
        put_u64(out, at.0);
    }
    if let Some(AdjustedBy { origin, stock }) = by.as_deref() {
        encode_origin(origin, out);
        put_u64(out, u64::try_from(stock.len()).unwrap_or(u64::MAX));
        for figures in stock {
            figures.encode(out);
        }
    }
}

/// What an adjustment's record contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    /// The adjustment.
    What,
    /// And its instant.
    When,
    /// And who made it, and the stock after it.
    All,
    /// All of that about a reconciliation.
    Reconciled,
}

impl Adjustment {
    /// Whether it is a reconciliation.
    pub(super) const fn is_reconciliation(&self) -> bool {
        matches!(self.change, StockChange::Reconcile(_))
    }
}

impl AdjustmentsImage {
    /// Whether reconciliations are among them.
    pub(super) fn has_reconciliations(&self) -> bool {
        self.adjustments.iter().any(|(adjustment, _)| adjustment.is_reconciliation())
    }
}

pub(super) fn decode_adjusted(reader: &mut Reader<'_>, says: Says) -> Result<Adjusted, DecodeError> {
    let (drop, item) = (DropNo(reader.small("drop number")?), ItemNo(reader.small("item")?));
    let adjustment = decode_adjustment(reader)?;
    if adjustment.is_reconciliation() != (says == Says::Reconciled) {
        return Err(DecodeError::Bad("stock change"));
    }
    let basis = decode_basis(reader)?;
    let at = if says == Says::What { None } else { Some(Timestamp(reader.u64()?)) };
    let by = match says {
        Says::What | Says::When => None,
        Says::All | Says::Reconciled => Some(Box::new(decode_by(reader)?)),
    };
    Ok(Adjusted { drop, item, adjustment, basis, at, by })
}

fn decode_by(reader: &mut Reader<'_>) -> Result<AdjustedBy, DecodeError> {
    let origin = decode_origin(reader)?;
    let stock = (0..reader.count(7)?).map(|_| PoolFigures::decode(reader)).collect::<Result<_, _>>()?;
    Ok(AdjustedBy { origin, stock })
}

impl PoolFigures {
    /// The sums over its holds.
    #[must_use]
    pub const fn sold(&self) -> Sold {
        let Self { claimed, withdrawn, returned_total, .. } = *self;
        Sold { claimed, withdrawn, returned_total }
    }

    /// Units for sale: those received, less all others.
    #[must_use]
    pub const fn free(&self) -> u64 {
        let Self { basis: PoolBasis { received, taken_out }, held, paying, claimed, withdrawn, returned_total: _ } =
            *self;
        let out =
            taken_out.saturating_add(held).saturating_add(paying).saturating_add(claimed).saturating_add(withdrawn);
        received.saturating_sub(out)
    }

    /// Units that are not sold: those for sale and those that holds have.
    #[must_use]
    pub const fn on_hand(&self) -> u64 {
        self.free().saturating_add(self.held).saturating_add(self.paying)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let Self { basis, held, paying, claimed, withdrawn, returned_total } = *self;
        encode_basis(basis, out);
        for units in [held, paying, claimed, withdrawn, returned_total] {
            put_u64(out, units);
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let basis = decode_basis(reader)?;
        let (held, paying, claimed) = (reader.u64()?, reader.u64()?, reader.u64()?);
        Ok(Self { basis, held, paying, claimed, withdrawn: reader.u64()?, returned_total: reader.u64()? })
    }
}

pub(super) fn encode_adjustments(image: &AdjustmentsImage, out: &mut Vec<u8>) {
    let AdjustmentsImage { drop, item, forgotten, adjustments } = image;
    put_u64(out, drop.0.into());
    put_u64(out, item.0.into());
    put_u64(out, forgotten.0);
    put_u64(out, u64::try_from(adjustments.len()).unwrap_or(u64::MAX));
    for (adjustment, at) in adjustments {
        encode_adjustment(adjustment, out);
        put_option(out, at.map(|at| at.0));
    }
}

/// Decodes a part of the remembered adjustments, with reconciliations among them or without.
pub(super) fn decode_adjustments(reader: &mut Reader<'_>, with: bool) -> Result<AdjustmentsImage, DecodeError> {
    let drop = DropNo(reader.small("drop number")?);
    let item = ItemNo(reader.small("item")?);
    let forgotten = Timestamp(reader.u64()?);
    let timed = |reader: &mut Reader<'_>| Ok((decode_adjustment(reader)?, reader.option()?.map(Timestamp)));
    let adjustments = (0..reader.count(20)?).map(|_| timed(reader)).collect::<Result<_, DecodeError>>()?;
    let image = AdjustmentsImage { drop, item, forgotten, adjustments };
    if image.has_reconciliations() == with { Ok(image) } else { Err(DecodeError::Bad("stock change")) }
}

pub(super) fn encode_image(image: &StockImage, out: &mut Vec<u8>) {
    let StockImage { drop, item, pools, adjustments } = image;
    put_u64(out, drop.0.into());
    put_u64(out, item.0.into());
    put_u64(out, u64::try_from(pools.len()).unwrap_or(u64::MAX));
    for basis in pools {
        encode_basis(*basis, out);
    }
    put_u64(out, u64::try_from(adjustments.len()).unwrap_or(u64::MAX));
    for adjustment in adjustments {
        encode_adjustment(adjustment, out);
    }
}

pub(super) fn decode_image(reader: &mut Reader<'_>) -> Result<StockImage, DecodeError> {
    let drop = DropNo(reader.small("drop number")?);
    let item = ItemNo(reader.small("item")?);
    let pools = (0..reader.count(2)?).map(|_| decode_basis(reader)).collect::<Result<_, _>>()?;
    let adjustments: Vec<_> = (0..reader.count(19)?).map(|_| decode_adjustment(reader)).collect::<Result<_, _>>()?;
    if adjustments.iter().any(Adjustment::is_reconciliation) {
        return Err(DecodeError::Bad("stock change"));
    }
    Ok(StockImage { drop, item, pools, adjustments })
}

fn encode_basis(PoolBasis { received, taken_out }: PoolBasis, out: &mut Vec<u8>) {
    put_u64(out, received);
    put_u64(out, taken_out);
}

fn decode_basis(reader: &mut Reader<'_>) -> Result<PoolBasis, DecodeError> {
    Ok(PoolBasis { received: reader.u64()?, taken_out: reader.u64()? })
}

fn encode_adjustment(adjustment: &Adjustment, out: &mut Vec<u8>) {
    let Adjustment { id, pool, change } = adjustment;
    out.extend_from_slice(id.as_bytes());
    put_u64(out, pool.0.into());
    match change {
        StockChange::Delta(delta) => {
            out.push(DELTA);
            out.extend_from_slice(&delta.to_le_bytes());
        }
        StockChange::SetReceived { expected, units } => {
            out.push(SET_RECEIVED);
            put_u64(out, *expected);
            put_u64(out, *units);
        }
        StockChange::Reconcile(Reconciliation { whole_item, as_of, on_hand, drift, applied }) => {
            out.extend_from_slice(&[RECONCILE, u8::from(*whole_item)]);
            put_u64(out, as_of.0);
            put_u64(out, *on_hand);
            out.extend_from_slice(&drift.to_le_bytes());
            out.extend_from_slice(&applied.to_le_bytes());
        }
    }
}

fn decode_adjustment(reader: &mut Reader<'_>) -> Result<Adjustment, DecodeError> {
    let id = AdjustmentId::from_bytes(reader.array()?);
    let pool = PoolNo(reader.small("pool")?);
    let change = match reader.u8()? {
        DELTA => StockChange::Delta(i64::from_le_bytes(reader.array()?)),
        SET_RECEIVED => StockChange::SetReceived { expected: reader.u64()?, units: reader.u64()? },
        RECONCILE => StockChange::Reconcile(decode_reconciliation(reader)?),
        _ => return Err(DecodeError::Bad("stock change")),
    };
    Ok(Adjustment { id, pool, change })
}

fn decode_reconciliation(reader: &mut Reader<'_>) -> Result<Reconciliation, DecodeError> {
    let whole_item = match reader.u8()? {
        0 => false,
        1 => true,
        _ => return Err(DecodeError::Bad("reconciliation")),
    };
    let (as_of, on_hand) = (Lsn(reader.u64()?), reader.u64()?);
    let drift = i64::from_le_bytes(reader.array()?);
    let made = Reconciliation { whole_item, as_of, on_hand, drift, applied: i64::from_le_bytes(reader.array()?) };
    if made.is_sound() { Ok(made) } else { Err(DecodeError::Bad("reconciliation")) }
}
