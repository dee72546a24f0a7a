//! Windows, pools, prices, tranches and slots over the wire: what a customer is served, and why one is not.

#![expect(clippy::unnecessary_wraps, reason = "what is made here stands in optional fields")]

use std::sync::Arc;

use parking_lot::Mutex;
use stockade_client::Client;
use stockade_engine::background::agenda::Agenda;
use stockade_proto as pb;
use stockade_proto::RefusalReason as Reason;
use stockade_types::time::{Clock as _, ManualClock, Millis, Timestamp};

use crate::common::{create, engine, held, item, line, refused, reserve, serve_here};

/// 2026-12-04T18:00:00+01:00.
pub const OPENING: Timestamp = Timestamp(1_796_403_600_000);
/// Passes in which the agenda looks at every drop.
const PASSES: u32 = 8;
/// The time between two passes.
const PASS: Millis = Millis(10);

/// A server whose clock the test sets, and a client of it.
pub struct Shop {
    pub client: Client,
    pub endpoint: String,
    clock: Arc<ManualClock>,
    agenda: Arc<Mutex<Agenda>>,
}

impl Shop {
    /// At this instant.
    pub async fn at(now: Timestamp) -> Self {
        let (engine, clock) = (engine(), Arc::new(ManualClock::at(now)));
        let endpoint = serve_here(&engine, clock.clone(), &Arc::default()).await;
        let client = Client::connect(&endpoint).await.expect("a connection");
        Self { client, endpoint, clock, agenda: Arc::new(Mutex::new(Agenda::new(engine))) }
    }

    /// Lets time pass. The agenda does what is due.
    pub async fn pass(&self, span: Millis) {
        self.clock.advance(span);
        let (agenda, clock) = (Arc::clone(&self.agenda), Arc::clone(&self.clock));
        let passes = move || {
            for _ in 0..PASSES {
                clock.advance(PASS);
                agenda.lock().run_due(clock.now());
            }
        };
        tokio::task::spawn_blocking(passes).await.expect("no panic");
    }

