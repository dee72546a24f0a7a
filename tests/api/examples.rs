//! The examples of drops: each is applied to a server, and a member and a stranger get what it says.

use stockade_proto as pb;
use stockade_proto::RefusalReason as Reason;
use stockade_types::time::{Millis, Timestamp};

use crate::cli::{code, err, out, stockade};
use crate::common::{held, line, refused, reserve};
use crate::rules::{OPENING, Shop, euros, from, in_zone, of_tier, seconds, shown};
use crate::shop::claim;

/// A shop an hour before most examples open, with this one applied, and the printed plan.
async fn applied(name: &str) -> (Shop, String) {
    let shop = Shop::at(Timestamp(OPENING.0 - 3_600_000)).await;
    let file = format!("{}/examples/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    let plan = stockade(&shop.endpoint, &["drop", "apply", &file, "--dry-run"]);
    assert_eq!((code(&plan), err(&plan).as_str()), (0, ""), "an example has nothing to warn of");
    for reported in ["created, revision 1", "unchanged, revision 1"] {
        let output = stockade(&shop.endpoint, &["drop", "apply", &file]);
        assert!(out(&output).contains(reported), "{}{}", out(&output), err(&output));
    }
    (shop, out(&plan))
}

/// As [`applied`], once it has opened.
async fn opened(name: &str) -> (Shop, String) {
    let (shop, plan) = applied(name).await;
    shop.pass(Millis::from_secs(3_600)).await;
    (shop, plan)
}

/// Whether the plan has each of these lines, but for the width of its columns.
fn says(plan: &str, lines: &[&str]) {
    let words = |line: &str| line.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    for wanted in lines {
        assert!(plan.lines().any(|line| words(line) == words(wanted)), "{wanted:?} in\n{plan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_served_first_and_what_they_leave_is_for_all() {
    const KNIFE: &str = "KNIFE/20cm";
    let (shop, plan) = opened("members-first").await;
    says(
        &plan,
        &[
            "2026-12-04 18:00:00 +01:00  opens: everyone may reserve 300 of KNIFE/20cm",
            "2026-12-04 18:00:00 +01:00  pool members of KNIFE/20cm: 12% for tier member",
            "2026-12-04 18:10:00 +01:00  pool members of KNIFE/20cm opens to those of pool public",
        ],
    );
    let ask = |n, who: &str, units| reserve(n, "members-first", who, vec![line(KNIFE, units)]);
    assert_eq!(shown(&held(&shop.client, of_tier("member", ask(1, "ada", 2))).await), [("members", "", "", 2)]);
    assert_eq!(shown(&held(&shop.client, ask(2, "bob", 2)).await), [("public", "", "", 2)]);
    let rest = shop.take(3, "members-first", vec![line(KNIFE, 262)]).await;
    let none = refused(&shop.client, ask(4, "cid", 1)).await;
    assert_eq!((none.reason(), none.may_come_back), (Reason::SoldOut, true));
    assert_eq!(shown(&held(&shop.client, of_tier("member", ask(5, "dan", 1))).await), [("members", "", "", 1)]);
    let claim = pb::ClaimRequest { hold_id: rest.id, order_ref: "A-1".into(), ..pb::ClaimRequest::default() };
    shop.client.claim(claim).await.expect("claimed");
    shop.pass(Millis(0)).await;
    assert_eq!(shown(&held(&shop.client, ask(4, "cid", 1)).await), [("members", "", "", 1)], "90 % is sold");
}

#[tokio::test(flavor = "multi_thread")]
async fn neighbours_come_first_to_the_night_market_and_pick_up_at_a_stall_and_a_time() {
    let (shop, plan) = opened("night-market").await;
    says(
        &plan,
        &[
            "2026-12-04 18:00:00 +01:00  window neighbours opens: zone kreuzberg may reserve everything",
            "2026-12-04 18:30:00 +01:00  window city opens: everyone may reserve everything",
            "2026-12-04 22:00:00 +01:00  closes: live holds can still be claimed",
            "2026-12-05 20:00:00 +01:00  slot PICKUP-20 at Markthalle begins: 30 visits; it can't be reserved or claimed \
             late any more",
            "2026-12-05 20:30:00 +01:00  slot PICKUP-20 ends",
        ],
    );
    let ask = |n, who: &str, pool: &str, slot: &str| {
        reserve(n, "night-market", who, vec![from("DUMPLINGS", 2, pool), line(slot, 1)])
    };
    let neighbour = held(&shop.client, in_zone("kreuzberg", ask(1, "ada", "stall-11", "PICKUP-20"))).await;
    assert_eq!(shown(&neighbour), [("stall-11", "neighbours", "", 2), ("general", "neighbours", "", 1)]);
    let early = refused(&shop.client, ask(2, "bob", "stall-4", "PICKUP-20")).await;
    assert_eq!(early.reason(), Reason::NotOpen);
    let no_slot = reserve(3, "night-market", "cid", vec![from("DUMPLINGS", 1, "stall-4")]);
    assert_eq!(refused(&shop.client, in_zone("kreuzberg", no_slot)).await.reason(), Reason::SlotRequired);
    let nowhere = reserve(3, "night-market", "cid", vec![line("DUMPLINGS", 1), line("PICKUP-20", 1)]);
    assert_eq!(refused(&shop.client, in_zone("kreuzberg", nowhere)).await.reason(), Reason::NotEligible);
    shop.pass(Millis::from_secs(1_800)).await;
    let city = held(&shop.client, ask(2, "bob", "stall-4", "PICKUP-20")).await;
    assert_eq!(shown(&city), [("stall-4", "city", "", 2), ("general", "city", "", 1)]);
    held(&shop.client, ask(4, "dan", "stall-4", "PICKUP-21")).await;
    // At 22:00 the sale is over. On the next evening a payment that lands late still gets the slot that has not begun.
    shop.pass(Millis::from_secs(12_600)).await;
    assert_eq!(refused(&shop.client, ask(5, "eve", "stall-4", "PICKUP-21")).await.reason(), Reason::Closed);
    shop.pass(Millis::from_secs(22 * 3_600)).await;
    let late = async |n| {
        let claim = pb::ClaimRequest { expired_policy: pb::ExpiredPolicy::TakeFreeStock.into(), ..claim(n, "A-1") };
        shop.client.claim(claim).await.expect("an answer").outcome.expect("an outcome")
    };
    let begun = late(2).await;
    let is_closed = |no: &pb::Refusal| no.reason() == Reason::Closed;
    assert!(
        matches!(&begun, pb::claim_response::Outcome::Refusal(no) if is_closed(no)),
        "its slot has begun: {begun:?}"
    );
    assert!(matches!(late(4).await, pb::claim_response::Outcome::Hold(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn early_birds_pay_less_and_members_their_own_price() {
    let (shop, plan) = opened("early-bird").await;
    says(
        &plan,
        &[
            "2026-12-04 18:00:00 +01:00  price early-bird: 40.00 EUR for everything, for everyone",
            "2026-12-04 19:00:00 +01:00  price early-bird becomes 48.00 EUR",
            "75% of all items taken      price early-bird becomes 56.00 EUR",
        ],
    );
    let ask = |n, who: &str| reserve(n, "early-bird", who, vec![line("SEAT", 1)]);
    let price = |hold: &pb::Hold| hold.lines[0].unit_price.clone();
    let member = held(&shop.client, of_tier("member", ask(1, "ada"))).await;
    assert_eq!((price(&member), shown(&member)), (euros(3_600), vec![("general", "", "members", 1)]));
    assert_eq!(price(&held(&shop.client, ask(2, "bob")).await), euros(4_000));
    shop.pass(Millis::from_secs(3_600)).await;
    assert_eq!(price(&held(&shop.client, ask(3, "cid")).await), euros(4_800));
    let bulk = shop.take(4, "early-bird", vec![line("SEAT", 60)]).await;
    assert_eq!(price(&bulk), euros(4_800));
    shop.pass(Millis(0)).await;
    assert_eq!(price(&held(&shop.client, ask(5, "dan")).await), euros(5_600));
    assert_eq!(price(&held(&shop.client, of_tier("member", ask(6, "eve"))).await), euros(3_600));
}

#[tokio::test(flavor = "multi_thread")]
async fn bread_comes_in_three_tranches() {
    let (shop, plan) = applied("three-tranches").await;
    says(
        &plan,
        &[
            "2026-12-05 08:30:00 +01:00      tranche second-batch: 40 more of LOAF",
            "at most 3 of all goods free     tranche reserve: 20 more of LOAF",
        ],
    );
    shop.pass(Millis::from_secs(15 * 3_600)).await;
    let ask = |n, who: &str| reserve(n, "three-tranches", who, vec![line("LOAF", 2)]);
    let loaves = |n, units| shop.take(n, "three-tranches", vec![line("LOAF", units)]);
    loaves(1, 36).await;
    held(&shop.client, of_tier("member", ask(2, "ada"))).await;
    let late = refused(&shop.client, reserve(3, "three-tranches", "bob", vec![line("LOAF", 2), line("LOAF", 1)]));
    assert_eq!(late.await.reason(), Reason::SoldOut);
    shop.pass(Millis(0)).await;
    held(&shop.client, ask(3, "bob")).await;
    let received = async || {
        let asked = pb::GetDropRequest { drop_id: "three-tranches".into() };
        let drop = shop.client.get_drop(asked).await.expect("a drop").drop.expect("a drop");
        let fired = drop.tranches.iter().map(|tranche| tranche.fired_at.is_some()).collect::<Vec<_>>();
        (drop.items[0].stock.expect("stock").received, fired)
    };
    assert_eq!(received().await, (60, vec![false, true]));
    shop.pass(Millis::from_secs(1_800)).await;
    assert_eq!(received().await, (100, vec![true, true]));
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_get_one_bag_in_a_month_and_strangers_none() {
    let (shop, plan) = opened("micro-subscription").await;
    says(
        &plan,
        &["2026-12-04 18:00:00 +01:00  window subscribers opens: tier subscriber may reserve everything, for 15m"],
    );
    let ask = |n, who: &str, units| reserve(n, "coffee-2026-12", who, vec![line("COFFEE/250g", units)]);
    let hold = held(&shop.client, of_tier("subscriber", ask(1, "ada", 1))).await;
    assert_eq!(
        (shown(&hold), hold.lines[0].unit_price.clone()),
        (vec![("general", "subscribers", "subscription", 1)], euros(0))
    );
    let claim = pb::ClaimRequest { hold_id: hold.id, order_ref: "A-1".into(), ..pb::ClaimRequest::default() };
    shop.client.claim(claim).await.expect("claimed");
    let second = refused(&shop.client, of_tier("subscriber", ask(2, "ada", 1))).await;
    assert_eq!(
        (second.reason(), second.limit.map(|limit| limit.id)),
        (Reason::LimitReached, Some("one-a-month".into()))
    );
    let stranger = refused(&shop.client, ask(3, "bob", 1)).await;
    assert_eq!((stranger.reason(), stranger.retry_after), (Reason::NotEligible, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn carts_that_are_left_behind_make_the_next_ones_shorter_and_fewer() {
    let (shop, plan) = opened("fair-cart").await;
    says(
        &plan,
        &[
            "all the time    left-behind: a customer with 2 unclaimed holds within 1day: holds of 1m 30s at most, \
             1 unit on hold at most",
            "all the time    sent-back: a customer with 3 returns within 90 days: 1 unit at most",
            "all the time    cancelled: a customer with 2 cancellations within 90 days: 1 unit at most",
        ],
    );
    let ask = |n, who: &str, units| reserve(n, "fair-cart", who, vec![line("SNEAKER/42", units)]);
    for n in [1, 2] {
        held(&shop.client, ask(n, "ada", 2)).await;
        shop.pass(Millis::from_secs(300)).await;
    }
    let no = refused(&shop.client, ask(3, "ada", 2)).await;
    let limit = no.limit.expect("a rule");
    assert_eq!((no.reason, limit.id.as_str()), (Reason::TooManyHolds.into(), "left-behind"));
    let short = held(&shop.client, ask(3, "ada", 1)).await;
    let life = |hold: &pb::Hold| hold.expires_at.expect("a time").seconds - hold.created_at.expect("a time").seconds;
    assert_eq!(life(&short), 90);
    let longer = pb::ExtendRequest { hold_id: short.id, ttl: Some(seconds(600)), ..pb::ExtendRequest::default() };
    let outcome = shop.client.extend(longer).await.expect("an answer").outcome.expect("an outcome");
    let pb::extend_response::Outcome::Hold(longer) = outcome else { panic!("refused: {outcome:?}") };
    assert_eq!(life(&longer), 90);
    assert_eq!(life(&held(&shop.client, ask(4, "bob", 2)).await), 300);

    for n in 10..13 {
        let order = held(&shop.client, ask(n, "cid", 1)).await;
        let claim = pb::ClaimRequest { hold_id: order.id.clone(), order_ref: "A".into(), ..Default::default() };
        shop.client.claim(claim).await.expect("claimed");
        let back = pb::ReturnUnitsRequest { hold_id: order.id, restock: true, ..pb::ReturnUnitsRequest::default() };
        shop.client.return_units(back).await.expect("returned");
    }
    let no = refused(&shop.client, ask(13, "cid", 2)).await;
    assert_eq!((no.reason(), no.limit.expect("a rule").id.as_str()), (Reason::LimitReached, "sent-back"));
    held(&shop.client, ask(13, "cid", 1)).await;

    for n in [20, 21] {
        let order = held(&shop.client, ask(n, "dan", 1)).await;
        let hold_id = order.id;
        let claim = pb::ClaimRequest { hold_id: hold_id.clone(), order_ref: format!("B-{n}"), ..Default::default() };
        shop.client.claim(claim).await.expect("claimed");
        // The order was cancelled: its units come back.
        let back = pb::ReturnUnitsRequest { hold_id, restock: true, ..pb::ReturnUnitsRequest::default() };
        shop.client.return_units(back).await.expect("returned");
        let fact = pb::Fact {
            id: format!("cancelled-{n}"),
            kind: pb::FactKind::Cancelled.into(),
            time: order.created_at,
            drop_id: "fair-cart".into(),
            order_ref: format!("B-{n}"),
            ..pb::Fact::default()
        };
        let recorded = shop.client.record_facts(pb::RecordFactsRequest { facts: vec![fact] }).await;
        assert_eq!(recorded.expect("recorded").recorded, 1);
    }
    let no = refused(&shop.client, ask(22, "dan", 2)).await;
    assert_eq!((no.reason(), no.limit.expect("a rule").id.as_str()), (Reason::LimitReached, "cancelled"));
    held(&shop.client, ask(22, "dan", 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drop_announces_itself_and_what_is_left() {
    let (shop, plan) = applied("signals").await;
    says(
        &plan,
        &[
            "2026-12-03 18:00:00 +01:00  signal tomorrow-at-six is made known to everyone over email, social",
            "2026-12-04 17:50:00 +01:00  signal members-ten-minutes is made known to tier member over push",
            "50% of all goods taken      signal half-gone is made known to everyone over badge",
            "at most 5 of all goods free signal last-five is made known to everyone over push, badge, again after 30m",
            "all the time                the public sees plenty from 50% free on, half from 15% free on, \
             last_few from 0.01% free on, sold_out for nothing free; each for 5s at least",
        ],
    );
    let fired = async || {
        let asked = pb::GetDropRequest { drop_id: "signals".into() };
        let drop = shop.client.get_drop(asked).await.expect("a drop").drop.expect("a drop");
        drop.signals.iter().map(|signal| signal.fired_at.is_some()).collect::<Vec<_>>()
    };
    // It was defined an hour before the opening: the evening before is missed.
    assert_eq!(fired().await, [false; 4]);
    shop.pass(Millis::from_secs(3_000)).await;
    assert_eq!(fired().await, [false, true, false, false]);
    shop.pass(Millis::from_secs(600)).await;
    let member = of_tier("member", reserve(1, "signals", "ada", vec![line("BOWL", 2)]));
    assert_eq!(shown(&held(&shop.client, member).await), [("general", "", "", 2)]);
    shop.take(2, "signals", vec![line("BOWL", 17)]).await;
    shop.pass(Millis(0)).await;
    assert_eq!(fired().await, [false, true, false, false], "19 of 40");
    held(&shop.client, reserve(3, "signals", "bob", vec![line("BOWL", 1)])).await;
    shop.pass(Millis(0)).await;
    assert_eq!(fired().await, [false, true, true, false]);
    shop.take(4, "signals", vec![line("BOWL", 15)]).await;
    shop.pass(Millis(0)).await;
    assert_eq!(fired().await, [false, true, true, true]);
    let shown = out(&stockade(&shop.endpoint, &["drop", "show", "signals"]));
    assert!(shown.contains("signal half-gone is made known to everyone over badge (it was)"), "{shown}");
}
