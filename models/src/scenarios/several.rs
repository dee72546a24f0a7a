//! Items of two pools: a draw that falls short gives back, and then reads both pools during a time without gives.

use std::sync::Arc;

use stockade_counter::fault;
use stockade_counter::model::{at, joined, until};
use stockade_counter::stock::{Certainty, Moving, PeekResult, StockCounter, TakeResult, Taken};
use stockade_counter::sync::live_at;

use super::{FIRST, Outcome, SECOND, assert_left, take};

struct Item {
    moving: Arc<Moving>,
    pools: [StockCounter; 2],
}

impl Item {
    /// An item with these units in its two pools, which have one word each.
    fn new(units: [u64; 2]) -> Arc<Self> {
        let moving = Arc::new(Moving::still());
        let pools = units.map(|units| StockCounter::with_shards(units, 1).among(Arc::clone(&moving)));
        Arc::new(Self { moving, pools })
    }

    fn first(&self) -> &StockCounter {
        &self.pools[0]
    }

    fn second(&self) -> &StockCounter {
        &self.pools[1]
    }

    /// Whether fewer units are free. None if that can't be decided now.
    fn is_short(&self, units: u64) -> Option<bool> {
        let read = || {
            let mut sum = 0;
            for pool in &self.pools {
                match pool.peek(units - sum) {
                    PeekResult::MayServe => return Some(false),
                    PeekResult::Short { free } => sum += free,
                    PeekResult::InDoubt => return None,
                }
            }
            Some(true)
        };
        fault!(looking_at_one_pool_after_the_other_alone, return read());
        match self.moving.watch(read) {
            (Some(true), false) => None,
            (found, _) => found,
        }
    }

    /// One try of a request with one line.
    fn draw(&self, units: u64) -> Option<Outcome> {
        let mut rest = units;
        let mut drawn = Vec::new();
        for pool in &self.pools {
            let taken = match pool.take(rest, Certainty::Certain) {
                TakeResult::Taken(taken) => taken,
                TakeResult::Short { free: 0 } => continue,
                TakeResult::Short { .. } => match pool.take_up_to(rest) {
                    TakeResult::Taken(taken) => taken,
                    TakeResult::Short { .. } => continue,
                    TakeResult::InDoubt => return None,
                },
                TakeResult::InDoubt => return None,
            };
            rest -= taken.units();
            drawn.push(taken);
            if rest == 0 {
                drawn.into_iter().for_each(Taken::keep);
                return Some(Outcome::Kept);
            }
        }
        drop(drawn);
        fault!(refusing_at_once_what_could_not_be_drawn, return Some(Outcome::Refused));
        self.is_short(units)?.then_some(Outcome::Refused)
    }

    /// A request with one line, tried again while it can't be decided.
    fn reserve(&self, units: u64) -> Outcome {
        until(|| self.draw(units))
    }
}

/// A unit returns to the first pool, then the last one of the second is taken: one is free all the time.
pub fn a_unit_that_comes_back_to_a_pool_that_was_read_is_not_missed() {
    let item = Item::new([0, 1]);
    let mover = item.clone();
    let mover = at(FIRST, move || {
        mover.first().give(1);
        take(mover.second(), 1)
    });
    live_at(SECOND);
    let short = item.is_short(1);
    let taken = joined(mover);
    assert_ne!(short, Some(true), "a false sold out");
    assert_eq!(taken, Some(Outcome::Kept), "a false sold out");
    assert_left(item.first(), 1);
    assert_left(item.second(), 0);
}

/// The same, where one thread gives and another, which has seen that, takes.
pub fn whoever_takes_the_last_has_seen_what_came_back() {
    let item = Item::new([0, 1]);
    let (giver, taker) = (item.clone(), item.clone());
    let giver = at(FIRST, move || giver.first().give(1));
    let taker = at(FIRST, move || {
        until(|| (taker.first().peek(1) == PeekResult::MayServe).then_some(()));
        take(taker.second(), 1)
    });
    live_at(SECOND);
    let short = item.is_short(1);
    joined(giver);
    let last = joined(taker);
    assert_ne!(short, Some(true), "a false sold out");
    assert_eq!(last, Some(Outcome::Kept), "a false sold out");
    assert_left(item.first(), 1);
}

/// The same, where the giver's doubt has announced the unit.
pub fn what_comes_back_by_the_end_of_a_doubt_is_not_missed() {
    let item = Item::new([0, 1]);
    let mover = item.clone();
    let mover = at(FIRST, move || {
        mover.first().begin_doubt().give(1);
        take(mover.second(), 1)
    });
    live_at(SECOND);
    let short = item.is_short(1);
    let _taken = joined(mover);
    assert_ne!(short, Some(true), "a false sold out");
    assert_left(item.first(), 1);
}

/// A guard returns units of the first pool that were taken for certain, and then the last unit of the second is taken.
pub fn what_a_guard_gives_back_is_not_missed() {
    let item = Item::new([1, 1]);
    let cart = item.clone();
    let cart = at(FIRST, move || {
        drop(cart.first().take(1, Certainty::Certain));
        take(cart.second(), 1)
    });
    live_at(SECOND);
    let outcome = item.reserve(1);
    let cart = joined(cart);
    assert_eq!(outcome, Outcome::Kept, "a false sold out");
    let left = u64::from(cart != Some(Outcome::Kept));
    assert_eq!(item.pools.iter().map(StockCounter::sum).sum::<u64>(), left, "units lost or made");
}

/// Two units are free all the time: one returns to the first pool before one of the second is taken.
pub fn a_draw_that_falls_short_is_no_refusal() {
    let item = Item::new([1, 1]);
    let mover = item.clone();
    let mover = at(FIRST, move || {
        mover.first().give(1);
        take(mover.second(), 1)
    });
    live_at(SECOND);
    let outcome = item.reserve(2);
    let _taken = joined(mover);
    assert_eq!(outcome, Outcome::Kept, "a false sold out");
}

/// Without gives the look refuses, and what was drawn is given back.
pub fn what_is_short_is_refused() {
    let item = Item::new([1, 0]);
    let other = item.clone();
    let other = at(FIRST, move || other.reserve(2));
    live_at(SECOND);
    let outcomes = [item.reserve(2), joined(other)];
    assert_eq!(outcomes, [Outcome::Refused; 2], "oversold");
    assert_left(item.first(), 1);
    assert_left(item.second(), 0);
}
