//! A simulated disk for tests: it can fail, crash and be rebooted. Everything is in memory; not for production.
//!
//! It has two images of everything: what is read (`live`) and what a crash leaves. On a crash, bytes that were not
//! synced are lost, kept, torn at any byte or kept by sectors, in any order, some of them garbled. Names that were not
//! synced are kept or lost one by one, in any combination: disks promise no order among them.

mod faults;
mod image;

use std::any::Any;
use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use self::image::{FileNo, FolderImage, Seed};
use super::{FileId, Storage, StorageFile};

/// An operation that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StorageOperation {
    /// Creating a file.
    Create,
    /// Appending: half of the bytes are written.
    Append,
    /// Syncing a file: the bytes can still be read, but are lost in a crash.
    SyncData,
    /// Renaming: it is not done.
    Rename,
    /// Removing: it is not done.
    Remove,
    /// Syncing names: they stay unsynced.
    SyncDir,
}

#[derive(Debug)]
enum FaultDecision {
    Go,
    Fail(io::ErrorKind),
    /// The machine stops in the middle: the operation is done, but not synced, and the caller gets no answer.
    Crash,
}

#[derive(Debug, Default)]
struct Machine {
    folder: FolderImage,
    /// Operations so far, by kind.
    counts: BTreeMap<StorageOperation, u64>,
    /// The number of the operation, counted over all kinds, at which the machine stops.
    crash_at: Option<u64>,
    faults: Vec<(StorageOperation, u64, io::ErrorKind)>,
    /// Faults that occurred.
    failed: Vec<StorageOperation>,
    crashed: bool,
    /// Whether it reports syncs that it has not done.
    lies: bool,
    /// The capacity that it reports; none: unlimited.
    capacity: Option<u64>,
    /// The error that is returned for moves that were done.
    moves_refused: Option<io::ErrorKind>,
    /// The error that every read returns now.
    looks_refused: Option<io::ErrorKind>,
    /// Reads by folder.
    looks: BTreeMap<&'static str, u64>,
}

impl Machine {
    fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    fn running(&self) -> io::Result<()> {
        if self.crashed { Err(io::Error::other("the machine has crashed")) } else { Ok(()) }
    }

    fn begin(&mut self, operation: StorageOperation) -> io::Result<FaultDecision> {
        self.running()?;
        let place = self.total();
        let count = self.counts.entry(operation).or_default();
        let fault = self.faults.iter().find(|(kind, at, _)| *kind == operation && at == count).map(|fault| fault.2);
        *count = count.saturating_add(1);
        if self.crash_at == Some(place) {
            self.crashed = true;
            return Ok(FaultDecision::Crash);
        }
        self.failed.extend(fault.map(|_| operation));
        Ok(fault.map_or(FaultDecision::Go, FaultDecision::Fail))
    }

    /// Runs an operation that is done wholly or not at all.
    fn whole(
        &mut self,
        operation: StorageOperation,
        run: impl FnOnce(&mut FolderImage) -> io::Result<()>,
    ) -> io::Result<()> {
        match self.begin(operation)? {
            FaultDecision::Go => run(&mut self.folder),
            FaultDecision::Fail(kind) => Err(failed(kind)),
            FaultDecision::Crash => {
                run(&mut self.folder)?;
                self.running()
            }
        }
    }
}

fn failed(kind: io::ErrorKind) -> io::Error {
    io::Error::new(kind, "set to fail")
}

/// The simulated disk. Clones share the machine.
#[derive(Debug, Clone, Default)]
pub struct SimulatedStorage {
    machine: Arc<Mutex<Machine>>,
    /// Prefix of this folder's files in the machine: nothing, or the folder's name and a slash.
    folder: &'static str,
}

impl SimulatedStorage {
    /// An empty folder on a disk without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A folder with these files, all of them durable.
    #[must_use]
    pub fn with_files(files: BTreeMap<String, Vec<u8>>) -> Self {
        let machine = Machine { folder: FolderImage::durable(files), ..Machine::default() };
        Self { machine: Arc::new(Mutex::new(machine)), folder: "" }
    }

    /// Another folder on the same machine and disk: a crash stops both, and files can be moved between them. Its name
    /// ends with a slash, and prefixes its files' names where the machine lists all files. After [`Self::reopen`] and
    /// [`Self::reboot`] it must be opened again.
    #[must_use]
    pub fn beside(&self, folder: &'static str) -> Self {
        Self { machine: Arc::clone(&self.machine), folder }
    }

