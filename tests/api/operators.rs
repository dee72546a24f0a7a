//! Operators' calls over the wire: adjust stock, list holds and drops.

use stockade_client::Client;
use stockade_proto as pb;
use stockade_proto::adjust_stock_request::Change;
use tonic::{Code, Status};

use crate::cli::{code, err, out, stockade};
use crate::common::{Server, create, held, hold_id, item, knife_drop, line, refused, reserve, start};
use crate::shop::{closed, faulty, knife_shop, paused, shop as shop_with, stock_of};

/// A server with a few knives, and a client of it.
async fn shop(knives: u64) -> (Server, Client) {
    shop_with(pb::Drop { items: vec![item("KNIFE/20cm", knives)], ..knife_drop("knife") }).await
}

fn adjustment(n: u8, change: Change) -> pb::AdjustStockRequest {
    crate::shop::adjustment(n, "knife", "KNIFE/20cm", change)
}

async fn stock(client: &Client) -> pb::Stock {
    stock_of(client, "knife").await
}

/// Checks that a status names these fields as faulty, and in its message.
fn names(status: &Status, fields: &[&str]) {
    assert!(fields.iter().all(|field| status.message().contains(field)), "{status}");
    assert_eq!(faulty(status).len(), fields.len(), "{status}");
}

#[tokio::test]
async fn stock_is_changed_once_for_each_id_and_never_below_what_customers_have() {
    let (_server, client) = shop(2).await;
    held(&client, reserve(1, "knife", "ada", vec![line("KNIFE/20cm", 2)])).await;
    for _ in 0..2 {
        client.adjust_stock(adjustment(9, Change::Delta(3))).await.expect("more");
    }
    assert_eq!(stock(&client).await, pb::Stock { received: 5, free: 3, held: 2, ..Default::default() });
    let other = client.adjust_stock(adjustment(9, Change::Delta(4))).await.expect_err("another change");
    assert_eq!((other.code(), other.message().contains("change")), (Code::AlreadyExists, true), "{other}");
    let too_many = client.adjust_stock(adjustment(10, Change::Delta(-4))).await.expect_err("held");
    assert_eq!(too_many.code(), Code::FailedPrecondition, "{too_many}");
    let set = |expected, units| Change::SetReceived(pb::SetReceived { expected, units });
    let stale = client.adjust_stock(adjustment(11, set(2, 9))).await.expect_err("stale");
    assert_eq!(stale.code(), Code::Aborted, "{stale}");
    client.adjust_stock(adjustment(11, set(5, 2))).await.expect("set");
    assert_eq!(stock(&client).await, pb::Stock { received: 2, held: 2, ..Default::default() });
    refused(&client, reserve(2, "knife", "bob", vec![line("KNIFE/20cm", 1)])).await;
}

#[tokio::test]
async fn a_faulty_adjustment_names_its_fields() {
    let (_server, client) = knife_shop().await;
    let elsewhere = pb::AdjustStockRequest { sku: "PAN".into(), ..adjustment(1, Change::Delta(1)) };
    let cases = [
        (pb::AdjustStockRequest::default(), &["drop_id", "sku", "adjustment_id", "delta"][..]),
        (adjustment(1, Change::Delta(0)), &["delta"]),
        (elsewhere, &["sku"]),
    ];
    for (request, fields) in cases {
        names(&client.adjust_stock(request).await.expect_err("faulty"), fields);
    }
}

