//! Answers that are not read: they wait in bounded memory, and time out.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use prost::Message as _;
use stockade_proto as pb;
use stockade_types::metrics::Stopwatch;

use super::frames::{
    BATCH, BATCH_STREAM, CALM, GET_DROP, LIST_HOLDS, WATCH_DROP, WINDOW_UPDATE, framed, number, whole,
};
use super::lists::{fill, list};
use super::measured::Measured;
use super::peer::{Peer, WIDE, WITHIN, dial, greeting};
use super::polite::reserves;
use super::server::{DROP, MIB, Target};
use super::state::Outcome;

/// Answers that wait. If an answer has several messages, the calls wait for the second.
const CALLS: usize = 100;
/// Longer than an answer may wait.
const LONG: Duration = Duration::from_secs(25);
/// Answers that are read byte by byte, and the interval of bytes: over a thousand window updates before an answer times
/// out, and fewer than count as a flood.
const DRIPS: usize = 12;
const DRIP: Duration = Duration::from_millis(50);
/// Memory for the answers to a thousand watches, and to a hundred batches.
const WATCHES_BYTES_MAX: u64 = 32 * MIB;
const BATCHES_BYTES_MAX: u64 = 64 * MIB;

/// Whether the server reset the call, or had no room for the answer.
fn given_up(outcome: Option<&Outcome>) -> bool {
    matches!(outcome, Some(Outcome::Reset(CALM) | Outcome::Status(8, _)))
}

/// Makes calls of a kind over one connection that reads nothing. The server must end each of them. Memory must grow by
/// less than `most`; if it is none, by less than three times a connection's share of the bytes in flight.
fn untaken(path: &str, calls: usize, message: &[u8], most: Option<u64>) {
    let target = Target::start();
    if path == LIST_HOLDS {
        fill(&target);
    }
    let measured = Measured::beside(&format!("{calls} answers not taken, {path}"), &target);
    let (_, share) = target.inflight_bytes();
    let mut peer = Peer::connect(target.grpc, 0);
    let body = framed(message);
    let streams: Vec<u32> = (0..calls).map(|_| peer.call(path, &body)).collect();
    for stream in streams {
        let outcome = peer.outcome(stream, LONG);
        assert!(given_up(outcome.as_ref()), "{path}: stream {stream}: {outcome:?}");
    }
    assert!(peer.stands(), "the connection itself did nothing wrong");
    let grown = measured.grown();
    // The charge is the encoded size: before it is encoded, an answer takes two to three times as much.
    let most = most.unwrap_or(3 * share);
    assert!(grown < most, "{path}: {} MiB", grown / MIB);
    measured.comes_back(&target, most);
    measured.had_all_answers(100);
    drop(peer);
    target.ends_well();
}

#[test]
fn answers_that_nobody_takes_are_given_up() {
    let watch = pb::WatchDropRequest { drop_id: DROP.into() }.encode_to_vec();
    let view = pb::HoldView::Full.into();
    let batch = pb::BatchRequest { operations: reserves(500), view }.encode_to_vec();
    let stream = pb::BatchStreamRequest { sequence: 1, operations: reserves(500), view }.encode_to_vec();
    std::thread::scope(|scope| {
        scope.spawn(|| untaken(LIST_HOLDS, CALLS, &list(), None));
        scope.spawn(|| untaken(WATCH_DROP, 10 * CALLS, &watch, Some(WATCHES_BYTES_MAX)));
        scope.spawn(|| untaken(BATCH, CALLS, &batch, Some(BATCHES_BYTES_MAX)));
        scope.spawn(|| untaken(BATCH_STREAM, CALLS, &stream, Some(BATCHES_BYTES_MAX)));
        scope.spawn(answers_that_are_taken_by_the_byte);
        scope.spawn(|| a_socket("a socket that is not read", |_socket| ()));
        scope.spawn(|| a_socket("a socket that is read by the byte", a_byte));
    });
}

/// The peer grants one byte of window at a time. That is too slow: an answer must proceed by 16 KiB within 15 s.
fn answers_that_are_taken_by_the_byte() {
    let target = Target::start();
    fill(&target);
    let measured = Measured::beside("answers that are taken by the byte", &target);
    let (_, share) = target.inflight_bytes();
    let mut peer = Peer::connect(target.grpc, 0);
    let mut open: Vec<u32> = (0..DRIPS).map(|_| peer.call(LIST_HOLDS, &framed(&list()))).collect();
    let watch = Stopwatch::start();
    while !open.is_empty() {
        assert!(
            watch.elapsed() < LONG,
            "{} answers still wait, {} bytes were taken",
            open.len(),
            peer.received_in_all()
        );
        let updates: Vec<u8> = open.iter().flat_map(|stream| number(WINDOW_UPDATE, *stream, 1)).collect();
        assert!(peer.send(&updates), "the connection was ended");
        std::thread::sleep(DRIP);
        open.retain(|stream| peer.outcome(*stream, Duration::ZERO).is_none());
    }
    assert!(peer.outcomes().iter().all(|outcome| given_up(Some(outcome))), "{:?}", peer.outcomes());
    assert!(peer.received_in_all() > 10 * DRIPS, "bytes came: {}", peer.received_in_all());
    assert!(peer.stands(), "the connection itself did nothing wrong");
    let grown = measured.grown();
    assert!(grown < 3 * share, "{} MiB", grown / MIB);
    measured.comes_back(&target, 3 * share);
    measured.had_all_answers(100);
    drop(peer);
    target.ends_well();
}

fn a_byte(socket: &mut TcpStream) {
    // The read fails if the connection has ended.
    let _read = socket.read(&mut [0]);
}

/// Windows at their maximum, and a socket from which hardly anything is read.
fn a_socket(name: &str, read: impl Fn(&mut TcpStream)) {
    let target = Target::start();
    fill(&target);
    let measured = Measured::beside(name, &target);
    let (_, share) = target.inflight_bytes();
    let mut socket = dial(target.grpc);
    socket.write_all(&greeting(WIDE)).expect("greeted");
    for id in (1..).step_by(2).take(CALLS / 5) {
        socket.write_all(&whole(id, LIST_HOLDS, &list())).expect("taken");
    }
    let watch = Stopwatch::start();
    while target.shed("stuck") == 0 {
        assert!(watch.elapsed() < LONG, "{name}: the connection stands");
        read(&mut socket);
        std::thread::sleep(Duration::from_millis(250));
    }
    let grown = measured.grown();
    assert!(grown < 3 * share, "{} MiB", grown / MIB);
    drop(socket);
    measured.comes_back(&target, 3 * share);
    measured.had_all_answers(100);
    target.ends_well();
}

#[test]
fn a_peer_that_takes_its_answers_late_has_them_whole() {
    let target = Target::start();
    let measured = Measured::alone("answers that are taken late", &target);
    let mut peer = Peer::connect(target.grpc, 0);
    let ask = pb::GetDropRequest { drop_id: DROP.into() }.encode_to_vec();
    let calls: Vec<u32> = (0..CALLS).map(|_| peer.call(GET_DROP, &framed(&ask))).collect();
    std::thread::sleep(Duration::from_millis(500));
    assert!(peer.outcomes().is_empty());
    assert!(peer.send(&super::frames::settings(&[(super::frames::WINDOW, WIDE)])));
    for call in calls {
        assert_eq!(peer.outcome(call, WITHIN), Some(Outcome::Status(0, String::new())));
    }
    drop(measured);
    target.ends_well();
}
