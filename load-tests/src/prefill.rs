//! Holds that exist before the load begins: made in batches, with a chosen deadline.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use stockade_client::Client;
use stockade_drill::Failure;
use stockade_drill::wire::{self, patiently};
use stockade_proto as pb;
use stockade_types::metrics::Stopwatch;
use stockade_types::time::wall_clock;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::reserves::{self, all_granted};

/// Connections that the holds are made over.
const CONNECTIONS: usize = 4;
/// Operations in a message.
pub const BATCH: u64 = 1_000;
/// The shortest life that a server grants.
const TTL_MIN: u64 = 1_000;

/// When the holds end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// After this ttl.
    Life(Duration),
    /// At instants spread evenly over a span, in milliseconds since the epoch.
    Instants {
        /// The first.
        first: u64,
        /// From the first to the last.
        within: u64,
    },
}

/// The holds to make.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Their drop.
    pub drop: String,
    /// Their item; one unit each.
    pub sku: String,
    /// How many.
    pub holds: u64,
    /// Holds for each customer.
    pub each: u64,
    /// When they end.
    pub until: Until,
    /// The seed of their ids.
    pub seed: u64,
}

/// A hold that was made.
#[derive(Debug, Clone)]
pub struct Made {
    /// Its id.
    pub id: Uuid,
    /// Its customer.
    pub customer: u64,
    /// When it was asked for, by the watch.
    pub asked: Duration,
    /// When it was answered, by the watch.
    pub answered: Duration,
    /// Its deadline, in milliseconds since the epoch.
    pub expires_at: u64,
    /// The server's time when it answered.
    pub server_time: u64,
    /// The hold's revision.
    pub revision: u64,
}

/// The id of a customer of such holds.
#[must_use]
pub fn customer(number: u64) -> String {
    format!("before-{number}")
}

/// Makes the holds. All of them must be granted.
///
/// # Errors
/// When a hold is not granted.
pub async fn fill(endpoint: &str, plan: &Plan, watch: Stopwatch) -> Result<Vec<Made>, Failure> {
    let plan = Arc::new(plan.clone());
    let shared = Arc::clone(&plan);
    let message = move |client: Client, numbers: Range<u64>| {
        let plan = Arc::clone(&shared);
        async move { make(&client, &plan, numbers, watch).await }
    };
    let clients = wire::clients(endpoint, CONNECTIONS).await?;
    Ok(by_messages(clients, plan.holds, message).await?.concat())
}

/// Sends this many operations, up to [`BATCH`] of them in a message, over all clients at once: `message` sends those
/// with these numbers. Returns all that it returned.
///
/// # Errors
/// The first of a message.
pub async fn by_messages<C: Clone + Send + 'static, T: Send + 'static, W>(
    clients: Vec<C>,
    operations: u64,
    message: impl Fn(C, Range<u64>) -> W + Clone + Send + Sync + 'static,
) -> Result<Vec<T>, Failure>
where
    W: Future<Output = Result<T, Failure>> + Send,
{
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for client in clients {
        let (next, message) = (Arc::clone(&next), message.clone());
        tasks.spawn(async move {
            let mut done = Vec::new();
            loop {
                // Relaxed: the counter orders nothing else.
                let first = next.fetch_add(BATCH, Ordering::Relaxed);
                if first >= operations {
                    return Ok::<_, Failure>(done);
                }
                done.push(message(client.clone(), first..operations.min(first.saturating_add(BATCH))).await?);
            }
        });
    }
    let mut all = Vec::new();
    while let Some(done) = tasks.join_next().await {
        all.extend(done.map_err(|_panic| Failure::Bug("a sender of messages panicked"))??);
    }
    Ok(all)
}

/// Makes the holds with these numbers.
async fn make(client: &Client, plan: &Plan, numbers: Range<u64>, watch: Stopwatch) -> Result<Vec<Made>, Failure> {
    let asked = watch.elapsed();
    let operations = numbers.clone().map(|number| operation(plan, number)).collect();
    let request = pb::BatchRequest { operations, view: pb::HoldView::Brief.into() };
    // Sent again with the same ids, so nothing is made twice.
    let answer = patiently(|| client.batch(request.clone())).await;
    let answer = answer.map_err(Failure::status("making holds before the load"))?;
    let (answered, server_time) = (watch.elapsed(), wire::instant(answer.server_time));
    all_granted(&answer.results, request.operations.len()).map_err(Failure::Work)?;
    let holds = numbers.zip(answer.results).filter_map(|(number, result)| match result.result {
        Some(pb::result::Result::Hold(hold)) => Some((number, hold)),
        Some(pb::result::Result::Refusal(_) | pb::result::Result::Error(_)) | None => None,
    });
    let made = holds.map(|(number, hold)| {
        let (id, customer) = (id(plan, number), number.checked_div(plan.each).unwrap_or(0));
        let (expires_at, revision) = (wire::instant(hold.expires_at), hold.revision);
        Made { id, customer, asked, answered, expires_at, server_time, revision }
    });
    Ok(made.collect())
}

fn id(plan: &Plan, number: u64) -> Uuid {
    wire::hold_id(&mut fastrand::Rng::with_seed(plan.seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15))))
}

fn operation(plan: &Plan, number: u64) -> pb::Operation {
    let customer = customer(number.checked_div(plan.each).unwrap_or(0));
    let request = pb::ReserveRequest {
        ttl: Some(wire::span(life(plan.until, number, plan.holds, wall_clock().0))),
        ..wire::reserve(id(plan, number).to_string(), &plan.drop, customer, vec![wire::line(&plan.sku, 1)])
    };
    reserves::operation(pb::operation::Operation::Reserve(request))
}

/// The ttl, from now on, of the hold with this number.
fn life(until: Until, number: u64, all: u64, now: u64) -> Duration {
    match until {
        Until::Life(life) => life,
        Until::Instants { first, within } => {
            let share = within.saturating_mul(number).checked_div(all).unwrap_or(0);
            let deadline = first.saturating_add(share);
            Duration::from_millis(deadline.saturating_sub(now).max(TTL_MIN))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_spread_evenly_and_a_life_is_never_too_short() {
        let until = Until::Instants { first: 60_000, within: 1_000 };
        let lives: Vec<u64> = (0..4).map(|number| numbers_millis(life(until, number, 4, 10_000))).collect();
        assert_eq!(lives, [50_000, 50_250, 50_500, 50_750]);
        assert_eq!(numbers_millis(life(until, 0, 4, 70_000)), 1_000);
    }

    fn numbers_millis(span: Duration) -> u64 {
        u64::try_from(span.as_millis()).expect("short")
    }

    #[test]
    fn every_hold_has_its_own_id_and_the_same_one_each_time() {
        let until = Until::Life(Duration::from_secs(9));
        let plan = Plan { drop: "d".into(), sku: "s".into(), holds: 2, each: 1, until, seed: 1 };
        assert_eq!(id(&plan, 0), id(&plan, 0));
        assert_ne!(id(&plan, 0), id(&plan, 1));
    }
}
