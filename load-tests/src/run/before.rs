//! Holds that are made before the load; some may expire during it.

use std::time::Duration;

use stockade_drill::Failure;
use stockade_drill::ledger::{At, BEFORE, Call, Said, Visit, at};
use stockade_drill::numbers::{grouped, micros, real};
use stockade_drill::request::Verb;
use stockade_proto::HoldState;
use stockade_types::metrics::Stopwatch;
use stockade_types::time::wall_clock;

use crate::output::Output;
use crate::prefill::{Made, Plan, Until, customer, fill};
use crate::scenario::{Before, Sale, Scenario};
use crate::server::Server;

/// Holds that are made to measure how long making takes.
const TRIAL: u64 = 20_000;
/// The ttl of holds that outlive the load, and of those of the trial.
const LONG: Duration = Duration::from_hours(1);
/// The time allowed for making the holds: a factor of the trial's forecast, and a constant in addition.
const ROOM: (f64, Duration) = (2.0, Duration::from_secs(2));

/// Holds that were made.
pub struct Holds {
    visits: Vec<Visit>,
    watch: Stopwatch,
}

impl Holds {
    /// The same holds as visits for the audit, in the time of the load's watch.
    #[must_use]
    pub fn since(self, load: Stopwatch) -> Vec<Visit> {
        let earlier = at(self.watch.elapsed()).saturating_sub(at(load.elapsed()));
        let mut visits = self.visits;
        for call in visits.iter_mut().flat_map(|visit| &mut visit.calls) {
            call.sent = call.sent.saturating_sub(earlier);
            call.received = call.received.saturating_sub(earlier);
        }
        visits
    }
}

/// Makes the holds. Also returns when the load must begin, in milliseconds since the epoch; none if at any time.
///
/// # Errors
/// When one is not granted, or making them takes longer than the trial's forecast allows.
pub async fn make(
    server: &Server,
    scenario: &Scenario,
    names: &[String],
    output: &mut Output,
) -> Result<(Holds, Option<u64>), Failure> {
    let watch = Stopwatch::start();
    let found = scenario.before.as_ref().and_then(|before| Some((before, place(scenario, before)?)));
    let Some((before, (drop, item, sale))) = found else {
        return Ok((Holds { visits: Vec::new(), watch }, None));
    };
    let name = names.get(drop).cloned().unwrap_or_default();
    let (until, load_at) = match before.expire_after {
        None => (Until::Life(longest(sale)), None),
        Some(after) => {
            let room = trial(server, sale, &name, before.holds).await?;
            let load_at = wall_clock().0.saturating_add(micros(room) / 1000);
            let first = load_at.saturating_add(micros(after.0) / 1000);
            let within = micros(before.expire_within.unwrap_or_default().0) / 1000;
            (Until::Instants { first, within }, Some(load_at))
        }
    };
    output.line(&format!("making {} holds", grouped(before.holds)));
    let each = u64::from(sale.limit.unwrap_or(1));
    let plan = Plan { drop: name, sku: before.sku.clone(), holds: before.holds, each, until, seed: scenario.load.seed };
    let made = fill(&server.endpoint, &plan, watch).await?;
    if load_at.is_some_and(|load_at| wall_clock().0 > load_at) {
        let what = "making the holds took longer than a trial had promised: try again, or with a smaller --scale";
        return Err(Failure::Work(what.to_owned()));
    }
    let (drop, item) = (u16::try_from(drop).unwrap_or(u16::MAX), u16::try_from(item).unwrap_or(u16::MAX));
    Ok((Holds { visits: made.iter().map(|made| visit(made, drop, item)).collect(), watch }, load_at))
}

/// The drop and the item, by their places.
fn place<'s>(scenario: &'s Scenario, before: &Before) -> Option<(usize, usize, &'s Sale)> {
    let (drop, sale) = scenario.drops.iter().enumerate().find(|(_, sale)| sale.id == before.drop)?;
    let item = sale.items.iter().position(|goods| goods.sku == before.sku)?;
    Some((drop, item, sale))
}

fn longest(sale: &Sale) -> Duration {
    sale.hold_ttl.map_or(LONG, |ttl| ttl.0)
}

/// How long making the holds may take, measured on some in a drop of its own.
async fn trial(server: &Server, sale: &Sale, name: &str, holds: u64) -> Result<Duration, Failure> {
    let few = holds.min(TRIAL);
    let mut goods = sale.items.clone();
    goods.truncate(1);
    let sku = goods.first().map(|goods| goods.sku.clone()).unwrap_or_default();
    for goods in &mut goods {
        goods.units = few;
    }
    let tried = Sale { items: goods, ..sale.clone() };
    let (drop, until) = (format!("{name}-trial"), Until::Life(longest(sale)));
    super::create(&server.client().await?, &tried, &drop, None).await?;
    let plan = Plan { drop, sku, holds: few, each: 1, until, seed: fastrand::u64(..) };
    let watch = Stopwatch::start();
    fill(&server.endpoint, &plan, watch).await?;
    let share = real(holds) / real(few.max(1));
    let (times, more) = ROOM;
    Ok(watch.elapsed().mul_f64(share * times).saturating_add(more))
}

/// A hold as a visit for the audit.
fn visit(made: &Made, drop: u16, item: u16) -> Visit {
    let said = Said::Hold {
        state: HoldState::Held,
        expires_at: made.expires_at,
        server_time: made.server_time,
        revision: made.revision,
        faithful: true,
    };
    let (sent, received): (At, At) = (at(made.asked), at(made.answered));
    let calls = vec![Call { verb: Verb::Reserve, sent, received, said }];
    let customer = customer(made.customer);
    let (turn, lines, served) = (made.customer, vec![(item, 1)], Vec::new());
    Visit { hold: made.id, drop, crowd: BEFORE, customer, turn, lines, names_ttl: true, served, calls }
}

/// Waits until the load must begin.
pub async fn wait(load_at: Option<u64>) {
    if let Some(load_at) = load_at {
        tokio::time::sleep(Duration::from_millis(load_at.saturating_sub(wall_clock().0))).await;
    }
}
