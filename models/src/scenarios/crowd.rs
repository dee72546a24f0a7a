//! Many threads with many operations: too many for every interleaving, so this runs in random schedules.
//!
//! Refusals are checked against a shadow of the pool in plain atomics, which the checker does not see, so that it never
//! switches threads between a step and its shadow.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering as Plain};

use parking_lot::Mutex as PlainMutex;
use stockade_counter::model::{at, joined, until};
use stockade_counter::stock::{Certainty, PeekResult, StockCounter, TakeResult};
use stockade_counter::sync::live_at;

use super::{FIRST, SECOND, assert_left};

/// Operations of each thread.
const OPERATIONS: u64 = 8;

/// Units that were surely free: given before, less those that a thread keeps, or has requested and may keep. Units of
/// carts that will fail are included: they are free or in doubt all the time.
#[derive(Debug)]
struct Shadow {
    free: AtomicI64,
    /// For each observation, the least number of free units since its start.
    least: PlainMutex<Vec<i64>>,
}

impl Shadow {
    fn new(units: u64) -> Self {
        Self { free: AtomicI64::new(signed(units)), least: PlainMutex::new(Vec::new()) }
    }

    fn change(&self, by: i64) {
        let mut least = self.least.lock();
        let now = self.free.fetch_add(by, Plain::Relaxed) + by;
        least.iter_mut().for_each(|least| *least = (*least).min(now));
    }

    /// Begins an observation of the number of free units.
    fn watch(&self) -> usize {
        let mut least = self.least.lock();
        least.push(self.free.load(Plain::Relaxed));
        least.len() - 1
    }

    fn least_since(&self, watch: usize) -> i64 {
        let least = self.least.lock();
        least.get(watch).copied().unwrap_or(i64::MAX)
    }
}

fn signed(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}

/// The pool and its shadow.
#[derive(Debug)]
struct Crowded {
    pool: StockCounter,
    shadow: Shadow,
}

impl Crowded {
    /// Requests units and keeps what it gets. A refusal must have been right at one instant. Returns the number of
    /// units.
    fn buy(&self, units: u64, all: bool) -> u64 {
        let asked = signed(units);
        self.shadow.change(-asked);
        let watch = self.shadow.watch();
        let got = until(|| {
            let take = if all { self.pool.take(units, Certainty::Certain) } else { self.pool.take_up_to(units) };
            match take {
                TakeResult::Taken(taken) => {
                    let got = taken.units();
                    taken.keep();
                    Some(got)
                }
                TakeResult::Short { .. } => Some(0),
                TakeResult::InDoubt => None,
            }
        });
        if got < units {
            // The shadow already excludes this request's units, so a true refusal leaves it negative at some instant.
            assert!(self.shadow.least_since(watch) < 0, "a false sold out: {got} of {units}");
        }
        self.shadow.change(asked - signed(got));
        got
    }

    /// A cart that gets its units in doubt and keeps them.
    fn cart(&self, units: u64) -> u64 {
        let asked = signed(units);
        self.shadow.change(-asked);
        let watch = self.shadow.watch();
        let got = until(|| match self.pool.take(units, Certainty::Doubtful) {
            TakeResult::Taken(taken) => {
                taken.keep();
                Some(units)
            }
            TakeResult::Short { .. } => Some(0),
            TakeResult::InDoubt => None,
        });
        assert!(got == units || self.shadow.least_since(watch) < 0, "a false sold out of a cart");
        self.shadow.change(asked - signed(got));
        got
    }

    /// A cart whose other line fails.
    fn failing_cart(&self, units: u64) {
        drop(self.pool.take(units, Certainty::Doubtful));
    }

    /// A look that refuses must have been right at one instant.
    fn peek(&self, units: u64) {
        let watch = self.shadow.watch();
        if let PeekResult::Short { .. } = self.pool.peek(units) {
            assert!(self.shadow.least_since(watch) < signed(units), "a false sold out of a look");
        }
    }

    fn give(&self, units: u64) {
        self.pool.give(units);
        self.shadow.change(signed(units));
    }
}

