//! Deadlines and retries of single calls.

use std::sync::atomic::Ordering;
use std::time::Duration;

use stockade_client::{Error, Options, Retry, Stockade};
use stockade_proto as pb;
use stockade_types::metrics::Stopwatch;
use tokio::net::TcpListener;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use super::fake::Fake;
use super::{connected, options, pushed_back};
use crate::common::{hold_id, start};

fn get() -> pb::GetHoldRequest {
    pb::GetHoldRequest { hold_id: hold_id(1), ..Default::default() }
}

/// Fails this many times.
fn refusing(times: usize, status: impl Fn() -> Status + Send + Sync + 'static) -> Fake {
    Fake::new().on_get(move |nth| {
        let answer = if nth < times { Err(status()) } else { Ok(pb::GetHoldResponse::default()) };
        async { answer }
    })
}

fn reported(code: Code, delay: Option<Duration>) -> Status {
    Status::with_error_details_and_metadata(code, "busy", ErrorDetails::with_retry_info(delay), MetadataMap::new())
}

#[tokio::test]
async fn a_call_is_sent_again_when_the_server_wants_it() {
    let delays = [pushed_back("60"), reported(Code::ResourceExhausted, Some(Duration::from_millis(60)))];
    for status in delays {
        let fake = refusing(2, move || status.clone());
        let (_running, stockade) = connected(&fake, options()).await;
        let watch = Stopwatch::start();
        stockade.get_hold(get()).await.expect("an answer in the end");
        assert_eq!(fake.gets.load(Ordering::Relaxed), 3);
        assert!(watch.elapsed() >= Duration::from_millis(120), "twice, and not earlier: {:?}", watch.elapsed());
    }
}

#[tokio::test]
async fn what_will_not_change_is_not_sent_again() {
    let violation = FieldViolation::new("hold_id", "must be a UUID");
    let invalid = Status::with_error_details(
        Code::InvalidArgument,
        "hold_id: must be a UUID",
        ErrorDetails::with_bad_request(vec![violation]),
    );
    let never = pushed_back("-1");
    for status in
        [invalid, never, Status::resource_exhausted("full"), Status::not_found("no hold"), Status::aborted("")]
    {
        let code = status.code();
        let fake = refusing(100, move || status.clone());
        let (_running, stockade) = connected(&fake, options()).await;
        let error = stockade.get_hold(get()).await.expect_err("a status");
        assert_eq!((error.code(), fake.gets.load(Ordering::Relaxed)), (code, 1), "{error}");
        let fields: Vec<&str> = error.violations().iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, if code == Code::InvalidArgument { vec!["hold_id"] } else { Vec::new() });
        assert!(error.status().is_some());
    }
}

#[tokio::test]
async fn attempts_are_bounded() {
    let fake = refusing(100, || Status::unavailable("down"));
    let (_running, stockade) =
        connected(&fake, Options { retry: Retry { attempts: 4, ..options().retry }, ..options() }).await;
    let error = stockade.get_hold(get()).await.expect_err("no answer");
    assert!(matches!(&error, Error::Unavailable { attempts: 4, status } if status.message() == "down"), "{error:?}");
    assert_eq!(fake.gets.load(Ordering::Relaxed), 4);
    assert!(error.is_in_doubt());
}

#[tokio::test]
async fn callers_together_spend_no_more_than_the_budget() {
    let fake = refusing(1_000, || Status::unavailable("down"));
    let retry = Retry { reserve: 3, percent: 20, ..options().retry };
    let (_running, stockade) = connected(&fake, Options { retry, ..options() }).await;
    for _ in 0..20 {
        stockade.get_hold(get()).await.expect_err("no answer");
    }
    let asked = fake.gets.load(Ordering::Relaxed);
    // The retry reserve is full at the first call, so what that call adds to it is lost.
    assert!((26..=27).contains(&asked), "20 calls, 3 of the reserve, one more for each five: {asked}");
}

#[tokio::test]
async fn a_delay_beyond_the_deadline_is_not_waited_for() {
    let fake = refusing(100, || pushed_back("3600000"));
    let (_running, stockade) = connected(&fake, options()).await;
    let error = stockade.get_hold(get()).await.expect_err("no answer");
    assert!(matches!(error, Error::Unavailable { attempts: 1, .. }), "{error:?}");
}

