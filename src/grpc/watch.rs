//! Drops as they change: who watches a drop gets it at once, and again whenever something about it has changed.
//!
//! Nothing is hooked into the path of requests: a watched drop is looked at every [`PERIOD`], by one task for a group
//! of its watchers, alive only while the group has any. What it sees is shared within the group, and each watcher
//! fetches it at his own pace, so a slow one skips. Groups are small and are told one after another, requests having
//! their turn in between: where a crowd watches and the machine has no time left, it is the watchers who wait.

use std::cmp::Ordering::{Equal, Greater, Less};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _};
use parking_lot::Mutex;
use stockade_engine::answer::{DropView, Fault};
use stockade_proto as pb;
use stockade_types::ids::{DropId, Lsn};
use stockade_types::time::{Millis, Timestamp};
use tokio::sync::{Semaphore, watch};
use tokio::task::yield_now;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tonic::Status;

use super::convert;
use super::edge::{Edge, Pending};
use super::seats::{Seat, Seats};
use super::status::{self, of_fault};
use super::stream::Streams;
use crate::http2::Peer;

/// How often a watched drop is looked at. Longer than [`SPACING`] by more than a watcher's delays: else watchers would
/// fall behind their group little by little, up to a whole period.
const PERIOD: Duration = Duration::from_millis(110);
/// Least time between two messages to one watcher: at most 10 a second.
const SPACING: Duration = Duration::from_millis(100);
/// A drop that does not change is shown again after so long; well within the 15 s that are promised.
const HEARTBEAT: Millis = Millis(6_000);
/// A watcher is not told the same again sooner: less than the time between beats, for he may have come between two.
const SAME_AGAIN: Millis = Millis(3_000);
/// Most watchers in a group: so many are woken in one instant.
const GROUP: usize = 64;
/// After so many watchers were told, whoever else has something to do goes first,
const TURN: usize = GROUP;
/// so many rounds of the runtime's queue: watchers never take more than a part of a machine that is busy.
const ROUNDS: u32 = 4;
/// The groups of a drop look so much after one another, modulo the period: wherever they begin, they spread.
const STAGGER: Duration = Duration::from_millis(41);

/// What a watcher is shown, of which messages are made.
pub type Updates = BoxStream<'static, Result<Shown, Status>>;

/// A drop as it was seen at an instant.
#[derive(Debug, Clone)]
pub struct Shown {
    drop: Arc<pb::Drop>,
    at: Timestamp,
}

impl Shown {
    fn new(view: &DropView, at: Timestamp) -> Self {
        Self { drop: Arc::new(convert::drop_view(view)), at }
    }

    /// As a message.
    pub fn message(&self) -> pb::WatchDropResponse {
        pb::WatchDropResponse { drop: Some(self.drop.as_ref().clone()), server_time: Some(convert::timestamp(self.at)) }
    }
}

/// What a group is shown last, or how its streams end.
type Last = Result<Shown, Status>;
/// A group of a drop's watchers: where its poller publishes. It has as many watchers as there are receivers.
type Group = Arc<watch::Sender<Last>>;

/// All watchers of a server.
pub struct Hub {
    edge: Arc<Edge>,
    streams: Streams,
    seats: Arc<Seats>,
    groups: Mutex<HashMap<DropId, Vec<Group>>>,
    /// Whose turn it is to tell a group.
    turn: Semaphore,
    /// Watchers told since others went first.
    told: AtomicUsize,
}

impl Hub {
    /// Nobody watches yet.
    pub fn new(edge: Arc<Edge>, streams: Streams, seats: Arc<Seats>) -> Self {
        Self { edge, streams, seats, groups: Mutex::default(), turn: Semaphore::new(1), told: AtomicUsize::new(0) }
    }

    /// A drop at once, and then as it changes, until the caller is gone or the server ends.
    ///
    /// # Errors
    /// `NoDrop`, `Exhausted` when too many watch, and `JournalFailed`.
    pub async fn watch(self: &Arc<Self>, drop: DropId, peer: &Arc<Peer>) -> Result<Updates, Fault> {
        let seat = self.seats.take(peer)?;
        let (view, now) = self.edge.ask(|engine, context| engine.get_drop(&drop, context)).await?;
        let first = Shown::new(&view, now);
        let news = self.join(drop, view, &first);
        let mut pace = interval(SPACING);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let watcher = Watcher { news, told: None, first: Some(first), pace, _seat: seat };
        Ok(stream::unfold(Some(watcher), Watcher::next).boxed())
    }

