//! Stock is compared with what a system of record has on hand, as of an event that it has taken in.

use stockade_proto as pb;
use tonic::{Code, Status};

use crate::cli::{code, err, json, out, stockade};
use crate::common::{create, held, hold_id, knife_drop, line, reserve};
use crate::events::{Shop, claimed, everything, open, read_all};
use crate::shop::{adjustment, faulty, knife_shop, returning, stock_of};

fn count(n: u8, as_of: &str, on_hand: u64) -> pb::ReconcileStockRequest {
    pb::ReconcileStockRequest {
        drop_id: "knife".into(),
        sku: "KNIFE".into(),
        pool: String::new(),
        reconciliation_id: hold_id(n),
        as_of: as_of.into(),
        on_hand,
        dry_run: false,
    }
}

/// A server that keeps its events, with 10 knives and no limits.
async fn shop() -> Shop {
    let shop = open(tempfile::tempdir().expect("a folder")).await;
    create(&shop.client, pb::Drop { limits: Vec::new(), ..knife_drop("knife") }).await;
    shop
}

/// The cursor of the last event.
async fn last(shop: &Shop) -> String {
    read_all(&shop.stub, everything()).await.pop().expect("an event").cursor
}

async fn sold(shop: &Shop, n: u8, units: u32) {
    held(&shop.client, reserve(n, "knife", "ada", vec![line("KNIFE", units)])).await;
    claimed(&shop.client, n).await;
}

/// The drift, what was applied, and the shortage.
async fn compared(shop: &Shop, request: pb::ReconcileStockRequest) -> Result<(i64, i64, u64), Status> {
    let answer = shop.client.reconcile_stock(request).await?;
    assert!(answer.drop.is_some_and(|drop| drop.id == "knife"), "the drop is shown");
    Ok((answer.drift, answer.applied, answer.shortage))
}

async fn refused(shop: &Shop, request: pb::ReconcileStockRequest) -> Status {
    compared(shop, request).await.expect_err("a status")
}

