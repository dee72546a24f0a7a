//! The herd: many customers at once over a few connections, and the ledger of what they were answered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tonic::{Code, Status};

use super::customer::{Fate, Plan};
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::client::Client;
use crate::metrics::{Counter, Stopwatch};
use crate::proto as pb;

/// How often progress is shown.
const PROGRESS: Duration = Duration::from_millis(500);
/// How often a customer asks again whose call was answered with `UNAVAILABLE`.
const PATIENCE: u32 = 40;
/// How long such a customer waits.
const PAUSE: Duration = Duration::from_millis(50);
/// The slowest answer that is told from slower ones, in microseconds.
const SLOWEST: u64 = 60_000_000;
/// Most troubles that are told in words.
const MAX_TROUBLES: usize = 5;

/// Which time round it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wave {
    /// Everyone.
    Rush,
    /// Those who found it sold out while others still held units.
    SecondChance,
}

/// Customers that are yet to come, and counts for whoever watches.
pub struct Herd {
    wave: Wave,
    customers: Vec<u32>,
    next: AtomicUsize,
    asked: Counter,
    held: Counter,
    refused: Counter,
}

/// A hold that was granted, and what its customer did with it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The hold's id.
    pub hold: String,
    /// Whose.
    pub customer: u32,
    /// Its lines, as answered.
    pub lines: Vec<pb::HoldLine>,
    /// What became of it.
    pub fate: Fate,
}

/// What a herd was answered.
pub struct Ledger {
    /// Reserves asked for.
    pub asked: u64,
    /// Every hold that was granted.
    pub entries: Vec<Entry>,
    /// Refusals by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// Customers who may come again.
    pub again: Vec<u32>,
    /// Answers that must not be, in words; the first few.
    pub troubles: Vec<String>,
    /// How many there were.
    pub trouble_count: u64,
    /// Microseconds from question to answer, reserves only.
    pub latency: Histogram<u64>,
    /// How long the rush took.
    pub took: Duration,
}

impl Ledger {
    fn new() -> Result<Self, Failure> {
        let latency = Histogram::new_with_bounds(1, SLOWEST, 3).map_err(|_bad| Failure::Bug("the bounds are fixed"))?;
        Ok(Self {
            asked: 0,
            entries: Vec::new(),
            refused: BTreeMap::new(),
            again: Vec::new(),
            troubles: Vec::new(),
            trouble_count: 0,
            latency,
            took: Duration::ZERO,
        })
    }

    fn trouble(&mut self, what: String) {
        self.trouble_count = self.trouble_count.saturating_add(1);
        if self.troubles.len() < MAX_TROUBLES {
            self.troubles.push(what);
        }
    }

    /// Adds what another part of the herd was answered.
    pub fn merge(&mut self, other: Self) {
        let Self { asked, entries, refused, again, troubles, trouble_count, latency, took: _ } = other;
        self.asked = self.asked.saturating_add(asked);
        self.entries.extend(entries);
        for (reason, count) in refused {
            let sum = self.refused.entry(reason).or_default();
            *sum = sum.saturating_add(count);
        }
        self.again.extend(again);
        let room = MAX_TROUBLES.saturating_sub(self.troubles.len());
        self.troubles.extend(troubles.into_iter().take(room));
        self.trouble_count = self.trouble_count.saturating_add(trouble_count);
        if self.latency.add(latency).is_err() {
            self.trouble("latencies can't be added up".to_owned());
        }
    }
}

impl Herd {
    /// A herd of these customers.
    pub fn new(wave: Wave, customers: Vec<u32>) -> Self {
        let (next, asked, held, refused) =
            (AtomicUsize::new(0), Counter::default(), Counter::default(), Counter::default());
        Self { wave, customers, next, asked, held, refused }
    }

    fn next(&self) -> Option<u32> {
        // Relaxed: whoever takes a number needs nothing else of the others.
        self.customers.get(self.next.fetch_add(1, Ordering::Relaxed)).copied()
    }

    fn progress(&self, watch: Stopwatch) -> String {
        let (asked, held, refused) = (self.asked.get(), self.held.get(), self.refused.get());
        let millis = u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = asked.saturating_mul(1000).checked_div(millis).unwrap_or(0);
        let (seconds, tenths) = (millis / 1000, millis % 1000 / 100);
        format!("{seconds}.{tenths} s: {asked} asked, {held} got a hold, {refused} were refused, {rate} a second")
    }
}

