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
pub enum Wave {
    /// All customers.
    Rush,
    /// The customers who were refused as sold out while others held units.
    SecondChance,
}

/// The customers of a round, and counts of their answers.
pub struct Herd {
    /// The round.
    pub wave: Wave,
    customers: Vec<u32>,
    next: AtomicUsize,
    /// Reserves that were answered.
    pub asked: Counter,
    /// Those that were granted.
    pub held: Counter,
    /// Those that were refused.
    pub refused: Counter,
}

impl Herd {
    /// A round of these customers.
    pub fn new(wave: Wave, customers: Vec<u32>) -> Self {
        let (next, asked, held, refused) =
            (AtomicUsize::new(0), Counter::default(), Counter::default(), Counter::default());
        Self { wave, customers, next, asked, held, refused }
    }

    fn next(&self) -> Option<u32> {
        // Relaxed: the number guards no other data.
        self.customers.get(self.next.fetch_add(1, Ordering::Relaxed)).copied()
    }

    /// Whether half of the customers have started.
    pub fn is_half_through(&self) -> bool {
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
pub async fn run(herd: &Arc<Herd>, clients: &[Client], in_flight: u32, output: &mut Output) -> Result<Ledger, Failure> {
    let watch = Stopwatch::start();
    let mut workers = JoinSet::new();
    for client in clients {
        for _ in 0..in_flight {
            workers.spawn(worker(Arc::clone(herd), client.clone(), Ledger::new()?));
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
            _ = ticks.tick() => output.progress(&herd.progress(watch)),
        }
    }
    output.progress(&herd.progress(watch));
    output.end_progress();
    all.took = watch.elapsed();
    Ok(all)
}

async fn worker(herd: Arc<Herd>, client: Client, mut ledger: Ledger) -> Ledger {
    while let Some(number) = herd.next() {
        let plan = match herd.wave {
            Wave::Rush => Plan::of(number),
            Wave::SecondChance => Plan::second_chance(),
        };
        Box::pin(visit(&herd, &client, &mut ledger, number, plan)).await;
    }
    ledger
}
