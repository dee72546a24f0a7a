//! The open loop: requests are sent when the schedule says, and their time counts from then. If a server falls behind,
//! its queue shows in the latencies.
//!
//! A dedicated thread keeps the time, since a runtime's timers are no finer than a millisecond.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use stockade_drill::Failure;
use stockade_types::metrics::Stopwatch;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// The thread never sleeps for less than this; arrivals that are due meanwhile are sent together.
const SLEEP_MIN: Duration = Duration::from_micros(50);
/// Nor for longer: it must notice when the loop is cancelled.
const SLEEP_MAX: Duration = Duration::from_millis(50);

/// Stops the thread when the loop is cancelled.
struct GivenUp(Arc<AtomicBool>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        // Relaxed: the flag carries no other data.
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sends each arrival when it is due, and waits until all are answered. While `most` are in flight, later ones wait
/// here, and their time counts.
///
/// `visit` gets the arrival's number and its due time by `watch`.
///
/// # Errors
/// When the thread can't be started.
pub async fn run<F>(
    arrivals: Vec<u64>,
    watch: Stopwatch,
    most: u32,
    visit: impl Fn(u64, Duration) -> F + Send + 'static,
) -> Result<(), Failure>
where
    F: Future<Output = ()> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(usize::try_from(most).unwrap_or(usize::MAX)));
    let given_up = GivenUp(Arc::default());
    let (stop, keeper_room, runtime) = (Arc::clone(&given_up.0), Arc::clone(&room), Handle::current());
    let keeper = move || {
        for (number, at) in (0_u64..).zip(arrivals) {
            let due = Duration::from_nanos(at);
            if !wait(due, watch, &stop) {
                return;
            }
            let permit = match Arc::clone(&keeper_room).try_acquire_owned() {
                Ok(permit) => permit,
                Err(_full) => match runtime.block_on(Arc::clone(&keeper_room).acquire_owned()) {
                    Ok(permit) => permit,
                    Err(_closed) => return,
                },
            };
            let visit = visit(number, due);
            runtime.spawn(async move {
                visit.await;
                drop(permit);
            });
        }
    };
    tokio::task::spawn_blocking(keeper).await.map_err(|_panic| Failure::Bug("the timekeeping thread panicked"))?;
    // All permits are free once all visits are answered.
    let _all = room.acquire_many(most).await.map_err(|_closed| Failure::Bug("the semaphore is never closed"))?;
    Ok(())
}

/// Waits until the due time. Returns whether the loop still runs.
fn wait(due: Duration, watch: Stopwatch, stop: &AtomicBool) -> bool {
    loop {
        if stop.load(Ordering::Relaxed) {
            return false;
        }
        let left = due.saturating_sub(watch.elapsed());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.clamp(SLEEP_MIN, SLEEP_MAX));
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    const MILLISECOND: u64 = 1_000_000;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_slow_answer_does_not_hold_the_next_request_back() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (watch, reported) = (Stopwatch::start(), Arc::clone(&seen));
        let visit = move |number, due: Duration| {
            let reported = Arc::clone(&reported);
            async move {
                reported.lock().push((number, watch.elapsed().saturating_sub(due)));
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        run(vec![0, 5 * MILLISECOND, 10 * MILLISECOND], watch, 10, visit).await.expect("runs");
        let seen = seen.lock();
        assert_eq!(seen.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0, 1, 2]);
        // All began before the first was answered.
        assert!(seen.iter().all(|(_, late)| *late < Duration::from_millis(150)), "{seen:?}");
        assert!(watch.elapsed() >= Duration::from_millis(200), "and all are waited for");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_time_of_those_that_find_no_room_runs_all_the_same() {
        let longest = Arc::new(Mutex::new(Duration::ZERO));
        let (watch, reported) = (Stopwatch::start(), Arc::clone(&longest));
        let visit = move |_number, due: Duration| {
            let reported = Arc::clone(&reported);
            async move {
                tokio::time::sleep(Duration::from_millis(30)).await;
                let took = watch.elapsed().saturating_sub(due);
                let mut reported = reported.lock();
                *reported = took.max(*reported);
            }
        };
        run(vec![0, 0, 0, 0], watch, 1, visit).await.expect("runs");
        assert!(*longest.lock() >= Duration::from_millis(120), "the fourth waited for three: {longest:?}");
    }
}
