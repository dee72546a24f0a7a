//! The work at each size: a reserve and the release of its hold, in unary calls or batched.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use stockade_proto as pb;
use tokio::task::JoinSet;

use crate::drive::Caller;
use crate::failure::Failure;
use crate::numbers::count;
use crate::wire::{self, Checkout};

/// Operations in a message.
pub const BATCH: u64 = 1_000;
/// Connections.
pub const CONNECTIONS: usize = 8;
/// Unary calls in flight on each connection.
const IN_FLIGHT: usize = 16;
/// Messages in flight on each connection.
const MESSAGES_IN_FLIGHT: usize = 2;
/// Customers of the work: different ones from those of the prefilled holds.
const CUSTOMERS: u64 = 100_000;

/// The one drop.
pub const DROP: &str = "scale";
/// Its one item.
pub const SKU: &str = "KNIFE/20cm";

/// A customer's id, 12 bytes long.
fn customer(prefix: &str, number: u64) -> String {
    format!("{prefix}{number:08}")
}

fn reserve(id: String, customer: String) -> pb::ReserveRequest {
    pb::ReserveRequest {
        hold_id: id,
        drop_id: DROP.to_owned(),
        lines: vec![wire::line(SKU, 1)],
        customer: Some(wire::customer(customer)),
        ..pb::ReserveRequest::default()
    }
}

const fn operation(operation: pb::operation::Operation) -> pb::Operation {
    pb::Operation { operation: Some(operation) }
}

/// Sends operations in one message; each must be granted.
async fn send(client: &mut Checkout, operations: Vec<pb::Operation>) -> Result<(), String> {
    let asked = operations.len();
    let request = pb::BatchRequest { operations, view: pb::HoldView::Brief.into() };
    let results = client.batch(request).await.map_err(|status| status.to_string())?.into_inner().results;
    let granted = |result: &&pb::Result| matches!(result.result, Some(pb::result::Result::Hold(_)));
    match results.iter().find(|result| !granted(result)) {
        Some(other) => Err(format!("not the answer that this work has: {other:?}")),
        None if results.len() == asked => Ok(()),
        None => Err(format!("{} results for {asked} operations", results.len())),
    }
}

/// Makes this many holds of one unit, each for a customer of its own. All must be granted.
///
/// # Errors
/// When one is not.
pub async fn fill(endpoint: &str, holds: u64) -> Result<(), Failure> {
    let made = |client: Checkout, numbers: std::ops::Range<u64>| async move {
        let mut client = client;
        let mut random = fastrand::Rng::new();
        let operations = numbers.map(|number| {
            let request = reserve(wire::hold_id(&mut random).to_string(), customer("cust", number));
            operation(pb::operation::Operation::Reserve(request))
        });
        send(&mut client, operations.collect()).await
    };
    by_messages(endpoint, holds, made).await
}

/// Runs this many cycles. All must be granted.
///
/// # Errors
/// When one is not.
pub async fn cycles(endpoint: &str, wanted: u64) -> Result<(), Failure> {
    let played = |client: Checkout, numbers: std::ops::Range<u64>| async move {
        Batches { client, random: fastrand::Rng::new() }.cycle(numbers.end.saturating_sub(numbers.start)).await
    };
    by_messages(endpoint, wanted, played).await
}

/// Sends this many operations, up to [`BATCH`] of them in a message, over all connections at once.
async fn by_messages<W>(
    endpoint: &str,
    wanted: u64,
    work: impl Fn(Checkout, std::ops::Range<u64>) -> W + Clone + Send + Sync + 'static,
) -> Result<(), Failure>
where
    W: Future<Output = Result<(), String>> + Send,
{
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for client in wire::checkouts(endpoint, CONNECTIONS).await? {
        for _ in 0..MESSAGES_IN_FLIGHT {
            let (client, next, work) = (client.clone(), Arc::clone(&next), work.clone());
            tasks.spawn(async move {
                loop {
                    // Relaxed: the counter orders nothing else.
                    let first = next.fetch_add(BATCH, Ordering::Relaxed);
                    if first >= wanted {
                        return Ok::<(), String>(());
                    }
                    work(client.clone(), first..wanted.min(first.saturating_add(BATCH))).await?;
                }
            });
        }
    }
    while let Some(done) = tasks.join_next().await {
        done.map_err(|_panic| Failure::Bug("a sender of messages panicked"))?.map_err(Failure::Work)?;
    }
    Ok(())
}

/// Cycles in messages: the reserves of a message, then their releases.
pub struct Batches {
    client: Checkout,
    random: fastrand::Rng,
}

impl Batches {
    /// Callers on connections of their own.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn callers(endpoint: &str) -> Result<Vec<Self>, Failure> {
        let of = |client: &Checkout| Self { client: client.clone(), random: fastrand::Rng::new() };
        let clients = wire::checkouts(endpoint, CONNECTIONS).await?;
        Ok(clients.iter().flat_map(|client| (0..MESSAGES_IN_FLIGHT).map(move |_| of(client))).collect())
    }

    async fn cycle(&mut self, holds: u64) -> Result<(), String> {
        let ids: Vec<String> = (0..holds).map(|_| wire::hold_id(&mut self.random).to_string()).collect();
        let (mut reserves, mut releases) = (Vec::with_capacity(ids.len()), Vec::with_capacity(ids.len()));
        for id in ids {
            let release = pb::ReleaseRequest { hold_id: id.clone(), ..pb::ReleaseRequest::default() };
            let customer = customer("cycl", self.random.u64(..CUSTOMERS));
            reserves.push(operation(pb::operation::Operation::Reserve(reserve(id, customer))));
            releases.push(operation(pb::operation::Operation::Release(release)));
        }
        send(&mut self.client, reserves).await?;
        send(&mut self.client, releases).await
    }
}

impl Caller for Batches {
    async fn call(&mut self) -> Result<u64, String> {
        self.cycle(BATCH).await?;
        Ok(BATCH)
    }
}

/// Cycles in unary calls.
pub struct Calls {
    client: Checkout,
    random: fastrand::Rng,
}

impl Calls {
    /// Callers on connections of their own.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn callers(endpoint: &str) -> Result<Vec<Self>, Failure> {
        let of = |client: &Checkout| Self { client: client.clone(), random: fastrand::Rng::new() };
        let clients = wire::checkouts(endpoint, CONNECTIONS).await?;
        Ok(clients.iter().flat_map(|client| (0..IN_FLIGHT).map(move |_| of(client))).collect())
    }
}

impl Caller for Calls {
    async fn call(&mut self) -> Result<u64, String> {
        let id = wire::hold_id(&mut self.random).to_string();
        let customer = customer("cycl", self.random.u64(..CUSTOMERS));
        let reserved = self.client.reserve(reserve(id.clone(), customer)).await.map_err(|status| status.to_string())?;
        let outcome = reserved.into_inner().outcome;
        if !matches!(outcome, Some(pb::reserve_response::Outcome::Hold(_))) {
            return Err(format!("not the answer that this work has: {outcome:?}"));
        }
        let release = pb::ReleaseRequest { hold_id: id, ..pb::ReleaseRequest::default() };
        let released = self.client.release(release).await.map_err(|status| status.to_string())?.into_inner();
        match released.outcome {
            Some(pb::release_response::Outcome::Hold(_)) => Ok(1),
            other => Err(format!("not the answer that this work has: {other:?}")),
        }
    }
}

/// Number of callers with unary calls.
#[must_use]
pub fn in_flight() -> u64 {
    count(CONNECTIONS.saturating_mul(IN_FLIGHT))
}
