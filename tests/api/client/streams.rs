//! Shared streams that break, stay silent, or have invalid answers.

use std::sync::atomic::Ordering;
use std::time::Duration;

use stockade_client::{Error, Options, Retry};
use stockade_proto as pb;
use stockade_proto::result::Result as Came;
use stockade_types::metrics::Stopwatch;
use tonic::{Code, Status};

use super::fake::{Fake, Message, hold, result};
use super::{all_are_granted, all_at_once, asking, batching, connected, granted, id, options, pushed_back};
use crate::shop::eventually;

fn failed(code: Code, retry_after: Option<Duration>) -> pb::Result {
    let code = i32::from(code).unsigned_abs();
    let retry_after = retry_after.map(|delay| delay.try_into().expect("a span"));
    result(Came::Error(pb::Error { code, message: "busy".into(), field_violations: Vec::new(), retry_after }))
}

#[tokio::test]
async fn what_a_broken_stream_left_unanswered_goes_again_when_the_server_wants_it() {
    // Each stream answers one message and breaks at the next.
    let fake = Fake::new().on_message(|message: Message| async move {
        if message.place == 1 { Err(pushed_back("40")) } else { Ok(message.grant()) }
    });
    let (_running, stockade) = connected(&fake, batching(100, 3, 1_000)).await;
    let watch = Stopwatch::start();
    all_are_granted(&stockade, 0..1_000).await;
    let streams = fake.streams.load(Ordering::Relaxed);
    assert!(streams > 3, "{streams}");
    let waits = u32::try_from(streams - 1).expect("few");
    assert!(watch.elapsed() >= Duration::from_millis(40) * waits, "{streams} streams in {:?}", watch.elapsed());
}

