//! Integers in fewer bytes than their type has, for data of which there are millions.
//!
//! Nothing is truncated: a number that does not fit is rejected.

/// A number below 256 to the power of `N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Packed<const N: usize>([u8; N]);

impl<const N: usize> Packed<N> {
    /// Zero.
    pub const ZERO: Self = Self([0; N]);

    /// The number, if it fits.
    #[inline]
    #[must_use]
    pub fn new(number: u64) -> Option<Self> {
        let bytes = number.to_le_bytes();
        let (low, high) = bytes.split_first_chunk()?;
        high.iter().all(|byte| *byte == 0).then_some(Self(*low))
    }

    /// The number.
    #[inline]
    #[must_use]
    pub fn get(self) -> u64 {
        let mut bytes = [0; 8];
        if let Some(low) = bytes.first_chunk_mut() {
            *low = self.0;
        }
        u64::from_le_bytes(bytes)
    }
}

impl From<u64> for Packed<8> {
    fn from(number: u64) -> Self {
        Self(number.to_le_bytes())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_that_needs_a_byte_more_is_not_made() {
        assert_eq!(Packed::<3>::new(1 << 24), None);
        assert_eq!(Packed::<3>::new((1 << 24) - 1).map(Packed::get), Some((1 << 24) - 1));
        assert_eq!(Packed::<8>::new(u64::MAX).map(Packed::get), Some(u64::MAX));
        assert_eq!((Packed::<5>::ZERO.get(), size_of::<Packed<5>>(), align_of::<Packed<5>>()), (0, 5, 1));
    }

    proptest! {
        #[test]
        fn a_number_that_fits_comes_back(number: u64, shift in 0_u32..64) {
            let number = number >> shift;
            let packed = Packed::<5>::new(number);
            prop_assert_eq!(packed.map(Packed::get), (number < 1 << 40).then_some(number));
        }
    }
}
