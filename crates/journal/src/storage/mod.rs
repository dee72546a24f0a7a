//! Storage: the only access to the disk. A flat folder of files that are created once, appended to, renamed and
//! removed.
//!
//! This module does not know what the files mean, and does not buffer. When `append` returns, the operating system has
//! the bytes; they are on the disk only once `sync_data` has returned, and the file's name only once `sync_dir` has.

mod disk;
mod file_id;
mod lock;
mod rights;
mod secret;
pub mod simulated;
mod spares;

use std::any::Any;
use std::fmt;
use std::io::{self, Read};

pub use disk::DiskStorage;
pub use file_id::FileId;
pub use lock::{FolderLock, LOCK_FILE, LockError};
pub use rights::{make_folder_private, make_private};
pub use secret::{SecretError, read_secret};
pub use simulated::SimulatedStorage;

/// A flat folder of files. Names are plain file names, never paths.
pub trait Storage: Any + Send + Sync + fmt::Debug {
    /// Names of all files, in ascending order. Folders inside are not listed.
    ///
    /// # Errors
    /// When the folder can't be read.
    fn list(&self) -> io::Result<Vec<String>>;

    /// The size of a file in bytes.
    ///
    /// # Errors
    /// `NotFound`, or when it can't be read.
    fn length(&self, name: &str) -> io::Result<u64>;

    /// Reads a file's bytes from `offset` to its end as a stream: a file is never in memory as a whole.
    ///
    /// # Errors
    /// `NotFound`, or when it can't be opened.
    fn read_at(&self, name: &str, offset: u64) -> io::Result<Box<dyn Read + Send>>;

    /// Creates a new, empty file.
    ///
    /// # Errors
    /// `AlreadyExists` when there is one of that name, or when it can't be created.
    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>>;

    /// Renames a file, atomically replacing any file of that name. Open files stay usable.
    ///
    /// # Errors
    /// `NotFound`, or when it can't be renamed.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Moves a file into another folder of the same file system, atomically replacing any file of the new name there.
    /// Open files stay usable. Both folders must be synced afterwards, `into` first: then the file is in one of the
    /// two, or in both, whenever the machine stops.
    ///
    /// # Errors
    /// `NotFound`; `Unsupported` when the folders are of different kinds; otherwise when it can't be moved, or when it
    /// was moved but its old name can't be removed: the caller must check where it is.
    fn move_to(&self, name: &str, into: &(dyn Storage + 'static), new: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// `NotFound`, or when it can't be removed.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Syncs all names created, changed and removed so far to the disk.
    ///
    /// # Errors
    /// When the disk returns an error. What has reached it is then unknown, and a retry proves nothing. `NotFound` when
    /// the path no longer names this folder.
    fn sync_dir(&self) -> io::Result<()>;

    /// Checks that a name still names a file that was created here and is open. An open file can be written and synced
    /// long after it, or its folder, was removed, and is then lost.
    ///
    /// # Errors
    /// `NotFound` when the name is missing or names another file; otherwise when that can't be checked. With the file's
    /// path.
    fn still_names(&self, name: &str, file: FileId) -> io::Result<()>;

    /// Creates the folder again, empty, if its path no longer names it. For data that can be rewritten from memory.
    /// Returns whether it did. Parent folders are not created.
    ///
    /// # Errors
    /// When it can't be created or opened.
    fn make_again(&self) -> io::Result<bool>;

    /// Bytes that may still be written.
    ///
    /// # Errors
    /// When the file system returns an error.
    fn free_bytes(&self) -> io::Result<u64>;

    /// Reads a whole file. For small files: others are read with [`Storage::read_at`].
    ///
    /// # Errors
    /// As [`Storage::read_at`].
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read_at(name, 0)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// A file that was created and is being written. Dropping it closes it without a sync.
pub trait StorageFile: Send + Sync + fmt::Debug {
    /// Its identity, whatever its name.
    fn id(&self) -> FileId;

    /// Appends all of `bytes`. Must not be called by two threads at once: their bytes would mix.
    ///
    /// # Errors
    /// When the bytes can't be written; some of them may have been.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;

    /// Syncs the bytes appended so far to the disk.
    ///
    /// # Errors
    /// When the disk returns an error. The bytes may be lost although they can still be read: the operating system may
    /// have dropped them and marked them as clean, so a retry proves nothing.
    fn sync_data(&self) -> io::Result<()>;
}
