//! Definitions of drops with rules: bad input, changes by mask and without, and warnings.

#![expect(clippy::unnecessary_wraps, reason = "what is made here stands in optional fields")]

use stockade_client::Client;
use stockade_proto as pb;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::common::{create, item};
use crate::rules::{OPENING, Shop, euros, seconds};

fn at(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds: 1_796_403_600 + seconds, nanos: 0 })
}

fn moment(when: pb::moment::When) -> Option<pb::Moment> {
    Some(pb::Moment { when: Some(when) })
}

fn after(span: i64) -> Option<pb::Moment> {
    moment(pb::moment::When::AfterOpen(seconds(span)))
}

fn local(days_after_open: i32, time: &str) -> Option<pb::Moment> {
    moment(pb::moment::When::Local(pb::LocalTime { days_after_open, time: time.into() }))
}

/// A cooldown for customers with this many unclaimed holds.
fn behind(at_least: u32) -> pb::ConductRule {
    let (counts, within) = (pb::Conduct::UnclaimedHolds.into(), Some(seconds(3_600)));
    let cooldown = Some(seconds(60));
    pb::ConductRule { id: "behind".into(), counts, at_least, within, cooldown, ..pb::ConductRule::default() }
}

/// A drop of tomorrow with members' and public knives, a window, a price and a tranche.
fn ruled() -> pb::Drop {
    let flows = vec![pb::Flow { to: "public".into(), when: None, fired_at: None }];
    let members = pb::Pool {
        id: "members".into(),
        audience: Some(pb::Audience { tiers: vec!["member".into()], zones: Vec::new() }),
        size: Some(pb::pool::Size::ShareBasisPoints(1_200)),
        flows,
        ..pb::Pool::default()
    };
    let public = pb::Pool { id: "public".into(), ..pb::Pool::default() };
    let when = after(3_600).map(|moment| pb::Trigger { on: Some(pb::trigger::On::Moment(moment)) });
    let tranche = pb::Tranche { id: "later".into(), sku: "KNIFE".into(), units: 10, when, ..pb::Tranche::default() };
    pb::Drop {
        id: "d".into(),
        opens_at: at(86_400),
        closes_at: at(2 * 86_400),
        items: vec![pb::Item { pools: vec![members, public], price_floor: euros(500), ..item("KNIFE", 100) }],
        windows: vec![pb::Window { id: "all".into(), starts: after(60), ..pb::Window::default() }],
        terms: vec![pb::Terms { id: "usual".into(), price: euros(1_000), ..pb::Terms::default() }],
        tranches: vec![tranche],
        time_zone: "Europe/Berlin".into(),
        location: "Hall 3".into(),
        zones: vec!["mitte".into()],
        conduct: vec![behind(2)],
        ..pb::Drop::default()
    }
}

async fn define(client: &Client, drop: pb::Drop) -> Result<pb::CreateDropResponse, Status> {
    client.create_drop(pb::CreateDropRequest { drop: Some(drop), validate_only: true }).await
}

async fn update(client: &Client, drop: pb::Drop, mask: &[&str], revision: u64) -> Result<pb::Drop, Status> {
    let paths: Vec<String> = mask.iter().map(ToString::to_string).collect();
    let update_mask = (!paths.is_empty()).then_some(prost_types::FieldMask { paths });
    let request = pb::UpdateDropRequest { drop: Some(drop), update_mask, revision, validate_only: false };
    Ok(client.update_drop(request).await?.drop.expect("a drop"))
}

fn fields(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    let details = status.get_details_bad_request().expect("details");
    details.field_violations.into_iter().map(|violation| violation.field).collect()
}

/// A change of a drop.
type Change = fn(&mut pb::Drop);

