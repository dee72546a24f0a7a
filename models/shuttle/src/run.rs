//! Runs a model and its threads.

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner, thread};

use crate::sync::live_at;

/// Schedules of a run unless `STOCKADE_SCHEDULES` says otherwise. Half of them are random. The other half change
/// threads only a few times at random places, which finds faults that need a thread to sleep for long.
const SCHEDULES: usize = 16_000;
/// Thread changes in the second half.
const CHANGES: usize = 3;
/// Maximum steps of a schedule; with more it counts as endless.
const STEPS_MAX: usize = 1_000_000;
/// The seed of the schedules, unless `STOCKADE_SCHEDULES_SEED` says otherwise.
const SEED: u64 = 1;

#[expect(clippy::disallowed_methods, reason = "what a run is asked for; the product's own settings have their door")]
#[expect(clippy::expect_used, reason = "a run that was asked for wrongly must stop")]
fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Runs `model` in the wanted number of schedules. A failing one is printed; [`shuttle::replay`] repeats it.
pub fn check(model: impl Fn() + Sync + Send + 'static) {
    let schedules = asked("STOCKADE_SCHEDULES").and_then(|asked| usize::try_from(asked).ok()).unwrap_or(SCHEDULES);
    let seed = asked("STOCKADE_SCHEDULES_SEED").unwrap_or(SEED);
    let model = std::sync::Arc::new(model);
    let mut config = Config::new();
    config.max_steps = MaxSteps::FailAfter(STEPS_MAX);
    config.failure_persistence = FailurePersistence::Print;
    let again = model.clone();
    Runner::new(RandomScheduler::new_from_seed(seed, schedules.div_ceil(2)), config.clone()).run(move || again());
    Runner::new(PctScheduler::new_from_seed(seed, CHANGES, schedules / 2), config).run(move || model());
}

/// A thread that takes from and gives to the shard `home`.
pub fn at<T: Send + 'static>(home: usize, work: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
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
