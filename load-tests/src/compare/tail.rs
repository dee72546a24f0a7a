//! Rows of the 99th percentile: Stockade with and without a snapshot or a mass expiry, under an open loop at half its
//! capacity.
//!
//! Each pair is one server on an empty folder and one load with two spans: while it happens, and while it does not. The
//! metrics show when a snapshot ran.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use load_test_peers::{CUSTOMERS, HOT};
use stockade_drill::Failure;
use stockade_drill::numbers::{grouped, micros, real, whole};
use stockade_drill::request::Verb;
use stockade_drill::samples::{Ending, Recorder, Sample, spread};
use stockade_drill::wire::{self, patiently};
use stockade_proto as pb;
use stockade_types::metrics::Stopwatch;
use stockade_types::time::wall_clock;

use super::pairs::{Arena, Series};
use super::rows::{Beside, Contestant, Row};
use super::work::{self, DROP, Work};
use super::{Compared, Goal, Options, crowd, stage};
use crate::open;
use crate::output::Output;
use crate::prefill::{self, Plan, Until};
use crate::reserves::CONNECTIONS;
use crate::schedule::{Phase, Shape, arrivals};
use crate::server::{Server, snapshots_every};
use crate::statistics::median;

/// How often the metrics are read.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// Time on both sides of the event that counts for neither span.
const MARGIN: Duration = Duration::from_millis(200);
/// The fewest measurements for a percentile.
pub(super) const SAMPLES_MIN: u64 = 200;
/// Maximum requests in flight.
const IN_FLIGHT_MAX: u32 = 8_000;
/// How long the holds live if they must not expire.
const LONG: Duration = Duration::from_mins(50);
/// The time within which all holds expire.
const WAVE: Duration = Duration::from_secs(1);
/// The load goes on for at least this long after the mass expiry: the server's sweep leaves most of a core to requests
/// until it is late, and takes what it needs once it is eight seconds late.
const BEHIND_THE_WAVE: Duration = Duration::from_secs(10);
/// How often the mass expiry is tried again if making the holds took longer than expected.
const TRIES: u32 = 3;
/// Runs that measure the capacity.
const TRIALS: usize = 3;

/// The result of one pair: the 99th percentile with and without the event, in microseconds.
pub(super) struct Pair {
    /// While it happened.
    pub(super) with: u64,
    /// While it did not.
    pub(super) without: u64,
}

/// Runs one row.
///
/// # Errors
/// When a run fails, or the event did not happen.
pub async fn compare(
    arena: &mut Arena<'_>,
    row: &Row,
    (beside, most): (Beside, f64),
    output: &mut Output,
) -> Result<Compared, Failure> {
    let options = arena.options();
    let capacity = capacity(arena).await?;
    let half = capacity / 2.0;
    let filling = if beside == Beside::Readers { Duration::ZERO } else { filling(options).await? };
    output.line(&match beside {
        Beside::Readers => {
            format!("  half of {}/s; {} streams", grouped(whole(capacity)), grouped(options.streams().into()))
        }
        Beside::Snapshot | Beside::Expiry => format!(
            "  half of {}/s; {} holds are made in {:.1} s",
            grouped(whole(capacity)),
            grouped(options.holds()),
            filling.as_secs_f64()
        ),
    });
    let mut series = Series::default();
    for pair in 1..=options.pairs() {
        let Pair { with, without } = match beside {
            Beside::Snapshot => snapshot(options, half).await?,
            Beside::Expiry => expiry(options, half, filling).await?,
            Beside::Readers => crowd::beside(options, half, output).await?,
        };
        let [with, without] = [with, without].map(|micros| real(micros.max(1)) / 1000.0);
        let ratio = series.add(with, without);
        output.line(&format!(
            "  {pair} of {}: p99 {with:.2} ms with, {without:.2} ms without, ratio {ratio:.3}",
            options.pairs()
        ));
        series.p99.0.push(with);
        series.p99.1.push(without);
    }
    series.close(row, ("ms at p99", "itself, without".to_owned()), Goal::AtMost { ratio: most })
}

/// How long making the holds takes.
async fn filling(options: &Options) -> Result<Duration, Failure> {
    let began = Stopwatch::start();
    let server = stage::stockade(&options.recipe, &snapshots_every(None)).await?;
    prefill::fill(&server.endpoint, &plan(options, Until::Life(LONG)), began).await?;
    Ok(began.elapsed())
}