#[tokio::test]
async fn what_no_clock_or_calendar_can_serve_is_named_by_its_field() {
    let shop = Shop::at(OPENING).await;
    assert!(define(&shop.client, ruled()).await.is_ok());
    let table: [(&[&str], Change); 11] = [
        (&["drop.time_zone"], |d| d.time_zone = "Europe/Atlantis".into()),
        (&["drop.windows[0].starts"], |d| d.windows[0].starts = after(2 * 86_400)),
        (&["drop.windows[0].starts"], |d| d.windows[0].starts = local(-2, "18:00")),
        (&["drop.windows[0].starts"], |d| {
            d.windows[0].starts = moment(pb::moment::When::At(at(0).unwrap_or_default()));
        }),
        (&["drop.windows[0].ends"], |d| d.windows[0].ends = after(60)),
        (&["drop.terms[0].ends"], |d| (d.terms[0].starts, d.terms[0].ends) = (after(9), after(8))),
        (&["drop.tranches[0].when.moment"], |d| d.closes_at = at(86_400 + 60 * 60 - 1)),
        (&["drop.windows[0].ends.before_close"], |d| {
            (d.closes_at, d.windows[0].ends) = (None, moment(pb::moment::When::BeforeClose(seconds(1))));
        }),
        (&["drop.windows[0].starts.after_open", "drop.terms[0].price.minor_units", "drop.terms[0].price"], |d| {
            (d.windows[0].starts, d.terms[0].price) = (after(-1), euros(-1));
        }),
        (&["drop.time_zone", "drop.windows[0].ends"], |d| {
            (d.time_zone, d.windows[0].ends) = ("Mars".into(), after(3 * 86_400));
        }),
        (&["drop.items[0].pools"], |d| d.items[0].pools[1].size = Some(pb::pool::Size::Units(87))),
    ];
    for (wanted, change) in table {
        let mut drop = ruled();
        change(&mut drop);
        assert_eq!(fields(&define(&shop.client, drop).await.expect_err("faulty")), wanted);
    }
}

#[tokio::test]
async fn without_a_mask_rules_stay_and_with_one_they_change() {
    let shop = Shop::at(OPENING).await;
    let client = &shop.client;
    let made = create(client, ruled()).await;

    // A caller who does not know the rules sends what it knows.
    let plain = pb::Drop {
        id: "d".into(),
        title: "Knives".into(),
        opens_at: made.opens_at,
        closes_at: made.closes_at,
        items: vec![item("KNIFE", 100), item("STONE", 5)],
        ..pb::Drop::default()
    };
    let changed = update(client, plain, &[], made.revision).await.expect("a change");
    assert_eq!((changed.title.as_str(), changed.items.len()), ("Knives", 2));
    assert_eq!(changed.items[0], made.items[0]);
    let rules = |drop: &pb::Drop| {
        let (windows, terms, tranches) = (drop.windows.clone(), drop.terms.clone(), drop.tranches.clone());
        let conduct = drop.conduct.clone();
        (windows, terms, tranches, conduct, drop.time_zone.clone(), drop.location.clone(), drop.zones.clone())
    };
    assert_eq!(rules(&changed), rules(&made));

    let mut wanted = changed.clone();
    wanted.windows[0].starts = after(120);
    wanted.terms.clear();
    wanted.tranches[0].units = 20;
    wanted.conduct = vec![behind(3)];
    (wanted.location, wanted.zones, wanted.time_zone) = ("Hall 4".into(), vec!["kreuzberg".into()], "UTC".into());
    let mask = ["windows", "terms", "tranches", "location", "zones", "time_zone", "conduct"];
    let named = update(client, wanted.clone(), &mask, changed.revision).await.expect("a change");
    assert_eq!(named.windows[0].starts_at, at(86_400 + 120));
    wanted.windows[0].starts_at = named.windows[0].starts_at;
    assert_eq!(rules(&named), rules(&wanted));
    let other = pb::Drop { location: "Hall 5".into(), ..wanted.clone() };
    let unnamed = update(client, other, &["title"], named.revision).await.expect("nothing that is named");
    assert_eq!(unnamed.revision, named.revision);

    // With the path an item is taken whole.
    let mut whole = named.clone();
    whole.items[0].price_floor = None;
    whole.items[0].pools[0].flows.clear();
    whole.items[0].pools[0].audience = None;
    let taken = update(client, whole, &["items"], named.revision).await.expect("a change");
    assert_eq!((taken.items[0].price_floor.as_ref(), taken.items[0].pools[0].flows.len()), (None, 0));
    let bare = pb::Drop { items: vec![item("KNIFE", 100), item("STONE", 5)], ..taken.clone() };
    let refused = update(client, bare, &["items"], taken.revision).await.expect_err("pools stay");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("drop.items[0].pools"), "{refused}");
    let status = update(client, pb::Drop { slot_required: true, ..taken.clone() }, &["slot_required"], taken.revision);
    assert_eq!(fields(&status.await.expect_err("no slot")), ["drop.slot_required"]);
    assert_eq!(create(client, ruled()).await.revision, taken.revision, "created again: the same drop");
}

