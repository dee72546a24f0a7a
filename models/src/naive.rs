//! Typical first implementations of a counter. Both cause false refusals; the models show how.

use std::sync::Arc;

use stockade_counter::model::{at, joined};
use stockade_counter::sync::{AtomicU64, Ordering};

/// Whether a refusal leaves a flag behind that the next request reads first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SoldOutFlag {
    /// No flag: each request walks over the shards.
    None,
    /// Set by a refusal, cleared by giving back.
    Sticky,
}

/// Two shards. A taker takes from both and gives back if that is not enough. `SeqCst` throughout: no ordering helps.
#[derive(Debug)]
struct Gathering {
    shards: [AtomicU64; 2],
    flag: SoldOutFlag,
    sold_out: AtomicU64,
}

impl Gathering {
    /// A counter with these units in its shards.
    fn new(first: u64, second: u64, flag: SoldOutFlag) -> Self {
        Self { shards: [first, second].map(AtomicU64::new), flag, sold_out: AtomicU64::new(0) }
    }

    fn from(&self, home: usize) -> impl Iterator<Item = &AtomicU64> {
        self.shards.iter().cycle().skip(home).take(2)
    }

    /// Gives `units` to the shard `home`.
    fn give(&self, home: usize, units: u64) {
        for shard in self.from(home).take(1) {
            shard.fetch_add(units, Ordering::SeqCst);
        }
        match self.flag {
            SoldOutFlag::None => {}
            SoldOutFlag::Sticky => self.sold_out.store(0, Ordering::SeqCst),
        }
    }

    /// Takes `units`, first from the shard `home`. Returns whether there were enough.
    fn take(&self, home: usize, units: u64) -> bool {
        if self.flag == SoldOutFlag::Sticky && self.sold_out.load(Ordering::SeqCst) == 1 {
            return false;
        }
        let mut gathered = [0; 2];
        let mut missing = units;
        for (shard, got) in self.from(home).zip(&mut gathered) {
            *got = take_up_to(shard, missing);
            missing -= *got;
        }
        if missing == 0 {
            return true;
        }
        for (shard, got) in self.from(home).zip(gathered) {
            shard.fetch_add(got, Ordering::SeqCst);
        }
        if self.flag == SoldOutFlag::Sticky {
            self.sold_out.store(1, Ordering::SeqCst);
        }
        false
    }
}

fn take_up_to(shard: &AtomicU64, units: u64) -> u64 {
    let mut held = shard.load(Ordering::SeqCst);
    loop {
        let got = held.min(units);
        match shard.compare_exchange(held, held - got, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => return got,
            Err(found) => held = found,
        }
    }
}

/// Two threads take both units, each beginning with another shard: each gets one, and both give back.
pub fn gathering_with_give_back_refuses_both() {
    let pool = Arc::new(Gathering::new(1, 1, SoldOutFlag::None));
    let other = pool.clone();
    let other = at(0, move || other.take(0, 2));
    let here = pool.take(1, 2);
    assert!(joined(other) || here, "both refused");
}

/// A unit is given to the shard that was read, then one is taken from the other.
pub fn walking_over_the_shards_misses_a_moving_unit() {
    let pool = Arc::new(Gathering::new(0, 1, SoldOutFlag::None));
    let mover = pool.clone();
    let mover = at(0, move || {
        mover.give(0, 1);
        mover.take(1, 1)
    });
    let here = pool.take(0, 1);
    assert!(joined(mover) && here, "a unit was free all the time");
}

/// A refusal sets the flag after the give has cleared it.
pub fn a_flag_for_sold_out_sticks() {
    let pool = Arc::new(Gathering::new(0, 0, SoldOutFlag::Sticky));
    let giver = pool.clone();
    let giver = at(0, move || giver.give(0, 1));
    let during = pool.take(1, 1);
    joined(giver);
    assert!(during || pool.take(1, 1), "sold out for ever with a unit free");
}
