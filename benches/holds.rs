//! The table of holds: insert, find, change and remove, with ten thousand holds in it and with a million.
//!
//! The two sizes are compared: a million may cost more only because of the caches. There is one thread, so no shard is
//! contended. Ids and holds are made before the measurement.

#![expect(clippy::expect_used, reason = "a benchmark that can't run must stop")]

mod common;
#[path = "common/short.rs"]
mod short;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use stockade_engine::inventory::{HoldSlot, Holds};
use stockade_types::digest::DigestKey;
use stockade_types::hold::{Change, ContentHash, Hold, HoldFields, HoldLine, HoldState, Lines};
use stockade_types::ids::{DropNo, ItemNo, Lsn, PoolNo};
use stockade_types::metrics::Stopwatch;
use stockade_types::time::Timestamp;

use common::{customer, hold_id};
use short::short;

const SIZES: [u64; 2] = [10_000, 1_000_000];
/// Holds that are inserted and removed at a time: a tenth of the small table, so that it stays small.
const TURN: u64 = 1_000;
/// A prime step through the table that visits every hold in no order of the table.
const STRIDE: u64 = 7_919;

fn hold(n: u64) -> Hold {
    Hold::from(HoldFields {
        id: hold_id(n),
        drop: DropNo(0),
        state: HoldState::Held,
        customer: customer(n),
        content: ContentHash(n),
        created_at: Timestamp(0),
        expires_at: Timestamp(300_000),
        settled_at: Timestamp(0),
        has_grace: false,
        revision: Lsn(1),
        lines: Lines::from_slice(&[HoldLine::new(ItemNo(0), PoolNo(0), 1)]),
        extras: None,
    })
}

fn insert(holds: &Holds, hold: Hold) -> HoldSlot {
    holds.with_id(&hold.id.clone(), |mut shard| shard.insert(hold))
}

fn filled(size: u64) -> Holds {
    let holds = Holds::new(&DigestKey::from_bytes([1; 16]));
    for n in 0..size {
        insert(&holds, hold(n));
    }
    holds
}

/// Inserts and removes `TURN` holds at a time. Returns the durations of inserting and removing.
fn turns(holds: &Holds, size: u64, cycles: u64) -> (Duration, Duration) {
    let (mut inserting, mut removing) = (Duration::ZERO, Duration::ZERO);
    let mut left = cycles;
    while left > 0 {
        let turn = left.min(TURN);
        let fresh: Vec<Hold> = (size..size + turn).map(hold).collect();
        let mut places = Vec::with_capacity(fresh.len());
        let watch = Stopwatch::start();
        places.extend(fresh.into_iter().map(|hold| insert(holds, hold)));
        inserting += watch.elapsed();
        let mut removed = Vec::with_capacity(places.len());
        let watch = Stopwatch::start();
        removed.extend(places.into_iter().map(|place| holds.with_ref(place, |mut shard| shard.remove(place))));
        removing += watch.elapsed();
        left -= turn;
    }
    (inserting, removing)
}

fn table(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("holds");
    group.throughput(Throughput::Elements(1));
    for size in SIZES {
        let holds = filled(size);
        let ids: Vec<_> = (0..size).map(|n| hold_id(n * STRIDE % size)).collect();
        let mut cycle = ids.iter().cycle();
        group.bench_function(BenchmarkId::new("find", size), |bencher| {
            bencher.iter(|| {
                let id = cycle.next().expect("an endless walk");
                holds.with_id(black_box(id), |shard| shard.find(id)).expect("a hold")
            });
        });
        let mut lsn = Lsn(1);
        group.bench_function(BenchmarkId::new("find and change", size), |bencher| {
            bencher.iter(|| {
                let id = cycle.next().expect("an endless walk");
                lsn = lsn.next();
                let change = Change::Extended { expires_at: Timestamp(300_000 + lsn.0) };
                let before = holds.with_id(black_box(id), |mut shard| {
                    shard.change(shard.find(id)?, lsn, |hold| hold.change(&change)).map(|(before, _)| before)
                });
                before.expect("a change")
            });
        });
        group.bench_function(BenchmarkId::new("insert", size), |bencher| {
            bencher.iter_custom(|cycles| turns(&holds, size, cycles).0);
        });
        group.bench_function(BenchmarkId::new("remove", size), |bencher| {
            bencher.iter_custom(|cycles| turns(&holds, size, cycles).1);
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = short();
    targets = table
}
criterion_main!(benches);
