//! What the scenarios of a model share: threads, and tries. Only in a build for a model checker.

use crate::sync::live_at;
use crate::sync::thread::{self, JoinHandle};

/// A thread that takes from and gives to the shard `home`.
pub fn at<T: Send + 'static>(home: usize, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    thread::spawn(move || {
        live_at(home);
        work()
    })
}

/// The result of a thread.
///
/// # Panics
/// If the thread panicked.
#[expect(clippy::expect_used, reason = "a panic of a model's thread is the finding")]
pub fn joined<T>(thread: JoinHandle<T>) -> T {
    thread.join().expect("a thread that ends well")
}

/// Tries again while `attempt` has no answer.
pub fn until<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(answer) = attempt() {
            return answer;
        }
        // Tells the checker that this thread can't progress until another thread runs.
        thread::yield_now();
    }
}
