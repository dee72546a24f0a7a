//! The calls of `EventService`: events from the journal, as pages or as a stream.
//!
//! Reading blocks, so it runs on blocking threads, a few at once. Followers at the tail share what is decoded once
//! for all. The memory of a message is charged before the message is made.

mod explain;
mod moved;
mod page;
mod reader;
mod tail;

pub(super) use moved::Moved;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use parking_lot::Mutex;
use stockade_counter::sync::parallelism;
use stockade_engine::Engine;
use stockade_feed::{Feed, FeedError, HistoryError, Position, Recent};
use stockade_proto as pb;
use stockade_types::ids::Lsn;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tonic::Status;

use super::convert::{self, EventSelection, From};
use super::edge::Edge;
use super::intake::{grow_until, room_deadline};
use super::seats::Seats;
use super::status::{self, of_fault};
use super::stream::Streams;
use crate::budget::Charge;
use crate::http2::Peer;
use page::{EventPage, Newest, PAGE_BYTES, Source};
use reader::Reader;
use tail::Tails;

/// Most readers of files at once; others wait.
const READERS_MAX: usize = 4;
/// How often a reader that waits for room in the budget tries again.
const ROOM_PERIOD: Duration = Duration::from_millis(20);
/// How long a page without a wait is searched. After that its answer says how far the search got.
const LOOKED_FOR: Duration = Duration::from_secs(2);
/// The message if no newest event was found in time.
const TOO_FAR: &str =
    "none of the newest events matches, and searching further back takes too long: read on from a cursor";
/// About how many bytes of the tail are searched at once.
const RECENT_BYTES: usize = 1024 * 1024;
/// Events of up to this size are made into a message on the call's own thread: it takes about a millisecond.
const AT_ONCE_BYTES: usize = 256 * 1024;
/// Events of up to this size are covered by the call's own charge.
const COVERED_BYTES: usize = 2 * 1024;
/// The memory of a message, as values and encoded, relative to its events.
const MESSAGE_FACTOR: usize = 3;
/// After about this many bytes were made into messages at the tail, other tasks run
const TURN_BYTES: usize = 64 * 1024;
/// for this many rounds of the runtime's queue. So followers take only a part of a busy machine.
const ROUNDS: u32 = 4;
/// How long to wait for durable records to be forced to the disk, which happens every 100 ms.
const FORCED_WITHIN: Duration = Duration::from_millis(500);

/// A message of a stream, with its charge.
pub(super) type Message = (pb::ReadEventsResponse, Charge);

/// The calls about events, which are refused with `--ephemeral`, and `Explain`.
pub(super) struct Events {
    edge: Arc<Edge>,
    streams: Streams,
    seats: Arc<Seats>,
    files: Arc<Semaphore>,
    large: Arc<Semaphore>,
    /// Of the last term that was asked about.
    shared: Mutex<Option<Arc<Shared>>>,
}

/// A reader of events: what it wants, and for which peer.
pub(super) struct Asker {
    wanted: Arc<EventSelection>,
    peer: Arc<Peer>,
    /// It waits at the tail, and need not see at once what the tail has not decoded yet.
    waits: bool,
    /// Where it began, if that was the oldest event. If that event is dropped meanwhile, reading begins at the oldest
    /// event kept then.
    began: Option<Position>,
}

/// What the calls of one term share. It ends with the term's journal.
pub(super) struct Shared {
    /// Weak: followers do not keep a term's engine.
    engine: Weak<Engine>,
    feed: Arc<Feed>,
    streams: Streams,
    seats: Arc<Seats>,
    tails: Arc<Tails>,
    files: Arc<Semaphore>,
    /// Bounds the large messages that are made at once.
    large: Arc<Semaphore>,
    /// The turn to make a message at the tail.
    turn: Arc<Semaphore>,
    /// Bytes that were made into messages since other tasks ran.
    made: AtomicUsize,
}

impl Events {
    /// Over this edge; readers end with `streams`.
    pub(super) fn new(edge: Arc<Edge>, streams: Streams, seats: Arc<Seats>) -> Self {
        let files = Arc::new(Semaphore::new(parallelism().min(READERS_MAX)));
        let large = Arc::new(Semaphore::new(parallelism().div_ceil(2)));
        Self { edge, streams, seats, files, large, shared: Mutex::default() }
    }