    fn within(&self, name: &str) -> String {
        format!("{}{name}", self.folder)
    }

    /// Lists, lengths and reads of this folder so far.
    #[must_use]
    pub fn looks(&self) -> u64 {
        self.machine.lock().looks.get(self.folder).copied().unwrap_or(0)
    }

    /// From now on the disk reports this capacity. It accepts more nevertheless.
    pub fn limit(&self, capacity: u64) {
        self.machine.lock().capacity = Some(capacity);
    }

    fn look(&self) -> io::Result<MutexGuard<'_, Machine>> {
        let mut machine = self.machine.lock();
        machine.running()?;
        let looks = machine.looks.entry(self.folder).or_default();
        *looks = looks.saturating_add(1);
        machine.looks_refused.map_or(Ok(()), |kind| Err(failed(kind)))?;
        Ok(machine)
    }

    /// All files as they are read now.
    #[must_use]
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let contents = self.machine.lock().folder.contents();
        let ours = |(name, bytes): (String, _)| image::within(self.folder, &name).map(|name| (name.to_owned(), bytes));
        contents.into_iter().filter_map(ours).collect()
    }

    /// Changing operations so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.machine.lock().total()
    }

    /// Operations of one kind so far.
    #[must_use]
    pub fn count(&self, operation: StorageOperation) -> u64 {
        self.machine.lock().counts.get(&operation).copied().unwrap_or(0)
    }

    /// Makes the `place`-th operation of a kind fail once, counted from the machine's start with 0.
    pub fn fail_at(&self, operation: StorageOperation, place: u64, kind: io::ErrorKind) {
        self.machine.lock().faults.push((operation, place, kind));
    }

    /// Stops the machine in the middle of the `place`-th changing operation, counted with 0: it and all after it fail.
    pub fn crash_at(&self, place: u64) {
        self.machine.lock().crash_at = Some(place);
    }

    /// Stops the machine now.
    pub fn crash(&self) {
        self.machine.lock().crashed = true;
    }

    /// Whether the machine has stopped.
    #[must_use]
    pub fn crashed(&self) -> bool {
        self.machine.lock().crashed
    }

    /// Operations that failed as planned, in order.
    #[must_use]
    pub fn failures(&self) -> Vec<StorageOperation> {
        self.machine.lock().failed.clone()
    }

    /// From now on syncs report success without having an effect.
    pub fn lie(&self) {
        self.machine.lock().lies = true;
    }

    /// The disk as a new process on the same machine finds it: everything written, synced or not; what was not synced
    /// is still at risk. Faults that did not occur yet are dropped. This instance behaves as crashed afterwards.
    #[must_use]
    pub fn reopen(&self) -> Self {
        let mut machine = self.machine.lock();
        machine.crashed = true;
        let (folder, lies) = (std::mem::take(&mut machine.folder), machine.lies);
        let machine = Machine { folder, lies, ..Machine::default() };
        Self { machine: Arc::new(Mutex::new(machine)), folder: self.folder }
    }

    /// The disk as it is after the machine has crashed and rebooted. The same seed gives the same result.
    #[must_use]
    pub fn reboot(&self, seed: u64) -> Self {
        let survivors = self.machine.lock().folder.survivors(&mut Seed::new(seed));
        Self { folder: self.folder, ..Self::with_files(survivors) }
    }
}

impl Storage for SimulatedStorage {
    fn list(&self) -> io::Result<Vec<String>> {
        let names = self.look()?.folder.names();
        Ok(names.iter().filter_map(|name| image::within(self.folder, name)).map(str::to_owned).collect())
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        let machine = self.look()?;
        Ok(u64::try_from(machine.folder.bytes(&self.within(name))?.len()).unwrap_or(u64::MAX))
    }

