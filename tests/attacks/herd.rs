//! Many clients that connect at one moment: they wait in the backlog, and need no second attempt.

use std::net::TcpStream;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use std::io::{Read as _, Write as _};

use super::measured::Measured;
use super::peer::{WITHIN, greeting};
use super::server::{MIB, Target};

/// Connections that arrive while the server does not accept.
const HERD: usize = 2_000;
/// Memory for them: 48 KiB each, mostly h2's state of a connection.
const GROWTH_MAX: u64 = 96 * MIB;
/// If the backlog is full, the system retries a connect after a second.
const AT_ONCE: Duration = Duration::from_millis(900);

/// The system's maximum backlog.
fn backlog() -> usize {
    let most = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap_or_default();
    most.trim().parse().unwrap_or(128)
}

#[test]
fn a_herd_is_taken_in_though_nobody_accepts_yet() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("more files");
    }
    let files = maximum.map_or(HERD, |most| usize::try_from(most).unwrap_or(HERD).saturating_sub(300));
    let herd = HERD.min(backlog()).min(files);
    let target = Target::start();
    let measured = Measured::beside("a herd of connections", &target);
    target.server.signal(Signal::STOP);
    let mut sockets: Vec<TcpStream> = Vec::new();
    for number in 0..herd {
        let socket = TcpStream::connect_timeout(&target.grpc, AT_ONCE);
        sockets.push(socket.unwrap_or_else(|error| panic!("connection {number}: {error}")));
    }
    target.server.signal(Signal::CONT);
    for socket in &mut sockets {
        socket.write_all(&greeting(0)).expect("taken");
    }
    for socket in &mut sockets {
        socket.set_read_timeout(Some(WITHIN)).expect("an option");
        socket.read_exact(&mut [0; 9]).expect("the server greets");
    }
    let grown = measured.grown();
    assert!(grown < GROWTH_MAX, "{} MiB", grown / MIB);
    measured.had_all_answers(5);
    drop(sockets);
    target.ends_well();
}
