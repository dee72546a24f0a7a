//! A disk for tests that can fail, crash and be rebooted. Keeps everything in memory; not for production.
//!
//! It has two images of everything: what is read (`live`) and what a crash leaves. Bytes that were not synced are
//! lost, kept, torn at any byte or kept by sectors, in any order, some of them garbled; names that were not synced are kept or lost one by one, in any
//! combination: no order among them is promised by a disk, so none is promised here.

mod image;

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::sync::Arc;

use parking_lot::Mutex;

use self::image::{FileNo, Folder, Seed};
use super::{FileId, Storage, StorageFile};

/// What can be told to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Making a file.
    Create,
    /// Writing: half of the bytes arrive.
    Append,
    /// Forcing a file: the bytes can still be read, but will not be there after a crash.
    SyncData,
    /// Renaming: not done.
    Rename,
    /// Removing: not done.
    Remove,
    /// Forcing names: they stay unforced.
    SyncDir,
}

#[derive(Debug)]
enum Verdict {
    Go,
    Fail(io::ErrorKind),
    /// The machine stops in the middle of it: done, but not forced; and the caller never learns.
    Crash,
}

#[derive(Debug, Default)]
struct Machine {
    folder: Folder,
    /// Operations so far, each kind by itself.
    counts: BTreeMap<Operation, u64>,
    /// The operation, counted over all kinds, at which the machine stops.
    crash_at: Option<u64>,
    faults: Vec<(Operation, u64, io::ErrorKind)>,
    /// Faults that were met.
    failed: Vec<Operation>,
    crashed: bool,
    /// Says that it has forced what it has not.
    lies: bool,
}

impl Machine {
    fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    fn running(&self) -> io::Result<()> {
        if self.crashed { Err(io::Error::other("the machine has crashed")) } else { Ok(()) }
    }

    fn begin(&mut self, operation: Operation) -> io::Result<Verdict> {
        self.running()?;
        let place = self.total();
        let count = self.counts.entry(operation).or_default();
        let fault = self.faults.iter().find(|(kind, at, _)| *kind == operation && at == count).map(|fault| fault.2);
        *count = count.saturating_add(1);
        if self.crash_at == Some(place) {
            self.crashed = true;
            return Ok(Verdict::Crash);
        }
        self.failed.extend(fault.map(|_| operation));
        Ok(fault.map_or(Verdict::Go, Verdict::Fail))
    }

    /// Runs an operation that is done wholly or not at all.
    fn whole(&mut self, operation: Operation, run: impl FnOnce(&mut Folder) -> io::Result<()>) -> io::Result<()> {
        match self.begin(operation)? {
            Verdict::Go => run(&mut self.folder),
            Verdict::Fail(kind) => Err(failed(kind)),
            Verdict::Crash => {
                run(&mut self.folder)?;
                self.running()
            }
        }
    }
}

fn failed(kind: io::ErrorKind) -> io::Error {
    io::Error::new(kind, "told to fail")
}

/// The double. Clones share the machine.
#[derive(Debug, Clone, Default)]
pub struct SimulatedStorage(Arc<Mutex<Machine>>);

impl SimulatedStorage {
    /// An empty folder on a disk that works.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A folder with these files, all of them durable.
    #[must_use]
    pub fn with_files(files: BTreeMap<String, Vec<u8>>) -> Self {
        let machine = Machine { folder: Folder::durable(files), ..Machine::default() };
        Self(Arc::new(Mutex::new(machine)))
    }

