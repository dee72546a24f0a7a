//! The deliveries of one webhook: reads events behind its position, sends those that may be sent, takes in answers.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use stockade_feed::{Chunk, FeedError, HistoryError, Position, Recent};
use stockade_types::time::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::sleep;

use super::hook::{Hook, Posted, Shared};
use super::ledger::{Attempt, Ledger};
use super::outcome::Outcome;
use super::post::shortened;
use super::turns::Pace;
use super::window::{Sending, Window};

/// About how many bytes of the tail are searched at once.
const RECENT_BYTES: usize = 256 * 1024;
/// Events behind the window are counted up to here.
const COUNTED_MAX: u64 = 1_000_000;
/// How long to wait for room, or after a read has failed.
const AFTER_A_WAIT: Duration = Duration::from_millis(500);

/// A turn to send.
type Turn = BoxFuture<'static, Option<OwnedSemaphorePermit>>;

/// A delivery that was answered.
struct Done {
    sending: Sending,
    began: Timestamp,
    posted: Posted,
}

/// How reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    /// There may be more to read at once.
    More,
    /// Everything was read.
    AtEnd,
    /// There is no room, here or in all.
    Full,
    /// It failed.
    Failed,
}

/// The worker of one webhook.
pub(super) struct Worker {
    shared: Arc<Shared>,
    ledger: Arc<Ledger>,
    hook: watch::Receiver<Arc<Hook>>,
    news: watch::Receiver<()>,
    window: Window,
    /// Events were counted up to here,
    counted_to: Position,
    /// and this many of them are behind what the window has read.
    beyond: u64,
    turn: Option<Turn>,
    /// How long the last answer took.
    took: Duration,
    sending: FuturesUnordered<BoxFuture<'static, Done>>,
}

impl Worker {
    pub(super) fn new(
        shared: Arc<Shared>,
        ledger: Arc<Ledger>,
        hook: watch::Receiver<Arc<Hook>>,
        news: watch::Receiver<()>,
    ) -> Self {
        let start = ledger.delivered_to();
        let (window, sending) = (Window::new(start, 1), FuturesUnordered::new());
        let (turn, took) = (None, Duration::ZERO);
        Self { shared, ledger, hook, news, window, counted_to: start, beyond: 0, turn, took, sending }
    }

    /// Delivers until its webhook is deleted or the server stops: until the definition's sender is gone.
    pub(super) async fn run(mut self) {
        loop {
            let hook = Arc::clone(&*self.hook.borrow_and_update());
            self.ledger.restart(Position::of_place(hook.webhook.start), hook.webhook.era);
            let start = self.ledger.delivered_to();
            let batch = usize::try_from(hook.webhook.max_batch).unwrap_or(1);
            let window = Window::new(start, batch).at_once(self.shared.turns.of_one());
            self.replace_window(if self.ledger.is_failing() { window.failing() } else { window });
            (self.counted_to, self.beyond) = (start, 0);
            let goes_on = if hook.webhook.is_enabled {
                self.serve(&hook).await
            } else {
                self.publish((0, 0));
                self.hook.changed().await.is_ok()
            };
            // What was sent counts, whatever the definition is now.
            self.turn = None;
            while let Some(done) = self.sending.next().await {
                self.finish(&hook, done);
            }
            if !goes_on {
                self.shared.charge(self.window.bytes(), 0);
                return;
            }
        }
    }

    fn replace_window(&mut self, window: Window) {
        self.shared.charge(self.window.bytes(), window.bytes());
        self.window = window;
    }

