//! The row of readers: one server and one load with two spans, before many readers of its public listener come and
//! while they are there. In both the drop's title changes every two seconds, which every stream is sent.

use std::ops::Range;
use std::time::Duration;

use stockade_client::Client;
use stockade_drill::Failure;
use stockade_drill::numbers::grouped;
use stockade_drill::samples::{Sample, spread};
use stockade_drill::wire::{self, patiently};
use stockade_proto as pb;
use stockade_types::metrics::Stopwatch;

use super::readers;
use super::tail::{Load, Pair, SAMPLES_MIN};
use super::work::DROP;
use super::{Options, stage};
use crate::kernel;
use crate::output::Output;
use crate::server::{Server, own, snapshots_every};

/// How often the drop's title changes.
const CHANGED_EVERY: Duration = Duration::from_secs(2);
/// How long opening the streams may take: so long,
const OPENING: Duration = Duration::from_secs(10);
/// and this for each.
const OPENING_OF_EACH: Duration = Duration::from_millis(2);
/// How long the readers are there before that counts.
const SETTLING: Duration = Duration::from_secs(1);
/// Polls a second for each hundred streams.
const POLLS_OF_A_HUNDRED: u32 = 1;

/// When readers were there, and what they took.
struct Stay {
    span: Range<Duration>,
    /// By how much the server's memory grew.
    grown: u64,
    /// Streams that were open at the end, by the server's metrics.
    open: f64,
}

/// Runs one pair.
///
/// # Errors
/// When the readers can't read, or a reserve is not granted.
pub(super) async fn beside(options: &Options, rate: f64, output: &mut Output) -> Result<Pair, Failure> {
    let streams = options.streams();
    let mut flags = snapshots_every(None);
    let most = streams.saturating_add(streams / 4).saturating_add(100).to_string();
    flags.extend(["--public", "127.0.0.1:0", "--max-public-connections", &most].map(str::to_owned));
    let server = stage::stockade(&options.recipe, &flags).await?;
    let (watch, warm_up, measured) = (Stopwatch::start(), options.span().warm_up, options.measured());
    let quiet = warm_up..warm_up.saturating_add(measured);
    let opening = OPENING.saturating_add(OPENING_OF_EACH.saturating_mul(streams));
    let spans = [opening, SETTLING, measured, SETTLING];
    let length = spans.into_iter().fold(quiet.end, Duration::saturating_add);
    let load = Load { rate, length };
    let stay = stay(&server, watch, (quiet.end, opening, measured), streams);
    let titles = retitle(&server, watch, length);
    let (samples, stay, ()) = tokio::try_join!(load.run(&server, watch), stay, titles)?;
    if stay.open < f64::from(streams) {
        return Err(Failure::Work(format!("of {streams} streams {} were open at the end", stay.open)));
    }
    let each = stay.grown.checked_div(streams.into()).unwrap_or_default();
    output.line(&format!("  {} streams, {} bytes of the server's memory each", grouped(streams.into()), grouped(each)));
    Ok(Pair { with: p99(&samples, &stay.span)?, without: p99(&samples, &quiet)? })
}

/// Starts the readers at `from`, which have `opening` to open, and ends them after `measured`.
async fn stay(
    server: &Server,
    watch: Stopwatch,
    (from, opening, measured): (Duration, Duration, Duration),
    streams: u32,
) -> Result<Stay, Failure> {
    tokio::time::sleep(from.saturating_sub(watch.elapsed())).await;
    let (at, process) = (own(server.public())?, own(server.process())?);
    let before = kernel::resident(process).unwrap_or_default();
    let polls = (streams / 100).saturating_mul(POLLS_OF_A_HUNDRED).max(1);
    let crowd = readers::start(at, DROP, (streams, polls))?;
    let open = move || crowd.wait_for(opening, readers::all_open).map(|()| crowd);
    let opened = tokio::task::spawn_blocking(open).await;
    let crowd = opened.map_err(|_panic| Failure::Bug("waiting for the readers panicked"))??;
    tokio::time::sleep(SETTLING).await;
    let begin = watch.elapsed();
    tokio::time::sleep(measured).await;
    let span = begin..watch.elapsed();
    let open = server.metric("stockade_public_streams").await?.unwrap_or_default();
    let grown = kernel::resident(process).unwrap_or_default().saturating_sub(before);
    drop(crowd);
    Ok(Stay { span, grown, open })
}

/// Changes the drop's title again and again.
async fn retitle(server: &Server, watch: Stopwatch, length: Duration) -> Result<(), Failure> {
    let client: Client = server.client().await?;
    let mut number = 0_u64;
    while watch.elapsed() < length {
        number = number.saturating_add(1);
        let (drop, _time) = wire::show(&client, DROP).await?;
        let update_mask = Some(prost_types::FieldMask { paths: vec!["title".to_owned()] });
        let revision = drop.revision;
        let drop = Some(pb::Drop { title: format!("title {number}"), ..drop });
        let request = pb::UpdateDropRequest { drop, update_mask, revision, validate_only: false };
        patiently(|| client.update_drop(request.clone())).await.map_err(Failure::status("changing the title"))?;
        tokio::time::sleep(CHANGED_EVERY).await;
    }
    Ok(())
}

/// The 99th percentile of the requests that were due in a span, in microseconds.
fn p99(samples: &[Sample], span: &Range<Duration>) -> Result<u64, Failure> {
    let due = |sample: &&Sample| span.contains(&Duration::from_micros(u64::from(sample.due)));
    let took = spread(samples.iter().filter(due))?;
    if took.len() < SAMPLES_MIN {
        return Err(Failure::Work(format!("{} requests are too few: choose a longer --measured", took.len())));
    }
    Ok(took.value_at_quantile(0.99))
}
