//! The statuses of drops, by drop: each is read from the engine at most a few times a second, whoever asks and however
//! many do. All readers share what was read last.
//!
//! Reads of the engine run on the server's own runtime. Threads that serve the public never hold a lock of the engine:
//! they yield to all others, and while one of them waits for a core, a request would wait for its lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use parking_lot::Mutex;
use stockade_engine::answer::Fault;
use stockade_types::ids::DropId;
use stockade_types::time::{Millis, Timestamp};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::catalog::Catalog;
use super::pace::Pace;
use super::status::{PublicStatus, Snapshot};
use crate::grpc::edge::Edge;
use crate::grpc::stream::Streams;

/// A drop is read this often for all who watch it.
const PERIOD: Duration = Duration::from_millis(250);
/// It is read at most once in this time,
const INTERVAL: Millis = Millis(250);
/// and this often at once after a rest, so that somebody alone sees each change at once.
const BURST: u64 = 4;
/// All drops together are read at most once in this time,
const INTERVAL_OF_ALL: Millis = Millis(1);
/// and this often at once.
const BURST_OF_ALL: u64 = 256;
/// Most drops whose status is kept.
const CELLS_MAX: usize = 1_024;
/// A status that nobody asked for during this time may make room for another.
const UNASKED: Millis = Millis::from_secs(10);
/// A status is read again after this time, even if no record was written: what was in doubt is decided by then.
const RENEWED: Millis = Millis::from_secs(1);
/// How long a reader waits for a read. After that it gets the last status, if there is one.
const PATIENCE: Duration = Duration::from_millis(500);

/// The last status that watchers are shown; none once the drop is gone.
pub type Latest = Option<Snapshot>;

/// The statuses of all drops that are asked for.
pub(super) struct Statuses {
    edge: Arc<Edge>,
    /// The server's own.
    runtime: Handle,
    streams: Streams,
    cells: DashMap<DropId, Arc<Cell>>,
    /// All drops there are, to know ids of nobody by.
    catalog: Arc<Catalog>,
    /// Reads of drops that are in `cells`,
    reads: Pace,
    /// of those that are not: their ids may be nobody's,
    first_reads: Pace,
    /// and of those that are in the catalog, while too many others are asked for.
    listed_reads: Pace,
}

/// One drop's status.
#[derive(Debug)]
struct Cell {
    id: DropId,
    pace: Pace,
    /// The turn to read it.
    turn: Arc<Semaphore>,
    last: Mutex<Option<Snapshot>>,
    /// When it was asked for last.
    asked: AtomicU64,
    /// For watchers: sent when something that is shown changes.
    changes: watch::Sender<Latest>,
    /// Whether a task reads it for watchers.
    is_polled: AtomicBool,
}

impl Cell {
    fn new(id: DropId) -> Arc<Self> {
        Arc::new(Self {
            id,
            pace: Pace::new(INTERVAL, BURST),
            turn: Arc::new(Semaphore::new(1)),
            last: Mutex::default(),
            asked: AtomicU64::new(0),
            changes: watch::Sender::new(None),
            is_polled: AtomicBool::new(false),
        })
    }

    fn last(&self) -> Option<Snapshot> {
        self.last.lock().clone()
    }

    fn is_needed(&self, now: Timestamp) -> bool {
        self.changes.receiver_count() > 0 || Timestamp(self.asked.load(Ordering::Relaxed)).until(now) < UNASKED
    }
}

impl Statuses {
    /// Over this edge, with reads on the current runtime. Watches end with `streams`.
    pub(super) fn new(edge: Arc<Edge>, streams: Streams, catalog: Arc<Catalog>) -> Arc<Self> {
        let [reads, first_reads, listed_reads] = [(); 3].map(|()| Pace::new(INTERVAL_OF_ALL, BURST_OF_ALL));
        let (cells, runtime) = (DashMap::new(), Handle::current());
        Arc::new(Self { edge, runtime, streams, cells, catalog, reads, first_reads, listed_reads })
    }

