//! One process a folder: an advisory lock that ends with the process, however it ends.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// Name of the file that is locked. It stays when the lock ends; only the lock counts.
pub const LOCK_FILE: &str = "LOCK";
/// Most bytes of the lock file that are looked at: a process id is shorter.
const MAX_NOTE: u64 = 32;

/// Why a folder could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("{folder} is in use by {holder}: stop it first, or use another folder")]
    Held {
        /// Which folder.
        folder: PathBuf,
        /// Who has it, as far as the lock file tells.
        holder: String,
    },
    /// The lock file can't be made or locked.
    #[error("{folder} can't be locked")]
    Io {
        /// Which folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A folder that this process alone uses. Released when dropped.
#[derive(Debug)]
pub struct FolderLock {
    /// The lock lives as long as this is open.
    _file: File,
}

impl FolderLock {
    /// Locks a folder that is there. Does not wait.
    ///
    /// # Errors
    /// [`LockError::Held`] when another process has it, [`LockError::Io`] when it can't be locked at all.
    pub fn take(folder: impl AsRef<Path>) -> Result<Self, LockError> {
        let folder = folder.as_ref();
        let io = |source| LockError::Io { folder: folder.to_path_buf(), source };
        let path = folder.join(LOCK_FILE);
        // Not truncated: until the lock is ours the note in it is the holder's.
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(LockError::Held { folder: folder.to_path_buf(), holder: holder(&file) });
            }
            Err(error) => return Err(io(error.into())),
        }
        note(&mut file).map_err(io)?;
        Ok(Self { _file: file })
    }

    /// Who has a folder locked, if anybody has. Makes and writes nothing; the lock is tried for an instant and shared
    /// with others who look.
    ///
    /// # Errors
    /// [`LockError::Io`] when that can't be told.
    pub fn holder(folder: impl AsRef<Path>) -> Result<Option<String>, LockError> {
        let folder = folder.as_ref();
        let io = |source| LockError::Io { folder: folder.to_path_buf(), source };
        let file = match File::open(folder.join(LOCK_FILE)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(error)),
        };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(None),
            Err(Errno::WOULDBLOCK) => Ok(Some(holder(&file))),
            Err(error) => Err(io(error.into())),
        }
    }
}

fn note(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())
}

fn holder(file: &File) -> String {
    let mut note = String::new();
    // The note is a courtesy: without it the lock still holds.
    let read = file.take(MAX_NOTE).read_to_string(&mut note);
    match (read, note.trim().parse::<u32>()) {
        (Ok(_), Ok(process)) => format!("process {process}"),
        (Ok(_) | Err(_), Ok(_) | Err(_)) => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_locked_once_and_the_holder_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let lock = FolderLock::take(folder.path()).expect("free");
        let error = FolderLock::take(folder.path()).expect_err("held").to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        let told = FolderLock::holder(folder.path()).expect("told");
        assert_eq!(told, Some(format!("process {}", std::process::id())));
        drop(lock);
        assert_eq!(FolderLock::holder(folder.path()).expect("told"), None);
        FolderLock::take(folder.path()).expect("free again");
    }

    #[test]
    fn a_folder_that_is_not_there_can_not_be_locked() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(matches!(FolderLock::take(folder.path().join("none")), Err(LockError::Io { .. })));
    }
}
