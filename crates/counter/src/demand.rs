//! What is asked of a drop, counted where a request is decided: sums, requests by second, and a sketch of distinct
//! customers.
//!
//! No thread waits for another, and threads write to different cache lines: each adds to its own cell. Of the current
//! second a cell has one word; the thread that finds another second in it puts that word away, under a lock that is so
//! taken once a second. The sketch is read by each request, and written by those whose customer changes it: fewer and
//! fewer. What was counted is in memory alone until [`Demand::take`] makes a record of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;
use stockade_types::ids::{SubjectKey, TierId};
use stockade_types::metrics::{CELLS, thread_cell};
use stockade_types::record::{DemandSums, Interval};
use stockade_types::refusal::Reason;
use stockade_types::time::Millis;

use crate::sketch::{DistinctSketch, REGISTERS};

/// Bits of a word for the requests of a second, and for their units.
const COUNT_BITS: u32 = 16;
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;
/// Most tiers by which refusals are counted. A drop names fewer; while it runs it may come to name others.
const TIERS_MAX: usize = 256;

const HOUR: u32 = 3_600;
const DAY: u32 = 86_400;
const MINUTE: u32 = 60;

/// A request that was decided.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// When: seconds since the epoch.
    pub second: u32,
    /// By whom.
    pub customer: SubjectKey,
    /// The first of the customer's tiers that the drop names.
    pub tier: Option<&'a TierId>,
    /// Units that it asked for.
    pub units: u64,
    /// Units that were set aside for it, or why none were.
    pub outcome: Result<u64, Reason>,
}

/// What is asked of one drop.
#[derive(Debug)]
pub struct Demand {
    cells: [CachePadded<Cell>; CELLS],
    customers: DistinctSketch,
    /// Requests and units of seconds that have left their cells and were not taken yet.
    seconds: Mutex<BTreeMap<u32, (u64, u64)>>,
    /// What was taken: locked for the time of a record.
    taken: Mutex<Taken>,
}

/// The counts of some threads.
#[derive(Debug)]
struct Cell {
    /// The last second, and its requests and units: see [`pack`].
    word: AtomicU64,
    served: AtomicU64,
    units_asked: AtomicU64,
    refused: [AtomicU64; Reason::ALL.len()],
    late_refused: AtomicU64,
    /// Refusals of customers with such a tier.
    by_tier: Mutex<Vec<(TierId, u64)>>,
}

/// What was taken, or restored from a record.
#[derive(Debug)]
struct Taken {
    /// The sums of a term before this one.
    before: DemandSums,
    tiers_before: Vec<(TierId, u64)>,
    peak: u64,
    registers: Box<[u8]>,
    /// Ascending.
    intervals: Arc<Vec<Interval>>,
    /// The sums when it was taken last.
    last: DemandSums,
}

/// What has changed since it was taken last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The sums.
    pub sums: DemandSums,
    /// Refusals by tier.
    pub by_tier: Vec<(TierId, u64)>,
    /// Registers that have grown.
    pub registers: Vec<(u16, u8)>,
    /// Intervals that have changed, in their order.
    pub intervals: Vec<Interval>,
}

/// All that is known of what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The sums.
    pub sums: DemandSums,
    /// Refusals by tier; those of other customers are left out.
    pub by_tier: Vec<(TierId, u64)>,
    /// Distinct customers, estimated.
    pub customers: u64,
    /// Intervals in their order.
    pub intervals: Arc<Vec<Interval>>,
}

/// The first hour is counted by second, what comes before and after it by minute, for a day each.
#[must_use]
pub fn interval_of(second: u32, opens: u32) -> Option<u32> {
    let after = i64::from(second).saturating_sub(opens.into());
    let by_minute = || second.saturating_sub(second.checked_rem(MINUTE).unwrap_or(0));
    match after {
        0..3_600 => Some(second),
        3_600..86_400 => Some(by_minute().max(opens.saturating_add(HOUR))),
        _ if after < 0 && after >= -i64::from(DAY) => Some(by_minute()),
        _ => None,
    }
}

fn pack(second: u32, requests: u64, units: u64) -> u64 {
    (u64::from(second) << (2 * COUNT_BITS)) | (requests << COUNT_BITS) | units
}

fn unpack(word: u64) -> (u32, u64, u64) {
    (u32::try_from(word >> (2 * COUNT_BITS)).unwrap_or(u32::MAX), (word >> COUNT_BITS) & COUNT_MAX, word & COUNT_MAX)
}

