//! Every measurement of a load: when it was due, how long it took, its verb and its outcome.

use std::time::Duration;

use crossbeam_utils::CachePadded;
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use stockade_types::metrics::Counter;

use crate::Failure;
use crate::numbers::micros;
use crate::request::Verb;

/// The longest latency that a histogram distinguishes, in microseconds.
const SLOWEST: u64 = 120_000_000;
/// Number of lists that measurements are spread over, so that concurrent writers rarely contend.
const SHARDS: usize = 8;

/// The outcome of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// As requested.
    Done,
    /// A business refusal.
    Refused,
    /// A status, or no answer at all.
    Failed,
}

/// One measurement.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// When it was due, in microseconds from the start of the load.
    pub due: u32,
    /// From then to the answer, in microseconds.
    pub took: u32,
    /// What was asked.
    pub verb: Verb,
    /// How it ended.
    pub ending: Ending,
}

impl Sample {
    /// When it was answered, in microseconds from the start of the load.
    #[must_use]
    pub fn answered(&self) -> u64 {
        u64::from(self.due).saturating_add(u64::from(self.took))
    }
}

/// Collects measurements while a load runs, with counts for the progress line.
#[derive(Debug, Default)]
pub struct Recorder {
    shards: [CachePadded<Mutex<Vec<Sample>>>; SHARDS],
    /// Visits that have begun.
    pub begun: Counter,
    /// Visits that are over.
    pub over: Counter,
    /// By verb and ending.
    counts: [[Counter; 3]; Verb::ALL.len()],
}

impl Recorder {
    /// Records one measurement. `connection` selects the list: any number, best the connection's.
    pub fn record(&self, connection: usize, verb: Verb, ending: Ending, (due, answered): (Duration, Duration)) {
        let short = |span: Duration| u32::try_from(micros(span)).unwrap_or(u32::MAX);
        let sample = Sample { due: short(due), took: short(answered.saturating_sub(due)), verb, ending };
        if let Some(shard) = self.shards.get(connection % SHARDS) {
            shard.lock().push(sample);
        }
        let place = Verb::ALL.iter().position(|of| *of == verb);
        if let Some([done, refused, failed]) = place.and_then(|place| self.counts.get(place)) {
            match ending {
                Ending::Done => done.increment(),
                Ending::Refused => refused.increment(),
                Ending::Failed => failed.increment(),
            }
        }
    }

    /// Counts of a verb so far: done, refused, failed.
    pub fn of(&self, verb: Verb) -> [u64; 3] {
        let counts = Verb::ALL.iter().zip(&self.counts).find(|(of, _)| **of == verb);
        counts.map_or([0; 3], |(_, counts)| counts.each_ref().map(Counter::get))
    }

    /// Counts so far: done, refused, failed.
    pub fn so_far(&self) -> [u64; 3] {
        Verb::ALL.map(|verb| self.of(verb)).into_iter().fold([0; 3], |sum, counts| {
            let [done, refused, failed] = counts;
            let [all_done, all_refused, all_failed] = sum;
            [all_done.saturating_add(done), all_refused.saturating_add(refused), all_failed.saturating_add(failed)]
        })
    }

    /// All measurements, in the order in which they were due.
    #[must_use]
    pub fn take(&self) -> Vec<Sample> {
        let mut all: Vec<Sample> = Vec::new();
        for shard in &self.shards {
            all.append(&mut shard.lock());
        }
        all.sort_by_key(|sample| sample.due);
        all
    }
}

/// An empty histogram of microseconds with three significant digits.
///
/// # Errors
/// Never: the bounds are fixed.
pub fn histogram() -> Result<Histogram<u64>, Failure> {
    Histogram::new_with_bounds(1, SLOWEST, 3).map_err(|_bad| Failure::Bug("the bounds of the histogram"))
}

/// A histogram of these latencies.
///
/// # Errors
/// Never: the bounds are fixed.
pub fn spread<'s>(samples: impl IntoIterator<Item = &'s Sample>) -> Result<Histogram<u64>, Failure> {
    let mut spread = histogram()?;
    for sample in samples {
        // The histogram begins at one microsecond.
        spread.saturating_record(u64::from(sample.took).max(1));
    }
    Ok(spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_comes_back_in_the_order_it_was_due() {
        let recorder = Recorder::default();
        let at = Duration::from_millis;
        recorder.record(3, Verb::Claim, Ending::Done, (at(5), at(7)));
        recorder.record(9, Verb::Reserve, Ending::Refused, (at(1), at(2)));
        assert_eq!((recorder.so_far(), recorder.of(Verb::Claim)), ([1, 1, 0], [1, 0, 0]));
        let taken: Vec<(u32, u32)> = recorder.take().iter().map(|sample| (sample.due, sample.took)).collect();
        assert_eq!(taken, [(1_000, 1_000), (5_000, 2_000)]);
    }
}