    /// The status of a drop.
    ///
    /// # Errors
    /// `NoDrop`; `Overloaded` if it can't be read now; `Exhausted` if too many drops are asked for; `JournalFailed`.
    pub(super) async fn get(self: &Arc<Self>, id: &DropId) -> Result<Snapshot, Fault> {
        let cell = self.cell(id).await?;
        self.read(&cell).await
    }

    /// A drop's statuses, as they change.
    ///
    /// # Errors
    /// As [`Statuses::get`].
    pub(super) async fn watch(self: &Arc<Self>, id: &DropId) -> Result<watch::Receiver<Latest>, Fault> {
        let cell = self.cell(id).await?;
        let receiver = cell.changes.subscribe();
        self.read(&cell).await?;
        if !cell.is_polled.swap(true, Ordering::AcqRel) {
            self.runtime.spawn(Arc::clone(self).poll(cell));
        }
        Ok(receiver)
    }

    /// The cell of a drop that exists.
    async fn cell(self: &Arc<Self>, id: &DropId) -> Result<Arc<Cell>, Fault> {
        let now = self.edge.now();
        let known = self.cells.get(id).map(|known| Arc::clone(&known));
        if let Some(cell) = known {
            cell.asked.fetch_max(now.0, Ordering::Relaxed);
            return Ok(cell);
        }
        if !self.first_reads.take(now) && !self.is_listed(id, now).await? {
            return Err(Fault::Overloaded("too many drops are looked up"));
        }
        let cell = Cell::new(id.clone());
        cell.asked.store(now.0, Ordering::Relaxed);
        let turn = Arc::clone(&cell.turn).acquire_owned().await.map_err(|_closed| Fault::JournalFailed)?;
        self.read_aside(&cell, turn).await?;
        if self.cells.len() >= CELLS_MAX {
            self.cells.retain(|_, cell| cell.is_needed(now));
        }
        if self.cells.len() >= CELLS_MAX {
            // The drop that nobody watches and that was asked for the longest ago.
            let unwatched = self.cells.iter().filter(|cell| cell.changes.receiver_count() == 0);
            let oldest = unwatched.min_by_key(|cell| cell.asked.load(Ordering::Relaxed)).map(|cell| cell.key().clone());
            let oldest = oldest.ok_or(Fault::Exhausted("too many drops are watched at once"))?;
            self.cells.remove(&oldest);
        }
        Ok(Arc::clone(&self.cells.entry(id.clone()).or_insert(cell)))
    }

    /// Whether a drop is in the catalog and may be read first. The catalog is read once for all who ask, so ids of nobody
    /// take no place from drops that have been there for a moment.
    async fn is_listed(&self, id: &DropId, now: Timestamp) -> Result<bool, Fault> {
        let listing = self.catalog.listing().await?;
        Ok(listing.has(id) && self.listed_reads.take(now))
    }

    /// The last status, read again if something may have changed and a read is due.
    async fn read(self: &Arc<Self>, cell: &Arc<Cell>) -> Result<Snapshot, Fault> {
        let last = cell.last();
        let turn = Arc::clone(&cell.turn);
        let turn = match (turn.try_acquire_owned(), &last) {
            (Ok(turn), _) => turn,
            (Err(_taken), Some(last)) => return Ok(last.clone()),
            (Err(_taken), None) => {
                let turn = timeout(PATIENCE, Arc::clone(&cell.turn).acquire_owned()).await;
                turn.ok().and_then(Result::ok).ok_or(Fault::Overloaded("the drop can't be read now"))?
            }
        };
        if let Some(last) = cell.last() {
            let now = self.edge.now();
            let is_fresh = Some(last.appended) == self.edge.appended() && last.at.until(now) < RENEWED;
            if is_fresh || !cell.pace.take(now) || !self.reads.take(now) {
                return Ok(last);
            }
        }
        match self.read_aside(cell, turn).await {
            Err(Fault::Overloaded(what)) => last.ok_or(Fault::Overloaded(what)),
            Err(Fault::NoDrop(id)) => {
                self.cells.remove(&id);
                cell.changes.send_replace(None);
                Err(Fault::NoDrop(id))
            }
            read => read,
        }
    }

