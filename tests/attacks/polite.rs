//! A well-behaved client: it makes one call after another, some on a new connection, and expects an answer to each.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use stockade_client::Client;
use stockade_drill::wire;
use stockade_proto as pb;
use stockade_types::metrics::Stopwatch;
use tokio::time::{sleep, timeout};
use tonic::Status;

use super::server::{DROP, SKU, Target};

/// How long it waits for an answer.
const WAIT_TIMEOUT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(10);
/// It reconnects after this many calls.
const ANEW: usize = 20;

/// A runtime for asynchronous code.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// The client, on a thread of its own.
pub struct Polite {
    on: Arc<AtomicBool>,
    thread: JoinHandle<Manners>,
}

/// Its results.
#[derive(Debug, Default)]
pub struct Manners {
    /// The duration of each answered call.
    pub times: Vec<Duration>,
    /// The statuses of calls without an answer.
    pub failures: Vec<Status>,
}

impl fmt::Display for Manners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { times, failures } = self;
        let mut times: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1_000.0).collect();
        times.sort_by(f64::total_cmp);
        let of = |hundredths: usize| times.get((times.len() * hundredths / 100).min(times.len().saturating_sub(1)));
        let [half, most] = [50, 99].map(|hundredths| of(hundredths).copied().unwrap_or(f64::NAN));
        let (answered, asked) = (times.len(), times.len() + failures.len());
        write!(f, "polite p50/p99 {half:.1}/{most:.1} ms, {answered}/{asked} answered")
    }
}

impl Polite {
    /// Starts calling, and waits for the first answer.
    pub fn beside(target: &Target) -> Self {
        Self::calling(target, ANEW)
    }

    /// The same, over one connection.
    pub fn on_one_connection(target: &Target) -> Self {
        Self::calling(target, usize::MAX)
    }

    fn calling(target: &Target, anew: usize) -> Self {
        let endpoint = target.server.endpoint.clone();
        let on = Arc::new(AtomicBool::new(true));
        let going = Arc::clone(&on);
        let (first, answered) = sync_channel(1);
        let thread = std::thread::spawn(move || runtime().block_on(calls(&endpoint, anew, &going, first)));
        // A missing answer is counted as a failure.
        let _first = answered.recv_timeout(WAIT_TIMEOUT);
        Self { on, thread }
    }

    /// Ends it.
    pub fn stop(self) -> Manners {
        self.on.store(false, Ordering::Relaxed);
        let lost = || Manners { times: Vec::new(), failures: vec![Status::unknown("the client itself failed")] };
        self.thread.join().unwrap_or_else(|_panic| lost())
    }
}

async fn calls(endpoint: &str, anew: usize, going: &AtomicBool, first: SyncSender<()>) -> Manners {
    let (mut manners, mut client, mut count) = (Manners::default(), None, 0_usize);
    while going.load(Ordering::Relaxed) {
        let watch = Stopwatch::start();
        let call = timeout(WAIT_TIMEOUT, async {
            if client.is_none() || count.is_multiple_of(anew) {
                let connected = wire::connect(endpoint).await;
                client = Some(connected.map_err(|failure| Status::unavailable(failure.whole()))?);
            }
            match &client {
                Some(client) => client.reserve(reserve()).await.map(|answer| answer.outcome),
                None => Ok(None),
            }
        });
        match call.await.unwrap_or_else(|_elapsed| Err(Status::cancelled("no answer"))) {
            Ok(Some(pb::reserve_response::Outcome::Hold(_))) => manners.times.push(watch.elapsed()),
            Ok(other) => manners.failures.push(Status::unknown(format!("{other:?}"))),
            Err(status) => manners.failures.push(status),
        }
        count += 1;
        // Only the first answer is waited for.
        let _heard = first.try_send(());
        sleep(PAUSE).await;
    }
    manners
}

/// A client with a runtime of its own.
pub struct Caller {
    runtime: tokio::runtime::Runtime,
    client: Client,
}

impl Caller {
    /// Connects.
    pub fn to(target: &Target) -> Self {
        let runtime = runtime();
        let client = runtime.block_on(target.server.client());
        Self { runtime, client }
    }

    /// Sends operations in one message.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn batch(&self, operations: Vec<pb::Operation>, view: pb::HoldView) -> Result<pb::BatchResponse, Status> {
        self.runtime.block_on(self.client.batch(pb::BatchRequest { operations, view: view.into() }))
    }
}

/// A request for a hold of one unit.
pub fn reserve() -> pb::ReserveRequest {
    let [hold, customer] = [(); 2].map(|()| uuid::Uuid::new_v4().to_string());
    wire::reserve(hold, DROP, customer, vec![wire::line(SKU, 1)])
}

/// Many of them, for one message.
pub fn reserves(count: usize) -> Vec<pb::Operation> {
    let operation = || pb::Operation { operation: Some(pb::operation::Operation::Reserve(reserve())) };
    (0..count).map(|_| operation()).collect()
}
