//! Due holds: units whose deadline has passed count as free, even if they have not been given back yet.
//!
//! A small engine: one pool, one hold, a queue with its deadline, and two orders of a sweeper's steps. Whatever ends
//! a hold gives its units back under the hold's lock, so a thread that finds the hold ended finds its units given.

use std::sync::Arc;

use stockade_counter::model::{at, joined, until};
use stockade_counter::stock::{Certainty, StockCounter, TakeResult};
use stockade_counter::sync::{AtomicU64, Mutex, live_at};
use stockade_counter::{fault, ordering, sound};

use super::{FIRST, Outcome, SECOND, assert_left, reserve};

/// The hold's deadline: it is due from then on.
const DEADLINE: u64 = 10;
/// The last instant at which it is not due.
const IN_TIME: u64 = DEADLINE - 1;
/// `next_due` if there is no deadline.
const NEVER: u64 = u64::MAX;

/// How sweepers and refusing requests work together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// One sweeper at a time gives the units, then takes the deadline from the queue and raises `next_due`.
    GiveThenRaise,
    /// Any sweeper begins a doubt, takes the deadline, raises `next_due`, then gives with the end of the doubt.
    Doubt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    Held,
    Claimed,
    Ended,
}

struct Engine {
    protocol: Protocol,
    pool: StockCounter,
    hold: Mutex<Hold>,
    queue: Mutex<Vec<u64>>,
    next_due: AtomicU64,
    sweeping: Mutex<()>,
}

impl Engine {
    /// An engine whose only unit is in a hold.
    fn sold_out(protocol: Protocol) -> Arc<Self> {
        Arc::new(Self {
            protocol,
            pool: StockCounter::with_shape(0, 2, 1),
            hold: Mutex::new(Hold::Held),
            queue: Mutex::new(vec![DEADLINE]),
            next_due: AtomicU64::new(DEADLINE),
            sweeping: Mutex::new(()),
        })
    }

    fn next_due(&self) -> u64 {
        self.next_due.load(ordering!(Acquire, a_next_due_without_ordering))
    }

    /// Takes due deadlines from the queue and raises `next_due`. Returns how many there were.
    fn take_from_queue(&self, now: u64) -> usize {
        let mut queue = self.queue.lock();
        let waiting = queue.len();
        queue.retain(|deadline| *deadline > now);
        let next = queue.iter().copied().min().unwrap_or(NEVER);
        self.next_due.store(next, ordering!(Release, a_next_due_without_ordering));
        waiting - queue.len()
    }

    /// Ends the hold if it is held, and gives its units back.
    fn end_hold(&self) -> bool {
        let mut hold = self.hold.lock();
        if *hold != Hold::Held {
            return false;
        }
        *hold = Hold::Ended;
        fault!(giving_after_the_hold_is_unlocked, drop(hold));
        self.pool.give(1);
        true
    }

    /// Gives back due units. None if another sweeper is running and this protocol allows only one.
    fn sweep(&self, now: u64) -> Option<()> {
        match self.protocol {
            Protocol::Doubt => {
                let _doubt = self.pool.begin_doubt();
                if self.take_from_queue(now) > 0 {
                    self.end_hold();
                }
            }
            Protocol::GiveThenRaise => {
                fault!(raising_next_due_before_giving, {
                    if self.take_from_queue(now) > 0 {
                        self.end_hold();
                    }
                    return Some(());
                });
                let _alone = self.sweeping.try_lock()?;
                if self.queue.lock().iter().any(|deadline| *deadline <= now) {
                    self.end_hold();
                    self.take_from_queue(now);
                }
            }
        }
        Some(())
    }

    /// One try to reserve the unit, after a sweep of due holds. None while in doubt, or while another thread sweeps.
    fn try_reserve(&self, now: u64) -> Option<Outcome> {
        loop {
            let early = self.next_due();
            match self.pool.take(1, Certainty::Certain) {
                TakeResult::Taken(taken) => {
                    taken.keep();
                    return Some(Outcome::Kept);
                }
                TakeResult::Short { .. } => {}
                TakeResult::InDoubt => return None,
            }
            if sound!(early, reading_core_before_next_due, self.next_due()) > now {
                return Some(Outcome::Refused);
            }
            self.sweep(now)?;
        }
    }

