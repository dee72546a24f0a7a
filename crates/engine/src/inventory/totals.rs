//! What is measured of a drop: its holds, as the journal's records say in sum, and what is asked of it, which is counted
//! in memory.
//!
//! A verb counts its record after it is applied, while it holds the drop's gate; so the sums are exact while the gate is
//! closed. A start and a follower count the same records. Sums of what was trimmed are in the snapshot. What is asked is
//! recorded every few seconds; a crash loses what was counted since.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;
use stockade_counter::demand::{Changes, Demand};
use stockade_types::hold::HoldState;
use stockade_types::ids::Lsn;
use stockade_types::metrics::{CELLS, thread_cell};
use stockade_types::record::{DemandFact, DropFact, DropTotals, HoldChange, MarkKind, Record, TotalsImage, Verb};
use stockade_types::time::Timestamp;

use super::{DropEntry, DropInner};

/// What is measured of a drop. Most drops have nothing of it for most of their time.
#[derive(Debug, Default)]
pub(super) struct Measured {
    holds: OnceLock<Box<HoldTally>>,
    demand: OnceLock<Box<Demand>>,
    /// LSN and instant of the last record of what is asked.
    recorded: parking_lot::Mutex<(Lsn, Timestamp)>,
}

/// A record of a hold, as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldCount {
    /// A hold was made.
    Made,
    /// Its deadline passed.
    Expired,
    /// It was released whole.
    Released,
    /// It was claimed in time.
    Claimed,
    /// It was claimed late.
    Late,
}

/// Counts of holds since the sums that a snapshot had.
#[derive(Debug, Default)]
struct HoldTally {
    cells: [CachePadded<[AtomicU64; 5]>; CELLS],
    /// The last record that a start or a follower has counted.
    followed: AtomicU64,
}

/// The sums that a snapshot had, with what is not counted by hold.
#[derive(Debug, Clone, Copy, Default)]
pub struct TotalsBase {
    /// The last record that is in them.
    pub as_of: Lsn,
    /// The sums.
    pub totals: DropTotals,
}

impl HoldCount {
    /// What a change of a hold counts as, if it is counted.
    #[must_use]
    pub fn of(change: &HoldChange) -> Option<Self> {
        match change.verb {
            Verb::Expire => Some(Self::Expired),
            Verb::Release if change.hold.state == HoldState::Released => Some(Self::Released),
            Verb::Claim if change.was == HoldState::Expired => Some(Self::Late),
            Verb::Claim => Some(Self::Claimed),
            Verb::Extend | Verb::Release | Verb::Return | Verb::Supersede => None,
        }
    }

    /// What a record of a hold counts as.
    #[must_use]
    pub fn of_record(record: &Record) -> Option<Self> {
        match record {
            Record::Made(_) | Record::Hold(_) | Record::Superseded(_) => Some(Self::Made),
            Record::Changed(change) => Self::of(change),
            Record::Drop(_)
            | Record::Lifecycle(_)
            | Record::DropFact(_)
            | Record::Upgraded(_)
            | Record::Old(_)
            | Record::Restart(_)
            | Record::Adjusted(_)
            | Record::Stock(_)
            | Record::Adjustments(_)
            | Record::Archived(_)
            | Record::Usage(_)
            | Record::Defined(_)
            | Record::Occurrence(_)
            | Record::Delivered(_)
            | Record::Channel(_)
            | Record::Facts(_)
            | Record::FactsImage(_)
            | Record::Totals(_)
            | Record::Demand(_)
            | Record::Report(_) => None,
        }
    }

    const fn place(self) -> usize {
        match self {
            Self::Made => 0,
            Self::Expired => 1,
            Self::Released => 2,
            Self::Claimed => 3,
            Self::Late => 4,
        }
    }
}

