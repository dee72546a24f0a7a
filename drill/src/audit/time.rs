//! What was true at one instant: units that were surely taken at once, by all and by each customer, and units that were
//! surely free during a refusal.

use std::collections::HashMap;

use stockade_proto as pb;

use super::Audit;
use super::intervals::{possibly, surely};
use crate::ledger::{At, Ledger, Sale, Turned, Visit};

/// Changes of a number of units: when, and by how many.
pub(super) type Steps = Vec<(At, i64)>;

/// Checks every item of every drop.
pub(super) fn judge(sales: &[Sale], ledger: &Ledger, audit: &mut Audit) {
    for (drop, sale) in (0_u16..).zip(sales) {
        let visits: Vec<&Visit> = ledger.visits.iter().filter(|visit| visit.drop == drop).collect();
        for (item, limit) in sale.bounds() {
            over_limit(&visits, (item, i64::from(limit)), audit);
        }
        false_limits(&visits, ledger, (drop, sale), audit);
        for (item, goods) in (0_u16..).zip(&sale.items) {
            let units = signed(goods.units);
            // Of a drop with rules a customer may draw on some pools only: `pools` judges these.
            if sale.rules.is_none() {
                oversold(&visits, ledger, (drop, item, units), audit);
                false_refusals(&visits, ledger, (drop, item, units), audit);
            }
        }
    }
}

pub(super) fn signed(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}

/// Units of an item in a visit's request; of all items if none is named.
fn units_of(visit: &Visit, item: Option<u16>) -> i64 {
    signed(visit.units_of(item))
}

/// The maximum at one instant. Of changes at the same instant, decreases come first.
pub(super) fn peak(mut steps: Steps) -> i64 {
    steps.sort_unstable();
    let (mut now, mut peak) = (0_i64, 0_i64);
    for (_, change) in steps {
        now = now.saturating_add(change);
        peak = peak.max(now);
    }
    peak
}

/// The changes that these units make over this time.
pub(super) fn steps(range: std::ops::Range<At>, units: i64) -> [(At, i64); 2] {
    [(range.start, units), (range.end, units.saturating_neg())]
}

fn oversold(visits: &[&Visit], ledger: &Ledger, (drop, item, units): (u16, u16, i64), audit: &mut Audit) {
    let taken = visits.iter().filter_map(|visit| Some(steps(surely(visit)?, units_of(visit, Some(item)))));
    let mut all: Steps = taken.flatten().filter(|(_, change)| *change != 0).collect();
    // Restocked units may have been available from when the restock was sent.
    let restocks = ledger.restocks.iter().filter(|restock| (restock.drop, restock.item) == (drop, item));
    all.extend(restocks.map(|restock| (restock.sent, signed(restock.units).saturating_neg())));
    let over = peak(all).saturating_sub(units);
    if let Ok(over) = u64::try_from(over)
        && over > 0
    {
        audit.oversold = audit.oversold.saturating_add(over);
        audit.tell(|| format!("oversold: item {item} of drop {drop}: {over} units more than existed, at one time"));
    }
}

fn over_limit(visits: &[&Visit], (item, limit): (Option<u16>, i64), audit: &mut Audit) {
    let mut customers: HashMap<&str, Steps> = HashMap::new();
    for visit in visits {
        if let Some(range) = surely(visit) {
            customers.entry(&visit.customer).or_default().extend(steps(range, units_of(visit, item)));
        }
    }
    for (customer, steps) in customers {
        let most = peak(steps);
        if most > limit {
            audit.over_limit = audit.over_limit.saturating_add(1);
            audit.tell(|| format!("over limit: {customer} had {most} units at one time, the limit is {limit}"));
        }
    }
}

/// How many units may have been taken, over time.
pub(super) struct Taken {
    /// When it changed, ascending.
    times: Vec<At>,
    /// A segment tree of maxima over the levels from then on: leaves in the second half, each node the higher of its
    /// two.
    tree: Vec<i64>,
}

impl Taken {
    pub(super) fn new(mut steps: Steps) -> Self {
        steps.sort_unstable();
        let leaves = steps.len().saturating_add(1);
        let mut tree = vec![0; leaves.saturating_mul(2)];
        let (mut times, mut level) = (Vec::with_capacity(steps.len()), 0_i64);
        for (leaf, (at, change)) in (leaves.saturating_add(1)..).zip(steps) {
            level = level.saturating_add(change);
            times.push(at);
            if let Some(place) = tree.get_mut(leaf) {
                *place = level;
            }
        }
        for node in (1..leaves).rev() {
            let child = |place: usize| tree.get(place).copied().unwrap_or(0);
            let higher = child(node.saturating_mul(2)).max(child(node.saturating_mul(2).saturating_add(1)));
            if let Some(place) = tree.get_mut(node) {
                *place = higher;
            }
        }
        Self { times, tree }
    }

