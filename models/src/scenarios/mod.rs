//! Scenarios of the stock counter.
//!
//! A scenario is one run of a model. If a rule is broken it panics, and only after its threads have ended: the checker
//! can't clean up after a panic while a thread has not begun. The `Arc`s are the standard library's, since they are not
//! checked.

#[cfg(shuttle)]
pub mod crowd;
pub mod due;
pub mod prefix;
pub mod several;
pub mod stripes;

use std::sync::Arc;

use stockade_counter::model::{at, joined, until};
use stockade_counter::stock::{Certainty, PeekResult, StockCounter, TakeResult};
use stockade_counter::sync::{AtomicU64, Ordering, live_at};

/// Home of the first shard.
const FIRST: usize = 0;
/// Home of the second shard.
const SECOND: usize = 1;

/// The result of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Kept,
    Refused,
}

/// A spread pool with these units in its shards. It spreads again when each shard would get four takes' worth.
fn spread_pool(first: u64, second: u64) -> Arc<StockCounter> {
    let each = first.max(second).max(1);
    let pool = Arc::new(StockCounter::with_shape(2 * each, 2, 1));
    for (home, left) in [(SECOND, second), (FIRST, first)] {
        live_at(home);
        assert_eq!(take(&pool, each - left), Some(Outcome::Kept));
    }
    pool
}

/// A folded pool that spreads when each shard would get `least_share`.
fn folded_pool(units: u64, least_share: u64) -> Arc<StockCounter> {
    assert!(units < 2 * least_share, "it would start spread");
    Arc::new(StockCounter::with_shape(units, 2, least_share))
}

fn settle(take: TakeResult<'_>) -> Option<Outcome> {
    match take {
        TakeResult::Taken(taken) => {
            taken.keep();
            Some(Outcome::Kept)
        }
        TakeResult::Short { .. } => Some(Outcome::Refused),
        TakeResult::InDoubt => None,
    }
}

/// One try of a request with one line.
fn take(pool: &StockCounter, units: u64) -> Option<Outcome> {
    settle(pool.take(units, Certainty::Certain))
}

/// A request with one line, tried again while it is in doubt.
fn reserve(pool: &StockCounter, units: u64) -> Outcome {
    until(|| take(pool, units))
}

/// A cart whose other line fails: takes, and gives back.
fn failing_cart(pool: &StockCounter, units: u64) {
    drop(pool.take(units, Certainty::Doubtful));
}

/// A request for up to `most` units, tried again while it is in doubt. Returns the number of units.
fn reserve_up_to(pool: &StockCounter, most: u64) -> u64 {
    until(|| match pool.take_up_to(most) {
        TakeResult::Taken(taken) => {
            let units = taken.units();
            taken.keep();
            Some(units)
        }
        TakeResult::Short { .. } => Some(0),
        TakeResult::InDoubt => None,
    })
}

/// At the end no doubt is left and exactly `units` are free.
fn assert_left(pool: &StockCounter, units: u64) {
    assert_eq!(pool.sum(), units, "units lost or made");
    assert_eq!(take(pool, units), Some(Outcome::Kept), "free units that nobody gets");
    assert_eq!(take(pool, 1), Some(Outcome::Refused), "a doubt that never ends, or units made");
}

/// Two requests of two units, with one unit in each shard: exactly one gets them.
pub fn two_gatherers_of_two_with_one_unit_in_each_shard() {
    let pool = spread_pool(1, 1);
    let other = pool.clone();
    let other = at(FIRST, move || reserve(&other, 2));
    live_at(SECOND);
    let outcomes = [reserve(&pool, 2), joined(other)];
    assert!(outcomes.contains(&Outcome::Kept), "a false sold out");
    assert!(outcomes.contains(&Outcome::Refused), "oversold");
    assert_left(&pool, 0);
}

/// A unit is given to one shard, then one is taken from the other: one is free all the time.
pub fn a_moving_unit_is_never_missed() {
    let pool = spread_pool(0, 1);
    let mover = pool.clone();
    let mover = at(FIRST, move || {
        mover.give(1);
        live_at(SECOND);
        reserve(&mover, 1)
    });
    live_at(FIRST);
    let outcomes = [reserve(&pool, 1), joined(mover)];
    assert_eq!(outcomes, [Outcome::Kept; 2], "a false sold out");
    assert_left(&pool, 0);
}

/// A look without taking, while a unit moves from shard to shard and a taker folds the pool.
pub fn a_look_never_misses_a_moving_unit() {
    let pool = spread_pool(0, 2);
    let (mover, taker) = (pool.clone(), pool.clone());
    let mover = at(FIRST, move || {
        mover.give(1);
        live_at(SECOND);
        reserve(&mover, 1)
    });
    let taker = at(FIRST, move || reserve(&taker, 1));
    let look = pool.peek(1);
    let outcomes = [joined(mover), joined(taker)];
    assert!(!matches!(look, PeekResult::Short { .. }), "a false sold out");
    assert_eq!(outcomes, [Outcome::Kept; 2], "a false sold out");
    assert_left(&pool, 1);
}

/// A cart takes the last unit from a shard, fails and gives it back: the other request gets it.
pub fn a_failing_cart_never_makes_a_false_sold_out() {
    let pool = spread_pool(1, 0);
    let cart = pool.clone();
    let cart = at(FIRST, move || failing_cart(&cart, 1));
    live_at(SECOND);
    let outcome = reserve(&pool, 1);
    joined(cart);
    assert_eq!(outcome, Outcome::Kept, "a false sold out");
    assert_left(&pool, 0);
}

