//! Requests, and reading of their answers.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use stockade_client::Client;
use stockade_proto as pb;
use tonic::{Code, Status};

/// The drop of all these tests.
pub const DROP: &str = "drop";
/// Maximum requests in flight.
const AT_ONCE: usize = 64;

/// Random numbers from a seed (`SplitMix64`).
pub struct Dice(u64);

impl Dice {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A seed that is printed, so that a failure can be repeated: `STOCKADE_TEST_SEED`, or a random one.
    pub fn seeded(test: &str) -> Self {
        let given = stockade::config::environment("STOCKADE_TEST_SEED").and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| getrandom::u64().expect("chance"));
        eprintln!("{test}: STOCKADE_TEST_SEED={seed}");
        Self::new(seed)
    }

    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A UUID.
    pub fn hold_id(&mut self) -> String {
        uuid::Builder::from_random_bytes(((u128::from(self.next()) << 64) | u128::from(self.next())).to_be_bytes())
            .into_uuid()
            .to_string()
    }
}

pub fn line(sku: &str, quantity: u32) -> pb::Line {
    pb::Line { sku: sku.into(), quantity, pool: String::new() }
}

pub fn reserve(hold_id: &str, customer: &str, lines: Vec<pb::Line>) -> pb::ReserveRequest {
    pb::ReserveRequest {
        hold_id: hold_id.into(),
        drop_id: DROP.into(),
        lines,
        customer: Some(pb::Customer { id: customer.into(), ..pb::Customer::default() }),
        ..pb::ReserveRequest::default()
    }
}

/// Creates the drop with these items and this limit of units for each customer.
pub async fn create(client: &Client, items: &[(&str, u64)], limit: u32) {
    let item =
        |(sku, quantity): &(&str, u64)| pb::Item { sku: (*sku).into(), quantity: *quantity, ..pb::Item::default() };
    let limit = pb::Limit {
        id: "each".into(),
        scope: pb::LimitScope::Drop.into(),
        max_units: Some(limit),
        ..pb::Limit::default()
    };
    let items = items.iter().map(item).collect();
    let drop = pb::Drop { id: DROP.into(), items, limits: vec![limit], ..pb::Drop::default() };
    let request = pb::CreateDropRequest { drop: Some(drop), validate_only: false };
    client.create_drop(request).await.expect("a drop");
}

/// Reserves one unit for a customer of its own; it must be granted.
pub async fn hold(client: &Client, hold_id: &str, sku: &str) -> pb::Hold {
    let answer = client.reserve(reserve(hold_id, &format!("for-{hold_id}"), vec![line(sku, 1)])).await;
    match answer.expect("an answer").outcome {
        Some(pb::reserve_response::Outcome::Hold(hold)) => hold,
        other => panic!("no hold: {other:?}"),
    }
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

/// Checks the drop's stock, item by item, against these holds: nothing is sold twice, nothing is lost, and no customer
/// has more than `limit`.
pub async fn books_balance(client: &Client, holds: &[Option<pb::Hold>], limit: u32) {
    let mut units: BTreeMap<(&str, pb::HoldState), u64> = BTreeMap::new();
    let mut owned: BTreeMap<&str, u32> = BTreeMap::new();
    for hold in holds.iter().flatten() {
        for line in &hold.lines {
            *units.entry((&line.sku, hold.state())).or_default() += u64::from(line.quantity);
            *owned.entry(&hold.customer_id).or_default() += line.quantity;
        }
    }
    let over: Vec<_> = owned.iter().filter(|(_, units)| **units > limit).collect();
    assert!(over.is_empty(), "over the limit of {limit}: {over:?}");
    let answer = client.get_drop(pb::GetDropRequest { drop_id: DROP.into() }).await.expect("a drop");
    for item in answer.drop.expect("a drop").items {
        let stock = item.stock.expect("stock");
        let counted = |state| units.get(&(item.sku.as_str(), state)).copied().unwrap_or_default();
        let ours = [pb::HoldState::Held, pb::HoldState::Paying, pb::HoldState::Claimed].map(counted);
        assert_eq!([stock.held, stock.paying, stock.claimed], ours, "{}: the server's count and ours", item.sku);
        assert_eq!(stock.received, item.quantity);
        let parts = stock.free + stock.held + stock.paying + stock.claimed + stock.withdrawn;
        assert_eq!(parts, stock.received, "{}: {stock:?}", item.sku);
    }
}
