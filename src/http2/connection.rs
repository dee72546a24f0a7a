//! One connection from its first byte to its last.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use h2::server::{Builder, Connection, Handshake, SendResponse};
use h2::{Ping, PingPong, Reason, RecvStream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tonic::codegen::http::Request;

use super::answer::Chunk;
use super::exchange;
use super::guarded::{Guarded, Vitals};
use super::meter::Excess;
use super::watchdog::{Liveness, PERIOD, Watchdog};
use super::{HEAD_BYTES_MAX, Peer, STREAMS_MAX, Service};
use crate::budget::Charge;

/// The peer must complete the HTTP/2 greeting within this time.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);
/// The receive window of a connection,
const WINDOW: u32 = 64 * 1024;
/// and of one that receives long messages.
const WIDE_WINDOW: u32 = 1024 * 1024;
/// The wide window is given up after this many checks without a long message.
const LOOKS_WIDE: u32 = 5;
/// The receive window of a stream. The connection's window bounds it.
const STREAM_WINDOW: u32 = WIDE_WINDOW;
/// Most bytes of answers that wait in h2 for the socket, per stream.
const SEND_BUFFER: usize = 64 * 1024;
/// h2 counts 256 bytes for each small DATA frame that waits, and ends a connection above this. A peer that sends the
/// end of each request in a frame of its own has one such frame for each call.
const SMALL_FRAMES: usize = 2 * 256 * 1024;
/// Most streams that may be reset for a protocol error, over a connection's life.
const LOCAL_RESETS_MAX: usize = 16 * 1024;
/// How long an ended connection may take to send its GOAWAY.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long a stopping server waits for a peer without calls to close.
const GOODBYE: Duration = Duration::from_millis(250);
/// It waits this many times as long for a peer that has calls and reads none of their answers.
const GOODBYES_UNTAKEN: u32 = 4;

/// How a connection ended.
#[derive(Debug)]
pub enum Ended {
    /// By either side, in order.
    Closed,
    /// The peer did not complete the greeting in time.
    Silent,
    /// It was silent, and another connection needed its place.
    MadeRoom,
    /// The peer exceeded an allowance.
    Excess(Excess),
    /// The peer began something and did not continue, or did not read its answers.
    Stuck,
    /// The peer was silent and did not answer a ping.
    Dead,
    /// The connection failed.
    Failed(h2::Error),
}

/// How a connection is controlled from outside.
pub struct Control<F> {
    /// True once the server stops.
    pub stopping: watch::Receiver<bool>,
    /// Notified when its place is needed. Only a connection without a call yet heeds it.
    pub make_room: Arc<Notify>,
    /// Called at the first call. If it returns false, the place is taken already, and the connection ends.
    pub spoke: F,
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(STREAMS_MAX)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_header_list_size(HEAD_BYTES_MAX)
        .max_send_buffer_size(SEND_BUFFER)
        .data_frame_budget(SMALL_FRAMES)
        // Reset streams are remembered for frames that are still on their way to them.
        .max_concurrent_reset_streams(usize::try_from(STREAMS_MAX).unwrap_or(usize::MAX))
        .max_pending_accept_reset_streams(usize::try_from(STREAMS_MAX).unwrap_or(usize::MAX))
        // Over the connection's whole life: a call that was refused while its bytes arrived is no attack.
        .max_local_error_reset_streams(Some(LOCAL_RESETS_MAX));
    builder
}

/// Serves a connection until it ends.
pub async fn serve<S, V, F>(socket: S, service: Arc<V>, peer: Peer, mut control: Control<F>) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin,
    V: Service,
    F: FnOnce() -> bool,
{
    let peer = Arc::new(peer);
    let greeting = builder().handshake(Guarded::new(socket, Arc::clone(&peer.vitals)));
    match greet(greeting, &mut control).await {
        Ok(connection) => ServedConnection::new(connection, service, peer).run(control).await,
        Err(ended) => ended,
    }
}

async fn greet<S, F>(
    greeting: Handshake<Guarded<S>, Chunk>,
    control: &mut Control<F>,
) -> Result<Connection<Guarded<S>, Chunk>, Ended>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    tokio::select! {
        biased;
        greeted = timeout(GREETING_TIMEOUT, greeting) => match greeted {
            Ok(greeted) => greeted.map_err(Ended::Failed),
            Err(_elapsed) => Err(Ended::Silent),
        },
        () = control.make_room.notified() => Err(Ended::MadeRoom),
        () = stopped(&mut control.stopping) => Err(Ended::Closed),
    }
}

