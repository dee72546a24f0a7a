//! Stock pool by pool: oversold, refused although the pools that a customer may draw on had enough, and books that do
//! not add up.

use std::collections::HashMap;

use stockade_proto as pb;
use stockade_proto::{HoldState, RefusalReason};

use super::intervals::{possibly, surely};
use super::rules::MARGIN;
use super::time::{Steps, Taken, peak, signed, steps};
use super::{Audit, Evidence, Shown};
use crate::ledger::{Ledger, Sale, Turned, Visit};
use crate::rules::{Visitor, by_time, rest, sizes};

/// Checks every drop that has rules.
pub(super) fn judge(sales: &[Sale], ledger: &Ledger, evidence: &Evidence, audit: &mut Audit) {
    for (drop, (sale, shown)) in (0_u16..).zip(sales.iter().zip(&evidence.drops)) {
        let Some(rules) = &sale.rules else { continue };
        for (place, item) in (0_u16..).zip(&rules.items) {
            let visits = ledger.visits.iter().filter(|visit| visit.drop == drop).collect();
            let stall = Stall { place: (drop, place), item, rules, shown, ledger, visits };
            stall.oversold(audit);
            stall.false_refusals(audit);
            stall.books(audit);
        }
    }
}

/// An item of a drop with rules, and who came for it.
struct Stall<'a> {
    place: (u16, u16),
    item: &'a pb::Item,
    rules: &'a pb::Drop,
    shown: &'a Shown,
    ledger: &'a Ledger,
    visits: Vec<&'a Visit>,
}

