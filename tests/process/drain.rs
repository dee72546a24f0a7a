//! Stopped in order, paused for a while, ephemeral, or with `--durability os`.

use std::time::Duration;

use futures_util::future::join_all;
use stockade_drill::process::{Process, Signal};
use stockade_proto as pb;
use tonic::Code;

use crate::server::{serve, start, try_start, verified};
use crate::wire::{DROP, Dice, all_shown, books_balance, create, hold, line, reserve, shown};

const STOCK: [(&str, u64); 1] = [("SKU", 100_000)];

#[tokio::test(flavor = "multi_thread")]
async fn calls_in_flight_are_finished_before_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = start(folder.path(), &[]);
    let client = server.client().await;
    create(&client, &STOCK, 1).await;
    let mut dice = Dice::seeded("calls_in_flight_are_finished_before_the_end");
    let ids: Vec<String> = (0..100).map(|_| dice.hold_id()).collect();
    // Calls are sent while the process is paused; it gets them and the signal at the same time.
    server.signal(Signal::STOP);
    let calls: Vec<_> = ids
        .iter()
        .map(|id| {
            let (client, request) = (client.clone(), reserve(id, id, vec![line("SKU", 1)]));
            tokio::spawn(async move { client.reserve(request).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.signal(Signal::TERM);
    server.signal(Signal::CONT);
    let answers = join_all(calls).await;
    for answer in answers {
        let answer = answer.expect("no panic").expect("an answer");
        assert!(matches!(answer.outcome, Some(pb::reserve_response::Outcome::Hold(_))), "{answer:?}");
    }
    let ended = server.end();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(ended.log.contains("all calls are finished"), "{}", ended.log);
    assert!(verified(folder.path()).contains("closed in order"));
    let server = start(folder.path(), &[]);
    assert!(server.log().contains("\"clean\":true"), "{}", server.log());
    let client = server.client().await;
    let holds = all_shown(&client, ids).await;
    assert!(holds.iter().all(Option::is_some));
    books_balance(&client, &holds, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_on_its_way_out_is_not_ready_but_serves() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = start(folder.path(), &["--drain-delay", "800ms", "--drain-timeout", "2s"]);
    let client = server.client().await;
    create(&client, &STOCK, 1).await;
    assert!(server.page("/readyz").0.contains(" 200 "));
    assert_eq!(server.metric("stockade_ready"), "1");
    server.signal(Signal::TERM);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(
        server.page("/readyz"),
        ("HTTP/1.1 503 Service Unavailable".to_owned(), "not ready: draining\n".to_owned())
    );
    assert!(server.page("/healthz").0.contains(" 200 "), "alive, and not to be killed for it");
    assert_eq!(server.metric("stockade_ready"), "0");
    let id = Dice::seeded("a_server_on_its_way_out_is_not_ready_but_serves").hold_id();
    let held = hold(&client, &id, "SKU").await;
    let ended = server.end();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    let status = client.get_drop(pb::GetDropRequest { drop_id: DROP.into() }).await.expect_err("it is gone");
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    let server = start(folder.path(), &[]);
    assert_eq!(shown(&server.client().await, &id).await, Some(held));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_stood_still_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = start(folder.path(), &[]);
    let client = server.client().await;
    create(&client, &STOCK, 2).await;
    let mut dice = Dice::seeded("a_process_that_stood_still_goes_on");
    let (kept, brief) = (dice.hold_id(), dice.hold_id());
    let held = hold(&client, &kept, "SKU").await;
    let request = pb::ReserveRequest {
        ttl: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
        ..reserve(&brief, "ada", vec![line("SKU", 2)])
    };
    client.reserve(request).await.expect("an answer");
    server.signal(Signal::STOP);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    server.signal(Signal::CONT);
    // A hold past its deadline is never sold, even before a sweep has reached it.
    let claim = pb::ClaimRequest { hold_id: brief.clone(), order_ref: "o".into(), ..pb::ClaimRequest::default() };
    let Some(pb::claim_response::Outcome::Refusal(no)) = client.claim(claim).await.expect("an answer").outcome else {
        panic!("sold after its deadline");
    };
    assert_eq!(no.reason(), pb::RefusalReason::HoldExpired);
    assert_eq!(shown(&client, &kept).await, Some(held));
    let again = hold(&client, &dice.hold_id(), "SKU").await;
    books_balance(&client, &[shown(&client, &kept).await, shown(&client, &brief).await, Some(again)], 2).await;
    assert_eq!(server.metric("stockade_clock_step_seconds_total"), "0");
    let ended = server.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(!ended.log.contains("\"level\":\"ERROR\""), "{}", ended.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ephemeral_server_keeps_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    for _ in 0..2 {
        let server = start(&data, &["--ephemeral"]);
        let client = server.client().await;
        let missing = client.get_drop(pb::GetDropRequest { drop_id: DROP.into() }).await.expect_err("no drop yet");
        assert_eq!(missing.code(), Code::NotFound);
        create(&client, &STOCK, 1).await;
        hold(&client, &Dice::new(1).hold_id(), "SKU").await;
        assert_eq!(server.stop().code, Some(0));
        assert!(!data.exists(), "its folder was never made");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn os_durability_outlives_the_process_and_gives_way_to_sync() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut dice = Dice::seeded("os_durability_outlives_the_process_and_gives_way_to_sync");
    let mut ids = Vec::new();
    for (round, durability) in ["os", "os", "sync", "os"].into_iter().enumerate() {
        let server = start(folder.path(), &["--durability", durability]);
        let client = server.client().await;
        if round == 0 {
            create(&client, &STOCK, 1).await;
        }
        let holds = all_shown(&client, ids.clone()).await;
        assert!(holds.iter().all(Option::is_some), "round {round}");
        books_balance(&client, &holds, 1).await;
        for _ in 0..20 {
            ids.push(dice.hold_id());
            hold(&client, &ids[ids.len() - 1], "SKU").await;
        }
        if round % 2 == 0 {
            server.kill();
        } else {
            assert_eq!(server.stop().code, Some(0));
        }
        verified(folder.path());
    }
}

#[test]
fn a_server_told_to_stop_while_it_starts_ends_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut dice = Dice::seeded("a_server_told_to_stop_while_it_starts_ends_well");
    let mut heard = 0;
    for _ in 0..8 {
        let process = Process::start("stockade", serve(folder.path(), &[])).expect("the binary runs");
        std::thread::sleep(Duration::from_micros(dice.below(30_000)));
        // Before the process handles the signal, the signal ends it like any process.
        let code = process.stop(Signal::TERM, Duration::from_secs(20)).code;
        assert!(matches!(code, Some(0) | None), "{code:?}");
        heard += i32::from(code.is_some());
    }
    eprintln!("{heard} of 8 had begun to listen");
    let server = try_start(serve(folder.path(), &[])).expect("it starts");
    assert_eq!(server.stop().code, Some(0));
}
