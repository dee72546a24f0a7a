//! The messages of one channel: reads events behind its position, one after the other, and sends, waits with, or holds
//! back the message of each.
//!
//! After a message that was sent, the position is on the disk before the next one is begun. So a crash can make only
//! the message that was on its way be sent again.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt as _;
use stockade_engine::Engine;
use stockade_engine::context::Context;
use stockade_feed::{Detail, Event, Feed, FeedError, HistoryError, Position, Recent};
use stockade_proto as pb;
use stockade_types::definition::Signal;
use stockade_types::record::{ChannelProgress, MarkKind, Origin, Sent};
use stockade_types::time::{Clock, Millis, Timestamp};
use tokio::sync::{Semaphore, watch};
use tokio::time::sleep;

use super::bounds::{Decision, Reason};
use super::channel::Channel;
use super::context::Contexts;
use super::message::{About, Message, write};
use super::metrics::{OfChannel, Outcome};
use super::send::{Failure, Sender};
use crate::webhooks::{Contract, retry};

/// About how many bytes of the tail are searched at once.
const RECENT_BYTES: usize = 256 * 1024;
/// How long to wait after a read has failed, or the journal has no room.
const AFTER_A_FAILURE: Duration = Duration::from_millis(500);
/// The longest wait before what is waited for is looked at anew: the clock may step.
const WAIT_MAX: Duration = Duration::from_mins(1);
/// How often a position is kept that has moved without a message.
const KEPT_EVERY: Millis = Millis::from_secs(1);
/// A position that has moved by this many records is kept, also if none of them had an event for the channel.
const KEPT_AFTER: u64 = 100_000;
/// Once a message is given up, the next one is tried this soon, unless the other end has asked for more time.
const NEXT_WITHIN: Millis = Millis::from_secs(30);
/// Failures that the schedule of the next message begins behind then.
const FAILURES_LEFT: u32 = 2;
/// Lines of the log in a minute about messages that are held back.
const LINES_MAX: u32 = 20;

/// What all workers share.
pub(super) struct Shared {
    /// Weak: channels do not keep a term's engine.
    pub(super) engine: Weak<Engine>,
    pub(super) feed: Arc<Feed>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) contract: Contract,
    pub(super) contexts: Contexts,
    pub(super) sender: Sender,
    /// Reads of files at once.
    pub(super) reads: Arc<Semaphore>,
}

/// The worker of one channel.
pub(super) struct Worker {
    shared: Arc<Shared>,
    channel: Arc<Channel>,
    metrics: Arc<OfChannel>,
    news: watch::Receiver<()>,
    /// Whether the server stops.
    stop: watch::Receiver<bool>,
    /// Every event up to here is decided.
    decided_to: Position,
    sent: Vec<Sent>,
    /// The position that the journal has, and when it was kept.
    kept: (Position, Timestamp),
    is_dirty: bool,
    /// Attempts that have failed since one succeeded.
    failures: u32,
    next_try: Timestamp,
    /// Until when the other end has asked not to be tried.
    asked_until: Timestamp,
    lines: Lines,
    /// The minute in which it was logged last that a position can't be kept.
    trouble_minute: u64,
}

/// How reading ended.
enum Read {
    Event(Box<Event>),
    AtEnd,
    Failed,
}

/// Lines of the log about messages that are held back, in the current minute.
#[derive(Default)]
struct Lines {
    minute: u64,
    count: u32,
    left_out: BTreeMap<&'static str, u64>,
}

