//! Rules of conduct: what it costs a subject to have let holds run out lately, or to have cancelled
//! orders, charged them back or sent them back.

use super::audience::Audience;
use super::limit::{self, Limit};
use crate::codec::{DecodeError, Reader, put_u64};
use crate::time::Millis;

/// Most rules of conduct of a drop.
pub const CONDUCT_RULES_MAX: usize = 8;
/// The most often that a rule may ask for.
pub const CONDUCT_AT_LEAST_MAX: u32 = 1_000;
/// The longest time within which unclaimed holds count: ended holds are remembered for so long.
pub const UNCLAIMED_WITHIN_MAX: Millis = Millis::from_secs(24 * 60 * 60);
/// The longest time within which what became of orders counts.
pub const ORDERS_WITHIN_MAX: Millis = Millis::from_secs(400 * 24 * 60 * 60);
/// The shortest time within which anything counts.
pub const CONDUCT_WITHIN_MIN: Millis = Millis::from_secs(60);

/// What a rule of conduct counts, in the drop's shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Conduct {
    /// Holds that ended without a claim: expired, or released after more than half of their time. A hold whose deadline
    /// an outage moved does not count, nor does one that another superseded.
    UnclaimedHolds,
    /// Orders that were cancelled, as facts tell.
    Cancellations,
    /// Orders that were charged back, as facts tell.
    Chargebacks,
    /// Orders of which units were returned.
    Returns,
}

impl Conduct {
    /// The contract's name, as files write it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::UnclaimedHolds => "unclaimed_holds",
            Self::Cancellations => "cancellations",
            Self::Chargebacks => "chargebacks",
            Self::Returns => "returns",
        }
    }

    /// The longest time within which it can be counted.
    #[must_use]
    pub const fn within_max(self) -> Millis {
        match self {
            Self::UnclaimedHolds => UNCLAIMED_WITHIN_MAX,
            Self::Cancellations | Self::Chargebacks | Self::Returns => ORDERS_WITHIN_MAX,
        }
    }

    const fn number(self) -> u8 {
        match self {
            Self::UnclaimedHolds => 1,
            Self::Cancellations => 2,
            Self::Chargebacks => 3,
            Self::Returns => 4,
        }
    }
}

/// A subject that has done something often enough lately gets shorter, fewer or rarer holds in the drop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConductRule {
    /// What it counts.
    pub counts: Conduct,
    /// How often at least, for the rule to apply.
    pub at_least: u32,
    /// Within which time before a reserve.
    pub within: Millis,
    /// Whom it is for.
    pub audience: Audience,
    /// The longest life of a hold, extensions included, payment not.
    pub hold_ttl: Option<Millis>,
    /// The bounds that it sets: its id, the kind of identity whose conduct and units it counts, most units, most live
    /// units and a cooldown, all in this drop.
    pub limit: Limit,
}

impl ConductRule {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let Self { counts, at_least, within, audience, hold_ttl, limit } = self;
        out.push(counts.number());
        put_u64(out, (*at_least).into());
        put_u64(out, within.0);
        audience.encode(out);
        put_u64(out, hold_ttl.map_or(0, |ttl| ttl.0));
        limit::encode(limit, out);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let counts = match reader.u8()? {
            1 => Conduct::UnclaimedHolds,
            2 => Conduct::Cancellations,
            3 => Conduct::Chargebacks,
            4 => Conduct::Returns,
            _ => return Err(DecodeError::Bad("conduct")),
        };
        let (at_least, within) = (reader.small("count of conduct")?, Millis(reader.u64()?));
        let audience = Audience::decode(reader)?;
        let hold_ttl = Some(Millis(reader.u64()?)).filter(|ttl| ttl.0 > 0);
        Ok(Self { counts, at_least, within, audience, hold_ttl, limit: limit::decode(reader)? })
    }
}
