//! Storage: the only door to the disk. A flat folder of files that are made once, appended to, renamed and removed.
//!
//! Nothing here knows what the files mean. Nothing is buffered: what `append` was given is with the operating system
//! when it returns, and on the disk only once `sync_data` has returned, its name only once `sync_folder` has.

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
    /// Names of all files, in ascending order. Folders inside are not told.
    ///
    /// # Errors
    /// When the folder can't be read.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Bytes in a file.
    ///
    /// # Errors
    /// `NotFound`, or when it can't be looked at.
    fn length(&self, name: &str) -> io::Result<u64>;

    /// Reads a file's bytes from `offset` to its end, as they come: a file need never be in memory as a whole.
    ///
    /// # Errors
    /// `NotFound`, or when it can't be opened.
    fn read_at(&self, name: &str, offset: u64) -> io::Result<Box<dyn Read + Send>>;

    /// Makes a new, empty file.
    ///
    /// # Errors
    /// `AlreadyExists` when there is one of that name, or when it can't be made.
    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>>;

    /// Gives a file another name; a file that had it is replaced, at one instant. Open files stay usable.
    ///
    /// # Errors
    /// `NotFound`, or when it can't be renamed.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Moves a file into another folder of the same file system, at one instant; a file there that had the new name is
    /// replaced. Open files stay usable. Both folders are to be synced afterwards, `into` first: then the file is in one
    /// of the two, or in both, whenever the machine stops.
    ///
    /// # Errors
    /// `NotFound`; `Unsupported` when the two are no folders of one kind; else when it can't be moved, or when it was and
    /// its old name can't be taken away: the caller looks where it is.
    fn move_to(&self, name: &str, into: &(dyn Storage + 'static), new: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// `NotFound`, or when it can't be removed.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Forces names made, changed and removed so far to the disk.
    ///
    /// # Errors
    /// When the disk refuses. What has reached it is then unknown; trying again proves nothing. `NotFound` when this is
    /// no longer the folder that its path names.
    fn sync_dir(&self) -> io::Result<()>;

    /// Proves that a name still names a file that was made here and is open: an open file can be written and forced to
    /// the disk long after somebody has removed it, or the folder that it is in, and is found by nobody then.
    ///
    /// # Errors
    /// `NotFound` when the name names nothing or another file; else when it can't be looked at. With the file's path.
    fn still_names(&self, name: &str, file: FileId) -> io::Result<()>;

    /// Makes the folder itself again where it is no longer what its path names, empty. For what can be written anew from
    /// memory. Says whether it did. The folder that it is in is never made.
    ///
    /// # Errors
    /// When it can't be made or opened.
    fn make_again(&self) -> io::Result<bool>;

    /// Bytes that may still be written.
    ///
    /// # Errors
    /// When the file system can't be asked.
    fn free_bytes(&self) -> io::Result<u64>;

    /// A whole file. For small ones: those that may be large are read with [`Storage::read_at`].
    ///
    /// # Errors
    /// As [`Storage::read_at`].
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read_at(name, 0)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// A file that was just made and is being written. Closed when dropped; dropping forces nothing to the disk.
pub trait StorageFile: Send + Sync + fmt::Debug {
    /// Which file it is, whatever its name.
    fn id(&self) -> FileId;

    /// Writes all of `bytes` at the end. Not to be called by two threads at once: their bytes would mix.
    ///
    /// # Errors
    /// When the bytes can't be taken; some of them may have been.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;

    /// Forces the bytes appended so far to the disk.
    ///
    /// # Errors
    /// When the disk refuses. The bytes may be lost although they can still be read: the operating system may have
    /// dropped them and forgotten that it did, so a second try proves nothing.
    fn sync_data(&self) -> io::Result<()>;
}
