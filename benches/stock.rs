//! Contention on one pool: the stock counter against one atomic word and against a mutex.
//!
//! Each thread takes a unit and gives it back, over and over. The counter is measured with many units, where it uses
//! its shards, and with few, where all threads contend for one word and no refusal may be false. In addition to
//! criterion's report it prints medians of alternating runs, and the ratio of the counter's to the atomic word's.
#![expect(clippy::print_stdout, reason = "the ratios are what this program is for")]

#[path = "common/short.rs"]
mod short;

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use parking_lot::Mutex;
use stockade_counter::stock::{Certainty, StockCounter, TakeResult};
use stockade_types::metrics::Stopwatch;

use short::short;

const THREADS: [u64; 4] = [1, 2, 4, 8];
const PLENTY: u64 = 1_000_000_000;
/// Too few units to spread: the counter stays folded.
const FEW: u64 = 100;
/// Alternating runs for the ratios, and cycles in each.
const PAIRS: usize = 9;
const CYCLES: u64 = 400_000;

/// A pool to take a unit from and to give it back to.
trait Pool: Sync {
    fn cycle(&self);
}

struct Sharded(StockCounter);

impl Pool for Sharded {
    fn cycle(&self) {
        if let TakeResult::Taken(taken) = self.0.take(1, Certainty::Certain) {
            taken.keep();
            self.0.give(black_box(1));
        }
    }
}

struct OneAtomic(AtomicU64);

impl Pool for OneAtomic {
    fn cycle(&self) {
        let mut free = self.0.load(Ordering::Acquire);
        while let Some(rest) = free.checked_sub(1) {
            match self.0.compare_exchange_weak(free, rest, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    self.0.fetch_add(black_box(1), Ordering::AcqRel);
                    return;
                }
                Err(found) => free = found,
            }
        }
    }
}

struct Locked(Mutex<u64>);

impl Pool for Locked {
    fn cycle(&self) {
        let rest = self.0.lock().checked_sub(1);
        if let Some(rest) = rest {
            *self.0.lock() = black_box(rest + 1);
        }
    }
}

/// The pools; the others are compared with the second.
fn contenders() -> [(&'static str, Box<dyn Pool>); 4] {
    [
        ("sharded", Box::new(Sharded(StockCounter::new(PLENTY)))),
        ("one atomic", Box::new(OneAtomic(AtomicU64::new(PLENTY)))),
        ("mutex", Box::new(Locked(Mutex::new(PLENTY)))),
        ("folded", Box::new(Sharded(StockCounter::new(FEW)))),
    ]
}

/// The time that `threads` take together for `cycles`, from the moment all are ready.
fn crowd(pool: &dyn Pool, threads: u64, cycles: u64) -> Duration {
    let all = usize::try_from(threads).unwrap_or(usize::MAX).saturating_add(1);
    let (ready, done) = (Barrier::new(all), Barrier::new(all));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                ready.wait();
                for _ in 0..cycles.div_ceil(threads) {
                    pool.cycle();
                }
                done.wait();
            });
        }
        ready.wait();
        let watch = Stopwatch::start();
        done.wait();
        watch.elapsed()
    })
}

fn contention(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("take and give back");
    group.throughput(Throughput::Elements(1));
    for threads in THREADS {
        for (name, pool) in contenders() {
            group.bench_function(BenchmarkId::new(name, threads), |bencher| {
                bencher.iter_custom(|cycles| crowd(&*pool, threads, cycles));
            });
        }
    }
    group.finish();
}

fn refusal(criterion: &mut Criterion) {
    let counter = StockCounter::new(0);
    criterion.bench_function("refusal of a sold out pool", |bencher| bencher.iter(|| counter.peek(black_box(1))));
}

fn ratios(_: &mut Criterion) {
    println!("medians of {PAIRS} alternating runs, million cycles a second (ratio to one atomic)");
    for threads in THREADS {
        let pools = contenders();
        let mut times = pools.each_ref().map(|_| Vec::with_capacity(PAIRS));
        for _ in 0..PAIRS {
            for ((_, pool), times) in pools.iter().zip(&mut times) {
                times.push(crowd(&**pool, threads, CYCLES).as_secs_f64());
            }
        }
        let medians = times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            times.get(PAIRS / 2).copied().unwrap_or(f64::NAN)
        });
        let [_, atomic, _, _] = medians;
        print!("{threads} threads:");
        for ((name, _), median) in pools.iter().zip(medians) {
            print!("  {name} {:.1} ({:.2})", 0.4 / median, atomic / median);
        }
        println!();
    }
}

criterion_group! {
    name = benches;
    config = short();
    targets = contention, refusal, ratios
}
criterion_main!(benches);
