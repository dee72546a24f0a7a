//! The state of a raw connection: windows, answers, and its end.

use std::collections::HashMap;
use std::io::Read as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use stockade_types::metrics::Stopwatch;

use super::frames::{ACK, DATA, END_STREAM, GOAWAY, HEADERS, RST_STREAM, SETTINGS, WINDOW, WINDOW_UPDATE};
use super::hpack;

/// The initial window of a connection and its streams.
const FIRST_WINDOW: i64 = 65_535;
/// Bytes of the prefix of a message.
const HEAD: usize = 5;

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A gRPC status and its message.
    Status(u32, String),
    /// A reset with its code.
    Reset(u32),
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// A GOAWAY frame with its code.
    Goodbye(u32),
    /// The socket closed without one: the server's last bytes may be lost if the peer was still sending.
    Cut,
}

/// A call.
#[derive(Debug, Default)]
pub struct Stream {
    /// Bytes that may still be sent on it.
    pub window: i64,
    /// Received bytes.
    pub received: usize,
    /// The first five of them, which contain the length of the message.
    pub head: Vec<u8>,
    pub outcome: Option<Outcome>,
}

impl Stream {
    /// The length of its message with its prefix, once that has arrived.
    pub fn announced(&self) -> Option<usize> {
        let length = self.head.get(1..HEAD).filter(|length| length.len() == HEAD - 1)?;
        Some(HEAD + usize::try_from(number(length)).expect("32 bits"))
    }
}

/// The whole state.
#[derive(Debug)]
pub struct State {
    pub window: i64,
    pub first_window: i64,
    pub streams: HashMap<u32, Stream>,
    /// Whether the server has sent its greeting.
    pub greeted: bool,
    /// The code of a GOAWAY frame.
    pub goaway: Option<u32>,
    /// Whether the socket has closed.
    pub over: bool,
}

/// The state, and a condition variable that signals changes.
#[derive(Debug)]
pub struct Heard {
    state: Mutex<State>,
    more: Condvar,
}

impl Heard {
    /// Reads from a socket on a thread of its own, until it closes.
    pub fn of(socket: TcpStream) -> Arc<Self> {
        let state = State {
            window: FIRST_WINDOW,
            first_window: FIRST_WINDOW,
            streams: HashMap::new(),
            greeted: false,
            goaway: None,
            over: false,
        };
        let heard = Arc::new(Self { state: Mutex::new(state), more: Condvar::new() });
        let listener = Arc::clone(&heard);
        std::thread::spawn(move || listener.listen(socket));
        heard
    }

    fn listen(&self, mut socket: TcpStream) {
        let (mut bytes, mut piece) = (Vec::new(), vec![0; 64 * 1024]);
        while let Some(read) = socket.read(&mut piece).ok().filter(|read| *read > 0) {
            bytes.extend(&piece[..read]);
            let mut state = self.state.lock();
            let mut done = 0;
            while let Some(length) = whole_frame(&bytes[done..]) {
                state.frame(&bytes[done..done + length]);
                done += length;
            }
            bytes.drain(..done);
            self.more.notify_all();
        }
        self.state.lock().over = true;
        self.more.notify_all();
    }

    /// Reads or changes the state.
    pub fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock())
    }

    /// Waits until `look` returns a value.
    pub fn wait<T>(&self, within: Duration, mut look: impl FnMut(&mut State) -> Option<T>) -> Option<T> {
        let watch = Stopwatch::start();
        let mut state = self.state.lock();
        loop {
            if let Some(found) = look(&mut state) {
                return Some(found);
            }
            let left = within.checked_sub(watch.elapsed())?;
            self.more.wait_for(&mut state, left);
        }
    }
}

/// The length of the first frame, if it is complete.
fn whole_frame(bytes: &[u8]) -> Option<usize> {
    let head = bytes.first_chunk::<9>()?;
    let length = 9 + usize::try_from(u32::from_be_bytes([0, head[0], head[1], head[2]])).expect("24 bits");
    (bytes.len() >= length).then_some(length)
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(*bytes.first_chunk().expect("a number"))
}

impl State {
    fn frame(&mut self, frame: &[u8]) {
        let (head, payload) = frame.split_at(9);
        let (kind, flags, id) = (head[3], head[4], number(&head[5..]) & 0x7fff_ffff);
        match kind {
            SETTINGS if flags & ACK == 0 => {
                self.greeted = true;
                for setting in payload.chunks_exact(6) {
                    if u16::from_be_bytes([setting[0], setting[1]]) == WINDOW {
                        let window = i64::from(number(&setting[2..]));
                        let more = window - std::mem::replace(&mut self.first_window, window);
                        self.streams.values_mut().for_each(|stream| stream.window += more);
                    }
                }
            }
            WINDOW_UPDATE if id == 0 => self.window += i64::from(number(payload)),
            WINDOW_UPDATE => self.stream(id, |stream| stream.window += i64::from(number(payload))),
            DATA => self.stream(id, |stream| {
                stream.received += payload.len();
                stream.head.extend(payload.iter().take(HEAD - stream.head.len()));
            }),
            HEADERS => self.stream(id, |stream| {
                if let Some(status) = hpack::find(payload, "grpc-status") {
                    let words = hpack::find(payload, "grpc-message").map(|words| plain(&words)).unwrap_or_default();
                    let status = Outcome::Status(status.parse().expect("a number"), words);
                    stream.outcome.get_or_insert(status);
                } else if flags & END_STREAM != 0 {
                    stream.outcome.get_or_insert(Outcome::Status(u32::MAX, "no status".to_owned()));
                }
            }),
            RST_STREAM => self.stream(id, |stream| {
                stream.outcome.get_or_insert(Outcome::Reset(number(payload)));
            }),
            GOAWAY => {
                // Of two GOAWAY frames the first is a warning; the last one counts.
                self.goaway = Some(number(&payload[4..]));
            }
            _ => {}
        }
    }

    fn stream(&mut self, id: u32, change: impl FnOnce(&mut Stream)) {
        change(self.streams.entry(id).or_default());
    }
}

/// A decoded message: `%20` is a space.
fn plain(words: &str) -> String {
    let mut parts = words.split('%');
    let mut plain = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at(2);
        plain.push(u8::from_str_radix(code, 16).expect("two digits"));
        plain.extend(rest.as_bytes());
    }
    String::from_utf8(plain).expect("words in UTF-8")
}
