//! A drop's hold times.

use super::{Field, FieldDifference};
use crate::codec::{DecodeError, Reader, put_u64};
use crate::time::Millis;

/// How long units are set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The life of a hold.
    pub hold_ttl: Millis,
    /// The most that a hold lives, with all extensions.
    pub max_hold_life: Millis,
    /// The time for a payment.
    pub payment_ttl: Millis,
}

impl Terms {
    /// Their fields, and whether they differ in other terms.
    pub(super) fn differences(self, other: Self) -> [FieldDifference; 3] {
        let Self { hold_ttl, max_hold_life, payment_ttl } = self;
        [
            (Field::HoldTtl, "drop.hold_ttl", hold_ttl != other.hold_ttl),
            (Field::MaxHoldLife, "drop.max_hold_life", max_hold_life != other.max_hold_life),
            (Field::PaymentTtl, "drop.payment_ttl", payment_ttl != other.payment_ttl),
        ]
    }

    pub(super) fn encode(self, out: &mut Vec<u8>) {
        let Self { hold_ttl, max_hold_life, payment_ttl } = self;
        put_u64(out, hold_ttl.0);
        put_u64(out, max_hold_life.0);
        put_u64(out, payment_ttl.0);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut span = || Ok(Millis(reader.u64()?));
        Ok(Self { hold_ttl: span()?, max_hold_life: span()?, payment_ttl: span()? })
    }
}
