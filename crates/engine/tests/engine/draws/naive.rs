//! A naive model of one drop whose items have several pools: each hold with its units by item and pool, free units by
//! summing up, due holds expired before each step.

use std::collections::BTreeMap;

use stockade_types::hold::HoldState;

use super::{LIFE, TTL};

/// Units by item and pool.
pub type Parts = BTreeMap<(usize, u16), u32>;
/// Units by item.
pub type Units = BTreeMap<usize, u32>;

/// A hold.
#[derive(Debug, Clone)]
pub struct Kept {
    pub state: HoldState,
    created_at: u64,
    expires_at: u64,
    has: Parts,
    returned: Parts,
    withdrawn: Parts,
}

/// A reserve.
#[derive(Debug, Clone)]
pub struct Ask {
    pub hold: u64,
    pub lines: Units,
    pub old: Option<u64>,
    pub partial: bool,
}

/// The whole state.
#[derive(Debug)]
pub struct Naive {
    /// Units that each pool has received, less those taken out.
    pub pools: Vec<Vec<u64>>,
    pub holds: BTreeMap<u64, Kept>,
    pub now: u64,
}

impl Kept {
    fn owns(&self, place: (usize, u16)) -> u32 {
        let owned = matches!(self.state, HoldState::Held | HoldState::Paying | HoldState::Claimed);
        if owned { self.has.get(&place).copied().unwrap_or(0) } else { 0 }
    }

    fn of_item(&self, item: usize) -> u32 {
        self.has.iter().filter(|((of, _), _)| *of == item).map(|(_, units)| units).sum()
    }

    /// The wanted units of each item, from the first pools on, as far as `there` has them.
    fn first(&self, wanted: &Units, there: impl Fn((usize, u16)) -> u32) -> Parts {
        let mut left = wanted.clone();
        let part = |place: (usize, u16)| {
            let left = left.entry(place.0).or_default();
            let units = there(place).min(*left);
            *left -= units;
            (place, units)
        };
        self.has.keys().copied().map(part).collect()
    }

    fn told(&self) -> String {
        let dead = matches!(self.state, HoldState::Released | HoldState::Expired);
        let lines: Vec<_> = self.has.iter().map(|((item, pool), n)| (item, pool, if dead { 0 } else { *n })).collect();
        format!("{:?} {lines:?}", self.state)
    }
}

impl Naive {
    pub fn expire(&mut self) {
        for hold in self.holds.values_mut().filter(|hold| hold.state == HoldState::Held) {
            if hold.expires_at <= self.now {
                hold.state = HoldState::Expired;
            }
        }
    }

    pub fn free(&self, item: usize, pool: u16) -> u64 {
        let place = (item, pool);
        let gone = |hold: &Kept| hold.owns(place) + hold.withdrawn.get(&place).copied().unwrap_or(0);
        self.pools[item][usize::from(pool)] - self.holds.values().map(|hold| u64::from(gone(hold))).sum::<u64>()
    }

    pub fn all_free(&self) -> Vec<Vec<u64>> {
        let pools =
            |(item, pools): (usize, &Vec<u64>)| (0..).zip(pools).map(|(pool, _)| self.free(item, pool)).collect();
        self.pools.iter().enumerate().map(pools).collect()
    }

    pub fn told(&self, hold: u64) -> String {
        self.holds[&hold].told()
    }

    /// Free units of an item, up to `rest`: pool by pool, from the first on.
    fn drawn(&self, item: usize, mut rest: u32) -> Parts {
        let mut parts = Parts::new();
        for (pool, _) in (0..).zip(&self.pools[item]) {
            let units = rest.min(u32::try_from(self.free(item, pool)).expect("small"));
            rest -= units;
            parts.insert((item, pool), units);
        }
        parts
    }

