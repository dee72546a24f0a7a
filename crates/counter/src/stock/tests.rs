//! The counter with real threads, and compared with a plain sum. The models check interleavings.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use proptest::prelude::*;

use super::*;

/// Takes and keeps.
fn take(counter: &StockCounter, units: u64) -> bool {
    match counter.take(units, Certainty::Certain) {
        TakeResult::Taken(taken) => {
            taken.keep();
            true
        }
        TakeResult::Short { .. } | TakeResult::InDoubt => false,
    }
}

#[test]
fn a_single_taker_gets_every_unit_and_then_a_refusal() {
    for shards in [0, 1, 2, 3, 16, 99] {
        let counter = StockCounter::with_shape(300, shards, 8);
        assert!((0..300).all(|_| take(&counter, 1)), "{shards} shards");
        assert!(matches!(counter.take(1, Certainty::Certain), TakeResult::Short { free: 0 }), "{shards} shards");
        assert_eq!(counter.sum(), 0);
    }
}

#[test]
fn a_request_for_more_than_a_shard_has_is_served_from_all_of_them() {
    let counter = StockCounter::with_shards(16 * SHARE_MIN, 16);
    assert!(take(&counter, 16 * SHARE_MIN - 1));
    assert_eq!(counter.peek(2), PeekResult::Short { free: 1 });
    assert_eq!(counter.peek(1), PeekResult::MayServe);
}

#[test]
fn a_look_refuses_only_what_a_take_would() {
    let counter = StockCounter::with_shape(2, 4, 8);
    assert_eq!(counter.peek(2), PeekResult::MayServe);
    assert_eq!(counter.peek(3), PeekResult::Short { free: 2 });
    let doubt = counter.begin_doubt();
    assert_eq!((counter.peek(2), counter.peek(3)), (PeekResult::MayServe, PeekResult::InDoubt));
    drop(doubt);
    assert_eq!(counter.peek(3), PeekResult::Short { free: 2 });
}

#[test]
fn what_is_read_of_several_pools_while_something_is_given_to_one_is_worth_nothing() {
    let moving = Arc::new(Moving::still());
    let mut pools = [1, 2].map(|units| StockCounter::with_shards(units, 1).among(Arc::clone(&moving)));
    let sum = |pools: &[StockCounter]| pools.iter().map(StockCounter::sum).sum::<u64>();
    assert_eq!(moving.watch(|| sum(&pools)), (3, true));
    assert_eq!(moving.watch(|| take(&pools[0], 1)), (true, true), "what is taken does no harm");
    assert_eq!(moving.watch(|| pools[0].give(1)), ((), false));
    let TakeResult::Taken(mut taken) = pools[1].take(2, Certainty::Doubtful) else { panic!("of two") };
    assert_eq!(moving.watch(|| taken.shrink(1)), ((), false));
    assert_eq!(moving.watch(|| drop(taken)), ((), false));
    moving.count(|| assert_eq!(moving.watch(|| sum(&pools)), (3, false), "one is in flight"));
    pools[0].set(5);
    assert_eq!(moving.watch(|| pools[0].give(1)), ((), false), "whatever the count was set to");
    assert_eq!(moving.watch(|| sum(&pools)), (8, true));
}

#[test]
fn what_is_not_kept_comes_back() {
    for certainty in [Certainty::Certain, Certainty::Doubtful] {
        for units in [10, 1_000] {
            let counter = StockCounter::with_shape(units, 2, 64);
            let TakeResult::Taken(taken) = counter.take(3, certainty) else { panic!("{certainty:?} of {units}") };
            assert_eq!((taken.units(), counter.sum()), (3, units - 3));
            drop(taken);
            assert_eq!(counter.sum(), units);
            assert!(take(&counter, units), "the doubt is over");
            assert!(matches!(counter.take(1, certainty), TakeResult::Short { free: 0 }));
        }
    }
}

#[test]
fn while_a_cart_may_still_fail_nobody_is_refused() {
    for units in [1, 128] {
        let counter = StockCounter::with_shape(units, 2, 64);
        assert!(units == 1 || take(&counter, units - 1));
        let TakeResult::Taken(cart) = counter.take(1, Certainty::Doubtful) else { panic!("a unit is free") };
        assert!(matches!(counter.take(1, Certainty::Certain), TakeResult::InDoubt));
        assert!(matches!(counter.take(1, Certainty::Doubtful), TakeResult::InDoubt));
        cart.keep();
        assert!(matches!(counter.take(1, Certainty::Certain), TakeResult::Short { free: 0 }));
    }
}

