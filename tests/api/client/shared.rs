//! Operations of many callers in shared messages.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use stockade_client::{Batching, Options, Outcome, Stockade};
use stockade_proto as pb;
use tokio::sync::Semaphore;
use tonic::Code;

use super::fake::{Fake, Message, Running};
use super::{all_at_once, asking, batching, granted, id, options, until};
use crate::common::{Server, create, get, hold_id, item, knife_drop, line, reserve, start};

pub async fn plenty() -> (Server, Stockade) {
    let server = start(&[]).await;
    let two_each = pb::Limit {
        id: "two-each".into(),
        scope: pb::LimitScope::Drop.into(),
        max_units: Some(2),
        ..pb::Limit::default()
    };
    let items = vec![item("SKU", 1_000_000)];
    let drop = pb::Drop { id: "plenty".into(), items, limits: vec![two_each], ..pb::Drop::default() };
    create(&server.client().await, drop).await;
    let stockade = Stockade::connect([server.endpoint.as_str()], options()).await.expect("a connection");
    (server, stockade)
}

/// A fake each of whose answers waits for a permit.
fn gated() -> (Fake, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let fake = Fake::new().on_message(move |message: Message| {
        let gate = Arc::clone(&opened);
        async move {
            gate.acquire().await.expect("a gate").forget();
            Ok(message.grant())
        }
    });
    (fake, gate)
}

async fn connected(fake: &Fake, options: Options) -> (Running, Stockade) {
    let running = fake.serve();
    let stockade = Stockade::connect([running.endpoint.as_str()], options).await.expect("a connection");
    (running, stockade)
}

const OPEN: usize = 1_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn each_of_thousands_gets_its_own_answer_over_one_stream() {
    let (server, stockade) = plenty().await;
    // Every third requests too much, every fifth nothing at all.
    let units = |n: u32| match n {
        _ if n.is_multiple_of(5) => 0,
        _ if n.is_multiple_of(3) => 3,
        _ => 1 + n % 2,
    };
    let ended = all_at_once(&stockade, (0..5_000).map(|n| asking(n, units(n)))).await;
    let (mut held, mut refused, mut faulty) = (0, 0, 0);
    for (n, ended) in (0..).zip(ended) {
        match (units(n), ended) {
            (units @ (1 | 2), Ok(Outcome::Granted(reserved))) => {
                assert_eq!((&reserved.hold.id, &reserved.hold.customer_id), (&id(n), &format!("c{n}")));
                assert_eq!(reserved.hold.lines[0].quantity, units);
                assert!(!reserved.time_left().is_zero());
                held += 1;
            }
            (3, Ok(Outcome::Refused(refusal))) => {
                assert_eq!(refusal.reason, pb::RefusalReason::LimitReached);
                assert_eq!((refusal.lines[0].requested, refusal.lines[0].available), (3, 2));
                assert_eq!(refusal.limit.as_ref().map(|limit| limit.max), Some(2));
                refused += 1;
            }
            (0, Err(error)) => {
                assert_eq!(
                    (error.code(), error.violations()[0].field.as_str()),
                    (Code::InvalidArgument, "lines[0].quantity")
                );
                faulty += 1;
            }
            (units, other) => panic!("{units} units: {other:?}"),
        }
    }
    assert_eq!(held + refused + faulty, 5_000);
    drop(stockade);
    let page = once_a_stream_has_ended(&server).await;
    let value = |name: &str| -> u64 { page.lines().filter_map(|line| line.strip_prefix(name)).map(last_word).sum() };
    assert_eq!(value("stockade_rpcs_total{method=\"BatchStream\""), 1, "one stream for all:\n{page}");
    assert_eq!(value("stockade_rpcs_total{method=\"Reserve\""), 0, "no call of its own");
    assert_eq!(value("stockade_operations_total{operation=\"reserve\",outcome=\"ok\"}"), held);
    assert_eq!(value("stockade_operations_total{operation=\"reserve\",outcome=\"refused\"}"), refused);
    assert_eq!(value("stockade_operations_total{operation=\"reserve\",outcome=\"error\"}"), faulty);
}

fn last_word(line: &str) -> u64 {
    line.rsplit(' ').next().and_then(|word| word.parse().ok()).expect("a count")
}