    /// What the calls of the current term share.
    fn shared(&self) -> Result<Arc<Shared>, Status> {
        self.current()?.ok_or_else(|| Status::unimplemented("with --ephemeral no events are kept"))
    }

    /// The same; none with `--ephemeral`.
    fn current(&self) -> Result<Option<Arc<Shared>>, Status> {
        let mut last = self.shared.lock();
        // Read under the lock, so that an earlier term can't replace a later one.
        let engine = self.edge.engine();
        if let (Ok(engine), Some(shared)) = (&engine, last.as_ref())
            && shared.is_of(engine)
        {
            return Ok(Some(Arc::clone(shared)));
        }
        // Between two terms nothing of the last one is kept.
        let shared = engine.map(|engine| self.of_term(&engine).map(Arc::new));
        let before = std::mem::replace(&mut *last, shared.as_ref().ok().cloned().flatten());
        drop(last);
        drop(before);
        shared.map_err(of_fault)
    }

    fn of_term(&self, engine: &Arc<Engine>) -> Option<Shared> {
        let of_names = Arc::downgrade(engine);
        let names = move |number| of_names.upgrade().and_then(|engine| engine.definition(number));
        let feed = Arc::new(Feed::new(engine.history()?, names));
        Some(Shared {
            engine: Arc::downgrade(engine),
            streams: self.streams.clone(),
            seats: Arc::clone(&self.seats),
            tails: Tails::new(Arc::clone(&feed), self.streams.clone()),
            feed,
            files: Arc::clone(&self.files),
            large: Arc::clone(&self.large),
            turn: Arc::new(Semaphore::new(1)),
            made: AtomicUsize::new(0),
        })
    }

    /// A stream of events, for this peer.
    ///
    /// # Errors
    /// If the request is faulty, can't be read from its cursor, or the bound on followers is reached.
    pub(super) async fn read_events(
        &self,
        request: &pb::ReadEventsRequest,
        peer: &Arc<Peer>,
    ) -> Result<BoxStream<'static, Result<Message, Status>>, Status> {
        let shared = self.shared()?;
        let asked = convert::read_events(request)?;
        let seat = shared.seats.take(peer).map_err(of_fault)?;
        let reader = Reader::begin(&shared, asked, (seat, peer)).await?;
        Ok(stream::unfold(Some(Box::new(reader)), Reader::step).boxed())
    }

    /// A page of events, for this peer, with its charge.
    ///
    /// # Errors
    /// If the request is faulty, can't be read from its cursor, or has no room.
    pub(super) async fn list_events(
        &self,
        request: &pb::ListEventsRequest,
        peer: &Arc<Peer>,
    ) -> Result<(pb::ListEventsResponse, Charge), Status> {
        let shared = self.shared()?;
        let convert::ListEvents { from, wanted, wait, latest } = convert::list_events(request)?;
        let deadline = wait.map(|wait| Instant::now() + wait.duration());
        let until = deadline.unwrap_or_else(|| Instant::now() + LOOKED_FOR);
        let _seat = deadline.map(|_| shared.seats.take(peer)).transpose().map_err(of_fault)?;
        let _following = shared.feed.follow();
        shared.settled().await;
        let began = matches!(from, From::Oldest);
        let mut after = shared.start(from).await?;
        let (wanted, peer, began) = (Arc::new(wanted), Arc::clone(peer), began.then_some(after));
        let asker = Asker { wanted, peer, waits: deadline.is_some(), began };
        // Joined before the first read, so that no event in between is missed.
        let mut tail = deadline.map(|_| shared.tails.join());
        loop {
            let (page, charge) =
                if latest { shared.newest(after, until, &asker).await? } else { shared.gather(after, &asker).await? };
            let went_on = page.read_to > after;
            after = after.max(page.read_to);
            let at_end = latest || !went_on;
            // A long search without a match returns how far it got; the caller goes on from there.
            if !page.events.is_empty() || Instant::now() >= until || (at_end && deadline.is_none()) {
                let EventPage { events, .. } = page;
                return Ok((pb::ListEventsResponse { events, read_to: shared.feed.cursor(after) }, charge));
            }
            drop((page, charge));
            if shared.stops() {
                return Err(status::stopping());
            }
            if at_end && let (Some(deadline), Some(tail)) = (deadline, &mut tail) {
                shared.wait_for_more(tail, deadline).await?;
            }
        }
    }
}