    /// Into a group of this drop that has room, or a new one. What it publishes from now on is news.
    fn join(self: &Arc<Self>, drop: DropId, view: DropView, first: &Shown) -> watch::Receiver<Last> {
        let mut groups = self.groups.lock();
        let of_drop = groups.entry(drop.clone()).or_default();
        if let Some(group) = of_drop.iter().find(|group| group.receiver_count() < GROUP) {
            let mut news = group.subscribe();
            // It may have seen more than this watcher, who asked before he joined.
            news.mark_changed();
            return news;
        }
        let (group, news) = watch::channel(Ok(first.clone()));
        let group = Arc::new(group);
        let place = u32::try_from(of_drop.len()).unwrap_or(u32::MAX);
        of_drop.push(Arc::clone(&group));
        let seen = (view, first.clone());
        tokio::spawn(Poller { hub: Arc::clone(self), drop, group, seen }.run(place));
        news
    }

    /// Others go first, if enough watchers were told. Only by whoever has the turn.
    async fn give_way(&self, told: usize) {
        let sum = self.told.load(Ordering::Relaxed).saturating_add(told);
        self.told.store(if sum < TURN { sum } else { 0 }, Ordering::Relaxed);
        if sum >= TURN {
            for _ in 0..ROUNDS {
                yield_now().await;
            }
        }
    }

    /// Forgets a group that nobody is in any more, or which has ended.
    fn leave(&self, drop: &DropId, group: &Group, ended: bool) -> bool {
        let mut groups = self.groups.lock();
        // Looked at under the lock that joining takes: whoever has joined is counted.
        if !ended && group.receiver_count() > 0 {
            return false;
        }
        if let Entry::Occupied(mut of_drop) = groups.entry(drop.clone()) {
            of_drop.get_mut().retain(|other| !Arc::ptr_eq(other, group));
            if of_drop.get().is_empty() {
                of_drop.remove();
            }
        }
        true
    }
}

/// Looks at a drop for a group of its watchers.
struct Poller {
    hub: Arc<Hub>,
    drop: DropId,
    group: Group,
    /// What was published last.
    seen: (DropView, Shown),
}

impl Poller {
    /// Until nobody is left, the server ends, or the drop can't be shown any more.
    async fn run(mut self, place: u32) {
        let mut ending = self.hub.streams.ending();
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.reset_after(staggered(place));
        loop {
            let over = tokio::select! {
                biased;
                // Also when nobody is left who could say so.
                _ended = ending.wait_for(|ended| *ended) => true,
                () = self.group.closed() => {
                    if self.hub.leave(&self.drop, &self.group, false) {
                        return;
                    }
                    continue;
                }
                _ = ticks.tick() => false,
            };
            let seen = if over { Err(status::stopping()) } else { self.look().await.map_err(of_fault) };
            if let Err(status) = seen {
                self.hub.leave(&self.drop, &self.group, true);
                self.publish(Err(status));
                return;
            }
        }
    }

    /// Publishes the drop if it has changed, once its definition and state are durable.
    async fn look(&mut self) -> Result<(), Fault> {
        let (seen, now) = self.look_at_drop()?;
        if seen.unsettled().is_some_and(|seen| same(seen, &self.seen.0)) {
            self.beat(now).await;
            return Ok(());
        }
        let hub = Arc::clone(&self.hub);
        let mut settling = std::pin::pin!(seen.settle());
        // A disk that hangs must not keep heartbeats from watchers.
        let view = loop {
            if let Ok(view) = timeout(PERIOD, settling.as_mut()).await {
                break view?;
            }
            if self.group.is_closed() || self.hub.streams.ended() {
                return Ok(());
            }
            self.beat(self.hub.edge.now()).await;
        };
        let _turn = hub.turn.acquire().await;
        // The turn may have been long in coming: what there is by now, if that may be shown.
        let (later, then) = self.look_at_drop()?;
        let (view, now) = match later.settle().now_or_never() {
            Some(Ok(later)) => (later, then),
            Some(Err(_)) | None => (view, now),
        };
        let shown = Shown::new(&view, now);
        self.seen = (view, shown);
        self.publish(Ok(self.seen.1.clone()));
        hub.give_way(self.group.receiver_count()).await;
        Ok(())
    }