/// The metrics page once a stream has ended.
async fn once_a_stream_has_ended(server: &Server) -> String {
    loop {
        let (_, page) = get(server.http, "/metrics", "text/plain").await;
        let streams = page.lines().filter(|line| line.starts_with("stockade_rpcs_total{method=\"BatchStream\""));
        if streams.map(last_word).sum::<u64>() > 0 {
            return page;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn every_verb_has_its_own_kind_of_answer() {
    let server = start(&[]).await;
    create(&server.client().await, knife_drop("knife")).await;
    let stockade = Stockade::connect([server.endpoint.as_str()], options()).await.expect("a connection");
    let reserved =
        granted(stockade.reserve(reserve(1, "knife", "ada", vec![line("KNIFE", 2)])).await.expect("an answer"));
    assert_eq!(reserved.hold.state(), pb::HoldState::Held);
    let extend =
        pb::ExtendRequest { hold_id: hold_id(1), stage: pb::HoldStage::Paying.into(), ..pb::ExtendRequest::default() };
    let paying = granted(stockade.extend(extend).await.expect("an answer"));
    assert_eq!(paying.hold.state(), pb::HoldState::Paying);
    assert!(paying.time_left() > reserved.time_left(), "a payment has longer");
    let release = pb::ReleaseRequest { hold_id: hold_id(1), ..pb::ReleaseRequest::default() };
    let refusal = stockade.release(release).await.expect("an answer").granted().expect_err("in payment");
    assert_eq!(refusal.reason, pb::RefusalReason::PaymentInProgress);
    assert_eq!(refusal.hold.as_ref(), Some(&paying.hold));
    let claim = pb::ClaimRequest { hold_id: hold_id(1), order_ref: "A".into(), ..pb::ClaimRequest::default() };
    let sold = granted(stockade.claim(claim).await.expect("an answer"));
    assert_eq!((sold.mode, sold.hold.order_ref.as_str()), (pb::ClaimMode::OnTime, "A"));
    let back = pb::ReturnUnitsRequest {
        hold_id: hold_id(1),
        returned: vec![line("KNIFE", 1)],
        ..pb::ReturnUnitsRequest::default()
    };
    assert_eq!(granted(stockade.return_units(back).await.expect("an answer")).hold.lines[0].returned, 1);
}

#[tokio::test]
async fn who_comes_alone_goes_at_once_and_a_crowd_shares() {
    let (fake, gate) = gated();
    let (_running, stockade) = connected(&fake, batching(1_000, 2, 10_000)).await;
    let alone = tokio::spawn({
        let stockade = stockade.clone();
        async move { stockade.reserve(asking(0, 1)).await }
    });
    until("a message of its own", || fake.sizes() == [1]).await;
    let crowd = tokio::spawn(async move { all_at_once(&stockade, (1..=2_500).map(|n| asking(n, 1))).await });
    until("a second message", || fake.sizes().len() == 2).await;
    gate.add_permits(OPEN);
    let _granted = alone.await.expect("no panic").expect("an answer");
    for (n, ended) in (1..).zip(crowd.await.expect("no panic")) {
        assert_eq!(granted(ended.expect("an answer")).hold.id, id(n));
    }
    let sizes = fake.sizes();
    assert_eq!(sizes.iter().sum::<usize>(), 2_501, "each once: {sizes:?}");
    assert!(sizes.iter().all(|size| *size <= 1_000), "{sizes:?}");
    assert!(sizes.len() < 250, "shared: {sizes:?}");
    assert_eq!(fake.streams.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn no_more_is_on_its_way_than_is_allowed() {
    let (fake, gate) = gated();
    let (_running, stockade) = connected(&fake, batching(10, 3, 5)).await;
    let crowd = tokio::spawn({
        let stockade = stockade.clone();
        async move { all_at_once(&stockade, (0..200).map(|n| asking(n, 1))).await }
    });
    for on_their_way in 3..6 {
        until("as many as may be", || fake.sizes().len() >= on_their_way).await;
        // Time for further messages to arrive.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let sizes = fake.sizes();
        assert!(sizes.len() == on_their_way && sizes.iter().all(|size| *size <= 10), "{sizes:?}");
        gate.add_permits(1);
    }
    gate.add_permits(OPEN);
    for (n, ended) in (0..).zip(crowd.await.expect("no panic")) {
        assert_eq!(granted(ended.expect("an answer")).hold.id, id(n));
    }
    assert!(fake.sizes().iter().all(|size| *size <= 10));
}

#[tokio::test]
async fn callers_that_go_away_take_nothing_with_them() {
    let (fake, gate) = gated();
    let (_running, stockade) = connected(&fake, batching(1_000, 1, 4)).await;
    let call = |n: u32| {
        let stockade = stockade.clone();
        tokio::spawn(async move { stockade.reserve(asking(n, 1)).await })
    };
    let first = call(0);
    until("the first message", || fake.sizes() == [1]).await;
    // Four have room in the queue, the others wait for room.
    let mut waiting: Vec<_> = (1..=12).map(call).collect();
    tokio::task::yield_now().await;
    // Aborts the call in flight, and every second one of the waiting calls.
    first.abort();
    let mut gone = Vec::new();
    for (n, call) in (1..=12).zip(&waiting) {
        if n % 2 == 0 {
            call.abort();
            gone.push(id(n));
        }
    }
    // An aborted task has dropped its call once it is joined.
    for n in [12, 10, 8, 6, 4, 2] {
        assert!(waiting.remove(n - 1).await.is_err_and(|error| error.is_cancelled()));
    }
    gate.add_permits(OPEN);
    for (n, call) in [1, 3, 5, 7, 9, 11].into_iter().zip(waiting) {
        let reserved = granted(call.await.expect("no panic").expect("an answer"));
        assert_eq!(reserved.hold.id, id(n), "the others get their own");
    }
    let asked = fake.asked_for();
    assert!(gone.iter().all(|id| !asked.contains(id)), "what nobody waits for is not sent: {asked:?}");
    assert_eq!(asked.len(), 7, "each once");
    // All the room is free again.
    let all: Vec<_> = join_all((20..60).map(|n| stockade.reserve(asking(n, 1)))).await;
    assert!(all.into_iter().all(|ended| ended.is_ok()));
}

#[tokio::test]
async fn several_streams_and_the_brief_view_can_be_had() {
    let fake = Fake::new();
    let options =
        Options { batching: Batching { streams: 3, view: pb::HoldView::Brief, ..Batching::default() }, ..options() };
    let (_running, stockade) = connected(&fake, options).await;
    for (n, ended) in (0..).zip(all_at_once(&stockade, (0..30).map(|n| asking(n, 1))).await) {
        assert_eq!(granted(ended.expect("an answer")).hold.id, id(n));
    }
    assert_eq!(fake.streams.load(Ordering::Relaxed), 3);
    assert!(fake.messages.lock().iter().all(|message| message.view == pb::HoldView::Brief));
}

#[tokio::test]
async fn counts_beyond_all_bounds_are_brought_within_them() {
    let fake = Fake::new();
    for most in [0, usize::MAX] {
        let batching = Batching { operations: most, messages: most, queue: most, streams: most, ..Batching::default() };
        let (_running, stockade) = connected(&fake, Options { connections: most, batching, ..options() }).await;
        for ended in all_at_once(&stockade, (0..100).map(|n| asking(n, 1))).await {
            assert!(ended.is_ok());
        }
    }
    assert_eq!(fake.streams.load(Ordering::Relaxed), 1 + Batching::STREAMS_MAX);
}

#[tokio::test]
async fn nothing_is_opened_before_it_is_needed_nor_left_behind() {
    let fake = Fake::new();
    let (_running, stockade) = connected(&fake, options()).await;
    tokio::task::yield_now().await;
    assert_eq!(fake.streams.load(Ordering::Relaxed), 0);
    // Too large for any message: the client refuses it, and the others go on.
    let monster = pb::ReserveRequest { admission_token: "x".repeat(2 * 1024 * 1024), ..asking(0, 1) };
    assert_eq!(stockade.reserve(monster).await.expect_err("too large").code(), Code::InvalidArgument);
    let _granted = stockade.reserve(asking(1, 1)).await.expect("an answer");
    drop(stockade);
    until("the stream is closed", || fake.ended.load(Ordering::Relaxed) == 1).await;
    assert_eq!(fake.asked_for(), [id(1)]);
}
