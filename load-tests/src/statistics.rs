//! The median of measurements, and an interval for the true one.
//!
//! The interval is that of order statistics: it assumes no distribution of the noise and draws no random numbers. How
//! many of n measurements lie below the true median is binomial with one half, so the probability that the k-th
//! smallest and the k-th largest enclose it can be computed.

use stockade_drill::numbers::{count, real};

/// The confidence that an interval must have.
pub const CONFIDENCE: f64 = 0.95;

/// A median and its interval.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Estimate {
    /// The median of the measurements.
    pub median: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The probability that the true median lies between them. Under 0.95 for fewer than six measurements.
    pub confidence: f64,
}

/// The median; for an even number of values the mean of the middle two. None if there are no values.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let sorted = sorted(values);
    let middle = sorted.len() / 2;
    let upper = sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(*upper);
    }
    let lower = sorted.get(middle.checked_sub(1)?)?;
    Some(f64::midpoint(*lower, *upper))
}

/// The median and the narrowest interval of order statistics with enough confidence; the widest if none has.
#[must_use]
pub fn estimate(values: &[f64]) -> Option<Estimate> {
    let median = median(values)?;
    let sorted = sorted(values);
    let rank = rank(sorted.len());
    let (low, high) = (sorted.get(rank)?, sorted.get(sorted.len().checked_sub(rank)?.checked_sub(1)?)?);
    Some(Estimate { median, low: *low, high: *high, confidence: coverage(sorted.len(), rank) })
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// How many measurements can be left out at each end.
fn rank(measurements: usize) -> usize {
    let mut rank = 0_usize;
    while rank.saturating_add(1).saturating_mul(2) < measurements
        && coverage(measurements, rank.saturating_add(1)) >= CONFIDENCE
    {
        rank = rank.saturating_add(1);
    }
    rank
}

/// The probability that the true median lies between the measurements that remain when `out` are left out at each end.
fn coverage(measurements: usize, out: usize) -> f64 {
    // Term by term: the chance that exactly k of n lie below is (n over k) / 2^n.
    let sides = real(count(measurements));
    let mut term = 0.5_f64.powf(sides);
    let mut tail = 0.0;
    for k in 0..=out {
        tail += term;
        let k = real(count(k));
        term *= (sides - k) / (k + 1.0);
    }
    (1.0 - 2.0 * tail).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_between_the_middle_two() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn fifteen_pairs_leave_three_out_at_each_end() {
        // The binomial table: 3 of 15 at each end leave 0.9648; 4 would leave 0.8815.
        let values: Vec<f64> = (1..=15).map(f64::from).collect();
        let estimate = estimate(&values).expect("values");
        assert_eq!((estimate.median, estimate.low, estimate.high), (8.0, 4.0, 12.0));
        assert!((estimate.confidence - 0.9648).abs() < 0.0001, "{estimate:?}");
    }

    #[test]
    fn too_few_pairs_say_how_little_they_know() {
        let estimate = estimate(&[1.0, 3.0, 2.0]).expect("values");
        assert_eq!((estimate.low, estimate.high, estimate.confidence), (1.0, 3.0, 0.75));
    }

    #[test]
    fn the_interval_holds_the_true_median_as_often_as_it_says() {
        let mut random = fastrand::Rng::with_seed(7);
        let trials = 4000;
        let mut held = 0;
        for _ in 0..trials {
            // Skewed noise, whose median is known.
            let values: Vec<f64> = (0..15).map(|_| -(random.f64().max(1e-9)).ln()).collect();
            let estimate = estimate(&values).expect("values");
            held += u32::from(estimate.low <= 2.0_f64.ln() && 2.0_f64.ln() <= estimate.high);
        }
        let share = f64::from(held) / f64::from(trials);
        assert!((0.95..0.98).contains(&share), "{share}");
    }
}