impl Default for Demand {
    fn default() -> Self {
        let count = || AtomicU64::new(0);
        let cell = || {
            let refused = std::array::from_fn(|_| count());
            let (served, units_asked, late_refused) = (count(), count(), count());
            CachePadded::new(Cell {
                word: count(),
                served,
                units_asked,
                refused,
                late_refused,
                by_tier: Mutex::default(),
            })
        };
        Self {
            cells: std::array::from_fn(|_| cell()),
            customers: DistinctSketch::default(),
            seconds: Mutex::default(),
            taken: Mutex::new(Taken {
                before: DemandSums::default(),
                tiers_before: Vec::new(),
                peak: 0,
                registers: vec![0; REGISTERS].into(),
                intervals: Arc::default(),
                last: DemandSums::default(),
            }),
        }
    }
}

// Relaxed everywhere: counts order no other data. Whoever needs them exact has stopped those who count.
impl Demand {
    /// Counts a request. It is called once for each that is decided.
    pub fn count(&self, asked: Asked<'_>) {
        let Asked { second, customer, tier, units, outcome } = asked;
        self.customers.add(customer);
        let Some(cell) = self.cells.get(thread_cell()) else { return };
        let held = match outcome {
            Ok(held) => {
                cell.served.fetch_add(1, Ordering::Relaxed);
                held
            }
            Err(reason) => {
                if let Some(count) = cell.refused.get(reason.place()) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                if let Some(tier) = tier {
                    add_tiers(&mut cell.by_tier.lock(), &[(tier.clone(), 1)]);
                }
                0
            }
        };
        cell.units_asked.fetch_add(units, Ordering::Relaxed);
        self.count_second(cell, second, held);
    }

