//! Atomics, locks and threads of a usual build.

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicUsize;

pub use std::sync::OnceLock;
pub use std::sync::atomic::{AtomicU64, Ordering};
pub use std::thread_local;

pub use parking_lot::{Mutex, MutexGuard};

/// Threads, and functions to park them.
pub mod thread {
    pub use std::thread::{Thread, current, park, park_timeout, sleep};
}

static NEXT_HOME: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static HOME: Cell<Option<usize>> = const { Cell::new(None) };
}

/// This thread's home: a number assigned round-robin, fixed for the thread's life. Code that splits data over cache
/// lines uses it modulo the number of lines, so that threads rarely share one.
#[inline]
pub fn home() -> usize {
    HOME.get().unwrap_or_else(deal_home)
}

#[cold]
fn deal_home() -> usize {
    // Relaxed: the number orders no other data; it only has to be distinct.
    let home = NEXT_HOME.fetch_add(1, Ordering::Relaxed);
    HOME.set(Some(home));
    home
}

/// How many threads this machine runs at once. Computed once, because it reads the cgroup's files.
pub fn parallelism() -> usize {
    static ASKED: OnceLock<usize> = OnceLock::new();
    *ASKED.get_or_init(|| std::thread::available_parallelism().map_or(1, NonZeroUsize::get))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_its_home_and_shares_it_with_no_neighbour() {
        let here = home();
        assert_eq!(home(), here);
        let there = std::thread::spawn(|| (home(), home())).join().expect("a home");
        assert_eq!(there.0, there.1);
        assert_ne!(there.0, here);
    }
}
