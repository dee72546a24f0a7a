//! A machine with a simulated disk and a clock that stands still, and the calls on its engine, for the engine's own
//! tests.

use std::sync::Arc;
use std::thread;

use stockade_engine::answer::{DropView, Fault, HoldView, Outcome, Refusal};
use stockade_engine::attempt::{Answer, Decided};
use stockade_engine::command::{Claim, CreateDrop, Extend, Release, Reserve, Return, Steer, UpdateDrop};
use stockade_engine::context::Context;
use stockade_engine::inventory::{BulkLoad, Inventory};
use stockade_engine::lifecycle::data_folder::DataFolder;
use stockade_engine::lifecycle::recover::{RecoverError, Recovered, Report, StartOptions, recover};
use stockade_engine::verbs::page::Page;
use stockade_engine::{Bounds, Engine};
use stockade_journal::storage::SimulatedStorage;
use stockade_journal::{BatchHead, FileLog, FileLogOptions, Log as _, SealedBatch, Start, inspect};
use stockade_types::definition::Definition;
use stockade_types::digest::DigestKey;
use stockade_types::hold::{ContentHash, Hold, HoldFields, HoldLine, HoldState, Lines};
use stockade_types::ids::{CustomerId, DropNo, IdentityKind, ItemNo, Lsn, PoolNo};
use stockade_types::record::{DropImage, Lifecycle, Made, Record};
use stockade_types::time::{Millis, Timestamp};

pub use crate::model::words::{
    START, adjust, claim, definition, drop_id, extend, hold_id, lines, pool_id, pools, release, reserve, settle, sku,
    target, update,
};

/// A page of at most this many items, in order.
pub fn page<V: Clone>(most: usize) -> Page<V, V> {
    Page::new(most, usize::MAX, |view: &V| (view.clone(), 0))
}

/// How long after its closing a drop is archived here.
const ARCHIVE_AFTER: Millis = Millis::from_secs(7 * 24 * 3_600);

/// A machine: its disk, its clock, and the engine while one runs.
#[derive(Debug)]
pub struct World {
    pub root: SimulatedStorage,
    pub journal: SimulatedStorage,
    pub snapshots: SimulatedStorage,
    pub options: StartOptions,
    pub now: Timestamp,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    pub fn new() -> Self {
        let options = StartOptions {
            bounds: Bounds { archive_after: ARCHIVE_AFTER, ..Bounds::default() },
            log: FileLogOptions::default(),
            outage_grace: Millis::from_secs(30),
            accept_clock: false,
        };
        let [root, journal, snapshots] = [(); 3].map(|()| SimulatedStorage::default());
        Self { root, journal, snapshots, options, now: START }
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

    /// Appends to the journal what an engine would not, as a term of its own.
    pub fn append(&self, records: &[Record], written_at: Timestamp) {
        let (log, opened) = FileLog::open(Arc::new(self.journal.clone()), self.options.log).expect("opens");
        let Start { next, chain, term } = opened.start();
        let head = BatchHead { term, first: next, count: 0, written_at, before: chain };
        log.append(next, &SealedBatch::of_records(head, records)).expect("appends");
        log.sync().expect("syncs");
    }
}

/// So many seconds after [`START`].
pub const fn after(seconds: u64) -> Timestamp {
    START.plus(Millis::from_secs(seconds))
}

/// A command about one hold.
pub trait HoldCommand {
    fn send(&self, engine: &Engine, context: Context<'_>) -> Answer<Outcome>;
}

macro_rules! hold_commands {
    ($($command:ty: $verb:ident;)*) => {
        $(impl HoldCommand for $command {
            fn send(&self, engine: &Engine, context: Context<'_>) -> Answer<Outcome> {
                engine.$verb(self, context)
            }
        })*
    };
}

hold_commands! { Reserve: reserve; Extend: extend; Claim: claim; Release: release; Return: return_units; }

/// What callers and operators ask of an engine, without a name.
pub trait Calls {
    /// The answer to a command once it is free of doubt, or why there is none.
    fn try_ask(&self, command: &impl HoldCommand, now: Timestamp) -> Result<Decided<Outcome>, Fault>;

    /// As [`Calls::try_ask`], where there must be an answer.
    fn ask(&self, command: &impl HoldCommand, now: Timestamp) -> Decided<Outcome> {
        self.try_ask(command, now).expect("an answer")
    }

    /// As [`Calls::ask`], where the answer must be a hold.
    fn granted(&self, command: &impl HoldCommand, now: Timestamp) -> HoldView {
        match self.ask(command, now).value {
            Outcome::Hold(view) => view,
            Outcome::Refused(refusal) => panic!("refused: {refusal:?}"),
        }
    }

