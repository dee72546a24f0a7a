//! The calls of those who follow what happens: events from the journal, page by page or as they come.
//!
//! Reading blocks, so it is done on threads that may, a few at a time; who is at the tail gets what was decoded for all.
//! What a message takes is charged before it is made.

mod page;
mod reader;
mod tail;

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

use super::convert::{self, From, Wanted};
use super::edge::Edge;
use super::intake::{grow_until, room_deadline};
use super::seats::Seats;
use super::status::{self, of_fault};
use super::stream::Streams;
use crate::budget::Charge;
use crate::http2::Peer;
use page::{Newest, PAGE_BYTES, Page, Source};
use reader::Reader;
use tail::Tails;

/// Those who read files at the same time, at most: others wait for their turn.
const READERS_MAX: usize = 4;
/// How often who waits for room to read looks whether there is some.
const ROOM_PERIOD: Duration = Duration::from_millis(20);
/// How long a page that does not wait for events is searched for: then it says how far the search has come.
const LOOKED_FOR: Duration = Duration::from_secs(2);
/// Of the newest events none was found in time.
const TOO_FAR: &str = "none of the newest events fits, and looking further back takes too long: read on from a cursor";
/// Bytes of the tail that are searched at once, about.
const RECENT_BYTES: usize = 1024 * 1024;
/// Events of up to this are made into a message where the call runs: about a millisecond.
const AT_ONCE_BYTES: usize = 256 * 1024;
/// What is made of so much is covered by what its call is charged.
const COVERED_BYTES: usize = 2 * 1024;
/// What a message takes as values and encoded, by what its events take.
const MESSAGE_FACTOR: usize = 3;
/// Bytes of events that are made into messages at the tail before other tasks go first, about,
const TURN_BYTES: usize = 64 * 1024;
/// for this number of rounds of the runtime's queue: followers never take more than a part of a machine that is busy.
const ROUNDS: u32 = 4;
/// How long it is waited for what was durable to be forced to the disk: that is done every 100 ms.
const FORCED_WITHIN: Duration = Duration::from_millis(500);

/// A message of a stream, and what it is charged.
pub type Message = (pb::ReadEventsResponse, Charge);

/// The calls about events. Where nothing is kept there are none.
pub struct Events {
    edge: Arc<Edge>,
    streams: Streams,
    seats: Arc<Seats>,
    files: Arc<Semaphore>,
    large: Arc<Semaphore>,
    /// Of the term that was asked about last.
    shared: Mutex<Option<Arc<Shared>>>,
}

/// For whom is read.
pub struct Asker {
    wanted: Arc<Wanted>,
    peer: Arc<Peer>,
    /// Waits at the tail for what comes, and needs not see at once what that has not decoded yet.
    waits: bool,
    /// Where it began, if it named no place: should that go meanwhile, it begins at the oldest that there is then.
    began: Option<Position>,
}

/// What the calls of a term share. It ends with the term's journal, and so do they.
pub struct Shared {
    /// The term's: what follows events does not keep it.
    engine: Weak<Engine>,
    feed: Arc<Feed>,
    streams: Streams,
    seats: Arc<Seats>,
    tails: Arc<Tails>,
    files: Arc<Semaphore>,
    /// Of large messages few are made at the same time.
    large: Arc<Semaphore>,
    /// Whose turn it is at the tail.
    turn: Arc<Semaphore>,
    /// Bytes that were made into messages since others went first.
    made: AtomicUsize,
}

impl Events {
    /// Before this edge, until its streams end.
    pub fn new(edge: Arc<Edge>, streams: Streams, seats: Arc<Seats>) -> Self {
        let files = Arc::new(Semaphore::new(parallelism().min(READERS_MAX)));
        let large = Arc::new(Semaphore::new(parallelism().div_ceil(2)));
        Self { edge, streams, seats, files, large, shared: Mutex::default() }
    }

