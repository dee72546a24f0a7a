//! What was counted of a drop: its holds, as the journal's records say, and what was asked of it, which no other record
//! says.

use crate::codec::{DecodeError, Reader, put_text, put_u64};
use crate::ids::{DropNo, TierId};
use crate::refusal::Reason;
use crate::time::{Millis, Timestamp};

/// Registers of the sketch of distinct customers: a standard error of 0.81 %.
pub const REGISTERS: usize = 1 << 14;
/// Most intervals of one drop: the first hour by second, the rest of a day and the day before the opening by minute.
pub const INTERVALS_MAX: usize = 3_600 + 23 * 60 + 24 * 60;

/// What the journal's records say of a drop in sum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DropTotals {
    /// Holds that were made, successors among them.
    pub made: u64,
    /// Holds whose deadline has passed, those that were claimed late among them.
    pub expired: u64,
    /// Holds that were released whole and not superseded.
    pub released: u64,
    /// Holds that were claimed in time.
    pub claimed: u64,
    /// Holds that were claimed after their deadline.
    pub late: u64,
    /// How often nothing was free of all goods.
    pub times_sold_out: u64,
    /// When that was found first; the epoch if it never was.
    pub sold_out_at: Timestamp,
}

/// The same in a snapshot. The record's LSN is that of the last record that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TotalsImage {
    /// Of which drop.
    pub drop: DropNo,
    /// The sums.
    pub totals: DropTotals,
}

/// What was asked of a drop so far: sums, and what has changed of the rest since its last record. In a snapshot: all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemandFact {
    /// Of which drop.
    pub drop: DropNo,
    /// Requests up to this instant are counted.
    pub at: Timestamp,
    /// The sums.
    pub sums: DemandSums,
    /// Those that were refused, by the first tier of the customer that the drop names; without such a tier they are
    /// left out. Ascending by tier.
    pub by_tier: Vec<(TierId, u64)>,
    /// Registers of the sketch of distinct customers that have changed: their places, ascending, and values.
    pub registers: Vec<(u16, u8)>,
    /// Intervals that have changed, in their order.
    pub intervals: Vec<Interval>,
}

/// Reserves that were decided. A repeat of a request that got a hold is not counted again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DemandSums {
    /// Those that got a hold.
    pub served: u64,
    /// Those that were refused, by [`Reason::ALL`].
    pub refused: [u64; Reason::ALL.len()],
    /// Claims of holds after their deadline that were refused.
    pub late_refused: u64,
    /// Units that all of them asked for.
    pub units_asked: u64,
    /// The most requests of one second.
    pub peak: u64,
    /// For how much of the sale nothing was counted, since the engine did not run or lost what it had counted.
    pub uncounted: Millis,
}

/// Requests in an interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Interval {
    /// When it begins: seconds since the epoch.
    pub begins: u32,
    /// Requests that were decided.
    pub requests: u32,
    /// Units that were set aside for them.
    pub units: u32,
}

impl DemandSums {
    /// Requests that were decided.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.all_refused().saturating_add(self.served)
    }

    /// Those that were refused.
    #[must_use]
    pub fn all_refused(&self) -> u64 {
        self.refused.iter().copied().fold(0, u64::saturating_add)
    }

    /// The sums of both. The peak is the higher one.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let refused = std::array::from_fn(|place| {
            let of = |sums: &Self| sums.refused.get(place).copied().unwrap_or_default();
            of(self).saturating_add(of(other))
        });
        Self {
            served: self.served.saturating_add(other.served),
            refused,
            late_refused: self.late_refused.saturating_add(other.late_refused),
            units_asked: self.units_asked.saturating_add(other.units_asked),
            peak: self.peak.max(other.peak),
            uncounted: Millis(self.uncounted.0.saturating_add(other.uncounted.0)),
        }
    }
}

pub(super) fn encode_image(image: &TotalsImage, out: &mut Vec<u8>) {
    let TotalsImage { drop, totals } = image;
    let DropTotals { made, expired, released, claimed, late, times_sold_out, sold_out_at } = *totals;
    put_u64(out, drop.0.into());
    for number in [made, expired, released, claimed, late, times_sold_out, sold_out_at.0] {
        put_u64(out, number);
    }
}

