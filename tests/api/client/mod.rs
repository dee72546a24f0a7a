//! The client for services, against a real server and against one that misbehaves on command.

mod attempts;
mod cuts;
mod fake;
mod lists;
mod shared;
mod streams;

use std::time::Duration;

use stockade_client::{Batching, Options, Outcome, Reserved, Retry, Stockade};
use stockade_proto as pb;

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
        customer: Some(pb::Customer { id: format!("c{n}"), ..pb::Customer::default() }),
        ..pb::ReserveRequest::default()
    }
}

fn granted<T: std::fmt::Debug>(outcome: Outcome<T>) -> T {
    outcome.granted().expect("no refusal")
}

/// Many callers at once, each in a task of its own. Returns their results in order.
async fn all_at_once(
    stockade: &Stockade,
    requests: impl IntoIterator<Item = pb::ReserveRequest>,
) -> Vec<Result<Outcome<Reserved>, stockade_client::Error>> {
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

/// Waits until the condition holds.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}