#[tokio::test]
async fn holds_are_listed_page_by_page() {
    let (_server, client) = shop(9).await;
    for n in 0..5 {
        held(&client, reserve(n, "knife", &format!("customer-{n}"), vec![line("KNIFE/20cm", 1)])).await;
    }
    let (mut ids, mut token) = (Vec::new(), String::new());
    loop {
        let request =
            pb::ListHoldsRequest { drop_id: "knife".into(), page_size: 2, page_token: token, ..Default::default() };
        let page = client.list_holds(request).await.expect("a page");
        assert!(page.holds.len() <= 2);
        ids.extend(page.holds.into_iter().map(|hold| hold.id));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    ids.sort();
    assert_eq!(ids, (0..5).map(hold_id).collect::<Vec<_>>());
    let request =
        pb::ListHoldsRequest { page_size: -1, page_token: "nonsense".into(), state: 99, ..Default::default() };
    let status = client.list_holds(request).await.expect_err("faulty");
    names(&status, &["drop_id", "page_size", "page_token", "state"]);
}

#[tokio::test]
async fn drops_are_listed_by_state_in_the_order_of_their_opening() {
    let server = start(&[]).await;
    let client = server.client().await;
    for id in ["a", "b", "c"] {
        create(&client, knife_drop(id)).await;
    }
    paused(&client, "b").await;
    let listed = async |request| {
        let page = client.list_drops(request).await.expect("a page");
        (page.drops.into_iter().map(|drop| drop.id).collect::<Vec<_>>(), page.next_page_token)
    };
    let (ids, token) = listed(pb::ListDropsRequest { page_size: 2, ..Default::default() }).await;
    assert_eq!(ids, ["a", "b"]);
    let (ids, token) = listed(pb::ListDropsRequest { page_token: token, ..Default::default() }).await;
    assert_eq!((ids, token.as_str()), (vec!["c".to_owned()], ""));
    let paused = pb::DropState::Paused.into();
    let (ids, _) = listed(pb::ListDropsRequest { state: paused, ..Default::default() }).await;
    assert_eq!(ids, ["b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_lists_and_adjusts_by_hand() {
    let (server, client) = shop(2).await;
    create(&client, knife_drop("later")).await;
    held(&client, reserve(1, "knife", "ada", vec![line("KNIFE/20cm", 2)])).await;
    let run = |words: &[&str]| {
        let output = stockade(&server.endpoint, words);
        (code(&output), out(&output), err(&output))
    };
    let adjust = ["drop", "adjust", "knife", "--sku", "KNIFE/20cm"];
    let id = hold_id(7);
    for _ in 0..2 {
        let (code, reported, _) = run(&[&adjust[..], &["--delta", "3", "--id", &id]].concat());
        assert!(code == 0 && reported.contains("5         3     2"), "{reported}");
    }
    let (code, _, reported) = run(&[&adjust[..], &["--delta", "-4"]].concat());
    assert!(code == 1 && reported.contains("FAILED_PRECONDITION"), "{reported}");
    let (code, _, reported) = run(&[&adjust[..], &["--set", "9", "--expected", "4"]].concat());
    assert!(code == 1 && reported.contains("ABORTED"), "{reported}");
    assert_eq!(run(&[&adjust[..], &["--set", "9"]].concat()).0, 64, "a set says what it expects");
    let (code, reported, _) = run(&["drop", "list", "--state", "open"]);
    assert!(code == 0 && reported.contains("knife") && reported.contains("later"), "{reported}");
    let (code, reported, _) = run(&["hold", "list", "--drop", "knife", "--state", "held", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&reported).expect("json");
    assert_eq!((code, listed["holds"][0]["customer_id"].as_str()), (0, Some("ada")));
    let (code, reported, _) = run(&["hold", "list", "--customer", "ada"]);
    assert!(code == 0 && reported.contains("KNIFE/20cm=2"), "{reported}");
    assert_eq!(run(&["hold", "list"]).0, 64, "one of drop, customer and order is needed");
    assert_eq!(run(&["hold", "list", "--drop", "knife", "--state", "flying"]).0, 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drop_that_is_closed_before_it_opens_is_cancelled() {
    let server = start(&[]).await;
    let client = server.client().await;
    let opens_at = Some(prost_types::Timestamp { seconds: 4_000_000_000, nanos: 0 });
    let drop = create(&client, pb::Drop { opens_at, ..knife_drop("knife") }).await;
    assert_eq!(drop.state(), pb::DropState::Scheduled);
    create(&client, knife_drop("fork")).await;
    for drop_id in ["knife", "fork"] {
        closed(&client, drop_id).await;
    }
    let listed = async |state: pb::DropState| {
        let request = pb::ListDropsRequest { state: state.into(), ..Default::default() };
        let drops = client.list_drops(request).await.expect("a list").drops;
        drops.into_iter().map(|drop| (drop.id.clone(), drop.state())).collect::<Vec<_>>()
    };
    let cancelled = ("knife".to_owned(), pb::DropState::Cancelled);
    let closed = ("fork".to_owned(), pb::DropState::Closed);
    assert_eq!(listed(pb::DropState::Unspecified).await, [closed.clone(), cancelled.clone()]);
    assert_eq!(listed(pb::DropState::Cancelled).await, [cancelled]);
    assert_eq!(listed(pb::DropState::Closed).await, [closed]);
    let no = refused(&client, reserve(1, "knife", "ada", vec![line("KNIFE", 1)])).await;
    assert_eq!(no.reason(), pb::RefusalReason::Closed);
    let resume = client.resume_drop(pb::ResumeDropRequest { drop_id: "knife".into() }).await;
    assert_eq!(resume.expect_err("it is over").code(), Code::FailedPrecondition);
    let list = stockade(&server.endpoint, &["drop", "list", "--state", "cancelled"]);
    assert_eq!(code(&list), 0, "{}", err(&list));
    assert!(out(&list).contains("CANCELLED") && !out(&list).contains("fork"), "{}", out(&list));
}
