//! Conversions between counts and floating point, and shares in basis points. Forecasts and spans are computed in
//! floating point; sums of units and money never are.

/// A count as floating point.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "above 2^53 a forecast needs no exact count")]
pub(crate) const fn float(count: u64) -> f64 {
    count as f64
}

/// The nearest count: 0 for what is below or no number, the largest for what is above.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, and makes zero of what is no number"
)]
pub(crate) fn count(value: f64) -> u64 {
    value.round() as u64
}

/// The length of a list.
pub(crate) fn length<T>(list: &[T]) -> u64 {
    u64::try_from(list.len()).unwrap_or(u64::MAX)
}

/// `part` of `whole` in basis points, rounded to the nearest; nothing where there is no whole.
pub(crate) fn basis_points(part: u128, whole: u128) -> Option<u32> {
    scaled(part, whole, 10_000).map(|points| u32::try_from(points).unwrap_or(u32::MAX))
}

/// `part * scale / whole`, rounded to the nearest, halves up; nothing where there is no whole, or where it does not fit.
pub(crate) fn scaled(part: u128, whole: u128, scale: u128) -> Option<u128> {
    part.checked_mul(scale)?.checked_add(whole / 2)?.checked_div(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_to_the_nearest_basis_point() {
        assert_eq!(basis_points(1, 3), Some(3_333));
        assert_eq!(basis_points(2, 3), Some(6_667));
        assert_eq!(basis_points(0, 3), Some(0));
        assert_eq!(basis_points(3, 0), None);
        assert_eq!(basis_points(u128::from(u64::MAX), 1), Some(u32::MAX));
        assert_eq!(basis_points(u128::MAX, 1), None);
    }

    #[test]
    fn counts_saturate() {
        assert_eq!([count(-3.0), count(f64::NAN), count(2.5), count(1e300)], [0, 0, 3, u64::MAX]);
        assert!((float(7) - 7.0).abs() < 1e-9);
    }
}
