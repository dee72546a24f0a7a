//! The load itself, open or closed, with a progress line.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::failure::Failure;
use crate::floor::Floor;
use crate::numbers::{grouped, micros, real, whole};
use crate::open;
use crate::output::Output;
use crate::scenario::{ARRIVALS_MAX, Closed};
use crate::schedule::arrivals;

/// The interval of the progress line.
const PROGRESS: Duration = Duration::from_millis(500);
/// Maximum visits at a time in an open loop. Later ones wait, and their time counts.
const AT_ONCE_MAX: u32 = 50_000;
/// How long a load may go on after its end: if the server no longer answers, the run ends.
const DRAIN_TIMEOUT: Duration = Duration::from_mins(10);

/// Runs the load until every visit is over.
///
/// # Errors
/// When it does not end.
pub async fn run(floor: &Arc<Floor>, output: &mut Output) -> Result<(), Failure> {
    let length = floor.scenario.length();
    let playing = async {
        match floor.scenario.load.closed.clone() {
            Some(closed) => closed_loop(floor, &closed).await,
            None => open_loop(floor).await,
        }
    };
    let ended = tokio::time::timeout(length.saturating_add(DRAIN_TIMEOUT), playing);
    tokio::pin!(ended);
    let mut ticks = tokio::time::interval(PROGRESS);
    let mut last = Progress::default();
    loop {
        tokio::select! {
            ended = &mut ended => {
                return ended.map_err(|_late| Failure::Work("the load does not end: not all requests are answered".to_owned()))?;
            }
            _ = ticks.tick() => output.progress(&last.next(floor)),
        }
    }
}

async fn open_loop(floor: &Arc<Floor>) -> Result<(), Failure> {
    let due = arrivals(&floor.scenario.phases(), floor.scenario.load.seed);
    let shared = Arc::clone(floor);
    let visit = move |number: u64, due: Duration| {
        let floor = Arc::clone(&shared);
        async move { floor.visit(number, due).await }
    };
    open::run(due, floor.watch, AT_ONCE_MAX, visit).await
}

async fn closed_loop(floor: &Arc<Floor>, closed: &Closed) -> Result<(), Failure> {
    let next = Arc::new(AtomicU64::new(0));
    let mut visitors = JoinSet::new();
    for _ in 0..floor.clients.len().saturating_mul(usize::from(closed.in_flight)) {
        let (floor, next, end) = (Arc::clone(floor), Arc::clone(&next), closed.length.0);
        visitors.spawn(async move {
            loop {
                let due = floor.watch.elapsed();
                // Relaxed: the counter orders nothing else.
                let number = next.fetch_add(1, Ordering::Relaxed);
                if due >= end || number >= ARRIVALS_MAX {
                    return;
                }
                floor.visit(number, due).await;
            }
        });
    }
    while let Some(ended) = visitors.join_next().await {
        ended.map_err(|_panic| Failure::Bug("a visitor panicked"))?;
    }
    Ok(())
}

/// The counts of the last progress line.
#[derive(Default)]
struct Progress {
    at: Duration,
    answers: u64,
}

impl Progress {
    fn next(&mut self, floor: &Floor) -> String {
        let (now, so_far) = (floor.watch.elapsed(), floor.recorder.so_far());
        let [done, refused, failed] = so_far.map(grouped);
        let answers = so_far.into_iter().fold(0, u64::saturating_add);
        let seconds = real(micros(now.saturating_sub(self.at))).max(1.0) / 1e6;
        let rate = whole(real(answers.saturating_sub(self.answers)) / seconds);
        let under_way = floor.recorder.begun.get().saturating_sub(floor.recorder.over.get());
        (self.at, self.answers) = (now, answers);
        format!(
            "{:>6.1} s: {}/s, {done} done, {refused} refused, {failed} failed, {} under way",
            now.as_secs_f64(),
            grouped(rate),
            grouped(under_way)
        )
    }
}
