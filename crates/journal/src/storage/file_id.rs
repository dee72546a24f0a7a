//! The identity of a file or folder, whatever its name: to check that a path still names what was opened.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::io::Errno;

/// A file's or folder's device and inode numbers. No other can have them while it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// From these two numbers.
    #[must_use]
    pub const fn new(device: u64, inode: u64) -> Self {
        Self { device, inode }
    }

    /// Of an open file or folder.
    ///
    /// # Errors
    /// When its metadata can't be read.
    pub fn of_file(file: &File) -> io::Result<Self> {
        file.metadata().map(|metadata| Self::of(&metadata))
    }

    /// Of what a path names now; symbolic links are followed.
    ///
    /// # Errors
    /// `NotFound` when it names nothing, or when its metadata can't be read.
    pub fn of_path(path: &Path) -> io::Result<Self> {
        std::fs::metadata(path).map(|metadata| Self::of(&metadata))
    }

    /// Whether a path names this. No, if it names nothing or something else, or can't be resolved.
    ///
    /// # Errors
    /// When its metadata can't be read; what the path names is then unknown.
    pub fn is_at(self, path: &Path) -> io::Result<bool> {
        const NOWHERE: [Errno; 4] = [Errno::NOENT, Errno::NOTDIR, Errno::LOOP, Errno::STALE];
        match Self::of_path(path) {
            Ok(found) => Ok(found == self),
            Err(error) if Errno::from_io_error(&error).is_some_and(|errno| NOWHERE.contains(&errno)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn of(metadata: &Metadata) -> Self {
        Self::new(metadata.dev(), metadata.ino())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_what_was_opened_until_something_else_has_its_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        let file = File::create(&path).expect("a file");
        let id = FileId::of_file(&file).expect("open");
        assert_eq!(FileId::of_path(&path).expect("there"), id);
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(FileId::of_path(&path).expect_err("gone").kind(), io::ErrorKind::NotFound);
        std::fs::write(&path, "").expect("another");
        assert_ne!(FileId::of_path(&path).expect("there"), id);
    }

    #[test]
    fn a_path_that_can_not_be_looked_at_says_nothing_and_one_that_leads_nowhere_says_no() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        let id = FileId::of_file(&File::create(&path).expect("a file")).expect("open");
        assert!(id.is_at(&path).expect("looked at"));
        for elsewhere in ["b", "a/b"] {
            assert!(!id.is_at(&folder.path().join(elsewhere)).expect("looked at"), "{elsewhere}");
        }
        let circle = folder.path().join("circle");
        std::os::unix::fs::symlink(&circle, &circle).expect("a link to itself");
        assert!(!id.is_at(&circle).expect("looked at"));
        id.is_at(&folder.path().join("x".repeat(300))).expect_err("too long a name");
    }
}
