//! A client that means well: calls one after another, some on a new connection, and wants an answer to each.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use stockade::metrics::Stopwatch;
use stockade::proto as pb;
use stockade::proto::reservation_service_client::ReservationServiceClient;
use tokio::time::{sleep, timeout};
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use super::server::{DROP, SKU, Target};

/// How long it waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(10);
/// It connects anew after this many calls.
const ANEW: u32 = 20;

/// Runs what is asynchronous.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// The client, on a thread of its own.
pub struct Polite {
    on: Arc<AtomicBool>,
    thread: JoinHandle<(u32, Duration, Vec<Status>)>,
}

impl Polite {
    /// Begins to call, with an answer to the first.
    pub fn beside(target: &Target) -> Self {
        let endpoint = Endpoint::from_shared(target.server.endpoint.clone()).expect("an endpoint");
        let on = Arc::new(AtomicBool::new(true));
        let going = Arc::clone(&on);
        let thread = std::thread::spawn(move || runtime().block_on(calls(&endpoint, &going)));
        Self { on, thread }
    }

    /// Ends. Each call had an answer, and there were at least `least`.
    pub fn had_all_answers(self, least: u32) {
        self.on.store(false, Ordering::Relaxed);
        let (count, slowest, failures) = self.thread.join().expect("no panic");
        eprintln!("beside it: {count} calls, the slowest in {slowest:?}, {} failed", failures.len());
        assert!(failures.is_empty(), "{} of {count}: {:?}", failures.len(), failures.first());
        assert!(count >= least, "{count} calls");
    }
}

async fn calls(endpoint: &Endpoint, going: &AtomicBool) -> (u32, Duration, Vec<Status>) {
    let (mut count, mut slowest, mut failures) = (0, Duration::ZERO, Vec::new());
    let mut client = None;
    while going.load(Ordering::Relaxed) {
        let watch = Stopwatch::start();
        let call = timeout(PATIENCE, async {
            if client.is_none() || count % ANEW == 0 {
                client = Some(ReservationServiceClient::new(connected(endpoint).await?));
            }
            match &mut client {
                Some(client) => client.reserve(reserve()).await.map(|answer| answer.into_inner().outcome),
                None => Ok(None),
            }
        });
        match call.await.unwrap_or_else(|_elapsed| Err(Status::cancelled("no answer"))) {
            Ok(Some(pb::reserve_response::Outcome::Hold(_))) => {}
            Ok(other) => failures.push(Status::unknown(format!("{other:?}"))),
            Err(status) => failures.push(status),
        }
        count += 1;
        slowest = slowest.max(watch.elapsed());
        sleep(PAUSE).await;
    }
    (count, slowest, failures)
}

async fn connected(endpoint: &Endpoint) -> Result<Channel, Status> {
    endpoint.connect().await.map_err(|error| Status::unavailable(format!("no connection: {error:?}")))
}

/// A request for a hold of one unit.
pub fn reserve() -> pb::ReserveRequest {
    pb::ReserveRequest {
        hold_id: uuid::Uuid::new_v4().to_string(),
        drop_id: DROP.into(),
        lines: vec![pb::Line { sku: SKU.into(), quantity: 1, pool: String::new() }],
        customer: Some(pb::Customer { id: uuid::Uuid::new_v4().to_string(), ..pb::Customer::default() }),
        ..pb::ReserveRequest::default()
    }
}