// Relaxed everywhere: the counts order no other data; whoever needs them exact has closed the drop's gate.
impl HoldTally {
    #[inline]
    fn count(&self, what: HoldCount) {
        if let Some(count) = self.cells.get(thread_cell()).and_then(|cell| cell.get(what.place())) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a record that is followed, unless it was counted before. Records come in their order.
    fn follow(&self, lsn: Lsn, base: Lsn, what: HoldCount) {
        if lsn > base && self.followed.fetch_max(lsn.0, Ordering::Relaxed) < lsn.0 {
            self.count(what);
        }
    }

    fn followed(&self) -> Lsn {
        Lsn(self.followed.load(Ordering::Relaxed))
    }

    /// The sums with those of a snapshot.
    fn over(&self, base: DropTotals) -> DropTotals {
        let of = |what: HoldCount| {
            let counts = self.cells.iter().filter_map(|cell| cell.get(what.place()));
            counts.map(|count| count.load(Ordering::Relaxed)).fold(0, u64::saturating_add)
        };
        DropTotals {
            made: base.made.saturating_add(of(HoldCount::Made)),
            expired: base.expired.saturating_add(of(HoldCount::Expired)),
            released: base.released.saturating_add(of(HoldCount::Released)),
            claimed: base.claimed.saturating_add(of(HoldCount::Claimed)),
            late: base.late.saturating_add(of(HoldCount::Late)),
            ..base
        }
    }
}

impl TotalsBase {
    /// Counts what a fact that is applied says of the stock.
    pub(super) fn see(&mut self, lsn: Lsn, fact: &DropFact) {
        if lsn > self.as_of && fact.marks.iter().any(|mark| mark.kind == MarkKind::SoldOut(None)) {
            self.totals.times_sold_out = self.totals.times_sold_out.saturating_add(1);
            if self.totals.sold_out_at == Timestamp::default() {
                self.totals.sold_out_at = fact.at;
            }
        }
    }
}

impl DropEntry {
    /// Counts a hold that was just made or changed. The drop's gate is held.
    #[inline]
    pub fn count_hold(&self, what: HoldCount) {
        self.measured.holds.get_or_init(Box::default).count(what);
    }

    /// Counts a record that a start or a follower applies, unless it is in the sums already.
    pub(super) fn follow_count(&self, inner: &DropInner, lsn: Lsn, what: HoldCount) {
        if !self.has_no_pools() {
            self.measured.holds.get_or_init(Box::default).follow(lsn, inner.totals.as_of, what);
        }
    }

    /// The sums of its holds. Exact while the gate is closed; `inner` is this drop's.
    #[must_use]
    pub fn totals(&self, inner: &DropInner) -> TotalsBase {
        let base = inner.totals;
        if self.has_no_pools() {
            return base;
        }
        let followed = self.measured.holds.get().map_or(Lsn::default(), |tally| tally.followed());
        let totals = self.measured.holds.get().map_or(base.totals, |tally| tally.over(base.totals));
        let as_of = base.as_of.max(followed).max(inner.lived).max(self.stock(inner).1);
        TotalsBase { as_of, totals }
    }

    /// Whether a hold of it is live.
    #[must_use]
    pub fn has_live_holds(&self) -> bool {
        self.pools().any(|pool| {
            let (stock, _) = pool.stock();
            stock.held > 0 || stock.paying > 0
        })
    }

    /// What is asked of it, to count it.
    #[inline]
    pub fn demand(&self) -> &Demand {
        self.measured.demand.get_or_init(Box::default)
    }

    /// What was asked of it; none if nothing was, or if that is over and recorded.
    #[must_use]
    pub fn demand_so_far(&self) -> Option<&Demand> {
        self.measured.demand.get().map(Box::as_ref)
    }

    /// Until when requests are recorded.
    #[must_use]
    pub fn demand_recorded_at(&self) -> Timestamp {
        self.measured.recorded.lock().1
    }

    /// Enters a record of what was asked. What this term has counted itself is there already.
    pub(super) fn demand_recorded(&self, lsn: Lsn, fact: &DemandFact) {
        let mut recorded = self.measured.recorded.lock();
        if lsn <= recorded.0 || self.has_no_pools() {
            return;
        }
        *recorded = (lsn, fact.at);
        let DemandFact { drop: _, at: _, sums, by_tier, registers, intervals } = fact;
        let (by_tier, registers, intervals) = (by_tier.clone(), registers.clone(), intervals.clone());
        let changes = Changes { sums: *sums, by_tier, registers, intervals };
        self.demand().restore(&changes);
    }

    /// The same for a record that was made of what this engine has counted: only the place of the record is new.
    pub(super) fn demand_was_recorded(&self, lsn: Lsn, at: Timestamp) {
        *self.measured.recorded.lock() = (lsn, at);
    }

    /// The records of a snapshot about what is measured.
    pub(super) fn measured_images(&self, inner: &DropInner) -> Vec<(Lsn, Record)> {
        let mut images = Vec::new();
        let TotalsBase { as_of, totals } = self.totals(inner);
        if totals != DropTotals::default() {
            images.push((as_of, Record::Totals(TotalsImage { drop: self.number, totals })));
        }
        let (lsn, at) = *self.measured.recorded.lock();
        if let Some(demand) = self.demand_so_far().filter(|_| lsn > Lsn::default()) {
            let Changes { sums, by_tier, registers, intervals } = demand.taken();
            let fact = DemandFact { drop: self.number, at, sums, by_tier, registers, intervals };
            images.push((lsn, Record::Demand(Box::new(fact))));
        }
        images
    }
}
