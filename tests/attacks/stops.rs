//! A server that stops while peers hold it up: it ends at once, and says what is true.

use std::io::Write as _;
use std::time::Duration;

use prost::Message as _;
use stockade::metrics::Stopwatch;
use stockade::proto as pb;

use super::frames::{BATCH_STREAM, DATA, HEADERS, RESERVE, WATCH_DROP, begin, block, frame, whole};
use super::peer::{dial, greeting};
use super::server::{DROP, Target};

/// Far less than the drain timeout, which is 10 s.
const SOON: Duration = Duration::from_secs(5);

/// What a peer has said when the server stops.
fn kinds() -> [(&'static str, Vec<u8>); 6] {
    let watch = pb::WatchDropRequest { drop_id: DROP.into() }.encode_to_vec();
    let half = [0, 0, 0, 0, 16, b'a', b'b', b'c'];
    let greeted = |frames: &[u8]| [greeting(0), frames.to_vec()].concat();
    [
        ("no byte", Vec::new()),
        ("no call", greeted(&[])),
        ("half a request", greeted(&[begin(1, RESERVE), frame(DATA, 0, 1, &half)].concat())),
        ("half a block of headers", greeted(&frame(HEADERS, 0, 1, &block(RESERVE)))),
        ("an open stream", greeted(&begin(1, BATCH_STREAM))),
        ("a watch that is not taken", greeted(&whole(1, WATCH_DROP, &watch))),
    ]
}

#[test]
fn a_server_that_stops_waits_for_no_silent_peer() {
    for (kind, words) in kinds() {
        let target = Target::start();
        let mut socket = dial(target.grpc);
        socket.write_all(&words).expect("said");
        std::thread::sleep(Duration::from_millis(300));
        let watch = Stopwatch::start();
        let log = target.ends_well().log;
        let took = watch.elapsed();
        eprintln!("{kind}: ended in {took:?}");
        assert!(took < SOON, "{kind}: {took:?}");
        assert!(log.contains("all calls are finished") && !log.contains("left behind"), "{kind}: {log}");
    }
}
