//! Redis with `appendonly yes`, `appendfsync always` and the reservation as a cached script. That is its best case: the
//! caller sends a digest and a few words.
//!
//! The needed part of its protocol is written here, since a client library would slow the peer down.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use stockade_drill::Failure;
use stockade_drill::drive::{Caller, Measured, Span, closed_loop};
use stockade_drill::numbers::count;
use stockade_drill::process::{Process, find, free_port};
use stockade_drill::wire;
use stockade_types::metrics::Stopwatch;
use stockade_types::time::wall_clock;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{CUSTOMERS, LIMIT, STOCK, customer};

/// The reservation script.
const SCRIPT: &str = include_str!("../reserve.lua");
/// How long it may take to answer.
const START_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a hold lives there, in seconds.
const TTL: u64 = 3600;
/// The message if it is not installed.
pub const INSTALL: &str = "redis-server is not installed: apt-get install redis-server (Debian 12 has Redis 7)";

/// How many clients send requests, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Callers {
    /// Connections.
    pub clients: usize,
    /// Scripts sent at once on each, before the first answer is read.
    pub pipeline: usize,
}

/// The path of its program.
#[must_use]
pub fn program() -> Option<PathBuf> {
    find("redis-server", &[])
}

/// Starts Redis on this empty folder and drives it.
///
/// # Errors
/// When it does not start, or an answer is missing or wrong.
pub async fn measure(folder: TempDir, callers: Callers, span: Span) -> Result<Measured, Failure> {
    let redis = Redis::start(folder).await?;
    let mut admin = Connection::open(redis.address).await?;
    let digest = admin.ask(&["SCRIPT", "LOAD", SCRIPT]).await?;
    admin.ask(&["SET", "stock", &STOCK.to_string()]).await?;
    let mut all = Vec::with_capacity(callers.clients);
    for _ in 0..callers.clients {
        let connection = Connection::open(redis.address).await?;
        let random = fastrand::Rng::new();
        all.push(Scripts { connection, digest: digest.clone(), pipeline: callers.pipeline, random });
    }
    let measured = closed_loop(all, span).await?;
    let free = admin.ask(&["GET", "stock"]).await?;
    if free.parse() == Ok(STOCK.saturating_sub(measured.operations)) {
        return Ok(measured);
    }
    Err(Failure::Work(format!("Redis has {free} units left, {} reserves were answered", measured.operations)))
}

/// A running Redis. It ends before its folder is removed.
struct Redis {
    address: SocketAddr,
    _process: Process,
    _folder: TempDir,
}

impl Redis {
    async fn start(folder: TempDir) -> Result<Self, Failure> {
        let address = free_port()?;
        let mut command = Command::new(program().ok_or_else(|| Failure::Work(INSTALL.to_owned()))?);
        command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string(), "--save", ""]);
        // Redis does not rewrite its file during a run, which would slow it down.
        command.args(["--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0"]);
        command.args(["--daemonize", "no", "--dir"]);
        command.arg(folder.path());
        let mut process = Process::start("redis-server", command)?;
        let watch = Stopwatch::start();
        while watch.elapsed() < START_TIMEOUT && !process.ended() {
            if let Ok(mut connection) = Connection::open(address).await
                && connection.ask(&["PING"]).await.is_ok_and(|answer| answer == "PONG")
            {
                return Ok(Self { address, _process: process, _folder: folder });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(process.complaint())
    }
}

/// Appends a command to the buffer.
fn command(buffer: &mut Vec<u8>, words: &[&str]) {
    buffer.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        buffer.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        buffer.extend_from_slice(word.as_bytes());
        buffer.extend_from_slice(b"\r\n");
    }
}

