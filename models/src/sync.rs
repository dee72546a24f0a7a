//! What `crate::sync` is in the server, in the checker's types: the same names, the same signatures.

use std::cell::Cell;
use std::sync::{PoisonError, TryLockError};

pub use loom::sync::MutexGuard;
pub use loom::sync::atomic::{AtomicU64, Ordering};

pub use crate::once::OnceLock;

macro_rules! local {
    ($(#[$doc:meta])* static $name:ident: $t:ty = const $init:block;) => {
        loom::thread_local! { $(#[$doc])* static $name: $t = $init; }
    };
}

pub(crate) use local as thread_local;

loom::thread_local! {
    static HOME: Cell<usize> = Cell::new(0);
}

/// The calling thread's home; the first shard unless [`live_at`] said otherwise.
pub fn home() -> usize {
    HOME.with(Cell::get)
}

/// Gives the calling thread a home, so that each run of a model deals the same ones.
pub fn live_at(home: usize) {
    HOME.with(|cell| cell.set(home));
}

/// The models always say how many shards they want.
pub fn parallelism() -> usize {
    2
}

/// A mutex with `parking_lot`'s signatures.
#[derive(Debug)]
pub struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    /// A mutex around `value`.
    pub fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    /// Waits for the lock.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock, if nobody has it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// Threads, and how they sleep: for ever, or until they are called, or by chance once.
pub mod thread {
    use std::sync::Arc;
    use std::time::Duration;

    use loom::sync::Notify;

    loom::thread_local! {
        static THIS: Thread = Thread(Arc::new(Notify::new()));
    }

    /// A thread's handle. The checker's own wakes who waits for a lock, too.
    #[derive(Debug, Clone)]
    pub struct Thread(Arc<Notify>);

    impl Thread {
        /// Calls it.
        pub fn unpark(&self) {
            self.0.notify();
        }
    }

    /// This thread's handle.
    pub fn current() -> Thread {
        THIS.with(Clone::clone)
    }

    /// Sleeps.
    pub fn park() {
        current().0.wait();
    }

    /// Sleeps: nothing may rest on the time's being short.
    pub fn park_timeout(_most: Duration) {
        park();
    }

    /// Lets others go on.
    pub fn sleep(_time: Duration) {
        loom::thread::yield_now();
    }
}
