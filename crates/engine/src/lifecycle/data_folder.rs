//! The data folder: its lock for one process, its format version, and its key.
//!
//! A folder that is not a data folder, or has lost its meta file, is refused; it is never silently started afresh.

use std::path::Path;
use std::sync::Arc;
use std::{fmt, io};

use crate::lifecycle::identity_key::{IdentityKey, IdentityKeyError};
pub use crate::lifecycle::meta::FORMAT_VERSION;
use stockade_journal::storage::{
    DiskStorage, FolderLock, LOCK_FILE, LockError, Storage, make_folder_private, make_private,
};
use stockade_journal::{JournalName, KeepPolicy, KeptSegments};
use stockade_types::digest::DigestKey;

use crate::lifecycle::meta::{Format, META, META_UNFINISHED, Meta, MetaError, MetaKey};

const JOURNAL: &str = "journal";
const SNAPSHOTS: &str = "snapshots";
const KEPT: &str = "kept";

/// Why a data folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another process has it, or it can't be locked.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// The disk failed.
    #[error("data folder {folder}: {what}")]
    Io {
        /// Which folder.
        folder: String,
        /// What was tried.
        what: &'static str,
        /// The disk's error.
        source: io::Error,
    },
    /// Its meta file is damaged.
    #[error("data folder {folder}: {what}")]
    Damaged {
        /// Which folder.
        folder: String,
        /// What is wrong.
        what: String,
    },
    /// The key's file can't be used.
    #[error(transparent)]
    KeyFile(#[from] IdentityKeyError),
    /// The key is not the folder's.
    #[error("data folder {folder}: {what}")]
    Key {
        /// Which folder.
        folder: String,
        /// What is wrong with it.
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
pub struct DataFolder {
    /// Where the journal is.
    pub journal: Arc<dyn Storage>,
    /// Where the snapshots are.
    pub snapshots: Arc<dyn Storage>,
    /// Where the journal's old segments are moved, and how long they are kept there; none: they are removed.
    kept: Option<(Arc<dyn Storage>, KeepPolicy)>,
    /// The folder's key. If the folder was opened by [`DataFolder::inspect`] and its key is kept elsewhere, this is
    /// another key; usage sums don't depend on it.
    pub key: DigestKey,
    /// Whether its key is kept elsewhere.
    pub key_elsewhere: bool,
    /// The storage of `stockade.meta`, and its content; none after [`DataFolder::inspect`].
    meta: Option<(Arc<dyn Storage>, Meta)>,
    /// Held as long as the folder is in use; none in tests and after [`DataFolder::inspect`].
    lock: Option<Arc<FolderLock>>,
}

impl fmt::Debug for DataFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataFolder").field("locked", &self.lock.is_some()).finish_non_exhaustive()
    }
}