    /// Delivers by this definition. Returns whether there is another one.
    async fn serve(&mut self, hook: &Arc<Hook>) -> bool {
        loop {
            self.news.mark_unchanged();
            self.give_up(hook);
            let read = self.fill(hook).await;
            let now = self.shared.clock.now();
            let ready_at = self.window.ready_at();
            let sends = ready_at.is_some_and(|at| at <= now);
            match (sends, &self.turn) {
                (true, None) => self.turn = Some(self.next_turn()),
                (false, Some(_)) => self.turn = None,
                (true, Some(_)) | (false, None) => {}
            }
            let wake = ready_at.filter(|_| !sends).into_iter().chain(self.window.next_deadline()).min();
            let wait = match read {
                Read::More => Some(Duration::ZERO),
                Read::AtEnd => wake.map(|at| now.until(at).duration()),
                Read::Full if self.window.is_failing() => wake.map(|at| now.until(at).duration()),
                Read::Full | Read::Failed => {
                    Some(wake.map_or(AFTER_A_WAIT, |at| now.until(at).duration().min(AFTER_A_WAIT)))
                }
            };
            tokio::select! {
                biased;
                changed = self.hook.changed() => return changed.is_ok(),
                Some(done) = self.sending.next(), if !self.sending.is_empty() => self.finish(hook, done),
                permit = turn(&mut self.turn), if self.turn.is_some() => {
                    self.turn = None;
                    if let Some(permit) = permit {
                        self.send(hook, permit);
                    }
                }
                // Its sender lives as long as all workers.
                _news = self.news.changed(), if read != Read::More => {}
                () = sleep(wait.unwrap_or_default()), if wait.is_some() => {}
            }
        }
    }

    fn pace(&self) -> Pace {
        Pace::of(self.window.is_failing(), self.took)
    }

    /// The next turn to send, among receivers of the same pace.
    fn next_turn(&self) -> Turn {
        let turns = Arc::clone(self.shared.turns.of(self.pace()));
        Box::pin(async move { turns.acquire_owned().await.ok() })
    }

    fn send(&mut self, hook: &Arc<Hook>, permit: OwnedSemaphorePermit) {
        let now = self.shared.clock.now();
        let Some(sending) = self.window.next(now) else { return };
        let events = self.shared.show(hook, self.window.events(&sending));
        let way = (self.pace(), self.window.waiting() > events.len());
        let (shared, hook) = (Arc::clone(&self.shared), Arc::clone(hook));
        self.sending.push(Box::pin(async move {
            let posted = shared.post(&hook, events, way).await;
            drop(permit);
            Done { sending, began: now, posted }
        }));
    }

    fn finish(&mut self, hook: &Hook, done: Done) {
        let Done { sending, began, posted: Posted { event_id, events, answer } } = done;
        let (now, outcome, status) = (self.shared.clock.now(), answer.outcome, answer.status);
        let (before, pace) = (self.window.bytes(), self.pace());
        let delivered = self.window.finish(&sending, outcome, now, fastrand::u32(..));
        self.took = answer.took;
        if self.pace() != pace {
            // Not one of those that it waits for now.
            self.turn = None;
        }
        self.shared.charge(before, self.window.bytes());
        let forgotten = u64::try_from(self.window.take_forgotten()).unwrap_or(u64::MAX);
        self.beyond = self.beyond.saturating_add(forgotten);
        if outcome != Outcome::Delivered {
            tracing::debug!(webhook = %hook.id, outcome = outcome.label(), status, error = answer.error, "not delivered");
        }
        let attempt = Attempt { at: began, event_id, events, status, error: answer.error, took: answer.took };
        let is_dead = self.ledger.attempted(attempt, outcome, now);
        self.publish((delivered, 0));
        let why = match (outcome, is_dead) {
            (Outcome::Gone, _) => "the receiver answered 410 Gone",
            (_, true) => "nothing was delivered for 5 days",
            (_, false) => return,
        };
        self.shared.store.disable(hook, why, now);
    }

    fn give_up(&mut self, hook: &Hook) {
        let before = self.window.bytes();
        let given_up = self.window.give_up(self.shared.clock.now());
        if given_up > 0 {
            self.shared.charge(before, self.window.bytes());
            self.shared.metrics.given_up.add(u64::try_from(given_up).unwrap_or(u64::MAX));
            tracing::warn!(webhook = %hook.id, events = given_up, "events were given up");
            self.publish((given_up, given_up));
        }
    }

    /// Shows how far deliveries are. `ended` events were delivered or given up just now, `given_up` of them given up.
    fn publish(&self, (ended, given_up): (usize, usize)) {
        let waiting = u64::try_from(self.window.waiting()).unwrap_or(u64::MAX);
        self.ledger.moved(self.window.delivered_to(), waiting.saturating_add(self.beyond), (ended, given_up));
    }

