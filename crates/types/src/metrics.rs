//! Counters, gauges and histograms that a hot path can afford, in one struct per module.
//!
//! No metric is global. Metric names and exposition are in `admin`. A counter is split over cache lines and summed when
//! it is read.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

/// Cells of a counter: enough that a mid-size machine's threads rarely share one.
pub const CELLS: usize = 8;

static NEXT_CELL: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// This thread's cell, assigned round-robin.
    static CELL: usize = NEXT_CELL.fetch_add(1, Ordering::Relaxed) % CELLS;
}

/// The number of this thread's cell, below [`CELLS`].
#[inline]
#[must_use]
pub fn thread_cell() -> usize {
    CELL.with(|cell| *cell)
}

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Counter([CachePadded<AtomicU64>; CELLS]);

impl Counter {
    /// One more.
    #[inline]
    pub fn increment(&self) {
        self.add(1);
    }

    /// `count` more.
    #[inline]
    pub fn add(&self, count: u64) {
        // Relaxed: the count orders no other data.
        if let Some(cell) = self.0.get(thread_cell()) {
            cell.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// The sum of the cells.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.iter().map(|cell| cell.load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
    }
}

/// A value that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Sets it.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Raises it.
    pub fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    /// Lowers it. Never by more than it was raised.
    pub fn subtract(&self, by: u64) {
        self.0.fetch_sub(by, Ordering::Relaxed);
    }

    /// Reads it.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of the duration buckets, in nanoseconds: 50 µs to 5 s.
pub const DURATION_BOUNDS: [u64; 16] = [
    50_000,
    100_000,
    200_000,
    300_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    5_000_000_000,
];

/// A histogram of durations: a bucket for each of [`DURATION_BOUNDS`], one for longer ones, and their sum.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; DURATION_BOUNDS.len() + 1],
    nanos: AtomicU64,
}

/// A histogram at one instant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistogramReading {
    /// Observations in each bucket, not cumulative; the last bucket is above every bound.
    pub buckets: Vec<u64>,
    /// Sum of all observations, in nanoseconds.
    pub nanos: u64,
}

impl Histogram {
    /// Counts one duration.
    #[inline]
    pub fn observe(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = DURATION_BOUNDS.partition_point(|bound| *bound < nanos);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Reads it.
    #[must_use]
    pub fn read(&self) -> HistogramReading {
        HistogramReading {
            buckets: self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect(),
            nanos: self.nanos.load(Ordering::Relaxed),
        }
    }
}

/// Measures elapsed time, for metrics and for scheduling background work. No decision about a request may depend on it.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one door for measuring; engine time comes from a Clock")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// How long it has been running.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_sums_what_its_threads_counted() {
        let counter = Counter::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| counter.increment()));
            }
        });
        assert_eq!(counter.get(), 4000);
    }

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_holds_it() {
        let histogram = Histogram::default();
        histogram.observe(Duration::from_micros(50));
        histogram.observe(Duration::from_micros(51));
        histogram.observe(Duration::from_secs(6));
        let reading = histogram.read();
        assert_eq!((reading.buckets[0], reading.buckets[1], reading.buckets[16]), (1, 1, 1));
        assert_eq!(reading.nanos, 50_000 + 51_000 + 6_000_000_000);
    }
}
