//! Many operations as a stream of messages, over a real socket.

use std::time::Duration;

use futures_util::StreamExt as _;
use stockade_proto as pb;
use stockade_proto::operation::Operation;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::batch::{Stub, claiming, failed, fields, held, knives, operation, reserving, shop};
use crate::common::{create, line};
use crate::shop::{WAIT_TIMEOUT, comes_again, ends_well, has_lines, metrics, narrow, plain_drop, stock_of};

/// A stream: the sender of messages, and the answers.
struct Pipe {
    messages: mpsc::Sender<pb::BatchStreamRequest>,
    answers: Streaming<pb::BatchStreamResponse>,
}

impl Pipe {
    async fn open(stub: &mut Stub) -> Self {
        let (messages, sent) = mpsc::channel(128);
        let answers = stub.batch_stream(ReceiverStream::new(sent)).await.expect("a stream").into_inner();
        Self { messages, answers }
    }

    async fn send(&self, sequence: u64, operations: Vec<pb::Operation>) {
        let view = pb::HoldView::Brief.into();
        self.messages.send(pb::BatchStreamRequest { sequence, operations, view }).await.expect("an open stream");
    }

    async fn answer(&mut self) -> pb::BatchStreamResponse {
        self.next().await.expect("no end").expect("an answer")
    }

    async fn next(&mut self) -> Option<Result<pb::BatchStreamResponse, Status>> {
        tokio::time::timeout(WAIT_TIMEOUT, self.answers.next()).await.expect("in time")
    }
}

/// A message with this many reserves of one unit each, of a drop without limits.
fn many(message: u32, operations: u32) -> Vec<pb::Operation> {
    let reserve = |n: u32| pb::ReserveRequest {
        hold_id: format!("018f4e9a-7c1e-7b3a-9d52-{message:06x}{n:06x}"),
        drop_id: "plenty".into(),
        lines: vec![line("SKU", 1)],
        customer: Some(pb::Customer { id: format!("c{n}"), ..Default::default() }),
        ..Default::default()
    };
    (0..operations).map(|n| operation(Operation::Reserve(reserve(n)))).collect()
}

async fn plenty(client: &stockade_client::Client) {
    create(client, plain_drop("plenty", "SKU", 1_000_000)).await;
}

async fn units_held(client: &stockade_client::Client) -> u64 {
    stock_of(client, "plenty").await.held
}

#[tokio::test]
async fn answers_come_in_the_order_of_the_requests_however_many_are_sent_ahead() {
    let (server, client, mut stub) = shop().await;
    plenty(&client).await;
    let mut pipe = Pipe::open(&mut stub).await;
    // The first message is the longest, so an answer that overtook it would show.
    for message in 0..100 {
        pipe.send(1_000 - u64::from(message), many(message, if message == 0 { 3_000 } else { 20 })).await;
    }
    drop(std::mem::replace(&mut pipe.messages, mpsc::channel(1).0));
    let mut revision = 0;
    for message in 0..100 {
        let answer = pipe.answer().await;
        assert_eq!(answer.sequence, 1_000 - message, "echoed as it is");
        assert_eq!(answer.results.len(), if message == 0 { 3_000 } else { 20 });
        for result in &answer.results {
            assert!(held(result).revision > revision, "decided in list order, message by message");
            revision = held(result).revision;
        }
        assert!(answer.server_time.is_some());
    }
    assert!(pipe.next().await.is_none(), "the end, after the last answer");
    assert_eq!(units_held(&client).await, 4_980);
    let wanted = [
        "stockade_operations_total{operation=\"reserve\",outcome=\"ok\"} 4980",
        "stockade_rpcs_total{method=\"BatchStream\",code=\"OK\"} 1",
    ];
    has_lines(&metrics(&server).await, &wanted);
}

#[tokio::test]
async fn a_stream_can_be_talked_over_message_by_message() {
    let (_server, _client, mut stub) = shop().await;
    let mut pipe = Pipe::open(&mut stub).await;
    pipe.send(1, vec![reserving(1, "ada", 1)]).await;
    assert_eq!(held(&pipe.answer().await.results[0]).state(), pb::HoldState::Held);
    pipe.send(2, vec![claiming(1, "A")]).await;
    let answer = pipe.answer().await;
    assert_eq!((answer.sequence, answer.results[0].claim_mode()), (2, pb::ClaimMode::OnTime));
}