    /// As [`Calls::ask`], where the answer must be a refusal.
    fn refused(&self, command: &impl HoldCommand, now: Timestamp) -> Refusal {
        match self.ask(command, now).value {
            Outcome::Hold(view) => panic!("not refused: {view:?}"),
            Outcome::Refused(refusal) => *refusal,
        }
    }

    /// An existing drop.
    fn view(&self, id: &str, now: Timestamp) -> DropView;

    /// An existing drop after a pause, a resume or a close, once that is durable.
    fn steered(&self, id: &str, steer: Steer, now: Timestamp) -> DropView;

    /// A drop after a change, once that is durable.
    fn updated(&self, command: &UpdateDrop, now: Timestamp) -> DropView;

    /// Sweeps until nothing is due.
    fn sweep_all(&self, now: Timestamp);

    /// Stops in order.
    fn stop(self, now: Timestamp)
    where
        Self: Sized;
}

impl Calls for Engine {
    fn try_ask(&self, command: &impl HoldCommand, now: Timestamp) -> Result<Decided<Outcome>, Fault> {
        settle(|| command.send(self, Context::anonymous(now)))
    }

    fn view(&self, id: &str, now: Timestamp) -> DropView {
        self.get_drop(&drop_id(id), Context::anonymous(now)).expect("the drop").value
    }

    fn steered(&self, id: &str, steer: Steer, now: Timestamp) -> DropView {
        durable(self, self.steer(&drop_id(id), steer, Context::anonymous(now))).expect("steered")
    }

    fn updated(&self, command: &UpdateDrop, now: Timestamp) -> DropView {
        durable(self, self.update_drop(command, Context::anonymous(now))).expect("a change")
    }

    fn sweep_all(&self, now: Timestamp) {
        while self.sweep(now).expect("a sweep") > 0 {}
    }

    fn stop(self, now: Timestamp) {
        self.journal().close(now).expect("a clean stop");
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
#[must_use]
pub fn with_card(command: Reserve, card: &str) -> Reserve {
    let kind = IdentityKind::try_from("card").expect("a kind");
    Reserve { identities: vec![(kind, card.to_owned())], ..command }
}

/// Does this on some threads at once. Returns their results in the threads' order.
pub fn together<T: Send>(threads: u64, work: impl Fn(u64) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread")).collect()
    })
}

/// The record of a drop that was created at [`START`].
pub fn drop_record(number: u32, definition: Definition) -> Record {
    let number = DropNo(number);
    Record::Drop(Box::new(DropImage { number, created_at: START, definition, request: [0; 32], update: None }))
}

/// A hold of one unit of the first drop's first item that Ada holds, as the record at an LSN left it; with changes.
pub fn hold_at(n: u64, at: u64, change: impl FnOnce(&mut HoldFields)) -> Hold {
    let mut fields = HoldFields {
        id: hold_id(n),
        drop: DropNo(0),
        state: HoldState::Held,
        customer: CustomerId::try_from("ada").expect("an id"),
        content: ContentHash(n),
        created_at: START,
        expires_at: after(300),
        settled_at: Timestamp::default(),
        has_grace: false,
        revision: Lsn(at),
        lines: units(1),
        extras: None,
    };
    change(&mut fields);
    Hold::from(fields)
}

/// Lines of a hold: these units of the first item's first pool.
pub fn units(units: u32) -> Lines {
    Lines::from_slice(&[HoldLine::new(ItemNo(0), PoolNo(0), units)])
}

/// All records of a journal, in order.
pub fn records(world: &World) -> Vec<(Lsn, Record)> {
    let batches = inspect(&world.journal).expect("a journal").map(|batch| batch.expect("a batch"));
    batches.flat_map(|batch| batch.iter().map(|(lsn, record)| (lsn, record.clone())).collect::<Vec<_>>()).collect()
}

/// The inventory after a bulk load of a journal's records.
pub fn loaded(world: &World, records: &[(Lsn, Record)]) -> Inventory {
    loaded_by(world.folder().key, records)
}

/// As [`loaded`], with this key.
pub fn loaded_by<'a>(key: DigestKey, records: impl IntoIterator<Item = &'a (Lsn, Record)>) -> Inventory {
    let load = BulkLoad::new(key);
    for (lsn, record) in records {
        load.apply(*lsn, record).expect("a sound record");
    }
    load.finish(usize::MAX).expect("sums that hold at every cut")
}

/// The state after each record of a journal; the first is before all of them.
pub fn states(world: &World) -> Vec<[u8; 32]> {
    let records = records(world);
    (0..=records.len()).map(|count| loaded(world, &records[..count]).digest()).collect()
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
    engine.stop(world.now);
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
