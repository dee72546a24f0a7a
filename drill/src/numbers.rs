//! Conversions between counts, spans and real numbers. This is the only place where they lose precision.

use std::time::Duration;

/// A count as a real number. Exact up to 2^53, which no run here reaches.
#[must_use]
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
pub const fn real(count: u64) -> f64 {
    count as f64
}

/// The nearest whole number; 0 for a negative number or NaN.
#[must_use]
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and takes what is no number for 0"
)]
pub fn whole(value: f64) -> u64 {
    value.round() as u64
}

/// A length as a count.
#[must_use]
pub fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// A count as an index; the largest index if it does not fit.
#[must_use]
pub fn place(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A span in whole microseconds.
#[must_use]
pub fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// A span in whole nanoseconds.
#[must_use]
pub fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Microseconds as milliseconds with two digits, for display.
#[must_use]
pub fn millis(micros: u64) -> String {
    format!("{:.2}", real(micros) / 1000.0)
}

/// A count with separated thousands, for display.
#[must_use]
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut reported = String::with_capacity(digits.len().saturating_mul(2));
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && digits.len().saturating_sub(place).is_multiple_of(3) {
            reported.push(',');
        }
        reported.push(digit);
    }
    reported
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_numbers_round_to_the_nearest_count_and_never_below_zero() {
        assert_eq!([whole(1.5), whole(2.4), whole(-3.0), whole(f64::NAN)], [2, 2, 0, 0]);
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn times_are_told_in_milliseconds() {
        assert_eq!([millis(1_234), millis(9)], ["1.23", "0.01"]);
    }
}