#[tokio::test]
async fn a_faulty_message_is_answered_and_the_stream_goes_on() {
    let (_server, client, mut stub) = shop().await;
    let mut pipe = Pipe::open(&mut stub).await;
    let mut too_many = vec![pb::Operation::default(); 5_000];
    too_many.push(reserving(1, "ada", 1));
    pipe.send(1, too_many).await;
    pipe.send(2, Vec::new()).await;
    let bad_view = pb::BatchStreamRequest { sequence: 3, operations: vec![reserving(1, "ada", 1)], view: 7 };
    pipe.messages.send(bad_view).await.expect("an open stream");
    pipe.send(4, vec![pb::Operation::default(), reserving(2, "ada", 1)]).await;
    pipe.send(5, vec![pb::Operation::default(); 10_000]).await;
    pipe.send(6, vec![reserving(3, "bob", 1)]).await;
    // A message with this many operations is not decoded.
    pipe.send(7, vec![pb::Operation::default(); 10_001]).await;
    for (sequence, results, field) in [(1, 5_001, "operations"), (2, 0, ""), (3, 1, "view")] {
        let answer = pipe.answer().await;
        assert_eq!((answer.sequence, answer.results.len()), (sequence, results));
        for result in &answer.results {
            let (code, error) = failed(result);
            assert_eq!((code, fields(error)), (Code::InvalidArgument, vec![field]));
        }
    }
    let answer = pipe.answer().await;
    assert_eq!((answer.sequence, fields(failed(&answer.results[0]).1)), (4, vec!["operation"]));
    assert_eq!(held(&answer.results[1]).state(), pb::HoldState::Held);
    assert_eq!(pipe.answer().await.results.len(), 10_000);
    assert_eq!(held(&pipe.answer().await.results[0]).state(), pb::HoldState::Held);
    let end = pipe.next().await.expect("an end").expect_err("no answer");
    assert_eq!(end.code(), Code::InvalidArgument);
    assert_eq!(end.message(), "operations: has more than 10000 entries");
    assert_eq!(knives(&client).await.held, 2);
}

#[tokio::test]
async fn a_stream_that_was_cut_can_be_sent_again() {
    let (_server, client, mut stub) = shop().await;
    plenty(&client).await;
    let mut pipe = Pipe::open(&mut stub).await;
    for message in 0..40 {
        pipe.send(u64::from(message), many(message, 500)).await;
    }
    let first = pipe.answer().await;
    drop(pipe);
    let mut answers = Vec::new();
    for _ in 0..2 {
        let mut pipe = Pipe::open(&mut stub).await;
        for message in 0..40 {
            pipe.send(u64::from(message), many(message, 500)).await;
        }
        let mut round = Vec::new();
        for _ in 0..40 {
            round.push(pipe.answer().await.results);
        }
        answers.push(round);
    }
    assert_eq!(first.results, answers[0][0]);
    assert_eq!(answers[0], answers[1], "sent again: the same answers");
    assert_eq!(units_held(&client).await, 20_000, "and nothing twice");
}

#[tokio::test]
async fn who_does_not_fetch_answers_is_not_read_from() {
    let (server, client, _stub) = shop().await;
    plenty(&client).await;
    let mut pipe = Pipe::open(&mut Stub::new(narrow(&server.endpoint).await)).await;
    for message in 0..20 {
        let view = pb::HoldView::Full.into();
        let message = pb::BatchStreamRequest { sequence: message.into(), operations: many(message, 4_000), view };
        pipe.messages.send(message).await.expect("an open stream");
    }
    let mut before = 0;
    let stalled = loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = units_held(&client).await;
        if now == before && now > 0 {
            break now;
        }
        before = now;
    };
    assert!(stalled <= 10 * 4_000, "{stalled} decided for a caller who does not listen");
    for sequence in 0..20 {
        assert_eq!(pipe.answer().await.sequence, sequence);
    }
    assert_eq!(units_held(&client).await, 80_000, "and once it does, it goes on");
}

#[tokio::test]
async fn a_server_that_stops_ends_streams_at_a_message_boundary() {
    let (server, client, mut stub) = shop().await;
    plenty(&client).await;
    let (mut busy, mut idle) = (Pipe::open(&mut stub).await, Pipe::open(&mut stub).await);
    for message in 0..60 {
        busy.send(u64::from(message), many(message, 2_000)).await;
    }
    assert_eq!(busy.answer().await.sequence, 0);
    let ended = server.stop();
    let mut answered = 1;
    let status = loop {
        match busy.next().await.expect("an end with a status") {
            Ok(answer) => {
                assert_eq!((answer.sequence, answer.results.len()), (answered, 2_000), "whole messages, in order");
                answered += 1;
            }
            Err(status) => break status,
        }
    };
    assert!(answered < 60, "it ended before all were answered");
    assert_eq!(idle.next().await.expect("an end with a status").expect_err("no answer").code(), Code::Unavailable);
    comes_again("a stream", &status);
    // Well before the drain timeout.
    ends_well(ended).await;
}
