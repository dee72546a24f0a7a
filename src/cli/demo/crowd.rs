//! Many customers at once over a few connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use stockade_client::Client;
use stockade_types::metrics::{Counter, Stopwatch};
use tokio::task::JoinSet;

use super::customer::Plan;
use super::ledger::Ledger;
use super::visit::visit;
use crate::cli::failure::Failure;
use crate::cli::output::Output;

/// How often progress is shown.
const PROGRESS: Duration = Duration::from_millis(500);

/// Which round it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DemoPhase {
    /// All customers.
    Rush,
    /// The customers who were refused as sold out while others held units.
    SecondChance,
}

/// The customers of a round, and counts of their answers.
pub(super) struct Crowd {
    /// The round.
    pub phase: DemoPhase,
    customers: Vec<u32>,
    next: AtomicUsize,
    /// Reserves that were answered.
    pub asked: Counter,
    /// Those that were granted.
    pub held: Counter,
    /// Those that were refused.
    pub refused: Counter,
}

impl Crowd {
    /// A round of these customers.
    pub(super) fn new(phase: DemoPhase, customers: Vec<u32>) -> Self {
        let (next, asked, held, refused) =
            (AtomicUsize::new(0), Counter::default(), Counter::default(), Counter::default());
        Self { phase, customers, next, asked, held, refused }
    }

    fn next(&self) -> Option<u32> {
        // Relaxed: the number guards no other data.
        self.customers.get(self.next.fetch_add(1, Ordering::Relaxed)).copied()
    }

    /// Whether half of the customers have started.
    pub(super) fn is_half_through(&self) -> bool {
        self.next.load(Ordering::Relaxed) >= self.customers.len() / 2
    }

    fn progress(&self, watch: Stopwatch) -> String {
        let (asked, held, refused) = (self.asked.get(), self.held.get(), self.refused.get());
        let millis = u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = asked.saturating_mul(1000).checked_div(millis).unwrap_or(0);
        let (seconds, tenths) = (millis / 1000, millis % 1000 / 100);
        format!("{seconds}.{tenths} s: {asked} asked, {held} got a hold, {refused} were refused, {rate} a second")
    }
}

/// Runs the customers over these connections, `in_flight` at once over each, and shows the progress.
///
/// # Errors
/// If a customer panics, which is a bug.
pub(super) async fn run(
    crowd: &Arc<Crowd>,
    clients: &[Client],
    in_flight: u32,
    output: &mut Output,
) -> Result<Ledger, Failure> {
    let watch = Stopwatch::start();
    let mut workers = JoinSet::new();
    for client in clients {
        for _ in 0..in_flight {
            workers.spawn(worker(Arc::clone(crowd), client.clone(), Ledger::new()?));
        }
    }
    let mut all = Ledger::new()?;
    let mut ticks = tokio::time::interval(PROGRESS);
    loop {
        tokio::select! {
            ended = workers.join_next() => match ended {
                Some(ledger) => all.merge(ledger.map_err(|_panic| Failure::Bug("a customer panicked"))?),
                None => break,
            },
            _ = ticks.tick() => output.progress(&crowd.progress(watch)),
        }
    }
    output.progress(&crowd.progress(watch));
    output.end_progress();
    all.took = watch.elapsed();
    Ok(all)
}

async fn worker(crowd: Arc<Crowd>, client: Client, mut ledger: Ledger) -> Ledger {
    while let Some(number) = crowd.next() {
        let plan = match crowd.phase {
            DemoPhase::Rush => Plan::of(number),
            DemoPhase::SecondChance => Plan::second_chance(),
        };
        Box::pin(visit(&crowd, &client, &mut ledger, number, plan)).await;
    }
    ledger
}
