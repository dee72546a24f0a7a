//! Latencies and throughputs of a run, computed from every one of its measurements.

use hdrhistogram::Histogram;
use stockade_drill::Failure;
use stockade_drill::numbers::{count, place, real};
use stockade_drill::samples::{Ending, Sample, histogram};

/// The percentiles that are reported.
pub const PERCENTILES: [f64; 6] = [50.0, 90.0, 95.0, 99.0, 99.9, 99.99];

/// Latencies in milliseconds.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Latency {
    /// Number of measurements.
    pub measured: u64,
    /// The mean.
    pub mean: f64,
    /// Each of [`PERCENTILES`] with its value.
    pub percentiles: Vec<(f64, f64)>,
    /// The longest.
    pub max: f64,
}

impl Latency {
    /// The figures of a histogram of microseconds.
    #[must_use]
    pub fn of(spread: &Histogram<u64>) -> Self {
        let millis = |micros: u64| real(micros) / 1000.0;
        Self {
            measured: spread.len(),
            mean: spread.mean() / 1000.0,
            percentiles: PERCENTILES.iter().map(|p| (*p, millis(spread.value_at_percentile(*p)))).collect(),
            max: millis(spread.max()),
        }
    }
}

/// A slice of the run.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Slice {
    /// When it begins, in seconds from the start of the load.
    pub from: f64,
    /// Requests answered as asked, per second.
    pub done: f64,
    /// Refusals a second.
    pub refused: f64,
    /// Failures a second.
    pub failed: f64,
    /// The median latency of requests that were due in this slice, in milliseconds; none if there were none.
    pub p50: Option<f64>,
    /// The 99th percentile of the same.
    pub p99: Option<f64>,
    /// The maximum of the same.
    pub max: Option<f64>,
}

/// Divides the run into slices of equal length: throughput by when answers arrived, latency by when requests were due.
///
/// # Errors
/// Never: the bounds are fixed.
pub fn slices(samples: &[Sample], slices: u32) -> Result<Vec<Slice>, Failure> {
    let end = samples.iter().map(Sample::answered).max().unwrap_or(0).max(1);
    let width = end.div_ceil(u64::from(slices)).max(1);
    let mut cells: Vec<([u64; 3], Histogram<u64>)> = Vec::new();
    for _ in 0..end.div_ceil(width) {
        cells.push(([0; 3], histogram()?));
    }
    let cell = |at: u64| place(at.min(end.saturating_sub(1)).checked_div(width).unwrap_or(0));
    for sample in samples {
        if let Some(([done, refused, failed], _)) = cells.get_mut(cell(sample.answered())) {
            let counted = match sample.ending {
                Ending::Done => done,
                Ending::Refused => refused,
                Ending::Failed => failed,
            };
            *counted = counted.saturating_add(1);
        }
        if let Some((_, due)) = cells.get_mut(cell(u64::from(sample.due))) {
            due.saturating_record(u64::from(sample.took).max(1));
        }
    }
    let reported = (0_u64..).zip(&cells).map(|(number, (counts, due))| {
        let latency = |value: u64| (!due.is_empty()).then(|| real(value) / 1000.0);
        let [done, refused, failed] = counts.map(|counted| real(counted) * 1e6 / real(width));
        let (p50, p99) = (latency(due.value_at_percentile(50.0)), latency(due.value_at_percentile(99.0)));
        let from = real(number.saturating_mul(width)) / 1e6;
        Slice { from, done, refused, failed, p50, p99, max: latency(due.max()) }
    });
    Ok(reported.collect())
}

/// Answers a second over the whole run.
#[must_use]
pub fn rate(samples: &[Sample]) -> f64 {
    let end = samples.iter().map(Sample::answered).max().unwrap_or(0).max(1);
    real(count(samples.len())) * 1e6 / real(end)
}

#[cfg(test)]
mod tests {
    use stockade_drill::request::Verb;
    use stockade_drill::samples::spread;

    use super::*;

    fn sample(due: u32, took: u32, ending: Ending) -> Sample {
        Sample { due, took, verb: Verb::Reserve, ending }
    }

    #[test]
    fn percentiles_are_those_of_the_samples() {
        let samples: Vec<Sample> = (1..=10_000).map(|took| sample(0, took * 10, Ending::Done)).collect();
        let latency = Latency::of(&spread(&samples).expect("a histogram"));
        let near = |value: f64, wanted: f64| (value - wanted).abs() <= wanted * 0.001 + 0.001;
        for ((percentile, value), wanted) in latency.percentiles.iter().zip([50.0, 90.0, 95.0, 99.0, 99.9, 99.99]) {
            assert!(near(*value, wanted), "p{percentile}: {value}");
        }
        assert_eq!((latency.measured, near(latency.max, 100.0)), (10_000, true));
    }

    #[test]
    fn a_late_answer_is_latency_where_it_was_due_and_throughput_where_it_came() {
        let samples = [sample(0, 100, Ending::Done), sample(10, 1_999_000, Ending::Refused)];
        let reported = slices(&samples, 2).expect("slices");
        assert_eq!(reported.len(), 2);
        assert!(
            reported[0].done > 0.0 && reported[0].refused < f64::EPSILON && reported[1].refused > 0.0,
            "{reported:?}"
        );
        assert!(reported[0].max > Some(1_900.0) && reported[1].max.is_none(), "{reported:?}");
    }
}