    /// All files as they are read now.
    #[must_use]
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.0.lock().folder.contents()
    }

    /// Changing operations so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.0.lock().total()
    }

    /// Operations of one kind so far.
    #[must_use]
    pub fn count(&self, operation: Operation) -> u64 {
        self.0.lock().counts.get(&operation).copied().unwrap_or(0)
    }

    /// Lets the `place`-th operation of a kind, counted from the machine's start with 0, fail once.
    pub fn fail_at(&self, operation: Operation, place: u64, kind: io::ErrorKind) {
        self.0.lock().faults.push((operation, place, kind));
    }

    /// Stops the machine in the middle of the `place`-th changing operation, counted with 0: it and all after it fail.
    pub fn crash_at(&self, place: u64) {
        self.0.lock().crash_at = Some(place);
    }

    /// Stops the machine now.
    pub fn crash(&self) {
        self.0.lock().crashed = true;
    }

    /// Whether the machine has stopped.
    #[must_use]
    pub fn crashed(&self) -> bool {
        self.0.lock().crashed
    }

    /// Operations that were told to fail and have, in order.
    #[must_use]
    pub fn failures(&self) -> Vec<Operation> {
        self.0.lock().failed.clone()
    }

    /// From now on it says that it has forced bytes and names, and has not: a disk that lies.
    pub fn lie(&self) {
        self.0.lock().lies = true;
    }

    /// What is found after the process has ended and the machine has not: all that was written, forced or not, and what
    /// was not forced is still at risk. Faults that were not met yet are forgotten. This double is as good as crashed.
    #[must_use]
    pub fn reopen(&self) -> Self {
        let mut machine = self.0.lock();
        machine.crashed = true;
        let (folder, lies) = (std::mem::take(&mut machine.folder), machine.lies);
        Self(Arc::new(Mutex::new(Machine { folder, lies, ..Machine::default() })))
    }

    /// What is found after the machine has stopped and started again. The same seed finds the same.
    #[must_use]
    pub fn reboot(&self, seed: u64) -> Self {
        Self::with_files(self.0.lock().folder.survivors(&mut Seed::new(seed)))
    }
}

impl Storage for SimulatedStorage {
    fn list(&self) -> io::Result<Vec<String>> {
        let machine = self.0.lock();
        machine.running()?;
        Ok(machine.folder.names())
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        let machine = self.0.lock();
        machine.running()?;
        Ok(u64::try_from(machine.folder.bytes(name)?.len()).unwrap_or(u64::MAX))
    }

