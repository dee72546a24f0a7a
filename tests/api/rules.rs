//! Windows, pools, prices, tranches and slots over the wire: what a customer is served, and why one is not.

use std::sync::Arc;
use std::time::Duration;

use stockade_client::Client;
use stockade_proto as pb;
use stockade_proto::RefusalReason as Reason;
use stockade_types::time::{ManualClock, Millis, Timestamp};
use tonic::Code;

use crate::common::{create, engine, held, item, line, refused, reserve, serve_here};

/// When the drops of these tests open.
const OPENING: Timestamp = Timestamp(1_800_000_000_000);
/// Longer than the engine takes to find a level of stock.
const LEVEL_TIMEOUT: Duration = Duration::from_secs(10);

/// A server whose clock the test sets, and a client of it.
pub struct Shop {
    pub clock: Arc<ManualClock>,
    pub client: Client,
    agenda: tokio::task::JoinHandle<()>,
}

impl Shop {
    pub async fn open() -> Self {
        let (engine, clock) = (engine(), Arc::new(ManualClock::at(OPENING)));
        let endpoint = serve_here(&engine, clock.clone(), &Arc::default()).await;
        let client = Client::connect(&endpoint).await.expect("a connection");
        let at = Arc::clone(&clock);
        Self { clock, client, agenda: tokio::spawn(async move { drop((engine, at)) }) }
    }
}

const fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

fn after_open(span: i64) -> pb::Moment {
    pb::Moment { when: Some(pb::moment::When::AfterOpen(seconds(span))) }
}

fn tier(tier: &str) -> Option<pb::Audience> {
    Some(pb::Audience { tiers: vec![tier.into()], zones: Vec::new() })
}

fn euros(cents: i64) -> Option<pb::Money> {
    Some(pb::Money { currency_code: "EUR".into(), minor_units: cents })
}

fn member(request: pb::ReserveRequest) -> pb::ReserveRequest {
    let customer = request.customer.map(|customer| pb::Customer { tiers: vec!["member".into()], ..customer });
    pb::ReserveRequest { customer, ..request }
}

#[tokio::test]
async fn a_drop_with_every_rule_is_read_back_as_it_was_defined_and_sells() {
    let shop = Shop::open().await;
    let members = pb::Pool {
        id: "members".into(),
        audience: tier("member"),
        size: Some(pb::pool::Size::ShareBasisPoints(1_200)),
        flows: vec![pb::Flow { to: "public".into(), when: None, fired_at: None }],
        ..pb::Pool::default()
    };
    let public = pb::Pool { id: "public".into(), ..pb::Pool::default() };
    let knife = pb::Item { pools: vec![members, public], price_floor: euros(900), ..item("KNIFE", 100) };
    let terms = pb::Terms { id: "usual".into(), price: euros(1_000), ..pb::Terms::default() };
    let first = pb::Window {
        id: "members".into(),
        audience: tier("member"),
        hold_ttl: Some(seconds(600)),
        ..pb::Window::default()
    };
    let all = pb::Window { id: "all".into(), starts: Some(after_open(60)), ..pb::Window::default() };
    let drop = pb::Drop {
        id: "d".into(),
        items: vec![knife],
        windows: vec![first, all],
        terms: vec![terms],
        ..pb::Drop::default()
    };
    let made = create(&shop.client, drop.clone()).await;
    assert_eq!(made.windows[1].starts_at.map(|at| at.seconds), Some(1_800_000_060));
    assert_eq!(made.items[0].pools[0].stock.map(|stock| stock.received), Some(12));
    assert_eq!(made.items[0].pools[1].stock.map(|stock| stock.received), Some(88));

    let early = refused(&shop.client, reserve(1, "d", "bob", vec![line("KNIFE", 1)])).await;
    assert_eq!((early.reason(), early.retry_after), (Reason::NotOpen, Some(seconds(60))));
    let hold = held(&shop.client, member(reserve(2, "d", "ada", vec![line("KNIFE", 1)]))).await;
    let line_of = &hold.lines[0];
    assert_eq!(
        (line_of.pool.as_str(), line_of.window.as_str(), line_of.terms_id.as_str()),
        ("members", "members", "usual")
    );
    assert_eq!(line_of.unit_price, euros(1_000));
    shop.clock.advance(Millis::from_secs(60));
    let hold = held(&shop.client, reserve(3, "d", "bob", vec![line("KNIFE", 1)])).await;
    assert_eq!((hold.lines[0].pool.as_str(), hold.lines[0].window.as_str()), ("public", "all"));
}