impl Worker {
    /// Goes on where the journal says, or begins at the journal's end.
    pub(super) fn new(
        shared: Arc<Shared>,
        channel: Arc<Channel>,
        metrics: Arc<OfChannel>,
        (progress, end): (Option<ChannelProgress>, Position),
        (news, stop): (watch::Receiver<()>, watch::Receiver<bool>),
    ) -> Self {
        let is_new = progress.is_none();
        let (decided_to, sent) = match progress {
            Some(ChannelProgress { decided_to, sent }) => (Position::of_place(decided_to), sent),
            None => (end, Vec::new()),
        };
        Self {
            shared,
            channel,
            metrics,
            news,
            stop,
            decided_to,
            sent,
            kept: (decided_to, Timestamp(0)),
            // Where a new channel has begun is to be known after a start, too.
            is_dirty: is_new,
            failures: 0,
            next_try: Timestamp(0),
            asked_until: Timestamp(0),
            lines: Lines::default(),
            trouble_minute: 0,
        }
    }

    /// Runs until the server stops.
    pub(super) async fn run(mut self) {
        while !*self.stop.borrow() {
            self.news.mark_unchanged();
            let went = match self.next().await {
                Read::Event(event) => self.handle(&event).await,
                Read::AtEnd => {
                    let wait = if self.is_dirty { KEPT_EVERY.duration() } else { WAIT_MAX };
                    let news = self.news.changed().map(|_lives_on| ());
                    tokio::select! {
                        _stops = self.stop.changed() => ControlFlow::Break(()),
                        () = news => ControlFlow::Continue(()),
                        () = sleep(wait) => ControlFlow::Continue(()),
                    }
                }
                Read::Failed => self.wait(AFTER_A_FAILURE).await,
            };
            self.keep_in_time();
            if went.is_break() {
                break;
            }
        }
        if self.is_dirty || self.decided_to != self.kept.0 {
            let _kept_later = self.keep();
        }
    }

    /// The next event of the channel. Moves the position over others.
    async fn next(&mut self) -> Read {
        loop {
            if self.decided_to >= self.shared.feed.end() {
                return Read::AtEnd;
            }
            let chunks = match self.shared.feed.recent(self.decided_to, RECENT_BYTES) {
                Recent::Chunks(chunks) => chunks,
                // The tail announces what it has not decoded yet.
                Recent::End => return Read::AtEnd,
                Recent::Behind => {
                    let shared = Arc::clone(&self.shared);
                    let Ok(permit) = Arc::clone(&shared.reads).acquire_owned().await else { return Read::Failed };
                    let (feed, after) = (Arc::clone(&shared.feed), self.decided_to);
                    let read = tokio::task::spawn_blocking(move || {
                        let _permit = permit;
                        feed.read(after)
                    });
                    match read.await {
                        Ok(Ok(chunks)) => chunks,
                        Ok(Err(FeedError::History(HistoryError::NotKept { oldest }))) => {
                            tracing::warn!(channel = %self.channel.name, %oldest, "events of a channel are no longer kept: it goes on with the oldest");
                            self.decided_to = Position::before(oldest);
                            self.is_dirty = true;
                            continue;
                        }
                        Ok(Err(error)) => {
                            tracing::warn!(channel = %self.channel.name, %error, "events can't be read for a channel");
                            return Read::Failed;
                        }
                        Err(_stopped) => return Read::Failed,
                    }
                }
            };
            for chunk in chunks {
                let mut events = chunk.after(self.decided_to).flatten();
                if let Some(event) = events.find(|event| self.channel.filter.wants(event)) {
                    return Read::Event(Box::new(event.clone()));
                }
                self.decided_to = self.decided_to.max(chunk.end());
            }
            self.keep_in_time();
            // Others run while many events are passed over.
            tokio::task::yield_now().await;
            if *self.stop.borrow() {
                return Read::AtEnd;
            }
        }
    }

