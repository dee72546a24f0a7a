//! The gain of a second thread: cycles of reserve and release by one thread and by two, in alternating rounds, so that
//! changes in the machine's speed affect all rows alike. Each round has a ratio; the median is printed.
//!
//! - `one pool`: two threads on one SKU of one drop.
//! - `two drops`: a drop for each thread. They still share the journal and the tables of holds and subjects.
//! - `two engines`: nothing is shared but the machine. This row is the machine's maximum: the two threads run while two
//!   journals' writers run.

#![expect(clippy::expect_used, reason = "a benchmark that can't run must stop")]
#![expect(clippy::print_stdout, reason = "the ratios are what this program is for")]

mod common;
#[path = "common/drops.rs"]
mod drops;
#[path = "common/crowd.rs"]
mod crowd;

use std::sync::Barrier;
use std::thread;

use stockade_engine::Engine;
use stockade_journal::MemoryLog;
use stockade_types::metrics::Stopwatch;

use crowd::{CUSTOMERS, Crowd, LIVE, create, engine, fill};
use drops::NOW;

const ROUNDS: usize = 41;
/// Cycles of one thread in one round: about a tenth of a second.
const CYCLES: u32 = 20_000;

/// Cycles a second of all pairs together, each on a thread of its own.
fn rate(pairs: &mut [(&Engine, &mut Crowd)]) -> f64 {
    let threads = u32::try_from(pairs.len()).expect("few");
    let (ready, done) = (Barrier::new(pairs.len() + 1), Barrier::new(pairs.len() + 1));
    let elapsed = thread::scope(|scope| {
        for (engine, crowd) in pairs {
            scope.spawn(|| {
                ready.wait();
                (0..CYCLES).for_each(|_| crowd.cycle(engine, NOW));
                done.wait();
            });
        }
        ready.wait();
        let watch = Stopwatch::start();
        done.wait();
        watch.elapsed()
    });
    f64::from(threads * CYCLES) / elapsed.as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn main() {
    let (first, second) = (engine(MemoryLog::ephemeral()), engine(MemoryLog::ephemeral()));
    fill(&first, NOW);
    fill(&second, NOW);
    create(&first, "spoons", 2 * LIVE, NOW);
    let half = CUSTOMERS / 2;
    let mut one = Crowd::new("knives", 0..half, 100 * LIVE);
    let mut other = Crowd::new("knives", half..CUSTOMERS, 200 * LIVE);
    let mut spoons = Crowd::new("spoons", half..CUSTOMERS, 300 * LIVE);
    let mut elsewhere = Crowd::new("knives", half..CUSTOMERS, 400 * LIVE);
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        rounds.push([
            rate(&mut [(&first, &mut one)]),
            rate(&mut [(&first, &mut one), (&first, &mut other)]),
            rate(&mut [(&first, &mut one), (&first, &mut spoons)]),
            rate(&mut [(&first, &mut one), (&second, &mut elsewhere)]),
        ]);
    }
    let of = |value: &dyn Fn(&[f64; 4]) -> f64| median(rounds.iter().map(value).collect());
    println!("one thread: {:.0} cycles a second, median of {ROUNDS} rounds", of(&|round| round[0]));
    println!("two threads, one pool:    {:.2} of one thread", of(&|round| round[1] / round[0]));
    println!("two threads, two drops:   {:.2} of one thread", of(&|round| round[2] / round[0]));
    println!("two threads, two engines: {:.2} of one thread", of(&|round| round[3] / round[0]));
}
