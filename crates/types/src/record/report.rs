//! What came of a drop, kept for good: bytes that the engine does not read.

use crate::codec::{DecodeError, Reader, put_text, put_u64};
use crate::ids::{DropId, DropNo, SeriesId, ShopId};
use crate::time::Timestamp;

/// Most bytes of one part of a report.
pub const REPORT_BYTES_MAX: usize = 128 * 1024;

/// A part of a report. Each is kept for a time of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReportPart {
    /// Its figures.
    Figures,
    /// What was asked, interval by interval.
    Demand,
}

/// One part of a drop's report, as it was recorded once the sale was over. In a snapshot the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportFact {
    /// Of which drop.
    pub drop: DropNo,
    /// Its id: the drop may be forgotten before its report is.
    pub id: DropId,
    /// Its shop.
    pub shop: ShopId,
    /// Its series.
    pub series: Option<SeriesId>,
    /// When it opened.
    pub opens_at: Timestamp,
    /// When the part was recorded.
    pub at: Timestamp,
    /// Which part.
    pub part: ReportPart,
    /// What it says.
    pub bytes: Box<[u8]>,
}

impl ReportPart {
    const fn number(self) -> u8 {
        match self {
            Self::Figures => 1,
            Self::Demand => 2,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Figures => "figures",
            Self::Demand => "demand",
        }
    }
}

pub(super) fn encode(fact: &ReportFact, out: &mut Vec<u8>) {
    let ReportFact { drop, id, shop, series, opens_at, at, part, bytes } = fact;
    put_u64(out, drop.0.into());
    put_text(out, id.as_str());
    put_text(out, shop.as_str());
    put_text(out, series.as_ref().map_or("", |series| series.as_str()));
    put_u64(out, opens_at.0);
    put_u64(out, at.0);
    out.push(part.number());
    put_u64(out, u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    out.extend_from_slice(bytes);
}

pub(super) fn decode(reader: &mut Reader<'_>) -> Result<ReportFact, DecodeError> {
    let drop = DropNo(reader.small("drop number")?);
    let (id, shop) = (reader.id("drop id")?, reader.id("shop")?);
    let series = reader.optional_id("series")?;
    let (opens_at, at) = (Timestamp(reader.u64()?), Timestamp(reader.u64()?));
    let part = match reader.u8()? {
        1 => ReportPart::Figures,
        2 => ReportPart::Demand,
        _ => return Err(DecodeError::Bad("part of a report")),
    };
    let count = reader.count(1)?;
    if count > REPORT_BYTES_MAX {
        return Err(DecodeError::Bad("length of a report"));
    }
    Ok(ReportFact { drop, id, shop, series, opens_at, at, part, bytes: reader.bytes(count)?.into() })
}
