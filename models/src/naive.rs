//! Typical first implementations of a counter. Both cause false refusals; the models show how.

use crate::sync::{AtomicU64, Ordering};

/// Whether a refusal leaves a flag behind that the next request reads first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SoldOutFlag {
    /// No flag: each request walks over the shards.
    None,
    /// Set by a refusal, cleared by giving back.
    Sticky,
}

/// Two shards. A taker takes from both and gives back if that is not enough. `SeqCst` throughout: no ordering helps.
#[derive(Debug)]
pub struct Gathering {
    shards: [AtomicU64; 2],
    flag: SoldOutFlag,
    sold_out: AtomicU64,
}

impl Gathering {
    /// A counter with these units in its shards.
    pub fn new(first: u64, second: u64, flag: SoldOutFlag) -> Self {
        Self { shards: [first, second].map(AtomicU64::new), flag, sold_out: AtomicU64::new(0) }
    }

    fn from(&self, home: usize) -> impl Iterator<Item = &AtomicU64> {
        self.shards.iter().cycle().skip(home).take(2)
    }

    /// Gives `units` to the shard `home`.
    pub fn give(&self, home: usize, units: u64) {
        for shard in self.from(home).take(1) {
            shard.fetch_add(units, Ordering::SeqCst);
        }
        match self.flag {
            SoldOutFlag::None => {}
            SoldOutFlag::Sticky => self.sold_out.store(0, Ordering::SeqCst),
        }
    }

    /// Takes `units`, first from the shard `home`. Returns whether there were enough.
    pub fn take(&self, home: usize, units: u64) -> bool {
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
