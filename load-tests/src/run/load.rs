//! The load itself, open or closed, with a progress line.

use std::sync::Arc;
use std::time::Duration;

use stockade_drill::Failure;
use stockade_drill::customers::{Floor, one_after_the_other};
use stockade_drill::numbers::{grouped, micros, real, whole};

use crate::open;
use crate::output::Output;
use crate::rush::Rush;
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
pub async fn run(rush: &Arc<Rush>, output: &mut Output) -> Result<(), Failure> {
    let length = rush.scenario.length();
    let playing = async {
        match rush.scenario.load.closed.clone() {
            Some(closed) => closed_loop(rush, &closed).await,
            None => open_loop(rush).await,
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
            _ = ticks.tick() => output.progress(&last.next(&rush.floor)),
        }
    }
}

async fn open_loop(rush: &Arc<Rush>) -> Result<(), Failure> {
    let due = arrivals(&rush.scenario.phases(), rush.scenario.load.seed);
    let shared = Arc::clone(rush);
    let visit = move |number: u64, due: Duration| {
        let rush = Arc::clone(&shared);
        async move { rush.visit(number, due).await }
    };
    open::run(due, rush.floor.watch, AT_ONCE_MAX, visit).await
}

async fn closed_loop(rush: &Arc<Rush>, closed: &Closed) -> Result<(), Failure> {
    let (shared, end) = (Arc::clone(rush), closed.length.0);
    let at_a_time = usize::from(rush.scenario.load.connections).saturating_mul(usize::from(closed.in_flight));
    let visit = move |number: u64| {
        let rush = Arc::clone(&shared);
        async move {
            let due = rush.floor.watch.elapsed();
            let goes_on = due < end && number < ARRIVALS_MAX;
            if goes_on {
                rush.visit(number, due).await;
            }
            goes_on
        }
    };
    one_after_the_other(at_a_time, visit).await
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