/// The same on a folded pool, and the other request is a cart that keeps its unit.
pub fn of_two_carts_one_fails_and_the_other_gets_the_unit() {
    let pool = folded_pool(1, 100);
    let cart = pool.clone();
    let cart = at(FIRST, move || failing_cart(&cart, 1));
    live_at(SECOND);
    let outcome = until(|| settle(pool.take(1, Certainty::Doubtful)));
    joined(cart);
    assert_eq!(outcome, Outcome::Kept, "a false sold out");
    assert_left(&pool, 0);
}

/// A failing cart, and a thread that gives one and takes two: both units are available to it.
pub fn a_failing_cart_a_giver_and_a_taker_of_two() {
    let pool = spread_pool(1, 0);
    let cart = pool.clone();
    let cart = at(FIRST, move || failing_cart(&cart, 1));
    live_at(SECOND);
    pool.give(1);
    let outcome = reserve(&pool, 2);
    joined(cart);
    assert_eq!(outcome, Outcome::Kept, "a false sold out");
    assert_left(&pool, 0);
}

/// A cart takes one of two units, fails and gives it back: a request for up to two gets both.
pub fn nobody_settles_for_less_while_a_unit_is_in_doubt() {
    let pool = spread_pool(1, 1);
    let cart = pool.clone();
    let cart = at(FIRST, move || failing_cart(&cart, 1));
    live_at(SECOND);
    let units = reserve_up_to(&pool, 2);
    joined(cart);
    assert_eq!(units, 2, "settled for less");
    assert_left(&pool, 0);
}

/// Two requests for up to a number share three units: each gets at least one, and none is left.
pub fn two_who_take_what_there_is_share_it() {
    let pool = spread_pool(1, 2);
    let other = pool.clone();
    let other = at(FIRST, move || reserve_up_to(&other, 2));
    live_at(SECOND);
    let mut units = [reserve_up_to(&pool, 2), joined(other)];
    units.sort_unstable();
    assert_eq!(units, [1, 2], "settled for less");
    assert_left(&pool, 0);
}

/// Units are added during a refusal: the refusal has no lasting effect, and no unit is lost.
pub fn a_restock_meets_a_refusal() {
    let pool = spread_pool(0, 0);
    let restock = pool.clone();
    let restock = at(FIRST, move || restock.give(2));
    live_at(SECOND);
    let left = match reserve(&pool, 1) {
        Outcome::Kept => 1,
        Outcome::Refused => 2,
    };
    joined(restock);
    assert_left(&pool, left);
}

/// One thread takes while another's take folds and spreads the pool: nobody is refused, nothing is lost.
pub fn fold_and_spread_lose_nothing() {
    let pool = spread_pool(9, 0);
    let (other, giver) = (pool.clone(), pool.clone());
    let other = at(FIRST, move || reserve(&other, 5));
    let giver = at(SECOND, move || giver.give(1));
    live_at(SECOND);
    let outcomes = [reserve(&pool, 1), joined(other)];
    joined(giver);
    assert_eq!(outcomes, [Outcome::Kept; 2], "a false sold out");
    assert_left(&pool, 4);
}

/// The sum at any moment while the pool folds and spreads, without gives: the units before, or those less the take.
pub fn a_sum_is_not_disturbed_by_folding_and_spreading() {
    let pool = spread_pool(9, 0);
    let taker = pool.clone();
    let taker = at(SECOND, move || reserve(&taker, 1));
    let sum = pool.sum();
    let outcome = joined(taker);
    assert!(sum == 9 || sum == 8, "units lost or made: {sum}");
    assert_eq!(outcome, Outcome::Kept, "a false sold out");
    assert_left(&pool, 8);
}

/// A giver appends its record, then gives to a shard; a taker of the unit sees the record.
pub fn what_was_appended_before_a_give_is_seen_by_the_taker() {
    let pool = spread_pool(0, 0);
    let appended = Arc::new(AtomicU64::new(0));
    let (giver, record) = (pool.clone(), appended.clone());
    let giver = at(FIRST, move || {
        record.store(1, Ordering::Relaxed);
        giver.give(1);
    });
    live_at(SECOND);
    let outcome = reserve(&pool, 1);
    let seen = appended.load(Ordering::Relaxed);
    joined(giver);
    assert!(outcome == Outcome::Refused || seen == 1, "taken before the record that gave it");
}

/// The same through core, a spread and a fold: eight of eleven units must include some that were given.
pub fn an_appended_record_follows_its_units_from_word_to_word() {
    let pool = folded_pool(7, 5);
    let appended = Arc::new(AtomicU64::new(0));
    let (giver, record, spreader) = (pool.clone(), appended.clone(), pool.clone());
    let giver = at(FIRST, move || {
        record.store(1, Ordering::Relaxed);
        giver.give(4);
    });
    let spreader = at(FIRST, move || reserve(&spreader, 1));
    live_at(SECOND);
    let outcome = reserve(&pool, 8);
    let seen = appended.load(Ordering::Relaxed);
    joined(giver);
    let spread = joined(spreader);
    assert!(outcome == Outcome::Refused || seen == 1, "taken before the record that gave it");
    assert!(outcome == Outcome::Kept || spread == Outcome::Kept, "a false sold out");
}
