//! Superseding and partial reserves over a real socket.

use stockade_proto as pb;
use stockade_proto::operation::Operation;
use tonic::Code;

use crate::batch::{self, operation, shop};
use crate::cli::{code, out, stockade};
use crate::common::{held, hold_id, line, refused, reserve};
use crate::shop::{Outcome as _, claim, faulty, has_lines, hold_of, metrics, stock_of};

/// A reserve that supersedes another hold.
fn in_place_of(old: u8, request: pb::ReserveRequest) -> pb::ReserveRequest {
    pb::ReserveRequest { supersedes: hold_id(old), ..request }
}

/// A partial reserve.
fn partly(request: pb::ReserveRequest) -> pb::ReserveRequest {
    pb::ReserveRequest { allow_partial: true, ..request }
}

/// Lines that got less: SKU, reason, requested, available.
fn reported(lines: &[pb::RefusedLine]) -> Vec<(&str, pb::RefusalReason, u32, u32)> {
    lines.iter().map(|line| (line.sku.as_str(), line.reason(), line.requested, line.available)).collect()
}

#[tokio::test]
async fn a_hold_takes_the_place_of_another_in_one_step() {
    let (server, client, _stub) = shop().await;
    let old = held(&client, reserve(1, "knife", "ada", vec![line("KNIFE", 2)])).await;
    let request = in_place_of(1, reserve(2, "knife", "ada", vec![line("KNIFE", 1), line("SHEATH", 1)]));
    let new = held(&client, request.clone()).await;
    assert_eq!((new.state(), new.created_at), (pb::HoldState::Held, old.created_at));
    assert!(new.expires_at.expect("a deadline").seconds >= old.expires_at.expect("a deadline").seconds);
    let ended = hold_of(&client, 1).await;
    assert_eq!((ended.state(), ended.superseded_by.as_str()), (pb::HoldState::Released, new.id.as_str()));
    assert_eq!((ended.lines[0].quantity, ended.lines[0].released, ended.revision), (0, 2, new.revision));
    assert_eq!(held(&client, request).await, new, "sent again");
    let stock = stock_of(&client, "knife").await;
    assert_eq!((stock.free, stock.held), (9, 1));

    let no = refused(&client, reserve(1, "knife", "ada", vec![line("KNIFE", 2)])).await;
    assert_eq!((no.reason(), no.hold), (pb::RefusalReason::Superseded, Some(ended.clone())));
    let no = client.claim(claim(1, "A1")).await.expect("an answer").refusal();
    assert_eq!((no.reason(), no.hold), (pb::RefusalReason::Superseded, Some(ended)));
    let no = refused(&client, in_place_of(1, reserve(3, "knife", "ada", vec![line("KNIFE", 1)]))).await;
    assert_eq!(no.reason(), pb::RefusalReason::Superseded);
    let no = refused(&client, in_place_of(2, reserve(3, "knife", "ada", vec![line("SHEATH", 4)]))).await;
    assert_eq!(
        (no.reason(), reported(&no.lines)),
        (pb::RefusalReason::SoldOut, vec![("SHEATH", pb::RefusalReason::SoldOut, 4, 2)],)
    );
    assert_eq!(hold_of(&client, 2).await, new, "a refusal leaves it as it is");

    let wanted = [
        "stockade_hold_transitions_total{to=\"held\"} 2",
        "stockade_hold_transitions_total{to=\"released\"} 1",
        "stockade_holds{state=\"held\"} 1",
        "stockade_holds{state=\"released\"} 1",
        "stockade_operations_total{operation=\"reserve\",outcome=\"ok\"} 3",
    ];
    has_lines(&metrics(&server).await, &wanted);
}

#[tokio::test]
async fn what_can_not_be_superseded_is_named() {
    let (_server, client, _stub) = shop().await;
    held(&client, reserve(1, "knife", "ada", vec![line("KNIFE", 1)])).await;
    let lines = || vec![line("KNIFE", 1)];
    for (old, customer) in [(1, "bob"), (9, "ada")] {
        let request = in_place_of(old, reserve(2, "knife", customer, lines()));
        let status = client.reserve(request).await.expect_err("not theirs");
        assert_eq!(status.code(), Code::NotFound);
        assert!(status.message().contains(&hold_id(old)), "{}", status.message());
    }
    for supersedes in [hold_id(2), "soon".to_owned()] {
        let request = pb::ReserveRequest { supersedes, ..reserve(2, "knife", "ada", lines()) };
        let status = client.reserve(request).await.expect_err("faulty");
        assert_eq!(faulty(&status), ["supersedes"]);
    }
    held(&client, in_place_of(1, reserve(2, "knife", "ada", lines()))).await;
    for (field, other) in [
        ("supersedes", reserve(2, "knife", "ada", lines())),
        ("allow_partial", partly(in_place_of(1, reserve(2, "knife", "ada", lines())))),
    ] {
        let status = client.reserve(other).await.expect_err("other content");
        assert_eq!(status.code(), Code::AlreadyExists);
        assert!(status.message().ends_with(&format!("another {field}")), "{}", status.message());
    }
}

