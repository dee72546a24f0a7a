//! Valid requests that take a multiple of their size when decoded: many parts of two bytes each. A request with too
//! many parts is refused by the field's name before it is decoded.

use super::frames::{BATCH, BATCH_STREAM, CREATE_DROP, RESERVE, UPDATE_DROP, field, filled, framed};
use super::measured::Measured;
use super::peer::{Peer, WIDE};
use super::server::{MIB, Target};

const INVALID_ARGUMENT: u32 = 3;
const OUT_OF_RANGE: u32 = 11;

/// Maximum bytes of a list of operations, of a drop, of any other request; less a little for the enclosing fields.
const LISTS: usize = 4 * 1024 * 1024 - 32;
const DROPS: usize = 128 * 1024 - 32;
const OTHERS: usize = 64 * 1024 - 32;

/// A request with very many parts.
struct Request {
    path: &'static str,
    /// Its maximum size in bytes.
    most: usize,
    /// Makes the request with parts of this total length.
    of: fn(usize) -> Vec<u8>,
    /// The text that the refusal must contain.
    named: &'static str,
}

const fn request(path: &'static str, most: usize, of: fn(usize) -> Vec<u8>, named: &'static str) -> Request {
    Request { path, most, of, named }
}

/// One for each repeated part of a request.
static REQUESTS: [Request; 17] = [
    request(BATCH, LISTS, |bytes| filled(&[0x0a, 0], bytes), "operations: "),
    // Empty reserves, and reserves with an empty customer and an empty override.
    request(BATCH, LISTS, |bytes| filled(&[0x0a, 2, 0x0a, 0], bytes), "operations: "),
    request(BATCH, LISTS, |bytes| filled(&[0x0a, 6, 0x0a, 4, 0x22, 0, 0x4a, 0], bytes), "operations: "),
    request(BATCH_STREAM, LISTS, |bytes| filled(&[0x12, 0], bytes), "operations: "),
    // One operation with all of the lines.
    request(BATCH, LISTS, |bytes| field(1, &field(1, &filled(&[0x1a, 0], bytes))), "operations[0].reserve.lines: "),
    request(BATCH, LISTS, |bytes| filled(&[0xa2, 6, 0], bytes), "operations"),
    request(RESERVE, OTHERS, |bytes| filled(&[0x1a, 0], bytes), "lines: "),
    request(RESERVE, OTHERS, |bytes| field(4, &filled(&[0x22, 0], bytes)), "customer.identities: "),
    request(RESERVE, OTHERS, |bytes| field(4, &filled(&[0x12, 0], bytes)), "customer.tiers: "),
    // Unknown fields and groups take no memory: the request is refused for its missing fields.
    request(RESERVE, OTHERS, |bytes| filled(&[0xa2, 6, 0], bytes), "hold_id"),
    request(RESERVE, OTHERS, |bytes| filled(&[[0xa3, 6].repeat(90), [0xa4, 6].repeat(90)].concat(), bytes), "hold_id"),
    request(CREATE_DROP, DROPS, |bytes| field(1, &filled(&[0x5a, 0], bytes)), "drop.items: "),
    request(CREATE_DROP, DROPS, |bytes| field(1, &filled(&[0x62, 0], bytes)), "drop.windows: "),
    request(CREATE_DROP, DROPS, |bytes| field(1, &filled(&[0x6a, 0], bytes)), "drop.limits: "),
    request(CREATE_DROP, DROPS, |bytes| field(1, &field(11, &filled(&[0x1a, 0], bytes))), "drop.items[0].pools: "),
    request(CREATE_DROP, DROPS, |bytes| field(1, &filled(&[0x82, 1, 0], bytes)), "drop.labels: "),
    request(UPDATE_DROP, DROPS, |bytes| field(2, &filled(&[0x0a, 0], bytes)), "update_mask.paths: "),
];

#[test]
fn very_many_parts_are_refused_by_their_name_and_take_no_memory() {
    let target = Target::start();
    let measured = Measured::beside("requests of empty parts", &target);
    for Request { path, most, of, named } in &REQUESTS {
        let body = framed(&of(*most));
        // Two connections, each with two of these at once.
        let mut peers: Vec<Peer> = (0..2).map(|_| Peer::connect(target.grpc, WIDE)).collect();
        let calls: Vec<_> = peers.iter_mut().map(|peer| [peer.call(path, &body), peer.call(path, &body)]).collect();
        for (peer, calls) in peers.iter().zip(calls) {
            for call in calls {
                let (code, words) = peer.status(call);
                assert_eq!(code, INVALID_ARGUMENT, "{path} {named}: {words}");
                assert!(words.contains(named), "{path}: {named:?} is missing in {words:?}");
            }
        }
    }
    let grown = measured.grown();
    // Four messages of 4 MiB, each in a buffer that has grown; one of them decoded would take more.
    assert!(grown < 96 * MIB, "{} MiB", grown / MIB);
    measured.had_all_answers(5);
    target.ends_well();
}

#[test]
fn what_is_longer_than_its_method_takes_is_refused_before_it_has_come() {
    let target = Target::start();
    let measured = Measured::alone("requests that are too long", &target);
    for Request { path, most, of, named } in &REQUESTS {
        let body = framed(&of(*most + 64 * 1024));
        let mut peer = Peer::connect(target.grpc, WIDE);
        let call = peer.call(path, &body);
        let (code, words) = peer.status(call);
        assert_eq!(code, OUT_OF_RANGE, "{path} {named}: {words}");
        assert!(words.contains("this method takes at most"), "{words}");
    }
    let grown = measured.grown();
    assert!(grown < 16 * MIB, "{} MiB", grown / MIB);
    drop(measured);
    target.ends_well();
}
