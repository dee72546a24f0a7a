//! The counterpart of the server's `crate::sync` in the checker's types, with the same names and signatures.

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

    /// The lock, if it is free.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// Threads that sleep until they are unparked.
pub mod thread {
    use std::sync::Arc;
    use std::time::Duration;

    use loom::sync::Notify;

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

    /// Sleeps until it is unparked: nothing may depend on the timeout.
    pub fn park_timeout(_most: Duration) {
        park();
    }

    /// Lets other threads run.
    pub fn sleep(_time: Duration) {
        loom::thread::yield_now();
    }
}
