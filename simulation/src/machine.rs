//! The machine that the engine runs on: its disk and its clocks.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::Arc;

use stockade_engine::lifecycle::data_folder::DataFolder;
use stockade_journal::KeepPolicy;
use stockade_journal::storage::SimulatedStorage;
use stockade_journal::storage::simulated::StorageOperation;
use stockade_types::time::{Millis, Timestamp};

use crate::dice::Dice;
use crate::model::words::START;

/// Keeps a few segments for readers.
const KEEP: KeepPolicy = KeepPolicy { age: Millis(u64::MAX), bytes: 1_500 };
/// When the wall clock is further ahead of engine time than this, engine time is stepped to it.
const STEP_BEYOND: u64 = 1_000;

/// The data folder, its disk and its clocks.
#[derive(Debug)]
pub struct Machine {
    pub root: SimulatedStorage,
    pub journal: SimulatedStorage,
    pub snapshots: SimulatedStorage,
    /// The wall clock, in milliseconds since [`START`].
    wall: u64,
    /// Engine time, in milliseconds since [`START`]. It follows the wall clock forwards, never back.
    now: u64,
}

/// One of the disk's folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Journal,
    Snapshots,
}

impl Machine {
    /// A machine with a data folder whose key is drawn from the dice, since the key decides the shards of holds.
    pub fn new(dice: &mut Dice) -> Self {
        let mut meta = b"STOCKADE".to_vec();
        meta.extend_from_slice(&3_u32.to_le_bytes());
        meta.extend_from_slice(&dice.number().to_le_bytes());
        meta.extend_from_slice(&dice.number().to_le_bytes());
        meta.extend_from_slice(&[0, stockade_types::record::Record::KIND_MAX, 0, 0]);
        meta.extend_from_slice(&dice.number().to_le_bytes());
        let sum = crc32c::crc32c(&meta);
        meta.extend_from_slice(&sum.to_le_bytes());
        Self {
            root: SimulatedStorage::with_files(BTreeMap::from([("stockade.meta".to_owned(), meta)])),
            journal: SimulatedStorage::new(),
            snapshots: SimulatedStorage::new(),
            wall: 0,
            now: 0,
        }
    }

    /// A copy of the disk as a reader sees it now, with everything forced.
    pub fn copy(&self) -> Self {
        let copy = |storage: &SimulatedStorage| SimulatedStorage::with_files(storage.files());
        let (wall, now) = (self.wall, self.now);
        Self { root: copy(&self.root), journal: copy(&self.journal), snapshots: copy(&self.snapshots), wall, now }
    }

    pub fn folder(&self) -> DataFolder {
        let (journal, snapshots) = (Arc::new(self.journal.clone()), Arc::new(self.snapshots.clone()));
        let folder =
            DataFolder::over(Arc::new(self.root.clone()), journal, snapshots, "simulated").expect("a data folder");
        folder.keeping_in(Arc::new(self.kept()), KEEP)
    }

    /// Where segments are kept that the journal no longer needs.
    pub fn kept(&self) -> SimulatedStorage {
        self.journal.beside("kept/")
    }

    pub fn part(&self, part: Part) -> &SimulatedStorage {
        match part {
            Part::Journal => &self.journal,
            Part::Snapshots => &self.snapshots,
        }
    }

    pub fn part_mut(&mut self, part: Part) -> &mut SimulatedStorage {
        match part {
            Part::Journal => &mut self.journal,
            Part::Snapshots => &mut self.snapshots,
        }
    }

    /// Engine time, in milliseconds since [`START`].
    pub const fn now(&self) -> u64 {
        self.now
    }

    pub const fn wall(&self) -> u64 {
        self.wall
    }

    pub fn instant(&self) -> Timestamp {
        START.plus(Millis(self.now))
    }

    pub fn wall_instant(&self) -> Timestamp {
        START.plus(Millis(self.wall))
    }

    pub fn pass(&mut self, span: u64) {
        self.wall += span;
        self.now += span;
        self.follow();
    }

    /// Sets the wall clock.
    pub fn set_wall(&mut self, wall: u64) {
        self.wall = wall;
        self.follow();
    }

    fn follow(&mut self) {
        if self.wall > self.now + STEP_BEYOND {
            self.now = self.wall;
        }
    }

    /// Starts a new process at this engine time.
    pub fn begin(&mut self, now: Timestamp) {
        self.now = START.until(now).0;
        self.follow();
    }

    pub fn crashed(&self) -> bool {
        self.journal.crashed() || self.snapshots.crashed()
    }

    pub fn stop(&self) {
        self.journal.crash();
        self.snapshots.crash();
    }

    /// Ends the machine by a loss of power and starts it again.
    pub fn reboot(&mut self, dice: &mut Dice) {
        self.journal = self.journal.reboot(dice.number());
        self.snapshots = self.snapshots.reboot(dice.number());
    }

    /// Ends the process; what it wrote is still there.
    pub fn reopen(&mut self) {
        self.journal = self.journal.reopen();
        self.snapshots = self.snapshots.reopen();
    }

    /// Makes one of the next operations fail. Returns a description.
    pub fn arm(&self, part: Part, dice: &mut Dice) -> String {
        let operation = dice.weighted(&[
            (4, StorageOperation::Append),
            (4, StorageOperation::SyncData),
            (2, StorageOperation::Create),
            (1, StorageOperation::Rename),
            (1, StorageOperation::Remove),
            (2, StorageOperation::SyncDir),
        ]);
        let kind = dice.weighted(&[(1, ErrorKind::StorageFull), (1, ErrorKind::Other)]);
        let storage = self.part(part);
        let after = dice.below(4);
        storage.fail_at(operation, storage.count(operation) + after, kind);
        format!("{part:?} {operation:?} fails with {kind:?} after {after}")
    }

    /// Stops the machine in the middle of one of the next operations. Returns a description.
    pub fn doom(&self, part: Part, dice: &mut Dice) -> String {
        let storage = self.part(part);
        let after = dice.below(if part == Part::Journal { 6 } else { 12 });
        storage.crash_at(storage.operations() + after);
        format!("{part:?} stops after {after}")
    }

    /// Operations that have failed since the process began.
    pub fn failures(&self) -> Vec<StorageOperation> {
        [self.journal.failures(), self.snapshots.failures()].concat()
    }
}
