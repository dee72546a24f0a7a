//! A journal's name.

use std::fmt;
use std::io;

/// A journal's name: random, so that no two have the same. The ids of events begin with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct JournalName(u64);

impl JournalName {
    /// A new random name.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn random() -> io::Result<Self> {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        Ok(Self(u64::from_le_bytes(bytes)))
    }

    /// Decodes it.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_le_bytes(bytes))
    }

    /// Encodes it.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }
}

impl fmt::Display for JournalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
