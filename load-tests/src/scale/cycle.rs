//! The work at each size: a reserve and the release of its hold, in unary calls or batched.

use std::ops::Range;

use load_test_peers::CUSTOMERS;
use stockade_drill::Failure;
use stockade_drill::drive::Caller;
use stockade_drill::wire::{self, hold_id};
use stockade_proto as pb;
use stockade_proto::operation::Operation;

use crate::prefill::{BATCH, by_messages};
use crate::reserves::{CONNECTIONS, IN_FLIGHT, SKU, all_granted, operation, unexpected};
use crate::stubs::{Checkout, checkouts};

/// Messages in flight on each connection.
const MESSAGES_IN_FLIGHT: usize = 2;

/// The one drop.
pub const DROP: &str = "scale";

/// A reserve for a customer whose id has 12 bytes.
fn reserve(id: String, prefix: &str, customer: u64) -> pb::ReserveRequest {
    wire::reserve(id, DROP, format!("{prefix}{customer:08}"), vec![wire::line(SKU, 1)])
}

/// Sends operations in one message; each must be granted.
async fn send(client: &mut Checkout, operations: Vec<pb::Operation>) -> Result<(), String> {
    let asked = operations.len();
    let request = pb::BatchRequest { operations, view: pb::HoldView::Brief.into() };
    let answer = client.batch(request).await.map_err(|status| status.to_string())?;
    all_granted(&answer.into_inner().results, asked)
}

/// Callers on connections of their own, `on_each` of them on each connection.
async fn callers<C>(
    endpoint: &str,
    on_each: usize,
    caller: fn(Checkout, fastrand::Rng) -> C,
) -> Result<Vec<C>, Failure> {
    let clients = checkouts(endpoint, CONNECTIONS).await?;
    let on = |client| std::iter::repeat_n(client, on_each);
    Ok(clients.into_iter().flat_map(on).map(|client| caller(client, fastrand::Rng::new())).collect())
}

/// Makes this many holds of one unit, each for a customer of its own. All must be granted.
///
/// # Errors
/// When one is not.
pub async fn fill(endpoint: &str, holds: u64) -> Result<(), Failure> {
    let made = |mut client: Checkout, numbers: Range<u64>| async move {
        let mut random = fastrand::Rng::new();
        let operations = numbers
            .map(|number| operation(Operation::Reserve(reserve(hold_id(&mut random).to_string(), "cust", number))));
        send(&mut client, operations.collect()).await.map_err(Failure::Work)
    };
    by_messages(callers(endpoint, MESSAGES_IN_FLIGHT, |client, _random| client).await?, holds, made).await?;
    Ok(())
}

/// Runs this many cycles. All must be granted.
///
/// # Errors
/// When one is not.
pub async fn cycles(endpoint: &str, wanted: u64) -> Result<(), Failure> {
    let played = |client: Checkout, numbers: Range<u64>| async move {
        let mut batches = Batches { client, random: fastrand::Rng::new() };
        batches.cycle(numbers.end.saturating_sub(numbers.start)).await.map_err(Failure::Work)
    };
    by_messages(callers(endpoint, MESSAGES_IN_FLIGHT, |client, _random| client).await?, wanted, played).await?;
    Ok(())
}

/// Cycles in messages: the reserves of a message, then their releases.
pub struct Batches {
    client: Checkout,
    random: fastrand::Rng,
}

impl Batches {
    /// The callers.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn callers(endpoint: &str) -> Result<Vec<Self>, Failure> {
        callers(endpoint, MESSAGES_IN_FLIGHT, |client, random| Self { client, random }).await
    }

    async fn cycle(&mut self, holds: u64) -> Result<(), String> {
        let (mut reserves, mut releases) = (Vec::new(), Vec::new());
        for _ in 0..holds {
            let id = hold_id(&mut self.random).to_string();
            let release = pb::ReleaseRequest { hold_id: id.clone(), ..pb::ReleaseRequest::default() };
            let customer = u64::from(self.random.u32(..CUSTOMERS));
            reserves.push(operation(Operation::Reserve(reserve(id, "cycl", customer))));
            releases.push(operation(Operation::Release(release)));
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
    /// The callers.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn callers(endpoint: &str) -> Result<Vec<Self>, Failure> {
        callers(endpoint, IN_FLIGHT, |client, random| Self { client, random }).await
    }
}

impl Caller for Calls {
    async fn call(&mut self) -> Result<u64, String> {
        let id = hold_id(&mut self.random).to_string();
        let release = pb::ReleaseRequest { hold_id: id.clone(), ..pb::ReleaseRequest::default() };
        let request = reserve(id, "cycl", u64::from(self.random.u32(..CUSTOMERS)));
        let reserved = self.client.reserve(request).await.map_err(|status| status.to_string())?.into_inner();
        if !matches!(reserved.outcome, Some(pb::reserve_response::Outcome::Hold(_))) {
            return Err(unexpected(&reserved.outcome));
        }
        let released = self.client.release(release).await.map_err(|status| status.to_string())?.into_inner();
        match released.outcome {
            Some(pb::release_response::Outcome::Hold(_)) => Ok(1),
            other => Err(unexpected(&other)),
        }
    }
}