impl Stall<'_> {
    /// The names of the item's pools.
    fn names(&self) -> Vec<&str> {
        match self.item.pools.as_slice() {
            [] => vec!["general"],
            pools => pools.iter().map(|pool| pool.id.as_str()).collect(),
        }
    }

    /// Units of these pools that a visit got; none if it is not known which it got.
    fn units(&self, visit: &Visit, pools: &[&str]) -> Option<i64> {
        let listed = self.shown.holds.get(&visit.hold);
        let lines = listed.map(|listed| &listed.served).filter(|lines| !lines.is_empty()).unwrap_or(&visit.served);
        let here = lines.iter().filter(|line| line.sku == self.item.sku && pools.contains(&line.pool.as_str()));
        let sum = here.map(|line| u64::from(line.quantity)).fold(0, u64::saturating_add);
        (!lines.is_empty()).then(|| signed(sum))
    }

    /// Units that tranches bring to a pool.
    fn tranches(&self, place: usize, fired: impl Fn(&pb::Tranche) -> bool) -> u64 {
        let names = self.names();
        let goes_here = |tranche: &&pb::Tranche| {
            let pool = names.iter().position(|name| *name == tranche.pool).unwrap_or_else(|| rest(self.item));
            tranche.sku == self.item.sku && pool == place
        };
        let tranches = self.shown.drop.tranches.iter().filter(goes_here).filter(|tranche| fired(tranche));
        tranches.map(|tranche| tranche.units).fold(0, u64::saturating_add)
    }

    /// Pools of which more units were surely taken at one time than had been put in.
    fn oversold(&self, audit: &mut Audit) {
        for (place, (name, size)) in self.names().into_iter().zip(sizes(self.item)).enumerate() {
            let taken = self.visits.iter().filter_map(|visit| Some(steps(surely(visit)?, self.units(visit, &[name])?)));
            let mut all: Steps = taken.flatten().filter(|(_, change)| *change != 0).collect();
            if place == rest(self.item) {
                let restocks = self.ledger.restocks.iter().filter(|restock| (restock.drop, restock.item) == self.place);
                all.extend(restocks.map(|restock| (restock.sent, signed(restock.units).saturating_neg())));
            }
            // A tranche may have come at any time.
            let had = size.saturating_add(self.tranches(place, |_any| true));
            let over = peak(all).saturating_sub(signed(had));
            if let Ok(over) = u64::try_from(over)
                && over > 0
            {
                audit.oversold = audit.oversold.saturating_add(over);
                let sku = &self.item.sku;
                audit.tell(|| format!("oversold: pool {name} of {sku}: {over} units more than it had, at one time"));
            }
        }
    }

    /// Refusals as sold out although the pools that the customer could surely draw on had enough units all the time.
    fn false_refusals(&self, audit: &mut Audit) {
        let here =
            |turned: &Turned| (turned.drop, turned.item) == self.place && turned.reason == RefusalReason::SoldOut;
        let mut books: HashMap<Vec<usize>, (i64, Taken)> = HashMap::new();
        for turned in self.ledger.refused().filter(here) {
            let fired = by_time(&self.shown.drop, turned.server_time, MARGIN);
            let tiers = self.ledger.tiers_of(turned.crowd);
            let pools = Visitor { drop: self.rules, tiers, fired: &fired }.pools(&self.item.sku);
            let has_rest = pools.contains(&rest(self.item));
            let (had, taken) = books.entry(pools).or_insert_with_key(|pools| self.book(pools));
            let restocks = self.ledger.restocks.iter().filter(|restock| (restock.drop, restock.item) == self.place);
            let there = restocks.filter(|restock| restock.received.is_some_and(|received| received <= turned.sent));
            let more = there.map(|restock| signed(restock.units)).fold(0, i64::saturating_add);
            let had = if has_rest { had.saturating_add(more) } else { *had };
            let free = had.saturating_sub(taken.most(turned.sent, turned.received));
            if free >= i64::from(turned.units) {
                audit.false_refusals = audit.false_refusals.saturating_add(1);
                let (units, sku) = (turned.units, &self.item.sku);
                audit.tell(|| {
                    format!(
                        "false \"sold out\": {units} units of {sku} requested, at least {free} of the pools were free"
                    )
                });
            }
        }
    }

    /// What a set of pools begins with, and what may have been taken from it over time.
    fn book(&self, pools: &[usize]) -> (i64, Taken) {
        let (names, sizes) = (self.names(), sizes(self.item));
        let of_set: Vec<&str> = pools.iter().filter_map(|place| names.get(*place).copied()).collect();
        let had = pools.iter().filter_map(|place| sizes.get(*place).copied()).fold(0, u64::saturating_add);
        let (_, place) = self.place;
        // A hold that is neither answered nor listed may have drawn on any pool.
        let units = |visit: &Visit| self.units(visit, &of_set).unwrap_or_else(|| signed(visit.units_of(Some(place))));
        let taken = self.visits.iter().filter_map(|visit| Some(steps(possibly(visit)?, units(visit))));
        (signed(had), Taken::new(taken.flatten().filter(|(_, change)| *change != 0).collect()))
    }

    /// The stock that is shown of each pool: by itself, against the holds, and in sum.
    fn books(&self, audit: &mut Audit) {
        let sku = &self.item.sku;
        let shown = self.shown.drop.items.iter().find(|item| item.sku == *sku).cloned().unwrap_or_default();
        let (own, mut sum) = (shown.stock.unwrap_or_default(), pb::Stock::default());
        for (place, (name, size)) in self.names().into_iter().zip(sizes(self.item)).enumerate() {
            let pool = shown.pools.iter().find(|pool| pool.id == name);
            // An item without pools may be shown without its only one.
            let Some(stock) = pool.map_or(shown.stock.filter(|_| self.item.pools.is_empty()), |pool| pool.stock) else {
                audit.differs(|| format!("pool {name} of {sku} is not shown"));
                continue;
            };
            sum = plus(sum, stock);
            let pb::Stock { received, free, held, paying, claimed, withdrawn, returned_total: _ } = stock;
            let total = [free, held, paying, claimed, withdrawn].into_iter().fold(0, u64::saturating_add);
            if total != received {
                audit.conservation_error = audit.conservation_error.saturating_add(total.abs_diff(received));
                audit.tell(|| format!("conservation: pool {name} of {sku}: {total} are accounted for of {received}"));
            }
            let listed = [HoldState::Held, HoldState::Paying, HoldState::Claimed].map(|state| self.held(name, state));
            if listed != [held, paying, claimed] {
                audit.differs(|| format!("pool {name} of {sku}: {stock:?} is shown, the holds add up to {listed:?}"));
            }
            let is_rest = place == rest(self.item);
            let (least, most) = if is_rest { self.ledger.restocked(self.place.0, self.place.1) } else { (0, 0) };
            let begun = size.saturating_add(self.tranches(place, |tranche| tranche.fired_at.is_some()));
            if !(begun.saturating_add(least)..=begun.saturating_add(most)).contains(&received) {
                audit.differs(|| format!("pool {name} of {sku}: {received} units were received, {begun} were put in"));
            }
        }
        if sum != own && !self.item.pools.is_empty() {
            audit.differs(|| format!("{sku}: the stock is {own:?}, its pools' are {sum:?} together"));
        }
    }

    /// Units of a pool in the listed holds of a state, at the time of the stock.
    fn held(&self, pool: &str, state: HoldState) -> u64 {
        let is_there = |listed: &&super::Listed| {
            listed.state == state && (state == HoldState::Claimed || listed.expires_at > self.shown.as_of)
        };
        let lines = self.shown.holds.values().filter(is_there).flat_map(|listed| &listed.served);
        let here = lines.filter(|line| line.sku == self.item.sku && line.pool == pool);
        here.map(|line| u64::from(line.quantity)).fold(0, u64::saturating_add)
    }
}

fn plus(one: pb::Stock, other: pb::Stock) -> pb::Stock {
    pb::Stock {
        received: one.received.saturating_add(other.received),
        free: one.free.saturating_add(other.free),
        held: one.held.saturating_add(other.held),
        paying: one.paying.saturating_add(other.paying),
        claimed: one.claimed.saturating_add(other.claimed),
        withdrawn: one.withdrawn.saturating_add(other.withdrawn),
        returned_total: one.returned_total.saturating_add(other.returned_total),
    }
}
