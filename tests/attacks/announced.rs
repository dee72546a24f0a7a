//! Messages that announce 4 MiB and send one byte: memory grows with the received bytes.

use std::time::Duration;

use super::frames::{BATCH, DATA, REFUSED, begin, frame};
use super::measured::Measured;
use super::peer::{Peer, WIDE, WITHIN};
use super::server::{MIB, Target};
use super::state::Outcome;

/// Maximum calls in flight of a connection.
const STREAMS: usize = 1_024;
/// Calls beyond that.
const BEYOND: usize = 76;
/// Memory for 2,048 calls: 8 KiB are charged for each, and twice that is allowed.
const GROWTH_MAX: u64 = 32 * MIB;

#[test]
fn what_is_announced_takes_no_memory() {
    let target = Target::start();
    let measured = Measured::beside("4 MiB announced on 2,048 streams", &target);
    // A flag, a length of nearly 4 MiB, and one byte of the message.
    let announced = [0, 0, 0x3f, 0xff, 0xff, 0x0a];
    let mut peers: Vec<Peer> = (0..2).map(|_| Peer::connect(target.grpc, WIDE)).collect();
    for peer in &mut peers {
        let ids: Vec<u32> = (0..STREAMS + BEYOND).map(|_| peer.stream()).collect();
        let calls: Vec<u8> =
            ids.iter().flat_map(|id| [begin(*id, BATCH), frame(DATA, 0, *id, &announced)].concat()).collect();
        assert!(peer.send(&calls), "the connection was ended");
        for id in &ids[STREAMS..] {
            assert_eq!(peer.outcome(*id, WITHIN), Some(Outcome::Reset(REFUSED)), "stream {id} is one too many");
        }
    }
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(peers.iter().map(|peer| peer.outcomes().len()).sum::<usize>(), 2 * BEYOND, "the others wait");
    let grown = measured.grown();
    assert!(grown < GROWTH_MAX, "{} MiB", grown / MIB);
    drop(peers);
    measured.comes_back(&target, GROWTH_MAX);
    measured.had_all_answers(50);
    target.ends_well();
}
