//! Answers that nobody takes: they wait in bounded memory, and not for ever.

use std::io::Write as _;
use std::time::Duration;

use prost::Message as _;
use stockade::proto as pb;

use super::frames::{BATCH, BATCH_STREAM, CALM, GET_DROP, LIST_HOLDS, WATCH_DROP, framed, whole};
use super::peer::{Peer, WIDE, WITHIN, dial, greeting};
use super::polite::{Polite, reserve, runtime};
use super::server::{DROP, MIB, Target, Watch};
use super::state::Outcome;
use super::unfinished::comes_back;

/// Answers that wait, and where they come in pieces, calls that wait for the second.
const CALLS: usize = 100;
/// Longer than an answer may wait.
const LONG: Duration = Duration::from_secs(25);
/// Lines of a hold, and bytes of their SKUs: an answer of a thousand such holds has some 4 MiB.
const LINES: u16 = 32;
const HOLDS: usize = 1_000;

fn sku(line: u16) -> String {
    format!("{line:0120}")
}

/// A drop with holds whose lists are long.
fn fill(target: &Target) {
    let item = |line| pb::Item { sku: sku(line), quantity: 1_000_000, ..pb::Item::default() };
    target.create(pb::Drop { id: "fat".into(), items: (0..LINES).map(item).collect(), ..pb::Drop::default() });
    let line = |line| pb::Line { sku: sku(line), quantity: 1, pool: String::new() };
    let operation = || {
        let lines = (0..LINES).map(line).collect();
        let reserve = pb::ReserveRequest { drop_id: "fat".into(), lines, ..reserve() };
        pb::Operation { operation: Some(pb::operation::Operation::Reserve(reserve)) }
    };
    runtime().block_on(async {
        let client = target.server.client().await;
        for _ in 0..HOLDS / 250 {
            let operations = (0..250).map(|_| operation()).collect();
            let request = pb::BatchRequest { operations, view: pb::HoldView::Brief.into() };
            client.batch(request).await.expect("holds");
        }
    });
}

fn reserves(count: usize) -> Vec<pb::Operation> {
    let operation = || pb::Operation { operation: Some(pb::operation::Operation::Reserve(reserve())) };
    (0..count).map(|_| operation()).collect()
}

/// Calls of a kind over one connection that takes nothing. Each is given up by the server. Memory grows by less than
/// `most`, or as far as a connection's part of what may be in flight lets it.
fn untaken(path: &str, calls: usize, message: &[u8], most: Option<u64>) {
    let target = Target::start();
    if path == LIST_HOLDS {
        fill(&target);
    }
    let polite = Polite::beside(&target);
    let (_, share) = target.inflight_bytes();
    let watch = target.watch();
    let mut peer = Peer::connect(target.grpc, 0);
    let body = framed(message);
    let streams: Vec<u32> = (0..calls).map(|_| peer.call(path, &body)).collect();
    for stream in streams {
        match peer.outcome(stream, LONG) {
            // Given up; or there was no room for the answer.
            Some(Outcome::Reset(CALM) | Outcome::Status(8, _)) => {}
            other => panic!("{path}: stream {stream}: {other:?}"),
        }
    }
    assert!(peer.stands(), "the connection itself did nothing wrong");
    let grown = watch.grown(path);
    // What is charged is what is sent: before it is encoded, an answer takes two to three times as much.
    assert!(grown < most.unwrap_or(3 * share), "{path}: {} MiB", grown / MIB);
    comes_back(&target, &watch, grown);
    polite.had_all_answers(100);
    drop(peer);
    target.ends_well();
}

#[test]
fn answers_that_nobody_takes_are_given_up() {
    let list = pb::ListHoldsRequest { drop_id: "fat".into(), page_size: 1_000, ..pb::ListHoldsRequest::default() };
    let watch = pb::WatchDropRequest { drop_id: DROP.into() };
    let batch = pb::BatchRequest { operations: reserves(500), view: pb::HoldView::Full.into() };
    let stream = pb::BatchStreamRequest { sequence: 1, operations: reserves(500), view: pb::HoldView::Full.into() };
    std::thread::scope(|scope| {
        scope.spawn(|| untaken(LIST_HOLDS, CALLS, &list.encode_to_vec(), None));
        scope.spawn(|| untaken(WATCH_DROP, 10 * CALLS, &watch.encode_to_vec(), Some(64 * MIB)));
        scope.spawn(|| untaken(BATCH, CALLS, &batch.encode_to_vec(), Some(160 * MIB)));
        scope.spawn(|| untaken(BATCH_STREAM, CALLS, &stream.encode_to_vec(), Some(160 * MIB)));
        scope.spawn(a_socket_that_is_not_read);
    });
}

/// Windows as wide as can be, and a socket that nobody reads.
fn a_socket_that_is_not_read() {
    let target = Target::start();
    fill(&target);
    let polite = Polite::beside(&target);
    let (_, share) = target.inflight_bytes();
    let watch = target.watch();
    let list = pb::ListHoldsRequest { drop_id: "fat".into(), page_size: 1_000, ..pb::ListHoldsRequest::default() };
    let mut socket = dial(target.grpc);
    socket.write_all(&greeting(WIDE)).expect("greeted");
    let calls = 20;
    for id in (1..).step_by(2).take(calls) {
        socket.write_all(&whole(id, LIST_HOLDS, &list.encode_to_vec())).expect("taken");
    }
    stuck(&target, &watch, share);
    drop(socket);
    comes_back(&target, &watch, 0);
    polite.had_all_answers(100);
    target.ends_well();
}

/// Waits until a connection was ended for what it does not take.
fn stuck(target: &Target, watch: &Watch, share: u64) {
    let ended = |_| {
        std::thread::sleep(Duration::from_millis(250));
        target.shed("stuck") == 1
    };
    assert!((0..120).any(ended), "the connection stands");
    let grown = watch.grown("a socket that is not read");
    assert!(grown < 3 * share, "{} MiB", grown / MIB);
}

#[test]
fn a_peer_that_takes_its_answers_late_has_them_whole() {
    let target = Target::start();
    let mut peer = Peer::connect(target.grpc, 0);
    let ask = pb::GetDropRequest { drop_id: DROP.into() }.encode_to_vec();
    let calls: Vec<u32> = (0..CALLS).map(|_| peer.call(GET_DROP, &framed(&ask))).collect();
    std::thread::sleep(Duration::from_millis(500));
    assert!(peer.outcomes().is_empty());
    assert!(peer.send(&super::frames::settings(&[(super::frames::WINDOW, WIDE)])));
    for call in calls {
        assert_eq!(peer.outcome(call, WITHIN), Some(Outcome::Status(0, String::new())));
    }
    target.ends_well();
}