/// Reserves a second in the closed loop: the median of several runs, since one bad run would make the load too light.
async fn capacity(arena: &mut Arena<'_>) -> Result<f64, Failure> {
    let mut rates = Vec::with_capacity(TRIALS);
    for _ in 0..TRIALS {
        rates.push(arena.run(Contestant::Stockade(Work::Reserve)).await?.rate);
    }
    median(&rates).ok_or(Failure::Bug("no trials"))
}

fn plan(options: &Options, until: Until) -> Plan {
    let (drop, sku) = (DROP.to_owned(), HOT.to_owned());
    Plan { drop, sku, holds: options.holds(), each: 1, until, seed: fastrand::u64(..) }
}

async fn snapshot(options: &Options, rate: f64) -> Result<Pair, Failure> {
    let every = options.measured();
    let server =
        stage::stockade(&options.recipe, &snapshots_every(Some(&format!("{}ms,1TiB", every.as_millis())))).await?;
    prefill::fill(&server.endpoint, &plan(options, Until::Life(LONG)), Stopwatch::start()).await?;
    let watch = Stopwatch::start();
    let load = Load { rate, length: every.saturating_mul(3) };
    let (samples, spans) = tokio::try_join!(load.run(&server, watch), snapshots(&server, watch, load.length))?;
    if spans.is_empty() {
        return Err(Failure::Work("no snapshot was taken during the load: choose a longer --measured".to_owned()));
    }
    pair(&samples, &spans, options.span().warm_up)
}

