//! Watches of drops: a watcher gets the drop at once, and again whenever it has changed.
//!
//! Watches add nothing to the path of requests. One task for each group of a drop's watchers checks the drop every
//! [`PERIOD`], as long as the group has watchers. What it finds is shared within the group. Each watcher reads it at
//! its own pace, so a slow one skips versions. Groups are small and are notified one after another, with requests in
//! between: on a busy machine the watchers wait, not the requests.

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

/// How often a watched drop is checked. It is longer than [`SPACING`] by more than a watcher's delays; otherwise
/// watchers would fall behind their group, up to a whole period.
const PERIOD: Duration = Duration::from_millis(110);
/// The least time between two messages to one watcher: at most 10 a second.
const SPACING: Duration = Duration::from_millis(100);
/// A drop that does not change is sent again after this time, well within the 15 s of the contract.
const HEARTBEAT: Millis = Millis(6_000);
/// A watcher does not get the same again before this time. It is less than the heartbeat, since a watcher may join
/// between two beats.
const SAME_AGAIN: Millis = Millis(3_000);
/// Most watchers in a group: they are woken at the same time.
const GROUP: usize = 64;
/// After this many watchers were notified, other tasks run
const TURN: usize = GROUP;
/// for this many rounds of the runtime's queue. So watchers take only a part of a busy machine.
const ROUNDS: u32 = 4;
/// The groups of a drop check it this much after one another, modulo the period, so they are spread over it.
const STAGGER: Duration = Duration::from_millis(41);

/// The versions that a watcher is shown.
pub(super) type Updates = BoxStream<'static, Result<DropSnapshot, Status>>;

/// A drop at one instant.
#[derive(Debug, Clone)]
pub(super) struct DropSnapshot {
    drop: Arc<pb::Drop>,
    at: Timestamp,
}

impl DropSnapshot {
    fn new(view: &DropView, at: Timestamp) -> Self {
        Self { drop: Arc::new(convert::drop_view(view)), at }
    }

    /// As a message.
    pub(super) fn message(&self) -> pb::WatchDropResponse {
        pb::WatchDropResponse { drop: Some(self.drop.as_ref().clone()), server_time: Some(convert::timestamp(self.at)) }
    }
}

/// The last version that a group was shown, or the status that ends its streams.
type Last = Result<DropSnapshot, Status>;
/// A group of a drop's watchers: its poller sends, its watchers receive.
type Group = Arc<watch::Sender<Last>>;

/// All watchers of a server.
pub(super) struct Hub {
    edge: Arc<Edge>,
    streams: Streams,
    seats: Arc<Seats>,
    groups: Mutex<HashMap<DropId, Vec<Group>>>,
    /// The turn to notify a group.
    turn: Semaphore,
    /// Watchers that were notified since other tasks ran.
    notified: AtomicUsize,
}

impl Hub {
    /// Without watchers.
    pub(super) fn new(edge: Arc<Edge>, streams: Streams, seats: Arc<Seats>) -> Self {
        Self { edge, streams, seats, groups: Mutex::default(), turn: Semaphore::new(1), notified: AtomicUsize::new(0) }
    }

    /// A drop at once, and then as it changes, until the caller is gone or the server stops.
    ///
    /// # Errors
    /// `NoDrop`, `Exhausted` if there are too many watchers, and `JournalFailed`.
    pub(super) async fn watch(self: &Arc<Self>, drop: DropId, peer: &Arc<Peer>) -> Result<Updates, Fault> {
        let seat = self.seats.take(peer)?;
        let (view, now) = self.edge.ask(|engine, context| engine.get_drop(&drop, context)).await?;
        let first = DropSnapshot::new(&view, now);
        let updates = self.join(drop, view, &first);
        let mut pace = interval(SPACING);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let watcher = Watcher { updates, sent: None, first: Some(first), pace, _seat: seat };
        Ok(stream::unfold(Some(watcher), Watcher::next).boxed())
    }

    /// Joins a group of this drop that has room, or makes one.
    fn join(self: &Arc<Self>, drop: DropId, view: DropView, first: &DropSnapshot) -> watch::Receiver<Last> {
        let mut groups = self.groups.lock();
        let of_drop = groups.entry(drop.clone()).or_default();
        if let Some(group) = of_drop.iter().find(|group| group.receiver_count() < GROUP) {
            let mut updates = group.subscribe();
            // The group may have seen a later version than this watcher, which read the drop before it joined.
            updates.mark_changed();
            return updates;
        }
        let (group, updates) = watch::channel(Ok(first.clone()));
        let group = Arc::new(group);
        let place = u32::try_from(of_drop.len()).unwrap_or(u32::MAX);
        of_drop.push(Arc::clone(&group));
        let seen = (view, first.clone());
        tokio::spawn(Poller { hub: Arc::clone(self), drop, group, seen }.run(place));
        updates
    }

    /// Lets other tasks run if enough watchers were notified. Called only with the turn.
    async fn give_way(&self, notified: usize) {
        let sum = self.notified.load(Ordering::Relaxed).saturating_add(notified);
        self.notified.store(if sum < TURN { sum } else { 0 }, Ordering::Relaxed);
        if sum >= TURN {
            for _ in 0..ROUNDS {
                yield_now().await;
            }
        }
    }

