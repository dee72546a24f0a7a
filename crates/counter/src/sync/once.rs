//! `std::sync::OnceLock` in the checker's types: as there, an atomic that the checker sees says whether it is set.

use super::checked::{AtomicU64, Mutex, Ordering};

/// A value that is set once.
#[derive(Debug)]
pub struct OnceLock<T> {
    value: std::sync::OnceLock<T>,
    is_set: AtomicU64,
    /// A second setter waits until the first has finished.
    setting: Mutex<()>,
}

impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> OnceLock<T> {
    /// An unset value.
    #[must_use]
    pub fn new() -> Self {
        Self { value: std::sync::OnceLock::new(), is_set: AtomicU64::new(0), setting: Mutex::new(()) }
    }

    /// The value, if it is set.
    pub fn get(&self) -> Option<&T> {
        if self.is_set.load(Ordering::Acquire) == 0 { None } else { self.value.get() }
    }

    /// Sets the value, unless it is set.
    ///
    /// # Errors
    /// With the given value, if it was set before.
    pub fn set(&self, value: T) -> Result<(), T> {
        let _setting = self.setting.lock();
        self.value.set(value)?;
        self.is_set.store(1, Ordering::Release);
        Ok(())
    }
}
