//! Many operations in one call, over a real socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prost::Message as _;
use stockade_client::Client;
use stockade_counter::stock::Certainty;
use stockade_engine::inventory::Availability;
use stockade_proto as pb;
use stockade_proto::operation::Operation;
use stockade_proto::reservation_service_client::ReservationServiceClient;
use stockade_proto::result::Result as Came;
use stockade_types::ids::{ItemNo, PoolNo};
use stockade_types::time::{Clock, Millis, Timestamp};
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::common::{Server, create, engine, hold_id, item, knife_drop, line, reserve, serve_here};
use crate::shop::{claim, has_lines, hold_of, knife_shop, metrics, release, returning, secs, stock_of};

/// The generated stub, which has the batch calls.
pub type Stub = ReservationServiceClient<Channel>;

/// A server with ten knives and three sheaths.
pub async fn shop() -> (Server, Client, Stub) {
    let (server, client) = knife_shop().await;
    let stub = Stub::connect(server.endpoint.clone()).await.expect("a connection");
    (server, client, stub)
}

pub fn operation(operation: Operation) -> pb::Operation {
    pb::Operation { operation: Some(operation) }
}

pub fn reserving(n: u8, customer: &str, quantity: u32) -> pb::Operation {
    operation(Operation::Reserve(reserve(n, "knife", customer, vec![line("KNIFE", quantity)])))
}

pub fn claiming(n: u8, order: &str) -> pb::Operation {
    operation(Operation::Claim(claim(n, order)))
}

fn releasing(n: u8, keep: Vec<pb::Line>) -> pb::Operation {
    operation(Operation::Release(release(n, keep)))
}

fn extending(n: u8) -> pb::Operation {
    operation(Operation::Extend(pb::ExtendRequest { hold_id: hold_id(n), ..Default::default() }))
}

async fn call(
    stub: &mut Stub,
    operations: Vec<pb::Operation>,
    view: pb::HoldView,
) -> Result<pb::BatchResponse, Status> {
    let request = pb::BatchRequest { operations, view: view.into() };
    stub.batch(request).await.map(tonic::Response::into_inner)
}

async fn batch(stub: &mut Stub, operations: Vec<pb::Operation>) -> Vec<pb::Result> {
    let answer = call(stub, operations, pb::HoldView::Unspecified).await.expect("an answer");
    assert!(answer.server_time.is_some());
    answer.results
}

async fn brief(stub: &mut Stub, operations: Vec<pb::Operation>) -> Vec<pb::Result> {
    call(stub, operations, pb::HoldView::Brief).await.expect("an answer").results
}

pub fn held(result: &pb::Result) -> &pb::Hold {
    match &result.result {
        Some(Came::Hold(hold)) => hold,
        other => panic!("no hold: {other:?}"),
    }
}

fn refused(result: &pb::Result) -> &pb::Refusal {
    match &result.result {
        Some(Came::Refusal(refusal)) => refusal,
        other => panic!("no refusal: {other:?}"),
    }
}

pub fn failed(result: &pb::Result) -> (Code, &pb::Error) {
    match &result.result {
        Some(Came::Error(error)) => (Code::from(i32::try_from(error.code).expect("a code")), error),
        other => panic!("no error: {other:?}"),
    }
}

pub fn fields(error: &pb::Error) -> Vec<&str> {
    error.field_violations.iter().map(|violation| violation.field.as_str()).collect()
}

pub async fn knives(client: &Client) -> pb::Stock {
    stock_of(client, "knife").await
}

#[tokio::test]
async fn operations_are_decided_in_list_order_each_as_a_call_of_its_own() {
    let (_server, client, mut stub) = shop().await;
    let operations = vec![
        claiming(1, "A1"),
        reserving(1, "ada", 2),
        reserving(2, "ada", 1),
        extending(1),
        claiming(1, "A1"),
        claiming(1, "A2"),
        operation(Operation::ReturnUnits(returning(1, Vec::new(), true))),
        reserving(2, "ada", 1),
        releasing(2, Vec::new()),
        claiming(2, "A3"),
    ];
    let results = batch(&mut stub, operations).await;
    assert_eq!(results.len(), 10);
    assert_eq!(failed(&results[0]).0, Code::NotFound, "it is reserved only by the next");
    assert_eq!(held(&results[1]).state(), pb::HoldState::Held);
    assert_eq!(refused(&results[2]).reason(), pb::RefusalReason::LimitReached);
    assert_eq!(held(&results[3]).state(), pb::HoldState::Held);
    assert_eq!((held(&results[4]).state(), results[4].claim_mode()), (pb::HoldState::Claimed, pb::ClaimMode::OnTime));
    assert_eq!(refused(&results[5]).reason(), pb::RefusalReason::OrderMismatch);
    assert_eq!(held(&results[6]).lines[0].returned, 2);
    assert_eq!(held(&results[7]).state(), pb::HoldState::Held, "what was returned counts no more");
    assert_eq!(held(&results[8]).state(), pb::HoldState::Released);
    assert_eq!(refused(&results[9]).reason(), pb::RefusalReason::HoldReleased);
    let others = results.iter().enumerate().filter(|(place, _)| *place != 4);
    assert!(others.map(|(_, result)| result.claim_mode()).all(|mode| mode == pb::ClaimMode::Unspecified));
    assert_eq!(&hold_of(&client, 1).await, held(&results[6]), "the whole hold is shown");
    assert_eq!(knives(&client).await.free, 10);
}