#[tokio::test]
async fn a_stream_that_breaks_costs_one_retry_however_many_share_it() {
    let fake = Fake::new().on_message(|message: Message| async move {
        if message.stream < 2 { Err(Status::unavailable("down")) } else { Ok(message.grant()) }
    });
    let retry = Retry { reserve: 2, percent: 0, ..options().retry };
    let (_running, stockade) = connected(&fake, Options { retry, ..options() }).await;
    all_are_granted(&stockade, 0..500).await;
    assert_eq!(fake.streams.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn nobody_waits_behind_who_is_told_to_come_much_later() {
    let fake = Fake::new().on_message(|message: Message| async move {
        if message.stream == 0 { Err(pushed_back("1500")) } else { Ok(message.grant()) }
    });
    let retry = Retry { longest_delay: Duration::from_millis(10), ..options().retry };
    let (_running, stockade) = connected(&fake, Options { retry, ..options() }).await;
    let watch = Stopwatch::start();
    let reported = tokio::spawn({
        let stockade = stockade.clone();
        async move { stockade.reserve(asking(0, 1)).await }
    });
    eventually("the first stream is over", async || fake.ended.load(Ordering::Relaxed) == 1).await;
    assert_eq!(granted(stockade.reserve(asking(1, 1)).await.expect("an answer")).hold.id, id(1));
    assert_eq!(granted(reported.await.expect("no panic").expect("an answer")).hold.id, id(0));
    assert!(watch.elapsed() >= Duration::from_millis(1_500), "not earlier: {:?}", watch.elapsed());
    assert_eq!(fake.asked_for(), [id(0), id(1), id(0)]);
}

#[tokio::test]
async fn attempts_are_bounded_for_each_operation() {
    let fake = Fake::new().on_message(|_| async { Err(Status::unavailable("down")) });
    let (_running, stockade) =
        connected(&fake, Options { retry: Retry { attempts: 3, ..options().retry }, ..options() }).await;
    let error = stockade.reserve(asking(1, 1)).await.expect_err("no answer");
    assert!(matches!(&error, Error::Unavailable { attempts: 3, status } if status.message() == "down"), "{error:?}");
    assert_eq!(fake.asked_for(), [id(1), id(1), id(1)]);
}

#[tokio::test]
async fn a_status_that_will_not_change_is_everybodys_and_the_next_caller_has_a_stream_of_its_own() {
    let fake = Fake::new().on_message(|message: Message| async move {
        if message.stream == 0 { Err(Status::permission_denied("not you")) } else { Ok(message.grant()) }
    });
    let (_running, stockade) = connected(&fake, options()).await;
    let error = stockade.reserve(asking(1, 1)).await.expect_err("denied");
    assert_eq!(error.code(), Code::PermissionDenied, "{error}");
    let reserved = granted(stockade.reserve(asking(2, 1)).await.expect("an answer"));
    assert_eq!(reserved.hold.id, id(2));
}

#[tokio::test]
async fn a_silent_stream_is_given_up_and_its_operations_go_again() {
    let fake = Fake::new().on_message(|message: Message| async move {
        if message.stream == 0 { std::future::pending().await } else { Ok(message.grant()) }
    });
    let (_running, stockade) =
        connected(&fake, Options { attempt_timeout: Duration::from_millis(500), ..options() }).await;
    all_are_granted(&stockade, 0..50).await;
    assert_eq!(fake.streams.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_deadline_is_each_callers_own() {
    let fake = Fake::new().on_message(|message: Message| async move {
        if message.nth == 0 {
            tokio::time::sleep(Duration::from_millis(600)).await;
        }
        Ok(message.grant())
    });
    let (_running, stockade) = connected(&fake, options()).await;
    let hasty = stockade.within(Duration::from_millis(50));
    let (late, in_time) = tokio::join!(hasty.reserve(asking(1, 1)), stockade.reserve(asking(2, 1)));
    let error = late.expect_err("late");
    assert!(
        matches!(error, Error::Deadline { deadline, last: None } if deadline == Duration::from_millis(50)),
        "{error:?}"
    );
    assert_eq!(granted(in_time.expect("an answer")).hold.id, id(2));
}

#[tokio::test]
async fn an_operation_that_could_not_be_decided_goes_again_alone_and_when_the_server_wants_it() {
    let fake = Fake::new().on_message(|message: Message| async move {
        let mut results = message.grant();
        for (operation, result) in message.operations.iter().zip(&mut results) {
            if message.nth == 0 && hold(operation).id == id(0) {
                *result = failed(Code::Unavailable, Some(Duration::from_millis(60)));
            }
        }
        Ok(results)
    });
    let (_running, stockade) = connected(&fake, options()).await;
    let watch = Stopwatch::start();
    all_are_granted(&stockade, 0..20).await;
    assert!(watch.elapsed() >= Duration::from_millis(60));
    let mut asked = fake.asked_for();
    asked.sort_unstable();
    let mut once: Vec<String> = std::iter::once(0).chain(0..20).map(id).collect();
    once.sort_unstable();
    assert_eq!(asked, once);
    assert_eq!(fake.streams.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_operations_own_error_is_its_callers_alone() {
    let fake = Fake::new().on_message(|message: Message| async move {
        let code = |place: usize| [Code::NotFound, Code::ResourceExhausted, Code::AlreadyExists][place % 3];
        let came = message.operations.iter().map(|operation| hold(operation).id);
        let place = |hold_id: String| (0..9).find(|n| id(*n) == hold_id).expect("one of them");
        Ok(came.map(|id| failed(code(usize::try_from(place(id)).expect("small")), None)).collect())
    });
    let (_running, stockade) = connected(&fake, options()).await;
    let ended = all_at_once(&stockade, (0..9).map(|n| asking(n, 1))).await;
    let codes: Vec<Code> = ended.into_iter().map(|ended| ended.expect_err("an error").code()).collect();
    assert_eq!(codes, [Code::NotFound, Code::ResourceExhausted, Code::AlreadyExists].repeat(3));
    assert_eq!(fake.asked_for().len(), 9, "none is sent again");
}

#[tokio::test]
async fn what_an_answer_had_no_room_for_goes_again_unseen() {
    // As a real server does: results that would make the answer too large are left out.
    let fake = Fake::new().on_message(|message: Message| async move {
        let large = |operation| {
            let lines = vec![pb::HoldLine { sku: "s".repeat(128), ..Default::default() }; 32];
            result(Came::Hold(pb::Hold { lines, ..hold(operation) }))
        };
        let left_out = |_| failed(Code::ResourceExhausted, None);
        let (decided, rest) = message.operations.split_at(message.operations.len().min(600));
        Ok(decided.iter().map(large).chain(rest.iter().map(left_out)).collect())
    });
    let (_running, stockade) = connected(&fake, batching(1_000, 1, 10_000)).await;
    all_are_granted(&stockade, 0..3_000).await;
    assert!(fake.sizes().iter().any(|size| *size > 600), "none was ever left out: {:?}", fake.sizes());
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_told_and_the_stream_is_left() {
    let fake = Fake::new().on_message(|message: Message| async move {
        let mut results = message.grant();
        if message.stream == 0 {
            results.pop();
        }
        Ok(results)
    });
    let (_running, stockade) = connected(&fake, options()).await;
    let error = stockade.reserve(asking(1, 1)).await.expect_err("no answer");
    assert_eq!(error.code(), Code::Internal, "{error}");
    assert_eq!(granted(stockade.reserve(asking(2, 1)).await.expect("an answer")).hold.id, id(2));
    let empty = Fake::new()
        .on_message(|message: Message| async move { Ok(vec![pb::Result::default(); message.operations.len()]) });
    let (_running, stockade) = connected(&empty, options()).await;
    assert!(matches!(stockade.reserve(asking(1, 1)).await, Err(Error::Malformed(_))));
}
