//! The client for services, against a real server and against one that misbehaves on command.

mod attempts;
mod cuts;
mod fake;
mod lists;
mod shared;
mod streams;

use std::ops::Range;
use std::time::Duration;

use stockade_client::{Batching, Error, Options, Outcome, Reserved, Retry, Stockade};
use stockade_proto as pb;
use tonic::Status;

use self::fake::{Fake, Running};
use crate::common::line;

/// Many attempts, so that a busy machine fails no test, with short delays.
fn options() -> Options {
    let retry = Retry { attempts: 50, shortest_delay: Duration::from_millis(2), ..Retry::default() };
    Options { deadline: Duration::from_mins(1), attempt_timeout: Duration::from_secs(30), retry, ..Options::default() }
}

fn batching(operations: usize, messages: usize, queue: usize) -> Options {
    Options { batching: Batching { operations, messages, queue, ..Batching::default() }, ..options() }
}

/// The n-th hold's id.
fn id(n: u32) -> String {
    format!("018f4e9a-7c1e-7b3a-9d52-{n:012x}")
}

fn asking(n: u32, quantity: u32) -> pb::ReserveRequest {
    pb::ReserveRequest {
        hold_id: id(n),
        drop_id: "plenty".into(),
        lines: vec![line("SKU", quantity)],
        customer: Some(pb::Customer { id: format!("c{n}"), ..Default::default() }),
        ..Default::default()
    }
}

fn granted<T: std::fmt::Debug>(outcome: Outcome<T>) -> T {
    outcome.granted().expect("no refusal")
}

/// What a call has ended with.
type Ended = Result<Outcome<Reserved>, Error>;

/// Many callers at once, each in a task of its own. Returns their results in order.
async fn all_at_once(stockade: &Stockade, requests: impl IntoIterator<Item = pb::ReserveRequest>) -> Vec<Ended> {
    let call = |request| {
        let stockade = stockade.clone();
        tokio::spawn(async move { stockade.reserve(request).await })
    };
    let calls: Vec<_> = requests.into_iter().map(call).collect();
    let mut ended = Vec::new();
    for call in calls {
        ended.push(call.await.expect("no panic"));
    }
    ended
}

/// Checks that the n-th caller and those after it have each got their own hold.
fn each_granted(n: u32, ended: Vec<Ended>) {
    for (n, ended) in (n..).zip(ended) {
        assert_eq!(granted(ended.expect("an answer")).hold.id, id(n));
    }
}

/// These callers at once each get their own hold.
async fn all_are_granted(stockade: &Stockade, callers: Range<u32>) {
    each_granted(callers.start, all_at_once(stockade, callers.map(|n| asking(n, 1))).await);
}

/// A client of a fake.
async fn connected(fake: &Fake, options: Options) -> (Running, Stockade) {
    let running = fake.serve();
    let stockade = Stockade::connect([running.endpoint.as_str()], options).await.expect("a connection");
    (running, stockade)
}

/// A status that tells when the call is to be made again.
fn pushed_back(millis: &'static str) -> Status {
    let mut status = Status::unavailable("busy");
    status.metadata_mut().insert("grpc-retry-pushback-ms", millis.parse().expect("a value"));
    status
}
