//! Messages of which the last byte never comes: they have a part of the memory, and an end.

use std::time::Duration;

use super::frames::{BATCH, BATCH_STREAM, framed};
use super::peer::{Peer, WIDE, WITHIN};
use super::polite::Polite;
use super::server::{MIB, Target, Watch};
use super::state::Outcome;

const DEADLINE_EXCEEDED: u32 = 4;
const RESOURCE_EXHAUSTED: u32 = 8;
/// Messages of each of two connections: together more than one connection may have in flight, if it is not much more
/// than a hundred MiB.
const STREAMS: usize = 24;

#[test]
fn messages_that_never_end_are_ended_and_give_their_memory_back() {
    let target = Target::start();
    let polite = Polite::beside(&target);
    let (_, share) = target.inflight_bytes();
    let watch = target.watch();
    let mut body = framed(&vec![0x1a; 4 * 1024 * 1024]);
    body.truncate(body.len() - 1);
    let mut peers: Vec<Peer> = (0..2).map(|_| Peer::connect(target.grpc, WIDE)).collect();
    std::thread::scope(|scope| {
        for (peer, path) in peers.iter_mut().zip([BATCH, BATCH_STREAM]) {
            let body = &body;
            scope.spawn(move || {
                let streams: Vec<u32> = (0..STREAMS).map(|_| peer.open(path)).collect();
                let sent = peer.pour(&streams, body, false, Duration::from_secs(4));
                eprintln!("{} MiB of {path} were taken", sent / 1024 / 1024);
                for stream in streams {
                    let outcome = peer.outcome(stream, WITHIN);
                    let Some(Outcome::Status(code, words)) = outcome else { panic!("stream {stream}: {outcome:?}") };
                    assert!([DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED].contains(&code), "{code}: {words}");
                }
            });
        }
    });
    let late = |peer: &Peer| {
        let late =
            |outcome: &Outcome| matches!(outcome, Outcome::Status(DEADLINE_EXCEEDED, words) if words.contains("10 s"));
        peer.outcomes().iter().filter(|outcome| late(outcome)).count()
    };
    assert!(peers.iter().all(|peer| late(peer) > 0), "what had room was ended when its time was over");
    let grown = watch.grown("messages that never end");
    let bound = (2 * share).min(2 * 4 * MIB * u64::try_from(STREAMS).expect("few"));
    // A buffer that has grown leaves as much behind, which the allocator keeps for a while.
    assert!(grown < 2 * bound + 64 * MIB, "{} MiB of {}", grown / MIB, bound / MIB);
    drop(peers);
    comes_back(&target, &watch, grown);
    polite.had_all_answers(100);
    target.ends_well();
}

/// What was in flight is given back, and the memory of it, too.
pub fn comes_back(target: &Target, watch: &Watch, grown: u64) {
    let back = |_| {
        std::thread::sleep(Duration::from_millis(100));
        target.inflight() < MIB && watch.kept() < (grown / 2).max(48 * MIB)
    };
    let came = (0..100).any(back);
    assert!(came, "{} bytes in flight, {} MiB more than before", target.inflight(), watch.kept() / MIB);
    eprintln!("after it: {} MiB more than before", watch.kept() / MIB);
}
