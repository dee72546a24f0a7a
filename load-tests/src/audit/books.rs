//! The server's own books: its stock against the sum of its holds, its metrics, and the customers' count.

use stockade_proto as pb;
use stockade_proto::HoldState;

use super::{Audit, Evidence, Listed, Shown};
use crate::ledger::{BEFORE, Ledger, Said, Turned, turned};
use crate::numbers::whole;
use crate::samples::Verb;
use crate::scenario::{Sale, Scenario};
use crate::server::metric;

/// Units by state.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Units {
    held: u64,
    paying: u64,
    claimed: u64,
}

/// Checks every drop, and the metrics.
pub fn judge(scenario: &Scenario, ledger: &Ledger, evidence: &Evidence, audit: &mut Audit) {
    for (drop, (sale, shown)) in (0_u16..).zip(scenario.drops.iter().zip(&evidence.drops)) {
        of_drop(drop, sale, shown, ledger, audit);
    }
    if let Some((before, after)) = &evidence.metrics {
        of_metrics(evidence, (before, after), audit);
        counters(ledger, evidence, (before, after), audit);
    }
}

fn differs(audit: &mut Audit, what: impl FnOnce() -> String) {
    audit.disagreements = audit.disagreements.saturating_add(1);
    audit.tell(what);
}

/// Units of an item in the listed holds at the time of the stock: holds that were due by then are free.
fn held(shown: &Shown, item: u16) -> Units {
    let mut sum = Units::default();
    let live = |listed: &Listed| listed.expires_at > shown.as_of;
    for listed in shown.holds.values() {
        let units = listed.lines.iter().filter(|(line, _)| *line == item).map(|(_, units)| u64::from(*units)).sum();
        let part = match listed.state {
            HoldState::Held if live(listed) => &mut sum.held,
            HoldState::Paying if live(listed) => &mut sum.paying,
            HoldState::Claimed => &mut sum.claimed,
            HoldState::Unspecified | HoldState::Held | HoldState::Paying | HoldState::Released | HoldState::Expired => {
                continue;
            }
        };
        *part = part.saturating_add(units);
    }
    sum
}

fn total(stock: &pb::Stock) -> u64 {
    let pb::Stock { received: _, free, held, paying, claimed, withdrawn, returned_total: _ } = *stock;
    [free, held, paying, claimed, withdrawn].into_iter().fold(0, u64::saturating_add)
}

fn of_drop(drop: u16, sale: &Sale, shown: &Shown, ledger: &Ledger, audit: &mut Audit) {
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
            differs(audit, || format!("{name}: the stock shows {counted:?}, the holds add up to {listed:?}"));
        }
        let sum = [listed.held, listed.paying, listed.claimed].into_iter().fold(0, u64::saturating_add);
        let over = sum.saturating_add(stock.withdrawn).saturating_sub(stock.received);
        if over > 0 {
            audit.oversold = audit.oversold.saturating_add(over);
            audit.tell(|| format!("oversold: {name}: {sum} units are in holds, {} were received", stock.received));
        }
        let restocks = ledger.restocks.iter().filter(|restock| (restock.drop, restock.item) == (drop, item));
        let (mut least, mut most) = (goods.units, goods.units);
        for restock in restocks {
            most = most.saturating_add(restock.units);
            if restock.received.is_some() {
                least = least.saturating_add(restock.units);
            }
        }
        if !(least..=most).contains(&stock.received) {
            differs(audit, || format!("{name}: {} units were received, {least} were put in", stock.received));
        }
    }
    if let Some(limit) = sale.limit {
        limits(sale, shown, u64::from(limit), audit);
    }
}

/// Customers that exceed their limit by the server's own list.
fn limits(sale: &Sale, shown: &Shown, limit: u64, audit: &mut Audit) {
    let mut owned: std::collections::HashMap<&str, u64> = std::collections::HashMap::new();
    for listed in shown.holds.values() {
        let counts = match listed.state {
            HoldState::Held | HoldState::Paying => listed.expires_at > shown.as_of,
            HoldState::Claimed => true,
            HoldState::Unspecified | HoldState::Released | HoldState::Expired => false,
        };
        if counts {
            let units = listed.lines.iter().map(|(_, units)| u64::from(*units)).fold(0, u64::saturating_add);
            let sum = owned.entry(&listed.customer).or_default();
            *sum = sum.saturating_add(units);
        }
    }
    for (customer, units) in owned.into_iter().filter(|(_, units)| *units > limit) {
        audit.over_limit = audit.over_limit.saturating_add(1);
        audit.tell(|| format!("over limit: {customer} has {units} units of {}, the limit is {limit}", sale.id));
    }
}

