//! The closed loop: each caller asks, waits for the answer and asks again. It measures throughput. A slow server slows
//! its callers down, so latencies are those of a saturated server.

use std::time::Duration;

use hdrhistogram::Histogram;
use stockade_types::metrics::Stopwatch;
use tokio::task::JoinSet;

use crate::Failure;
use crate::numbers::{micros, real};
use crate::samples::histogram;

/// Something that asks and waits.
pub trait Caller: Send + 'static {
    /// Asks once. Returns how many operations that was.
    ///
    /// # Errors
    /// When an answer is missing or is not the one that this work expects.
    fn call(&mut self) -> impl Future<Output = Result<u64, String>> + Send;
}

/// How long callers are driven.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// Not counted: caches and windows fill.
    pub warm_up: Duration,
    /// Counted.
    pub measured: Duration,
}

impl Span {
    /// This span, after a warm-up of a fifth of it.
    #[must_use]
    pub fn of(measured: Duration) -> Self {
        Self { warm_up: measured / 5, measured }
    }
}

/// The result of a closed loop.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Operations a second.
    pub rate: f64,
    /// All operations that were answered, including the warm-up and those that ended after the span.
    pub operations: u64,
    /// Microseconds from request to answer.
    pub latency: Histogram<u64>,
}

impl Measured {
    /// A quantile of the latencies, in milliseconds.
    #[must_use]
    pub fn millis(&self, quantile: f64) -> f64 {
        real(self.latency.value_at_quantile(quantile)) / 1000.0
    }
}

struct Tally {
    all: u64,
    counted: u64,
    latency: Histogram<u64>,
}

/// Drives all callers at once, each in a task of its own, until the span is over and the last answer has arrived.
///
/// # Errors
/// When a caller does not get its answer.
pub async fn closed_loop<C: Caller>(callers: Vec<C>, span: Span) -> Result<Measured, Failure> {
    let watch = Stopwatch::start();
    let mut tasks = JoinSet::new();
    for caller in callers {
        tasks.spawn(drive(caller, watch, span, histogram()?));
    }
    let mut sum = Tally { all: 0, counted: 0, latency: histogram()? };
    while let Some(tally) = tasks.join_next().await {
        let tally = tally.map_err(|_panic| Failure::Bug("a caller panicked"))?.map_err(Failure::Work)?;
        sum.all = sum.all.saturating_add(tally.all);
        sum.counted = sum.counted.saturating_add(tally.counted);
        sum.latency.add(tally.latency).map_err(|_bad| Failure::Bug("histograms of one kind"))?;
    }
    let rate = real(sum.counted) / span.measured.as_secs_f64();
    Ok(Measured { rate, operations: sum.all, latency: sum.latency })
}

async fn drive<C: Caller>(
    mut caller: C,
    watch: Stopwatch,
    span: Span,
    latency: Histogram<u64>,
) -> Result<Tally, String> {
    let mut tally = Tally { all: 0, counted: 0, latency };
    let end = span.warm_up.saturating_add(span.measured);
    let mut asked = watch.elapsed();
    while asked < end {
        let operations = caller.call().await?;
        let answered = watch.elapsed();
        tally.all = tally.all.saturating_add(operations);
        if answered >= span.warm_up && answered < end {
            tally.counted = tally.counted.saturating_add(operations);
            tally.latency.saturating_record(micros(answered.saturating_sub(asked)));
        }
        asked = answered;
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sleeper(u64);

    impl Caller for Sleeper {
        async fn call(&mut self) -> Result<u64, String> {
            tokio::time::sleep(Duration::from_millis(10)).await;
            self.0 = self.0.checked_sub(1).ok_or("no answer")?;
            Ok(3)
        }
    }

    const SPAN: Span = Span { warm_up: Duration::from_millis(50), measured: Duration::from_millis(200) };

    #[tokio::test]
    async fn operations_are_counted_after_the_warm_up_only() {
        let measured = closed_loop(vec![Sleeper(1000), Sleeper(1000)], SPAN).await.expect("answers");
        // Two callers at most 100 calls a second each, three operations a call.
        assert!(measured.rate > 100.0 && measured.rate <= 660.0, "{}", measured.rate);
        assert!(real(measured.operations) > measured.rate * 0.2, "the warm-up is in it: {}", measured.operations);
        assert!(measured.latency.min() >= 9_000, "{}", measured.latency.min());
    }

    #[tokio::test]
    async fn a_missing_answer_is_no_measurement() {
        let failure = closed_loop(vec![Sleeper(2)], SPAN).await.expect_err("it fails");
        assert_eq!(failure.to_string(), "no answer");
    }
}
