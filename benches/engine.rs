//! The engine in process, over a journal without a disk: a million live holds of a hundred thousand customers, one
//! limit, a clock that stands still.
//!
//! - `cycle`: reserve and release with their records encoded, on one thread, compared with the target of 2,000,000
//!   reserves a second; the ratio is printed. `oldest` releases a hold that was made a million holds ago, which is in
//!   no cache, instead of the new one. `gathered` uses a log that is as slow as a disk. With a free log the writer has
//!   always caught up and every record wakes it, so the difference shows the cost of a wake-up.
//! - `two threads`: the same on two; `threads.rs` compares them with one.
//! - `refusal`: a sold-out reserve, compared with `cycle`: it must cost almost nothing.
//! - `sweep`: a hundred thousand holds that fall due in one millisecond.
//!
//! Requests and holds are made before the measurement. The journal's writer seals batches on a thread of its own, as in
//! a server.

#![expect(clippy::expect_used, reason = "a benchmark that can't run must stop")]
#![expect(clippy::print_stdout, reason = "the ratio is what this program is for")]

#[path = "common/before.rs"]
mod before;
mod common;
#[path = "common/drops.rs"]
mod drops;
#[path = "common/crowd.rs"]
mod crowd;
#[path = "common/short.rs"]
mod short;

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use stockade_engine::Engine;
use stockade_engine::answer::Outcome;
use stockade_journal::{Log, MemoryLog};
use stockade_types::metrics::Stopwatch;

use before::Before;
use common::hold_id;
use crowd::{CUSTOMERS, Crowd, LIVE, create, engine, fill};
use drops::{NOW, TTL};
use short::short;

const DUE: u64 = 100_000;
/// The target for one thread in reserves a second.
const TARGET: f64 = 2_000_000.0;
/// Runs for the printed ratio, and cycles in each.
const RUNS: usize = 9;
const CYCLES: u32 = 300_000;
/// The approximate duration of an `fdatasync`. While a batch takes so long, the next one gathers.
const FORCING: Duration = Duration::from_micros(120);

/// An engine with the live holds, and the herd that made them.
fn filled(log: impl Log + 'static) -> (Engine, Crowd) {
    let engine = engine(log);
    let crowd = fill(&engine, NOW);
    (engine, crowd)
}

/// The duration of a piece of work, repeated this often.
fn timed(times: u64, mut work: impl FnMut()) -> Duration {
    let watch = Stopwatch::start();
    for _ in 0..times {
        work();
    }
    watch.elapsed()
}

fn cycles(criterion: &mut Criterion) {
    let (engine, mut first) = filled(MemoryLog::ephemeral());
    let mut group = criterion.benchmark_group("engine");
    group.throughput(Throughput::Elements(1));
    let mut oldest = 0;
    group.bench_function("cycle, oldest", |bencher| {
        bencher.iter(|| {
            first.reserve(&engine, NOW);
            first.release(&engine, hold_id(oldest), NOW);
            first.tidy(&engine, NOW);
            oldest += 1;
        });
    });
    let mut crowd = Crowd::new("knives", 0..CUSTOMERS, 100 * LIVE);
    group.bench_function("cycle", |bencher| bencher.iter(|| crowd.cycle(&engine, NOW)));
    ratio("cycle", &engine, &mut crowd);
    two_threads(&mut group, &engine);
    refusal(&mut group, &engine);
    group.finish();
}

/// As `cycle`, over a slow log: the writer is woken once for each batch, not once for each record.
fn gathered(criterion: &mut Criterion) {
    let (engine, mut crowd) = filled(Before(MemoryLog::ephemeral(), || thread::sleep(FORCING)));
    let mut group = criterion.benchmark_group("engine");
    group.throughput(Throughput::Elements(1));
    group.bench_function("cycle, gathered", |bencher| bencher.iter(|| crowd.cycle(&engine, NOW)));
    group.finish();
    ratio("cycle, gathered", &engine, &mut crowd);
}

type Group<'a> = criterion::BenchmarkGroup<'a, criterion::measurement::WallTime>;

fn two_threads(group: &mut Group<'_>, engine: &Engine) {
    let half = CUSTOMERS / 2;
    let mut herds = [Crowd::new("knives", 0..half, 200 * LIVE), Crowd::new("knives", half..CUSTOMERS, 300 * LIVE)];
    group.bench_function("cycle, two threads", |bencher| {
        bencher.iter_custom(|cycles| {
            let (ready, done) = (Barrier::new(3), Barrier::new(3));
            thread::scope(|scope| {
                for crowd in &mut herds {
                    scope.spawn(|| {
                        ready.wait();
                        (0..cycles.div_ceil(2)).for_each(|_| crowd.cycle(engine, NOW));
                        done.wait();
                    });
                }
                ready.wait();
                let watch = Stopwatch::start();
                done.wait();
                watch.elapsed()
            })
        });
    });
}

fn refusal(group: &mut Group<'_>, engine: &Engine) {
    create(engine, "sold-out", 1, NOW);
    let mut late = Crowd::new("sold-out", 0..CUSTOMERS, 400 * LIVE);
    late.reserve(engine, NOW);
    group.bench_function("refusal", |bencher| {
        bencher.iter(|| {
            let (_, answer) = late.ask(engine, NOW);
            assert!(matches!(answer.value, Outcome::Refused(_)), "nothing is left");
        });
    });
}

fn ratio(name: &str, engine: &Engine, crowd: &mut Crowd) {
    let mut rates: Vec<f64> = (0..RUNS)
        .map(|_| f64::from(CYCLES) / timed(CYCLES.into(), || crowd.cycle(engine, NOW)).as_secs_f64())
        .collect();
    rates.sort_by(f64::total_cmp);
    let median = rates.get(RUNS / 2).copied().unwrap_or(f64::NAN);
    println!("{name}: reserves a second, median of {RUNS} runs: {median:.0}, {:.2} of {TARGET:.0}", median / TARGET);
}

fn sweep(criterion: &mut Criterion) {
    let engine = engine(MemoryLog::ephemeral());
    create(&engine, "knives", DUE, NOW);
    let mut crowd = Crowd::new("knives", 0..CUSTOMERS, 0);
    let mut now = NOW;
    let mut group = criterion.benchmark_group("engine");
    group.throughput(Throughput::Elements(DUE)).sample_size(10);
    group.bench_function("sweep", |bencher| {
        bencher.iter_custom(|times| {
            let mut taken = Duration::ZERO;
            for _ in 0..times {
                for _ in 0..DUE {
                    crowd.reserve(&engine, now);
                }
                now = now.plus(TTL);
                taken += timed(1, || while engine.sweep(now).expect("a sweep") > 0 {});
                assert_eq!(engine.inventory().owned(), 0, "all were given back");
                while engine.evict_ended(now) > 0 {}
            }
            taken
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = short();
    targets = cycles, gathered, sweep
}
criterion_main!(benches);
