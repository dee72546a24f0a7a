//! The data folder: one process at a time, its format version, and its key.
//!
//! A folder that is not ours, or has lost the file that says what it is, is refused: never a silent fresh start.

use std::path::Path;
use std::sync::Arc;
use std::{fmt, io};

use crate::codec::{DecodeError, Reader};
use crate::digest::DigestKey;
use crate::storage::{DiskStorage, FolderLock, LOCK_FILE, LockError, Storage};

/// Version of the data folder as a whole.
pub const FORMAT_VERSION: u32 = 1;

const META: &str = "stockade.meta";
const META_UNFINISHED: &str = "stockade.meta.tmp";
const MAGIC: [u8; 8] = *b"STOCKADE";
const JOURNAL: &str = "journal";
const SNAPSHOTS: &str = "snapshots";

/// Why a data folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another process has it, or it can't be locked.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// The disk.
    #[error("data folder {folder}: {what}")]
    Io {
        /// Which folder.
        folder: String,
        /// What was tried.
        what: &'static str,
        /// What the disk said.
        source: io::Error,
    },
    /// Its meta file is not what was written.
    #[error("data folder {folder}: {what}")]
    Damaged {
        /// Which folder.
        folder: String,
        /// What is wrong.
        what: String,
    },
    /// Not a data folder of this engine.
    #[error("data folder {folder}: {what}")]
    Foreign {
        /// Which folder.
        folder: String,
        /// Why not.
        what: String,
    },
}

/// An open data folder.
pub struct Folder {
    /// Where the journal is.
    pub journal: Arc<dyn Storage>,
    /// Where the snapshots are.
    pub snapshots: Arc<dyn Storage>,
    /// The folder's key.
    pub key: DigestKey,
    /// Held as long as the folder is in use; none in tests and for reading only.
    lock: Option<Arc<FolderLock>>,
}

impl fmt::Debug for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Folder").field("locked", &self.lock.is_some()).finish_non_exhaustive()
    }
}

impl Folder {
    /// Opens the folder for serving: makes it if there is none, and locks it.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let io = |what| move |source| FolderError::Io { folder: path.display().to_string(), what, source };
        // What is not ours is found before anything is made in it; once it is locked, it is looked at again.
        match DiskStorage::existing(path) {
            Ok(root) => not_foreign(path, &root)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io("can't be opened")(error)),
        }
        let root = DiskStorage::open(path).map_err(io("can't be opened"))?;
        let mut lock = FolderLock::take(path)?;
        let journal = DiskStorage::open(path.join(JOURNAL)).map_err(io("its journal folder can't be opened"))?;
        let snapshots = DiskStorage::open(path.join(SNAPSHOTS)).map_err(io("its snapshot folder can't be opened"))?;
        let mut folder = Self::over(&root, Arc::new(journal), Arc::new(snapshots), &path.display().to_string())?;
        lock.also(META)?;
        folder.lock = Some(Arc::new(lock));
        Ok(folder)
    }

    /// What keeps other processes out of it; none in tests and for reading only.
    #[must_use]
    pub fn lock(&self) -> Option<Arc<FolderLock>> {
        self.lock.clone()
    }

    /// Opens the folder for looking at it: makes nothing, changes nothing, takes no lock.
    ///
    /// # Errors
    /// [`FolderError`]; a folder that does not exist is one that can't be opened.
    pub fn inspect(path: &Path) -> Result<Self, FolderError> {
        let name = path.display().to_string();
        let io = |what| {
            let folder = name.clone();
            move |source| FolderError::Io { folder, what, source }
        };
        let root = DiskStorage::existing(path).map_err(io("can't be opened"))?;
        let Some(key) = read_meta(&root, &name)? else {
            return Err(FolderError::Foreign { folder: name, what: format!("it has no {META}: not a data folder") });
        };
        let journal = DiskStorage::existing(path.join(JOURNAL)).map_err(io("its journal folder can't be opened"))?;
        let snapshots =
            DiskStorage::existing(path.join(SNAPSHOTS)).map_err(io("its snapshot folder can't be opened"))?;
        Ok(Self { journal: Arc::new(journal), snapshots: Arc::new(snapshots), key, lock: None })
    }

    /// A folder over storages of any kind; `root` has the file with the key, made here on a first start.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn over(
        root: &dyn Storage,
        journal: Arc<dyn Storage>,
        snapshots: Arc<dyn Storage>,
        name: &str,
    ) -> Result<Self, FolderError> {
        let key = match read_meta(root, name)? {
            Some(key) => key,
            None => first_start(root, journal.as_ref(), snapshots.as_ref(), name)?,
        };
        Ok(Self { journal, snapshots, key, lock: None })
    }
}

