//! Full batches with little memory: they are served, even while another connection uses its whole share.

use std::time::Duration;

use stockade_proto as pb;
use stockade_proto::result::Result as Came;
use stockade_types::metrics::Stopwatch;

use super::frames::{BATCH, framed};
use super::lists::{fill, long_reserve};
use super::measured::Measured;
use super::peer::{Peer, WIDE};
use super::polite::{Caller, reserves};
use super::server::{Flag, MIB, Target};

/// Maximum operations of a message.
const FULL: usize = 5_000;
/// Lines of each reserve, with which 5,000 reserves are nearly 4 MiB.
const LINES: u16 = 4;
/// Four messages together fill a connection's share, less what its window allows in flight.
const FILLING: u64 = 4;
const WINDOW: u64 = MIB;

/// Sends full batches, with short operations and with the longest that fit. Each reserve must get its hold.
fn are_served(target: &Target, caller: &Caller, beside: &str) {
    is_served(target, caller, beside, (reserves(FULL), pb::HoldView::Full));
    is_served(target, caller, beside, ((0..FULL).map(|_| long_reserve(LINES)).collect(), pb::HoldView::Brief));
}

fn is_served(target: &Target, caller: &Caller, beside: &str, (operations, view): (Vec<pb::Operation>, pb::HoldView)) {
    let watch = Stopwatch::start();
    let answer = caller.batch(operations, view);
    let results = answer.unwrap_or_else(|status| panic!("beside {beside}, {}: {status:?}", target.inflight())).results;
    let holds = results.iter().filter(|result| matches!(result.result, Some(Came::Hold(_)))).count();
    assert_eq!(holds, FULL, "beside {beside}: {:?}", results.last());
    eprintln!("a full batch beside {beside}: {:?}", watch.elapsed());
}

/// A connection with as much in flight as is allowed.
fn greedy(target: &Target) -> Peer {
    let (_, share) = target.inflight_bytes();
    let bytes = usize::try_from((share - WINDOW) / FILLING).expect("a size") - 64 * 1024;
    let mut body = framed(&vec![0x1a; bytes]);
    body.truncate(body.len() - 1);
    let mut peer = Peer::connect(target.grpc, WIDE);
    let calls: Vec<u32> = (0..FILLING).map(|_| peer.open(BATCH)).collect();
    peer.pour(&calls, &body, false, Duration::from_secs(1));
    let filled = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        target.inflight() > share - 2 * MIB
    });
    assert!(filled, "{} of {share} bytes in flight", target.inflight());
    peer
}

fn with(memory: Flag) {
    let target = Target::with(&[memory]);
    let measured = Measured::beside(&format!("full batches with {}", memory.1), &target);
    let caller = Caller::to(&target);
    fill(&target);
    are_served(&target, &caller, "nobody");
    let peer = greedy(&target);
    are_served(&target, &caller, "a connection that has filled its share");
    drop(peer);
    measured.had_all_answers(5);
    target.ends_well();
}

#[test]
fn a_full_batch_is_served_with_little_memory() {
    for memory in ["192MiB", "256MiB", "512MiB"] {
        with(("--memory-budget", memory));
    }
}