    fn look_at_drop(&self) -> Result<(Pending<DropView>, Timestamp), Fault> {
        self.hub.edge.look(|engine, context| engine.get_drop(&self.drop, context))
    }

    fn publish(&self, last: Last) {
        self.group.send_modify(|before| *before = last);
    }

    /// Shows again what was shown last, if that is long ago.
    async fn beat(&mut self, now: Timestamp) {
        if self.seen.1.at.until(now) >= HEARTBEAT {
            let hub = Arc::clone(&self.hub);
            let _turn = hub.turn.acquire().await;
            self.seen.1.at = now;
            self.publish(Ok(self.seen.1.clone()));
            hub.give_way(self.group.receiver_count()).await;
        }
    }
}

/// When a group looks first, by its place among those of its drop.
fn staggered(place: u32) -> Duration {
    let late = STAGGER.saturating_mul(place).as_millis().checked_rem(PERIOD.as_millis()).unwrap_or_default();
    PERIOD.saturating_sub(Duration::from_millis(u64::try_from(late).unwrap_or_default()))
}

/// Whether a watcher would see no difference.
fn same(one: &DropView, other: &DropView) -> bool {
    // The definition is another one when its revision is.
    let DropView { definition: _, opens_at, closed_at, state, revision, as_of, stock } = one;
    *revision == other.revision
        && *as_of == other.as_of
        && *state == other.state
        && *opens_at == other.opens_at
        && *closed_at == other.closed_at
        && *stock == other.stock
}

/// One watcher's side.
struct Watcher {
    news: watch::Receiver<Last>,
    /// What he asked for himself, until it is told.
    first: Option<Shown>,
    /// What he was told last.
    told: Option<Shown>,
    pace: Interval,
    _seat: Seat,
}

impl Watcher {
    /// His next message, and himself for the one after it; nothing more after an end.
    async fn next(mut watcher: Option<Self>) -> Option<(Result<Shown, Status>, Option<Self>)> {
        let next = watcher.as_mut()?.news().await;
        match next {
            Ok(shown) => {
                if let Some(watcher) = &mut watcher {
                    watcher.told = Some(shown.clone());
                    watcher.pace.reset();
                }
                Some((Ok(shown), watcher))
            }
            Err(status) => Some((Err(status), None)),
        }
    }

    async fn news(&mut self) -> Result<Shown, Status> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        self.pace.tick().await;
        loop {
            // A poller that is gone without a word went with its server.
            self.news.changed().await.map_err(|_gone| status::stopping())?;
            let mut shown = self.news.borrow_and_update().clone()?;
            let told_at = self.told.as_ref().map_or(shown.at, |told| told.at);
            if self.told.as_ref().is_none_or(|told| follows(&shown, told)) {
                shown.at = shown.at.max(told_at);
                return Ok(shown);
            }
        }
    }
}

/// Whether this is to be told after that: something else and not older, or the same much later.
fn follows(shown: &Shown, told: &Shown) -> bool {
    let place = |shown: &Shown| Lsn(shown.drop.as_of_lsn);
    match place(shown).cmp(&place(told)) {
        // Whoever looked had read his clock before, maybe long before.
        Greater => true,
        Equal if shown.drop != told.drop => shown.at >= told.at,
        Equal => told.at.until(shown.at) >= SAME_AGAIN,
        Less => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_a_drop_look_at_different_moments() {
        let moments: Vec<_> = (0..8).map(staggered).collect();
        assert!(moments.iter().all(|moment| !moment.is_zero() && *moment <= PERIOD), "{moments:?}");
        let mut distinct = moments.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), moments.len(), "{moments:?}");
    }

    #[test]
    fn what_is_older_is_not_told_and_the_same_only_as_a_heartbeat() {
        let shown =
            |at, as_of_lsn| Shown { drop: Arc::new(pb::Drop { as_of_lsn, ..pb::Drop::default() }), at: Timestamp(at) };
        let told = shown(1_000, 7);
        assert!(follows(&shown(1_000, 8), &told));
        assert!(!follows(&shown(1_001, 6), &told), "another group's look, but an older one");
        assert!(follows(&shown(999, 8), &told), "the clock was read before the drop was");
        assert!(!follows(&shown(1_110, 7), &told));
        assert!(follows(&shown(1_000 + SAME_AGAIN.0, 7), &told));
    }
}
