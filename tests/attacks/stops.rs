//! A server that stops while peers delay it: it ends soon, with correct answers. A peer that keeps reading an answer
//! gets it.

use std::io::Write as _;
use std::time::Duration;

use prost::Message as _;
use stockade_proto as pb;
use stockade_types::metrics::Stopwatch;

use super::frames::{
    BATCH_STREAM, DATA, HEADERS, HEALTH_WATCH, LIST_HOLDS, REFLECTION, RESERVE, WATCH_DROP, WINDOW_UPDATE, begin,
    block, frame, framed, number, whole,
};
use super::lists::{fill, list};
use super::measured::Measured;
use super::peer::{Peer, WIDE, dial, greeting};
use super::server::{DROP, Target};
use super::state::Outcome;

/// Far less than the drain timeout, which is 10 s.
const SOON: Duration = Duration::from_secs(5);
/// Bytes that a slow reader takes at once, and its interval.
const STEP: u32 = 16 * 1024;
const PACE: Duration = Duration::from_millis(50);

/// What a peer has sent when the server stops.
fn kinds() -> [(&'static str, Vec<u8>); 9] {
    let watch = pb::WatchDropRequest { drop_id: DROP.into() }.encode_to_vec();
    let half = [0, 0, 0, 0, 16, b'a', b'b', b'c'];
    let greeted = |frames: &[u8]| [greeting(0), frames.to_vec()].concat();
    let taking = |frames: &[u8]| [greeting(WIDE), frames.to_vec()].concat();
    // A request for the list of services, on a stream that stays open.
    let reflection = [begin(1, REFLECTION), frame(DATA, 0, 1, &framed(&[0x3a, 0]))].concat();
    [
        ("no byte", Vec::new()),
        ("no call", greeted(&[])),
        ("half a request", greeted(&[begin(1, RESERVE), frame(DATA, 0, 1, &half)].concat())),
        ("half a block of headers", greeted(&frame(HEADERS, 0, 1, &block(RESERVE)))),
        ("an open stream", greeted(&begin(1, BATCH_STREAM))),
        ("a watch that is not taken", greeted(&whole(1, WATCH_DROP, &watch))),
        ("a watch of health", taking(&whole(1, HEALTH_WATCH, &[]))),
        ("a watch of health that is not taken", greeted(&whole(1, HEALTH_WATCH, &[]))),
        ("a reflection that is open", taking(&reflection)),
    ]
}

fn stops(kind: &str, words: &[u8]) {
    let target = Target::start();
    let measured = Measured::alone(&format!("a stop with {kind}"), &target);
    let mut socket = dial(target.grpc);
    socket.write_all(words).expect("said");
    std::thread::sleep(Duration::from_millis(300));
    drop(measured);
    ends_soon(kind, target);
}

fn ends_soon(kind: &str, target: Target) {
    let watch = Stopwatch::start();
    let log = target.ends_well().log;
    let took = watch.elapsed();
    eprintln!("{kind}: ended in {took:?}");
    assert!(took < SOON, "{kind}: {took:?}");
    assert!(log.contains("all calls are finished") && !log.contains("left behind"), "{kind}: {log}");
}

#[test]
fn a_server_that_stops_waits_for_no_silent_peer() {
    std::thread::scope(|scope| {
        for (kind, words) in kinds() {
            scope.spawn(move || stops(kind, &words));
        }
    });
}

#[test]
fn an_answer_that_is_being_taken_arrives_whole_though_the_server_stops() {
    let target = Target::start();
    fill(&target);
    let measured = Measured::alone("a stop with answers half taken", &target);
    let mut peer = Peer::connect(target.grpc, WIDE);
    let call = peer.call(LIST_HOLDS, &framed(&list()));
    assert_eq!(peer.status(call).0, 0);
    let bytes = peer.received_of(call);
    let half = u32::try_from(bytes / 2).expect("a MiB");
    // Of two that have read half, one goes on and one does not.
    let [(mut slow, call), (stuck, _)] = [(), ()].map(|()| {
        let mut peer = Peer::connect(target.grpc, half);
        let call = peer.call(LIST_HOLDS, &framed(&list()));
        assert!(peer.receives(call, bytes / 2), "half of {bytes} bytes: {}", peer.received_of(call));
        (peer, call)
    });
    drop(measured);
    std::thread::scope(|scope| {
        scope.spawn(|| ends_soon("answers half taken", target));
        while slow.outcome(call, PACE).is_none() && slow.send(&number(WINDOW_UPDATE, call, STEP)) {}
        let (outcome, received) = (slow.outcome(call, Duration::ZERO), slow.received_of(call));
        // The lengths of the two answers may differ by a few bytes, since they contain the time.
        assert_eq!((outcome, Some(received)), (Some(Outcome::Status(0, String::new())), slow.announced_of(call)));
        assert!(received.abs_diff(bytes) < 16, "{received} of {bytes}");
        assert!(stuck.ended(SOON).is_some(), "the other is ended");
    });
}