impl DataFolder {
    /// Opens the folder for serving: creates it if there is none, locks it, and removes others' access rights.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        Self::open_with(path, None)
    }

    /// As [`DataFolder::open`], with a key that is kept elsewhere: a new folder stores no key, and a folder that stores
    /// this very key has it removed.
    ///
    /// # Errors
    /// [`FolderError`]; with [`FolderError::Key`] nothing was changed.
    pub fn open_with(path: &Path, key: Option<&IdentityKey>) -> Result<Self, FolderError> {
        let io = |what| move |source| FolderError::Io { folder: path.display().to_string(), what, source };
        // A foreign folder is refused before anything is created in it. After locking it is checked again.
        match DiskStorage::existing(path) {
            Ok(root) => not_foreign(path, &root, key)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io("can't be opened")(error)),
        }
        let root = DiskStorage::open(path).map_err(io("can't be opened"))?;
        let mut lock = FolderLock::take(path)?;
        let journal = DiskStorage::open(path.join(JOURNAL)).map_err(io("its journal folder can't be opened"))?;
        let snapshots = DiskStorage::open(path.join(SNAPSHOTS)).map_err(io("its snapshot folder can't be opened"))?;
        let kept = DiskStorage::open(path.join(KEPT)).map_err(io("its folder of kept segments can't be opened"))?;
        let name = path.display().to_string();
        let mut folder = Self::over_with(Arc::new(root), Arc::new(journal), Arc::new(snapshots), &name, key)?;
        lock.also(META)?;
        close_to_others(path);
        folder.lock = Some(Arc::new(lock));
        folder.kept = Some((Arc::new(kept.without_spares()), KeepPolicy::NOTHING));
        Ok(folder)
    }

    /// The same, with segments kept as long as this says. The kept segments are not read.
    #[must_use]
    pub fn keeping(self, policy: KeepPolicy) -> Self {
        Self { kept: self.kept.map(|(storage, _)| (storage, policy)), ..self }
    }

    /// The same, with segments kept in this folder, which is on the journal's disk.
    #[must_use]
    pub fn keeping_in(self, storage: Arc<dyn Storage>, policy: KeepPolicy) -> Self {
        Self { kept: Some((storage, policy)), ..self }
    }

    /// Where its journal's segments are kept.
    pub(crate) fn kept(&self) -> Option<KeptSegments> {
        self.kept.as_ref().map(|(storage, policy)| KeptSegments::new(Arc::clone(storage), *policy))
    }

    /// The lock against other processes; none in tests and after [`DataFolder::inspect`].
    #[must_use]
    pub fn lock(&self) -> Option<Arc<FolderLock>> {
        self.lock.clone()
    }

    /// Opens the folder for reading: creates nothing, changes nothing, takes no lock.
    ///
    /// # Errors
    /// [`FolderError`], also for a folder that does not exist.
    pub fn inspect(path: &Path) -> Result<Self, FolderError> {
        let name = path.display().to_string();
        let io = |what| {
            let folder = name.clone();
            move |source| FolderError::Io { folder, what, source }
        };
        let root = DiskStorage::existing(path).map_err(io("can't be opened"))?;
        let Some(meta) = read_meta(&root, &name)? else {
            return Err(FolderError::Foreign { folder: name, what: format!("it has no {META}: not a data folder") });
        };
        let journal = DiskStorage::existing(path.join(JOURNAL)).map_err(io("its journal folder can't be opened"))?;
        let snapshots =
            DiskStorage::existing(path.join(SNAPSHOTS)).map_err(io("its snapshot folder can't be opened"))?;
        let (key, key_elsewhere) = match meta.key {
            MetaKey::Here(key) => (key, false),
            MetaKey::Elsewhere(check) => (DigestKey::from_bytes(check), true),
        };
        let (journal, snapshots) = (Arc::new(journal), Arc::new(snapshots));
        Ok(Self { journal, snapshots, kept: None, key, key_elsewhere, meta: None, lock: None })
    }

    /// The folder of segments that have left the journal of this data folder and are kept for readers; none if there is
    /// none. Creates and locks nothing.
    ///
    /// # Errors
    /// When it can't be opened.
    pub fn kept_segments(path: &Path) -> Result<Option<Arc<dyn Storage>>, FolderError> {
        match DiskStorage::existing(path.join(KEPT)) {
            Ok(kept) => Ok(Some(Arc::new(kept))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => {
                let what = "its folder of kept segments can't be opened";
                Err(FolderError::Io { folder: path.display().to_string(), what, source })
            }
        }
    }

    /// A folder over storages of any kind; `root` has the meta file, which a first start writes here.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn over(
        root: Arc<dyn Storage>,
        journal: Arc<dyn Storage>,
        snapshots: Arc<dyn Storage>,
        name: &str,
    ) -> Result<Self, FolderError> {
        Self::over_with(root, journal, snapshots, name, None)
    }

    /// As [`DataFolder::over`], with a key that is kept elsewhere.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn over_with(
        root: Arc<dyn Storage>,
        journal: Arc<dyn Storage>,
        snapshots: Arc<dyn Storage>,
        name: &str,
        given: Option<&IdentityKey>,
    ) -> Result<Self, FolderError> {
        let io = |source| FolderError::Io { folder: name.to_owned(), what: "can't be written", source };
        let known = read_meta(root.as_ref(), name)?;
        let key = if let Some(meta) = &known {
            fitting(&meta.key, given, name)?
        } else {
            new_folder(root.as_ref(), name, &journal.list().map_err(io)?, &snapshots.list().map_err(io)?)?;
            given.map_or_else(|| fresh_key().map_err(io), |given| Ok(given.key().clone()))?
        };
        let kept = given.map_or_else(|| MetaKey::Here(key.clone()), |given| MetaKey::Elsewhere(given.check_value()));
        let meta = match known {
            Some(meta) if meta.key == kept => meta,
            Some(meta) => {
                let meta = Meta { key: kept, ..meta };
                meta.write(root.as_ref()).map_err(io)?;
                tracing::info!(
                    data = name,
                    "the identity key was taken out of the data folder: it is in its own file alone"
                );
                meta
            }
            None => {
                let meta = Meta::new(kept).map_err(io)?;
                meta.write(root.as_ref()).map_err(io)?;
                meta
            }
        };
        let meta = Some((root, meta));
        Ok(Self { journal, snapshots, kept: None, key, key_elsewhere: given.is_some(), meta, lock: None })
    }

    /// Whether the folder was of format 1 when it was opened, or an upgrade from it is not finished.
    #[must_use]
    pub fn is_of_format_1(&self) -> bool {
        self.meta.as_ref().is_some_and(|(_, meta)| meta.format.is_none_or(|format| format.upgrading))
    }

    /// Marks the upgrade as finished: the record that says where format 1 ends is durable, so no later start must write
    /// it.
    ///
    /// # Errors
    /// The disk's error.
    pub fn finish_upgrade(&self) -> io::Result<()> {
        let Some((root, _)) = self.meta.as_ref().filter(|_| self.is_of_format_1()) else { return Ok(()) };
        match Meta::read(root.as_ref())? {
            Ok(Some(Meta { key, format: Some(format) })) => {
                Meta { key, format: Some(Format { upgrading: false, ..format }) }.write(root.as_ref())
            }
            Ok(_) | Err(_) => Err(io::Error::other("stockade.meta is not what was written")),
        }
    }

    /// The journal's name; none after [`DataFolder::inspect`], and for a folder of format 1 that is not upgraded yet.
    ///
    /// # Errors
    /// The disk's error.
    pub fn journal_name(&self) -> io::Result<Option<JournalName>> {
        let Some((root, _)) = &self.meta else { return Ok(None) };
        // Read again, since the start that upgrades a folder gives it the name.
        match Meta::read(root.as_ref())? {
            Ok(meta) => Ok(meta.and_then(|meta| meta.format).map(|format| format.journal)),
            Err(_) => Err(io::Error::other("stockade.meta is not what was written")),
        }
    }

    /// Marks the folder in `stockade.meta` as one that may have records of this build, before the first is written.
    /// Builds that don't know them refuse the folder from then on. Returns whether it was not marked before.
    ///
    /// # Errors
    /// The disk's error.
    pub fn upgrade(&self) -> io::Result<bool> {
        let Some((root, meta)) = &self.meta else { return Ok(false) };
        match meta.upgraded()? {
            Some(upgraded) => upgraded.write(root.as_ref()).map(|()| true),
            None => Ok(false),
        }
    }
}