fn read_meta(root: &dyn Storage, name: &str) -> Result<Option<DigestKey>, FolderError> {
    let foreign = |what: String| FolderError::Foreign { folder: name.to_owned(), what };
    let damaged = |what: String| FolderError::Damaged { folder: name.to_owned(), what };
    let bytes = match root.read(META) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(FolderError::Io { folder: name.to_owned(), what: "its meta file can't be read", source });
        }
    };
    let mut reader = Reader::new(&bytes);
    let mut parse = || -> Result<_, DecodeError> {
        let head: ([u8; 8], [u8; 4], [u8; 16], [u8; 4]) =
            (reader.array()?, reader.array()?, reader.array()?, reader.array()?);
        reader.finish()?;
        Ok(head)
    };
    let (magic, version, key, sum) = parse().map_err(|error| damaged(format!("its {META} {error}")))?;
    let covered = bytes.split_last_chunk::<4>().map_or(&[][..], |(covered, _)| covered);
    if magic != MAGIC {
        return Err(foreign(format!("its {META} is not one of ours")));
    }
    if crc32c::crc32c(covered) != u32::from_le_bytes(sum) {
        return Err(damaged(format!("its {META} is damaged: the checksum is wrong")));
    }
    let version = u32::from_le_bytes(version);
    if version != FORMAT_VERSION {
        return Err(foreign(format!("it has format version {version}; this build reads version {FORMAT_VERSION}")));
    }
    Ok(Some(DigestKey::from_bytes(key)))
}

/// Refuses a folder that is there and not ours. Makes nothing.
fn not_foreign(path: &Path, root: &dyn Storage) -> Result<(), FolderError> {
    let name = path.display().to_string();
    if read_meta(root, &name)?.is_some() {
        // A first start makes the journal's folder before that file: where it is gone, somebody took it away.
        return match DiskStorage::existing(path.join(JOURNAL)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let what = format!("it has {META} but no {JOURNAL} folder: restore that folder");
                Err(FolderError::Foreign { folder: name, what })
            }
            Ok(_) | Err(_) => Ok(()),
        };
    }
    let files = |inside: &str| match DiskStorage::existing(path.join(inside)) {
        Ok(folder) => folder.list(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    };
    let io = |source| FolderError::Io { folder: name.clone(), what: "can't be read", source };
    new_folder(root, &name, &files(JOURNAL).map_err(io)?, &files(SNAPSHOTS).map_err(io)?)
}

/// Refuses a folder without the file with the key, if anything says that it is not a new one.
fn new_folder(root: &dyn Storage, name: &str, journal: &[String], snapshots: &[String]) -> Result<(), FolderError> {
    let foreign = |what| Err(FolderError::Foreign { folder: name.to_owned(), what });
    let io = |source| FolderError::Io { folder: name.to_owned(), what: "can't be read", source };
    let ours = [LOCK_FILE, META_UNFINISHED];
    if let Some(file) = root.list().map_err(io)?.into_iter().find(|file| !ours.contains(&file.as_str())) {
        return foreign(format!("it has no {META} but a file {file:?}: not a data folder"));
    }
    if !journal.is_empty() || !snapshots.is_empty() {
        return foreign(format!("it has a journal or snapshots but no {META}: restore that file"));
    }
    Ok(())
}

/// Makes the file with the key, if nothing says that there was one before.
fn first_start(
    root: &dyn Storage,
    journal: &dyn Storage,
    snapshots: &dyn Storage,
    name: &str,
) -> Result<DigestKey, FolderError> {
    let io = |source| FolderError::Io { folder: name.to_owned(), what: "can't be written", source };
    new_folder(root, name, &journal.list().map_err(io)?, &snapshots.list().map_err(io)?)?;
    let mut key = [0; 16];
    getrandom::fill(&mut key).map_err(|error| io(io::Error::other(error)))?;
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes.extend_from_slice(&key);
    let sum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    let write = || {
        if root.list()?.iter().any(|file| file == META_UNFINISHED) {
            root.remove(META_UNFINISHED)?;
        }
        let file = root.create(META_UNFINISHED)?;
        file.append(&bytes)?;
        file.sync_data()?;
        root.rename(META_UNFINISHED, META)?;
        root.sync_dir()
    };
    write().map_err(io)?;
    Ok(DigestKey::from_bytes(key))
}
