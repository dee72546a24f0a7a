//! An engine over a simulated disk, with a clock that stands still: shared by all tests of the engine.

use std::sync::Arc;

use stockade_engine::answer::Fault;
use stockade_engine::attempt::{Answer, Decided};
use stockade_engine::command::{CreateDrop, Reserve};
use stockade_engine::context::Context;
use stockade_engine::inventory::{BulkLoad, Inventory};
use stockade_engine::lifecycle::data_folder::DataFolder;
use stockade_engine::lifecycle::recover::{RecoverError, Recovered, Report, StartOptions, recover};
use stockade_engine::verbs::page::Page;
use stockade_engine::{Bounds, Engine};
use stockade_journal::storage::SimulatedStorage;
use stockade_journal::{FileLogOptions, inspect};
use stockade_types::definition::Definition;
use stockade_types::ids::{IdentityKind, Lsn};
use stockade_types::record::{Lifecycle, Made, Record};
use stockade_types::time::{Millis, Timestamp};

pub use crate::naive::words::{
    START, adjust, claim, definition, drop_id, extend, hold_id, lines, release, reserve, settle, sku, target, update,
};

/// A page of at most this many items, in order.
pub fn page<V: Clone>(most: usize) -> Page<V, V> {
    Page::new(most, usize::MAX, |view: &V| (view.clone(), 0))
}
/// How long after its closing a drop is archived here.
const ARCHIVE_AFTER: Millis = Millis::from_secs(7 * 24 * 3_600);

/// A machine: its disk, its clock, and the engine while one runs.
pub struct World {
    pub root: SimulatedStorage,
    pub journal: SimulatedStorage,
    pub snapshots: SimulatedStorage,
    pub options: StartOptions,
    pub now: Timestamp,
}

impl World {
    pub fn new() -> Self {
        let options = StartOptions {
            bounds: Bounds { archive_after: ARCHIVE_AFTER, ..Bounds::default() },
            log: FileLogOptions::default(),
            outage_grace: Millis::from_secs(30),
            accept_clock: false,
        };
        Self {
            root: SimulatedStorage::default(),
            journal: SimulatedStorage::default(),
            snapshots: SimulatedStorage::default(),
            options,
            now: START,
        }
    }

    pub fn folder(&self) -> DataFolder {
        let (journal, snapshots) = (Arc::new(self.journal.clone()), Arc::new(self.snapshots.clone()));
        DataFolder::over(Arc::new(self.root.clone()), journal, snapshots, "simulated").expect("a data folder")
    }

    /// Starts an engine on this disk.
    pub fn start(&self) -> (Engine, Report) {
        let recovered = self.try_start().expect("an engine");
        (recovered.engine, recovered.report)
    }

    pub fn try_start(&self) -> Result<Recovered, RecoverError> {
        recover(&self.folder(), &self.options, &|| self.now)
    }

    /// A loss of power: what was not synced is lost, chosen by the seed.
    pub fn lose_power(&mut self, seed: u64) {
        self.root = self.root.reboot(seed);
        self.journal = self.journal.reboot(seed.wrapping_add(1));
        self.snapshots = self.snapshots.reboot(seed.wrapping_add(2));
    }
}

pub fn create(engine: &Engine, definition: Definition, now: Timestamp) {
    let command = CreateDrop { definition, validate_only: false };
    durable(engine, engine.create_drop(&command, Context::anonymous(now))).expect("a durable drop");
}

/// The value of an answer once it is durable.
pub fn durable<T>(engine: &Engine, answer: Answer<T>) -> Result<T, Fault> {
    let Decided { value, durable_after } = answer.map_err(|fault| fault.value)?;
    engine.journal().ticket(durable_after).wait().map_err(|_failed| Fault::JournalFailed)?;
    Ok(value)
}

/// The same reserve with a card as an identity.
pub fn with_card(command: Reserve, card: &str) -> Reserve {
    let kind = IdentityKind::try_from("card").expect("a kind");
    Reserve { identities: vec![(kind, card.to_owned())], ..command }
}