#[tokio::test]
async fn a_deadline_is_told_to_the_server_and_kept_without_it() {
    let fake = Fake::new().on_get(|_| std::future::pending());
    let (_running, stockade) = connected(&fake, options()).await;
    let error = stockade.within(Duration::from_millis(200)).get_hold(get()).await.expect_err("no answer");
    assert!(matches!(error, Error::Deadline { deadline: _, last: None }), "{error:?}");
    assert_eq!(error.code(), Code::DeadlineExceeded, "{error}");
    assert!(error.is_in_doubt());
    let headers = fake.headers.lock();
    let sent = headers[0].get("grpc-timeout").expect("a deadline").to_str().expect("text");
    let (amount, unit) = sent.split_at(sent.len() - 1);
    let micros = amount.parse::<u64>().expect("a number")
        * [("u", 1), ("m", 1_000)].into_iter().find(|of| of.0 == unit).expect("a unit").1;
    assert!(micros <= 200_000, "{sent}");
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_is_made_again_within_the_deadline() {
    let fake = Fake::new().on_get(|nth| async move {
        match nth {
            0 => std::future::pending().await,
            _ => Ok(pb::GetHoldResponse::default()),
        }
    });
    let (_running, stockade) =
        connected(&fake, Options { attempt_timeout: Duration::from_millis(500), ..options() }).await;
    stockade.get_hold(get()).await.expect("the second attempt's answer");
    assert_eq!(fake.gets.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn headers_go_with_every_call() {
    let mut headers = MetadataMap::new();
    headers.insert("authorization", "Bearer of-a-shop".parse().expect("a value"));
    let fake = Fake::new();
    let (_running, stockade) = connected(&fake, Options { headers, ..options() }).await;
    stockade.get_hold(get()).await.expect("an answer");
    let _granted = stockade.reserve(super::asking(1, 1)).await.expect("an answer");
    let seen = fake.headers.lock();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|headers| headers.get("authorization").is_some_and(|sent| sent == "Bearer of-a-shop")));
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_made_up_for_by_another() {
    let server = start(&[]).await;
    let endpoints = ["http://127.0.0.1:1", server.endpoint.as_str()];
    let stockade = Stockade::connect(endpoints, options()).await.expect("one of them");
    for _ in 0..20 {
        let error = stockade.get_hold(get()).await.expect_err("no such hold");
        assert_eq!(error.code(), Code::NotFound, "{error}");
    }
}

#[tokio::test]
async fn an_endpoint_that_is_silent_is_avoided_though_its_callers_gave_up_early() {
    // It accepts connections, and never sends a byte.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let silent = format!("http://{}", silent.local_addr().expect("an address"));
    let server = start(&[]).await;
    let endpoints = [silent, server.endpoint.clone()];
    let stockade = Stockade::connect(endpoints, Options { connections: 1, ..options() }).await.expect("one of them");
    let mut lost = 0;
    for _ in 0..40 {
        match tokio::time::timeout(Duration::from_millis(300), stockade.get_hold(get())).await {
            Ok(answered) => assert_eq!(answered.expect_err("no such hold").code(), Code::NotFound),
            Err(_elapsed) => lost += 1,
        }
    }
    assert!((1..10).contains(&lost), "{lost} of 40: who tries it, and not everybody whose turn it is");
}

#[tokio::test]
async fn a_deadline_may_be_as_long_as_one_likes() {
    let fake = Fake::new();
    let options = Options { deadline: Duration::MAX, attempt_timeout: Duration::MAX, ..options() };
    let (_running, stockade) = connected(&fake, options).await;
    stockade.get_hold(get()).await.expect("an answer");
    let _granted = stockade.reserve(super::asking(1, 1)).await.expect("an answer");
}

#[tokio::test]
async fn a_client_may_start_before_its_server() {
    // A port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("an address");
    let endpoint = format!("http://{address}");
    assert!(Stockade::connect([endpoint.as_str()], options()).await.is_err(), "a server is waited for");
    let stockade = Stockade::connect_lazy([endpoint], &options()).expect("an endpoint");
    let hasty = stockade.within(Duration::from_millis(100)).get_hold(get()).await.expect_err("nobody is there");
    assert!(hasty.is_in_doubt(), "{hasty}");
    let patient = tokio::spawn({
        let stockade = stockade.clone();
        async move { stockade.get_hold(get()).await }
    });
    tokio::task::yield_now().await;
    let _server = start(&[("grpc", &address.to_string())]).await;
    let error = patient.await.expect("no panic").expect_err("no such hold");
    assert_eq!(error.code(), Code::NotFound, "{error}");
}
