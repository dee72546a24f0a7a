//! What came of an occurrence of a series: one record for each result, which says all that is known of it.

use jiff::civil::DateTime;

use super::drop_fact::{Origin, decode_origin, encode_origin};
use crate::calendar::{stamp, unstamp};
use crate::codec::{DecodeError, Reader, put_text, put_u64};
use crate::ids::{Lsn, SeriesId, ShopId};
use crate::time::Timestamp;

/// Most bytes of a reason.
pub const REASON_MAX: usize = 512;

/// What was done about an occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OccurrenceVerb {
    /// Its drop was made.
    Create,
    /// Its drop was moved or changed, since the series was.
    Change,
    /// Its drop was closed before it opened, since the series does not have it any more.
    Cancel,
    /// No drop is made for it.
    Skip,
    /// Its drop was refused.
    Fail,
}

/// What came of an occurrence. In a snapshot: its last record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OccurrenceFact {
    /// Of which series.
    pub series: SeriesId,
    /// Whose.
    pub shop: ShopId,
    /// Its local time as the rule had it when this was first recorded: the drop's id is made of it.
    pub local: DateTime,
    /// What was done.
    pub verb: OccurrenceVerb,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub origin: Origin,
    /// When its drop opens, or would have.
    pub opens_at: Timestamp,
    /// The revision of the series by which this was done.
    pub by: Lsn,
    /// Why; empty for a drop that was made or changed.
    pub reason: Box<str>,
}

impl OccurrenceVerb {
    const ALL: [Self; 5] = [Self::Create, Self::Change, Self::Cancel, Self::Skip, Self::Fail];

    const fn number(self) -> u8 {
        match self {
            Self::Create => 1,
            Self::Change => 2,
            Self::Cancel => 3,
            Self::Skip => 4,
            Self::Fail => 5,
        }
    }

    /// What became of the occurrence, in a word.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Create => "created",
            Self::Change => "changed",
            Self::Cancel => "cancelled",
            Self::Skip => "skipped",
            Self::Fail => "failed",
        }
    }

    /// Whether the occurrence has a drop.
    #[must_use]
    pub const fn has_drop(self) -> bool {
        match self {
            Self::Create | Self::Change => true,
            Self::Cancel | Self::Skip | Self::Fail => false,
        }
    }
}

pub(super) fn encode(fact: &OccurrenceFact, out: &mut Vec<u8>) {
    let OccurrenceFact { series, shop, local, verb, at, origin, opens_at, by, reason } = fact;
    out.push(verb.number());
    put_u64(out, at.0);
    encode_origin(origin, out);
    for text in [series.as_str(), shop.as_str(), &stamp(*local)] {
        put_text(out, text);
    }
    put_u64(out, opens_at.0);
    put_u64(out, by.0);
    put_text(out, reason);
}

pub(super) fn decode(reader: &mut Reader<'_>) -> Result<OccurrenceFact, DecodeError> {
    let verb = reader.u8()?;
    let verb = OccurrenceVerb::ALL.into_iter().find(|known| known.number() == verb).ok_or(DecodeError::Bad("verb"))?;
    let (at, origin) = (Timestamp(reader.u64()?), decode_origin(reader)?);
    let (series, shop) = (reader.id("series id")?, reader.id("shop id")?);
    let local = unstamp(reader.text()?).ok_or(DecodeError::Bad("local time"))?;
    let (opens_at, by) = (Timestamp(reader.u64()?), Lsn(reader.u64()?));
    let reason = reader.text()?;
    if reason.len() > REASON_MAX {
        return Err(DecodeError::Bad("reason"));
    }
    Ok(OccurrenceFact { series, shop, local, verb, at, origin, opens_at, by, reason: reason.into() })
}
