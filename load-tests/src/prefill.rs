//! Holds that exist before the load begins: made in batches, with a chosen deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use stockade_proto as pb;
use stockade_types::metrics::Stopwatch;
use stockade_types::time::wall_clock;
use tokio::task::JoinSet;
use uuid::Uuid;

use stockade_client::Client;
use stockade_drill::Failure;
use stockade_drill::numbers::place;
use stockade_drill::wire::{self, patiently};

/// Connections that the holds are made over.
const CONNECTIONS: usize = 4;
/// Holds in a message.
const BATCH: u64 = 1_000;
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
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for client in wire::clients(endpoint, CONNECTIONS).await? {
        tasks.spawn(filler(client, Arc::clone(&plan), Arc::clone(&next), watch));
    }
    let mut made = Vec::with_capacity(place(plan.holds));
    while let Some(part) = tasks.join_next().await {
        made.append(&mut part.map_err(|_panic| Failure::Bug("a filler panicked"))??);
    }
    Ok(made)
}

async fn filler(client: Client, plan: Arc<Plan>, next: Arc<AtomicU64>, watch: Stopwatch) -> Result<Vec<Made>, Failure> {
    let mut made = Vec::new();
    loop {
        // Relaxed: the counter orders nothing else.
        let first = next.fetch_add(BATCH, Ordering::Relaxed);
        if first >= plan.holds {
            return Ok(made);
        }
        let numbers = first..plan.holds.min(first.saturating_add(BATCH));
        let asked = watch.elapsed();
        let operations: Vec<pb::Operation> = numbers.clone().map(|number| operation(&plan, number)).collect();
        let request = pb::BatchRequest { operations, view: pb::HoldView::Brief.into() };
        // Sent again with the same ids, so nothing is made twice.
        let answer = patiently(|| client.batch(request.clone())).await;
        let answer = answer.map_err(Failure::status("making holds before the load"))?;
        let (answered, server_time) = (watch.elapsed(), wire::instant(answer.server_time));
        for (number, result) in numbers.zip(answer.results) {
            let Some(pb::result::Result::Hold(hold)) = result.result else {
                return Err(Failure::Work(format!("a hold could not be made before the load: {result:?}")));
            };
            let (id, customer) = (id(&plan, number), number.checked_div(plan.each).unwrap_or(0));
            let (expires_at, revision) = (wire::instant(hold.expires_at), hold.revision);
            made.push(Made { id, customer, asked, answered, expires_at, server_time, revision });
        }
    }
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
    pb::Operation { operation: Some(pb::operation::Operation::Reserve(request)) }
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