/// A connection that is served.
struct ServedConnection<S, V> {
    connection: Connection<Guarded<S>, Chunk>,
    pings: Option<PingPong>,
    asked: bool,
    service: Arc<V>,
    peer: Arc<Peer>,
    watchdog: Watchdog,
    /// The charge for the wide window.
    wide: Option<Charge>,
    /// The budget had no room for the wide window since the last check.
    no_room: bool,
    /// Checks since the last long message.
    looks_without_long: u32,
}

impl<S, V> ServedConnection<S, V>
where
    S: AsyncRead + AsyncWrite + Unpin,
    V: Service,
{
    fn new(mut connection: Connection<Guarded<S>, Chunk>, service: Arc<V>, peer: Arc<Peer>) -> Self {
        let pings = connection.ping_pong();
        let watchdog = Watchdog::default();
        Self {
            connection,
            pings,
            asked: false,
            service,
            peer,
            watchdog,
            wide: None,
            no_room: false,
            looks_without_long: 0,
        }
    }

    fn begin(&self, request: Request<RecvStream>, respond: SendResponse<Chunk>) {
        let call = exchange::InFlight::new(&self.peer);
        tokio::spawn(exchange::run(request, respond, Arc::clone(&self.service), call));
    }

    async fn run(mut self, mut control: Control<impl FnOnce() -> bool>) -> Ended {
        let mut spoke = Some(control.spoke);
        let mut looks = interval(PERIOD);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looks.reset();
        let vitals = Arc::clone(&self.peer.vitals);
        loop {
            tokio::select! {
                biased;
                sign = sign(&vitals, self.wide.is_none() && !self.no_room) => match sign {
                    Sign::Excess(excess) => return self.end(Reason::ENHANCE_YOUR_CALM, Ended::Excess(excess)).await,
                    Sign::Widen => self.widen(),
                },
                accepted = self.connection.accept() => match accepted {
                    Some(Ok((request, respond))) => {
                        if spoke.take().is_some_and(|spoke| !spoke()) {
                            return self.end(Reason::NO_ERROR, Ended::MadeRoom).await;
                        }
                        self.begin(request, respond);
                    }
                    Some(Err(error)) => return Ended::Failed(error),
                    None => return Ended::Closed,
                },
                _ = looks.tick() => if let Some(ended) = self.check_liveness().await {
                    return ended;
                },
                () = pong(self.pings.as_mut()), if self.asked => self.asked = false,
                () = control.make_room.notified(), if spoke.is_some() => {
                    return self.end(Reason::NO_ERROR, Ended::MadeRoom).await;
                }
                () = stopped(&mut control.stopping) => return self.stop().await,
            }
        }
    }

    /// Returns to the first window if no long message has arrived for a while.
    fn narrow(&mut self, wide: bool) {
        self.looks_without_long = if wide { 0 } else { self.looks_without_long.saturating_add(1) };
        if self.looks_without_long >= LOOKS_WIDE && self.wide.take().is_some() {
            self.connection.set_target_window_size(WINDOW);
        }
    }

    /// The periodic check. Returns the end if the connection must end.
    async fn check_liveness(&mut self) -> Option<Ended> {
        let vitals = &self.peer.vitals;
        vitals.seconds_passed(u32::try_from(PERIOD.as_secs()).unwrap_or(u32::MAX));
        let seen = vitals.seen();
        self.no_room = false;
        vitals.narrow();
        self.narrow(seen.wide);
        match self.watchdog.check(seen, self.peer.calls()) {
            Liveness::Fine => None,
            Liveness::Ask => {
                // Fails while another ping is in flight.
                self.asked |= self.pings.as_mut().is_some_and(|pings| pings.send_ping(Ping::opaque()).is_ok());
                None
            }
            Liveness::Idle => {
                self.connection.graceful_shutdown();
                Some(self.closed(GOODBYE, Ended::Closed).await)
            }
            Liveness::Stuck => Some(self.end(Reason::ENHANCE_YOUR_CALM, Ended::Stuck).await),
            Liveness::Dead => Some(Ended::Dead),
        }
    }

    /// Widens the receive window, if the budget has room.
    fn widen(&mut self) {
        let more = usize::try_from(WIDE_WINDOW.saturating_sub(WINDOW)).unwrap_or(usize::MAX);
        match self.peer.share.charge_for_window(more) {
            Ok(charge) => {
                self.wide = Some(charge);
                self.connection.set_target_window_size(WIDE_WINDOW);
            }
            Err(_exhausted) => self.no_room = true,
        }
    }

    /// Ends the connection at once, with a reason.
    async fn end(&mut self, reason: Reason, ended: Ended) -> Ended {
        self.connection.abrupt_shutdown(reason);
        self.closed(LAST_WORDS, ended).await
    }

    async fn closed(&mut self, within: Duration, ended: Ended) -> Ended {
        // Failed or late: it is over either way.
        let _closed = timeout(within, poll_fn(|cx| self.connection.poll_closed(cx))).await;
        ended
    }

    /// The server stops: no new calls are accepted. The connection ends once its calls are finished, or only wait for
    /// a peer that reads nothing.
    async fn stop(&mut self) -> Ended {
        self.connection.graceful_shutdown();
        let (mut untaken_for, mut written) = (0_u32, self.peer.vitals.seen().written);
        loop {
            tokio::select! {
                biased;
                accepted = self.connection.accept() => match accepted {
                    // It was on its way already.
                    Some(Ok((request, respond))) => self.begin(request, respond),
                    Some(Err(error)) => return Ended::Failed(error),
                    None => return Ended::Closed,
                },
                () = sleep(GOODBYE) => {
                    let (calls, seen) = (self.peer.calls(), self.peer.vitals.seen());
                    // Answers that are queued and not yet written are on their way to a peer that reads slowly.
                    if calls == 0 && !seen.write_blocked && written == seen.written {
                        return self.end(Reason::NO_ERROR, Ended::Closed).await;
                    }
                    let untaken = calls == self.peer.untaken() && written == seen.written;
                    untaken_for = if untaken { untaken_for.saturating_add(1) } else { 0 };
                    written = seen.written;
                    if untaken_for >= GOODBYES_UNTAKEN {
                        return self.end(Reason::NO_ERROR, Ended::Stuck).await;
                    }
                }
            }
        }
    }
}

/// What the connection's calls and its socket request from the task that drives it.
enum Sign {
    Excess(Excess),
    Widen,
}

/// Checked whenever the connection is polled for another reason, so it needs no waker.
async fn sign(vitals: &Vitals, narrow: bool) -> Sign {
    let look = |_cx: &mut Context<'_>| {
        let seen = vitals.seen();
        match (seen.excess, seen.wide && narrow) {
            (Some(excess), _) => Poll::Ready(Sign::Excess(excess)),
            (None, true) => Poll::Ready(Sign::Widen),
            (None, false) => Poll::Pending,
        }
    };
    poll_fn(look).await
}

/// Resolves once the server stops, or the sender is gone.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    drop(stopping.wait_for(|stop| *stop).await);
}

async fn pong(pings: Option<&mut PingPong>) {
    if let Some(pings) = pings {
        // If the connection failed, accepting reports it.
        let _pong = poll_fn(|cx| pings.poll_pong(cx)).await;
    }
}