pub(super) fn decode_image(reader: &mut Reader<'_>) -> Result<TotalsImage, DecodeError> {
    let drop = DropNo(reader.small("drop number")?);
    let totals = DropTotals {
        made: reader.u64()?,
        expired: reader.u64()?,
        released: reader.u64()?,
        claimed: reader.u64()?,
        late: reader.u64()?,
        times_sold_out: reader.u64()?,
        sold_out_at: Timestamp(reader.u64()?),
    };
    Ok(TotalsImage { drop, totals })
}

pub(super) fn encode_demand(fact: &DemandFact, out: &mut Vec<u8>) {
    let DemandFact { drop, at, sums, by_tier, registers, intervals } = fact;
    let DemandSums { served, refused, late_refused, units_asked, peak, uncounted } = sums;
    put_u64(out, drop.0.into());
    for number in [at.0, *served, *late_refused, *units_asked, *peak, uncounted.0] {
        put_u64(out, number);
    }
    let given = || Reason::ALL.into_iter().zip(refused).filter(|(_, count)| **count > 0);
    put_count(given().count(), out);
    for (reason, count) in given() {
        out.push(reason.number());
        put_u64(out, *count);
    }
    put_count(by_tier.len(), out);
    for (tier, count) in by_tier {
        put_text(out, tier.as_str());
        put_u64(out, *count);
    }
    put_count(registers.len(), out);
    for (place, value) in registers {
        out.extend_from_slice(&place.to_le_bytes());
        out.push(*value);
    }
    put_count(intervals.len(), out);
    let mut last = 0_u32;
    for Interval { begins, requests, units } in intervals {
        put_u64(out, begins.saturating_sub(last).into());
        put_u64(out, (*requests).into());
        put_u64(out, (*units).into());
        last = *begins;
    }
}

pub(super) fn decode_demand(reader: &mut Reader<'_>) -> Result<DemandFact, DecodeError> {
    let drop = DropNo(reader.small("drop number")?);
    let at = Timestamp(reader.u64()?);
    let (served, late_refused) = (reader.u64()?, reader.u64()?);
    let (units_asked, peak) = (reader.u64()?, reader.u64()?);
    let uncounted = Millis(reader.u64()?);
    let mut sums = DemandSums { served, late_refused, units_asked, peak, uncounted, ..DemandSums::default() };
    for _ in 0..reader.count(2)? {
        let reason = Reason::from_number(reader.u8()?).ok_or(DecodeError::Bad("reason"))?;
        let count = reader.u64()?;
        if let Some(known) = sums.refused.get_mut(reason.place()) {
            *known = count;
        }
    }
    let tier = |reader: &mut Reader<'_>| Ok((reader.id("tier")?, reader.u64()?));
    let by_tier: Vec<_> = (0..reader.count(2)?).map(|_| tier(reader)).collect::<Result<_, DecodeError>>()?;
    let register = |reader: &mut Reader<'_>| {
        let place = u16::from_le_bytes(reader.array()?);
        let is_one = usize::from(place) < REGISTERS;
        if is_one { Ok((place, reader.u8()?)) } else { Err(DecodeError::Bad("register")) }
    };
    let registers: Vec<_> = (0..reader.count(3)?).map(|_| register(reader)).collect::<Result<_, _>>()?;
    let mut last = 0_u32;
    let mut interval = |reader: &mut Reader<'_>| {
        let begins = last.checked_add(reader.small("interval")?).ok_or(DecodeError::Bad("interval"))?;
        last = begins;
        Ok(Interval { begins, requests: reader.small("requests")?, units: reader.small("units")? })
    };
    let intervals: Vec<_> = (0..reader.count(3)?).map(|_| interval(reader)).collect::<Result<_, _>>()?;
    if intervals.len() > INTERVALS_MAX {
        return Err(DecodeError::Bad("count of intervals"));
    }
    Ok(DemandFact { drop, at, sums, by_tier, registers, intervals })
}

fn put_count(count: usize, out: &mut Vec<u8>) {
    put_u64(out, u64::try_from(count).unwrap_or(u64::MAX));
}