    fn reserve(&self, now: u64) -> Outcome {
        until(|| self.try_reserve(now))
    }

    /// Claims the hold, unless it has ended. If it is due, the claim ends it.
    fn claim(&self, now: u64) -> Outcome {
        if now >= DEADLINE {
            self.end_hold();
            return Outcome::Refused;
        }
        let mut hold = self.hold.lock();
        if *hold == Hold::Held {
            *hold = Hold::Claimed;
            Outcome::Kept
        } else {
            Outcome::Refused
        }
    }
}

/// The hold is due and another thread sweeps: the request gets the unit.
pub fn a_due_hold_is_never_a_sold_out(protocol: Protocol) {
    let engine = Engine::sold_out(protocol);
    let sweeper = engine.clone();
    let sweeper = at(FIRST, move || sweeper.sweep(DEADLINE));
    live_at(SECOND);
    let outcome = engine.reserve(DEADLINE);
    joined(sweeper);
    assert_eq!(outcome, Outcome::Kept, "a false sold out");
    assert_left(&engine.pool, 0);
}

/// Two requests for one due unit, each ready to sweep: exactly one gets it.
pub fn two_refusers_share_one_due_hold(protocol: Protocol) {
    let engine = Engine::sold_out(protocol);
    let other = engine.clone();
    let other = at(FIRST, move || other.reserve(DEADLINE));
    live_at(SECOND);
    let outcomes = [engine.reserve(DEADLINE), joined(other)];
    assert!(outcomes.contains(&Outcome::Kept), "a false sold out");
    assert!(outcomes.contains(&Outcome::Refused), "oversold");
    assert_left(&engine.pool, 0);
}

/// A claim in time and a request that is ready to sweep: one of the two gets the unit.
pub fn a_claim_in_time_meets_a_sweep(protocol: Protocol) {
    let engine = Engine::sold_out(protocol);
    let buyer = engine.clone();
    let buyer = at(FIRST, move || buyer.claim(IN_TIME));
    live_at(SECOND);
    let outcomes = [engine.reserve(DEADLINE), joined(buyer)];
    assert!(outcomes.contains(&Outcome::Kept), "a false sold out");
    assert!(outcomes.contains(&Outcome::Refused), "oversold");
    assert_left(&engine.pool, 0);
}

/// A late claim ends the hold while a request wants its unit: the request gets it.
pub fn a_late_claim_gives_the_unit_to_the_one_who_waits(protocol: Protocol) {
    let engine = Engine::sold_out(protocol);
    let late = engine.clone();
    let late = at(FIRST, move || late.claim(DEADLINE));
    live_at(SECOND);
    let outcomes = [engine.reserve(DEADLINE), joined(late)];
    assert_eq!(outcomes, [Outcome::Kept, Outcome::Refused], "a false sold out");
    assert_left(&engine.pool, 0);
}

/// A release just before the deadline, a request just after: the request gets the unit.
pub fn a_release_at_the_deadline_is_never_a_sold_out(protocol: Protocol) {
    let engine = Engine::sold_out(protocol);
    let customer = engine.clone();
    let customer = at(FIRST, move || customer.end_hold());
    live_at(SECOND);
    let outcome = engine.reserve(DEADLINE);
    joined(customer);
    assert_eq!(outcome, Outcome::Kept, "a false sold out");
    assert_left(&engine.pool, 0);
}

/// A release long before the deadline: a refusal during it is allowed, but not after it.
pub fn after_a_release_nobody_is_refused(protocol: Protocol) {
    let engine = Engine::sold_out(protocol);
    let customer = engine.clone();
    let customer = at(FIRST, move || customer.end_hold());
    live_at(SECOND);
    let during = engine.reserve(IN_TIME);
    let released = joined(customer);
    assert!(released, "a hold that nobody else ended");
    let after = reserve(&engine.pool, 1);
    assert!((during == Outcome::Kept) != (after == Outcome::Kept), "a false sold out, or oversold");
    assert_left(&engine.pool, 0);
}
