//! Wraps a connection's socket: meters frames, reads in turns with other connections, and shows outside whether bytes
//! move.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::meter::{Excess, FrameMeter};

/// Bytes that a connection reads in one turn.
const TURN_BYTES: usize = 64 * 1024;
/// Requests that begin in one turn.
const TURN_REQUESTS: u64 = 64;

/// The state of a connection, visible outside its socket.
#[derive(Debug, Default)]
pub(super) struct Vitals(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    seen: Seen,
    /// Seconds and answers that refill the allowances, not yet passed to the meter.
    seconds: u32,
    answered: u32,
}

/// The state of a connection.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Seen {
    /// Bytes read.
    pub read: u64,
    /// Bytes written.
    pub written: u64,
    /// The socket accepts no bytes now.
    pub write_blocked: bool,
    /// The peer has begun something that only it can end.
    pub in_pieces: bool,
    /// Requests that have begun.
    pub requests: u64,
    /// The allowance that was exceeded: nothing more is read.
    pub excess: Option<Excess>,
    /// A long message arrives: a wider window helps.
    pub wide: bool,
}

impl Vitals {
    /// The current state.
    pub(super) fn seen(&self) -> Seen {
        self.0.lock().seen
    }

    /// Time refills the allowances.
    pub(super) fn seconds_passed(&self, seconds: u32) {
        let mut kept = self.0.lock();
        kept.seconds = kept.seconds.saturating_add(seconds);
    }

    /// So does an answer.
    pub(super) fn answered(&self) {
        let mut kept = self.0.lock();
        kept.answered = kept.answered.saturating_add(1);
    }

    /// Requests a wider window.
    pub(super) fn widen(&self) {
        self.0.lock().seen.wide = true;
    }

    /// Clears the request for a wider window.
    pub(super) fn narrow(&self) {
        self.0.lock().seen.wide = false;
    }

    /// The allowance that was exceeded, if any.
    pub(super) fn excess(&self) -> Option<Excess> {
        self.0.lock().seen.excess
    }
}

/// The socket of a connection, with its meter.
#[derive(Debug)]
pub(super) struct Guarded<S> {
    socket: S,
    meter: FrameMeter,
    vitals: Arc<Vitals>,
    /// Bytes read in this turn, and the number of requests at its begin.
    turn: (usize, u64),
}

impl<S> Guarded<S> {
    /// Wraps this socket.
    pub(super) const fn new(socket: S, vitals: Arc<Vitals>) -> Self {
        Self { socket, meter: FrameMeter::new(), vitals, turn: (0, 0) }
    }

    /// Whether this turn is over. If it is, the connection's next turn begins.
    fn turn_is_over(&mut self) -> bool {
        let (bytes, requests) = self.turn;
        let over = bytes >= TURN_BYTES || self.meter.requests().saturating_sub(requests) >= TURN_REQUESTS;
        if over {
            self.begin_turn();
        }
        over
    }

    fn begin_turn(&mut self) {
        self.turn = (0, self.meter.requests());
    }

    fn count_read(&mut self, bytes: &[u8]) -> Result<(), Excess> {
        let mut kept = self.vitals.0.lock();
        if kept.seconds > 0 {
            self.meter.seconds_passed(std::mem::take(&mut kept.seconds));
        }
        if kept.answered > 0 {
            self.meter.answered(std::mem::take(&mut kept.answered));
        }
        let seen = &mut kept.seen;
        let followed = self.meter.follow(bytes);
        seen.read = seen.read.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        seen.in_pieces = self.meter.in_pieces();
        seen.requests = self.meter.requests();
        seen.excess = followed.err();
        followed
    }

    fn went(&self, written: &Poll<io::Result<usize>>) {
        let seen = &mut self.vitals.0.lock().seen;
        match written {
            Poll::Ready(Ok(bytes)) => {
                seen.written = seen.written.saturating_add(u64::try_from(*bytes).unwrap_or(u64::MAX));
                seen.write_blocked = false;
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => seen.write_blocked = true,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let guarded = self.get_mut();
        if guarded.vitals.excess().is_some() {
            return Poll::Pending;
        }
        if guarded.turn_is_over() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut guarded.socket).poll_read(cx, buffer);
        if polled.is_pending() {
            guarded.begin_turn();
            return Poll::Pending;
        }
        let bytes = buffer.filled().get(before..).unwrap_or_default();
        guarded.turn.0 = guarded.turn.0.saturating_add(bytes.len());
        if guarded.count_read(bytes).is_err() {
            // The bytes are not processed; the task that drives the connection ends it.
            buffer.set_filled(before);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let guarded = self.get_mut();
        let written = Pin::new(&mut guarded.socket).poll_write(cx, bytes);
        guarded.went(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let guarded = self.get_mut();
        let written = Pin::new(&mut guarded.socket).poll_write_vectored(cx, pieces);
        guarded.went(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}
