//! The server's own books: its stock against the sum of its holds, its metrics, and the customers' count.

use std::collections::{BTreeMap, HashMap};

use stockade_proto as pb;
use stockade_proto::HoldState;
use stockade_proto::RefusalReason as Reason;

use super::{Audit, Evidence, Listed, Shown};
use crate::ledger::{BEFORE, Ledger, Said, Sale, reason_name};
use crate::numbers::{count, whole};
use crate::process::metric;
use crate::request::Verb;

/// Units by state.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Units {
    held: u64,
    paying: u64,
    claimed: u64,
}

/// Checks every drop, and the metrics.
pub(super) fn judge(sales: &[Sale], ledger: &Ledger, evidence: &Evidence, audit: &mut Audit) {
    for (drop, (sale, shown)) in (0_u16..).zip(sales.iter().zip(&evidence.drops)) {
        of_drop(drop, (sale, shown), ledger, audit);
    }
    if let Some((before, after)) = &evidence.metrics {
        of_metrics(sales, evidence, after, audit);
        let unknown = |said: Said| matches!(said, Said::Unknown { .. });
        let every_answer_is_known = !load(ledger).any(|(_, said)| unknown(said));
        if evidence.alone && every_answer_is_known {
            counters(sales, ledger, (before, after), audit);
        }
    }
}

/// All calls of the load that are kept with their visits, by verb, with their answers.
fn load(ledger: &Ledger) -> impl Iterator<Item = (Verb, Said)> {
    let visits = ledger.visits.iter().filter(|visit| visit.crowd != BEFORE);
    visits.flat_map(|visit| &visit.calls).map(|call| (call.verb, call.said))
}

/// Whether a hold has its units at the time of the stock: holds that were due by then are free.
fn has_units(listed: &Listed, as_of: u64) -> bool {
    match listed.state {
        HoldState::Held | HoldState::Paying => listed.expires_at > as_of,
        HoldState::Claimed => true,
        HoldState::Unspecified | HoldState::Released | HoldState::Expired => false,
    }
}

/// Units of an item in a listed hold; of all items if none is named.
fn units_of(listed: &Listed, item: Option<u16>) -> u64 {
    let lines = listed.lines.iter().filter(|(line, _)| item.is_none_or(|item| item == *line));
    lines.map(|(_, units)| u64::from(*units)).fold(0, u64::saturating_add)
}

/// Units of an item in the listed holds at the time of the stock.
fn held(shown: &Shown, item: u16) -> Units {
    let mut sum = Units::default();
    for listed in shown.holds.values().filter(|listed| has_units(listed, shown.as_of)) {
        let part = match listed.state {
            HoldState::Held => &mut sum.held,
            HoldState::Paying => &mut sum.paying,
            HoldState::Claimed => &mut sum.claimed,
            HoldState::Unspecified | HoldState::Released | HoldState::Expired => continue,
        };
        *part = part.saturating_add(units_of(listed, Some(item)));
    }
    sum
}

fn total(stock: &pb::Stock) -> u64 {
    let pb::Stock { received: _, free, held, paying, claimed, withdrawn, returned_total: _ } = *stock;
    [free, held, paying, claimed, withdrawn].into_iter().fold(0, u64::saturating_add)
}

fn of_drop(drop: u16, (sale, shown): (&Sale, &Shown), ledger: &Ledger, audit: &mut Audit) {
    for (item, (goods, stock)) in (0_u16..).zip(sale.items.iter().zip(&shown.stocks)) {
        let name = format!("{} of {}", goods.sku, sale.id);
        let error = total(stock).abs_diff(stock.received);
        if error > 0 {
            audit.conservation_error = audit.conservation_error.saturating_add(error);
            audit.tell(|| {
                format!(
                    "conservation: {name}: {} units are accounted for, {} were received",
                    total(stock),
                    stock.received
                )
            });
        }
        let listed = held(shown, item);
        let counted = Units { held: stock.held, paying: stock.paying, claimed: stock.claimed };
        if listed != counted {
            audit.differs(|| format!("{name}: the stock shows {counted:?}, the holds add up to {listed:?}"));
        }
        let sum = [listed.held, listed.paying, listed.claimed].into_iter().fold(0, u64::saturating_add);
        let over = sum.saturating_add(stock.withdrawn).saturating_sub(stock.received);
        if over > 0 {
            audit.oversold = audit.oversold.saturating_add(over);
            audit.tell(|| format!("oversold: {name}: {sum} units are in holds, {} were received", stock.received));
        }
        let (least, most) = ledger.restocked(drop, item);
        let units = goods.units.saturating_add(tranches(&shown.drop, &goods.sku));
        let (least, most) = (units.saturating_add(least), units.saturating_add(most));
        if !(least..=most).contains(&stock.received) {
            audit.differs(|| format!("{name}: {} units were received, {least} were put in", stock.received));
        }
    }
    for (item, limit) in sale.bounds() {
        limits((sale, shown), (item, u64::from(limit)), audit);
    }
}

/// Units of an item's tranches that have fired.
fn tranches(drop: &pb::Drop, sku: &str) -> u64 {
    let fired = drop.tranches.iter().filter(|tranche| tranche.sku == sku && tranche.fired_at.is_some());
    fired.map(|tranche| tranche.units).fold(0, u64::saturating_add)
}

