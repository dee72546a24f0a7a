//! The key of the keyed hashes, if it is kept in a file of its own and not in the data folder.
//!
//! The folder then keeps a check value, which recognises a wrong key and does not reveal the right one.

use std::io;
use std::path::{Path, PathBuf};

use stockade_journal::storage::{SecretError, read_secret};
use stockade_types::digest::DigestKey;

/// Hexadecimal digits of a key.
const DIGITS: usize = 32;
/// Bytes of the file that are read: the digits, and white space around them.
const FILE_MAX: u64 = 256;
/// The context by which the check value is derived; used for nothing else.
const CHECK_CONTEXT: &str = "stockade.meta: check value of an identity key that is kept elsewhere, version 1";

/// Why an identity key can't be read.
#[derive(Debug, thiserror::Error)]
pub enum IdentityKeyError {
    /// Its file can't be read.
    #[error("identity key file {file} can't be read")]
    Io {
        /// Which file.
        file: PathBuf,
        /// The error.
        #[source]
        source: io::Error,
    },
    /// Others than the owner can use it.
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
    /// It contains no key.
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
        let malformed = || IdentityKeyError::Malformed { file: file.to_path_buf() };
        let bytes = read_secret(file, FILE_MAX).map_err(|error| match error {
            SecretError::Io(source) => IdentityKeyError::Io { file: file.to_path_buf(), source },
            SecretError::NoFile => malformed(),
            SecretError::TooOpen(mode) => IdentityKeyError::TooOpen { file: file.to_path_buf(), mode },
        })?;
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

    /// The check value that a folder made with this key keeps.
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

    #[test]
    fn a_key_is_32_hexadecimal_digits() {
        let key = parse(b"000102030405060708090a0b0c0D0E0f");
        assert_eq!(key, Some([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]));
        let digits = b"000102030405060708090a0b0c0d0e0f";
        let bad: [&[u8]; 4] = [b"", &digits[1..], b"+00102030405060708090a0b0c0d0e0f", &digits.repeat(2)];
        for text in bad {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_is_said_of_a_file_names_it() {
        let none = IdentityKey::read(Path::new("/nowhere/key")).expect_err("no such file");
        assert_eq!(none.to_string(), "identity key file /nowhere/key can't be read");
        let open = IdentityKeyError::TooOpen { file: PathBuf::from("key"), mode: 0o644 }.to_string();
        assert!(open.starts_with("identity key file key has the rights 644"), "{open}");
    }

    #[test]
    fn the_check_value_is_another_for_another_key_and_not_the_key() {
        let key = |byte| IdentityKey { file: PathBuf::from("key"), key: DigestKey::from_bytes([byte; 16]) };
        assert_ne!(key(1).check_value(), key(2).check_value());
        assert_ne!(&key(1).check_value(), key(1).key().as_bytes());
        assert_eq!(key(1).check_value(), key(1).check_value());
    }
}
