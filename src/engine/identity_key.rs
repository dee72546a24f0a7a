//! The key of the keyed hashes, where it is kept apart from the data folder: in a file of its own.
//!
//! The folder has a check value then, by which a wrong key is known and from which the key can't be found.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::digest::DigestKey;

/// Hexadecimal digits of a key.
const DIGITS: usize = 32;
/// Bytes of the file that are read: the digits, and white space around them.
const FILE_MAX: u64 = 256;
/// What others than the file's owner may not do: the group nothing but read, anybody else nothing.
const TOO_OPEN: u32 = 0o027;
/// Derives the check value, and nothing else.
const CHECK_CONTEXT: &str = "stockade.meta: check value of an identity key that is kept elsewhere, version 1";

/// Why an identity key can't be had.
#[derive(Debug, thiserror::Error)]
pub enum IdentityKeyError {
    /// Its file can't be read.
    #[error("identity key file {file} can't be read")]
    Io {
        /// Which file.
        file: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Others can use it.
    #[error(
        "identity key file {file} has the rights {mode:03o}: its group may read it at most, and others nothing; \
         chmod 600 or 640 it"
    )]
    TooOpen {
        /// Which file.
        file: PathBuf,
        /// Its rights.
        mode: u32,
    },
    /// It is no key.
    #[error(
        "identity key file {file} must be a file of {DIGITS} hexadecimal digits, such as `openssl rand -hex 16` writes"
    )]
    Malformed {
        /// Which file.
        file: PathBuf,
    },
}

/// A key that was read from a file.
#[derive(Debug, Clone)]
pub struct IdentityKey {
    file: PathBuf,
    key: DigestKey,
}

impl IdentityKey {
    /// Reads a key's file: 32 hexadecimal digits, white space around them allowed.
    ///
    /// # Errors
    /// [`IdentityKeyError`].
    pub fn read(file: &Path) -> Result<Self, IdentityKeyError> {
        let io = |source| IdentityKeyError::Io { file: file.to_path_buf(), source };
        let malformed = || IdentityKeyError::Malformed { file: file.to_path_buf() };
        let opened = File::open(file).map_err(io)?;
        let metadata = opened.metadata().map_err(io)?;
        if !metadata.is_file() {
            return Err(malformed());
        }
        let mode = metadata.permissions().mode() & 0o777;
        if mode & TOO_OPEN != 0 {
            return Err(IdentityKeyError::TooOpen { file: file.to_path_buf(), mode });
        }
        let mut bytes = Vec::new();
        opened.take(FILE_MAX).read_to_end(&mut bytes).map_err(io)?;
        let key = parse(bytes.trim_ascii()).ok_or_else(malformed)?;
        Ok(Self { file: file.to_path_buf(), key: DigestKey::from_bytes(key) })
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> &DigestKey {
        &self.key
    }

    /// Where it is kept.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// What a folder that was made with it keeps of it.
    #[must_use]
    pub fn check_value(&self) -> [u8; 16] {
        let derived = blake3::derive_key(CHECK_CONTEXT, self.key.as_bytes());
        derived.first_chunk().copied().unwrap_or_default()
    }
}

fn parse(digits: &[u8]) -> Option<[u8; 16]> {
    if digits.len() != DIGITS || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u128::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok().map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};

    fn read(text: &[u8], mode: u32) -> Result<IdentityKey, IdentityKeyError> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("key");
        fs::write(&file, text).expect("a file");
        fs::set_permissions(&file, Permissions::from_mode(mode)).expect("rights");
        IdentityKey::read(&file)
    }

    #[test]
    fn a_key_is_32_hexadecimal_digits() {
        let key = read(b" 000102030405060708090a0b0c0D0E0f\n", 0o600).expect("a key");
        assert_eq!(key.key().as_bytes(), &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        let digits = b"000102030405060708090a0b0c0d0e0f";
        let bad: [&[u8]; 5] = [b"", &digits[1..], b"+00102030405060708090a0b0c0d0e0f", &digits.repeat(2), &[b' '; 300]];
        for text in bad {
            assert!(matches!(read(text, 0o600), Err(IdentityKeyError::Malformed { .. })), "{text:?}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        assert!(matches!(IdentityKey::read(folder.path()), Err(IdentityKeyError::Malformed { .. })));
        assert!(matches!(IdentityKey::read(&folder.path().join("none")), Err(IdentityKeyError::Io { .. })));
    }

    #[test]
    fn a_key_that_others_can_use_is_refused() {
        for (mode, good) in
            [(0o400, true), (0o640, true), (0o440, true), (0o644, false), (0o660, false), (0o601, false)]
        {
            assert_eq!(read(&[b'a'; 32], mode).is_ok(), good, "{mode:o}");
        }
        let error = read(&[b'a'; 32], 0o644).expect_err("too open").to_string();
        assert!(error.contains("has the rights 644") && !error.contains("aaaa"), "{error}");
    }

    #[test]
    fn the_check_value_is_another_for_another_key_and_not_the_key() {
        let (one, two) = (read(&[b'a'; 32], 0o600).expect("a key"), read(&[b'b'; 32], 0o600).expect("a key"));
        assert_ne!(one.check_value(), two.check_value());
        assert_ne!(&one.check_value(), one.key().as_bytes());
    }
}