/// Customers that exceed a limit by the server's own list.
fn limits((sale, shown): (&Sale, &Shown), (item, limit): (Option<u16>, u64), audit: &mut Audit) {
    let mut owned: HashMap<&str, u64> = HashMap::new();
    for listed in shown.holds.values().filter(|listed| has_units(listed, shown.as_of)) {
        let sum = owned.entry(&listed.customer).or_default();
        *sum = sum.saturating_add(units_of(listed, item));
    }
    let what = item.map_or(sale.id.as_str(), |item| sale.sku(item));
    for (customer, units) in owned.into_iter().filter(|(_, units)| *units > limit) {
        audit.over_limit = audit.over_limit.saturating_add(1);
        audit.tell(|| format!("over limit: {customer} has {units} units of {what}, the limit is {limit}"));
    }
}

/// The value of a series as a count.
fn value(page: &str, series: &str) -> Option<u64> {
    metric(page, series)?.parse().ok().map(whole)
}

/// Checks the page's units of these drops and its conservation error.
fn of_metrics(sales: &[Sale], evidence: &Evidence, page: &str, audit: &mut Audit) {
    match value(page, "stockade_conservation_error_units") {
        Some(0) => {}
        Some(error) => {
            audit.conservation_error = audit.conservation_error.saturating_add(error);
            audit.tell(|| format!("conservation: stockade_conservation_error_units is {error}"));
        }
        None => audit.differs(|| "stockade_conservation_error_units is not in the metrics".to_owned()),
    }
    for (Sale { id, .. }, shown) in sales.iter().zip(&evidence.drops) {
        let counted = shown.stocks.iter().map(|stock| stock.claimed).fold(0, u64::saturating_add);
        // The metrics have no series for drops beyond their bound.
        if let Some(claimed) = sum(page, id, "claimed")
            && claimed != counted
        {
            audit.differs(|| format!("{id}: the metrics show {claimed} units claimed, the stock {counted}"));
        }
    }
}

/// Units of a drop in a state, summed over its series; none if it has no series.
fn sum(page: &str, drop: &str, state: &str) -> Option<u64> {
    let (drop, state) = (format!("drop=\"{drop}\""), format!("state=\"{state}\""));
    let lines = page.lines().filter(|line| line.starts_with("stockade_units{"));
    let of_state = lines.filter(|line| line.contains(&drop) && line.contains(&state));
    of_state
        .filter_map(|line| line.rsplit(' ').next()?.parse().ok().map(whole))
        .fold(None, |sum: Option<u64>, units| Some(sum.unwrap_or(0).saturating_add(units)))
}

/// Compares by how much the server's counters grew with the customers' count.
fn counters(sales: &[Sale], ledger: &Ledger, (before, after): (&str, &str), audit: &mut Audit) {
    let mut compare = |series: String, counted: usize| {
        let grown = value(after, &series).unwrap_or(0).saturating_sub(value(before, &series).unwrap_or(0));
        if count(counted) != grown {
            audit.differs(|| format!("{series} grew by {grown}, the customers count {counted}"));
        }
    };
    for verb in Verb::ALL {
        let of = |fits: fn(Said) -> bool| load(ledger).filter(|(of, said)| *of == verb && fits(*said)).count();
        let done = of(|said| matches!(said, Said::Hold { .. }));
        let refused = of(|said| matches!(said, Said::Refused { .. }));
        let turned = if verb == Verb::Reserve { ledger.turned.len() } else { 0 };
        for (outcome, counted) in [("ok", done), ("refused", refused.saturating_add(turned))] {
            let operation = verb.label();
            compare(format!("stockade_operations_total{{operation=\"{operation}\",outcome=\"{outcome}\"}}"), counted);
        }
    }
    // A customer's hold enters each of these states once.
    let visits = |fits: fn(&&crate::ledger::Visit) -> bool| ledger.visits.iter().filter(fits).count();
    for (state, counted) in [
        ("claimed", visits(|visit| visit.granted(Verb::Claim).is_some())),
        ("released", visits(|visit| visit.granted(Verb::Release).is_some())),
        ("paying", visits(|visit| visit.paid())),
    ] {
        compare(format!("stockade_hold_transitions_total{{to=\"{state}\"}}"), counted);
    }
    for (drop, Sale { id, .. }) in (0_u16..).zip(sales) {
        let mut reasons = BTreeMap::from([(reason_name(Reason::SoldOut), 0), (reason_name(Reason::LimitReached), 0)]);
        // Other verbs are refused for what became of a hold, too.
        for turned in ledger.refused().filter(|turned| turned.drop == drop && !concerns_a_hold(turned.reason)) {
            let sum: &mut usize = reasons.entry(reason_name(turned.reason)).or_default();
            *sum = sum.saturating_add(1);
        }
        for (reason, counted) in reasons {
            let reason = reason.to_lowercase();
            compare(format!("stockade_refusals_total{{drop=\"{id}\",reason=\"{reason}\"}}"), counted);
        }
    }
}

/// Whether a refusal is about the hold of the request.
const fn concerns_a_hold(reason: Reason) -> bool {
    match reason {
        Reason::HoldExpired
        | Reason::HoldReleased
        | Reason::HoldClaimed
        | Reason::OrderMismatch
        | Reason::Superseded
        | Reason::PaymentInProgress
        | Reason::CeilingReached => true,
        Reason::Unspecified
        | Reason::NotOpen
        | Reason::Paused
        | Reason::Closed
        | Reason::NotEligible
        | Reason::NotAdmitted
        | Reason::SlotRequired
        | Reason::Cooldown
        | Reason::TooManyHolds
        | Reason::LimitReached
        | Reason::SoldOut => false,
    }
}