#[tokio::test]
async fn what_may_not_be_meant_is_warned_of() {
    let shop = Shop::at(OPENING).await;
    let warned = async |change: Change| {
        let mut drop = ruled();
        change(&mut drop);
        let warnings = define(&shop.client, drop).await.expect("lawful").warnings;
        warnings.into_iter().map(|warning| (warning.code, warning.field)).collect::<Vec<_>>()
    };
    let of = |code: &str, field: &str| vec![(code.to_owned(), format!("drop.{field}"))];
    assert_eq!(warned(|_| ()).await, []);
    let five: Change = |d| d.items.extend(["A", "B", "C", "D"].map(|sku| item(sku, 1)));
    assert_eq!(warned(five).await, of("many_items", "items"));
    let little: Change = |d| d.items[0].pools[0].size = Some(pb::pool::Size::ShareBasisPoints(900));
    assert_eq!(warned(little).await, of("reserve_outside_10_15", "items[0].pools"));
    let much: Change = |d| d.items[0].pools[0].size = Some(pb::pool::Size::Units(16));
    assert_eq!(warned(much).await, of("reserve_outside_10_15", "items[0].pools"));
    let hasty: Change = |d| d.payment_ttl = Some(seconds(299));
    assert_eq!(warned(hasty).await, of("short_payment", "payment_ttl"));
    let vast: Change = |d| {
        let scope = pb::LimitScope::Drop.into();
        d.limits = vec![pb::Limit { id: "l".into(), scope, max_units: Some(110), ..pb::Limit::default() }];
    };
    assert_eq!(warned(vast).await, of("unreachable_limit", "limits[0].max_units"));
    // On 28 March 2027 clocks in Berlin go from 02:00 to 03:00.
    let gap: Change = |d| {
        (d.opens_at, d.closes_at) = (at(113 * 86_400), at(115 * 86_400));
        d.windows[0].starts = local(1, "02:30");
    };
    assert_eq!(warned(gap).await, of("local_time_moved", "windows[0].starts.local"));

    create(&shop.client, pb::Drop { id: "other".into(), ..ruled() }).await;
    assert_eq!(warned(|_| ()).await, of("overlap", "items[0].sku"));
    assert_eq!(warned(|d| d.shop = "elsewhere".into()).await, []);
    for day in 3..6 {
        let (id, opens_at) = (format!("day{day}"), at(day * 86_400));
        create(&shop.client, pb::Drop { id, opens_at, closes_at: at(day * 86_400 + 7_200), ..ruled() }).await;
    }
    let all = [of("overlap", "items[0].sku"), of("many_drops", "opens_at")].concat();
    assert_eq!(warned(|_| ()).await, all);
    let week = pb::Drop { id: "d".into(), ..ruled() };
    let made = create(&shop.client, week).await;
    let request = pb::UpdateDropRequest {
        drop: Some(pb::Drop { title: "Knives".into(), ..made.clone() }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["title".into()] }),
        revision: made.revision,
        validate_only: true,
    };
    let reported = shop.client.update_drop(request).await.expect("lawful").warnings;
    assert_eq!(reported.iter().map(|warning| warning.code.as_str()).collect::<Vec<_>>(), ["overlap", "many_drops"]);
}
