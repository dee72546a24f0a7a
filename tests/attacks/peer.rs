//! A peer that sends arbitrary bytes over a raw socket, and may read or not.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use super::frames::{
    ACK, DATA, END_STREAM, PAYLOAD, PREFACE, SETTINGS, TABLE, WINDOW, WINDOW_UPDATE, begin, frame, number, settings,
};
use super::state::{End, Heard, Outcome, State};

/// What does not arrive within this time counts as missing.
pub const WITHIN: Duration = Duration::from_secs(20);
/// A socket that can't be written to for this long accepts no more bytes.
const WRITE_TIMEOUT: Duration = Duration::from_secs(3);
/// A window for a peer that reads everything.
pub const WIDE: u32 = 0x7fff_ffff;

/// A connected socket that has sent nothing.
pub fn dial(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect_timeout(&address, WITHIN).expect("a connection");
    socket.set_nodelay(true).expect("an option");
    socket.set_write_timeout(Some(WRITE_TIMEOUT)).expect("an option");
    socket
}

/// The first bytes of a peer that accepts `window` bytes of each answer.
pub fn greeting(window: u32) -> Vec<u8> {
    [
        PREFACE.to_vec(),
        // Without a dynamic table, headers can be decoded without state.
        settings(&[(TABLE, 0), (WINDOW, window)]),
        frame(SETTINGS, ACK, 0, &[]),
        number(WINDOW_UPDATE, 0, WIDE - 65_535),
    ]
    .concat()
}

/// A connection that reads what it is sent.
pub struct Peer {
    socket: TcpStream,
    heard: Arc<Heard>,
    next: u32,
}

impl Drop for Peer {
    fn drop(&mut self) {
        // This ends the reading thread too.
        let _gone = self.socket.shutdown(std::net::Shutdown::Both);
    }
}

impl Peer {
    /// Connects and sends the greeting. It accepts `window` bytes of each answer.
    pub fn connect(address: SocketAddr, window: u32) -> Self {
        Self::attempt(address, window).expect("the server greets")
    }

    /// The same; none if the server closes the connection instead of greeting.
    pub fn attempt(address: SocketAddr, window: u32) -> Option<Self> {
        let mut socket = dial(address);
        socket.write_all(&greeting(window)).ok()?;
        let heard = Heard::of(socket.try_clone().expect("a second handle"));
        let greeted = heard.wait(WITHIN, |state| (state.greeted || state.over).then_some(state.greeted));
        greeted.expect("the server greets, or closes").then_some(Self { socket, heard, next: 1 })
    }

    /// Sends bytes. False if the server no longer accepts them.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.socket.write_all(bytes).is_ok()
    }

    /// Waits until the connection's window has room for these bytes, and takes it. False if the connection ends first.
    pub fn may_send(&self, bytes: usize) -> bool {
        let bytes = i64::try_from(bytes).expect("few");
        let taken = self.heard.wait(WITHIN, |state| {
            let room = state.window >= bytes;
            if room && !state.over {
                state.window -= bytes;
            }
            (room || state.over).then_some(!state.over)
        });
        taken.expect("the window stays closed, and the connection stands")
    }

    /// The number of a new stream.
    pub fn stream(&mut self) -> u32 {
        let id = self.next;
        self.next += 2;
        self.heard.with(|state| {
            let window = state.first_window;
            state.streams.entry(id).or_default().window = window;
        });
        id
    }

    /// Sends the headers of a call.
    pub fn open(&mut self, path: &str) -> u32 {
        let id = self.stream();
        assert!(self.send(&begin(id, path)), "the connection was ended");
        id
    }

    /// Sends a whole call, as the windows allow.
    pub fn call(&mut self, path: &str, body: &[u8]) -> u32 {
        let id = self.open(path);
        self.pour(&[id], body, true, WITHIN);
        id
    }

    /// Sends a body on each of these streams, in turns, as the windows allow, until all is sent or nothing moves for
    /// the time `still`. Returns the sum of sent bytes.
    pub fn pour(&mut self, streams: &[u32], body: &[u8], ends: bool, still: Duration) -> usize {
        let mut sent = vec![0; streams.len()];
        loop {
            let mut frames = Vec::new();
            let all = self.heard.wait(still, |state| {
                let mut left = false;
                for (id, sent) in streams.iter().zip(&mut sent) {
                    let stream = state.streams.entry(*id).or_default();
                    if stream.outcome.is_some() || *sent == body.len() {
                        continue;
                    }
                    left = true;
                    let room = usize::try_from(stream.window.min(state.window)).unwrap_or(0);
                    let piece = &body[*sent..body.len().min(*sent + room.min(PAYLOAD))];
                    if !piece.is_empty() {
                        let bytes = i64::try_from(piece.len()).expect("few");
                        (stream.window, state.window) = (stream.window - bytes, state.window - bytes);
                        *sent += piece.len();
                        let flags = if ends && *sent == body.len() { END_STREAM } else { 0 };
                        frames.extend(frame(DATA, flags, *id, piece));
                    }
                }
                (!left || state.over || !frames.is_empty()).then_some(!left || state.over)
            });
            if all != Some(false) || !self.send(&frames) {
                return sent.iter().sum();
            }
        }
    }

    /// The outcome of a call, if it ends in time.
    pub fn outcome(&self, stream: u32, within: Duration) -> Option<Outcome> {
        self.heard.wait(within, |state| state.streams.get(&stream)?.outcome.clone())
    }

    /// The status of a call.
    pub fn status(&self, stream: u32) -> (u32, String) {
        match self.outcome(stream, WITHIN) {
            Some(Outcome::Status(code, words)) => (code, words),
            other => panic!("stream {stream}: {other:?}, {:?}", self.heard.with(|state| (state.goaway, state.over))),
        }
    }

    /// The outcomes of the calls that have ended.
    pub fn outcomes(&self) -> Vec<Outcome> {
        self.heard.with(|state| state.streams.values().filter_map(|stream| stream.outcome.clone()).collect())
    }

    /// How many of its streams have received at least this many bytes.
    pub fn received(&self, least: usize) -> usize {
        self.heard.with(|state| state.streams.values().filter(|stream| stream.received >= least).count())
    }

    /// Received bytes of a call's answer.
    pub fn received_of(&self, stream: u32) -> usize {
        self.heard.with(|state| state.streams.get(&stream).map_or(0, |stream| stream.received))
    }

    /// The length of a call's answer by its prefix.
    pub fn announced_of(&self, stream: u32) -> Option<usize> {
        self.heard.with(|state| state.streams.get(&stream)?.announced())
    }

    /// Received bytes of all answers.
    pub fn received_in_all(&self) -> usize {
        self.heard.with(|state| state.streams.values().map(|stream| stream.received).sum())
    }

    /// Waits until this many bytes of a call's answer have arrived.
    pub fn receives(&self, stream: u32, bytes: usize) -> bool {
        let came = |state: &mut State| (state.streams.get(&stream)?.received >= bytes).then_some(());
        self.heard.wait(WITHIN, came).is_some()
    }

    /// Waits for the end of the connection. None if it stays open.
    pub fn ended(&self, within: Duration) -> Option<End> {
        self.heard.wait(within, |state| state.over.then(|| state.goaway.map_or(End::Cut, End::Goodbye)))
    }

    /// Whether the connection is open.
    pub fn stands(&self) -> bool {
        self.heard.with(|state| !state.over && state.goaway.is_none())
    }
}