/// Six threads buy, fill carts that fail or succeed, take up to a number, give and count, while the pool folds and
/// spreads. No refusal is false, and in the end exactly the units that were not kept are free.
pub fn a_crowd_is_never_refused_wrongly() {
    let begun = 14;
    let crowd = Arc::new(Crowded { pool: StockCounter::with_shape(begun, 2, 3), shadow: Shadow::new(begun) });
    let threads: Vec<_> = (0..6_u64)
        .map(|thread| {
            let crowd = crowd.clone();
            at(if thread % 2 == 0 { FIRST } else { SECOND }, move || {
                let (mut kept, mut given) = (0, 0);
                for n in 0..OPERATIONS {
                    let units = 1 + (thread + n) % 3;
                    match (thread, n % 4) {
                        (0 | 1, _) => kept += crowd.buy(units, true),
                        (2, 0 | 1) | (3, 3) => crowd.failing_cart(units),
                        (2, _) => kept += crowd.cart(units),
                        (3, _) => kept += crowd.buy(units, false),
                        (4, 0 | 2) => {
                            crowd.give(units);
                            given += units;
                        }
                        (4, _) => kept += crowd.buy(1, true),
                        (_, 0 | 2) => crowd.peek(1),
                        // Units that no thread took are never counted twice.
                        _ => assert!(crowd.pool.sum() <= begun + 2 * 3 * OPERATIONS, "units made"),
                    }
                }
                (kept, given)
            })
        })
        .collect();
    let sums: Vec<(u64, u64)> = threads.into_iter().map(joined).collect();
    let kept: u64 = sums.iter().map(|(kept, _)| kept).sum();
    let given: u64 = sums.iter().map(|(_, given)| given).sum();
    assert!(kept <= begun + given, "oversold");
    live_at(FIRST);
    assert_left(&crowd.pool, begun + given - kept);
}

/// Two threads take up to two units and then give as many back, while carts fail. There are always enough, so nobody
/// gets less.
pub fn nobody_settles_for_less_while_there_is_enough() {
    let begun = 4;
    let crowd = Arc::new(Crowded { pool: StockCounter::with_shape(begun, 2, 1), shadow: Shadow::new(begun) });
    let carts = (0..2_u64).map(|thread| {
        let crowd = crowd.clone();
        at(if thread == 0 { FIRST } else { SECOND }, move || {
            (0..3).for_each(|n| crowd.failing_cart(1 + (thread + n) % 3));
            (0, 0)
        })
    });
    let takers = [FIRST, SECOND].map(|home| {
        let crowd = crowd.clone();
        at(home, move || {
            let mut sums = (0, 0);
            for _ in 0..3 {
                let got = crowd.buy(2, false);
                assert_eq!(got, 2, "settled for less");
                sums = (sums.0 + got, sums.1 + got);
                crowd.peek(1);
                crowd.give(got);
            }
            sums
        })
    });
    let threads: Vec<_> = carts.chain(takers).collect();
    let sums: Vec<(u64, u64)> = threads.into_iter().map(joined).collect();
    assert!(sums.iter().all(|(kept, given)| kept == given));
    live_at(FIRST);
    assert_left(&crowd.pool, begun);
}

/// Two buyers sell out a spread pool while the carts of four threads fail over and over: no unit is oversold, and no
/// refusal is false.
pub fn carts_that_fail_over_and_over_sell_nobody_out() {
    let begun = 6;
    let crowd = Arc::new(Crowded { pool: StockCounter::with_shape(begun, 2, 1), shadow: Shadow::new(begun) });
    let carts = (0..4_u64).map(|thread| {
        let crowd = crowd.clone();
        at(if thread % 2 == 0 { FIRST } else { SECOND }, move || {
            (0..4).for_each(|n| crowd.failing_cart(1 + (thread + n) % 2));
            0
        })
    });
    let buyers = [(FIRST, 1), (SECOND, 2)].map(|(home, units)| {
        let crowd = crowd.clone();
        at(home, move || (0..4).map(|_| crowd.buy(units, true)).sum::<u64>())
    });
    let threads: Vec<_> = carts.chain(buyers).collect();
    let kept: u64 = threads.into_iter().map(joined).sum();
    assert!(kept == begun || kept == begun - 1, "a false sold out, or oversold: {kept}");
    live_at(FIRST);
    assert_left(&crowd.pool, begun - kept);
}
