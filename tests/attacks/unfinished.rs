//! Messages without their last byte: their memory is bounded, and they time out.

use std::time::Duration;

use super::frames::{BATCH, BATCH_STREAM, framed};
use super::measured::Measured;
use super::peer::{Peer, WIDE, WITHIN};
use super::server::{MIB, Target};
use super::state::Outcome;

const DEADLINE_EXCEEDED: u32 = 4;
const RESOURCE_EXHAUSTED: u32 = 8;
const UNAVAILABLE: u32 = 14;
/// Messages of each of two connections: together more than a connection's share, as long as that is not much above a
/// hundred MiB.
const STREAMS: usize = 24;

#[test]
fn messages_that_never_end_are_ended_and_give_their_memory_back() {
    let target = Target::start();
    let measured = Measured::beside("messages without their last byte", &target);
    let (_, share) = target.inflight_bytes();
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
    let grown = measured.grown();
    // A buffer that has grown leaves free memory of the same size, which the allocator keeps for some time.
    assert!(grown < 5 * share, "{} MiB of {}", grown / MIB, 2 * share / MIB);
    drop(peers);
    measured.comes_back(&target, 2 * share);
    measured.had_all_answers(100);
    target.ends_well();
}

/// Memory of the 64 connections themselves: their windows, and h2's state of each.
const CROWD_BYTES_MAX: u64 = 16 * MIB;
/// Connections that each send a message; the budget has room for few of these together.
const CROWD: usize = 64;

#[test]
fn a_crowd_of_messages_that_never_end_keeps_to_the_budget() {
    // 48 MiB may be in flight, and 36 of them in long messages: nine of 64.
    let target = Target::with(&[("--memory-budget", "256MiB")]);
    let measured = Measured::beside("64 connections with a message without its last byte each", &target);
    let (all, _) = target.inflight_bytes();
    let mut body = framed(&vec![0x1a; 4 * 1024 * 1024]);
    body.truncate(body.len() - 1);
    let mut peers: Vec<Peer> = (0..CROWD).map(|_| Peer::connect(target.grpc, WIDE)).collect();
    let outcomes: Vec<Option<Outcome>> = std::thread::scope(|scope| {
        let body = &body;
        let calls = peers.iter_mut().map(|peer| {
            scope.spawn(move || {
                let call = peer.open(BATCH);
                peer.pour(&[call], body, false, Duration::from_secs(4));
                peer.outcome(call, WITHIN)
            })
        });
        let calls: Vec<_> = calls.collect();
        calls.into_iter().map(|call| call.join().expect("no panic")).collect()
    });
    let ended = |code: u32| {
        let with = |outcome: &&Option<Outcome>| matches!(outcome, Some(Outcome::Status(status, _)) if *status == code);
        outcomes.iter().filter(with).count()
    };
    let (late, no_room) = (ended(DEADLINE_EXCEEDED), ended(UNAVAILABLE));
    assert_eq!(late + no_room, CROWD, "{outcomes:?}");
    assert!(no_room > 0, "{late} had room and were ended, {no_room} found none");
    assert!(peers.iter().all(Peer::stands), "a connection was ended");
    let grown = measured.grown();
    assert!(grown < 2 * all + CROWD_BYTES_MAX, "{} MiB of {}", grown / MIB, all / MIB);
    drop(peers);
    measured.comes_back(&target, all + CROWD_BYTES_MAX);
    measured.had_all_answers(100);
    target.ends_well();
}
