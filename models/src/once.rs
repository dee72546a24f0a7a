//! `std::sync::OnceLock` in the checker's types: that it was set is an atomic, as there, which the checker sees.

use crate::sync::{AtomicU64, Mutex, Ordering};

/// A value that is set once.
#[derive(Debug)]
pub struct OnceLock<T> {
    value: std::sync::OnceLock<T>,
    is_set: AtomicU64,
    /// Who comes second waits until the first is through.
    setting: Mutex<()>,
}

impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> OnceLock<T> {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self { value: std::sync::OnceLock::new(), is_set: AtomicU64::new(0), setting: Mutex::new(()) }
    }

    /// The value, once it was set.
    pub fn get(&self) -> Option<&T> {
        if self.is_set.load(Ordering::Acquire) == 0 { None } else { self.value.get() }
    }

    /// Sets it, unless it is.
    ///
    /// # Errors
    /// With what was not taken.
    pub fn set(&self, value: T) -> Result<(), T> {
        let _setting = self.setting.lock();
        self.value.set(value)?;
        self.is_set.store(1, Ordering::Release);
        Ok(())
    }
}
