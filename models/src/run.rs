//! Runs a model and its threads.

use loom::thread;

use crate::sync::live_at;

/// Maximum preemptions of a run unless `LOOM_MAX_PREEMPTIONS` says otherwise. Each mutant is caught with fewer.
const PREEMPTIONS: usize = 3;
/// Maximum steps of a run; with more it counts as endless.
const STEPS_MAX: usize = 20_000;

/// Runs `model` in every interleaving within the bound.
pub fn check(model: impl Fn() + Sync + Send + 'static) {
    check_within(PREEMPTIONS, model);
}

/// The same for a model of many steps, with its own bound.
pub fn check_within(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.max_branches = STEPS_MAX;
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.check(model);
}

/// A thread that takes from and gives to the shard `home`.
pub fn at<T: 'static>(home: usize, work: impl FnOnce() -> T + 'static) -> thread::JoinHandle<T> {
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
pub fn joined<T>(thread: thread::JoinHandle<T>) -> T {
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
