//! Requests, and reading of their answers.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use stockade_client::Client;
use stockade_drill::audit::{self, Evidence};
use stockade_drill::ledger::{Goods, Sale};
use stockade_drill::request::{Outcome, Request};
use stockade_drill::wire;
pub use stockade_drill::wire::line;
use stockade_proto as pb;
use tonic::{Code, Status};

/// The drop of all these tests.
pub const DROP: &str = "drop";
/// Maximum requests in flight.
const AT_ONCE: usize = 64;

/// Random numbers from a seed.
pub struct Dice(fastrand::Rng);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// A seed that is printed, so that a failure can be repeated: `STOCKADE_TEST_SEED`, or a random one.
    pub fn seeded(test: &str) -> Self {
        let given = stockade::config::environment("STOCKADE_TEST_SEED").and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| fastrand::u64(..));
        eprintln!("{test}: STOCKADE_TEST_SEED={seed}");
        Self::new(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.u64(..bound)
    }

    /// A UUID.
    pub fn hold_id(&mut self) -> String {
        wire::hold_id(&mut self.0).to_string()
    }
}

pub fn reserve(hold_id: &str, customer: &str, lines: Vec<pb::Line>) -> pb::ReserveRequest {
    wire::reserve(hold_id.into(), DROP, customer.into(), lines)
}

/// Creates the drop with these items and this limit of units for each customer.
pub async fn create(client: &Client, items: &[(&str, u64)], limit: u32) {
    wire::create(client, sold(items, limit)).await.expect("a drop");
}

/// The drop with these items and this limit of units for each customer.
pub fn sold(items: &[(&str, u64)], limit: u32) -> pb::Drop {
    wire::drop(DROP, items.iter().copied(), Some(limit))
}

/// Reserves one unit for a customer of its own; it must be granted.
pub async fn hold(client: &Client, hold_id: &str, sku: &str) -> pb::Hold {
    let request = Request::Reserve(reserve(hold_id, &format!("for-{hold_id}"), vec![line(sku, 1)]));
    match request.send(client).await.expect("an answer").outcome {
        Outcome::Hold(hold) => hold,
        Outcome::Refusal(refusal) => panic!("no hold: {refusal:?}"),
    }
}

/// Creates the drop, and ten holds in it. Returns their ids.
pub async fn ten_holds(client: &Client) -> Vec<String> {
    create(client, &[("SKU", 1_000)], 1).await;
    let mut dice = Dice::new(1);
    let ids: Vec<String> = (0..10).map(|_| dice.hold_id()).collect();
    for id in &ids {
        hold(client, id, "SKU").await;
    }
    ids
}

/// Whether the server has all of these holds.
pub async fn has_all(client: &Client, ids: &[String]) -> bool {
    all_shown(client, ids.to_vec()).await.iter().all(Option::is_some)
}

/// A hold as the server shows it; none if the server does not know it.
pub async fn shown(client: &Client, hold_id: &str) -> Option<pb::Hold> {
    let request = pb::GetHoldRequest { hold_id: hold_id.into(), ..Default::default() };
    match client.get_hold(request).await {
        Ok(answer) => answer.hold,
        Err(status) if status.code() == Code::NotFound => None,
        Err(status) => panic!("{hold_id}: {status}"),
    }
}

/// All these holds as the server shows them, in the same order.
pub async fn all_shown(client: &Client, ids: impl IntoIterator<Item = String>) -> Vec<Option<pb::Hold>> {
    let asked = stream::iter(ids).map(|id| async move { Ok::<_, Status>(shown(client, &id).await) });
    asked.buffered(AT_ONCE).try_collect().await.expect("answers")
}

/// Checks the drop's books against these holds: nothing is sold twice, nothing is lost, and no customer has more than
/// `limit`.
pub async fn books_balance(client: &Client, holds: &[Option<pb::Hold>], limit: u32) {
    let (drop, now) = wire::show(client, DROP).await.expect("a drop");
    let goods = |item: &pb::Item| Goods { sku: item.sku.clone(), units: item.quantity };
    let items = drop.items.iter().map(goods).collect();
    let sale = Sale { id: DROP.into(), items, limit: Some(limit), item_limit: None, rules: None };
    let shown = audit::shown(&sale, (&drop, now), holds.iter().flatten()).expect("holds");
    assert!(shown.twice.is_empty(), "{:?}", shown.twice);
    let evidence = Evidence { drops: vec![shown], ..Evidence::default() };
    let found = audit::books(&[sale], &evidence);
    assert!(found.is_clean(), "{found:?}");
}