#[tokio::test]
async fn what_there_is_will_do_where_the_caller_says_so() {
    use pb::RefusalReason::{LimitReached, SoldOut};
    let (_server, client, _stub) = shop().await;
    let request = partly(reserve(1, "knife", "ada", vec![line("SHEATH", 1), line("KNIFE", 5)]));
    for _again in 0..2 {
        let answer = client.reserve(request.clone()).await.expect("an answer");
        assert_eq!(reported(&answer.short_lines), [("KNIFE", LimitReached, 5, 1)]);
        let hold = answer.hold();
        assert_eq!(hold.lines.iter().map(|line| line.quantity).collect::<Vec<_>>(), [1, 1]);
    }
    held(&client, reserve(2, "knife", "bob", vec![line("SHEATH", 2)])).await;
    let answer = client.reserve(partly(reserve(3, "knife", "eve", vec![line("SHEATH", 1), line("KNIFE", 1)]))).await;
    let answer = answer.expect("an answer");
    assert_eq!(reported(&answer.short_lines), [("SHEATH", SoldOut, 1, 0)]);
    let hold = answer.hold();
    assert_eq!(hold.lines.iter().map(|line| line.sku.as_str()).collect::<Vec<_>>(), ["KNIFE"]);
    let answer = client.reserve(partly(reserve(4, "knife", "dan", vec![line("KNIFE", 2)]))).await.expect("an answer");
    assert!(answer.short_lines.is_empty(), "nothing is short");
    let no = refused(&client, partly(reserve(5, "knife", "eve", vec![line("SHEATH", 1)]))).await;
    assert_eq!((no.reason(), reported(&no.lines)), (SoldOut, vec![("SHEATH", SoldOut, 1, 0)]));
}

#[tokio::test]
async fn many_operations_tell_of_both_in_either_view() {
    use pb::RefusalReason::SoldOut;
    let (_server, _client, mut stub) = shop().await;
    let wanted = |n, old| {
        let request = partly(reserve(n, "knife", "ada", vec![line("KNIFE", 1), line("SHEATH", 1)]));
        operation(Operation::Reserve(if old > 0 { in_place_of(old, request) } else { request }))
    };
    let sheaths =
        |n, customer| operation(Operation::Reserve(partly(reserve(n, "knife", customer, vec![line("SHEATH", 2)]))));
    let operations = vec![sheaths(1, "bob"), sheaths(2, "eve"), wanted(3, 0), wanted(4, 3), batch::claiming(3, "A")];
    for view in [pb::HoldView::Full, pb::HoldView::Brief] {
        let request = pb::BatchRequest { operations: operations.clone(), view: view.into() };
        let results = stub.batch(request).await.expect("an answer").into_inner().results;
        assert!(results[0].short_lines.is_empty());
        assert_eq!(reported(&results[1].short_lines), [("SHEATH", SoldOut, 2, 1)]);
        assert_eq!(reported(&results[3].short_lines), [("SHEATH", SoldOut, 1, 0)]);
        let lines = |n: usize| batch::held(&results[n]).lines.iter().map(|line| line.quantity).collect::<Vec<_>>();
        assert_eq!((lines(1), lines(3)), (vec![1], vec![1]), "the request does not say how much it is");
        assert_eq!(lines(0).is_empty(), view == pb::HoldView::Brief, "the request says it");
        let Some(pb::result::Result::Refusal(no)) = &results[4].result else { panic!("sold twice") };
        assert_eq!(no.reason(), pb::RefusalReason::Superseded);
        assert!(results[4].short_lines.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_has_words_for_both() {
    let (server, _client, _stub) = shop().await;
    let run = |words: &[&str]| {
        let output = stockade(&server.endpoint, &[&["reserve", "knife", "--customer", "ada"], words].concat());
        (code(&output), out(&output))
    };
    let [first, second, third] = [1, 2, 3].map(hold_id);
    let (ended, page) = run(&["--sku", "SHEATH=9", "--hold-id", &first, "--allow-partial"]);
    assert!(ended == 0 && page.contains("served short:"), "{page}");
    let row = page.lines().find(|row| row.starts_with("SHEATH") && row.contains("SOLD_OUT")).expect("a row");
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["SHEATH", "SOLD_OUT", "9", "2"]);
    let words =
        ["--sku", "KNIFE=1", "--sku", "SHEATH=9", "--hold-id", &second, "--supersedes", &first, "--allow-partial"];
    let (ended, json) = run(&[&words[..], &["--json"]].concat());
    assert_eq!(ended, 0, "{json}");
    let json: serde_json::Value = serde_json::from_str(&json).expect("json");
    assert_eq!(json["short_lines"][0]["sku"], "SHEATH");
    let (ended, page) = run(&["--sku", "KNIFE=1", "--hold-id", &third, "--supersedes", &first]);
    assert!(ended == 1 && page.starts_with("refused: SUPERSEDED"), "{page}");
    assert!(page.contains("superseded_by") && page.contains(&second), "{page}");
    let (ended, page) = run(&["--sku", "KNIFE=1", "--hold-id", &third, "--supersedes", &second]);
    assert!(ended == 0 && !page.contains("served short"), "{page}");
}
