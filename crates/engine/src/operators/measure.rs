//! What is measured of drops: what was asked is recorded every few seconds, and a report is kept once its drop's sale is
//! over. The engine counts and keeps; it computes no report.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use stockade_counter::demand::{Changes, Reading};
use stockade_types::definition::Definition;
use stockade_types::hold::{Hold, HoldState};
use stockade_types::ids::{DropId, DropNo, Lsn, SubjectKey};
use stockade_types::record::{DemandFact, DropTotals, Lifecycle, Record, ReportFact, ReportPart};
use stockade_types::time::{Millis, Timestamp};

use crate::Engine;
use crate::answer::Fault;
use crate::attempt::{Answer, Decided};
use crate::commit::Prepared;
use crate::context::Context;
use crate::inventory::{DropEntry, DropState, Locked, Stock};

/// A crash loses what was counted in about this time.
pub const RECORD_PERIOD: Millis = Millis::from_secs(5);

/// What is known of a drop, without its holds.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Its number.
    pub number: DropNo,
    /// When it was created.
    pub created_at: Timestamp,
    /// Its definition.
    pub definition: Arc<Definition>,
    /// Which of its moments have come.
    pub lifecycle: Lifecycle,
    /// Its state.
    pub state: DropState,
    /// Stock by item and pool.
    pub stock: Vec<Vec<Stock>>,
    /// Sums of its holds.
    pub totals: DropTotals,
    /// What was asked of it; none if nothing was.
    pub demand: Option<Reading>,
    /// Until when what was asked is recorded.
    pub demand_recorded_at: Timestamp,
    /// Whether it is closed and no hold of it is live.
    pub is_over: bool,
    /// Its records up to this one are in all this.
    pub as_of: Lsn,
}

/// A claimed hold of one of the drops that a walk is for.
#[derive(Debug)]
pub struct ClaimedHold<'a> {
    /// The hold.
    pub hold: &'a Hold,
    /// Its customer.
    pub buyer: SubjectKey,
}

impl Engine {
    /// Records what was asked of a drop since its last record, up to the second before this one. Returns whether
    /// there was anything.
    ///
    /// # Errors
    /// Faults of the journal: nothing is lost then.
    pub(crate) fn record_demand(&self, entry: &DropEntry, now: Timestamp) -> Result<bool, Fault> {
        let Some(demand) = entry.demand_so_far().filter(|_| self.bounds.records_demand) else { return Ok(false) };
        let permit = self.journal.permit()?;
        let opens_at = entry.read().opens_at(entry);
        let Some(changes) = demand.take(opens_at.seconds(), now.seconds()) else { return Ok(false) };
        let Changes { sums, by_tier, registers, intervals } = changes;
        let fact = DemandFact { drop: entry.number, at: now, sums, by_tier, registers, intervals };
        let prepared = Prepared { permit, locked: Locked::Demand(entry), taken: None };
        self.commit(Record::Demand(Box::new(fact)), prepared, now)?;
        Ok(true)
    }

    /// Records what was asked of all drops: before a stop in order.
    ///
    /// # Errors
    /// Faults of the journal.
    pub fn record_all_demand(&self, now: Timestamp) -> Result<usize, Fault> {
        let mut recorded = 0_usize;
        for entry in self.inventory.drops.all() {
            // The second that still runs as well.
            let upto = now.plus(Millis::from_secs(1));
            recorded = recorded.saturating_add(usize::from(self.record_demand(&entry, upto)?));
        }
        Ok(recorded)
    }

    /// The engine did not run between these instants, and what was counted shortly before is lost.
    pub(crate) fn missed_demand(&self, stopped_at: Timestamp, now: Timestamp) {
        for entry in self.inventory.drops.behind(None, usize::MAX) {
            let inner = entry.read();
            let Some(opened) = inner.lifecycle.opened.filter(|_| inner.is_on_sale()) else { continue };
            let from = stopped_at.minus(RECORD_PERIOD).max(entry.demand_recorded_at()).max(opened);
            entry.demand().miss(from.until(now));
        }
    }

    /// What is known of a drop, without its holds.
    #[must_use]
    pub fn measured(&self, id: &DropId) -> Option<Measured> {
        self.inventory.drops.with_id(id, measured)
    }

    /// Drops behind a number that are over and have no report, at most `most`; and the last number that was looked at,
    /// none at the end.
    #[must_use]
    pub fn unreported(&self, last: Option<DropNo>, most: usize) -> (Vec<DropId>, Option<DropNo>) {
        let entries = self.inventory.drops.behind(last, most);
        let reports = self.inventory.reports.lock();
        let lacks = |entry: &Arc<DropEntry>| reports.get(entry.number, ReportPart::Figures).is_none() && is_over(entry);
        let ids = entries.iter().filter(|entry| lacks(entry)).map(|entry| entry.read().definition.id.clone());
        (ids.collect(), entries.last().map(|entry| entry.number))
    }