    /// Counts a claim that was refused because it came after its hold's deadline.
    pub fn count_late_refused(&self) {
        if let Some(cell) = self.cells.get(thread_cell()) {
            cell.late_refused.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn count_second(&self, cell: &Cell, second: u32, held: u64) {
        let mut known = cell.word.load(Ordering::Relaxed);
        loop {
            let (last, requests, units) = unpack(known);
            let fits = last == second && requests < COUNT_MAX && units.saturating_add(held) <= COUNT_MAX;
            let next = match (fits, held <= COUNT_MAX) {
                (true, _) => pack(second, requests.saturating_add(1), units.saturating_add(held)),
                (false, true) => pack(second, 1, held),
                (false, false) => return self.put_away(second, (1, held)),
            };
            match cell.word.compare_exchange(known, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) if fits || requests == 0 => return,
                Ok(_) => return self.put_away(last, (requests, units)),
                Err(newer) => known = newer,
            }
        }
    }

    #[cold]
    fn put_away(&self, second: u32, (requests, units): (u64, u64)) {
        let mut seconds = self.seconds.lock();
        let known = seconds.entry(second).or_default();
        *known = (known.0.saturating_add(requests), known.1.saturating_add(units));
    }

    /// What has changed since the last call; none if nothing was asked since. Seconds from `until` on stay where they are.
    pub fn take(&self, opens: u32, until: u32) -> Option<Changes> {
        let mut taken = self.taken.lock();
        let sums = self.sums(&taken);
        for cell in &self.cells {
            let word = cell.word.load(Ordering::Relaxed);
            let (second, requests, units) = unpack(word);
            if requests > 0
                && second < until
                && cell.word.compare_exchange(word, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
            {
                self.put_away(second, (requests, units));
            }
        }
        let mut seconds = self.seconds.lock();
        let later = seconds.split_off(&until);
        let passed = std::mem::replace(&mut *seconds, later);
        drop(seconds);
        let registers = self.customers.grown(&mut taken.registers);
        let by_tier = self.tiers(&taken);
        if passed.is_empty() && registers.is_empty() && sums == taken.last {
            return None;
        }
        let intervals = taken.enter(&passed, opens);
        let sums = DemandSums { peak: taken.peak, ..sums };
        taken.last = sums;
        Some(Changes { sums, by_tier, registers, intervals })
    }

    /// Whether all that was counted was taken.
    pub fn is_settled(&self) -> bool {
        self.cells.iter().all(|cell| unpack(cell.word.load(Ordering::Relaxed)).1 == 0) && self.seconds.lock().is_empty()
    }

    /// All that was taken, with sums of this instant.
    pub fn read(&self) -> Reading {
        let taken = self.taken.lock();
        let (sums, by_tier) = (self.sums(&taken), self.tiers(&taken));
        Reading { sums, by_tier, customers: self.customers.estimate(), intervals: Arc::clone(&taken.intervals) }
    }

    /// All that was taken, as of then: what a record of everything has.
    pub fn taken(&self) -> Changes {
        let taken = self.taken.lock();
        let registers = (0..).zip(&*taken.registers).filter(|(_, value)| **value > 0);
        let registers = registers.map(|(place, value)| (place, *value)).collect();
        Changes { sums: taken.last, by_tier: self.tiers(&taken), registers, intervals: taken.intervals.to_vec() }
    }

    /// Enters what a record says. Nothing may have been counted since the start but what records say.
    pub fn restore(&self, changes: &Changes) {
        let mut taken = self.taken.lock();
        let Changes { sums, by_tier, registers, intervals } = changes;
        taken.tiers_before.clone_from(by_tier);
        (taken.before, taken.last, taken.peak) = (*sums, *sums, sums.peak);
        for (place, value) in registers {
            self.customers.raise(*place, *value);
            if let Some(known) = taken.registers.get_mut(usize::from(*place)) {
                *known = (*known).max(*value);
            }
        }
        let known = Arc::make_mut(&mut taken.intervals);
        for interval in intervals {
            match known.binary_search_by_key(&interval.begins, |known| known.begins) {
                Ok(place) => {
                    if let Some(known) = known.get_mut(place) {
                        *known = *interval;
                    }
                }
                Err(place) => known.insert(place, *interval),
            }
        }
    }

    /// For so long nothing was counted.
    pub fn miss(&self, uncounted: Millis) {
        let mut taken = self.taken.lock();
        taken.before.uncounted = Millis(taken.before.uncounted.0.saturating_add(uncounted.0));
    }

    /// The sums of this term and those before; the peak is the one that is known.
    fn sums(&self, taken: &Taken) -> DemandSums {
        let mut sums = DemandSums { peak: taken.peak, ..taken.before };
        for cell in &self.cells {
            let refused =
                std::array::from_fn(|place| cell.refused.get(place).map_or(0, |count| count.load(Ordering::Relaxed)));
            let (served, units_asked) = (cell.served.load(Ordering::Relaxed), cell.units_asked.load(Ordering::Relaxed));
            let late_refused = cell.late_refused.load(Ordering::Relaxed);
            let of_cell = DemandSums { served, refused, late_refused, units_asked, ..DemandSums::default() };
            sums = sums.plus(&of_cell);
        }
        sums
    }

    fn tiers(&self, taken: &Taken) -> Vec<(TierId, u64)> {
        let mut tiers = taken.tiers_before.clone();
        self.cells.iter().for_each(|cell| add_tiers(&mut tiers, &cell.by_tier.lock()));
        tiers
    }
}

/// Adds counts by tier. Both are ascending.
fn add_tiers(tiers: &mut Vec<(TierId, u64)>, more: &[(TierId, u64)]) {
    for (tier, count) in more {
        match tiers.binary_search_by(|(known, _)| known.cmp(tier)) {
            Ok(place) => {
                if let Some((_, known)) = tiers.get_mut(place) {
                    *known = known.saturating_add(*count);
                }
            }
            Err(place) if tiers.len() < TIERS_MAX => tiers.insert(place, (tier.clone(), *count)),
            Err(_) => {}
        }
    }
}

impl Taken {
    /// Enters seconds. Returns the intervals that have changed, as they are now.
    fn enter(&mut self, passed: &BTreeMap<u32, (u64, u64)>, opens: u32) -> Vec<Interval> {
        let narrow = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let known = Arc::make_mut(&mut self.intervals);
        let mut changed: Vec<Interval> = Vec::new();
        for (second, (requests, units)) in passed {
            self.peak = self.peak.max(*requests);
            let Some(begins) = interval_of(*second, opens) else { continue };
            let place = known.binary_search_by_key(&begins, |known| known.begins).unwrap_or_else(|place| {
                known.insert(place, Interval { begins, ..Interval::default() });
                place
            });
            let Some(interval) = known.get_mut(place) else { continue };
            interval.requests = interval.requests.saturating_add(narrow(*requests));
            interval.units = interval.units.saturating_add(narrow(*units));
            // A second that was put away late belongs to an interval that was counted before.
            self.peak = self.peak.max(if begins == *second { interval.requests.into() } else { 0 });
            changed.retain(|other| other.begins != begins);
            changed.push(*interval);
        }
        changed
    }
}

#[cfg(test)]
mod tests;
