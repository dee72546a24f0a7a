//! The counterpart of the server's `crate::sync` in this checker's types, with the same names and signatures.

use std::cell::Cell;
use std::sync::{PoisonError, TryLockError};

pub use shuttle::sync::MutexGuard;
pub use shuttle::sync::atomic::{AtomicU64, Ordering};
pub use shuttle::thread_local;

pub use crate::once::OnceLock;

shuttle::thread_local! {
    static HOME: Cell<usize> = Cell::new(0);
}

/// The calling thread's home; the first shard unless [`live_at`] said otherwise.
pub fn home() -> usize {
    HOME.with(Cell::get)
}

/// Sets the calling thread's home, so that every run of a model assigns the same ones.
pub fn live_at(home: usize) {
    HOME.with(|cell| cell.set(home));
}

/// Never called: the models specify the number of shards.
pub fn parallelism() -> usize {
    2
}

/// A mutex with `parking_lot`'s signatures.
#[derive(Debug)]
pub struct Mutex<T>(shuttle::sync::Mutex<T>);

impl<T> Mutex<T> {
    /// A mutex around `value`.
    pub fn new(value: T) -> Self {
        Self(shuttle::sync::Mutex::new(value))
    }

    /// Waits for the lock.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock, if it is free.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// Threads that sleep until they are unparked, since time does not pass here.
pub mod thread {
    use std::time::Duration;

    pub use shuttle::thread::{Thread, current, park, park_timeout};

    /// Lets other threads run.
    pub fn sleep(_time: Duration) {
        shuttle::thread::yield_now();
    }
}