    /// Removes a group that has no watchers or has ended. False if a watcher has joined meanwhile.
    fn leave(&self, drop: &DropId, group: &Group, ended: bool) -> bool {
        let mut groups = self.groups.lock();
        // Checked under the lock that joining takes, so that a watcher that has joined is counted.
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

/// Checks a drop for a group of its watchers.
struct Poller {
    hub: Arc<Hub>,
    drop: DropId,
    group: Group,
    /// What was published last.
    seen: (DropView, DropSnapshot),
}

impl Poller {
    /// Runs until there are no watchers, the server stops, or the drop can't be shown any more.
    async fn run(mut self, place: u32) {
        let mut ending = self.hub.streams.ending();
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.reset_after(staggered(place));
        loop {
            let over = tokio::select! {
                biased;
                // Also if the sender is gone.
                _ended = ending.wait_for(|ended| *ended) => true,
                () = self.group.closed() => {
                    if self.hub.leave(&self.drop, &self.group, false) {
                        return;
                    }
                    continue;
                }
                _ = ticks.tick() => false,
            };
            let seen = if over { Err(status::stopping()) } else { self.poll().await.map_err(of_fault) };
            if let Err(status) = seen {
                self.hub.leave(&self.drop, &self.group, true);
                self.publish(Err(status));
                return;
            }
        }
    }

    /// Publishes the drop if it has changed, once its definition and state are durable.
    async fn poll(&mut self) -> Result<(), Fault> {
        let (seen, now) = self.read_drop()?;
        if seen.unsettled().is_some_and(|seen| same(seen, &self.seen.0)) {
            self.beat(now).await;
            return Ok(());
        }
        let hub = Arc::clone(&self.hub);
        let mut settling = std::pin::pin!(seen.settle());
        // Heartbeats go on while the disk hangs.
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
        // The turn may have taken long: publishes the current version, if it is durable.
        let (later, then) = self.read_drop()?;
        let (view, now) = match later.settle().now_or_never() {
            Some(Ok(later)) => (later, then),
            Some(Err(_)) | None => (view, now),
        };
        let shown = DropSnapshot::new(&view, now);
        self.seen = (view, shown);
        self.publish(Ok(self.seen.1.clone()));
        hub.give_way(self.group.receiver_count()).await;
        Ok(())
    }

    fn read_drop(&self) -> Result<(Pending<DropView>, Timestamp), Fault> {
        self.hub.edge.peek(|engine, context| engine.get_drop(&self.drop, context))
    }

    fn publish(&self, last: Last) {
        self.group.send_modify(|before| *before = last);
    }

    /// Publishes the last version again if that was long ago.
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

/// When a group checks first, by its place among the groups of its drop.
fn staggered(place: u32) -> Duration {
    let late = STAGGER.saturating_mul(place).as_millis().checked_rem(PERIOD.as_millis()).unwrap_or_default();
    PERIOD.saturating_sub(Duration::from_millis(u64::try_from(late).unwrap_or_default()))
}

/// Whether a watcher would see no difference.
fn same(one: &DropView, other: &DropView) -> bool {
    // The revision changes with the definition.
    let DropView { definition: _, opens_at, closed_at, announced: _, state, revision, as_of, stock, marks } = one;
    *revision == other.revision
        && *as_of == other.as_of
        && *state == other.state
        && *opens_at == other.opens_at
        && *closed_at == other.closed_at
        && *stock == other.stock
        && *marks == other.marks
}

/// A watcher.
struct Watcher {
    updates: watch::Receiver<Last>,
    /// The version that it read itself, until that is sent.
    first: Option<DropSnapshot>,
    /// The version that was sent last.
    sent: Option<DropSnapshot>,
    pace: Interval,
    _seat: Seat,
}

impl Watcher {
    /// The next version, and the watcher for the one after it; `None` after an end.
    async fn next(mut watcher: Option<Self>) -> Option<(Result<DropSnapshot, Status>, Option<Self>)> {
        let next = watcher.as_mut()?.updates().await;
        match next {
            Ok(shown) => {
                if let Some(watcher) = &mut watcher {
                    watcher.sent = Some(shown.clone());
                    watcher.pace.reset();
                }
                Some((Ok(shown), watcher))
            }
            Err(status) => Some((Err(status), None)),
        }
    }

    async fn updates(&mut self) -> Result<DropSnapshot, Status> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        self.pace.tick().await;
        loop {
            // A poller that has ended without a status ended with its server.
            self.updates.changed().await.map_err(|_gone| status::stopping())?;
            let mut shown = self.updates.borrow_and_update().clone()?;
            let sent_at = self.sent.as_ref().map_or(shown.at, |sent| sent.at);
            if self.sent.as_ref().is_none_or(|sent| follows(&shown, sent)) {
                shown.at = shown.at.max(sent_at);
                return Ok(shown);
            }
        }
    }
}

/// Whether this version is sent after that one: a different one that is not older, or the same one much later.
fn follows(shown: &DropSnapshot, sent: &DropSnapshot) -> bool {
    let place = |shown: &DropSnapshot| Lsn(shown.drop.as_of_lsn);
    match place(shown).cmp(&place(sent)) {
        // A newer version may have an older time: the clock is read first, maybe long before.
        Greater => true,
        Equal if shown.drop != sent.drop => shown.at >= sent.at,
        Equal => sent.at.until(shown.at) >= SAME_AGAIN,
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
        let shown = |at, as_of_lsn| DropSnapshot {
            drop: Arc::new(pb::Drop { as_of_lsn, ..pb::Drop::default() }),
            at: Timestamp(at),
        };
        let sent = shown(1_000, 7);
        assert!(follows(&shown(1_000, 8), &sent));
        assert!(!follows(&shown(1_001, 6), &sent), "another group's look, but an older one");
        assert!(follows(&shown(999, 8), &sent), "the clock was read before the drop was");
        assert!(!follows(&shown(1_110, 7), &sent));
        assert!(follows(&shown(1_000 + SAME_AGAIN.0, 7), &sent));
    }
}
