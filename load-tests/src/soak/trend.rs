//! Whether a measure grows: by the median of the slopes between all pairs of measurements (Theil and Sen), which
//! outliers do not move while they are less than about 29 %.

use stockade_drill::numbers::{count, real};

use crate::statistics::median;

/// The most measurements that are compared pairwise; of more, each n-th is used.
const POINTS_MAX: usize = 600;

/// A measure counts as growing if it exceeds both bounds.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Bound {
    /// Growth per hour, in percent of the median.
    pub percent_per_hour: f64,
    /// Growth from the first measurement to the last, by the slope.
    pub absolute: f64,
    /// The fewest measurements for a verdict.
    pub fewest: usize,
}

/// The verdict on a measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It does not exceed its bound.
    Flat,
    /// It exceeds its bound.
    Growing,
    /// Too few measurements.
    Unjudged,
}

/// The trend of a measure.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Trend {
    /// What was measured, and where.
    pub name: String,
    /// Number of measurements.
    pub measured: u64,
    /// Their median.
    pub median: f64,
    /// Growth per hour.
    pub per_hour: f64,
    /// The same in percent of the median.
    pub percent_per_hour: f64,
    /// Growth from the first measurement to the last, by the slope.
    pub grown: f64,
    /// The bound.
    pub bound: Bound,
    /// The verdict.
    pub verdict: Verdict,
}

/// Judges measurements: pairs of hours and values.
#[must_use]
pub fn judge(name: &str, series: &[(f64, f64)], bound: Bound) -> Trend {
    let values: Vec<f64> = series.iter().map(|(_, value)| *value).collect();
    let middle = median(&values).unwrap_or(0.0);
    let per_hour = slope(series);
    let span = match (series.first(), series.last()) {
        (Some((first, _)), Some((last, _))) => last - first,
        (None, _) | (_, None) => 0.0,
    };
    let (grown, percent_per_hour) = (per_hour * span, if middle > 0.0 { per_hour / middle * 100.0 } else { 0.0 });
    let verdict = if series.len() < bound.fewest {
        Verdict::Unjudged
    } else if grown > bound.absolute && percent_per_hour > bound.percent_per_hour {
        Verdict::Growing
    } else {
        Verdict::Flat
    };
    let measured = count(series.len());
    Trend { name: name.to_owned(), measured, median: middle, per_hour, percent_per_hour, grown, bound, verdict }
}

fn slope(series: &[(f64, f64)]) -> f64 {
    let every = series.len().div_ceil(POINTS_MAX).max(1);
    let points: Vec<&(f64, f64)> = series.iter().step_by(every).collect();
    let mut slopes = Vec::with_capacity(points.len().saturating_mul(points.len()) / 2);
    for (place, (x, y)) in points.iter().enumerate() {
        for (later, value) in points.iter().skip(place.saturating_add(1)) {
            if later > x {
                slopes.push((value - y) / (later - x));
            }
        }
    }
    median(&slopes).unwrap_or(0.0)
}

/// The median of the values between two fractions of the whole.
#[must_use]
pub fn median_of_part(values: &[f64], from: f64, until: f64) -> Option<f64> {
    let place =
        |part: f64| stockade_drill::numbers::place(stockade_drill::numbers::whole(part * real(count(values.len()))));
    median(values.get(place(from)..place(until).min(values.len()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: f64 = 1024.0 * 1024.0;
    const BOUND: Bound = Bound { percent_per_hour: 10.0, absolute: 8.0 * MIB, fewest: 30 };

    /// Ten minutes, one measurement a second.
    fn series(value: impl Fn(f64, &mut fastrand::Rng) -> f64) -> Vec<(f64, f64)> {
        let mut random = fastrand::Rng::with_seed(7);
        (0..600).map(|second| (f64::from(second) / 3600.0, value(f64::from(second), &mut random))).collect()
    }

    #[test]
    fn noise_and_outliers_are_flat() {
        let noise = series(|_second, random| 100.0 * MIB + random.f64() * 10.0 * MIB);
        assert_eq!(judge("noise", &noise, BOUND).verdict, Verdict::Flat);
        let saw = series(|second, random| 100.0 * MIB + (second % 60.0) * 0.3 * MIB + random.f64() * MIB);
        assert_eq!(judge("saw", &saw, BOUND).verdict, Verdict::Flat);
        let jumps = series(|_second, random| if random.u8(..5) == 0 { 400.0 * MIB } else { 100.0 * MIB });
        assert_eq!(judge("outliers", &jumps, BOUND).verdict, Verdict::Flat);
    }

    #[test]
    fn a_leak_is_found_under_noise() {
        // 30 KiB a second: 17.6 MiB in ten minutes.
        let leak = series(|second, random| 100.0 * MIB + second * 30.0 * 1024.0 + random.f64() * 10.0 * MIB);
        let trend = judge("leak", &leak, BOUND);
        assert_eq!(trend.verdict, Verdict::Growing, "{trend:?}");
        assert!((trend.grown / MIB - 17.5).abs() < 2.0, "{trend:?}");
        let steps = series(|second, _random| 100.0 * MIB + (second / 60.0).floor() * 2.0 * MIB);
        assert_eq!(judge("steps", &steps, BOUND).verdict, Verdict::Growing);
    }

    #[test]
    fn little_is_no_leak_and_few_measurements_tell_nothing() {
        let little = series(|second, _random| 100.0 * MIB + second * 5.0 * 1024.0);
        assert_eq!(judge("3 MiB", &little, BOUND).verdict, Verdict::Flat, "within the absolute bound");
        let slow = series(|second, _random| 10_000.0 * MIB + second * 30.0 * 1024.0);
        assert_eq!(judge("1 % an hour", &slow, BOUND).verdict, Verdict::Flat, "within the relative bound");
        let shrinking = series(|second, _random| 500.0 * MIB - second * 300.0 * 1024.0);
        assert_eq!(judge("shrinking", &shrinking, BOUND).verdict, Verdict::Flat);
        let leak = series(|second, _random| 100.0 * MIB + second * MIB);
        assert_eq!(judge("few", &leak[..20], BOUND).verdict, Verdict::Unjudged);
        assert_eq!(judge("none", &[], BOUND).verdict, Verdict::Unjudged);
    }

    #[test]
    fn parts_are_cut_by_place() {
        assert_eq!(median_of_part(&[1.0, 1.0, 5.0, 7.0], 0.5, 1.0), Some(6.0));
        assert_eq!(median_of_part(&[], 0.5, 1.0), None);
    }
}