#[tokio::test]
async fn an_id_twice_in_a_batch_is_as_if_sent_twice() {
    let (_server, client, mut stub) = shop().await;
    let operations = vec![reserving(1, "ada", 1), reserving(1, "ada", 1), reserving(1, "ada", 2)];
    let results = batch(&mut stub, operations.clone()).await;
    assert_eq!(results[0], results[1]);
    let (code, error) = failed(&results[2]);
    assert_eq!(code, Code::AlreadyExists);
    assert!(error.message.contains("lines"), "{}", error.message);
    assert_eq!(batch(&mut stub, operations).await, results, "and sent again it answers the same");
    assert_eq!(knives(&client).await.held, 1);
}

#[tokio::test]
async fn a_faulty_operation_is_told_as_its_call_would_and_touches_no_other() {
    let (_server, client, mut stub) = shop().await;
    let faulty = reserve(2, "a b", "", vec![line("KNIFE", 0)]);
    let unbuilt =
        pb::ReserveRequest { admission_token: "t".into(), ..reserve(3, "knife", "bob", vec![line("KNIFE", 1)]) };
    let unknown = reserve(4, "knife", "bob", vec![line("KNIFE", 1), line("AXE", 1)]);
    let requests = [faulty, unbuilt, unknown];
    let mut operations = vec![reserving(1, "ada", 1)];
    operations.extend(requests.iter().cloned().map(|request| operation(Operation::Reserve(request))));
    operations.extend([pb::Operation::default(), reserving(5, "eve", 1)]);
    let results = batch(&mut stub, operations).await;
    for (request, result) in requests.into_iter().zip(&results[1..]) {
        let status = client.reserve(request).await.expect_err("faulty");
        let (code, error) = failed(result);
        assert_eq!((code, error.message.as_str()), (status.code(), status.message()));
        assert_eq!(fields(error), if code == Code::Unimplemented { Vec::new() } else { crate::shop::faulty(&status) });
    }
    assert_eq!(fields(failed(&results[1]).1), ["drop_id", "lines[0].quantity", "customer.id"]);
    assert_eq!(
        (failed(&results[2]).0, &*failed(&results[2]).1.message),
        (Code::Unimplemented, "not built yet: admission_token")
    );
    assert_eq!(fields(failed(&results[3]).1), ["lines[1].sku"]);
    assert_eq!((failed(&results[4]).0, fields(failed(&results[4]).1)), (Code::InvalidArgument, vec!["operation"]));
    assert_eq!(knives(&client).await.held, 2, "the good ones were served");
}

