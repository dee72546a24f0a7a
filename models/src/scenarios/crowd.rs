//! Many threads and many operations: too much for every interleaving, so this is run in drawn schedules.
//!
//! What a refusal rests on is held against a shadow of the pool, kept by plain atomics that the checker does not see, so
//! that no schedule comes between a step and its shadow.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering as Plain};

use parking_lot::Mutex as PlainMutex;

use super::super::stock::{Certainty, Look, StockCounter, Take};
use super::{FIRST, SECOND, assert_left};
use crate::run::{at, joined, until};
use crate::sync::live_at;

/// Operations of each thread.
const OPERATIONS: u64 = 8;

/// Units that were free for sure: given before, less those that somebody keeps, or has asked for and may keep. Units of
/// carts that will fail are among them: those are free, or in doubt, all the while.
#[derive(Debug)]
struct Shadow {
    free: AtomicI64,
    /// The least that was free since each look that is not over, by look.
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

    /// Begins to watch how many are free.
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
    /// Asks for units and keeps what it gets; a refusal must have been right at one instant. How many it got.
    fn buy(&self, units: u64, all: bool) -> u64 {
        let asked = signed(units);
        self.shadow.change(-asked);
        let watch = self.shadow.watch();
        let got = until(|| {
            let take = if all { self.pool.take(units, Certainty::Certain) } else { self.pool.take_up_to(units) };
            match take {
                Take::Taken(taken) => {
                    let got = taken.units();
                    taken.keep();
                    Some(got)
                }
                Take::Short { .. } => Some(0),
                Take::InDoubt => None,
            }
        });
        if got < units {
            // With this request's own units among those asked for, fewer than none were left.
            assert!(self.shadow.least_since(watch) < 0, "a false sold out: {got} of {units}");
        }
        self.shadow.change(asked - signed(got));
        got
    }

    /// A cart that gets its units and keeps them, while another line of it could have failed.
    fn cart(&self, units: u64) -> u64 {
        let asked = signed(units);
        self.shadow.change(-asked);
        let watch = self.shadow.watch();
        let got = until(|| match self.pool.take(units, Certainty::Doubtful) {
            Take::Taken(taken) => {
                taken.keep();
                Some(units)
            }
            Take::Short { .. } => Some(0),
            Take::InDoubt => None,
        });
        assert!(got == units || self.shadow.least_since(watch) < 0, "a false sold out of a cart");
        self.shadow.change(asked - signed(got));
        got
    }

    /// A cart whose other line fails.
    fn failing_cart(&self, units: u64) {
        drop(self.pool.take(units, Certainty::Doubtful));
    }

    /// A look that says no must have been right at one instant.
    fn look(&self, units: u64) {
        let watch = self.shadow.watch();
        if let Look::Short { .. } = self.pool.look(units) {
            assert!(self.shadow.least_since(watch) < signed(units), "a false sold out of a look");
        }
    }

    fn give(&self, units: u64) {
        self.pool.give(units);
        self.shadow.change(signed(units));
    }
}

/// Six threads buy, fill carts that fail and that don't, take what there is, give and count; the pool folds and spreads
/// all the while. Nobody is refused wrongly, and in the end as many units are free as were not kept.
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
                        (_, 0 | 2) => crowd.look(1),
                        // What was taken out by nobody is never there twice.
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

/// Two who take what there is, in turn with one who gives as much back, beside carts that fail: there is enough for all
/// the while, so nobody settles for less.
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
                crowd.look(1);
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

/// Two who sell out a spread pool against four whose carts fail over and over: all of it is sold, and not one more.
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
