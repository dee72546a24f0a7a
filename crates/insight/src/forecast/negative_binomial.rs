//! The negative binomial distribution: a Poisson count whose rate is itself uncertain, as a gamma distribution. It has
//! a mean, and a size: the smaller the size, the wider it spreads.

use statrs::function::beta::checked_beta_reg;
use statrs::function::gamma::ln_gamma;

use crate::number::float;

/// Sizes outside of these bounds differ from them by nothing that a forecast shows.
const SIZE_MIN: f64 = 0.05;
const SIZE_MAX: f64 = 1e6;
/// Means are kept within these bounds.
const MEAN_MIN: f64 = 1e-6;
const MEAN_MAX: f64 = 1e12;

/// A distribution of counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct NegativeBinomial {
    mean: f64,
    size: f64,
}

impl NegativeBinomial {
    /// With this mean, and with this variance of the rate, relative to the square of the mean.
    pub(super) fn new(mean: f64, relative_variance: f64) -> Self {
        let size = if relative_variance > 0.0 { 1.0 / relative_variance } else { SIZE_MAX };
        Self { mean: mean.clamp(MEAN_MIN, MEAN_MAX), size: size.clamp(SIZE_MIN, SIZE_MAX) }
    }

    /// The logarithm of the probability of this count.
    pub(super) fn log_probability(self, count: f64) -> f64 {
        let Self { mean, size } = self;
        let ways = ln_gamma(count + size) - ln_gamma(size) - ln_gamma(count + 1.0);
        ways + size * (size / (size + mean)).ln() + count * (mean / (size + mean)).ln()
    }

    /// The probability of this count or less.
    fn cumulative(self, count: u64) -> f64 {
        let Self { mean, size } = self;
        // Parameters and argument are within their bounds, so there is a value.
        checked_beta_reg(size, float(count) + 1.0, size / (size + mean)).unwrap_or(1.0)
    }

    /// The smallest count that is not exceeded with at least this probability.
    pub(super) fn quantile(self, probability: f64) -> u64 {
        let mut above: u64 = 1;
        while self.cumulative(above) < probability && above < 1 << 52 {
            above = above.saturating_mul(2);
        }
        let (mut low, mut high) = (0, above);
        while low < high {
            let middle = low.midpoint(high);
            if self.cumulative(middle) < probability { low = middle.saturating_add(1) } else { high = middle }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums probabilities one by one.
    fn summed(distribution: NegativeBinomial, probability: f64) -> u64 {
        let mut sum = 0.0;
        (0..100_000)
            .find(|count| {
                sum += distribution.log_probability(float(*count)).exp();
                sum >= probability
            })
            .expect("probabilities add up to one")
    }

    #[test]
    fn quantiles_are_those_of_the_summed_probabilities() {
        for mean in [0.3, 2.0, 40.0, 900.0] {
            for relative_variance in [0.0, 0.02, 0.25, 1.0, 4.0] {
                let distribution = NegativeBinomial::new(mean, relative_variance);
                for probability in [0.1, 0.5, 0.9] {
                    let (found, expected) = (distribution.quantile(probability), summed(distribution, probability));
                    assert!(found.abs_diff(expected) <= 1, "{distribution:?} at {probability}: {found}, {expected}");
                }
            }
        }
    }

    #[test]
    fn large_means_spread_as_their_rate_does() {
        let distribution = NegativeBinomial::new(1e6, 0.01);
        let (low, high) = (distribution.quantile(0.1), distribution.quantile(0.9));
        // A gamma distribution with a standard deviation of a tenth of its mean: 1.28 of them on each side.
        assert!((868_000..880_000).contains(&low), "{low}");
        assert!((1_125_000..1_137_000).contains(&high), "{high}");
        assert!(NegativeBinomial::new(f64::INFINITY, f64::NAN).quantile(0.9) > 0);
    }
}