#[tokio::test]
async fn the_brief_view_shows_no_more_than_is_needed() {
    let (_server, _client, mut stub) = shop().await;
    let twice = reserve(1, "knife", "ada", vec![line("SHEATH", 1), line("KNIFE", 1)]);
    let twice = || operation(Operation::Reserve(twice.clone()));
    let full = batch(&mut stub, vec![twice()]).await;
    let full = held(&full[0]);
    let results = brief(&mut stub, vec![twice(), extending(1)]).await;
    let wanted = pb::Hold {
        state: pb::HoldState::Held.into(),
        expires_at: full.expires_at,
        revision: full.revision,
        ..Default::default()
    };
    assert_eq!(held(&results[0]), &wanted);
    // A moment later its deadline is a moment later.
    let extended = held(&results[1]);
    assert!(extended.revision >= full.revision && extended.expires_at.is_some(), "{extended:?}");
    assert_eq!(extended, &pb::Hold { revision: extended.revision, expires_at: extended.expires_at, ..wanted });
    let keep = || vec![line("KNIFE", 1)];
    let results = brief(&mut stub, vec![releasing(1, keep()), twice(), extending(1), claiming(1, "A1"), twice()]).await;
    assert!(held(&results[0]).lines.is_empty(), "what is kept is what was asked for");
    for result in &results[1..] {
        let lines: Vec<_> = held(result).lines.iter().map(|l| (l.sku.as_str(), l.quantity, l.released)).collect();
        assert_eq!(lines, [("KNIFE", 1, 0), ("SHEATH", 0, 1)], "the request does not say this");
        assert_eq!((held(result).id.as_str(), held(result).customer_id.as_str()), ("", ""));
    }
    let refusals = brief(&mut stub, vec![claiming(1, "A2"), reserving(9, "ada", 99)]).await;
    let hold = refused(&refusals[0]).hold.as_ref().expect("the hold in question");
    assert_eq!((hold.state(), hold.id.as_str(), hold.lines.len()), (pb::HoldState::Claimed, "", 2));
    assert_eq!(refused(&refusals[1]).hold, None);
    let more =
        brief(&mut stub, vec![reserving(2, "bob", 2), releasing(2, vec![line("KNIFE", 9)]), releasing(2, vec![])])
            .await;
    assert_eq!(held(&more[1]).lines[0].quantity, 2, "a hold does not grow, and says so");
    assert!(held(&more[2]).lines.is_empty());
}

#[tokio::test]
async fn a_message_that_is_faulty_as_a_whole_is_refused_as_a_whole() {
    let (_server, client, mut stub) = shop().await;
    let mut too_many = vec![pb::Operation::default(); 5_000];
    too_many.push(reserving(1, "ada", 1));
    for (operations, view, field) in
        [(Vec::new(), 0, "operations"), (too_many, 0, "operations"), (vec![reserving(1, "ada", 1)], 7, "view")]
    {
        let status = stub.batch(pb::BatchRequest { operations, view }).await.expect_err("faulty");
        assert_eq!(crate::shop::faulty(&status), [field]);
        assert!(status.message().contains(field), "{}", status.message());
    }
    assert_eq!(knives(&client).await.held, 0);
    let full = vec![extending(1); 5_000];
    let results = batch(&mut stub, full).await;
    assert_eq!(results.len(), 5_000);
    assert!(results.iter().all(|result| failed(result).0 == Code::NotFound));
}

/// A reserve whose hold is as long as may be, of a drop of its own.
async fn long_cart(client: &Client) -> pb::Operation {
    let sku = |n: usize| format!("{n:0>128}");
    let items = (0..32).map(|n| item(&sku(n), 100)).collect();
    create(client, pb::Drop { id: "long".into(), items, ..Default::default() }).await;
    operation(Operation::Reserve(reserve(1, "long", "ada", (0..32).map(|n| line(&sku(n), 1)).collect())))
}

/// The results of holds from the front.
fn whole(answer: &pb::BatchResponse) -> usize {
    answer.results.iter().take_while(|result| matches!(result.result, Some(Came::Hold(_)))).count()
}

#[tokio::test]
async fn an_answer_stays_below_four_mebibytes_and_what_is_left_out_is_not_done() {
    let (server, client, mut stub) = shop().await;
    let mut operations = vec![long_cart(&client).await];
    operations.extend(vec![extending(1); 4_998]);
    operations.push(reserving(2, "ada", 1));
    let answer = call(&mut stub, operations.clone(), pb::HoldView::Full).await.expect("below what a client takes");
    assert!(answer.encoded_len() < 4 * 1024 * 1024, "{}", answer.encoded_len());
    assert!(answer.encoded_len() > 3 * 1024 * 1024, "{}: room is used", answer.encoded_len());
    assert_eq!(answer.results.len(), 5_000);
    let whole = whole(&answer);
    assert!(whole > 500, "{whole}");
    for result in &answer.results[whole..] {
        let (code, error) = failed(result);
        let reported = "batch answer too large; send again in smaller batches";
        assert_eq!((code, &*error.message), (Code::ResourceExhausted, reported));
    }
    assert_eq!(knives(&client).await.held, 0, "the last was not done");
    let results = brief(&mut stub, operations).await;
    assert!(
        results.iter().all(|result| matches!(result.result, Some(Came::Hold(_)))),
        "in brief there is room for all"
    );
    assert_eq!(knives(&client).await.held, 1);
    assert_eq!(server.stop().await.expect("no panic").map_err(|error| error.to_string()), Ok(()));
}

