//! Endless control frames: cheap to send, costly to receive.

use super::frames::{
    CALM, CONTINUATION, DATA, HEADERS, PING, PRIORITY, RESERVE, WINDOW, WINDOW_UPDATE, begin, block, frame, number,
    settings,
};
use super::hpack::literal;
use super::measured::Measured;
use super::peer::{Peer, WIDE, WITHIN};
use super::server::{MIB, Target};
use super::state::End;

/// Frames sent at once,
const TOGETHER: usize = 500;
/// and the maximum number of rounds.
const ROUNDS: usize = 400;

/// A flood's name, its first frame, and the frames that follow.
type Flood = (&'static str, Vec<u8>, Vec<u8>);

fn floods() -> [Flood; 9] {
    let call = begin(1, RESERVE);
    let open = frame(HEADERS, 0, 1, &block(RESERVE));
    [
        ("pings", Vec::new(), frame(PING, 0, 0, b"12345678")),
        ("settings", Vec::new(), settings(&[(WINDOW, 65_535)])),
        ("priorities", Vec::new(), frame(PRIORITY, 0, 3, &[0, 0, 0, 0, 1])),
        ("empty data", call.clone(), frame(DATA, 0, 1, &[])),
        ("data of one byte", call.clone(), frame(DATA, 0, 1, &[0])),
        ("window updates", call, number(WINDOW_UPDATE, 1, 1)),
        ("unknown frames", Vec::new(), frame(0x77, 0xff, 1, &[0; 16])),
        ("headers that go on", open.clone(), frame(CONTINUATION, 0, 1, &literal("x-more", &"y".repeat(1_000)))),
        ("headers that go on with nothing", open, frame(CONTINUATION, 0, 1, &[])),
    ]
}

/// Sends frames until the connection ends.
fn until_ended(peer: &mut Peer, first: &[u8], frames: &[u8]) -> Option<End> {
    peer.send(first);
    let together = frames.repeat(TOGETHER);
    for _ in 0..ROUNDS {
        if !peer.send(&together) || !peer.stands() {
            break;
        }
    }
    peer.ended(WITHIN)
}

#[test]
fn a_flood_of_control_frames_is_ended() {
    let target = Target::start();
    let measured = Measured::beside("floods of control frames", &target);
    for (kind, first, frames) in floods() {
        let mut peer = Peer::connect(target.grpc, WIDE);
        peer.stream();
        let goodbye = until_ended(&mut peer, &first, &frames).unwrap_or_else(|| panic!("{kind}: it stands"));
        eprintln!("{kind}: {goodbye:?}");
        assert!(matches!(goodbye, End::Goodbye(CALM) | End::Cut), "{kind}: {goodbye:?}");
    }
    assert!(target.shed("control_frames") > 0 && target.shed("window_updates") > 0);
    let grown = measured.grown();
    assert!(grown < 24 * MIB, "{} MiB", grown / MIB);
    measured.had_all_answers(1);
    target.ends_well();
}