/// The key of an existing folder, or why it can't be used.
fn fitting(meta: &MetaKey, given: Option<&IdentityKey>, name: &str) -> Result<DigestKey, FolderError> {
    let wrong = |what| Err(FolderError::Key { folder: name.to_owned(), what });
    match (meta, given) {
        (MetaKey::Here(key), None) => Ok(key.clone()),
        (MetaKey::Here(key), Some(given)) if key == given.key() => Ok(key.clone()),
        (MetaKey::Elsewhere(check), Some(given)) if *check == given.check_value() => Ok(given.key().clone()),
        (MetaKey::Here(_), Some(given)) => wrong(format!(
            "it keeps an identity key of its own in {META}, which is not the one in {}: start it without \
             --identity-key-file",
            given.file().display()
        )),
        (MetaKey::Elsewhere(_), Some(given)) => {
            wrong(format!("the key in {} is not the identity key that it was made with", given.file().display()))
        }
        (MetaKey::Elsewhere(_), None) => {
            wrong("its identity key is kept elsewhere: name the key's file with --identity-key-file".to_owned())
        }
    }
}

/// Removes others' access rights to all that is kept. A folder for which this fails is served all the same.
fn close_to_others(path: &Path) {
    let ours = |name: &str| [META, META_UNFINISHED, LOCK_FILE].contains(&name);
    let (journal, snapshots) = (path.join(JOURNAL), path.join(SNAPSHOTS));
    let looks = [make_private(path, ours), make_private(&journal, |_| true), make_private(&snapshots, |_| true)];
    let (exposed, mut unknown): (Vec<_>, Vec<_>) = looks.into_iter().partition(Result::is_ok);
    let mut exposed: Vec<_> = exposed.into_iter().flatten().flatten().collect();
    // Not its files, one by one: there may be many, and nobody without rights to the folder can reach them.
    let kept = path.join(KEPT);
    match make_folder_private(&kept) {
        Ok(true) => {}
        Ok(false) => exposed.push(kept),
        Err(error) => unknown.push(Err(error)),
    }
    if let Some(first) = exposed.first() {
        let (first, count) = (first.display(), exposed.len());
        tracing::warn!(count, %first, "others than the owner can use the data folder, and their rights can't be taken away");
    }
    for error in unknown.into_iter().filter_map(Result::err) {
        tracing::warn!(%error, "can't check whether others than the owner can use the data folder");
    }
}

fn read_meta(root: &dyn Storage, name: &str) -> Result<Option<Meta>, FolderError> {
    let folder = name.to_owned();
    match Meta::read(root) {
        Ok(Ok(meta)) => Ok(meta),
        Ok(Err(MetaError::Foreign(what))) => Err(FolderError::Foreign { folder, what }),
        Ok(Err(MetaError::Damaged(what))) => Err(FolderError::Damaged { folder, what }),
        Err(source) => Err(FolderError::Io { folder, what: "its meta file can't be read", source }),
    }
}

/// Refuses an existing folder that is not ours or has another key. Creates nothing.
fn not_foreign(path: &Path, root: &dyn Storage, given: Option<&IdentityKey>) -> Result<(), FolderError> {
    let name = path.display().to_string();
    if let Some(meta) = read_meta(root, &name)? {
        fitting(&meta.key, given, &name)?;
        // A first start makes the journal's folder before the meta file. If only the folder is missing, it was removed.
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
    let kept = files(KEPT).map_err(io)?;
    if !kept.is_empty() {
        let what = format!("it has kept segments of a journal but no {META}: restore that file");
        return Err(FolderError::Foreign { folder: name, what });
    }
    new_folder(root, &name, &files(JOURNAL).map_err(io)?, &files(SNAPSHOTS).map_err(io)?)
}

/// Refuses a folder without a meta file if anything in it shows that it is not a new one.
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

fn fresh_key() -> io::Result<DigestKey> {
    let mut key = [0; 16];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    Ok(DigestKey::from_bytes(key))
}