    /// Visits each claimed hold of these drops. Each shard of holds is locked by itself, so a hold that is claimed meanwhile
    /// may be visited or not.
    pub fn walk_claimed(&self, drops: &[DropNo], mut visit: impl FnMut(ClaimedHold<'_>)) {
        let entries = self.entries(drops);
        self.inventory.holds.for_each_shard(|shard| {
            for (_, hold) in shard.iter().filter(|(_, hold)| hold.state == HoldState::Claimed) {
                if let Some(entry) = entries.get(&hold.drop) {
                    visit(ClaimedHold { hold, buyer: self.inventory.customer_of(&entry.scope, hold) });
                }
            }
        });
    }

    /// The buyers of these drops who had bought in the shop before they bought there, by drop. Walks over all holds twice.
    #[must_use]
    pub fn repeat_buyers(&self, drops: &[DropNo]) -> BTreeMap<DropNo, HashSet<SubjectKey>> {
        // When each buyer bought first in each of the drops.
        let mut first: HashMap<SubjectKey, Vec<(DropNo, Timestamp)>> = HashMap::new();
        self.walk_claimed(drops, |ClaimedHold { hold, buyer }| {
            let of_buyer = first.entry(buyer).or_default();
            match of_buyer.iter_mut().find(|(drop, _)| *drop == hold.drop) {
                Some((_, at)) => *at = (*at).min(hold.settled_at()),
                None => of_buyer.push((hold.drop, hold.settled_at())),
            }
        });
        let mut repeated: BTreeMap<DropNo, HashSet<SubjectKey>> = BTreeMap::new();
        let all: Vec<DropNo> = self.inventory.drops.all().iter().map(|entry| entry.number).collect();
        self.walk_claimed(&all, |ClaimedHold { hold, buyer }| {
            let Some(of_buyer) = first.get(&buyer) else { return };
            for (drop, at) in of_buyer {
                if *drop != hold.drop && hold.settled_at() < *at {
                    repeated.entry(*drop).or_default().insert(buyer);
                }
            }
        });
        for (buyer, of_buyer) in first {
            for (drop, at) in of_buyer {
                if self.inventory.subjects.bought_before(buyer, at) {
                    repeated.entry(drop).or_default().insert(buyer);
                }
            }
        }
        repeated
    }

    fn entries(&self, drops: &[DropNo]) -> BTreeMap<DropNo, Arc<DropEntry>> {
        drops.iter().filter_map(|drop| Some((*drop, self.inventory.drops.entry(*drop)?))).collect()
    }

    /// Keeps a part of a report. What is known already is left as it is.
    ///
    /// # Errors
    /// Faults of the journal.
    pub fn keep_report(&self, fact: ReportFact, context: Context<'_>) -> Answer<Lsn> {
        let mut reports = self.inventory.reports.lock();
        if reports.get(fact.drop, fact.part).is_some() {
            return Ok(Decided { value: Lsn::default(), durable_after: self.journal.appended() });
        }
        let prepared = Prepared { permit: self.journal.permit()?, locked: Locked::Reports(&mut reports), taken: None };
        let lsn = self.commit(Record::Report(Box::new(fact)), prepared, context.now)?;
        Ok(Decided { value: lsn, durable_after: lsn })
    }

    /// Parts of the report of the last drop with this id, if they were recorded and are still kept.
    #[must_use]
    pub fn report(&self, id: &DropId) -> Option<(Arc<ReportFact>, Option<Arc<ReportFact>>)> {
        let reports = self.inventory.reports.lock();
        let number = reports.number(id)?;
        Some((reports.get(number, ReportPart::Figures)?, reports.get(number, ReportPart::Demand)))
    }

    /// The figures of all drops that are kept.
    #[must_use]
    pub fn reports(&self) -> Vec<Arc<ReportFact>> {
        self.inventory.reports.lock().figures().cloned().collect()
    }

    /// Forgets reports that are older than this.
    pub fn forget_reports(&self, now: Timestamp, figures: Millis, demand: Millis) {
        self.inventory.reports.lock().forget(now, figures, demand);
    }
}

fn measured(entry: &DropEntry) -> Measured {
    // Closed, so that stock and sums are those of one instant.
    let inner = entry.write();
    let (stock, as_of) = entry.stock(&inner);
    Measured {
        number: entry.number,
        created_at: entry.created_at,
        definition: Arc::clone(&inner.definition),
        lifecycle: inner.lifecycle.clone(),
        state: inner.state(),
        stock,
        totals: entry.totals(&inner).totals,
        demand: entry.demand_so_far().map(stockade_counter::demand::Demand::read),
        demand_recorded_at: entry.demand_recorded_at(),
        is_over: inner.lifecycle.closed.is_some() && !entry.has_live_holds(),
        as_of: as_of.max(inner.durable_after()),
    }
}

fn is_over(entry: &DropEntry) -> bool {
    let closed = entry.read().lifecycle.closed;
    closed.is_some() && !entry.has_live_holds()
}
