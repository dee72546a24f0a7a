//! Bytes that are no request: the status says that it is the caller's fault.

use prost::Message as _;

use super::frames::{
    BATCH, BATCH_STREAM, CREATE_DROP, GET_DROP, LIST_HOLDS, RESERVE, UPDATE_DROP, WATCH_DROP, field, framed,
};
use super::measured::Measured;
use super::peer::{Peer, WIDE};
use super::polite::reserve;
use super::server::Target;

const INVALID_ARGUMENT: u32 = 3;
const PATHS: [&str; 8] = [RESERVE, BATCH, BATCH_STREAM, LIST_HOLDS, GET_DROP, WATCH_DROP, CREATE_DROP, UPDATE_DROP];

#[test]
fn what_is_no_protobuf_is_the_callers_fault() {
    let messages: [(&str, Vec<u8>); 9] = [
        ("a tag that is cut off", vec![0x80]),
        ("a tag without a number", vec![0]),
        ("a number that has no end", vec![0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ("a length beyond the end", vec![0x0a, 5, 1]),
        ("a length beyond all", vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        ("a group that nobody began", vec![0xa4, 6]),
        ("a group that has no end", vec![0xa3, 6]),
        ("groups in groups", [0xa3, 6].repeat(20_000)),
        ("a wire type that does not exist", vec![0x0f]),
    ];
    let target = Target::start();
    let measured = Measured::alone("bytes that are no protobuf", &target);
    let mut peer = Peer::connect(target.grpc, WIDE);
    for path in PATHS {
        for (what, message) in &messages {
            let call = peer.call(path, &framed(message));
            let (code, words) = peer.status(call);
            assert_eq!(code, INVALID_ARGUMENT, "{path}: {what}: {words}");
            assert!(words.contains("is not encoded as the contract says"), "{path}: {what}: {words}");
        }
    }
    drop(measured);
    target.ends_well();
}

#[test]
fn text_that_is_no_utf_8_is_the_callers_fault() {
    let target = Target::start();
    let measured = Measured::alone("text that is no UTF-8", &target);
    let mut peer = Peer::connect(target.grpc, WIDE);
    let bad = |number| field(number, &[0x61, 0xff, 0xfe]);
    let messages = [
        (RESERVE, bad(1)),
        (RESERVE, field(3, &bad(1))),
        (RESERVE, field(4, &field(4, &bad(2)))),
        (BATCH, field(1, &field(1, &bad(2)))),
        (BATCH_STREAM, field(2, &field(1, &bad(2)))),
        (LIST_HOLDS, bad(1)),
        (GET_DROP, bad(1)),
        (WATCH_DROP, bad(1)),
        (CREATE_DROP, field(1, &bad(2))),
        (CREATE_DROP, field(1, &field(16, &bad(1)))),
        (UPDATE_DROP, field(2, &bad(1))),
    ];
    for (path, message) in messages {
        let call = peer.call(path, &framed(&message));
        let (code, words) = peer.status(call);
        assert_eq!(code, INVALID_ARGUMENT, "{path}: {words}");
    }
    drop(measured);
    target.ends_well();
}

#[test]
fn frames_of_grpc_that_are_none_are_the_callers_fault() {
    const UNIMPLEMENTED: u32 = 12;
    let target = Target::start();
    let measured = Measured::alone("frames that are none of gRPC", &target);
    let mut peer = Peer::connect(target.grpc, WIDE);
    let good = framed(&reserve().encode_to_vec());
    let mut flagged = good.clone();
    flagged[0] = 7;
    let mut compressed = good.clone();
    compressed[0] = 1;
    let cut = good[..good.len() - 1].to_vec();
    let bodies = [
        ("no message", Vec::new(), INVALID_ARGUMENT),
        ("half a prefix", vec![0, 0], INVALID_ARGUMENT),
        ("a message that is cut off", cut, INVALID_ARGUMENT),
        ("two messages", [good.clone(), good].concat(), INVALID_ARGUMENT),
        ("a flag that means nothing", flagged, INVALID_ARGUMENT),
        ("a message that is compressed", compressed, UNIMPLEMENTED),
    ];
    for (what, body, wanted) in bodies {
        let call = if body.is_empty() { ended_at_once(&mut peer) } else { peer.call(RESERVE, &body) };
        let (code, words) = peer.status(call);
        assert_eq!(code, wanted, "{what}: {words}");
    }
    drop(measured);
    target.ends_well();
}

/// A call with an empty body.
fn ended_at_once(peer: &mut Peer) -> u32 {
    use super::frames::{DATA, END_STREAM, frame};
    let call = peer.open(RESERVE);
    assert!(peer.send(&frame(DATA, END_STREAM, call, &[])));
    call
}