impl Shared {
    fn is_of(&self, engine: &Arc<Engine>) -> bool {
        std::ptr::eq(self.engine.as_ptr(), Arc::as_ptr(engine))
    }

    /// Waits until everything that is durable now can be read.
    async fn settled(&self) {
        // If the engine is gone, its journal has ended and can be read as it is.
        let durable = self.engine.upgrade().map_or(Lsn(0), |engine| engine.journal().durable());
        let Some(before) = durable.0.checked_sub(1) else { return };
        let forced = self.feed.beyond(Lsn(before));
        // A slower disk shows its records later; a journal that has failed shows what it has.
        let _forced = timeout(FORCED_WITHIN, forced).await;
    }

    /// The position to begin at.
    async fn start(&self, from: From) -> Result<Position, Status> {
        match from {
            From::Now => Ok(self.feed.end()),
            From::Oldest => {
                let feed = Arc::clone(&self.feed);
                blocking(move || feed.oldest()).await?.map_err(|error| status::unreadable_now(&error))
            }
            From::Cursor(cursor) => {
                let feed = Arc::clone(&self.feed);
                let position = blocking(move || feed.position(&cursor)).await?;
                position.map_err(|bad| status::cursor(&bad))
            }
        }
    }

    /// The events after a position that fit into a message, with their charge. The page's position is beyond `after`,
    /// unless that is the end.
    async fn gather(&self, after: Position, asker: &Asker) -> Result<(EventPage, Charge), Status> {
        let mut charge = asker.peer.share.empty_charge();
        if asker.wanted.filter.fits_nothing() {
            return Ok((EventPage::behind(after.max(self.feed.end())), charge));
        }
        let is_end = || after >= self.feed.end();
        let chunks = match self.feed.recent(after, RECENT_BYTES) {
            Recent::Chunks(chunks) => chunks,
            Recent::End if asker.waits || is_end() => return Ok((EventPage::behind(after), charge)),
            Recent::Behind if is_end() => return Ok((EventPage::behind(after), charge)),
            Recent::End | Recent::Behind => {
                let began_here = asker.began == Some(after);
                let read = move |source: &Source<'_>| match EventPage::of_files(after, source) {
                    Err(FeedError::History(HistoryError::NotKept { oldest })) if began_here => {
                        EventPage::of_files(Position::before(oldest).max(after), source)
                    }
                    read => read,
                };
                return self.read_files(charge, asker, read).await;
            }
        };
        let weight = chunks.iter().map(|chunk| chunk.weight()).fold(0, usize::saturating_add);
        let takes = if weight > COVERED_BYTES { weight.min(PAGE_BYTES).saturating_mul(MESSAGE_FACTOR) } else { 0 };
        let turn = if weight > AT_ONCE_BYTES { &self.large } else { &self.turn };
        let turn = with_room(turn, &mut charge, takes).await?;
        let (feed, wanted) = (Arc::clone(&self.feed), Arc::clone(&asker.wanted));
        let make = move || {
            let source = Source { feed: &feed, wanted: &wanted };
            (EventPage::of_chunks(after, &chunks, &source), charge)
        };
        if weight > AT_ONCE_BYTES {
            return blocking(move || {
                let _turn = turn;
                make()
            })
            .await;
        }
        let (page, charge) = make();
        self.give_way(weight).await;
        drop(turn);
        Ok((page, charge))
    }

    /// Lets other tasks run if much was made into messages. Called only with the turn.
    async fn give_way(&self, more: usize) {
        let sum = self.made.load(Ordering::Relaxed).saturating_add(more);
        self.made.store(if sum < TURN_BYTES { sum } else { 0 }, Ordering::Relaxed);
        if sum >= TURN_BYTES {
            for _ in 0..ROUNDS {
                yield_now().await;
            }
        }
    }

    /// The newest events after a position, newest first, that are found until then.
    async fn newest(&self, after: Position, until: Instant, asker: &Asker) -> Result<(EventPage, Charge), Status> {
        let (mut newest, mut charge) = (Newest::upto(self.feed.end()), asker.peer.share.empty_charge());
        if asker.wanted.filter.fits_nothing() {
            return Ok((newest.into_page(), charge));
        }
        let from_oldest = asker.began == Some(after);
        loop {
            let look = move |source: &Source<'_>| match newest.look(after, source) {
                Ok(done) => Ok((newest, done)),
                // The oldest event was dropped meanwhile: there are no more.
                Err(FeedError::History(HistoryError::NotKept { .. })) if from_oldest => Ok((newest, true)),
                Err(error) => Err(error),
            };
            let ((looked, done), charged) = self.read_files(charge, asker, look).await?;
            let over = Instant::now() >= until || self.stops();
            if over && !done && looked.is_empty() {
                return Err(Status::deadline_exceeded(TOO_FAR));
            }
            if done || over {
                return Ok((looked.into_page(), charged));
            }
            (newest, charge) = (looked, charged);
        }
    }

    /// Reads files for a message.
    async fn read_files<T: Send + 'static>(
        &self,
        charge: Charge,
        asker: &Asker,
        read: impl FnOnce(&Source<'_>) -> Result<T, FeedError> + Send + 'static,
    ) -> Result<(T, Charge), Status> {
        let wanted = Arc::clone(&asker.wanted);
        self.on_files(charge, move |feed| read(&Source { feed, wanted: &wanted })).await
    }

    /// Reads files. The most that a message takes is charged before.
    async fn on_files<T: Send + 'static>(
        &self,
        mut charge: Charge,
        read: impl FnOnce(&Feed) -> Result<T, FeedError> + Send + 'static,
    ) -> Result<(T, Charge), Status> {
        let permit = with_room(&self.files, &mut charge, PAGE_BYTES.saturating_mul(MESSAGE_FACTOR)).await?;
        let feed = Arc::clone(&self.feed);
        // Charge and permit move along: if the caller gives up meanwhile, the read goes on.
        let read = blocking(move || {
            let _permit = permit;
            let read = read(&feed);
            let read =
                read.map_err(|error| status::unreadable(&error, || feed.oldest().map(|oldest| feed.cursor(oldest))));
            read.map(|read| (read, charge))
        });
        read.await?
    }

    /// Waits for news at the tail, or until the deadline.
    async fn wait_for_more(&self, tail: &mut tail::Tail, deadline: Instant) -> Result<(), Status> {
        match timeout_at(deadline, tail.changed()).await {
            Ok(Ok(())) => tail.borrow_and_update().clone(),
            // The tail ended with its server.
            Ok(Err(_gone)) => Err(status::stopping()),
            Err(_elapsed) => Ok(()),
        }
    }

    /// Whether streams must end: because the server stops, or the term has ended.
    fn stops(&self) -> bool {
        self.streams.ended() || self.feed.has_ended()
    }
}

/// Takes a turn and grows the charge to this many bytes. A caller that waits for a turn holds no bytes, and one that
/// waits for bytes holds no turn.
async fn with_room(turns: &Arc<Semaphore>, charge: &mut Charge, bytes: usize) -> Result<OwnedSemaphorePermit, Status> {
    let deadline = room_deadline();
    loop {
        let turn = Arc::clone(turns).acquire_owned().await.map_err(|_closed| status::stopping())?;
        let needs = bytes.saturating_sub(charge.bytes());
        if charge.try_grow(needs).is_ok() {
            return Ok(turn);
        }
        drop(turn);
        if Instant::now() >= deadline {
            grow_until(deadline, charge, needs).await?;
        } else {
            sleep(ROOM_PERIOD).await;
        }
    }
}

/// Runs blocking work on a blocking thread.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Status> {
    // A panic would have ended the process through its hook.
    tokio::task::spawn_blocking(work).await.map_err(|_stopped| status::stopping())
}