#[test]
fn who_takes_what_there_is_gets_all_of_it_and_settles_for_less_only_when_nothing_is_in_doubt() {
    for shards in [0, 2, 16] {
        let counter = StockCounter::with_shape(40, shards, 8);
        let TakeResult::Taken(cart) = counter.take(3, Certainty::Doubtful) else { panic!("there are 40") };
        assert!(matches!(counter.take_up_to(38), TakeResult::InDoubt), "three may come back");
        let TakeResult::Taken(some) = counter.take_up_to(37) else { panic!("37 are free") };
        drop((cart, some));
        let TakeResult::Taken(mut all) = counter.take_up_to(1_000) else { panic!("40 are free") };
        assert_eq!((all.units(), counter.sum()), (40, 0));
        assert!(matches!(counter.take(1, Certainty::Certain), TakeResult::InDoubt), "until it is kept");
        all.shrink(50);
        all.shrink(30);
        assert_eq!((all.units(), counter.sum()), (30, 10));
        assert!(matches!(counter.take(11, Certainty::Certain), TakeResult::InDoubt), "the rest may still come back");
        all.keep();
        assert!(take(&counter, 10), "what was given back is free");
        assert!(matches!(counter.take_up_to(5), TakeResult::Short { free: 0 }));
    }
}

#[test]
fn a_sweeper_s_doubt_ends_with_what_it_gives() {
    let counter = StockCounter::with_shards(0, 4);
    let doubt = counter.begin_doubt();
    assert!(matches!(counter.take(1, Certainty::Certain), TakeResult::InDoubt));
    doubt.give(2);
    assert!(take(&counter, 2));
    assert!(matches!(counter.take(1, Certainty::Certain), TakeResult::Short { free: 0 }));
}

#[test]
fn the_most_an_item_may_have_can_be_counted() {
    let most = stockade_types::definition::ITEM_UNITS_MAX;
    assert!(most <= UNITS_MAX);
    for shards in [1, 16] {
        let counter = StockCounter::with_shards(most, shards);
        assert_eq!(counter.sum(), most);
        assert!(take(&counter, most));
        counter.give(most);
        assert_eq!(counter.sum(), most);
    }
}

#[test]
#[should_panic(expected = "cannot be counted")]
fn a_pool_that_cannot_be_counted_is_not_made() {
    let _counter = StockCounter::with_shards(UNITS_MAX + 1, 2);
}

#[test]
#[should_panic(expected = "more units given than a pool can count")]
fn units_that_never_were_there_cannot_be_given_to_core() {
    StockCounter::with_shards(UNITS_MAX, 1).give(1);
}

#[test]
#[should_panic(expected = "more units given than a pool can count")]
fn units_that_never_were_there_cannot_be_given_to_a_shard() {
    StockCounter::with_shards(UNITS_MAX, 2).give(UNITS_MAX);
}

#[test]
fn carts_wait_when_doubts_crowd_and_sweepers_do_not() {
    for units in [5, 1_000] {
        let counter = StockCounter::with_shards(units, 2);
        let mut doubts: Vec<_> = (0..DOUBTS_MAX / 2).map(|_| counter.begin_doubt()).collect();
        assert!(matches!(counter.take(1, Certainty::Doubtful), TakeResult::InDoubt));
        assert!(take(&counter, 1), "who is certain adds no doubt");
        doubts.push(counter.begin_doubt());
        drop(doubts);
        assert!(matches!(counter.take(1, Certainty::Doubtful), TakeResult::Taken(_)));
        assert_eq!(counter.sum(), units - 1);
    }
}

#[test]
fn set_counts_anew() {
    let mut counter = StockCounter::new(5);
    assert!(take(&counter, 5));
    counter.set(7);
    assert_eq!(counter.sum(), 7);
    counter.set(1_000_000);
    assert_eq!(counter.sum(), 1_000_000);
}