    pub fn reserve(&mut self, ask: &Ask) -> String {
        let old = ask.old.map(|old| self.holds[&old].clone());
        let (mut has, mut short) = (Parts::new(), Units::new());
        for (item, units) in &ask.lines {
            let own = old.as_ref().map_or(0, |old| old.of_item(*item));
            let kept = old
                .as_ref()
                .map_or_else(Parts::new, |old| old.first(&[(*item, *units)].into(), |place| old.has[&place]));
            let drawn = self.drawn(*item, units.saturating_sub(own));
            let there = own.min(*units) + drawn.values().sum::<u32>();
            if there < *units {
                short.insert(*item, own + drawn.values().sum::<u32>());
            }
            for (place, units) in kept.into_iter().chain(drawn).filter(|(_, units)| *units > 0) {
                *has.entry(place).or_default() += units;
            }
        }
        if has.is_empty() || (!ask.partial && !short.is_empty()) {
            let lines: Vec<_> = short.iter().map(|(item, there)| (item, *there)).collect();
            return format!("SoldOut {lines:?} retry {:?}", self.retry(&short, ask.old));
        }
        let (mut created_at, mut expires_at) = (self.now, self.now + TTL.0);
        if let Some(old) = ask.old.and_then(|old| self.holds.get_mut(&old)) {
            old.state = HoldState::Released;
            created_at = old.created_at;
            expires_at = old.expires_at.max(expires_at.min(created_at + LIFE.0));
        }
        let (returned, withdrawn) = Default::default();
        let hold = Kept { state: HoldState::Held, created_at, expires_at, has, returned, withdrawn };
        self.holds.insert(ask.hold, hold);
        self.told(ask.hold)
    }

    /// When all short items may have units again: the latest of each item's first deadline in any of its pools.
    fn retry(&self, short: &Units, but: Option<u64>) -> Option<u64> {
        let lives = |id: u64, hold: &Kept| Some(id) != but && hold.state == HoldState::Held;
        let next = |item: usize| {
            let there = self.holds.iter().filter(|(id, hold)| lives(**id, hold) && hold.of_item(item) > 0);
            there.map(|(_, hold)| hold.expires_at - self.now).min()
        };
        short.keys().map(|item| next(*item)).collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    pub fn release(&mut self, id: u64, keep: &Units) -> String {
        let hold = self.holds.get_mut(&id).expect("a hold");
        if hold.state != HoldState::Held {
            return "no".to_owned();
        }
        let kept = hold.first(keep, |place| hold.has[&place]);
        if kept.values().all(|units| *units == 0) {
            hold.state = HoldState::Released;
        } else {
            hold.has = kept;
        }
        hold.told()
    }

    pub fn claim(&mut self, id: u64, lines: &Units, late: bool) -> String {
        let hold = &self.holds[&id];
        let kept = if lines.is_empty() { hold.has.clone() } else { hold.first(lines, |place| hold.has[&place]) };
        let late = late && hold.state == HoldState::Expired;
        if !late && hold.state != HoldState::Held {
            return "no".to_owned();
        }
        if lines.iter().any(|(item, units)| hold.of_item(*item) < *units) {
            return "invalid".to_owned();
        }
        if late {
            let mut short: BTreeMap<usize, (u32, u32)> = BTreeMap::new();
            for ((item, pool), units) in &kept {
                let there = u32::try_from(self.free(*item, *pool)).expect("small").min(*units);
                let sums = short.entry(*item).or_default();
                *sums = (sums.0 + there, sums.1 + units);
            }
            short.retain(|_, (there, wanted)| there < wanted);
            if !short.is_empty() {
                let lines: Vec<_> = short.iter().map(|(item, (there, _))| (item, *there)).collect();
                return format!("SoldOut {lines:?} retry None");
            }
        }
        let hold = self.holds.get_mut(&id).expect("a hold");
        (hold.state, hold.has) = (HoldState::Claimed, kept);
        hold.told()
    }

    pub fn give_back(&mut self, id: u64, wanted: &Units, restock: bool) -> String {
        let hold = self.holds.get_mut(&id).expect("a hold");
        if hold.state != HoldState::Claimed {
            return "no".to_owned();
        }
        let before = |hold: &Kept, place| hold.returned.get(&place).copied().unwrap_or(0);
        let sold = |hold: &Kept, place: (usize, u16)| hold.has[&place] + before(hold, place);
        let of_item = |hold: &Kept, item| {
            hold.has.keys().filter(|(of, _)| *of == item).map(|place| sold(hold, *place)).sum::<u32>()
        };
        if wanted.iter().any(|(item, units)| of_item(hold, *item) < *units) {
            return "invalid".to_owned();
        }
        let all: Units = hold.has.keys().map(|(item, _)| (*item, u32::MAX)).collect();
        let totals = hold.first(if wanted.is_empty() { &all } else { wanted }, |place| sold(hold, place));
        for (place, total) in totals {
            let more = total.saturating_sub(before(hold, place));
            *hold.has.entry(place).or_default() -= more;
            *hold.returned.entry(place).or_default() += more;
            *hold.withdrawn.entry(place).or_default() += if restock { 0 } else { more };
        }
        hold.told()
    }
}
