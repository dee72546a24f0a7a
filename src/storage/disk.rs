//! The real disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::{Storage, StorageFile};

/// A folder of the file system.
#[derive(Debug)]
pub struct DiskStorage {
    path: PathBuf,
    /// The folder itself, for syncing it: held open, so that a sync can't be refused for want of a descriptor.
    folder: File,
}

impl DiskStorage {
    /// Opens a folder; makes it, and those above it, when it is not there.
    ///
    /// # Errors
    /// When it can't be made or opened, or is not a folder.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        create_synced(path.as_ref())?;
        Self::existing(path)
    }

    /// Opens a folder that is there; makes nothing.
    ///
    /// # Errors
    /// When it is not there, can't be opened, or is not a folder.
    pub fn existing(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref().to_path_buf();
        let folder = File::open(&path)?;
        if !folder.metadata()?.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, "is not a folder"));
        }
        Ok(Self { path, folder })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes a folder and those above it, each one's name forced to the disk: else a crash could take the folder away
/// with all that was synced in it.
fn create_synced(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        create_synced(parent)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

impl Storage for DiskStorage {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                // A name that is not UTF-8 is none of ours; told as well as it can be, so that it can be complained of.
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        Ok(fs::metadata(self.path.join(name))?.len())
    }

    fn read_at(&self, name: &str, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let mut file = File::open(self.path.join(name))?;
        if offset > 0 {
            file.seek(SeekFrom::Start(offset))?;
        }
        Ok(Box::new(file))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let file = OpenOptions::new().append(true).create_new(true).open(self.path.join(name))?;
        Ok(Box::new(DiskFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.folder.sync_all()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let told = rustix::fs::fstatvfs(&self.folder)?;
        Ok(told.f_bavail.saturating_mul(told.f_frsize))
    }
}

#[derive(Debug)]
struct DiskFile(File);

impl StorageFile for DiskFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.0).write_all(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
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
    fn folders_inside_are_not_listed_and_a_file_is_no_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let storage = DiskStorage::open(folder.path()).expect("opens");
        fs::create_dir(folder.path().join("inner")).expect("makes");
        drop(storage.create("file").expect("creates"));
        assert_eq!(storage.list().expect("lists"), ["file"]);
        assert!(DiskStorage::open(folder.path().join("file")).is_err());
    }
}