    /// What the calls of the current term share.
    fn shared(&self) -> Result<Arc<Shared>, Status> {
        let mut last = self.shared.lock();
        // Asked under the lock: no term comes back after a later one.
        let engine = self.edge.engine();
        if let (Ok(engine), Some(shared)) = (&engine, last.as_ref())
            && shared.is_of(engine)
        {
            return Ok(Arc::clone(shared));
        }
        // Between two terms nothing of the last one stays.
        let shared = engine.map(|engine| self.of_term(&engine).map(Arc::new));
        let before = std::mem::replace(&mut *last, shared.as_ref().ok().cloned().flatten());
        drop(last);
        drop(before);
        shared.map_err(of_fault)?.ok_or_else(|| Status::unimplemented("with --ephemeral no events are kept"))
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

    /// Events as they come, for this peer.
    ///
    /// # Errors
    /// When the request is faulty, can't be read from there, or there is no place among those who follow.
    pub async fn read_events(
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

    /// A page of events, for this peer, and what it is charged.
    ///
    /// # Errors
    /// When the request is faulty, can't be read from there, or there is no room for it.
    pub async fn list_events(
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
        // Joined before it is looked: what comes in between is news.
        let mut tail = deadline.map(|_| shared.tails.join());
        loop {
            let (page, charge) =
                if latest { shared.newest(after, until, &asker).await? } else { shared.gather(after, &asker).await? };
            let went_on = page.read_to > after;
            after = after.max(page.read_to);
            let at_end = latest || !went_on;
            // A search that finds nothing for long answers how far it has come: the caller goes on from there.
            if !page.events.is_empty() || Instant::now() >= until || (at_end && deadline.is_none()) {
                let Page { events, .. } = page;
                return Ok((pb::ListEventsResponse { events, read_to: shared.feed.cursor(after) }, charge));
            }
            drop((page, charge));
            if shared.stops() {
                return Err(status::stopping());
            }
            if at_end && let (Some(deadline), Some(tail)) = (deadline, &mut tail) {
                shared.news(tail, deadline).await?;
            }
        }
    }
}

impl Shared {
    fn is_of(&self, engine: &Arc<Engine>) -> bool {
        std::ptr::eq(self.engine.as_ptr(), Arc::as_ptr(engine))
    }

    /// Once all that was durable before can be read.
    async fn settled(&self) {
        // Where the engine is gone, its journal has ended: there is what there is.
        let durable = self.engine.upgrade().map_or(Lsn(0), |engine| engine.journal().durable());
        let Some(before) = durable.0.checked_sub(1) else { return };
        let forced = self.feed.beyond(Lsn(before));
        // A disk that takes longer shows it later; a journal that has failed shows what it has.
        let _forced = timeout(FORCED_WITHIN, forced).await;
    }

    /// Where to begin.
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

    /// What follows a position, as far as it fits into a message, and what that is charged. It goes on behind the position,
    /// unless that is the end.
    async fn gather(&self, after: Position, asker: &Asker) -> Result<(Page, Charge), Status> {
        let mut charge = asker.peer.share.empty_charge();
        if asker.wanted.filter.fits_nothing() {
            return Ok((Page::behind(after.max(self.feed.end())), charge));
        }
        let is_end = || after >= self.feed.end();
        let chunks = match self.feed.recent(after, RECENT_BYTES) {
            Recent::Chunks(chunks) => chunks,
            Recent::End if asker.waits || is_end() => return Ok((Page::behind(after), charge)),
            Recent::Behind if is_end() => return Ok((Page::behind(after), charge)),
            Recent::End | Recent::Behind => {
                let began_here = asker.began == Some(after);
                let read = move |source: &Source<'_>| match Page::of_files(after, source) {
                    Err(FeedError::History(HistoryError::NotKept { oldest })) if began_here => {
                        Page::of_files(Position::before(oldest).max(after), source)
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
            (Page::of_chunks(after, &chunks, &source), charge)
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

    /// Others go first, if much was made into messages. Only by the task that has the turn.
    async fn give_way(&self, more: usize) {
        let sum = self.made.load(Ordering::Relaxed).saturating_add(more);
        self.made.store(if sum < TURN_BYTES { sum } else { 0 }, Ordering::Relaxed);
        if sum >= TURN_BYTES {
            for _ in 0..ROUNDS {
                yield_now().await;
            }
        }
    }

    /// The newest events behind a position, newest first, as far as they are found by then.
    async fn newest(&self, after: Position, until: Instant, asker: &Asker) -> Result<(Page, Charge), Status> {
        let (mut newest, mut charge) = (Newest::upto(self.feed.end()), asker.peer.share.empty_charge());
        if asker.wanted.filter.fits_nothing() {
            return Ok((newest.into_page(), charge));
        }
        let from_oldest = asker.began == Some(after);
        loop {
            let look = move |source: &Source<'_>| match newest.look(after, source) {
                Ok(done) => Ok((newest, done)),
                // What was the oldest is gone: no more is there.
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

    /// Reads files, with the most that a message takes charged before.
    async fn read_files<T: Send + 'static>(
        &self,
        mut charge: Charge,
        asker: &Asker,
        read: impl FnOnce(&Source<'_>) -> Result<T, FeedError> + Send + 'static,
    ) -> Result<(T, Charge), Status> {
        let permit = with_room(&self.files, &mut charge, PAGE_BYTES.saturating_mul(MESSAGE_FACTOR)).await?;
        let (feed, wanted) = (Arc::clone(&self.feed), Arc::clone(&asker.wanted));
        // Charge and turn go along: where the caller goes away meanwhile, it is read all the same.
        let read = blocking(move || {
            let _permit = permit;
            let read = read(&Source { feed: &feed, wanted: &wanted });
            let read =
                read.map_err(|error| status::unreadable(&error, || feed.oldest().map(|oldest| feed.cursor(oldest))));
            read.map(|read| (read, charge))
        });
        read.await?
    }

    /// Waits for news at the tail, or until then.
    async fn news(&self, tail: &mut tail::Tail, deadline: Instant) -> Result<(), Status> {
        match timeout_at(deadline, tail.changed()).await {
            Ok(Ok(())) => tail.borrow_and_update().clone(),
            // It went with its server.
            Ok(Err(_gone)) => Err(status::stopping()),
            Err(_elapsed) => Ok(()),
        }
    }

    /// Whether streams end: the server's, or those of the term.
    fn stops(&self) -> bool {
        self.streams.ended() || self.feed.has_ended()
    }
}

/// A turn, with a charge of as many bytes. First the turn, then the room: who waits for a turn takes no room meanwhile, and
/// who waits for room no turn.
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

/// Does what blocks on a thread where that holds nobody up.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Status> {
    // A panic in there has ended the process through its hook.
    tokio::task::spawn_blocking(work).await.map_err(|_stopped| status::stopping())
}