/// The first answer in these bytes and its length; none if it is incomplete.
fn answer(bytes: &[u8]) -> Option<(Result<&str, &str>, usize)> {
    let end = bytes.windows(2).position(|two| two == b"\r\n")?;
    let line = str::from_utf8(bytes.get(..end)?).unwrap_or_default();
    let after = end.saturating_add(2);
    match line.split_at_checked(1)? {
        ("$", length) => {
            let length: usize = length.parse().unwrap_or(0);
            let text = bytes.get(after..after.saturating_add(length))?;
            let whole = after.saturating_add(length).saturating_add(2);
            (bytes.len() >= whole).then(|| (Ok(str::from_utf8(text).unwrap_or_default()), whole))
        }
        ("+" | ":", text) => Some((Ok(text), after)),
        (_, text) => Some((Err(text), after)),
    }
}

struct Connection {
    stream: TcpStream,
    sent: Vec<u8>,
    received: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, sent: Vec::new(), received: Vec::new() })
    }

    async fn ask(&mut self, words: &[&str]) -> Result<String, Failure> {
        self.sent.clear();
        command(&mut self.sent, words);
        let mut reported = String::new();
        let keep = |text: &str| {
            text.clone_into(&mut reported);
            Ok(())
        };
        self.exchange(1, keep).await.map_err(Failure::Work)?;
        Ok(reported)
    }

    /// Sends the buffered commands and reads as many answers as expected.
    async fn exchange(
        &mut self,
        answers: usize,
        mut look: impl FnMut(&str) -> Result<(), String>,
    ) -> Result<(), String> {
        let lost = |error: std::io::Error| format!("Redis is lost: {error}");
        self.stream.write_all(&self.sent).await.map_err(lost)?;
        self.received.clear();
        let (mut read, mut seen) = (0_usize, 0_usize);
        while seen < answers {
            let next = answer(self.received.get(read..).unwrap_or_default());
            let next = next.map(|(text, length)| (text.map_err(str::to_owned).and_then(&mut look), length));
            match next {
                Some((looked, length)) => {
                    looked?;
                    (read, seen) = (read.saturating_add(length), seen.saturating_add(1));
                }
                None if self.stream.read_buf(&mut self.received).await.map_err(lost)? == 0 => {
                    return Err("Redis has closed the connection".to_owned());
                }
                None => {}
            }
        }
        Ok(())
    }
}

/// A connection that runs the script.
struct Scripts {
    connection: Connection,
    digest: String,
    pipeline: usize,
    random: fastrand::Rng,
}

impl Caller for Scripts {
    async fn call(&mut self) -> Result<u64, String> {
        self.connection.sent.clear();
        let deadline = (wall_clock().0 / 1000).saturating_add(TTL).to_string();
        let limit = LIMIT.to_string();
        for _ in 0..self.pipeline {
            let (who, hold) = (customer(self.random.u32(..CUSTOMERS)), wire::hold_id(&mut self.random).to_string());
            let keys = ["EVALSHA", self.digest.as_str(), "4", "stock", "usage", "holds", "deadlines"];
            let words = [&keys[..], &[&who, &hold, "1", &limit, &deadline]].concat();
            command(&mut self.connection.sent, &words);
        }
        let held = |text: &str| if text == "HELD" { Ok(()) } else { Err(format!("Redis answered {text:?}")) };
        self.connection.exchange(self.pipeline, held).await?;
        Ok(count(self.pipeline))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_one_by_one_and_only_when_they_are_whole() {
        let bytes = b"$4\r\nHELD\r\n+OK\r\n:7\r\n-ERR no\r\n$4\r\nHE";
        let mut read = 0;
        let mut reported = Vec::new();
        while let Some((text, length)) = answer(&bytes[read..]) {
            reported.push(text);
            read += length;
        }
        assert_eq!(reported, [Ok("HELD"), Ok("OK"), Ok("7"), Err("ERR no")]);
        assert_eq!(&bytes[read..], b"$4\r\nHE");
    }

    #[test]
    fn a_command_is_a_list_of_words_with_their_lengths() {
        let mut buffer = Vec::new();
        command(&mut buffer, &["GET", "stock"]);
        assert_eq!(buffer, b"*2\r\n$3\r\nGET\r\n$5\r\nstock\r\n");
    }
}