    /// Reads a drop on the server's runtime.
    async fn read_aside(self: &Arc<Self>, cell: &Arc<Cell>, turn: OwnedSemaphorePermit) -> Result<Snapshot, Fault> {
        let (statuses, cell) = (Arc::clone(self), Arc::clone(cell));
        let reading = self.runtime.spawn(async move {
            let read = timeout(PATIENCE, statuses.read_now(&cell)).await;
            drop(turn);
            read.unwrap_or(Err(Fault::Overloaded("the disk takes long")))
        });
        // A panic would have ended the process through its hook; the runtime may be stopping.
        reading.await.map_err(|_stopping| Fault::Overloaded("the server is stopping"))?
    }

    async fn read_now(&self, cell: &Cell) -> Result<Snapshot, Fault> {
        let appended = self.edge.appended().unwrap_or_default();
        let (view, at) = self.edge.ask(|engine, context| engine.get_drop(&cell.id, context)).await?;
        let before = cell.last().map(|before| before.status);
        let status = PublicStatus::of(&view).or_before(before.as_ref());
        let snapshot = Snapshot { status, at, appended };
        *cell.last.lock() = Some(snapshot.clone());
        cell.changes.send_if_modified(|shown| {
            let same = shown.as_ref().is_some_and(|shown| shown.status.shows_the_same(&snapshot.status));
            if !same {
                *shown = Some(snapshot.clone());
            }
            !same
        });
        Ok(snapshot)
    }