/// All records of a journal, in order.
pub fn records(world: &World) -> Vec<(Lsn, Record)> {
    let batches = inspect(&world.journal).expect("a journal").map(|batch| batch.expect("a batch"));
    batches.flat_map(|batch| batch.iter().map(|(lsn, record)| (lsn, record.clone())).collect::<Vec<_>>()).collect()
}

/// The inventory after a bulk load of a journal's records.
pub fn loaded(world: &World, records: &[(Lsn, Record)]) -> Inventory {
    let load = BulkLoad::new(world.folder().key);
    for (lsn, record) in records {
        load.apply(*lsn, record).expect("a sound record");
    }
    load.finish(usize::MAX).expect("sums that hold at every cut")
}

/// Follows a journal record by record.
pub fn follow(follower: &Inventory, records: &[(Lsn, Record)]) {
    for (lsn, record) in records {
        follower.follow(*lsn, record).expect("a sound record");
    }
}

/// How many records of a journal are loaded at once before the rest is followed record by record.
#[derive(Debug, Clone, Copy)]
pub enum AtOnce {
    /// Every number from none to all.
    Each,
    /// Some numbers, drawn with this seed.
    Drawn(u64),
}

/// Numbers that are drawn for one journal.
const DRAWN: u64 = 2;

impl AtOnce {
    /// The numbers of records.
    fn of(self, records: usize) -> Vec<usize> {
        let parts = u64::try_from(records + 1).expect("few");
        let drawn = |seed: u64, n: u64| seed.wrapping_add(n).wrapping_mul(0x9e37_79b9_7f4a_7c15) % parts;
        match self {
            Self::Each => (0..=records).collect(),
            Self::Drawn(seed) => (0..DRAWN).map(|n| usize::try_from(drawn(seed, n)).expect("small")).collect(),
        }
    }
}

/// Checks that a follower that loads a part of the journal at once and follows the rest has this digest.
pub fn known_to_followers(world: &World, at_once: AtOnce, known: [u8; 32]) {
    let records = records(world);
    assert!(records.first().is_none_or(|(lsn, _)| *lsn == Lsn(1)), "the whole journal is there");
    for at_once in at_once.of(records.len()) {
        let (first, rest) = records.split_at(at_once);
        let follower = loaded(world, first);
        follow(&follower, rest);
        assert_eq!(follower.digest(), known, "a follower from record {at_once} on knows something else");
    }
}

/// Stops in order and starts again. Returns the engine with the digests before and after. Also checks that a follower
/// has the digest from before the stop, whatever part of the journal it loaded at once.
pub fn restart(engine: Engine, world: &World, at_once: AtOnce) -> (Engine, [u8; 32], [u8; 32]) {
    let live = engine.inventory().digest();
    engine.journal().close(world.now).expect("a clean stop");
    drop(engine);
    holds_stand_in_open_drops(world);
    known_to_followers(world, at_once, live);
    let (engine, _) = world.start();
    let replayed = engine.inventory().digest();
    (engine, live, replayed)
}

/// Checks that every hold of a journal was made after the opening of its drop, before its closing, and not during a
/// pause.
pub fn holds_stand_in_open_drops(world: &World) {
    let mut open = std::collections::HashMap::new();
    for (lsn, record) in records(world) {
        if let Record::DropFact(fact) = &record {
            let Lifecycle { drop, paused, opened, closed, marks: _ } = &fact.lifecycle;
            open.insert(*drop, opened.is_some() && closed.is_none() && !*paused);
        }
        let made = if let Record::Made(Made { hold, .. }) = &record {
            Some(hold.drop)
        } else if let Record::Superseded(superseded) = &record {
            Some(superseded.made.drop)
        } else {
            None
        };
        // If a drop was made before the oldest record, the journal does not have its state.
        let sound = made.and_then(|drop| open.get(&drop)).copied().unwrap_or(true);
        assert!(sound, "record {lsn} makes a hold in a drop that is not open: {record:?}");
    }
}