    fn read_at(&self, name: &str, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let machine = self.0.lock();
        machine.running()?;
        let bytes = machine.folder.bytes(name)?;
        let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
        Ok(Box::new(Cursor::new(bytes.get(skipped..).unwrap_or_default().to_vec())))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let mut number = FileNo::default();
        self.0.lock().whole(Operation::Create, |folder| {
            number = folder.create(name)?;
            Ok(())
        })?;
        Ok(Box::new(SimulatedFile { machine: Arc::clone(&self.0), number }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.lock().whole(Operation::Rename, |folder| folder.rename(from, to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.lock().whole(Operation::Remove, |folder| folder.remove(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut machine = self.0.lock();
        match machine.begin(Operation::SyncDir)? {
            Verdict::Go => {
                if !machine.lies {
                    machine.folder.sync();
                }
                Ok(())
            }
            Verdict::Fail(kind) => Err(failed(kind)),
            Verdict::Crash => machine.running(),
        }
    }

    fn still_names(&self, name: &str, file: FileId) -> io::Result<()> {
        let machine = self.0.lock();
        machine.running()?;
        if machine.folder.number(name).ok().map(FileNo::id) == Some(file) {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::NotFound, format!("{name} was removed, renamed or replaced")))
    }

    fn make_again(&self) -> io::Result<bool> {
        self.0.lock().running().map(|()| false)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.0.lock().running()?;
        Ok(u64::MAX)
    }
}

#[derive(Debug)]
struct SimulatedFile {
    machine: Arc<Mutex<Machine>>,
    number: FileNo,
}

impl StorageFile for SimulatedFile {
    fn id(&self) -> FileId {
        self.number.id()
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut machine = self.machine.lock();
        let verdict = machine.begin(Operation::Append)?;
        let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
        let file = machine.folder.file(self.number)?;
        match verdict {
            Verdict::Go => {
                file.append(bytes);
                Ok(())
            }
            Verdict::Fail(kind) => {
                file.append(half);
                Err(failed(kind))
            }
            Verdict::Crash => {
                file.append(bytes);
                machine.running()
            }
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut machine = self.machine.lock();
        let verdict = machine.begin(Operation::SyncData)?;
        let lies = machine.lies;
        let file = machine.folder.file(self.number)?;
        match verdict {
            Verdict::Go if lies => Ok(()),
            Verdict::Go => {
                file.sync();
                Ok(())
            }
            Verdict::Fail(kind) => {
                file.lose();
                Err(failed(kind))
            }
            Verdict::Crash => machine.running(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_synced_survives_every_seed() {
        let storage = SimulatedStorage::new();
        let file = storage.create("a").expect("creates");
        file.append(b"kept").expect("writes");
        file.sync_data().expect("syncs");
        storage.sync_dir().expect("syncs");
        file.append(b" maybe").expect("writes");
        let found: Vec<Vec<u8>> = (0..64).map(|seed| storage.reboot(seed).read("a").expect("there")).collect();
        assert!(found.iter().all(|bytes| bytes.starts_with(b"kept")));
        assert!(found.iter().any(|bytes| bytes == b"kept"), "some lose the rest");
        assert!(found.iter().any(|bytes| bytes == b"kept maybe"), "some keep it");
        assert!(found.iter().any(|bytes| bytes.len() > 4 && bytes.len() < 10), "some tear it");
    }

    #[test]
    fn names_that_were_not_synced_are_kept_or_lost_one_by_one() {
        let storage = SimulatedStorage::new();
        drop(storage.create("a").expect("creates"));
        storage.sync_dir().expect("syncs");
        drop(storage.create("b").expect("creates"));
        storage.remove("a").expect("removes");
        let found: Vec<Vec<String>> = (0..64).map(|seed| storage.reboot(seed).list().expect("lists")).collect();
        for names in [vec!["a", "b"], vec!["a"], vec!["b"], vec![]] {
            assert!(found.iter().any(|list| *list == names), "{names:?}");
        }
    }

    #[test]
    fn after_a_failed_sync_the_bytes_are_readable_but_do_not_survive() {
        let storage = SimulatedStorage::new();
        let file = storage.create("a").expect("creates");
        storage.sync_dir().expect("syncs");
        storage.fail_at(Operation::SyncData, 0, io::ErrorKind::Other);
        file.append(b"lost").expect("writes");
        assert!(file.sync_data().is_err());
        file.sync_data().expect("a second sync says that all is well");
        assert_eq!(storage.read("a").expect("reads"), b"lost");
        for seed in 0..32 {
            assert_ne!(storage.reboot(seed).read("a").expect("there"), b"lost");
        }
    }

    #[test]
    fn what_is_reopened_is_as_it_was_written_and_still_at_risk() {
        let storage = SimulatedStorage::new();
        let file = storage.create("a").expect("creates");
        storage.sync_dir().expect("syncs");
        file.append(b"written").expect("writes");
        storage.fail_at(Operation::Create, 1, io::ErrorKind::Other);
        let reopened = storage.reopen();
        assert!(storage.crashed() && file.append(b"x").is_err(), "the process is gone");
        assert_eq!(reopened.read("a").expect("reads"), b"written");
        drop(reopened.create("b").expect("the fault is forgotten"));
        assert!((0..32).any(|seed| reopened.reboot(seed).read("a").expect("there") != b"written"));
    }

    #[test]
    fn a_disk_that_lies_loses_what_it_says_it_has_forced() {
        let storage = SimulatedStorage::new();
        storage.lie();
        let file = storage.create("a").expect("creates");
        file.append(b"acknowledged").expect("writes");
        file.sync_data().expect("says that all is well");
        storage.sync_dir().expect("says so again");
        assert!((0..32).any(|seed| storage.reboot(seed).list().expect("lists").is_empty()));
    }

    #[test]
    fn nothing_works_after_a_crash() {
        let storage = SimulatedStorage::new();
        storage.crash_at(1);
        let file = storage.create("a").expect("the first works");
        assert!(file.append(b"x").is_err());
        assert!(storage.crashed() && storage.list().is_err() && file.sync_data().is_err());
    }

    #[test]
    fn a_write_told_to_fail_leaves_half_and_only_that_one_fails() {
        let storage = SimulatedStorage::new();
        storage.fail_at(Operation::Append, 0, io::ErrorKind::StorageFull);
        let file = storage.create("a").expect("creates");
        assert_eq!(file.append(b"1234").expect_err("full").kind(), io::ErrorKind::StorageFull);
        file.append(b"5").expect("works again");
        assert_eq!(storage.read("a").expect("reads"), b"125");
        assert_eq!(storage.failures(), [Operation::Append]);
        assert_eq!((storage.count(Operation::Append), storage.operations()), (2, 3));
    }
}
