//! File permissions: only the owner may use the data, which contains customers' ids.

use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

/// Mode of each file that is created.
pub(super) const PRIVATE_FILE: u32 = 0o600;
/// Mode of each folder that is created for files.
pub(super) const PRIVATE_FOLDER: u32 = 0o700;
/// All rights of group and others.
const OTHERS: u32 = 0o077;

/// Removes the rights of group and others from a folder and from those of its files that `ours` accepts, as far as this
/// process's user owns them. Returns what others can still use.
///
/// # Errors
/// When the folder can't be read.
pub fn make_private(folder: &Path, ours: impl Fn(&str) -> bool) -> io::Result<Vec<PathBuf>> {
    let mut exposed = Vec::new();
    let mut close = |path: PathBuf, metadata: &Metadata| {
        if !closed(&path, metadata) {
            exposed.push(path);
        }
    };
    close(folder.to_path_buf(), &fs::metadata(folder)?);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Symbolic links are not followed: their targets may belong to anybody.
        let metadata = entry.metadata()?;
        if metadata.is_file() && ours(&entry.file_name().to_string_lossy()) {
            close(entry.path(), &metadata);
        }
    }
    Ok(exposed)
}

/// Removes the rights of group and others from a folder, and with them all access to its files. The files' own modes,
/// which may be many, are not read. Returns whether others have no access now.
///
/// # Errors
/// When the folder can't be read.
pub fn make_folder_private(folder: &Path) -> io::Result<bool> {
    Ok(closed(folder, &fs::metadata(folder)?))
}

/// Removes the rights of group and others if needed. Returns whether they have none now.
fn closed(path: &Path, metadata: &Metadata) -> bool {
    let mode = metadata.permissions().mode();
    if mode & OTHERS == 0 {
        return true;
    }
    if metadata.uid() != geteuid().as_raw()
        || fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS)).is_err()
    {
        return false;
    }
    // A file system without modes reports success.
    fs::metadata(path).is_ok_and(|now| now.permissions().mode() & OTHERS == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{DiskStorage, Storage};

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("there").permissions().mode() & 0o777
    }

    #[test]
    fn what_is_made_is_the_owners_alone_and_folders_above_are_as_usual() {
        let above = tempfile::tempdir().expect("a folder");
        let path = above.path().join("var/data");
        let storage = DiskStorage::open(&path).expect("opens");
        drop(storage.create("one").expect("creates"));
        assert_eq!((mode(&path), mode(&path.join("one"))), (0o700, 0o600));
        fs::create_dir(above.path().join("usual")).expect("a folder");
        assert_eq!(mode(&above.path().join("var")), mode(&above.path().join("usual")));
    }

    #[test]
    fn wider_rights_are_taken_from_what_is_ours_and_nothing_else() {
        let above = tempfile::tempdir().expect("a folder");
        let (folder, other) = (above.path().join("data"), above.path().join("other"));
        fs::create_dir(&folder).expect("a folder");
        for file in [&folder.join("ours"), &folder.join("theirs"), &other] {
            fs::write(file, "").expect("a file");
            fs::set_permissions(file, Permissions::from_mode(0o664)).expect("rights");
        }
        std::os::unix::fs::symlink(&other, folder.join("link")).expect("a link");
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).expect("rights");
        assert_eq!(make_private(&folder, |name| name != "theirs").expect("looks"), Vec::<PathBuf>::new());
        assert_eq!([&folder, &folder.join("ours")].map(|path| mode(path)), [0o700, 0o600]);
        assert_eq!([&folder.join("theirs"), &other].map(|path| mode(path)), [0o664, 0o664]);
    }

    #[test]
    fn a_folder_can_be_closed_by_itself() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        fs::write(&file, "").expect("a file");
        fs::set_permissions(&file, Permissions::from_mode(0o664)).expect("rights");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("rights");
        assert!(make_folder_private(folder.path()).expect("looks"));
        assert_eq!((mode(folder.path()), mode(&file)), (0o700, 0o664));
    }

    #[test]
    fn what_belongs_to_somebody_else_is_left_as_it_is_and_named() {
        let folder = Path::new("/");
        if fs::metadata(folder).expect("there").uid() == geteuid().as_raw() {
            return; // as root everything here is ours: `tests/process/rights.rs` tries it with another user
        }
        assert_eq!(make_private(folder, |_| false).expect("looks"), [folder]);
    }
}
