//! Readers of a server's public listener, in a process of their own: streams of a drop's statuses that stay open, and
//! polls beside them.
//!
//! A connection's source address has some 28,000 ports for one server, so streams are spread over addresses of the
//! loopback.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use stockade_drill::Failure;
use stockade_drill::process::Process;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval};

/// Streams that open at once.
const OPENING: usize = 64;
/// Streams from one source address.
const OF_AN_ADDRESS: u32 = 20_000;
/// Bytes that a reader takes at once.
const PIECE: usize = 1024;

/// What readers are started with.
#[derive(Debug, clap::Args)]
pub struct ReadersOptions {
    /// The address of the public listener
    #[arg(long)]
    at: SocketAddr,
    /// The drop
    #[arg(long)]
    drop: String,
    /// Streams that stay open
    #[arg(long)]
    streams: u32,
    /// Polls a second beside them
    #[arg(long)]
    polls: u32,
}

/// Readers in a process of their own, which yields to server and load: on a real site they are on other machines.
///
/// # Errors
/// When they can't be started.
pub fn start(at: SocketAddr, drop: &str, (streams, polls): (u32, u32)) -> Result<Process, Failure> {
    let mut command = Command::new("nice");
    command.args(["-n", "15"]).arg(std::env::current_exe()?).arg("readers").args(["--drop", drop]);
    let numbers = [("--at", at.to_string()), ("--streams", streams.to_string()), ("--polls", polls.to_string())];
    command.args(numbers.iter().flat_map(|(flag, value)| [*flag, value.as_str()]));
    Process::start("the readers", command)
}

/// The line that says that all streams are open.
#[must_use]
pub fn all_open(line: &str) -> Option<()> {
    (line == "all streams are open").then_some(())
}

/// Opens the streams, says so, and reads until the process is ended.
///
/// # Errors
/// When a stream can't be opened, or ends.
pub async fn read(options: ReadersOptions, mut say: impl FnMut(String)) -> Result<(), Failure> {
    let ReadersOptions { at, drop, streams, polls } = options;
    let _files = crate::kernel::open_more_files();
    let (turns, opened) = (Arc::new(Semaphore::new(OPENING)), Arc::new(AtomicU32::new(0)));
    let (end, mut ended) = tokio::sync::mpsc::channel(1);
    for number in 0..streams {
        let turn = Arc::clone(&turns).acquire_owned().await;
        let (opened, end, drop) = (Arc::clone(&opened), end.clone(), drop.clone());
        tokio::spawn(async move {
            let failed = match open(at, number, &drop).await {
                Ok(stream) => {
                    std::mem::drop(turn);
                    // Relaxed: it orders no other data.
                    opened.fetch_add(1, Ordering::Relaxed);
                    listen(stream).await
                }
                Err(error) => error,
            };
            // Only the first is reported.
            let _reported = end.try_send(failed);
        });
    }
    let mut looks = interval(Duration::from_millis(20));
    while opened.load(Ordering::Relaxed) < streams {
        tokio::select! {
            _ = looks.tick() => {}
            Some(error) = ended.recv() => return Err(Failure::Work(format!("a stream can't be opened: {error}"))),
        }
    }
    say("all streams are open".to_owned());
    let mut ticks = interval(Duration::from_secs(1).checked_div(polls.max(1)).unwrap_or_default());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = ticks.tick(), if polls > 0 => {
                let drop = drop.clone();
                // A poll that is turned away is no failure of the streams.
                tokio::spawn(async move { std::mem::drop(poll(at, &drop).await) });
            }
            Some(error) = ended.recv() => return Err(Failure::Work(format!("a stream ended: {error}"))),
        }
    }
}

/// Opens a stream and reads its first event.
async fn open(at: SocketAddr, number: u32, drop: &str) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if at.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST) {
        let last = u8::try_from(number / OF_AN_ADDRESS).unwrap_or(u8::MAX).saturating_add(1);
        socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0)))?;
    }
    let mut stream = socket.connect(at).await?;
    let request = format!("GET /v1/drops/{drop}/stream HTTP/1.1\r\nhost: readers\r\naccept: text/event-stream\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.windows(7).any(|seven| seven == b"\ndata: ") {
        let mut piece = [0; PIECE];
        let read = stream.read(&mut piece).await?;
        head.extend_from_slice(piece.get(..read).unwrap_or_default());
        if read == 0 {
            let said = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
            return Err(std::io::Error::other(format!("it ended after {said:?}")));
        }
    }
    Ok(stream)
}

/// Reads to the end.
async fn listen(stream: TcpStream) -> std::io::Error {
    loop {
        // Read without a buffer while nothing comes: there are many.
        if let Err(error) = stream.readable().await {
            return error;
        }
        match stream.try_read(&mut [0; PIECE]) {
            Ok(0) => return std::io::Error::other("the server closed it"),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return error,
        }
    }
}

async fn poll(at: SocketAddr, drop: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(at).await?;
    let request = format!("GET /v1/drops/{drop} HTTP/1.1\r\nhost: readers\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    stream.read_to_end(&mut Vec::new()).await.map(|_read| ())
}
