//! What makes a flow, a tranche or a price step fire.

use super::moment::Moment;
use crate::codec::{DecodeError, Reader, put_text, put_u64};
use crate::ids::{PoolId, Sku};

/// The whole, in basis points.
pub const BASIS_POINTS: u32 = 10_000;

/// An instant, or a state of the stock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// It fires at this instant.
    Moment(Moment),
    /// It fires when the drop, open and standing still for an instant, is found so.
    Stock(StockLevel),
}

/// How much of the stock is gone or left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockLevel {
    /// Of which SKU. None: in a flow the pool's own item, in a price step all SKUs of the terms together, in a tranche
    /// all goods of the drop.
    pub sku: Option<Sku>,
    /// Of which of the item's pools; none: all of them.
    pub pool: Option<PoolId>,
    /// The level that must be reached.
    pub level: Level,
}

/// A level of stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// At most this many units are free. Never reached where nothing was received.
    FreeAtMost(u64),
    /// At least this share of what was received and not withdrawn is claimed, in basis points. Never reached while that
    /// is 0.
    Sold(u32),
    /// The same of what is held, in payment or claimed.
    Taken(u32),
}

const MOMENT: u8 = 1;
const FREE: u8 = 2;
const SOLD: u8 = 3;
const TAKEN: u8 = 4;

impl Level {
    /// Whether stock of these figures has reached it.
    #[must_use]
    pub fn is_reached(self, units: LevelUnits) -> bool {
        let LevelUnits { received, withdrawn, free, claimed, live } = units;
        let sellable = received.saturating_sub(withdrawn);
        let has_share = |part: u64, points: u32| {
            sellable > 0 && u128::from(part) * u128::from(BASIS_POINTS) >= u128::from(sellable) * u128::from(points)
        };
        match self {
            Self::FreeAtMost(most) => received > 0 && free <= most,
            Self::Sold(points) => has_share(claimed, points),
            Self::Taken(points) => has_share(claimed.saturating_add(live), points),
        }
    }
}

/// The figures that a level is judged by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LevelUnits {
    /// Ever put in.
    pub received: u64,
    /// Taken out of the sale.
    pub withdrawn: u64,
    /// Free.
    pub free: u64,
    /// Sold and not returned.
    pub claimed: u64,
    /// Held or in payment.
    pub live: u64,
}

impl LevelUnits {
    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            received: self.received.saturating_add(other.received),
            withdrawn: self.withdrawn.saturating_add(other.withdrawn),
            free: self.free.saturating_add(other.free),
            claimed: self.claimed.saturating_add(other.claimed),
            live: self.live.saturating_add(other.live),
        }
    }
}

impl Trigger {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let StockLevel { sku, pool, level } = match self {
            Self::Moment(moment) => {
                out.push(MOMENT);
                return moment.encode(out);
            }
            Self::Stock(stock) => stock,
        };
        let (kind, value) = match level {
            Level::FreeAtMost(most) => (FREE, *most),
            Level::Sold(points) => (SOLD, u64::from(*points)),
            Level::Taken(points) => (TAKEN, u64::from(*points)),
        };
        out.push(kind);
        put_u64(out, value);
        put_text(out, sku.as_ref().map_or("", Sku::as_str));
        put_text(out, pool.as_ref().map_or("", PoolId::as_str));
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let level = match reader.u8()? {
            MOMENT => return Ok(Self::Moment(Moment::decode(reader)?)),
            FREE => Level::FreeAtMost(reader.u64()?),
            SOLD => Level::Sold(reader.small("basis points")?),
            TAKEN => Level::Taken(reader.small("basis points")?),
            _ => return Err(DecodeError::Bad("trigger")),
        };
        Ok(Self::Stock(StockLevel { sku: reader.optional_id("sku")?, pool: reader.optional_id("pool id")?, level }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_reached_by_a_state_and_never_by_nothing() {
        let units = LevelUnits { received: 100, withdrawn: 20, free: 40, claimed: 20, live: 20 };
        for (level, reached) in [
            (Level::FreeAtMost(40), true),
            (Level::FreeAtMost(39), false),
            (Level::Sold(2_500), true),
            (Level::Sold(2_501), false),
            (Level::Taken(5_000), true),
            (Level::Taken(5_001), false),
        ] {
            assert_eq!(level.is_reached(units), reached, "{level:?}");
        }
        let nothing = LevelUnits::default();
        let all_withdrawn = LevelUnits { received: 5, withdrawn: 5, ..nothing };
        for level in [Level::FreeAtMost(0), Level::Sold(1), Level::Taken(1)] {
            assert!(!level.is_reached(nothing), "{level:?}");
        }
        assert!(Level::FreeAtMost(0).is_reached(all_withdrawn) && !Level::Sold(1).is_reached(all_withdrawn));
    }
}
