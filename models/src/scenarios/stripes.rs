//! Due holds of a pool whose deadlines are in several stripes.
//!
//! A small engine: one pool, two holds, two stripes with a queue each. Whatever changes a hold does so under the hold's
//! lock, gives its units back there, and changes the queue of its stripe under the stripe's lock. Units are given back,
//! then the deadline is removed. A refusing request reads the next deadline, then the counter. A transfer locks both
//! stripes and changes both at once.

#![expect(clippy::indexing_slicing, reason = "there are two holds and two stripes")]

use std::sync::Arc;

use stockade_counter::model::{at, joined, until};
use stockade_counter::next_due::{Firsts, NextDue, STRIPES};
use stockade_counter::stock::{Certainty, StockCounter, TakeResult};
use stockade_counter::sync::{Mutex, MutexGuard, live_at};
use stockade_counter::{fault, sound};
use stockade_types::time::Timestamp;

use super::{FIRST, Outcome, SECOND, assert_left};

/// The holds' deadline, at which the requests run.
const DUE: Timestamp = Timestamp(10);
/// Before it.
const EARLY: Timestamp = Timestamp(5);
/// After it.
const LATE: Timestamp = Timestamp(20);

/// Deadlines of a stripe's holds.
type Queue = Vec<(Timestamp, usize)>;

struct Engine {
    pool: StockCounter,
    /// Whether each hold has its unit.
    holds: [Mutex<bool>; 2],
    /// The deadlines of each stripe; a hold's stripe has its number.
    stripes: [Mutex<Queue>; 2],
    firsts: Firsts,
    next_due: NextDue,
}

fn first(queue: &Queue) -> Timestamp {
    queue.iter().map(|(at, _)| *at).min().unwrap_or(Timestamp::NEVER)
}

fn strike(queue: &mut Queue, hold: usize) {
    queue.retain(|(_, other)| *other != hold);
}

impl Engine {
    /// A pool without free units. Each hold has a unit if it has a deadline here, in the stripe of its number.
    fn new(dues: [Option<Timestamp>; 2]) -> Arc<Self> {
        let (firsts, next_due) = (Firsts::never(), NextDue::never());
        let changes: Vec<_> = (0..).zip(dues.map(|due| due.unwrap_or(Timestamp::NEVER))).collect();
        firsts.change(&next_due, &changes);
        let queue = |hold: usize| Mutex::new(dues[hold].map(|due| (due, hold)).into_iter().collect());
        Arc::new(Self {
            pool: StockCounter::with_shape(0, 2, 1),
            holds: dues.map(|due| Mutex::new(due.is_some())),
            stripes: [queue(0), queue(1)],
            firsts,
            next_due,
        })
    }

    /// Changes the deadlines of a stripe.
    fn enter(&self, stripe: usize, change: impl FnOnce(&mut Queue)) {
        let mut queue = self.stripes[stripe].lock();
        let before = first(&queue);
        change(&mut queue);
        if first(&queue) != before {
            self.firsts.change(&self.next_due, &[(stripe, first(&queue))]);
        }
    }

    /// Ends a hold and gives its unit back, if it has one.
    fn end(&self, hold: usize) {
        let mut has = self.holds[hold].lock();
        if std::mem::take(&mut *has) {
            fault!(raising_a_stripe_before_giving, self.enter(hold, |queue| strike(queue, hold)));
            fault!(raising_both_stripes_before_giving, self.enter(hold, |queue| strike(queue, hold)));
            self.pool.give(1);
            self.enter(hold, |queue| strike(queue, hold));
        }
    }

    /// Sells a hold's unit: it does not return.
    fn claim(&self, hold: usize) {
        let mut has = self.holds[hold].lock();
        if std::mem::take(&mut *has) {
            self.enter(hold, |queue| strike(queue, hold));
        }
    }

    /// Makes a hold whose unit was taken before.
    fn make(&self, hold: usize, due: Timestamp) {
        let mut has = self.holds[hold].lock();
        *has = true;
        self.enter(hold, |queue| queue.push((due, hold)));
    }

    /// Transfers one hold's unit to the other, with a new deadline, unless it has ended. Returns whether it did.
    fn transfer(&self, from: usize, to: usize, due: Timestamp) -> bool {
        let [mut low, mut high] = self.holds.each_ref().map(Mutex::lock);
        let (left, came) = if from < to { (&mut *low, &mut *high) } else { (&mut *high, &mut *low) };
        if !std::mem::take(left) {
            return false;
        }
        *came = true;
        fault!(moving_with_one_stripe_locked_after_the_other, {
            self.enter(to, |queue| queue.push((due, to)));
            self.enter(from, |queue| strike(queue, from));
            return true;
        });
        let mut all = self.lock_all();
        strike(&mut all[from], from);
        all[to].push((due, to));
        let changes = [from, to].map(|stripe| (stripe, first(&all[stripe])));
        fault!(leaving_a_stripe_before_coming_to_the_other, self.firsts.change(&self.next_due, &changes[..1]));
        self.firsts.change(&self.next_due, &changes);
        true
    }

    /// All stripes, locked in order.
    fn lock_all(&self) -> [MutexGuard<'_, Queue>; 2] {
        self.stripes.each_ref().map(Mutex::lock)
    }