/// Sends the herd over these connections, so many at once over each, and shows progress.
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
        visit(&herd, &client, &mut ledger, number, plan).await;
    }
    ledger
}

/// One customer from the question to the end of the hold.
async fn visit(herd: &Herd, client: &Client, ledger: &mut Ledger, number: u32, plan: Plan) {
    let request = plan.request(number);
    if plan.double_click {
        let twin = plan.request(number);
        let (first, second) = tokio::join!(ask(client, &request), ask(client, &twin));
        settle(herd, client, ledger, (number, plan), first).await;
        settle(herd, client, ledger, (number, plan), second).await;
        return;
    }
    let answered = ask(client, &request).await;
    if plan.asks_again
        && let Ok((pb::reserve_response::Outcome::Hold(hold), _)) = &answered
    {
        let again = ask(client, &request).await;
        let same = matches!(&again, Ok((pb::reserve_response::Outcome::Hold(same), _)) if same.lines == hold.lines);
        if !same {
            ledger.trouble(format!("hold {} was answered otherwise the second time: {again:?}", hold.id));
        }
    }
    settle(herd, client, ledger, (number, plan), answered).await;
}

type Answered = Result<(pb::reserve_response::Outcome, Duration), Status>;

async fn ask(client: &Client, request: &pb::ReserveRequest) -> Answered {
    let watch = Stopwatch::start();
    let answer = patiently(|| client.reserve(request.clone())).await?;
    let outcome = answer.outcome.ok_or_else(|| Status::internal("an answer without an outcome"))?;
    Ok((outcome, watch.elapsed()))
}

/// Asks again while the server is busy, as any client should.
async fn patiently<T, F: Future<Output = Result<T, Status>>>(question: impl Fn() -> F) -> Result<T, Status> {
    let mut tries = 0;
    loop {
        match question().await {
            Err(status) if status.code() == Code::Unavailable && tries < PATIENCE => {
                tries = tries.saturating_add(1);
                tokio::time::sleep(PAUSE).await;
            }
            decided => return decided,
        }
    }
}

async fn settle(herd: &Herd, client: &Client, ledger: &mut Ledger, (number, plan): (u32, Plan), answered: Answered) {
    use pb::reserve_response::Outcome;
    herd.asked.increment();
    ledger.asked = ledger.asked.saturating_add(1);
    match answered {
        Err(status) => ledger.trouble(format!("customer {number} got no answer: {status}")),
        Ok((Outcome::Refusal(refusal), took)) => {
            herd.refused.increment();
            record(ledger, took);
            let name = refusal.reason().as_str_name();
            let count = ledger.refused.entry(name.strip_prefix("REFUSAL_REASON_").unwrap_or(name)).or_default();
            *count = count.saturating_add(1);
            let sold_out = refusal.reason() == pb::RefusalReason::SoldOut;
            if herd.wave == Wave::Rush && sold_out && refusal.retry_after.is_some() && !plan.double_click {
                ledger.again.push(number);
            }
        }
        Ok((Outcome::Hold(hold), took)) => {
            herd.held.increment();
            record(ledger, took);
            finish(client, ledger, &hold, plan.fate).await;
            ledger.entries.push(Entry { hold: hold.id, customer: number, lines: hold.lines, fate: plan.fate });
        }
    }
}

fn record(ledger: &mut Ledger, took: Duration) {
    ledger.latency.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
}

/// Pays, gives back, or walks away.
async fn finish(client: &Client, ledger: &mut Ledger, hold: &pb::Hold, fate: Fate) {
    let hold_id = hold.id.clone();
    let well = match fate {
        Fate::Abandoned | Fate::Kept => return,
        Fate::Claimed => {
            let order_ref = format!("order-{hold_id}");
            let request = pb::ClaimRequest { hold_id, order_ref, ..pb::ClaimRequest::default() };
            let answer = patiently(|| client.claim(request.clone())).await;
            answer.map(|answer| matches!(answer.outcome, Some(pb::claim_response::Outcome::Hold(_))))
        }
        Fate::Released => {
            let request = pb::ReleaseRequest { hold_id, ..pb::ReleaseRequest::default() };
            let answer = patiently(|| client.release(request.clone())).await;
            answer.map(|answer| matches!(answer.outcome, Some(pb::release_response::Outcome::Hold(_))))
        }
    };
    match well {
        Ok(true) => {}
        Ok(false) => ledger.trouble(format!("hold {} was live and could not be {fate:?}", hold.id)),
        Err(status) => ledger.trouble(format!("hold {} could not be {fate:?}: {status}", hold.id)),
    }
}
