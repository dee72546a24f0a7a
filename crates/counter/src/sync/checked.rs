//! Atomics, locks and threads of a model checker, with the names and signatures of a usual build.

use std::cell::Cell;
use std::sync::{PoisonError, TryLockError};

#[cfg(loom)]
#[doc(hidden)]
pub use loom as checker;
#[cfg(shuttle)]
#[doc(hidden)]
pub use shuttle as checker;

pub use checker::sync::MutexGuard;
pub use checker::sync::atomic::{AtomicU64, Ordering};

pub use super::once::OnceLock;
pub use crate::checked_thread_local as thread_local;

/// As the standard library's; the checker's own does not take every form of it.
#[doc(hidden)]
#[macro_export]
macro_rules! checked_thread_local {
    ($(#[$doc:meta])* static $name:ident: $t:ty = const $init:block;) => {
        $crate::sync::checker::thread_local! { $(#[$doc])* static $name: $t = $init; }
    };
}

checker::thread_local! {
    static HOME: Cell<usize> = Cell::new(0);
}

/// The calling thread's home; the first unless [`live_at`] said otherwise.
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
pub struct Mutex<T>(checker::sync::Mutex<T>);

impl<T> Mutex<T> {
    /// A mutex around `value`.
    pub fn new(value: T) -> Self {
        Self(checker::sync::Mutex::new(value))
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

/// Threads that sleep until they are unparked: no timeout ever passes, so nothing may depend on one.
#[cfg(loom)]
pub mod thread {
    use std::sync::Arc;
    use std::time::Duration;

    use loom::sync::Notify;
    pub use loom::thread::{JoinHandle, spawn, yield_now};

    loom::thread_local! {
        static THIS: Thread = Thread(Arc::new(Notify::new()));
    }

    /// A thread's handle. Not the checker's own, which also wakes threads that wait for a lock.
    #[derive(Debug, Clone)]
    pub struct Thread(Arc<Notify>);

    impl Thread {
        /// Unparks it.
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

    /// Sleeps until it is unparked.
    pub fn park_timeout(_most: Duration) {
        park();
    }

    /// Lets other threads run.
    pub fn sleep(_time: Duration) {
        yield_now();
    }
}

/// Threads that sleep until they are unparked: no timeout ever passes, so nothing may depend on one.
#[cfg(shuttle)]
pub mod thread {
    use std::time::Duration;

    pub use shuttle::thread::{JoinHandle, Thread, current, park, park_timeout, spawn, yield_now};

    /// Lets other threads run.
    pub fn sleep(_time: Duration) {
        yield_now();
    }
}