/// When snapshots ran, by the watch. The metrics show that one has ended and how long it took.
async fn snapshots(server: &Server, watch: Stopwatch, length: Duration) -> Result<Vec<Range<Duration>>, Failure> {
    let mut spans = Vec::new();
    let mut last: Option<(f64, f64, Duration)> = None;
    while watch.elapsed() < length {
        let ((taken, seconds), now) = (server.snapshots().await?, watch.elapsed());
        if let Some((before, until, at)) = last
            && taken > before
        {
            spans.push(at.saturating_sub(Duration::from_secs_f64((seconds - until).max(0.0)))..now);
        }
        last = Some((taken, seconds, now));
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(spans)
}

async fn expiry(options: &Options, rate: f64, filling: Duration) -> Result<Pair, Failure> {
    let mut allowed =
        filling.saturating_mul(3).checked_div(2).unwrap_or(filling).saturating_add(Duration::from_secs(1));
    let (quiet, warm_up) = (options.measured(), options.span().warm_up);
    for _ in 0..TRIES {
        let server = stage::stockade(&options.recipe, &snapshots_every(None)).await?;
        let ahead = allowed.saturating_add(warm_up).saturating_add(quiet).saturating_add(MARGIN);
        let first = wall_clock().0.saturating_add(micros(ahead) / 1000);
        let began = Stopwatch::start();
        let until = Until::Instants { first, within: micros(WAVE) / 1000 };
        prefill::fill(&server.endpoint, &plan(options, until), began).await?;
        if began.elapsed() > allowed {
            allowed = began.elapsed().saturating_mul(2);
            continue;
        }
        tokio::time::sleep(allowed.saturating_sub(began.elapsed())).await;
        let watch = Stopwatch::start();
        let wave = ahead.saturating_sub(began.elapsed());
        let length = wave.saturating_add(WAVE).saturating_add(quiet.max(BEHIND_THE_WAVE));
        let load = Load { rate, length };
        let expired = expired(&server, watch, (wave, options.holds()), load.length);
        let (samples, over) = tokio::try_join!(load.run(&server, watch), expired)?;
        return pair(&samples, &[wave..over], warm_up);
    }
    Err(Failure::Work("making the holds takes ever longer: choose fewer by --holds".to_owned()))
}

/// When the last of the holds has expired, by the watch; never before its one second is over.
async fn expired(
    server: &Server,
    watch: Stopwatch,
    (wave, holds): (Duration, u64),
    length: Duration,
) -> Result<Duration, Failure> {
    tokio::time::sleep(wave.saturating_add(WAVE).saturating_sub(watch.elapsed())).await;
    while watch.elapsed() < length {
        let expired = server.metric("stockade_hold_transitions_total{to=\"expired\"}").await?.unwrap_or_default();
        if expired >= real(holds) {
            return Ok(watch.elapsed());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err(Failure::Work("not all holds have expired by the end of the load: choose a longer --measured".to_owned()))
}

/// The 99th percentile of requests that were due in these spans, and of those that were due well outside of them.
fn pair(samples: &[Sample], spans: &[Range<Duration>], warm_up: Duration) -> Result<Pair, Failure> {
    let due = |sample: &&Sample| Duration::from_micros(u64::from(sample.due));
    let counted = || samples.iter().filter(|sample| due(sample) >= warm_up);
    let inside = counted().filter(|sample| spans.iter().any(|span| span.contains(&due(sample))));
    let near = |span: &Range<Duration>, at: Duration| {
        at.saturating_add(MARGIN) >= span.start && at < span.end.saturating_add(MARGIN)
    };
    let outside = counted().filter(|sample| !spans.iter().any(|span| near(span, due(sample))));
    let (with, without) = (spread(inside)?, spread(outside)?);
    if with.len().min(without.len()) < SAMPLES_MIN {
        let (with, without) = (with.len(), without.len());
        let reported = format!("{with} requests with and {without} without are too few: choose a longer --measured");
        return Err(Failure::Work(reported));
    }
    Ok(Pair { with: with.value_at_quantile(0.99), without: without.value_at_quantile(0.99) })
}

/// Reserves in an open loop.
#[derive(Clone, Copy)]
pub(super) struct Load {
    /// Reserves a second.
    pub(super) rate: f64,
    /// How long, by the watch.
    pub(super) length: Duration,
}

impl Load {
    /// Runs it.
    ///
    /// # Errors
    /// When a reserve is not granted.
    pub(super) async fn run(self, server: &Server, watch: Stopwatch) -> Result<Vec<Sample>, Failure> {
        let clients = Arc::new(wire::clients(&server.endpoint, CONNECTIONS).await?);
        let recorder = Arc::new(Recorder::default());
        let after = watch.elapsed();
        let shape = Shape::Poisson { rate: self.rate };
        let phase = Phase { after, length: self.length.saturating_sub(after), shape };
        let (keep, seed) = (Arc::clone(&recorder), fastrand::u64(..));
        let visit = move |number: u64, due: Duration| {
            let (keep, clients) = (Arc::clone(&keep), Arc::clone(&clients));
            async move {
                let mut random = fastrand::Rng::with_seed(seed.wrapping_add(number));
                let connection = usize::try_from(number).unwrap_or(0) % CONNECTIONS;
                let Some(client) = clients.get(connection) else { return };
                let hold = wire::hold_id(&mut random).to_string();
                let request = work::reserve(hold, HOT, random.u32(..CUSTOMERS));
                // While it is sent again, its time goes on counting.
                let answer = patiently(|| client.reserve(request.clone())).await;
                let granted = |answer: pb::ReserveResponse| {
                    matches!(answer.outcome, Some(pb::reserve_response::Outcome::Hold(_)))
                };
                let ending = if answer.is_ok_and(granted) { Ending::Done } else { Ending::Failed };
                keep.record(connection, Verb::Reserve, ending, (due, watch.elapsed()));
            }
        };
        open::run(arrivals(&[phase], seed), watch, IN_FLIGHT_MAX, visit).await?;
        let [_done, refused, failed] = recorder.so_far();
        if refused.saturating_add(failed) > 0 {
            return Err(Failure::Work(format!("{failed} of the load's reserves were not granted")));
        }
        Ok(recorder.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(took: impl Fn(u32) -> u32) -> Vec<Sample> {
        let sample = |due: u32| Sample { due, took: took(due), verb: Verb::Reserve, ending: Ending::Done };
        (0..30_000).map(|n| sample(n * 100)).collect()
    }

    #[test]
    fn what_is_slow_in_the_span_counts_with_it_and_its_neighbourhood_with_neither() {
        let second = 1_000_000;
        let samples = samples(|due| match due {
            due if due < second / 2 => 90_000,
            due if (second..second * 3 / 2).contains(&due) => 5_000,
            due if (second * 3 / 2..second * 17 / 10).contains(&due) => 70_000,
            _ => 1_000,
        });
        let span = Duration::from_secs(1)..Duration::from_millis(1_500);
        let pair = pair(&samples, &[span], Duration::from_millis(500)).expect("a pair");
        assert!((4_990..5_010).contains(&pair.with), "{}", pair.with);
        assert!((990..1_010).contains(&pair.without), "the warm-up and the aftermath are left out: {}", pair.without);
    }

    #[test]
    fn a_span_with_hardly_a_request_is_no_measurement() {
        let span = Duration::from_secs(1)..Duration::from_millis(1_001);
        assert!(pair(&samples(|_due| 1), &[span], Duration::ZERO).is_err());
    }
}
