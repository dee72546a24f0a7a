//! One process per folder: advisory locks, which end with the process, however it ends.
//!
//! The folder itself is locked, through its own descriptor: it can't be missing, has no name inside that somebody could
//! take for stale, and is the same under every path. The file [`LOCK_FILE`] is locked too: it excludes builds that lock
//! only that, and it names the holder. On file systems that can't lock folders, as some network file systems, that file
//! and a second one ([`FolderLock::also`]) replace the folder's lock.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::FileId;
use super::rights::PRIVATE_FILE;

/// Name of the file that is locked in addition to the folder. It stays when the lock ends; only the lock counts.
pub const LOCK_FILE: &str = "LOCK";
/// Most bytes read of the lock file: a process id is shorter.
const NOTE_MAX: u64 = 32;
/// How often to try a held lock: [`FolderLock::holder`] holds one briefly.
const TRIES: usize = 5;
/// The pause between two tries.
const TRY_EVERY: Duration = Duration::from_millis(20);

/// Why a folder could not be locked, or no longer is.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has locked it.
    #[error("{folder} is in use by {holder}: stop it first, or use another folder")]
    Held {
        /// Which folder.
        folder: PathBuf,
        /// The holder, as the lock file names it.
        holder: String,
    },
    /// The path no longer names the locked folder.
    #[error("{folder} is no longer the folder that was locked: it was removed, renamed, replaced or unmounted")]
    Gone {
        /// Which folder.
        folder: PathBuf,
    },
    /// The folder or its lock file can't be opened or locked.
    #[error("{folder} can't be locked")]
    Io {
        /// Which folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A folder that only this process uses. Unlocked when dropped.
#[derive(Debug)]
pub struct FolderLock {
    path: PathBuf,
    /// Open while the lock is held, and locked if the file system can lock folders.
    folder: File,
    /// Whether `folder` is locked.
    locked: bool,
    /// The lock file. Created again if it was removed.
    note: Mutex<File>,
    /// The file that is locked if the folder can't be.
    stand_in: Option<File>,
}

impl FolderLock {
    /// Locks an existing folder. Waits about 100 ms at most, for processes that only check it.
    ///
    /// # Errors
    /// [`LockError::Held`] when another process has locked it, [`LockError::Io`] when it can't be locked at all.
    pub fn take(folder: impl AsRef<Path>) -> Result<Self, LockError> {
        let path = folder.as_ref().to_path_buf();
        let io = |source| LockError::Io { folder: path.clone(), source };
        let opened = File::open(&path).map_err(io)?;
        let locked = match lock(&opened).map_err(io)? {
            Locked::Ours => true,
            Locked::Unsupported => false,
            Locked::Others => return Err(held(&path)),
        };
        let note = take_note(&path)?;
        Ok(Self { path, folder: opened, locked, note: Mutex::new(note), stand_in: None })
    }

    /// If the file system can't lock the folder itself, also locks a file in it, which must be one that the folder
    /// can't be used without.
    ///
    /// # Errors
    /// As [`FolderLock::take`].
    pub fn also(&mut self, name: &str) -> Result<(), LockError> {
        if self.locked {
            return Ok(());
        }
        let io = |source| LockError::Io { folder: self.path.clone(), source };
        // Opened for writing, because network file systems grant an exclusive lock only then. Nothing is written.
        let file = OpenOptions::new().read(true).write(true).open(self.path.join(name)).map_err(io)?;
        match lock(&file).map_err(io)? {
            Locked::Ours | Locked::Unsupported => {}
            Locked::Others => return Err(held(&self.path)),
        }
        self.stand_in = Some(file);
        Ok(())
    }

    /// Checks that the path still names the locked folder and that the lock file is in place. A lock file that was
    /// removed is created and locked again.
    ///
    /// # Errors
    /// [`LockError::Gone`] and [`LockError::Held`]: this process must not go on. [`LockError::Io`]: the lock file could
    /// not be created again; the folder itself is still locked.
    pub fn keep(&self) -> Result<(), LockError> {
        let io = |source| LockError::Io { folder: self.path.clone(), source };
        if !is_at(&self.folder, &self.path).map_err(io)? {
            return Err(LockError::Gone { folder: self.path.clone() });
        }
        let mut note = self.note.lock();
        if !is_at(&note, &self.path.join(LOCK_FILE)).map_err(io)? {
            *note = take_note(&self.path)?;
        }
        Ok(())
    }

    /// The process that has locked a folder, if any. Writes nothing; takes a shared lock for an instant.
    ///
    /// # Errors
    /// [`LockError::Io`] when that can't be determined.
    pub fn holder(folder: impl AsRef<Path>) -> Result<Option<String>, LockError> {
        let folder = folder.as_ref();
        let io = |source| LockError::Io { folder: folder.to_path_buf(), source };
        for path in [folder.to_path_buf(), folder.join(LOCK_FILE)] {
            let file = match File::open(path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(io(error)),
            };
            match flock(&file, FlockOperation::NonBlockingLockShared) {
                Err(Errno::WOULDBLOCK) => return Ok(Some(noted(folder))),
                Err(error) if !is_unsupported(error) => return Err(io(error.into())),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(None)
    }
}

/// The result of locking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Locked {
    Ours,
    Others,
    /// The file system can't lock this.
    Unsupported,
}

fn lock(file: &File) -> io::Result<Locked> {
    for turn in 0..TRIES {
        if turn > 0 {
            std::thread::sleep(TRY_EVERY);
        }
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Locked::Ours),
            Err(Errno::WOULDBLOCK) => {}
            Err(error) if is_unsupported(error) => return Ok(Locked::Unsupported),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Locked::Others)
}

/// Errors of file systems that can't lock folders, or none that is open for reading only.
const fn is_unsupported(error: Errno) -> bool {
    matches!(error, Errno::BADF | Errno::INVAL | Errno::ISDIR | Errno::NOTSUP | Errno::NOLCK | Errno::NOSYS)
}

/// Locks the lock file and writes this process's id into it.
fn take_note(folder: &Path) -> Result<File, LockError> {
    let io = |source| LockError::Io { folder: folder.to_path_buf(), source };
    let path = folder.join(LOCK_FILE);
    for _ in 0..TRIES {
        let mut open = OpenOptions::new();
        // Not truncated: until the lock is ours, the id in it is the holder's.
        open.read(true).write(true).create(true).truncate(false).mode(PRIVATE_FILE);
        let mut file = open.open(&path).map_err(io)?;
        match lock(&file).map_err(io)? {
            Locked::Ours => {}
            Locked::Others => return Err(held(folder)),
            Locked::Unsupported => return Err(io(Errno::NOLCK.into())),
        }
        // A file that was removed between opening and locking excludes nobody.
        if is_at(&file, &path).map_err(io)? {
            note(&mut file).map_err(io)?;
            return Ok(file);
        }
    }
    Err(io(io::Error::other(format!("{LOCK_FILE} is removed again and again"))))
}

/// Whether a path names this open file or folder.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    FileId::of_file(file)?.is_at(path)
}

