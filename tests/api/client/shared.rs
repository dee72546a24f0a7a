//! Operations of many callers in shared messages.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use stockade_client::{Batching, Options, Outcome, Stockade};
use stockade_proto as pb;
use tokio::sync::Semaphore;
use tonic::Code;

use super::fake::{Fake, Message};
use super::{all_are_granted, all_at_once, asking, batching, connected, each_granted, granted, id, options};
use crate::common::{Server, line, reserve};
use crate::shop::{claim, eventually, knife_shop, limit, metrics, plain_drop, release, returning, shop, staged};

pub async fn plenty() -> (Server, Stockade) {
    let limits = vec![pb::Limit { max_units: Some(2), ..limit("two-each", pb::LimitScope::Drop) }];
    let (server, _) = shop(pb::Drop { limits, ..plain_drop("plenty", "SKU", 1_000_000) }).await;
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
        let page = metrics(server).await;
        let streams = page.lines().filter(|line| line.starts_with("stockade_rpcs_total{method=\"BatchStream\""));
        if streams.map(last_word).sum::<u64>() > 0 {
            return page;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn every_verb_has_its_own_kind_of_answer() {
    let (server, _client) = knife_shop().await;
    let stockade = Stockade::connect([server.endpoint.as_str()], options()).await.expect("a connection");
    let reserved =
        granted(stockade.reserve(reserve(1, "knife", "ada", vec![line("KNIFE", 2)])).await.expect("an answer"));
    assert_eq!(reserved.hold.state(), pb::HoldState::Held);
    let paying = granted(stockade.extend(staged(1, pb::HoldStage::Paying)).await.expect("an answer"));
    assert_eq!(paying.hold.state(), pb::HoldState::Paying);
    assert!(paying.time_left() > reserved.time_left(), "a payment has longer");
    let refusal = stockade.release(release(1, vec![])).await.expect("an answer").granted().expect_err("in payment");
    assert_eq!(refusal.reason, pb::RefusalReason::PaymentInProgress);
    assert_eq!(refusal.hold.as_ref(), Some(&paying.hold));
    let sold = granted(stockade.claim(claim(1, "A")).await.expect("an answer"));
    assert_eq!((sold.mode, sold.hold.order_ref.as_str()), (pb::ClaimMode::OnTime, "A"));
    let back = returning(1, vec![line("KNIFE", 1)], false);
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
    eventually("a message of its own", async || fake.sizes() == [1]).await;
    let crowd = tokio::spawn(async move { all_at_once(&stockade, (1..=2_500).map(|n| asking(n, 1))).await });
    eventually("a second message", async || fake.sizes().len() == 2).await;
    gate.add_permits(OPEN);
    let _granted = alone.await.expect("no panic").expect("an answer");
    each_granted(1, crowd.await.expect("no panic"));
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
        eventually("as many as may be", async || fake.sizes().len() >= on_their_way).await;
        // Time for further messages to arrive.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let sizes = fake.sizes();
        assert!(sizes.len() == on_their_way && sizes.iter().all(|size| *size <= 10), "{sizes:?}");
        gate.add_permits(1);
    }
    gate.add_permits(OPEN);
    each_granted(0, crowd.await.expect("no panic"));
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
    eventually("the first message", async || fake.sizes() == [1]).await;
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
    all_are_granted(&stockade, 0..30).await;
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
    eventually("the stream is closed", async || fake.ended.load(Ordering::Relaxed) == 1).await;
    assert_eq!(fake.asked_for(), [id(1)]);
}