#[tokio::test]
async fn what_was_sold_since_an_event_is_no_drift_and_what_differs_is_set_right_once() {
    let shop = shop().await;
    sold(&shop, 1, 2).await;
    let as_of = last(&shop).await;
    sold(&shop, 2, 3).await;
    shop.client.return_units(returning(2, vec![line("KNIFE", 1)], true)).await.expect("restocked");
    shop.client.return_units(returning(2, vec![line("KNIFE", 2)], false)).await.expect("withdrawn");
    // Of 10, and 2 were sold by then.
    assert_eq!(compared(&shop, count(1, &as_of, 8)).await.expect("compared"), (0, 0, 0));
    let dry = pb::ReconcileStockRequest { dry_run: true, ..count(2, &as_of, 7) };
    assert_eq!(compared(&shop, dry).await.expect("compared"), (-1, 0, 0));
    assert_eq!(stock_of(&shop.client, "knife").await.received, 10, "nothing was changed");
    for _ in 0..2 {
        assert_eq!(compared(&shop, count(2, &as_of, 7)).await.expect("compared"), (-1, -1, 0));
    }
    assert_eq!(compared(&shop, count(3, &as_of, 7)).await.expect("compared"), (0, 0, 0), "it was corrected since");
    let stock = pb::Stock { received: 9, free: 5, claimed: 3, withdrawn: 1, returned_total: 2, ..Default::default() };
    assert_eq!(stock_of(&shop.client, "knife").await, stock);
    let events = read_all(&shop.stub, everything()).await;
    let event = events.iter().find(|event| event.cause == hold_id(2)).expect("an event");
    assert_eq!((event.r#type.as_str(), event.stock), ("stockade.stock.adjusted", Some(stock)));
    // A hold has 5, and 3 of them are not there.
    held(&shop.client, reserve(3, "knife", "bob", vec![line("KNIFE", 5)])).await;
    let now = last(&shop).await;
    assert_eq!(compared(&shop, count(4, &now, 2)).await.expect("compared"), (-3, 0, 3));
    let Shop { server, folder, .. } = shop;
    server.stop().await.expect("no panic").expect("it ends well");
    let shop = open(folder).await;
    assert_eq!(compared(&shop, count(2, &as_of, 7)).await.expect("known"), (-1, -1, 0), "after a restart");
    assert_eq!(compared(&shop, count(4, &now, 2)).await.expect("known"), (-3, 0, 3));
    for other in [
        count(2, &as_of, 8),
        count(2, &now, 7),
        pb::ReconcileStockRequest { pool: "general".into(), ..count(2, &as_of, 7) },
    ] {
        assert_eq!(refused(&shop, other).await.code(), Code::AlreadyExists);
    }
    let adjusted = adjustment(2, "knife", "KNIFE", pb::adjust_stock_request::Change::Delta(-1));
    let status = shop.client.adjust_stock(adjusted).await.expect_err("another change");
    assert_eq!(status.code(), Code::AlreadyExists);
}

#[tokio::test]
async fn what_can_not_be_compared_is_refused_by_its_field() {
    let (other, shop) = (shop().await, shop().await);
    let as_of = last(&shop).await;
    let with = |change: fn(&mut pb::ReconcileStockRequest)| {
        let mut request = count(1, &as_of, 10);
        change(&mut request);
        request
    };
    let all = ["drop_id", "sku", "reconciliation_id", "as_of", "on_hand"];
    let request = pb::ReconcileStockRequest { on_hand: 1_000_000_000_001, ..Default::default() };
    assert_eq!(faulty(&refused(&shop, request).await), all);
    let elsewhere = refused(&shop, with(|request| request.drop_id = "pan".into())).await;
    assert_eq!(elsewhere.code(), Code::NotFound);
    for (request, field) in [
        (with(|request| request.sku = "PAN".into()), "sku"),
        (with(|request| request.pool = "members".into()), "pool"),
        (with(|request| request.as_of.push('A')), "as_of"),
        (with(|request| request.reconciliation_id = "7".into()), "reconciliation_id"),
    ] {
        assert_eq!(faulty(&refused(&shop, request).await), [field]);
    }
    let foreign = refused(&shop, count(1, &last(&other).await, 10)).await;
    assert_eq!((foreign.code(), foreign.message().starts_with("as_of: ")), (Code::OutOfRange, true), "{foreign}");
    // The same journal, and more of it.
    let Shop { server, folder, .. } = shop;
    server.stop().await.expect("no panic").expect("it ends well");
    let copy = tempfile::tempdir().expect("a folder");
    copied(folder.path(), copy.path());
    let (shop, ahead) = (open(folder).await, open(copy).await);
    for n in 1..5 {
        sold(&ahead, n, 1).await;
    }
    let status = refused(&shop, count(1, &last(&ahead).await, 10)).await;
    assert_eq!((status.code(), status.message().starts_with("as_of: ")), (Code::FailedPrecondition, true), "{status}");
    assert_eq!(compared(&shop, count(1, &as_of, 10)).await.expect("compared"), (0, 0, 0));
}

/// Copies a folder that nobody uses.
fn copied(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            std::fs::create_dir(&to).expect("a folder");
            copied(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).expect("copied");
        }
    }
}

#[tokio::test]
async fn without_events_nothing_is_compared() {
    let (_server, client) = knife_shop().await;
    let status = client.reconcile_stock(count(1, "x", 10)).await.expect_err("a status");
    assert_eq!((status.code(), status.message()), (Code::Unimplemented, "with --ephemeral no events are kept"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_shows_the_drift_and_what_came_of_it() {
    let shop = shop().await;
    let as_of = last(&shop).await;
    held(&shop.client, reserve(1, "knife", "ada", vec![line("KNIFE", 8)])).await;
    let compare = |more: &[&str]| {
        let words = ["drop", "reconcile", "knife", "--sku", "KNIFE", "--as-of", &as_of, "--on-hand", "7"];
        stockade(&shop.server.endpoint, &[&words, more].concat())
    };
    let tried = compare(&["--dry-run"]);
    assert_eq!(code(&tried), 0, "{}", err(&tried));
    assert!(out(&tried).starts_with("drift     -3\napplied   0\nshortage  1\n\n"), "{}", out(&tried));
    let id = hold_id(7);
    let made = json(&compare(&["--id", &id, "--json"]));
    assert_eq!((&made["drift"], &made["applied"], &made["shortage"]), (&"-3".into(), &"-2".into(), &"1".into()));
    let again = compare(&["--id", &id]);
    assert!(out(&again).starts_with("drift     -3\napplied   -2\nshortage  1\n\n"), "{}", out(&again));
    let other = compare(&["--id", &id, "--pool", "general"]);
    assert_eq!(code(&other), 1);
    assert!(err(&other).contains("ALREADY_EXISTS"), "{}", err(&other));
}
