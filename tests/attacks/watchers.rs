//! Watchers of one peer: however many places it takes, another client still gets one.

use std::time::Duration;

use prost::Message as _;
use stockade_proto as pb;

use super::frames::{WATCH_DROP, whole};
use super::measured::Measured;
use super::peer::{Peer, WIDE, WITHIN};
use super::server::{DROP, Target};
use super::state::Outcome;

const RESOURCE_EXHAUSTED: u32 = 8;
/// Maximum calls in flight of a connection.
const STREAMS: usize = 1_024;
/// Connections that together have more watchers than the server has places.
const GREEDY: usize = 22;

#[test]
fn no_peer_takes_all_places_of_watchers() {
    // Memory for all of them: only places are scarce.
    let target = Target::with(&[("--memory-budget", "2GiB")]);
    let measured = Measured::alone("22,528 watches", &target);
    let watch = pb::WatchDropRequest { drop_id: DROP.into() }.encode_to_vec();
    let mut peers = Vec::new();
    let (mut places, mut refused) = (0, 0);
    for _ in 0..GREEDY {
        let mut peer = Peer::connect(target.grpc, WIDE);
        let calls: Vec<u8> = (0..STREAMS).flat_map(|_| whole(peer.stream(), WATCH_DROP, &watch)).collect();
        assert!(peer.send(&calls), "the connection was ended");
        // Each has its first message, or is refused.
        let all = (0..400).any(|_| {
            std::thread::sleep(Duration::from_millis(25));
            peer.received(1) + peer.outcomes().len() >= STREAMS
        });
        assert!(all, "{} watch, {} do not", peer.received(1), peer.outcomes().len());
        for outcome in peer.outcomes() {
            assert!(matches!(outcome, Outcome::Status(RESOURCE_EXHAUSTED, _)), "{outcome:?}");
        }
        places += peer.received(1);
        refused += peer.outcomes().len();
        peers.push(peer);
    }
    eprintln!("{places} watch, {refused} were refused");
    assert!(refused > 0, "more came than there are places");
    let mut late = Peer::connect(target.grpc, WIDE);
    let call = late.stream();
    assert!(late.send(&whole(call, WATCH_DROP, &watch)));
    let got = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(25));
        late.received(1) == 1
    });
    assert!(got, "{:?}", late.outcome(call, WITHIN));
    drop((peers, measured));
    target.ends_well();
}
