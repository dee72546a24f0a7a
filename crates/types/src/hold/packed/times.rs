//! A hold's three instants in 16 bytes.

use crate::packed::Packed;
use crate::time::Timestamp;

/// When a hold was made, when it is due and when it was settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Times {
    pub(super) created_at: Timestamp,
    pub(super) expires_at: Timestamp,
    /// The epoch while the hold is not settled.
    pub(super) settled_at: Timestamp,
    /// Whether an outage moved the deadline.
    pub(super) has_grace: bool,
}

/// The bit of a life that says that an outage moved the deadline.
const GRACE: u64 = 1 << 39;

/// The same in few bytes: one instant below 2^48 ms, a life of at most 17 years and a span of at most 34. Nearly all
/// holds fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ShortTimes {
    pub(super) created_at: Packed<6>,
    /// From creation to deadline, with [`GRACE`].
    pub(super) life: Packed<5>,
    /// From creation to settling, plus one; 0 while it is not settled.
    pub(super) settled: Packed<5>,
}

impl Times {
    /// The short form, if everything fits.
    #[inline]
    pub(super) fn short(self) -> Option<ShortTimes> {
        let Self { created_at, expires_at, settled_at, has_grace } = self;
        let grace = if has_grace { GRACE } else { 0 };
        Some(ShortTimes {
            created_at: Packed::new(created_at.0)?,
            life: Packed::new(life(created_at.0, expires_at.0)?.get() | grace)?,
            settled: settled(created_at.0, settled_at.0)?,
        })
    }
}

/// The span from creation to deadline, if it fits and no outage moved the deadline.
#[inline]
pub(super) fn life(created_at: u64, expires_at: u64) -> Option<Packed<5>> {
    Packed::new(expires_at.checked_sub(created_at).filter(|span| *span < GRACE)?)
}

/// The span from creation to settling plus one, if it fits; 0 while the hold is not settled.
#[inline]
pub(super) fn settled(created_at: u64, settled_at: u64) -> Option<Packed<5>> {
    match settled_at {
        0 => Some(Packed::ZERO),
        settled_at => Packed::new(settled_at.checked_sub(created_at)?.checked_add(1)?),
    }
}

impl From<ShortTimes> for Times {
    #[inline]
    fn from(ShortTimes { created_at, life, settled }: ShortTimes) -> Self {
        let created_at = created_at.get();
        let settled_at = settled.get().checked_sub(1).map_or(0, |span| created_at.saturating_add(span));
        Self {
            created_at: Timestamp(created_at),
            expires_at: Timestamp(created_at.saturating_add(life.get() & !GRACE)),
            settled_at: Timestamp(settled_at),
            has_grace: life.get() & GRACE != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn times(created_at: u64, expires_at: u64, settled_at: u64) -> Times {
        let [created_at, expires_at, settled_at] = [created_at, expires_at, settled_at].map(Timestamp);
        Times { created_at, expires_at, settled_at, has_grace: settled_at.0 % 2 == 1 }
    }

    #[test]
    fn what_does_not_fit_is_not_made_short() {
        let (span, life) = (1 << 40, 1 << 39);
        for fits in [
            times(0, 0, 0),
            times(7, 7, 7),
            times(7, 7, 8),
            times((1 << 48) - 1, 1 << 48, 0),
            times(7, 6 + life, 5 + span),
        ] {
            assert_eq!(fits.short().map(Times::from), Some(fits));
        }
        for not in
            [times(7, 6, 0), times(7, 8, 6), times(1 << 48, 1 << 48, 0), times(7, 7 + life, 0), times(7, 8, 6 + span)]
        {
            assert_eq!(not.short(), None, "{not:?}");
        }
    }

    proptest! {
        #[test]
        fn what_fits_comes_back(created_at: u64, expires_at: u64, settled_at: u64, shift in 0_u32..64, near in 0_u32..64) {
            let created_at = created_at >> shift;
            let near = |at: u64| created_at.wrapping_add(at >> near);
            for times in [
                times(created_at, near(expires_at), near(settled_at)),
                times(created_at, near(expires_at), 0),
                times(created_at, expires_at >> shift, settled_at >> shift),
            ] {
                prop_assert!(times.short().is_none_or(|short| Times::from(short) == times));
            }
        }
    }
}
