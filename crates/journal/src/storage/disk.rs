//! The real disk.

use std::any::Any;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::rights::{PRIVATE_FILE, PRIVATE_FOLDER};
use super::spares::Spares;
use super::{FileId, Storage, StorageFile};

/// Mode of parent folders that are created, before the process's umask.
const USUAL_FOLDER: u32 = 0o777;

/// A folder of the file system.
#[derive(Debug)]
pub struct DiskStorage {
    path: PathBuf,
    folder: Mutex<Arc<OpenFolder>>,
    spares: Spares,
}

/// The folder itself, for syncing. It is kept open, so that a sync can't fail for want of a descriptor.
#[derive(Debug)]
struct OpenFolder {
    file: File,
    id: FileId,
}

impl OpenFolder {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        if !file.metadata()?.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, "is not a folder"));
        }
        let id = FileId::of_file(&file)?;
        Ok(Self { file, id })
    }
}

impl DiskStorage {
    /// Opens a folder. Creates it, for its owner alone, and its parents, if it does not exist.
    ///
    /// # Errors
    /// When it can't be created or opened, or is not a folder.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        if !path.as_os_str().is_empty() && !path.is_dir() {
            path.parent().map_or(Ok(()), create_synced)?;
            make_synced(path, PRIVATE_FOLDER)?;
        }
        Self::existing(path)
    }

    /// Opens an existing folder; creates nothing.
    ///
    /// # Errors
    /// When it does not exist, can't be opened, or is not a folder.
    pub fn existing(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref().to_path_buf();
        let folder = OpenFolder::open(&path)?;
        let spares = Spares::default();
        spares.fill(&folder.file);
        Ok(Self { path, folder: Mutex::new(Arc::new(folder)), spares })
    }

    /// Without reserved descriptors: for a folder that the server can do without.
    #[must_use]
    pub fn without_spares(self) -> Self {
        Self { spares: Spares::none(), ..self }
    }

    fn folder(&self) -> Arc<OpenFolder> {
        Arc::clone(&self.folder.lock())
    }

    fn open_with_spares<T>(&self, open: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        self.spares.fill(&self.folder().file);
        self.spares.open(open)
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Creates a folder and its parents, and syncs each one's name: otherwise a crash could remove the folder with
/// everything synced in it.
fn create_synced(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        create_synced(parent)?;
    }
    make_synced(path, USUAL_FOLDER)
}

