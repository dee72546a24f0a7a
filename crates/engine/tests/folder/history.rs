//! A short history that leaves every kind of file of a data folder: several segments, two snapshots, a trimmed segment,
//! and records after the newer snapshot. It is always the same, and the state after each of its records is known.

use std::collections::BTreeMap;
use std::sync::Arc;

use stockade_engine::lifecycle::recover::Recovered;
use stockade_journal::inspect;
use stockade_simulation::prelude::*;

pub type Files = BTreeMap<String, Vec<u8>>;

/// Bytes of a segment: small, so that this history takes several.
const SEGMENT: u64 = 400;

/// All files of a data folder, by folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Image {
    pub root: Files,
    pub journal: Files,
    pub snapshots: Files,
}

/// One of the three folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Root,
    Journal,
    Snapshots,
}

impl Image {
    pub fn of(world: &World) -> Self {
        Self { root: world.root.files(), journal: world.journal.files(), snapshots: world.snapshots.files() }
    }

    pub fn part(&mut self, part: Part) -> &mut Files {
        match part {
            Part::Root => &mut self.root,
            Part::Journal => &mut self.journal,
            Part::Snapshots => &mut self.snapshots,
        }
    }

    /// Every file with its folder and name.
    pub fn files(&self) -> Vec<(Part, String, Vec<u8>)> {
        let parts = [(Part::Root, &self.root), (Part::Journal, &self.journal), (Part::Snapshots, &self.snapshots)];
        let named = |(part, files): (Part, &Files)| -> Vec<_> {
            files.iter().map(|(name, bytes)| (part, name.clone(), bytes.clone())).collect()
        };
        parts.into_iter().flat_map(named).collect()
    }

    /// A machine with these files on its disk, all of them durable.
    pub fn world(&self) -> World {
        let mut world = World::new();
        world.root = SimulatedStorage::with_files(self.root.clone());
        world.journal = SimulatedStorage::with_files(self.journal.clone());
        world.snapshots = SimulatedStorage::with_files(self.snapshots.clone());
        // No time passes, so no hold needs grace: the recovered state is the one before.
        world.options.outage_grace = Millis(0);
        world.options.accept_clock = true;
        world.options.log.segment_bytes = SEGMENT;
        world
    }
}

/// Why a start was refused.
#[derive(Debug)]
pub enum No {
    Folder(FolderError),
    Start(RecoverError),
}

impl No {
    pub fn text(&self) -> String {
        match self {
            Self::Folder(error) => error.to_string(),
            Self::Start(error) => error.to_string(),
        }
    }
}

pub fn folder(world: &World) -> Result<DataFolder, FolderError> {
    let (journal, snapshots) = (Arc::new(world.journal.clone()), Arc::new(world.snapshots.clone()));
    DataFolder::over(Arc::new(world.root.clone()), journal, snapshots, "simulated")
}

pub fn start(world: &World) -> Result<Recovered, No> {
    let folder = folder(world).map_err(No::Folder)?;
    recover(&folder, &world.options, &|| START).map_err(No::Start)
}

/// The history after its run, and the folder that it left.
pub struct Played {
    pub image: Image,
    /// The state after each record; the first is before all of them.
    states: Vec<[u8; 32]>,
}

impl Played {
    /// Runs the history with this durability; the journal is closed in order or left open.
    pub fn new(durability: Durability, closed: bool) -> Self {
        let states = learned();
        let mut world = Image { root: root(), ..Image::default() }.world();
        world.options.log.durability = durability;
        let engine = start(&world).expect("a first start").engine;
        play(&engine, &world);
        assert_eq!(
            engine.journal().appended(),
            Lsn(u64::try_from(states.len() - 1).expect("small")),
            "the same history"
        );
        if closed {
            engine.journal().close(after(12)).expect("a clean stop");
        }
        drop(engine);
        let image = Image::of(&world);
        assert!(image.journal.len() >= 3 && image.snapshots.len() == 2, "{:?}", image.journal.keys());
        assert!(!image.journal.contains_key("00000000000000000001.journal"), "trimmed behind the older snapshot");
        Self { image, states }
    }

    /// The LSN of the last record.
    pub fn end(&self) -> Lsn {
        Lsn(u64::try_from(self.states.len() - 1).expect("small"))
    }

    /// The LSN of the first record of the last batch.
    pub fn last_batch(&self) -> Lsn {
        let storage = SimulatedStorage::with_files(self.image.journal.clone());
        let last = inspect(&storage).expect("a journal").last().expect("a batch").expect("whole");
        last.head.first
    }