    /// Sends the message of an event, or holds it back. Breaks if the server stops before that is decided.
    async fn handle(&mut self, event: &Event) -> ControlFlow<()> {
        let expires_at = expires_at(event, self.channel.give_up_after);
        let cursor = self.shared.feed.cursor(event.position);
        let journal = self.shared.feed.journal().to_string();
        let shown = (self.shared.contract.show)(event, &journal, cursor, (false, false));
        let audience = audience(&shown);
        loop {
            let now = self.shared.clock.now();
            match self.channel.bounds.decide(&self.sent, audience, expires_at, now) {
                Decision::HoldBack(reason) if self.failures > 0 && reason == Reason::Expired => {
                    self.gave_up(event, &shown.id, "it was not sent in time");
                    return ControlFlow::Continue(());
                }
                Decision::HoldBack(reason) => {
                    self.decided(event, Outcome::HeldBack(reason), &shown.id, "");
                    return ControlFlow::Continue(());
                }
                Decision::Wait(until) => self.wait(now.until(until).duration()).await?,
                Decision::Send if now < self.next_try => self.wait(now.until(self.next_try).duration()).await?,
                Decision::Send => {
                    let message = write(&self.channel, &self.shared.contexts, (&shown, About::Fact), now);
                    let message = match message {
                        Ok(message) => message,
                        Err(bad) => {
                            self.decided(event, Outcome::Failed, &shown.id, &bad.to_string());
                            return ControlFlow::Continue(());
                        }
                    };
                    if let Some(went) = self.attempt(event, &message, (audience, expires_at)).await {
                        return went;
                    }
                }
            }
        }
    }

    /// Tries to send a message. None if it is to be tried again.
    async fn attempt(
        &mut self,
        event: &Event,
        message: &Message,
        (audience, expires_at): ([u8; 16], Timestamp),
    ) -> Option<ControlFlow<()>> {
        let sent = self.shared.sender.send(&self.channel, message, self.failures > 0).await;
        let now = self.shared.clock.now();
        let failure = match sent {
            Ok(()) => {
                (self.failures, self.next_try) = (0, Timestamp(0));
                self.channel.bounds.enter(&mut self.sent, audience, now);
                self.decided(event, Outcome::Sent, &message.id, "");
                return Some(self.keep_at_once().await);
            }
            Err(failure) => failure,
        };
        let Failure { is_for_good, asked, why } = failure;
        if is_for_good {
            // The other end answers, so what comes next need not wait.
            (self.failures, self.next_try) = (0, Timestamp(0));
            self.decided(event, Outcome::Failed, &message.id, &why);
            return Some(ControlFlow::Continue(()));
        }
        self.failures = self.failures.saturating_add(1);
        let pause = retry::wait(self.failures, fastrand::u32(..)).max(asked.unwrap_or_default());
        self.next_try = now.plus(pause);
        self.asked_until = now.plus(asked.unwrap_or_default());
        if self.next_try > expires_at {
            self.gave_up(event, &message.id, &why);
            return Some(ControlFlow::Continue(()));
        }
        tracing::warn!(channel = %self.channel.name, message = message.id, why, again_at = %self.next_try, "a message was not sent: it is tried again");
        None
    }

    /// Gives a message up. The next one has a schedule of its own: the other end may be back.
    fn gave_up(&mut self, event: &Event, id: &str, why: &str) {
        let soon = self.shared.clock.now().plus(NEXT_WITHIN).max(self.asked_until);
        (self.failures, self.next_try) = (self.failures.min(FAILURES_LEFT), self.next_try.min(soon));
        self.decided(event, Outcome::GaveUp, id, why);
    }

    /// Enters what became of an event's message, and passes over the event.
    fn decided(&mut self, event: &Event, outcome: Outcome, id: &str, why: &str) {
        self.metrics.count(outcome);
        self.decided_to = event.position;
        self.is_dirty = true;
        let (channel, outcome_word) = (&self.channel.name, outcome.label());
        match outcome {
            Outcome::Sent => tracing::info!(%channel, message = id, "a message was sent"),
            Outcome::Failed => {
                tracing::warn!(%channel, message = id, why, "a message was refused, or can't be written");
            }
            Outcome::GaveUp => tracing::warn!(%channel, message = id, why, "a message was given up"),
            Outcome::HeldBack(_) => {
                if self.lines.has_room(self.shared.clock.now()) {
                    let left_out = std::mem::take(&mut self.lines.left_out);
                    let left_out = (!left_out.is_empty()).then(|| tracing::field::debug(left_out));
                    tracing::info!(%channel, event = id, reason = outcome_word, left_out, "a message was held back");
                } else {
                    let left_out = self.lines.left_out.entry(outcome_word).or_default();
                    *left_out = left_out.saturating_add(1);
                }
            }
        }
    }

