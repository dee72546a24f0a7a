//! A payment's life over a real socket: into it, back, to a sale, a late claim, and returned units.

use stockade_client::Client;
use stockade_proto as pb;

use crate::cli::{code, drop_file, err, out, stockade};
use crate::common::{Server, held, hold_id, knife_drop, line, reserve, start};
use crate::shop::{Outcome as _, claim, eventually, hold_of, release, returning, shop as shop_with, stock_of};

/// A server with ten knives and three sheaths, and a client of it.
async fn shop() -> (Server, Client) {
    shop_with(pb::Drop { limits: Vec::new(), ..knife_drop("knife") }).await
}

async fn knives(client: &Client) -> pb::Stock {
    stock_of(client, "knife").await
}

async fn staged(client: &Client, stage: pb::HoldStage) -> pb::Hold {
    client.extend(crate::shop::staged(1, stage)).await.expect("an answer").hold()
}

fn left(hold: &pb::Hold) -> i64 {
    hold.expires_at.expect("a deadline").seconds - hold.created_at.expect("a start").seconds
}

#[tokio::test]
async fn a_payment_is_begun_given_up_begun_again_and_ends_in_a_sale_of_which_units_come_back() {
    let (_server, client) = shop().await;
    held(&client, reserve(1, "knife", "ada", vec![line("KNIFE", 4), line("SHEATH", 1)])).await;
    let paying = staged(&client, pb::HoldStage::Paying).await;
    assert_eq!(paying.state(), pb::HoldState::Paying);
    assert!(left(&paying) >= 900, "payment_ttl is 15 minutes: {}", left(&paying));
    let stock = knives(&client).await;
    assert_eq!((stock.free, stock.held, stock.paying), (6, 0, 4));

    let no = client.release(release(1, vec![line("KNIFE", 4)])).await.expect("an answer").refusal();
    assert_eq!(no.reason(), pb::RefusalReason::PaymentInProgress);
    assert_eq!(no.hold.map(|hold| hold.state()), Some(pb::HoldState::Paying));

    let back = staged(&client, pb::HoldStage::Held).await;
    assert_eq!(back.state(), pb::HoldState::Held);
    assert!((60..900).contains(&left(&back)), "the one move that may shorten: {}", left(&back));
    assert_eq!(staged(&client, pb::HoldStage::Paying).await.state(), pb::HoldState::Paying);

    let part = pb::ClaimRequest { lines: vec![line("KNIFE", 3)], ..claim(1, "A1") };
    let sold = client.claim(part).await.expect("an answer");
    assert_eq!(sold.mode(), pb::ClaimMode::OnTime);
    let sold = sold.hold();
    let lines: Vec<_> = sold.lines.iter().map(|l| (l.sku.as_str(), l.quantity, l.released)).collect();
    assert_eq!((sold.state(), lines), (pb::HoldState::Claimed, vec![("KNIFE", 3, 1), ("SHEATH", 0, 1)]));

    let returned = async |returned: Vec<pb::Line>, restock| {
        let hold = client.return_units(returning(1, returned, restock)).await.expect("an answer").hold();
        (hold.lines[0].quantity, hold.lines[0].returned)
    };
    for _again in 0..2 {
        assert_eq!(returned(vec![line("KNIFE", 1)], true).await, (2, 1));
    }
    let stock = knives(&client).await;
    assert_eq!((stock.free, stock.claimed, stock.withdrawn, stock.returned_total), (8, 2, 0, 1));
    assert_eq!(returned(Vec::new(), false).await, (0, 3));
    let stock = knives(&client).await;
    assert_eq!((stock.free, stock.claimed, stock.withdrawn, stock.returned_total), (8, 0, 2, 3));
    assert_eq!((stock.received, stock.held, stock.paying), (10, 0, 0));
}

#[tokio::test]
async fn a_payment_is_abandoned_only_by_a_word() {
    let (_server, client) = shop().await;
    held(&client, reserve(1, "knife", "ada", vec![line("KNIFE", 2)])).await;
    staged(&client, pb::HoldStage::Paying).await;
    let request = pb::ReleaseRequest { abandon_payment: true, ..release(1, Vec::new()) };
    let hold = client.release(request).await.expect("an answer").hold();
    assert_eq!((hold.state(), knives(&client).await.free), (pb::HoldState::Released, 10));
}

/// Reserves with a short ttl, and waits until the hold has expired.
async fn expired(client: &Client, n: u8, goods: Vec<pb::Line>) {
    let ttl = Some(prost_types::Duration { seconds: 0, nanos: 50_000_000 });
    held(client, pb::ReserveRequest { ttl, ..reserve(n, "knife", "ada", goods) }).await;
    eventually("it expires", async || hold_of(client, n).await.state() == pb::HoldState::Expired).await;
}

