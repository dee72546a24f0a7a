//! A run: a server, a drop that is nearly sold out all the time, clients, kills and pauses, and a last read of every
//! hold.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use stockade_drill::Failure;
use stockade_drill::numbers::place;
use stockade_drill::wire;
use stockade_proto as pb;
use tokio::task::JoinSet;

use super::ask::{ask, sku};
use super::chaos::{Chaos, Plan};
use super::client::{Client, restock};
use super::event::{History, Setup, Verb};
use super::floor::{DROP, Floor};
use crate::output::Output;
use crate::server::Recipe;
use crate::server::Server;

/// Units of each item: few, so that they sell out and return all the time.
const STOCK: [u32; 3] = [4, 3, 6];
/// Units that a customer may have.
const LIMIT: u32 = 3;
/// A hold's longest life without a payment, in milliseconds.
const HOLD_LIFE_MAX: u64 = 2_500;
/// A payment's time, in milliseconds.
const PAYMENT_TTL: u64 = 1_000;
/// What a hold has at least after a restart, in milliseconds.
const GRACE: u64 = 400;
/// By how much clocks may differ, in milliseconds: each side truncates to whole milliseconds, and the server's time
/// follows the wall clock by at most 1 ms a second.
const SLACK: u64 = 5;
/// The longest wait of a client between two calls.
const THINK: Duration = Duration::from_millis(8);
/// How long a last read waits for an answer.
const FINAL_CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// How to make a history.
#[derive(Debug, Clone)]
pub struct Options {
    /// How a server is started.
    pub recipe: Recipe,
    /// Further flags of the server.
    pub flags: Vec<String>,
    /// How long clients send requests.
    pub length: Duration,
    /// How often the server is killed.
    pub kills: u32,
    /// How often it is paused.
    pub pauses: u32,
    /// Number of clients.
    pub clients: u16,
    /// The seed of the requests.
    pub seed: u64,
}

/// Makes a history.
///
/// # Errors
/// When the server does not start or end; not when an answer is wrong.
pub async fn record(options: Options, output: &mut Output) -> Result<History, Failure> {
    let Options { recipe, flags: more, length, kills, pauses, clients, seed } = options;
    let setup = Setup {
        stock: STOCK.to_vec(),
        limit: LIMIT,
        max_hold_life: HOLD_LIFE_MAX,
        payment_ttl: PAYMENT_TTL,
        grace: GRACE,
        slack: SLACK,
        seed,
    };
    let mut flags = vec!["--outage-grace".to_owned(), format!("{GRACE}ms")];
    flags.extend(more);
    // One more connection, for the task that restocks.
    let (chaos, way) = Chaos::start(recipe, flags, clients.saturating_add(1))?;
    create(chaos.server(), &setup).await?;
    let floor = Arc::new(Floor::new(setup, way));
    chaos.show().await?;
    let mut random = fastrand::Rng::with_seed(seed);
    let mut crowd = JoinSet::new();
    for number in 0..clients {
        let client = Client { floor: Arc::clone(&floor), number, random: random.fork(), think: THINK };
        crowd.spawn(client.run(length));
    }
    crowd.spawn(restock(Arc::clone(&floor), clients, random.fork(), length));
    let plan = Plan { length, kills, pauses };
    let chaos = chaos.rage(&floor, plan, (&mut random, output)).await?;
    while let Some(ended) = crowd.join_next().await {
        ended.map_err(|_gone| Failure::Bug("a client ended"))?;
    }
    output.progress("looking at every hold");
    look_at_all(&floor, clients).await;
    let (terms, pauses) = chaos.stop()?;
    Ok(History { setup: floor.setup.clone(), terms, pauses, calls: floor.close() })
}

/// Reads every hold at the end: what was acknowledged must still be there.
async fn look_at_all(floor: &Floor, clients: u16) {
    let callers = usize::from(clients).max(1);
    let looks = floor.goals().into_iter().enumerate().map(|(number, goal)| async move {
        let client = u16::try_from(number.checked_rem(callers).unwrap_or(0)).unwrap_or(0);
        ask(floor, (client, FINAL_CALL_TIMEOUT), (&goal, Verb::GetHold), true).await
    });
    stream::iter(looks).for_each_concurrent(place(16), |look| async { drop(look.await) }).await;
}

async fn create(server: &Server, setup: &Setup) -> Result<(), Failure> {
    let millis = |span| Some(wire::span(Duration::from_millis(span)));
    let skus: Vec<String> = (0_u8..).zip(&setup.stock).map(|(item, _)| sku(item)).collect();
    let items = skus.iter().zip(&setup.stock).map(|(sku, units)| (sku.as_str(), u64::from(*units)));
    let drop = pb::Drop {
        hold_ttl: millis(1_000),
        max_hold_life: millis(setup.max_hold_life),
        payment_ttl: millis(setup.payment_ttl),
        ..wire::drop(DROP, items, Some(setup.limit))
    };
    wire::create(&server.client().await?, drop).await
}