/// By how much a counter grew during the load.
fn grown(series: &str, (before, after): (&str, &str)) -> u64 {
    let value = |page| metric(page, series).map_or(0, whole);
    value(after).saturating_sub(value(before))
}

/// Checks the page's units of these drops and its conservation error.
fn of_metrics(evidence: &Evidence, (_, after): (&str, &str), audit: &mut Audit) {
    match metric(after, "stockade_conservation_error_units").map(whole) {
        Some(0) => {}
        Some(error) => {
            audit.conservation_error = audit.conservation_error.saturating_add(error);
            audit.tell(|| format!("conservation: stockade_conservation_error_units is {error}"));
        }
        None => differs(audit, || "stockade_conservation_error_units is not in the metrics".to_owned()),
    }
    for (name, shown) in evidence.names.iter().zip(&evidence.drops) {
        let claimed = sum(after, name, "claimed");
        let counted = shown.stocks.iter().map(|stock| stock.claimed).fold(0, u64::saturating_add);
        // The metrics have no series for drops beyond their bound.
        if let Some(claimed) = claimed
            && claimed != counted
        {
            differs(audit, || format!("{name}: the metrics show {claimed} units claimed, the stock {counted}"));
        }
    }
}

/// Units of a drop in a state, summed over its series; none if it has no series.
fn sum(page: &str, drop: &str, state: &str) -> Option<u64> {
    let (drop, state) = (format!("drop=\"{drop}\""), format!("state=\"{state}\""));
    let lines = page.lines().filter(|line| line.starts_with("stockade_units{"));
    let values: Vec<u64> = lines
        .filter(|line| line.contains(&drop) && line.contains(&state))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .map(whole)
        .collect();
    (!values.is_empty()).then(|| values.into_iter().fold(0, u64::saturating_add))
}

/// Compares the server's counters with the customers' count, if nobody else uses it and every request was answered.
fn counters(ledger: &Ledger, evidence: &Evidence, pages: (&str, &str), audit: &mut Audit) {
    let calls = || ledger.visits.iter().filter(|visit| visit.crowd != BEFORE).flat_map(|visit| &visit.calls);
    if !evidence.alone || calls().any(|call| matches!(call.said, Said::Unknown { .. })) {
        return;
    }
    let late: Vec<Turned> =
        ledger.visits.iter().flat_map(|visit| visit.calls.iter().filter_map(|call| turned(visit, call))).collect();
    for verb in Verb::ALL {
        let of = |call: &&crate::ledger::Call| call.verb == verb;
        let done = calls().filter(of).filter(|call| matches!(call.said, Said::Hold { .. })).count();
        let refused = calls().filter(of).filter(|call| matches!(call.said, Said::Refused { .. })).count();
        let turned = if verb == Verb::Reserve { ledger.turned.len() } else { 0 };
        for (outcome, counted) in [("ok", done), ("refused", refused.saturating_add(turned))] {
            let series = format!("stockade_operations_total{{operation=\"{}\",outcome=\"{outcome}\"}}", verb.label());
            let told = grown(&series, pages);
            if u64::try_from(counted) != Ok(told) {
                differs(audit, || format!("{series} grew by {told}, the customers count {counted}"));
            }
        }
    }
    for (drop, name) in (0_u16..).zip(&evidence.names) {
        let sold_out = |turned: &&Turned| turned.drop == drop && turned.reason == pb::RefusalReason::SoldOut;
        let counted = ledger.turned.iter().chain(&late).filter(sold_out).count();
        let series = format!("stockade_refusals_total{{drop=\"{name}\",reason=\"sold_out\"}}");
        let told = grown(&series, pages);
        if u64::try_from(counted) != Ok(told) {
            differs(audit, || format!("{series} grew by {told}, the customers count {counted}"));
        }
    }
}
