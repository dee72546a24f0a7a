//! A run: a server, a drop that is nearly sold out all the time, clients, kills and pauses, and a last read of every
//! hold.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use stockade_drill::Failure;
use stockade_drill::facts::{self, Fact};
use stockade_drill::numbers::place;
use stockade_drill::rules::Mark;
use stockade_drill::wire;
use stockade_types::time::wall_clock;
use tokio::task::JoinSet;

use super::ask::ask;
use super::chaos::{Chaos, Plan};
use super::client::{Client, restock};
use super::event::{Answer, Call, History, Moment, Setup, Term, Times, Verb};
use super::floor::Floor;
use super::market;
use crate::output::Output;
use crate::server::Recipe;

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
/// How far from its record a tranche may have been made, in milliseconds: longer than a pause.
const TRANCHE_MARGIN: u64 = 600;
/// Nanoseconds of a millisecond.
const NANOS: u64 = 1_000_000;
/// The part of a run before the drop opens.
const OPENS: f64 = 0.02;
/// How long clients go on after it has closed, as a part of the run.
const CLOSED: f64 = 0.05;
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
        rules: Some(times(length)),
    };
    let mut flags = vec!["--outage-grace".to_owned(), format!("{GRACE}ms")];
    flags.extend(more);
    // One more connection, for the task that restocks.
    let (chaos, way) = Chaos::start(recipe, flags, clients.saturating_add(1))?;
    wire::create(&chaos.server().client().await?, market::drop(&setup)).await?;
    let floor = Arc::new(Floor::new(setup, way));
    chaos.show().await?;
    let mut random = fastrand::Rng::with_seed(seed);
    let mut crowd = JoinSet::new();
    let until = length.mul_f64(1.0 + CLOSED);
    for number in 0..clients {
        let client = Client { floor: Arc::clone(&floor), number, random: random.fork(), think: THINK };
        crowd.spawn(client.run(until));
    }
    crowd.spawn(restock(Arc::clone(&floor), clients, random.fork(), length));
    let plan = Plan { length, kills, pauses };
    let chaos = chaos.rage(&floor, plan, (&mut random, output)).await?;
    while let Some(ended) = crowd.join_next().await {
        ended.map_err(|_gone| Failure::Bug("a client ended"))?;
    }
    output.progress("looking at every hold");
    look_at_all(&floor, clients).await;
    let (terms, pauses, facts) = chaos.stop(facts::read)?;
    let mut calls = floor.close();
    calls.extend(tranche(&facts, &terms, floor.moment()));
    calls.sort_by_key(|call| call.sent.ns);
    Ok(History { setup: floor.setup.clone(), terms, pauses, calls, facts })
}

/// When the rules of the drop come in a run of this length.
fn times(length: Duration) -> Times {
    let part = |part: f64| u64::try_from(length.mul_f64(part).as_millis()).unwrap_or(u64::MAX);
    Times {
        opens: wall_clock().0.saturating_add(part(OPENS)),
        all: part(0.15),
        second: part(0.3),
        step: part(0.4),
        flow: part(0.5),
        // Behind the last kill: without new holds it is not known what a crash may undo.
        closes: part(1.0 - OPENS),
    }
}

/// The tranche as a call of the engine's own, in the journal's time: it was made then, or as long after it as a pause
/// lasts.
fn tranche(facts: &[Fact], terms: &[Term], end: Moment) -> Option<Call> {
    let is_it = |fact: &&Fact| {
        let mut marks = fact.moments.iter().flatten().filter_map(facts::Moment::mark);
        marks.any(|mark| mark == Mark::Tranche(market::SECOND_ID.to_owned()))
    };
    let at = market::millis(facts.iter().find(is_it)?.at.as_deref()?)?;
    let moment =
        |wall: u64| Moment { ns: end.ns.saturating_sub(end.wall.saturating_sub(wall).saturating_mul(NANOS)), wall };
    let term = terms.iter().rposition(|term| term.spawned <= at)?;
    Some(Call {
        client: u16::MAX,
        term: u32::try_from(term).ok()?,
        verb: Verb::Adjust,
        hold: market::SECOND_ID.to_owned(),
        customer: 0,
        lines: vec![market::SECOND],
        sent: moment(at.saturating_sub(TRANCHE_MARGIN)),
        back: moment(at.saturating_add(TRANCHE_MARGIN)),
        now: None,
        answer: Answer::Adjusted,
        last: false,
    })
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