    fn sweep(&self, now: Timestamp) {
        let due: Vec<usize> = {
            let all = self.lock_all();
            all.iter().flat_map(|queue| queue.iter()).filter(|(at, _)| *at <= now).map(|(_, hold)| *hold).collect()
        };
        for hold in due {
            self.end(hold);
        }
    }

    /// One try to reserve a unit. None if a hold was due and no unit was free.
    fn try_reserve(&self, now: Timestamp) -> Option<Outcome> {
        let early = self.next_due.get();
        match self.pool.take(1, Certainty::Certain) {
            TakeResult::Taken(taken) => {
                taken.keep();
                return Some(Outcome::Kept);
            }
            TakeResult::Short { .. } => {}
            TakeResult::InDoubt => return None,
        }
        if sound!(early, reading_the_counter_before_the_stripes_next_due, self.next_due.get()) > now {
            return Some(Outcome::Refused);
        }
        self.sweep(now);
        None
    }

    fn reserve(&self, now: Timestamp) -> Outcome {
        until(|| self.try_reserve(now))
    }

    /// Asserts that the word is the least of all deadlines.
    fn assert_exact(&self) {
        let least = self.lock_all().iter().map(|queue| first(queue)).min();
        assert_eq!(Some(self.next_due.get()), least, "the next deadline is not the first of all");
    }
}

/// A due hold in one stripe is given back while a request wants its unit and the other stripe has a later deadline: the
/// request gets it.
pub fn a_due_hold_beside_a_later_one_is_never_a_sold_out() {
    let engine = Engine::new([Some(DUE), Some(LATE)]);
    let buyer = engine.clone();
    let buyer = at(SECOND, move || buyer.reserve(DUE));
    live_at(FIRST);
    engine.end(0);
    let outcome = joined(buyer);
    assert_eq!(outcome, Outcome::Kept, "a false sold out");
    engine.assert_exact();
    assert_left(&engine.pool, 0);
}

/// Two holds are due in two stripes, each with its sweeper, while a request wants a unit: it gets one.
pub fn two_sweepers_in_two_stripes_never_make_a_false_sold_out() {
    let engine = Engine::new([Some(DUE), Some(DUE)]);
    let (buyer, sweeper) = (engine.clone(), engine.clone());
    let buyer = at(SECOND, move || buyer.reserve(DUE));
    let sweeper = at(SECOND, move || sweeper.end(1));
    live_at(FIRST);
    engine.end(0);
    joined(sweeper);
    let outcome = joined(buyer);
    assert_eq!(outcome, Outcome::Kept, "a false sold out");
    engine.assert_exact();
    assert_left(&engine.pool, 1);
}

/// The first deadline leaves one stripe while a deadline that is now the earliest is entered in the other: it is found.
pub fn an_earlier_deadline_is_not_lost_beside_a_rising_one() {
    let engine = Engine::new([Some(EARLY), None]);
    let (leaver, maker) = (engine.clone(), engine.clone());
    let leaver = at(FIRST, move || leaver.claim(0));
    let maker = at(SECOND, move || maker.make(1, DUE));
    joined(leaver);
    joined(maker);
    engine.assert_exact();
    assert_eq!(engine.reserve(LATE), Outcome::Kept, "a false sold out");
    assert_left(&engine.pool, 0);
}

/// The only hold is due, in either stripe, and two requests want its unit: exactly one gets it.
pub fn the_only_deadline_is_found_in_each_stripe() {
    for stripe in [FIRST, SECOND] {
        let mut dues = [None; 2];
        dues[stripe] = Some(DUE);
        let engine = Engine::new(dues);
        let other = engine.clone();
        let other = at(FIRST, move || other.reserve(DUE));
        live_at(SECOND);
        let outcomes = [engine.reserve(DUE), joined(other)];
        assert!(outcomes.contains(&Outcome::Kept), "a false sold out");
        assert!(outcomes.contains(&Outcome::Refused), "oversold");
        assert_left(&engine.pool, 0);
    }
    const { assert!(SECOND < STRIPES, "two stripes of those that there are") };
}

/// A hold is transferred to one in the other stripe, by a thread that was delayed until both are due, while a request
/// wants the unit: the request gets it.
pub fn a_hold_that_changes_its_stripe_is_never_overlooked() {
    for [from, to] in [[FIRST, SECOND], [SECOND, FIRST]] {
        let mut dues = [None; 2];
        dues[from] = Some(DUE);
        let engine = Engine::new(dues);
        let mover = engine.clone();
        let mover = at(FIRST, move || mover.transfer(from, to, DUE));
        live_at(SECOND);
        let outcome = engine.reserve(DUE);
        joined(mover);
        assert_eq!(outcome, Outcome::Kept, "a false sold out");
        engine.assert_exact();
        assert_left(&engine.pool, 0);
    }
}

/// The same while a thread counts the holds of all stripes: the hold is always in exactly one.
pub fn a_hold_that_changes_its_stripe_is_counted_once() {
    let engine = Engine::new([None, Some(DUE)]);
    let mover = engine.clone();
    let mover = at(FIRST, move || mover.transfer(1, 0, LATE));
    live_at(SECOND);
    let counted: usize = engine.lock_all().iter().map(|queue| queue.len()).sum();
    let has_moved = joined(mover);
    assert!(has_moved && counted == 1, "units lost or made: {counted} holds instead of one");
    engine.assert_exact();
}