    /// Reads a drop as long as it is watched.
    async fn poll(self: Arc<Self>, cell: Arc<Cell>) {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if cell.changes.receiver_count() == 0 {
                cell.is_polled.store(false, Ordering::Release);
                // A watcher that subscribed meanwhile has seen that it is polled, or begins another poll itself.
                if cell.changes.receiver_count() == 0 || cell.is_polled.swap(true, Ordering::AcqRel) {
                    return;
                }
            }
            if self.streams.ended() || matches!(self.read(&cell).await, Err(Fault::NoDrop(_))) {
                cell.changes.send_replace(None);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use stockade_engine::command::Steer;
    use stockade_engine::context::Context;
    use stockade_engine::lifecycle::term::EngineHandle;
    use stockade_engine::{Bounds, Engine};
    use stockade_proto as pb;
    use stockade_types::digest::DigestKey;
    use stockade_types::time::ManualClock;

    use super::*;
    use crate::grpc::convert;

    struct Scene {
        engine: Arc<Engine>,
        clock: Arc<ManualClock>,
        statuses: Arc<Statuses>,
        streams: Streams,
    }

    impl Scene {
        fn with_drop(id: &str) -> Self {
            let engine = Engine::ephemeral(DigestKey::from_bytes([1; 16]), Bounds::default()).expect("starts");
            let (engine, clock) = (Arc::new(engine), Arc::new(ManualClock::at(Timestamp(1_000_000))));
            let edge = Edge::new(EngineHandle::of(Arc::clone(&engine)), clock.clone(), Arc::default());
            let streams = Streams::new();
            let edge = Arc::new(edge);
            let statuses = Statuses::new(Arc::clone(&edge), streams.clone(), Catalog::new(edge));
            let item = pb::Item { sku: "K".into(), quantity: 1, ..pb::Item::default() };
            let drop = Some(pb::Drop { id: id.into(), items: vec![item], ..pb::Drop::default() });
            let command = convert::create_drop(&pb::CreateDropRequest { drop, validate_only: false }).expect("good");
            engine.create_drop(&command, Context::anonymous(Timestamp(1_000_000))).expect("made");
            Self { engine, clock, statuses, streams }
        }

        /// Writes a record, so that a status that was read before may be old.
        fn change(&self, id: &DropId, steer: Steer) {
            self.engine.steer(id, steer, Context::anonymous(self.statuses.edge.now())).expect("steered");
        }
    }

    fn id(text: &str) -> DropId {
        text.parse().expect("an id")
    }

    #[tokio::test]
    async fn however_many_ask_a_drop_is_read_a_few_times() {
        let scene = Scene::with_drop("knife");
        let knife = id("knife");
        let mut read = BTreeSet::new();
        for round in 0..100 {
            scene.change(&knife, if round % 2 == 0 { Steer::Pause } else { Steer::Resume });
            for _ in 0..10 {
                read.insert(scene.statuses.get(&knife).await.expect("a status").appended);
            }
        }
        // The first read makes the cell known; then as many as may be at once.
        assert_eq!(u64::try_from(read.len()), Ok(BURST + 1));
        let before = scene.statuses.get(&knife).await.expect("a status");
        scene.clock.advance(INTERVAL);
        let after = scene.statuses.get(&knife).await.expect("a status");
        assert!(after.appended > before.appended, "the interval is over");
    }

    #[tokio::test]
    async fn what_has_not_changed_is_not_read_again_and_is_the_same_for_all() {
        let scene = Scene::with_drop("knife");
        let first = scene.statuses.get(&id("knife")).await.expect("a status");
        let again = scene.statuses.get(&id("knife")).await.expect("a status");
        assert!(Arc::ptr_eq(&first.status, &again.status) && first.at == again.at);
        scene.clock.advance(RENEWED);
        let later = scene.statuses.get(&id("knife")).await.expect("a status");
        assert!(later.at > first.at && Arc::ptr_eq(&first.status, &later.status), "read again, and found the same");
    }

    #[tokio::test]
    async fn ids_of_nobody_are_looked_up_at_a_bounded_rate_and_take_no_place() {
        let scene = Scene::with_drop("knife");
        let mut faults = BTreeSet::new();
        for number in 0..BURST_OF_ALL + 10 {
            let fault = scene.statuses.get(&id(&format!("nobody-{number}"))).await.expect_err("there is none");
            faults.insert(matches!(fault, Fault::NoDrop(_)));
        }
        assert_eq!((faults.len(), scene.statuses.cells.len()), (2, 0), "some were turned away");
        // Those that are known are served all the same.
        scene.clock.advance(Millis(1));
        scene.statuses.get(&id("knife")).await.expect("a status");
        for number in 0..BURST_OF_ALL {
            scene.statuses.get(&id(&format!("nobody-{number}"))).await.expect_err("there is none");
        }
        scene.statuses.get(&id("knife")).await.expect("a status");
    }

    #[tokio::test]
    async fn a_flood_of_ids_of_nobody_does_not_delay_a_drop_that_is_there() {
        let scene = Scene::with_drop("knife");
        let mut turned_away = 0;
        for number in 0..BURST_OF_ALL + 50 {
            let fault = scene.statuses.get(&id(&format!("nobody-{number}"))).await.expect_err("there is none");
            turned_away += u32::from(matches!(fault, Fault::Overloaded(_)));
        }
        assert_eq!(turned_away, 50, "no id of nobody is looked up by way of the catalog");
        scene.statuses.get(&id("knife")).await.expect("its first read");
        assert_eq!(scene.statuses.cells.len(), 1);
    }

    #[tokio::test]
    async fn a_watch_shows_changes_and_ends_with_the_streams() {
        let scene = Scene::with_drop("knife");
        let mut changes = scene.statuses.watch(&id("knife")).await.expect("a watch");
        let state = |latest: &Latest| latest.as_ref().map(|latest| latest.status.message.state());
        assert_eq!(state(&changes.borrow_and_update()), Some(pb::DropState::Open));
        scene.change(&id("knife"), Steer::Pause);
        scene.clock.advance(RENEWED);
        changes.changed().await.expect("a change");
        assert_eq!(state(&changes.borrow_and_update()), Some(pb::DropState::Paused));
        scene.streams.end();
        changes.changed().await.expect("an end");
        assert_eq!(state(&changes.borrow()), None);
    }
}