fn note(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())
}

fn held(folder: &Path) -> LockError {
    LockError::Held { folder: folder.to_path_buf(), holder: noted(folder) }
}

/// The holder of the folder, as its lock file names it.
fn noted(folder: &Path) -> String {
    let mut note = String::new();
    // The id is only informative: the lock holds without it.
    let read = File::open(folder.join(LOCK_FILE)).and_then(|file| file.take(NOTE_MAX).read_to_string(&mut note));
    match (read, note.trim().parse::<u32>()) {
        (Ok(_), Ok(process)) => format!("process {process}"),
        (Ok(_) | Err(_), Ok(_) | Err(_)) => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn is_held(folder: &Path) -> bool {
        matches!(FolderLock::take(folder), Err(LockError::Held { .. }))
    }

    #[test]
    fn a_folder_is_locked_once_and_the_holder_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let lock = FolderLock::take(folder.path()).expect("free");
        let error = FolderLock::take(folder.path()).expect_err("held").to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        let holder = FolderLock::holder(folder.path()).expect("found out");
        assert_eq!(holder, Some(format!("process {}", std::process::id())));
        drop(lock);
        assert_eq!(FolderLock::holder(folder.path()).expect("found out"), None);
        FolderLock::take(folder.path()).expect("free again");
    }

    #[test]
    fn a_folder_whose_lock_file_is_removed_or_replaced_is_still_locked_by_whatever_path() {
        let above = tempfile::tempdir().expect("a folder");
        let (folder, link, moved) = (above.path().join("data"), above.path().join("link"), above.path().join("moved"));
        fs::create_dir(&folder).expect("a folder");
        symlink(&folder, &link).expect("a link");
        let lock = FolderLock::take(&folder).expect("free");
        fs::remove_file(folder.join(LOCK_FILE)).expect("removed");
        assert!(is_held(&folder) && is_held(&link));
        assert_eq!(FolderLock::holder(&link).expect("found out"), Some("another process".to_owned()));
        fs::write(folder.join(LOCK_FILE), "1").expect("replaced");
        assert!(is_held(&folder));
        fs::rename(&folder, &moved).expect("renamed");
        assert!(is_held(&moved), "the lock goes with the folder");
        assert!(matches!(lock.keep(), Err(LockError::Gone { .. })));
        fs::create_dir(&folder).expect("another folder");
        assert!(matches!(lock.keep(), Err(LockError::Gone { .. })), "another one of that name is not ours");
    }

    /// As builds did that locked only this file.
    fn lock_the_file_alone(folder: &Path) -> Option<File> {
        let mut open = OpenOptions::new();
        let file =
            open.read(true).write(true).create(true).truncate(false).open(folder.join(LOCK_FILE)).expect("opens");
        flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok().then_some(file)
    }

    #[test]
    fn who_locks_the_file_alone_keeps_out_and_is_kept_out_also_after_it_was_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let old = lock_the_file_alone(folder.path()).expect("free");
        assert!(is_held(folder.path()));
        drop(old);
        let lock = FolderLock::take(folder.path()).expect("free");
        assert!(lock_the_file_alone(folder.path()).is_none());
        fs::remove_file(folder.path().join(LOCK_FILE)).expect("removed");
        lock.keep().expect("made again");
        assert!(lock_the_file_alone(folder.path()).is_none());
        fs::remove_file(folder.path().join(LOCK_FILE)).expect("removed");
        let _old = lock_the_file_alone(folder.path()).expect("quicker than the one who keeps");
        assert!(matches!(lock.keep(), Err(LockError::Held { .. })), "then this one must not go on");
    }

    #[test]
    fn where_folders_can_not_be_locked_a_file_that_can_not_be_missing_is() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("meta"), "").expect("a file");
        let without =
            |lock: FolderLock| FolderLock { folder: File::open(folder.path()).expect("opens"), locked: false, ..lock };
        let mut first = without(FolderLock::take(folder.path()).expect("free"));
        first.also("meta").expect("free");
        fs::remove_file(folder.path().join(LOCK_FILE)).expect("removed");
        let mut second = without(FolderLock::take(folder.path()).expect("nobody has this one"));
        assert!(matches!(second.also("meta"), Err(LockError::Held { .. })));
    }

    #[test]
    fn a_folder_that_is_not_there_can_not_be_locked() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(matches!(FolderLock::take(folder.path().join("none")), Err(LockError::Io { .. })));
    }
}
