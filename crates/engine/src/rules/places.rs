//! Sets of places: pools of an item, windows of a drop.

/// Places below 32, one bit each: an item has at most 32 pools, and a drop at most 32 windows. As an iterator: each
/// place, ascending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Places(u32);

impl Places {
    pub(super) const ALL: Self = Self(u32::MAX);

    /// The first `count` places.
    pub(super) fn first(count: usize) -> Self {
        let none_behind = u32::try_from(count).ok().and_then(|count| u32::MAX.checked_shl(count));
        Self(!none_behind.unwrap_or(0))
    }

    pub(super) fn of(places: impl Iterator<Item = usize>) -> Self {
        places.fold(Self::default(), |mut places, place| {
            places.add(place);
            places
        })
    }

    pub(super) fn add(&mut self, place: usize) {
        self.0 |= u32::try_from(place).ok().and_then(|place| 1_u32.checked_shl(place)).unwrap_or(0);
    }

    pub(super) fn has(self, place: usize) -> bool {
        let mut one = Self::default();
        one.add(place);
        self.0 & one.0 != 0
    }

    #[inline]
    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    #[inline]
    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

#[expect(clippy::copy_iterator, reason = "a set is visited more than once, each time from its beginning")]
impl Iterator for Places {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let below = self.0.checked_sub(1)?;
        let place = usize::try_from(self.0.trailing_zeros()).ok()?;
        self.0 &= below;
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_is_visited_once_and_in_order() {
        for places in [&[][..], &[0], &[31], &[0, 1, 7, 30, 31]] {
            let set = Places::of(places.iter().copied());
            assert_eq!(set.collect::<Vec<_>>(), places);
            assert!((0..40).all(|place| set.has(place) == places.contains(&place)));
        }
        for count in [0, 1, 5, 31, 32] {
            assert!(Places::first(count).eq(0..count), "{count}");
        }
    }
}
