//! Reads small files that contain a secret, and only if others can't read them.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Rights that the file must not give: to the group anything but read, to others anything.
const TOO_OPEN: u32 = 0o027;

/// Why a secret was not read.
#[derive(Debug)]
pub enum SecretError {
    /// It can't be read.
    Io(io::Error),
    /// It is not a regular file.
    NoFile,
    /// Others can use it: its mode.
    TooOpen(u32),
}

/// Reads a file with a secret, at most `max` bytes of it.
///
/// # Errors
/// [`SecretError`].
pub fn read_secret(file: &Path, max: u64) -> Result<Vec<u8>, SecretError> {
    let opened = File::open(file).map_err(SecretError::Io)?;
    let metadata = opened.metadata().map_err(SecretError::Io)?;
    if !metadata.is_file() {
        return Err(SecretError::NoFile);
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & TOO_OPEN != 0 {
        return Err(SecretError::TooOpen(mode));
    }
    let mut bytes = Vec::new();
    opened.take(max).read_to_end(&mut bytes).map_err(SecretError::Io)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};

    #[test]
    fn a_secret_that_others_can_use_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("secret");
        fs::write(&file, "hush").expect("a file");
        for (mode, good) in
            [(0o400, true), (0o640, true), (0o440, true), (0o644, false), (0o660, false), (0o601, false)]
        {
            fs::set_permissions(&file, Permissions::from_mode(mode)).expect("rights");
            match read_secret(&file, 3) {
                Ok(bytes) => assert!(good && bytes == b"hus", "{mode:o}"),
                Err(error) => {
                    assert!(!good && matches!(error, SecretError::TooOpen(found) if found == mode), "{mode:o}");
                }
            }
        }
        assert!(matches!(read_secret(folder.path(), 3), Err(SecretError::NoFile)));
        assert!(matches!(read_secret(&folder.path().join("none"), 3), Err(SecretError::Io(_))));
    }
}