#[tokio::test]
async fn reserves_that_are_decided_in_runs_leave_an_answer_below_four_mebibytes_too() {
    let (server, client, mut stub) = shop().await;
    let operations = vec![long_cart(&client).await; 930];
    let answer = call(&mut stub, operations, pb::HoldView::Full).await.expect("below what a client takes");
    assert!(answer.encoded_len() < 4 * 1024 * 1024, "{}", answer.encoded_len());
    let whole = whole(&answer);
    assert!(whole > 500 && whole < 930, "{whole}");
    assert!(answer.results[whole..].iter().all(|result| failed(result).0 == Code::ResourceExhausted));
    assert_eq!(server.stop().await.expect("no panic").map_err(|error| error.to_string()), Ok(()));
}

#[tokio::test]
async fn each_operation_is_counted_and_so_is_the_call() {
    let (server, _client, mut stub) = shop().await;
    let faulty = operation(Operation::Extend(pb::ExtendRequest::default()));
    let operations = vec![
        reserving(1, "ada", 2),
        reserving(2, "ada", 1),
        reserving(3, "bob", 2),
        claiming(1, "A"),
        faulty,
        releasing(8, vec![]),
    ];
    batch(&mut stub, operations).await;
    stub.batch(pb::BatchRequest::default()).await.expect_err("empty");
    let wanted = [
        "stockade_operations_total{operation=\"reserve\",outcome=\"ok\"} 2",
        "stockade_operations_total{operation=\"reserve\",outcome=\"refused\"} 1",
        "stockade_operations_total{operation=\"reserve\",outcome=\"error\"} 0",
        "stockade_operations_total{operation=\"claim\",outcome=\"ok\"} 1",
        "stockade_operations_total{operation=\"extend\",outcome=\"error\"} 1",
        "stockade_operations_total{operation=\"release\",outcome=\"error\"} 1",
        "stockade_rpcs_total{method=\"Batch\",code=\"OK\"} 1",
        "stockade_rpcs_total{method=\"Batch\",code=\"INVALID_ARGUMENT\"} 1",
        "stockade_request_duration_seconds_count{method=\"Batch\"} 2",
    ];
    has_lines(&metrics(&server).await, &wanted);
}

/// A clock that returns one instant for a number of readings, and then a later one.
struct Readings {
    left: AtomicU64,
    before: Timestamp,
    after: Timestamp,
}

impl Clock for Readings {
    fn now(&self) -> Timestamp {
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_ok() { self.before } else { self.after }
    }
}

#[tokio::test]
async fn what_follows_an_operation_that_had_to_wait_is_decided_no_earlier() {
    let start = Timestamp(1_800_000_000_000);
    let after = start.plus(Millis(60_000));
    let clock = Arc::new(Readings { left: AtomicU64::new(1_000), before: start, after });
    let (engine, seen): (_, Arc<dyn Clock>) = (engine(), clock.clone());
    let endpoint = serve_here(&engine, seen, &Arc::default()).await;
    let client = Client::connect(&endpoint).await.expect("a connection");
    let ttl = Some(secs(60));
    create(&client, pb::Drop { hold_ttl: ttl, ..knife_drop("knife") }).await;
    crate::common::held(&client, reserve(1, "knife", "ada", vec![line("KNIFE", 1)])).await;
    // All units of the first operation's item are taken, and may be given back.
    let drops = engine.inventory().drops.all();
    let pool = drops[0].pool(ItemNo(1), PoolNo(0)).expect("a pool");
    let Availability::Yes(taken) = pool.take(3, Certainty::Doubtful, start) else { panic!("all are free") };
    // Two readings for the message and one for its operations. While the first operation waits, the hold falls due.
    clock.left.store(3, Ordering::SeqCst);
    let waiting = operation(Operation::Reserve(reserve(2, "knife", "bea", vec![line("SHEATH", 1)])));
    let mut stub = Stub::connect(endpoint).await.expect("a connection");
    let asking = batch(&mut stub, vec![waiting, claiming(1, "o-1")]);
    let meanwhile = async {
        while clock.left.load(Ordering::SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
        tokio::task::yield_now().await;
        drop(taken);
    };
    let (results, ()) = tokio::join!(asking, meanwhile);
    let Some(Came::Refusal(refusal)) = &results[1].result else { panic!("claimed past its deadline: {results:?}") };
    assert_eq!(refusal.reason(), pb::RefusalReason::HoldExpired);
}
