//! Deadlines in a pool that already has a million of them, all in one millisecond or spread over five minutes: entering
//! one, reading the next, listing due ones and removing one.
//!
//! Compared with `few`: the same with a thousand spread deadlines, so the difference is the cost of the million. The
//! queue is internal to the inventory. It is measured through the inventory's interface: a change that is entered into
//! subject, stock and queue. Holds, drop and subjects are made before the measurement.

#![expect(clippy::expect_used, reason = "a benchmark that can't run must stop")]

mod common;
#[path = "common/drops.rs"]
mod drops;
#[path = "common/short.rs"]
mod short;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use stockade_counter::stock::Certainty;
use stockade_engine::inventory::{Availability, CountedHold, DropEntry, HoldSlot, HoldTransition, Inventory, Subject};
use stockade_types::digest::DigestKey;
use stockade_types::hold::{ContentHash, Hold, HoldFields, HoldLine, HoldState, Lines};
use stockade_types::ids::{DropNo, ItemNo, Lsn, PoolNo, SubjectKey};
use stockade_types::metrics::Stopwatch;
use stockade_types::record::DropImage;
use stockade_types::time::{Millis, Timestamp};

use common::{customer, hold_id};
use drops::{NOW, TTL, definition};
use short::short;

/// Deadlines that are entered and removed at a time.
const TURN: u64 = 1_000;
/// Holds that a sweep lists at a time.
const SWEEP: usize = 64;
/// A prime step that scatters successive holds.
const STRIDE: u64 = 7_919;

/// The distribution of the deadlines.
#[derive(Clone, Copy)]
struct Shape {
    name: &'static str,
    count: u64,
    spread: Millis,
}

const SHAPES: [Shape; 3] = [
    Shape { name: "few", count: 1_000, spread: TTL },
    Shape { name: "a million in one millisecond", count: 1_000_000, spread: Millis(1) },
    Shape { name: "a million over five minutes", count: 1_000_000, spread: TTL },
];

/// A hold's entry in the queue.
#[derive(Clone, Copy)]
struct Due {
    place: HoldSlot,
    at: Timestamp,
    subject: SubjectKey,
}

/// A pool with deadlines, and some more to enter and remove.
struct Queue {
    inventory: Inventory,
    drop: Arc<DropEntry>,
    /// The hold that is entered again and again, with another place and deadline.
    hold: Hold,
    fresh: Vec<Due>,
    lsn: Lsn,
}

/// Enters a change of a hold with its own subject.
fn enter(inventory: &Inventory, entered: &HoldTransition<'_>, subject: SubjectKey) {
    inventory.subjects.with(&[subject], |subjects| inventory.enter_with(entered, &[subject], subjects));
}

impl Queue {
    fn new(shape: Shape) -> Self {
        let inventory = Inventory::new(DigestKey::from_bytes([1; 16]));
        let definition = definition("knives", shape.count + TURN, Vec::new());
        let image = DropImage { number: DropNo(0), created_at: NOW, definition, request: [0; 32], update: None };
        let drop = Arc::new(DropEntry::new(Lsn(1), image));
        let lines = Lines::from_slice(&[HoldLine::new(ItemNo(0), PoolNo(0), 1)]);
        let hold = Hold::from(HoldFields {
            id: hold_id(0),
            drop: DropNo(0),
            state: HoldState::Held,
            customer: customer(0),
            content: ContentHash(0),
            created_at: NOW,
            expires_at: NOW,
            settled_at: Timestamp(0),
            has_grace: false,
            revision: Lsn(1),
            lines,
            extras: None,
        });
        let due = |n: u64| {
            let mut hold = hold.clone();
            hold.id = hold_id(n);
            let place = inventory.holds.with_id(&hold_id(n), |mut shard| shard.insert(hold));
            let at = NOW.plus(TTL).plus(Millis(n * STRIDE % shape.spread.0));
            Due { place, at, subject: SubjectKey(u128::from_be_bytes(*hold_id(n).as_bytes())) }
        };
        let old: Vec<Due> = (0..shape.count).map(due).collect();
        let fresh = (shape.count..shape.count + TURN).map(due).collect();
        let mut queue = Self { inventory, drop, hold, fresh, lsn: Lsn(1) };
        queue.take(shape.count);
        for due in old {
            queue.enter(due);
        }
        queue
    }