    /// The lengths of a segment at which a batch or the header ends: after a cut there, the segment does not show that
    /// it is cut.
    pub fn seams(&self, segment: &str) -> Vec<usize> {
        let bytes = &self.image.journal[segment];
        let next = |at: &usize| {
            let payload = bytes.get(at + 68..at + 72)?.first_chunk::<4>()?;
            Some(at + 76 + usize::try_from(u32::from_le_bytes(*payload)).expect("small"))
        };
        std::iter::successors(Some(68), next).filter(|at| *at <= bytes.len()).collect()
    }

    /// The last record of the whole batches before a cut of a segment.
    pub fn whole(&self, segment: &str, length: usize) -> Lsn {
        let storage = SimulatedStorage::with_files(self.image.journal.clone());
        let begins = Lsn(segment.trim_end_matches(".journal").parse().expect("a number"));
        let firsts = inspect(&storage).expect("a journal").map(|batch| batch.expect("whole").head.first);
        let whole = self.seams(segment).into_iter().skip(1).filter(|end| *end <= length).count();
        let follower = firsts.filter(|first| *first >= begins).nth(whole).expect("a batch that was cut");
        Lsn(follower.0 - 1)
    }

    pub fn state(&self, at: Lsn) -> [u8; 32] {
        self.states[usize::try_from(at.0).expect("small")]
    }
}

/// The file with the key: always the same, so that states can be compared.
pub fn root() -> Files {
    let mut bytes = b"STOCKADE\x01\0\0\0".to_vec();
    bytes.extend(0..16_u8);
    let sum = crc32c::crc32c(&bytes);
    bytes.extend(sum.to_le_bytes());
    Files::from([("stockade.meta".to_owned(), bytes)])
}

/// Runs with one segment and no snapshots, so that nothing is trimmed, and replays each prefix of it.
fn learned() -> Vec<[u8; 32]> {
    let mut world = Image { root: root(), ..Image::default() }.world();
    world.options.log.segment_bytes = 1 << 20;
    let engine = start(&world).expect("a first start").engine;
    play(&engine, &world);
    drop(engine);
    states(&world)
}

/// A drop with limits of several scopes.
fn the_drop() -> CreateDrop {
    let mut drop = definition("knife-1204", &[("KNIFE/20cm", 30), ("FORK", 40)], &[("nine", Scope::Drop, 9)]);
    drop.title.push_str("The chef's knife, 20 cm");
    drop.labels = [("season".to_owned(), "winter".to_owned())].into();
    drop.series = Some("winter".parse().expect("a series"));
    drop.limits.push(Limit {
        identity_kind: Some("card".parse().expect("a kind")),
        max_units: Some(9),
        rolling: Some(Millis(60_000)),
        ..Limit::new("cards".parse().expect("an id"), Scope::Shop)
    });
    CreateDrop { definition: drop, validate_only: false }
}

/// Runs the history. Every step waits until it is durable, so it is a batch of its own.
fn play(engine: &Engine, world: &World) {
    let durable = || engine.journal().barrier().wait().expect("durable");
    engine.create_drop(&the_drop(), Context::anonymous(after(0))).expect("a drop");
    durable();
    let buys = |n: u64, wanted: &[(&str, u32)], instead: Option<u64>| {
        let customer = format!("customer-{}", instead.unwrap_or(n));
        let mut command = with_card(reserve(hold_id(n), "knife-1204", &customer, wanted), &format!("card-{n}"));
        command.supersedes = instead.map(hold_id);
        let answer = engine.ask(&command, after(n));
        assert!(matches!(answer.value, Outcome::Hold(_)), "{answer:?}");
        engine.journal().ticket(answer.durable_after).wait().expect("durable");
    };
    buys(1, &[("KNIFE/20cm", 2), ("FORK", 1)], None);
    buys(2, &[("KNIFE/20cm", 1)], None);
    buys(3, &[("FORK", 3)], None);
    buys(4, &[("FORK", 2)], None);
    let sold = engine.ask(&claim(hold_id(1), "order/1"), after(5));
    engine.journal().ticket(sold.durable_after).wait().expect("durable");
    engine.snapshot(&world.snapshots, after(5)).expect("a snapshot");
    engine.ask(&release(hold_id(3), &[("FORK", 1)]), after(6));
    durable();
    engine.ask(&extend(hold_id(2), Some(Millis(500_000))), after(6));
    durable();
    let more = adjust("knife-1204", "FORK", 77, StockChange::Delta(5));
    engine.adjust_stock(&more, Context::anonymous(after(6))).expect("adjusted");
    durable();
    buys(7, &[("FORK", 1), ("KNIFE/20cm", 1)], Some(4));
    engine.snapshot(&world.snapshots, after(7)).expect("a snapshot");
    buys(8, &[("KNIFE/20cm", 3)], None);
    engine.steer(&the_drop().definition.id, Steer::Pause, Context::anonymous(after(9))).expect("paused");
    durable();
    // Holds that are due by then expire, one record each.
    engine.sweep(after(304)).expect("a sweep");
    durable();
}
