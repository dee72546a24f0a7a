//! Instants that a definition names.

use super::{decode_signed, encode_signed};
use crate::codec::{DecodeError, Reader, put_u64};
use crate::time::{Millis, Timestamp};

/// Most days between a drop's opening and a local time of day that its definition names, before or after it.
pub const LOCAL_DAYS_MAX: i32 = 60;

/// An instant as a definition names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// This instant.
    At(Timestamp),
    /// So many milliseconds after the opening; before it if negative.
    AfterOpening(i64),
    /// So long before the closing.
    BeforeClosing(Millis),
    /// A time of day in the drop's time zone.
    Local {
        /// Days after the local day of the opening.
        days: i32,
        /// Seconds after the beginning of that day, by the clock on the wall.
        seconds: u32,
    },
}

/// An instant of a drop: what its definition names, and when that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// As it is defined.
    pub named: Named,
    /// When it comes: resolved when the drop is made or changed, and kept, so that new rules of a time zone move
    /// nothing that was planned before. [`Timestamp::NEVER`] before it is resolved.
    pub at: Timestamp,
}

impl From<Named> for Moment {
    fn from(named: Named) -> Self {
        Self { named, at: Timestamp::NEVER }
    }
}

const AT: u8 = 1;
const AFTER_OPENING: u8 = 2;
const BEFORE_CLOSING: u8 = 3;
const LOCAL: u8 = 4;

impl Moment {
    pub(super) fn encode(self, out: &mut Vec<u8>) {
        let Self { named, at } = self;
        match named {
            Named::At(at) => {
                out.push(AT);
                put_u64(out, at.0);
            }
            Named::AfterOpening(span) => {
                out.push(AFTER_OPENING);
                encode_signed(span, out);
            }
            Named::BeforeClosing(span) => {
                out.push(BEFORE_CLOSING);
                put_u64(out, span.0);
            }
            Named::Local { days, seconds } => {
                out.push(LOCAL);
                encode_signed(days.into(), out);
                put_u64(out, seconds.into());
            }
        }
        put_u64(out, at.0);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let named = match reader.u8()? {
            AT => Named::At(Timestamp(reader.u64()?)),
            AFTER_OPENING => Named::AfterOpening(decode_signed(reader)?),
            BEFORE_CLOSING => Named::BeforeClosing(Millis(reader.u64()?)),
            LOCAL => Named::Local {
                days: i32::try_from(decode_signed(reader)?).map_err(|_| DecodeError::Bad("days"))?,
                seconds: reader.small("seconds")?,
            },
            _ => return Err(DecodeError::Bad("moment")),
        };
        Ok(Self { named, at: Timestamp(reader.u64()?) })
    }

    pub(crate) fn encode_option(moment: Option<Self>, out: &mut Vec<u8>) {
        out.push(u8::from(moment.is_some()));
        if let Some(moment) = moment {
            moment.encode(out);
        }
    }

    pub(crate) fn decode_option(reader: &mut Reader<'_>) -> Result<Option<Self>, DecodeError> {
        if reader.flag("flag")? { Ok(Some(Self::decode(reader)?)) } else { Ok(None) }
    }
}