    fn read_at(&self, name: &str, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let machine = self.look()?;
        let bytes = machine.folder.bytes(&self.within(name))?;
        let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
        Ok(Box::new(Cursor::new(bytes.get(skipped..).unwrap_or_default().to_vec())))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let mut number = FileNo::default();
        self.machine.lock().whole(StorageOperation::Create, |folder| {
            number = folder.create(&self.within(name))?;
            Ok(())
        })?;
        Ok(Box::new(SimulatedFile { machine: Arc::clone(&self.machine), number }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.move_to(from, self, to)
    }

    fn move_to(&self, name: &str, into: &(dyn Storage + 'static), new: &str) -> io::Result<()> {
        let into: &dyn Any = into;
        let Some(into) = into.downcast_ref::<Self>().filter(|into| Arc::ptr_eq(&self.machine, &into.machine)) else {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "the other folder is on another machine"));
        };
        let (from, to) = (self.within(name), into.within(new));
        let mut machine = self.machine.lock();
        machine.whole(StorageOperation::Rename, |folder| folder.rename(&from, &to))?;
        machine.moves_refused.filter(|_| self.folder != into.folder).map_or(Ok(()), |kind| Err(failed(kind)))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.machine.lock().whole(StorageOperation::Remove, |folder| folder.remove(&self.within(name)))
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut machine = self.machine.lock();
        match machine.begin(StorageOperation::SyncDir)? {
            FaultDecision::Go => {
                if !machine.lies {
                    machine.folder.sync(self.folder);
                }
                Ok(())
            }
            FaultDecision::Fail(kind) => Err(failed(kind)),
            FaultDecision::Crash => machine.running(),
        }
    }

    fn still_names(&self, name: &str, file: FileId) -> io::Result<()> {
        let machine = self.machine.lock();
        machine.running()?;
        if machine.folder.number(&self.within(name)).ok().map(FileNo::id) == Some(file) {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::NotFound, format!("{name} was removed, renamed or replaced")))
    }

    fn make_again(&self) -> io::Result<bool> {
        self.machine.lock().running().map(|()| false)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let machine = self.machine.lock();
        machine.running()?;
        Ok(machine.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(machine.folder.total())))
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
        let verdict = machine.begin(StorageOperation::Append)?;
        let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
        let file = machine.folder.file(self.number)?;
        match verdict {
            FaultDecision::Go => {
                file.append(bytes);
                Ok(())
            }
            FaultDecision::Fail(kind) => {
                file.append(half);
                Err(failed(kind))
            }
            FaultDecision::Crash => {
                file.append(bytes);
                machine.running()
            }
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut machine = self.machine.lock();
        let verdict = machine.begin(StorageOperation::SyncData)?;
        let lies = machine.lies;
        let file = machine.folder.file(self.number)?;
        match verdict {
            FaultDecision::Go if lies => Ok(()),
            FaultDecision::Go => {
                file.sync();
                Ok(())
            }
            FaultDecision::Fail(kind) => {
                file.lose();
                Err(failed(kind))
            }
            FaultDecision::Crash => machine.running(),
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
    fn a_file_that_is_moved_is_in_one_of_the_folders_or_in_both_whichever_was_synced() {
        for synced in [&[][..], &["kept/"], &["kept/", ""], &[""]] {
            let storage = SimulatedStorage::new();
            let kept = storage.beside("kept/");
            storage.create("a").expect("creates").sync_data().expect("syncs");
            storage.sync_dir().expect("syncs");
            storage.move_to("a", &kept, "b").expect("moves");
            assert_eq!((storage.list().expect("lists").len(), kept.list().expect("lists")), (0, vec!["b".to_owned()]));
            for folder in synced.iter().copied() {
                storage.beside(folder).sync_dir().expect("syncs");
            }
            let found = |seed| {
                let storage = storage.reboot(seed);
                (storage.list().expect("lists").len(), storage.beside("kept/").list().expect("lists").len())
            };
            let mut found: Vec<_> = (0..32).map(found).collect();
            found.sort_unstable();
            found.dedup();
            let expected: &[_] = match synced {
                [] => &[(0, 1), (1, 0)],
                ["kept/"] => &[(0, 1), (1, 1)],
                _ => &[(0, 1)],
            };
            assert_eq!(found, expected, "{synced:?}");
        }
    }

    #[test]
    fn after_a_failed_sync_the_bytes_are_readable_but_do_not_survive() {
        let storage = SimulatedStorage::new();
        let file = storage.create("a").expect("creates");
        storage.sync_dir().expect("syncs");
        storage.fail_at(StorageOperation::SyncData, 0, io::ErrorKind::Other);
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
        storage.fail_at(StorageOperation::Create, 1, io::ErrorKind::Other);
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
        storage.fail_at(StorageOperation::Append, 0, io::ErrorKind::StorageFull);
        let file = storage.create("a").expect("creates");
        assert_eq!(file.append(b"1234").expect_err("full").kind(), io::ErrorKind::StorageFull);
        file.append(b"5").expect("works again");
        assert_eq!(storage.read("a").expect("reads"), b"125");
        assert_eq!(storage.failures(), [StorageOperation::Append]);
        assert_eq!((storage.count(StorageOperation::Append), storage.operations()), (2, 3));
    }
}