    /// Takes the units of holds that will be entered.
    fn take(&self, units: u64) {
        let pool = self.drop.pool(ItemNo(0), PoolNo(0)).expect("the pool");
        match pool.take(units, Certainty::Certain, NOW) {
            Availability::Yes(taken) => taken.keep(),
            Availability::Short { .. } | Availability::InDoubt | Availability::SweepDue => {
                unreachable!("a unit for each hold")
            }
        }
    }

    /// A hold is made: its deadline is entered.
    fn enter(&mut self, due: Due) {
        let Self { inventory, drop, hold, lsn, .. } = self;
        *lsn = lsn.next();
        (hold.state, hold.revision) = (HoldState::Held, *lsn);
        hold.set_expires_at(due.at);
        let entered = HoldTransition { drop, place: due.place, lsn: *lsn, before: None, after: hold };
        enter(inventory, &entered, due.subject);
    }

    /// It is claimed: its deadline is removed. A release would remove it too, but the hold would be remembered as
    /// ended.
    fn strike(&mut self, due: Due) {
        let Self { inventory, drop, hold, lsn, .. } = self;
        *lsn = lsn.next();
        let before = CountedHold {
            state: HoldState::Held,
            expires_at: due.at,
            conduct_at: None,
            lines: hold.lines().to_lines(),
        };
        (hold.state, hold.revision) = (HoldState::Claimed, *lsn);
        hold.set_expires_at(due.at);
        let entered = HoldTransition { drop, place: due.place, lsn: *lsn, before: Some(&before), after: hold };
        enter(inventory, &entered, due.subject);
    }

    /// Undoes the sale outside of every measurement, so that the same hold can be entered again.
    fn forget(&mut self, due: Due) {
        let Self { inventory, drop, hold, lsn, .. } = self;
        *lsn = lsn.next();
        let before = CountedHold {
            state: HoldState::Claimed,
            expires_at: due.at,
            conduct_at: None,
            lines: hold.lines().to_lines(),
        };
        (hold.state, hold.revision) = (HoldState::Expired, *lsn);
        let entered = HoldTransition { drop, place: due.place, lsn: *lsn, before: Some(&before), after: hold };
        enter(inventory, &entered, due.subject);
        inventory.subjects.with(&[due.subject], |subjects| subjects.fill_with(Subject::default));
        inventory.evict_ended(NOW, Millis(0), 0);
    }

    /// Enters and removes deadlines, `TURN` at a time. Returns the duration of each.
    fn turns(&mut self, cycles: u64) -> (Duration, Duration) {
        let (mut entering, mut striking) = (Duration::ZERO, Duration::ZERO);
        let fresh = self.fresh.clone();
        let mut left = cycles;
        while left > 0 {
            let turn = usize::try_from(left.min(TURN)).expect("a small number");
            self.take(left.min(TURN));
            let watch = Stopwatch::start();
            fresh.iter().take(turn).for_each(|due| self.enter(*due));
            entering += watch.elapsed();
            let watch = Stopwatch::start();
            fresh.iter().take(turn).for_each(|due| self.strike(*due));
            striking += watch.elapsed();
            fresh.iter().take(turn).for_each(|due| self.forget(*due));
            left = left.saturating_sub(TURN);
        }
        (entering, striking)
    }
}

fn deadlines(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("deadlines");
    for shape in SHAPES {
        let mut queue = Queue::new(shape);
        let drop = Arc::clone(&queue.drop);
        let pool = drop.pool(ItemNo(0), PoolNo(0)).expect("the pool");
        let late = NOW.plus(TTL).plus(TTL);
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("enter", shape.name), |bencher| {
            bencher.iter_custom(|cycles| queue.turns(cycles).0);
        });
        group.bench_function(BenchmarkId::new("strike", shape.name), |bencher| {
            bencher.iter_custom(|cycles| queue.turns(cycles).1);
        });
        group.bench_function(BenchmarkId::new("next", shape.name), |bencher| {
            bencher.iter(|| black_box(pool).next_due());
        });
        group.throughput(Throughput::Elements(u64::try_from(SWEEP).expect("a small number")));
        group.bench_function(BenchmarkId::new("due", shape.name), |bencher| {
            bencher.iter(|| black_box(pool).due(late, SWEEP));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = short();
    targets = deadlines
}
criterion_main!(benches);