#[tokio::test]
async fn a_payment_that_lands_late_takes_what_is_free() {
    let (_server, client) = shop().await;
    expired(&client, 1, vec![line("SHEATH", 2)]).await;
    let claimed = async |policy: pb::ExpiredPolicy| {
        let request = pb::ClaimRequest { expired_policy: policy.into(), ..claim(1, "A1") };
        client.claim(request).await.expect("an answer")
    };
    let no = claimed(pb::ExpiredPolicy::Refuse).await.refusal();
    assert_eq!(no.reason(), pb::RefusalReason::HoldExpired);
    held(&client, reserve(2, "knife", "bob", vec![line("SHEATH", 2)])).await;
    let no = claimed(pb::ExpiredPolicy::TakeFreeStock).await.refusal();
    assert_eq!((no.reason(), no.lines[0].available), (pb::RefusalReason::SoldOut, 1));
    assert!(no.may_come_back, "another's hold has them");
    client.release(release(2, Vec::new())).await.expect("an answer");
    for _again in 0..2 {
        let sold = claimed(pb::ExpiredPolicy::TakeFreeStock).await;
        assert_eq!(sold.mode(), pb::ClaimMode::LateFromFreeStock);
        let sold = sold.hold();
        assert_eq!((sold.state(), sold.lines[0].quantity), (pb::HoldState::Claimed, 2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_has_the_words_for_it() {
    let (server, client) = shop().await;
    let run = |words: &[&str]| {
        let output = stockade(&server.endpoint, words);
        assert!(code(&output) <= 1, "{words:?}: {}", err(&output));
        out(&output)
    };
    let row = |page: &str, key: &str| {
        let row = page.lines().find(|row| row.starts_with(key)).expect(key);
        row.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    let id = hold_id(1);
    run(&["reserve", "knife", "--sku", "KNIFE=4", "--customer", "ada", "--hold-id", &id]);
    assert_eq!(row(&run(&["extend", &id, "--stage", "paying"]), "state"), "state PAYING");
    let shown = run(&["drop", "show", "knife"]);
    assert_eq!(row(&shown, "payment_ttl"), "payment_ttl 15m");
    assert_eq!(row(&shown, "sku"), "sku received free held paying claimed withdrawn returned_total");
    assert_eq!(row(&shown, "KNIFE"), "KNIFE 10 6 0 4 0 0 0");
    let no = run(&["release", &id]);
    assert!(no.starts_with("refused: PAYMENT_IN_PROGRESS") && no.contains("--abandon-payment"), "{no}");
    assert_eq!(row(&run(&["extend", &id, "--stage", "held"]), "state"), "state HELD");
    run(&["extend", &id, "--stage", "paying"]);
    let sold = run(&["claim", &id, "--order", "A1", "--sku", "KNIFE=3"]);
    assert_eq!((row(&sold, "state"), row(&sold, "KNIFE")), ("state CLAIMED".into(), "KNIFE general 3 1 0".into()));
    assert_eq!(row(&run(&["return", &id, "--sku", "KNIFE=1", "--restock"]), "KNIFE"), "KNIFE general 2 1 1");
    assert_eq!(row(&run(&["return", &id, "--drop", "knife"]), "KNIFE"), "KNIFE general 0 1 3");
    assert_eq!(row(&run(&["drop", "show", "knife"]), "KNIFE"), "KNIFE 10 8 0 0 0 2 3");
    let paying = hold_id(2);
    run(&["reserve", "knife", "--sku", "KNIFE", "--customer", "bob", "--hold-id", &paying]);
    run(&["extend", &paying, "--stage", "paying"]);
    assert_eq!(row(&run(&["release", &paying, "--abandon-payment"]), "state"), "state RELEASED");
    expired(&client, 3, vec![line("KNIFE", 1)]).await;
    let dead = run(&["claim", &hold_id(3), "--order", "A2"]);
    assert!(dead.starts_with("refused: HOLD_EXPIRED") && dead.contains("--late"), "{dead}");
    assert!(run(&["claim", &hold_id(3), "--order", "A2", "--late"]).starts_with("claimed late, from free stock\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_how_long_a_payment_may_take_and_whom_a_limit_is_for() {
    let server = start(&[]).await;
    let text = "kind: Drop\nid: k\npayment_ttl: 20m\nitems: [{sku: K, quantity: 3}]\n\
                limits: [{id: one, scope: item, max_units: 1}, {id: two, scope: drop, max_units: 2}]\n";
    let (_folder, file) = drop_file(text);
    let reported = out(&stockade(&server.endpoint, &["drop", "apply", &file, "--dry-run"]));
    for line in [
        "a payment may take 20m",
        "one: at most 1 unit for each customer of each item",
        "two: at most 2 units for each customer in this drop",
    ] {
        assert!(reported.contains(line), "{line} in\n{reported}");
    }
}