#[test]
fn a_herd_takes_each_unit_once_and_is_refused_only_when_none_is_left() {
    const THREADS: u64 = 4;
    for units in [1, 100, 1_000, 40_001] {
        let counter = StockCounter::with_shape(units, 4, 16);
        let kept = AtomicU64::new(0);
        let barrier = Barrier::new(4);
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    barrier.wait();
                    while take(&counter, 1) {
                        kept.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!((kept.load(Ordering::Relaxed), counter.sum()), (units, 0));
    }
}

/// Threads reserve, give back and fill carts, with as many units as all can have at once: none is refused.
#[test]
fn nobody_is_refused_while_there_is_one_for_everyone() {
    const THREADS: u64 = 4;
    const PER_THREAD_MAX: u64 = 3;
    for spare in [0, 50] {
        let units = THREADS * PER_THREAD_MAX + spare;
        let counter = StockCounter::with_shape(units, 4, 2);
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let counter = &counter;
                scope.spawn(move || {
                    for round in 0..20_000 {
                        let wanted = 1 + (round + thread) % PER_THREAD_MAX;
                        let certainty = if round % 3 == 0 { Certainty::Doubtful } else { Certainty::Certain };
                        let taken = loop {
                            match counter.take(wanted, certainty) {
                                TakeResult::Taken(taken) => break taken,
                                TakeResult::InDoubt => thread::yield_now(),
                                TakeResult::Short { free } => panic!("{wanted} refused with {free} free"),
                            }
                        };
                        if round % 2 == 0 {
                            taken.keep();
                            counter.give(wanted);
                        }
                    }
                });
            }
        });
        assert_eq!(counter.sum(), units);
        assert!(take(&counter, units), "no doubt is left over");
    }
}

#[derive(Debug, Clone)]
enum Step {
    Keep(u64),
    Cart(u64),
    UpTo(u64),
    Give(u64),
    Sweep(u64),
    PeekResult(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let units = prop_oneof![4 => 0..20u64, 1 => 0..2_000u64];
    (0..6, units).prop_map(|(kind, units)| match kind {
        0 => Step::Keep(units),
        1 => Step::Cart(units),
        2 => Step::Give(units),
        3 => Step::Sweep(units),
        4 => Step::UpTo(units),
        _ => Step::PeekResult(units),
    })
}

/// One step on the counter, and on `free`, the plain sum that it must agree with.
fn run(counter: &StockCounter, step: &Step, free: &mut u64) -> Result<(), TestCaseError> {
    match *step {
        Step::Keep(units) => match counter.take(units, Certainty::Certain) {
            TakeResult::Taken(taken) => {
                taken.keep();
                prop_assert!(units <= *free, "oversold");
                *free -= units;
            }
            TakeResult::Short { free: reported } => prop_assert!(reported == *free && units > *free, "a false short"),
            TakeResult::InDoubt => prop_assert!(false, "nobody else is there"),
        },
        Step::Cart(units) => {
            prop_assert_eq!(matches!(counter.take(units, Certainty::Doubtful), TakeResult::Taken(_)), units <= *free);
        }
        Step::UpTo(units) => match counter.take_up_to(units) {
            TakeResult::Taken(mut taken) => {
                prop_assert_eq!(taken.units(), units.min(*free));
                taken.shrink(units / 2);
                *free -= taken.units();
                taken.keep();
            }
            TakeResult::Short { free: reported } => {
                prop_assert!(reported == 0 && *free == 0 && units > 0, "a false short");
            }
            TakeResult::InDoubt => prop_assert!(false, "nobody else is there"),
        },
        Step::Give(units) => {
            counter.give(units);
            *free += units;
        }
        Step::Sweep(units) => {
            counter.begin_doubt().give(units);
            *free += units;
        }
        Step::PeekResult(units) => match counter.peek(units) {
            PeekResult::MayServe => {}
            PeekResult::Short { free: reported } => prop_assert!(reported == *free && units > *free, "a false short"),
            PeekResult::InDoubt => prop_assert!(false, "nobody else is there"),
        },
    }
    prop_assert_eq!(counter.sum(), *free);
    Ok(())
}

proptest! {
    /// A thread alone sees a plain sum, from whichever of two homes it acts.
    #[test]
    fn one_after_the_other_it_is_a_plain_sum(
        start in 0..3_000u64,
        shards in 0..9usize,
        least_share in 1..80u64,
        steps in prop::collection::vec((any::<bool>(), step()), 1..60),
    ) {
        let counter = StockCounter::with_shape(start, shards, least_share);
        let mut free = start;
        for (elsewhere, step) in &steps {
            if *elsewhere {
                thread::scope(|scope| scope.spawn(|| run(&counter, step, &mut free)).join().expect("a step"))?;
            } else {
                run(&counter, step, &mut free)?;
            }
        }
    }
}
