//! Connections that send nothing, or half of something: they do not block others, and they end.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::frames::{HEADERS, PREFACE, RESERVE, block, frame};
use super::measured::Measured;
use super::peer::{WITHIN, dial, greeting};
use super::server::{MIB, Target};

/// The server's limit of open files, which the attack exceeds.
const FILES: u32 = 128;
/// More connections of a kind than there are places,
const MANY: usize = 60;
/// and few enough to stay until their timeout.
const FEW: usize = 12;

/// The pause between two connections. A silent connection keeps its place until as many arrive as there are places; a
/// well-behaved client makes its first call before that.
const PAUSE: Duration = Duration::from_millis(3);

/// The name of the kind, the bytes sent, the number of connections, and whether they go to the HTTP listener.
fn kinds() -> [(&'static str, Vec<u8>, usize, bool); 5] {
    let half = block(RESERVE);
    [
        ("half a block of headers", [greeting(0), frame(HEADERS, 0, 1, &half[..20])].concat(), MANY, false),
        ("no byte", Vec::new(), FEW, false),
        ("half a preface", PREFACE[..10].to_vec(), FEW, false),
        ("no byte of HTTP", Vec::new(), MANY, true),
        ("half a request of HTTP", b"GET /metrics HTTP/1.1\r\nhost:".to_vec(), MANY, true),
    ]
}

fn connect(address: SocketAddr, words: &[u8]) -> TcpStream {
    let mut socket = dial(address);
    // The server may have closed it already to make room.
    let _said = socket.write_all(words);
    socket
}

/// Waits for the end of a connection.
fn ended(mut socket: &TcpStream) -> bool {
    socket.set_read_timeout(Some(WITHIN)).expect("an option");
    let mut bytes = [0; 1024];
    loop {
        match socket.read(&mut bytes) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

#[test]
fn a_silent_crowd_keeps_nobody_out_and_ends() {
    let target = Target::with_files(FILES);
    let measured = Measured::beside("a silent crowd at 128 files", &target);
    let mut crowd = Vec::new();
    for (kind, words, count, http) in kinds() {
        let address = if http { target.server.child.http } else { target.grpc };
        for _ in 0..count {
            crowd.push((kind, connect(address, &words)));
            std::thread::sleep(PAUSE);
        }
        // Meanwhile new callers and the health pages are served.
        assert!(target.server.page("/healthz").0.contains(" 200 "), "{kind}");
        assert!(target.server.page("/readyz").0.contains(" 200 "), "{kind}");
        std::thread::sleep(Duration::from_millis(300));
    }
    for (kind, socket) in &crowd {
        assert!(ended(socket), "{kind}: the connection stands");
    }
    assert!(target.shed("made_room") > 0, "more came than there were places");
    assert!(target.shed("silent") > 0, "some did not greet in time");
    assert!(target.shed("stuck") > 0, "some did not go on in time");
    let grown = measured.grown();
    assert!(grown < 16 * MIB, "{} MiB", grown / MIB);
    measured.had_all_answers(100);
    let log = target.ends_well().log;
    let of_a_connection = |line: &&str| line.contains("\"level\":\"WARN\"") && line.contains("connection");
    let warnings: Vec<_> = log.lines().filter(of_a_connection).collect();
    assert!(warnings.len() <= 1, "{} warnings within a minute: {:?}", warnings.len(), warnings.first());
}
