//! Streams that are opened and not used, and watches that are not read: each is charged to the budget of bytes in
//! flight, and the charge is released when they end.

use std::time::Duration;

use prost::Message as _;
use stockade_proto as pb;

use super::frames::{BATCH_STREAM, WATCH_DROP, begin, whole};
use super::measured::Measured;
use super::peer::{Peer, WIDE};
use super::server::{DROP, MIB, Target};
use super::state::Outcome;

const UNAVAILABLE: u32 = 14;
/// Maximum calls in flight of a connection,
const STREAMS: usize = 1_024;
/// and connections that together have more calls than the budget allows.
const GREEDY: usize = 10;

/// Opens as many calls as a connection may have: streams if its number is even, else watches that are not read.
fn greedy(target: &Target, number: usize) -> Peer {
    let watch = pb::WatchDropRequest { drop_id: DROP.into() }.encode_to_vec();
    let is_watch = number % 2 == 1;
    let mut peer = Peer::connect(target.grpc, if is_watch { 0 } else { WIDE });
    let calls: Vec<u8> = (0..STREAMS)
        .flat_map(|_| {
            let id = peer.stream();
            if is_watch { whole(id, WATCH_DROP, &watch) } else { begin(id, BATCH_STREAM) }
        })
        .collect();
    assert!(peer.send(&calls), "the connection was ended");
    peer
}

#[test]
fn idle_streams_keep_to_the_budget_and_give_it_back() {
    let target = Target::start();
    let measured = Measured::beside("10,240 idle streams and untaken watches", &target);
    let (all, _) = target.inflight_bytes();
    let mut highest = 0;
    let mut look = || {
        highest = target.inflight().max(highest);
        assert!(highest <= all, "{highest} bytes in flight, of {all}");
        std::thread::sleep(Duration::from_millis(25));
    };
    let mut peers = Vec::new();
    for number in 0..GREEDY {
        peers.push(greedy(&target, number));
        look();
    }
    (0..60).for_each(|_| look());
    assert!(highest > all / 8 * 7 - MIB, "they have filled what they may: {highest} of {all}");
    let refused: Vec<Outcome> = peers.iter().flat_map(Peer::outcomes).collect();
    let no_room = |outcome: &Outcome| matches!(outcome, Outcome::Status(UNAVAILABLE, _));
    assert!(!refused.is_empty() && refused.iter().all(no_room), "{:?}", refused.iter().find(|other| !no_room(other)));
    assert!(peers.iter().all(Peer::stands), "a connection was ended");
    let grown = measured.grown();
    assert!(grown < 2 * all, "{} MiB of {}", grown / MIB, all / MIB);
    drop(peers);
    measured.comes_back(&target, all);
    measured.had_all_answers(50);
    target.ends_well();
}