    /// Reads events into the window, then counts those behind it: at most one piece of the journal.
    async fn fill(&mut self, hook: &Hook) -> Read {
        let has_room = self.window.has_room(0) && (self.window.is_empty() || self.shared.has_room(0));
        let from = if has_room { self.window.read_to() } else { self.counted_to.max(self.window.read_to()) };
        if from >= self.shared.feed.end() || (!has_room && self.beyond >= COUNTED_MAX) {
            self.publish((0, 0));
            return if has_room { Read::AtEnd } else { Read::Full };
        }
        let chunks = match self.shared.feed.recent(from, RECENT_BYTES) {
            Recent::Chunks(chunks) => chunks,
            // The tail announces what it has not decoded yet.
            Recent::End => {
                self.publish((0, 0));
                return if has_room { Read::AtEnd } else { Read::Full };
            }
            Recent::Behind => match self.read_files(hook, from).await {
                Some(chunks) => chunks,
                None => return Read::Failed,
            },
        };
        let is_full = has_room && self.take(hook, &chunks);
        if !has_room || is_full {
            for chunk in &chunks {
                self.count(hook, chunk);
            }
        }
        self.publish((0, 0));
        // What is left is counted, also if nothing more fits.
        Read::More
    }

    /// The next chunks on the disk. If they are not kept any more, reading goes on with the oldest that are.
    async fn read_files(&mut self, hook: &Hook, after: Position) -> Option<Vec<Arc<Chunk>>> {
        let permit = Arc::clone(&self.shared.reads).acquire_owned().await.ok()?;
        let feed = Arc::clone(&self.shared.feed);
        let read = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            feed.read(after)
        });
        match read.await.ok()? {
            Ok(chunks) => Some(chunks),
            Err(FeedError::History(HistoryError::NotKept { oldest })) => {
                tracing::warn!(webhook = %hook.id, %oldest, "events of a webhook are no longer kept: it goes on with the oldest");
                self.ledger.went_wrong(format!("events before record {oldest} are no longer kept"));
                self.window.read_upto(Position::before(oldest));
                self.counted_to = self.counted_to.max(Position::before(oldest));
                Some(Vec::new())
            }
            Err(error) => {
                self.ledger.went_wrong(shortened(&error.to_string()));
                None
            }
        }
    }

    /// Takes the events of chunks into the window. Returns whether it is full before their end.
    fn take(&mut self, hook: &Hook, chunks: &[Arc<Chunk>]) -> bool {
        let before = self.window.bytes();
        let mut is_full = false;
        'chunks: for chunk in chunks {
            for event in chunk.after(self.window.read_to()).flatten() {
                if hook.filter.wants(event) {
                    let weight = event.weight();
                    let grown = self.window.bytes().saturating_sub(before).saturating_add(weight);
                    let has_room = self.window.is_empty() || self.shared.has_room(grown);
                    if !has_room || !self.window.has_room(weight) {
                        is_full = true;
                        break 'chunks;
                    }
                    if event.position <= self.counted_to {
                        self.beyond = self.beyond.saturating_sub(1);
                    }
                    self.window.push(event.clone(), self.deadline(hook, event.at));
                } else {
                    self.window.read_upto(event.position);
                }
            }
            self.window.read_upto(chunk.end());
        }
        if self.window.read_to() >= self.counted_to {
            (self.counted_to, self.beyond) = (self.window.read_to(), 0);
        }
        self.shared.charge(before, self.window.bytes());
        is_full
    }

    /// Counts the events of a chunk that the window has no room for.
    fn count(&mut self, hook: &Hook, chunk: &Chunk) {
        let wanted = chunk.after(self.counted_to).flatten().filter(|event| hook.filter.wants(event)).count();
        self.beyond = self.beyond.saturating_add(u64::try_from(wanted).unwrap_or(u64::MAX));
        self.counted_to = self.counted_to.max(chunk.end());
    }

    /// When an event of this instant is given up: nothing counts against it while it could not be delivered.
    fn deadline(&self, hook: &Hook, at: Timestamp) -> Timestamp {
        at.max(hook.webhook.since).max(self.shared.started).plus(hook.webhook.give_up_after)
    }
}

async fn turn(turn: &mut Option<Turn>) -> Option<OwnedSemaphorePermit> {
    match turn {
        Some(turn) => turn.await,
        None => None,
    }
}
