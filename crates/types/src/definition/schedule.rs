//! A drop's schedule.

use super::{Field, FieldDifference};
use crate::codec::{DecodeError, Reader, put_option};
use crate::time::Timestamp;

/// When a drop opens and closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Schedule {
    /// As requested; none: the instant of creation.
    pub opens_at: Option<Timestamp>,
    /// None: it does not close by itself.
    pub closes_at: Option<Timestamp>,
}

impl Schedule {
    /// Its fields, and whether they differ in another schedule.
    pub(super) fn differences(self, other: Self) -> [FieldDifference; 2] {
        let Self { opens_at, closes_at } = self;
        [
            (Field::OpensAt, "drop.opens_at", opens_at != other.opens_at),
            (Field::ClosesAt, "drop.closes_at", closes_at != other.closes_at),
        ]
    }

    pub(super) fn encode(self, out: &mut Vec<u8>) {
        let Self { opens_at, closes_at } = self;
        put_option(out, opens_at.map(|at| at.0));
        put_option(out, closes_at.map(|at| at.0));
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut instant = || Ok(reader.option()?.map(Timestamp));
        Ok(Self { opens_at: instant()?, closes_at: instant()? })
    }
}