    /// Holds all of these, whatever limits say.
    pub async fn take(&self, n: u8, drop: &str, lines: Vec<pb::Line>) -> pb::Hold {
        let over = pb::Override { limits: true, windows: false, reason: "a bulk order".into() };
        held(&self.client, pb::ReserveRequest { r#override: Some(over), ..reserve(n, drop, "bulk", lines) }).await
    }
}

pub const fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

fn after(span: i64) -> Option<pb::Moment> {
    Some(pb::Moment { when: Some(pb::moment::When::AfterOpen(seconds(span))) })
}

fn when(moment: Option<pb::Moment>) -> Option<pb::Trigger> {
    moment.map(|moment| pb::Trigger { on: Some(pb::trigger::On::Moment(moment)) })
}

fn taken(points: u32) -> Option<pb::Trigger> {
    let level = Some(pb::stock_level::Level::TakenBasisPoints(points));
    let stock = pb::StockLevel { level, ..pb::StockLevel::default() };
    Some(pb::Trigger { on: Some(pb::trigger::On::Stock(stock)) })
}

fn tier(tier: &str) -> Option<pb::Audience> {
    Some(pb::Audience { tiers: vec![tier.into()], zones: Vec::new() })
}

pub fn euros(minor_units: i64) -> Option<pb::Money> {
    Some(pb::Money { currency_code: "EUR".into(), minor_units })
}

/// A line that names a pool.
pub fn from(sku: &str, quantity: u32, pool: &str) -> pb::Line {
    pb::Line { pool: pool.into(), ..line(sku, quantity) }
}

/// The same request of a customer of this tier.
pub fn of_tier(tier: &str, request: pb::ReserveRequest) -> pb::ReserveRequest {
    let customer = request.customer.map(|customer| pb::Customer { tiers: vec![tier.into()], ..customer });
    pb::ReserveRequest { customer, ..request }
}

/// The same request of a customer in this zone.
pub fn in_zone(zone: &str, request: pb::ReserveRequest) -> pb::ReserveRequest {
    let customer = request.customer.map(|customer| pb::Customer { zones: vec![zone.into()], ..customer });
    pb::ReserveRequest { customer, ..request }
}

/// The hold's units by pool, window and terms.
pub fn shown(hold: &pb::Hold) -> Vec<(&str, &str, &str, u32)> {
    let shown = |line: &'_ pb::HoldLine| line.quantity;
    hold.lines.iter().map(|line| (&*line.pool, &*line.window, &*line.terms_id, shown(line))).collect()
}

fn pool(id: &str, units: u64) -> pb::Pool {
    pb::Pool { id: id.into(), size: Some(pb::pool::Size::Units(units)), ..pb::Pool::default() }
}

fn rest(id: &str) -> pb::Pool {
    pb::Pool { id: id.into(), ..pb::Pool::default() }
}

fn drop_of(items: Vec<pb::Item>) -> pb::Drop {
    let opens_at = Some(prost_types::Timestamp { seconds: 1_796_403_600, nanos: 0 });
    let closes_at = Some(prost_types::Timestamp { seconds: 1_796_410_800, nanos: 0 });
    pb::Drop { id: "d".into(), opens_at, closes_at, items, ..pb::Drop::default() }
}

/// Ten knives, four of them for members until they open to all.
fn members_first(when: Option<pb::Trigger>) -> pb::Drop {
    let flows = vec![pb::Flow { to: "public".into(), when, fired_at: None }];
    let members = pb::Pool { audience: tier("member"), flows, ..pool("members", 4) };
    drop_of(vec![pb::Item { pools: vec![members, rest("public")], ..item("KNIFE", 10) }])
}

async fn read(client: &Client) -> pb::Drop {
    client.get_drop(pb::GetDropRequest { drop_id: "d".into() }).await.expect("a drop").drop.expect("a drop")
}

#[tokio::test]
async fn windows_open_by_audience_and_close_and_tell_when_to_come_again() {
    let shop = Shop::at(OPENING).await;
    let first = pb::Window {
        id: "members".into(),
        audience: tier("member"),
        ends: after(600),
        hold_ttl: Some(seconds(600)),
        ..pb::Window::default()
    };
    let second = pb::Window { id: "knives".into(), skus: vec!["KNIFE".into()], starts: after(60), ..first.clone() };
    let second = pb::Window { audience: None, hold_ttl: None, ..second };
    let drop = pb::Drop { windows: vec![first, second], ..drop_of(vec![item("KNIFE", 10), item("STONE", 10)]) };
    let made = create(&shop.client, drop).await;
    let bounds: Vec<_> =
        made.windows.iter().map(|w| (w.starts_at.map(|at| at.seconds), w.ends_at.map(|at| at.seconds))).collect();
    assert_eq!(bounds, [(Some(1_796_403_600), Some(1_796_404_200)), (Some(1_796_403_660), Some(1_796_404_200))]);

    let knife = |n, who: &str| reserve(n, "d", who, vec![line("KNIFE", 1)]);
    let early = refused(&shop.client, knife(1, "bob")).await;
    assert_eq!((early.reason(), early.retry_after), (Reason::NotOpen, Some(seconds(60))));
    let stone = refused(&shop.client, reserve(2, "d", "bob", vec![line("STONE", 1)])).await;
    assert_eq!((stone.reason(), stone.retry_after), (Reason::NotEligible, None));
    let hold = held(&shop.client, of_tier("member", knife(3, "ada"))).await;
    assert_eq!(shown(&hold), [("general", "members", "", 1)]);
    let lives = |hold: &pb::Hold| hold.expires_at.expect("a time").seconds - hold.created_at.expect("a time").seconds;
    assert_eq!(lives(&hold), 600);

    shop.pass(Millis::from_secs(60)).await;
    let hold = held(&shop.client, knife(4, "bob")).await;
    assert_eq!((shown(&hold), lives(&hold)), (vec![("general", "knives", "", 1)], 300));

    shop.pass(Millis::from_secs(540)).await;
    let late = refused(&shop.client, knife(5, "cid")).await;
    assert_eq!((late.reason(), late.retry_after), (Reason::Closed, None));
    let over = pb::Override { limits: false, windows: true, reason: "the card reader was down".into() };
    let hold = held(&shop.client, pb::ReserveRequest { r#override: Some(over), ..knife(5, "cid") }).await;
    assert_eq!(shown(&hold), [("general", "", "", 1)]);
}

#[tokio::test]
async fn a_pool_serves_its_tier_and_opens_at_its_moment() {
    let shop = Shop::at(OPENING).await;
    create(&shop.client, members_first(when(after(600)))).await;
    let member = held(&shop.client, of_tier("member", reserve(1, "d", "ada", vec![line("KNIFE", 1)]))).await;
    assert_eq!(shown(&member), [("members", "", "", 1)]);
    let rest = held(&shop.client, reserve(2, "d", "bob", vec![line("KNIFE", 6)])).await;
    assert_eq!(shown(&rest), [("public", "", "", 6)]);
    let none = refused(&shop.client, reserve(3, "d", "cid", vec![line("KNIFE", 1)])).await;
    let retry = none.retry_after.expect("the holds expire before the pool opens").seconds;
    assert_eq!((none.reason(), none.may_come_back, none.lines[0].available), (Reason::SoldOut, true, 0));
    assert_eq!(retry, 300);
    let both = held(&shop.client, of_tier("member", reserve(4, "d", "dan", vec![line("KNIFE", 3)]))).await;
    assert_eq!(shown(&both), [("members", "", "", 3)]);
    shop.client.claim(claim(&rest, "A-1")).await.expect("claimed");
    shop.client.release(release(&both)).await.expect("released");

    shop.pass(Millis::from_secs(601)).await;
    let flowed = held(&shop.client, reserve(5, "d", "eve", vec![line("KNIFE", 3)])).await;
    assert_eq!(shown(&flowed), [("members", "", "", 3)]);
    let flow = &read(&shop.client).await.items[0].pools[0].flows[0];
    assert_eq!(flow.fired_at.map(|at| at.seconds), Some(1_796_404_200));
}

fn claim(hold: &pb::Hold, order: &str) -> pb::ClaimRequest {
    pb::ClaimRequest { hold_id: hold.id.clone(), order_ref: order.into(), ..pb::ClaimRequest::default() }
}

fn release(hold: &pb::Hold) -> pb::ReleaseRequest {
    pb::ReleaseRequest { hold_id: hold.id.clone(), ..pb::ReleaseRequest::default() }
}

#[tokio::test]
async fn a_flow_is_fired_by_hand_once() {
    let shop = Shop::at(OPENING).await;
    create(&shop.client, members_first(None)).await;
    held(&shop.client, reserve(1, "d", "bob", vec![line("KNIFE", 6)])).await;
    assert_eq!(refused(&shop.client, reserve(2, "d", "cid", vec![line("KNIFE", 1)])).await.reason(), Reason::SoldOut);
    let fire = |pool: &str, to: &str| pb::FireFlowRequest {
        drop_id: "d".into(),
        sku: "KNIFE".into(),
        pool: pool.into(),
        to: to.into(),
    };
    let fired = shop.client.fire_flow(fire("members", "public")).await.expect("fired").drop.expect("a drop");
    assert!(fired.items[0].pools[0].flows[0].fired_at.is_some());
    shop.pass(Millis(5)).await;
    let again = shop.client.fire_flow(fire("members", "public")).await.expect("the same").drop.expect("a drop");
    assert_eq!(again.items[0].pools[0].flows, fired.items[0].pools[0].flows);
    assert_eq!(
        shown(&held(&shop.client, reserve(2, "d", "cid", vec![line("KNIFE", 4)])).await),
        [("members", "", "", 4)]
    );
    for (request, field) in [
        (fire("public", "members"), "to"),
        (fire("nowhere", "public"), "pool"),
        (pb::FireFlowRequest { sku: "SPOON".into(), ..fire("members", "public") }, "sku"),
        (pb::FireFlowRequest { to: "a b".into(), ..fire("members", "public") }, "to"),
    ] {
        let status = shop.client.fire_flow(request).await.expect_err(field);
        assert!(status.code() == tonic::Code::InvalidArgument && status.message().starts_with(field), "{status}");
    }
}

#[tokio::test]
async fn a_line_may_name_its_pool_and_places_are_drawn_from_by_name_alone() {
    let shop = Shop::at(OPENING).await;
    let stall = |id: &str, units| pb::Pool { place: format!("At {id}"), ..pool(id, units) };
    let knife = pb::Item { pools: vec![rest("post"), stall("north", 2), stall("south", 3)], ..item("KNIFE", 10) };
    create(&shop.client, drop_of(vec![knife])).await;
    let lines = vec![line("KNIFE", 1), from("KNIFE", 1, "north"), from("KNIFE", 1, "north")];
    let hold = held(&shop.client, reserve(1, "d", "ada", lines)).await;
    assert_eq!(shown(&hold), [("post", "", "", 1), ("north", "", "", 2)]);
    let none = refused(&shop.client, reserve(2, "d", "bob", vec![from("KNIFE", 1, "north")])).await;
    assert_eq!((none.reason(), none.lines[0].pool.as_str()), (Reason::SoldOut, "north"));
    let post = refused(&shop.client, reserve(2, "d", "bob", vec![line("KNIFE", 5)])).await;
    assert_eq!(
        (post.reason(), post.lines[0].available),
        (Reason::SoldOut, 4),
        "stalls are not for lines without a name"
    );
    let unknown = shop.client.reserve(reserve(2, "d", "bob", vec![from("KNIFE", 1, "west")])).await;
    assert!(unknown.expect_err("no such pool").message().starts_with("lines[0].pool"));

    let keep = pb::ReleaseRequest { keep: vec![from("KNIFE", 1, "north")], ..release(&hold) };
    let kept = shop.client.release(keep).await.expect("released").outcome;
    let Some(pb::release_response::Outcome::Hold(kept)) = kept else { panic!("no hold: {kept:?}") };
    assert_eq!(shown(&kept), [("post", "", "", 0), ("north", "", "", 1)]);
}

#[tokio::test]
async fn prices_are_pinned_to_lines_and_steps_never_go_back() {
    let shop = Shop::at(OPENING).await;
    let terms = |id: &str, price| pb::Terms { id: id.into(), price: euros(price), ..pb::Terms::default() };
    let step = |when, price| pb::PriceStep { when, price: euros(price), fired_at: None };
    let members = pb::Terms { audience: tier("member"), ..terms("members", 900) };
    let steps = vec![step(when(after(60)), 1_100), step(taken(5_000), 1_200)];
    let usual = pb::Terms { steps, ..terms("usual", 1_000) };
    let drop = pb::Drop { terms: vec![members, usual], ..drop_of(vec![item("KNIFE", 10)]) };
    create(&shop.client, drop).await;
    let knife = |n, units| reserve(n, "d", &format!("c{n}"), vec![line("KNIFE", units)]);
    let of = |hold: &pb::Hold| (hold.lines[0].terms_id.clone(), hold.lines[0].unit_price.clone());
    let member = held(&shop.client, of_tier("member", knife(1, 1))).await;
    assert_eq!(of(&member), ("members".to_owned(), euros(900)));
    let first = held(&shop.client, knife(2, 1)).await;
    assert_eq!(of(&first), ("usual".to_owned(), euros(1_000)));
    shop.pass(Millis::from_secs(60)).await;
    assert_eq!(of(&held(&shop.client, knife(3, 1)).await).1, euros(1_100));
    let many = held(&shop.client, knife(4, 2)).await;
    shop.pass(PASS).await;
    assert_eq!(of(&held(&shop.client, knife(5, 1)).await).1, euros(1_200), "half of them are taken");
    shop.client.release(release(&many)).await.expect("released");
    shop.pass(PASS).await;
    assert_eq!(of(&held(&shop.client, knife(6, 1)).await).1, euros(1_200), "and a price does not fall again");
    let asked = pb::GetHoldRequest { hold_id: first.id.clone(), ..pb::GetHoldRequest::default() };
    assert_eq!(of(&shop.client.get_hold(asked).await.expect("a hold").hold.expect("a hold")).1, euros(1_000));
    assert!(read(&shop.client).await.terms[1].steps.iter().all(|step| step.fired_at.is_some()));
}

#[tokio::test]
async fn a_slot_is_reserved_with_goods_until_it_begins() {
    let shop = Shop::at(OPENING).await;
    let slot = |starts, ends| Some(pb::Slot { starts: after(starts), ends: after(ends), ..pb::Slot::default() });
    let eight = pb::Item { kind: pb::ItemKind::Slot.into(), slot: slot(600, 1_200), ..item("EIGHT", 1) };
    let nine = pb::Item { slot: slot(1_200, 1_800), ..eight.clone() };
    let nine = pb::Item { sku: "NINE".into(), ..nine };
    let drop = pb::Drop { slot_required: true, ..drop_of(vec![item("KNIFE", 10), eight, nine]) };
    let made = create(&shop.client, drop).await;
    let resolved = made.items[1].slot.as_ref().and_then(|slot| slot.resolved_starts_at).map(|at| at.seconds);
    assert_eq!((made.items[1].kind(), resolved), (pb::ItemKind::Slot, Some(1_796_404_200)));
    let ask = |n, lines| reserve(n, "d", &format!("c{n}"), lines);
    let bare = refused(&shop.client, ask(1, vec![line("KNIFE", 1)])).await;
    assert_eq!(bare.reason(), Reason::SlotRequired);
    shop.client.reserve(ask(1, vec![line("EIGHT", 1)])).await.expect_err("a slot without goods");
    held(&shop.client, ask(2, vec![line("KNIFE", 2), line("EIGHT", 1)])).await;
    let full = refused(&shop.client, ask(3, vec![line("KNIFE", 1), line("EIGHT", 1)])).await;
    assert_eq!((full.reason(), full.sku.as_str()), (Reason::SoldOut, "EIGHT"));
    let over = pb::Override { limits: false, windows: true, reason: "brought home".into() };
    held(&shop.client, pb::ReserveRequest { r#override: Some(over), ..ask(4, vec![line("KNIFE", 1)]) }).await;
    shop.pass(Millis::from_secs(600)).await;
    let begun = refused(&shop.client, ask(5, vec![line("KNIFE", 1), line("EIGHT", 1)])).await;
    assert_eq!((begun.reason(), begun.sku.as_str()), (Reason::Closed, "EIGHT"));
    held(&shop.client, ask(6, vec![line("KNIFE", 1), line("NINE", 1)])).await;
}

#[tokio::test]
async fn drops_are_listed_by_opening_and_place_and_holds_by_shop() {
    let shop = Shop::at(OPENING).await;
    let of = |id: &str, minutes: i64, zones: &[&str], shop: &str| pb::Drop {
        id: id.into(),
        shop: shop.into(),
        opens_at: Some(prost_types::Timestamp { seconds: 1_796_403_600 + 60 * minutes, nanos: 0 }),
        zones: zones.iter().map(ToString::to_string).collect(),
        ..drop_of(vec![item("KNIFE", 10)])
    };
    for drop in [of("a", 0, &[], "x"), of("b", 10, &["mitte"], "y"), of("c", 20, &["kreuzberg"], "y")] {
        create(&shop.client, drop).await;
    }
    let list = async |request: pb::ListDropsRequest| {
        let answer = shop.client.list_drops(request).await.expect("a list");
        answer.drops.into_iter().map(|drop| drop.id).collect::<Vec<_>>()
    };
    let at = |minutes: i64| Some(prost_types::Timestamp { seconds: 1_796_403_600 + 60 * minutes, nanos: 0 });
    let all = pb::ListDropsRequest::default;
    assert_eq!(list(pb::ListDropsRequest { opens_from: at(10), ..all() }).await, ["b", "c"]);
    assert_eq!(list(pb::ListDropsRequest { opens_until: at(10), ..all() }).await, ["a"]);
    assert_eq!(list(pb::ListDropsRequest { zone: "mitte".into(), ..all() }).await, ["a", "b"]);
    held(&shop.client, reserve(1, "a", "ada", vec![line("KNIFE", 1)])).await;
    for (of, holds) in [("x", 1), ("y", 0), ("", 1)] {
        let request =
            pb::ListHoldsRequest { customer_id: "ada".into(), shop: of.into(), ..pb::ListHoldsRequest::default() };
        assert_eq!(shop.client.list_holds(request).await.expect("a list").holds.len(), holds, "{of}");
    }
}
