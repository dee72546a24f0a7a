//! Many clients at a server with few places: silent connections make room for new ones; those with calls keep their
//! places, and later ones are refused.

use std::time::Duration;

use prost::Message as _;
use stockade_proto as pb;

use super::frames::{WATCH_DROP, framed};
use super::measured::Measured;
use super::peer::{Peer, WIDE};
use super::polite::Polite;
use super::server::{DROP, Flag, Target};

const PLACES: u64 = 16;
const FEW: [Flag; 1] = [("--max-connections", "16")];
/// Connections that arrive.
const HERD: u64 = 40;
/// The pause between them. A well-behaved client makes its first call before as many arrive as there are places.
const PAUSE: Duration = Duration::from_millis(10);

#[test]
fn a_silent_herd_makes_room() {
    let target = Target::with(&FEW);
    let measured = Measured::beside("40 silent connections for 16 places", &target);
    let mut herd = Vec::new();
    for _ in 0..HERD {
        herd.extend(Peer::attempt(target.grpc, WIDE));
        std::thread::sleep(PAUSE);
    }
    std::thread::sleep(Duration::from_millis(500));
    let standing = herd.iter().filter(|peer| peer.stands()).count();
    assert!(u64::try_from(standing).is_ok_and(|standing| standing < PLACES), "{standing} stand");
    assert!(target.shed("made_room") >= HERD - PLACES, "{}", target.shed("made_room"));
    assert_eq!(target.shed("connections"), 0, "none was refused");
    measured.had_all_answers(40);
    drop(herd);
    target.ends_well();
}

#[test]
fn a_herd_that_calls_is_refused_and_harms_no_one_who_is_there() {
    let target = Target::with(&FEW);
    let measured = Measured::beside_a_connection("40 connections with a call each for 16 places", &target);
    let watch = framed(&pb::WatchDropRequest { drop_id: DROP.into() }.encode_to_vec());
    let (mut herd, mut refused) = (Vec::new(), 0);
    for _ in 0..HERD {
        match Peer::attempt(target.grpc, WIDE) {
            Some(mut peer) => {
                let call = peer.call(WATCH_DROP, &watch);
                assert!(peer.receives(call, 1), "a watch has its first message");
                herd.push(peer);
            }
            None => refused += 1,
        }
    }
    // The well-behaved client has one place.
    assert_eq!((herd.len(), refused), (15, 25));
    assert_eq!((target.shed("connections"), target.shed("made_room")), (25, 0));
    assert!(herd.iter().all(Peer::stands), "who has a place keeps it");
    std::thread::sleep(Duration::from_millis(300));
    measured.had_all_answers(10);
    drop(herd);
    // Places are free again.
    std::thread::sleep(Duration::from_millis(300));
    let late = Polite::beside(&target).stop();
    assert!(late.failures.is_empty() && !late.times.is_empty(), "{late}");
    target.ends_well();
}