    /// Waits, but not longer than until things are to be looked at anew. Breaks if the server stops.
    async fn wait(&mut self, span: Duration) -> ControlFlow<()> {
        self.keep_in_time();
        tokio::select! {
            _stops = self.stop.changed() => ControlFlow::Break(()),
            () = sleep(span.min(WAIT_MAX)) => ControlFlow::Continue(()),
        }
    }

    /// Keeps a position that has moved, if the last one was kept long enough ago.
    fn keep_in_time(&mut self) {
        let records = self.decided_to.lsn().0.saturating_sub(self.kept.0.lsn().0);
        let is_due = self.shared.clock.now() >= self.kept.1.plus(KEPT_EVERY);
        if (self.is_dirty && is_due) || records >= KEPT_AFTER {
            let _kept_later = self.keep();
        }
    }

    /// Keeps how far the channel is, and waits until it is on the disk. Breaks if the server stops before.
    async fn keep_at_once(&mut self) -> ControlFlow<()> {
        loop {
            if let Some(ticket) = self.keep() {
                // If the journal has failed, the server ends.
                return if ticket.await.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
            }
            self.wait(AFTER_A_FAILURE).await?;
        }
    }

    /// Appends how far the channel is; none if the journal has no room now.
    fn keep(&mut self) -> Option<stockade_journal::Ticket> {
        let engine = self.shared.engine.upgrade()?;
        let now = self.shared.clock.now();
        let progress = ChannelProgress { decided_to: self.decided_to.place(), sent: self.sent.clone() };
        let context = Context { now, origin: &Origin::ENGINE };
        let kept = match engine.keep_channel(self.channel.name.clone(), Some(progress), context) {
            Ok(kept) => kept,
            Err(decided) => {
                if std::mem::replace(&mut self.trouble_minute, now.0 / 60_000) != now.0 / 60_000 {
                    let (channel, fault) = (&self.channel.name, &decided.value);
                    tracing::warn!(%channel, %fault, "how far a channel is can't be kept: the next message waits");
                }
                return None;
            }
        };
        (self.kept, self.is_dirty) = ((self.decided_to, now), false);
        Some(engine.journal().ticket(kept.durable_after))
    }
}

impl Lines {
    fn has_room(&mut self, now: Timestamp) -> bool {
        let minute = now.0 / 60_000;
        if minute != self.minute {
            (self.minute, self.count) = (minute, 0);
        }
        self.count = self.count.saturating_add(1);
        self.count <= LINES_MAX
    }
}

/// Until when an event is worth a message: for the channel's time, and a signal for as long as it is valid.
fn expires_at(event: &Event, give_up_after: Millis) -> Timestamp {
    let end = event.at.plus(give_up_after);
    let Detail::Drop { mark: Some(MarkKind::Signal(number)), .. } = &event.detail else { return end };
    let signal = event.drop.as_deref().and_then(|drop| drop.signal(*number));
    let begins = event.scheduled_for.unwrap_or(event.at);
    signal.map_or(end, |Signal { valid_for, .. }| end.min(begins.plus(*valid_for)))
}

/// The audience of an event, as a digest: of its shop, and of those to whom it is addressed.
fn audience(event: &pb::Event) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(event.shop.as_bytes());
    for (separator, list) in
        [(b'\n', event.audience.as_ref().map(|of| &of.tiers)), (b'\r', event.audience.as_ref().map(|of| &of.zones))]
    {
        let mut list = list.cloned().unwrap_or_default();
        list.sort_unstable();
        for entry in list {
            hasher.update(&[separator]).update(entry.as_bytes());
        }
    }
    let mut digest = [0; 16];
    hasher.finalize_xof().fill(&mut digest);
    digest
}