    /// The maximum from `from` to `to`, both included.
    pub(super) fn most(&self, from: At, to: At) -> i64 {
        let leaves = self.times.len().saturating_add(1);
        // Leaf 0 is the level before the first change. If several changes fall on one instant, all levels in between
        // count.
        let first = self.times.partition_point(|at| *at < from);
        let last = self.times.partition_point(|at| *at <= to);
        let (mut low, mut high) = (leaves.saturating_add(first), leaves.saturating_add(last).saturating_add(1));
        let mut most = i64::MIN;
        let node = |place: usize| self.tree.get(place).copied().unwrap_or(i64::MIN);
        while low < high {
            if low % 2 == 1 {
                most = most.max(node(low));
                low = low.saturating_add(1);
            }
            if high % 2 == 1 {
                high = high.saturating_sub(1);
                most = most.max(node(high));
            }
            (low, high) = (low / 2, high / 2);
        }
        most
    }
}

fn false_refusals(visits: &[&Visit], ledger: &Ledger, (drop, item, units): (u16, u16, i64), audit: &mut Audit) {
    let taken = visits.iter().filter_map(|visit| Some(steps(possibly(visit)?, units_of(visit, Some(item)))));
    let taken = Taken::new(taken.flatten().filter(|(_, change)| *change != 0).collect());
    let here =
        |turned: &Turned| (turned.drop, turned.item) == (drop, item) && turned.reason == pb::RefusalReason::SoldOut;
    for turned in ledger.refused().filter(here) {
        // Restocked units were surely available from when the restock was answered.
        let restocks = ledger.restocks.iter().filter(|restock| (restock.drop, restock.item) == (drop, item));
        let there = restocks.filter(|restock| restock.received.is_some_and(|received| received <= turned.sent));
        let received = there.map(|restock| signed(restock.units)).fold(units, i64::saturating_add);
        let free = received.saturating_sub(taken.most(turned.sent, turned.received));
        if free >= i64::from(turned.units) {
            audit.false_refusals = audit.false_refusals.saturating_add(1);
            audit.tell(|| {
                format!(
                    "false \"sold out\": {} units of item {item} requested, at least {free} were free",
                    turned.units
                )
            });
        }
    }
}

/// A customer who was refused by a limit.
#[derive(Default)]
struct Limited<'l> {
    visits: Vec<&'l Visit>,
    refused: Vec<Turned>,
}

/// Customers who were refused by a limit although they surely had room, by every limit that could have refused them.
fn false_limits(visits: &[&Visit], ledger: &Ledger, (drop, sale): (u16, &Sale), audit: &mut Audit) {
    let mut customers: HashMap<(u16, u64), Limited<'_>> = HashMap::new();
    for turned in ledger.refused() {
        if turned.drop == drop && turned.reason == pb::RefusalReason::LimitReached {
            customers.entry((turned.crowd, turned.turn)).or_default().refused.push(turned);
        }
    }
    for visit in visits {
        if let Some(customer) = customers.get_mut(&(visit.crowd, visit.turn)) {
            customer.visits.push(visit);
        }
    }
    for Limited { visits, refused } in customers.into_values() {
        // What the customer may have had over time, under each limit.
        let had: Vec<(Option<u16>, i64, Taken)> = sale
            .bounds()
            .map(|(item, limit)| {
                let taken = visits.iter().filter_map(|visit| Some(steps(possibly(visit)?, units_of(visit, item))));
                (item, i64::from(limit), Taken::new(taken.flatten().collect()))
            })
            .collect();
        for turned in refused {
            // The refusal names one item: the limits of the others did not refuse.
            let concerned = had.iter().filter(|(item, ..)| item.is_none_or(|item| item == turned.item));
            let left = concerned.map(|(item, limit, taken)| {
                let asked = if item.is_some() { turned.units } else { turned.all };
                let room = limit.saturating_sub(taken.most(turned.sent, turned.received));
                (room.saturating_sub(i64::from(asked)), asked, room)
            });
            if let Some((0.., asked, room)) = left.min() {
                audit.false_refusals = audit.false_refusals.saturating_add(1);
                audit.tell(|| {
                    format!("false \"limit reached\": {asked} units requested, there was room for at least {room}")
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_what_was_there_at_one_time() {
        assert_eq!(peak(vec![(0, 2), (10, -2), (10, 3), (20, -3)]), 3, "one goes before another comes");
        assert_eq!(peak(vec![(0, 2), (11, -2), (10, 3), (20, -3)]), 5);
        assert_eq!(peak(Vec::new()), 0);
    }

    #[test]
    fn the_most_within_a_time_is_that_of_every_naive_look() {
        let mut random = fastrand::Rng::with_seed(3);
        let steps: Steps = (0..200).map(|_| (random.i64(0..100), random.i64(-5..=5))).collect();
        let taken = Taken::new(steps.clone());
        let mut sorted = steps;
        sorted.sort_unstable();
        for _ in 0..2_000 {
            let (one, other) = (random.i64(-5..105), random.i64(-5..105));
            let (from, to) = (one.min(other), one.max(other));
            // The level at `from`, and after each change up to the end.
            let mut level: i64 = sorted.iter().filter(|(at, _)| *at < from).map(|(_, change)| change).sum();
            let mut most = level;
            for (_, change) in sorted.iter().filter(|(at, _)| (from..=to).contains(at)) {
                level += change;
                most = most.max(level);
            }
            assert_eq!(taken.most(from, to), most, "{from}..={to}");
        }
    }
}