/// Creates a folder in an existing one, unless it exists already.
fn make_synced(path: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

impl Storage for DiskStorage {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in self.open_with_spares(|| fs::read_dir(&self.path))? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                // A name that is not UTF-8 is foreign; it is listed in a lossy form, so that it can be reported.
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort_unstable();
        // A spare given up for this is taken again before another thread can take it.
        self.spares.fill(&self.folder().file);
        Ok(names)
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        Ok(fs::metadata(self.path.join(name))?.len())
    }

    fn read_at(&self, name: &str, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let path = self.path.join(name);
        let mut file = self.open_with_spares(|| File::open(&path))?;
        if offset > 0 {
            file.seek(SeekFrom::Start(offset))?;
        }
        Ok(Box::new(file))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let path = self.path.join(name);
        let mut making = OpenOptions::new();
        making.append(true).create_new(true).mode(PRIVATE_FILE);
        let file = self.open_with_spares(|| making.open(&path))?;
        let id = FileId::of_file(&file)?;
        Ok(Box::new(DiskFile { file, id }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn move_to(&self, name: &str, into: &(dyn Storage + 'static), new: &str) -> io::Result<()> {
        let into: &dyn Any = into;
        let Some(into) = into.downcast_ref::<Self>() else {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "the other folder is not on a disk"));
        };
        let (from, to) = (self.path.join(name), into.path.join(new));
        fs::rename(&from, &to)?;
        // If both were names of one file, which a crash may leave, `rename` has done nothing and reported success.
        match fs::remove_file(&from) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        // Syncing a removed or renamed folder succeeds, so it is checked first.
        let folder = self.folder();
        names(&self.path, folder.id)?;
        folder.file.sync_all()
    }

    fn still_names(&self, name: &str, file: FileId) -> io::Result<()> {
        names(&self.path.join(name), file)
    }

    fn make_again(&self) -> io::Result<bool> {
        if names(&self.path, self.folder().id).is_ok() {
            return Ok(false);
        }
        self.open_with_spares(|| make_synced(&self.path, PRIVATE_FOLDER))?;
        *self.folder.lock() = Arc::new(self.open_with_spares(|| OpenFolder::open(&self.path))?);
        Ok(true)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let space = rustix::fs::fstatvfs(&self.folder().file)?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }
}

/// Checks that a path names what is open.
fn names(path: &Path, opened: FileId) -> io::Result<()> {
    match opened.is_at(path) {
        Ok(true) => Ok(()),
        Ok(false) => Err(taken_away(path)),
        Err(error) => Err(io::Error::new(error.kind(), format!("{} can't be checked: {error}", path.display()))),
    }
}

fn taken_away(path: &Path) -> io::Error {
    let what = format!("{}, or a folder above it, was removed, renamed, replaced or unmounted", path.display());
    io::Error::new(io::ErrorKind::NotFound, what)
}

#[derive(Debug)]
struct DiskFile {
    file: File,
    id: FileId,
}

impl StorageFile for DiskFile {
    fn id(&self) -> FileId {
        self.id
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.file).write_all(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_made_once_appended_renamed_and_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let storage = DiskStorage::open(folder.path().join("a/b")).expect("opens");
        let file = storage.create("one").expect("creates");
        assert_eq!(storage.create("one").expect_err("exists").kind(), io::ErrorKind::AlreadyExists);
        file.append(b"hello ").expect("writes");
        storage.rename("one", "two").expect("renames");
        file.append(b"world").expect("an open file survives its renaming");
        file.sync_data().expect("syncs");
        storage.sync_dir().expect("syncs");
        assert_eq!(storage.list().expect("lists"), ["two"]);
        assert_eq!(storage.read("two").expect("reads"), b"hello world");
        assert_eq!(storage.length("two").expect("looks"), 11);
        let mut tail = String::new();
        storage.read_at("two", 6).expect("opens").read_to_string(&mut tail).expect("reads");
        assert_eq!(tail, "world");
        storage.remove("two").expect("removes");
        assert_eq!(storage.read("two").expect_err("gone").kind(), io::ErrorKind::NotFound);
        assert!(storage.free_bytes().expect("asks") > 0);
    }

    #[test]
    fn a_file_is_moved_into_another_folder_whatever_a_crash_has_left_there() {
        let above = tempfile::tempdir().expect("a folder");
        let here = DiskStorage::open(above.path().join("here")).expect("opens");
        let there = DiskStorage::open(above.path().join("there")).expect("opens");
        let file = here.create("one").expect("creates");
        file.append(b"moved").expect("writes");
        let mut open = here.read_at("one", 0).expect("opens");
        fs::hard_link(above.path().join("here/one"), above.path().join("there/two")).expect("one file, two names");
        here.move_to("one", &there, "two").expect("moves");
        assert_eq!((here.list().expect("lists").len(), there.read("two").expect("reads")), (0, b"moved".to_vec()));
        let mut read = String::new();
        open.read_to_string(&mut read).expect("reads");
        assert_eq!(read, "moved", "who had it open reads on");
        assert_eq!(here.move_to("one", &there, "two").expect_err("gone").kind(), io::ErrorKind::NotFound);
        let memory = crate::storage::SimulatedStorage::new();
        assert_eq!(there.move_to("two", &memory, "two").expect_err("no disk").kind(), io::ErrorKind::Unsupported);
    }

    #[test]
    fn a_file_that_was_taken_away_is_seen_though_it_can_still_be_written() {
        let above = tempfile::tempdir().expect("a folder");
        let (path, moved) = (above.path().join("folder"), above.path().join("moved"));
        let storage = DiskStorage::open(&path).expect("opens");
        let file = storage.create("one").expect("creates");
        storage.still_names("one", file.id()).expect("there");
        fs::rename(path.join("one"), path.join("two")).expect("renames");
        fs::write(path.join("one"), "").expect("another of that name");
        let gone = storage.still_names("one", file.id()).expect_err("another");
        assert!(gone.to_string().starts_with(&path.join("one").display().to_string()), "{gone}");
        storage.still_names("two", file.id()).expect("that is it");
        fs::rename(&path, &moved).expect("renames");
        assert!(storage.still_names("two", file.id()).is_err() && storage.sync_dir().is_err());
        fs::create_dir(&path).expect("another folder of that name");
        assert!(storage.still_names("two", file.id()).is_err() && storage.sync_dir().is_err());
        file.append(b"to nobody").expect("the open file takes it");
        file.sync_data().expect("and the disk too");
        fs::remove_dir(&path).expect("removed");
        fs::rename(&moved, &path).expect("back again");
        storage.still_names("two", file.id()).expect("there");
        storage.sync_dir().expect("there");
    }

    #[test]
    fn a_folder_that_is_gone_is_made_again_where_the_one_above_it_is_there() {
        let above = tempfile::tempdir().expect("a folder");
        let storage = DiskStorage::open(above.path().join("data/snapshots")).expect("opens");
        assert!(!storage.make_again().expect("there"));
        fs::remove_dir(storage.path()).expect("removed");
        assert!(storage.sync_dir().is_err());
        assert!(storage.make_again().expect("made"));
        drop(storage.create("one").expect("creates"));
        storage.sync_dir().expect("syncs");
        fs::remove_dir_all(above.path().join("data")).expect("removed");
        assert!(storage.make_again().is_err() && !above.path().join("data").exists());
    }

    #[test]
    fn folders_inside_are_not_listed_and_a_file_is_no_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let storage = DiskStorage::open(folder.path()).expect("opens");
        fs::create_dir(folder.path().join("inner")).expect("makes");
        drop(storage.create("file").expect("creates"));
        assert_eq!(storage.list().expect("lists"), ["file"]);
        assert!(DiskStorage::open(folder.path().join("file")).is_err());
    }
}
