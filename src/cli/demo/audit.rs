//! The audit: compares the answers that the customers got with what the server shows afterwards.

use std::collections::HashMap;

use stockade_client::Client;
use stockade_proto as pb;

use super::customer::{DROP, DROP_LIMIT, Fate, ITEM_LIMIT, KNIFE};
use super::ledger::{Entry, Ledger};
use super::stage::Stage;
use super::visit::patiently;
use crate::cli::failure::Failure;

/// Holds on one page.
const PAGE: i32 = 1_000;

/// The result of the audit.
pub(super) struct Audit {
    /// Units that customers have beyond those that exist.
    pub oversold: u64,
    /// Customers that have more than a limit allows.
    pub over_limit: usize,
    /// The server's own metric of the same name.
    pub conservation_error: String,
    /// Holds that only one side has, or whose state, customer or units differ.
    pub unaccounted: usize,
    /// Everything that is wrong; empty if all is well.
    pub findings: Vec<String>,
}

/// Audits everything.
///
/// # Errors
/// If the server can't be asked.
pub(super) async fn audit(client: &Client, stage: &Stage, ledger: &Ledger) -> Result<Audit, Failure> {
    let mut findings: Vec<String> = ledger.troubles.clone();
    if ledger.trouble_count > 0 {
        findings.push(format!("{} wrong answers in all", ledger.trouble_count));
    }
    let refused = ledger.refused.values().copied().fold(0, u64::saturating_add);
    let answered = refused.saturating_add(u64::try_from(ledger.entries.len()).unwrap_or(u64::MAX));
    if answered != ledger.asked {
        findings.push(format!("{} were asked, {answered} got a hold or a refusal", ledger.asked));
    }
    let request = pb::GetDropRequest { drop_id: DROP.to_owned() };
    let answer = patiently(|| client.get_drop(request.clone())).await?;
    let items = answer.drop.map(|drop| drop.items).unwrap_or_default();
    let mut oversold: u64 = 0;
    for item in &items {
        oversold = oversold.saturating_add(item_findings(ledger, item, &mut findings));
    }
    let over_limit = over_limit(&ledger.entries);
    if over_limit > 0 {
        findings.push(format!("{over_limit} customers have more than {ITEM_LIMIT} of an item, or {DROP_LIMIT} in all"));
    }
    let unaccounted = unaccounted(ledger, &shown(client).await?);
    if unaccounted > 0 {
        findings.push(format!("{unaccounted} holds are unknown to one side, or differ between the two"));
    }
    let conservation_error =
        stage.metric("stockade_conservation_error_units").await?.unwrap_or_else(|| "unknown".to_owned());
    if conservation_error != "0" {
        findings.push(format!("stockade_conservation_error_units is {conservation_error}"));
    }
    counters(stage, ledger, &mut findings).await?;
    Ok(Audit { oversold, over_limit, conservation_error, unaccounted, findings })
}

/// Finds what is wrong with one item. Returns by how many units it is oversold, by the customers' count.
fn item_findings(ledger: &Ledger, item: &pb::Item, findings: &mut Vec<String>) -> u64 {
    let sku = &item.sku;
    let stock = item.stock.unwrap_or_default();
    let units = |state| ledger.units(state, sku);
    let (held, paying, claimed) =
        (units(pb::HoldState::Held), units(pb::HoldState::Paying), units(pb::HoldState::Claimed));
    for (what, reported, counted) in
        [("held", stock.held, held), ("paying", stock.paying, paying), ("claimed", stock.claimed, claimed)]
    {
        if reported != counted {
            findings.push(format!("{sku}: the server shows {reported} {what}, the customers count {counted}"));
        }
    }
    let parts = [stock.free, stock.held, stock.paying, stock.claimed, stock.withdrawn];
    let sum = parts.into_iter().fold(0, u64::saturating_add);
    if sum != stock.received {
        findings.push(format!("{sku}: {sum} units are accounted for, {} were received", stock.received));
    }
    let delivered = if sku == KNIFE { ledger.restocked } else { 0 };
    let there_is = item.quantity.saturating_add(delivered);
    if stock.received != there_is {
        findings.push(format!("{sku}: {} units were received, {there_is} were put in", stock.received));
    }
    let oversold = held.saturating_add(paying).saturating_add(claimed).saturating_sub(there_is);
    if oversold > 0 {
        findings.push(format!("{sku}: oversold by {oversold}"));
    }
    oversold
}

/// The number of customers that have more than one of the limits allows.
fn over_limit(entries: &[Entry]) -> usize {
    let mut owned: HashMap<u32, HashMap<&str, u32>> = HashMap::new();
    for entry in entries.iter().filter(|entry| entry.fate.has_units()) {
        let of_customer = owned.entry(entry.customer).or_default();
        for line in &entry.lines {
            let sum = of_customer.entry(line.sku.as_str()).or_default();
            *sum = sum.saturating_add(line.quantity);
        }
    }
    let over = owned.values().filter(|items| {
        let all = items.values().copied().fold(0, u32::saturating_add);
        all > DROP_LIMIT || items.values().any(|units| *units > ITEM_LIMIT)
    });
    over.count()
}

/// Every hold that the server has, live and ended.
async fn shown(client: &Client) -> Result<Vec<pb::Hold>, Failure> {
    let mut holds = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = pb::ListHoldsRequest {
            drop_id: DROP.to_owned(),
            page_size: PAGE,
            page_token,
            ..pb::ListHoldsRequest::default()
        };
        let page = patiently(|| client.list_holds(request.clone())).await?;
        holds.extend(page.holds);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(holds);
        }
    }
}

/// The number of holds that only one side has, or whose state, customer or units differ.
fn unaccounted(ledger: &Ledger, shown: &[pb::Hold]) -> usize {
    let mut ours: HashMap<&str, &Entry> = ledger.entries.iter().map(|entry| (entry.hold.as_str(), entry)).collect();
    let twice = ledger.entries.len().saturating_sub(ours.len());
    let strange = shown.iter().filter(|hold| !ours.remove(hold.id.as_str()).is_some_and(|entry| agrees(entry, hold)));
    strange.count().saturating_add(ours.len()).saturating_add(twice)
}

fn agrees(entry: &Entry, hold: &pb::Hold) -> bool {
    let units = hold.lines.iter().map(|line| u64::from(line.quantity)).fold(0, u64::saturating_add);
    let wanted = if entry.fate.has_units() { entry.units() } else { 0 };
    hold.state() == entry.fate.end() && hold.customer_id == format!("customer-{}", entry.customer) && units == wanted
}

/// Compares the server's counters with the customers' counts.
async fn counters(stage: &Stage, ledger: &Ledger, findings: &mut Vec<String>) -> Result<(), Failure> {
    let to_payment = Fate::ALL.into_iter().filter(|fate| fate.goes_to_payment());
    let mut counted = vec![
        ("hold_transitions_total{to=\"claimed\"}".to_owned(), ledger.count(pb::HoldState::Claimed)),
        ("hold_transitions_total{to=\"released\"}".to_owned(), ledger.count(pb::HoldState::Released)),
        ("hold_transitions_total{to=\"expired\"}".to_owned(), ledger.count(pb::HoldState::Expired)),
        (
            "hold_transitions_total{to=\"paying\"}".to_owned(),
            to_payment.map(|fate| ledger.holds(fate).count()).fold(0, usize::saturating_add),
        ),
    ];
    for (reason, count) in &ledger.refused {
        let series = format!("refusals_total{{drop=\"{DROP}\",reason=\"{}\"}}", reason.to_lowercase());
        counted.push((series, usize::try_from(*count).unwrap_or(usize::MAX)));
    }
    for (series, counted) in counted {
        // A counter that is still 0 may be missing.
        let reported = stage.metric(&format!("stockade_{series}")).await?.unwrap_or_else(|| "0".to_owned());
        if reported != counted.to_string() {
            findings.push(format!("stockade_{series} is {reported}, the customers count {counted}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(customer: u32, units: &[(&str, u32)], fate: Fate) -> Entry {
        let line = |(sku, quantity): &(&str, u32)| pb::HoldLine {
            sku: (*sku).to_owned(),
            quantity: *quantity,
            ..pb::HoldLine::default()
        };
        let (hold, expires_at) = (format!("hold-{customer}"), prost_types::Timestamp::default());
        Entry { hold, customer, lines: units.iter().map(line).collect(), expires_at, fate }
    }

    #[test]
    fn who_has_too_much_is_found() {
        let within = [
            entry(1, &[("K", 2)], Fate::Claimed),
            entry(1, &[("K", 2)], Fate::Released),
            entry(1, &[("S", 1), ("B", 1)], Fate::Kept),
            entry(2, &[("K", 2)], Fate::AtTheTill),
        ];
        assert_eq!(over_limit(&within), 0);
        assert_eq!(over_limit(&[entry(1, &[("K", 2)], Fate::Paid), entry(1, &[("K", 1)], Fate::Kept)]), 1);
        let in_all = [entry(3, &[("K", 2), ("S", 2)], Fate::Paid), entry(3, &[("B", 1)], Fate::AtTheTill)];
        assert_eq!(over_limit(&in_all), 1);
    }

    #[test]
    fn holds_that_one_side_does_not_know_or_knows_otherwise_are_found() {
        let hold = |customer: u32, state: pb::HoldState, quantity| pb::Hold {
            id: format!("hold-{customer}"),
            customer_id: format!("customer-{customer}"),
            state: state.into(),
            lines: vec![pb::HoldLine { sku: "K".to_owned(), quantity, ..pb::HoldLine::default() }],
            ..pb::Hold::default()
        };
        let mut ledger = Ledger::new().expect("a ledger");
        ledger.entries = vec![entry(1, &[("K", 2)], Fate::Paid), entry(2, &[("K", 1)], Fate::WalkedAway)];
        let (sold, expired) = (hold(1, pb::HoldState::Claimed, 2), hold(2, pb::HoldState::Expired, 0));
        assert_eq!(unaccounted(&ledger, &[sold.clone(), expired.clone()]), 0);
        assert_eq!(unaccounted(&ledger, std::slice::from_ref(&sold)), 1, "the server has lost one");
        let stranger = hold(3, pb::HoldState::Held, 1);
        assert_eq!(unaccounted(&ledger, &[sold.clone(), expired.clone(), stranger]), 1, "nobody asked for that one");
        let alive = hold(2, pb::HoldState::Held, 1);
        assert_eq!(unaccounted(&ledger, &[hold(1, pb::HoldState::Claimed, 1), alive]), 2, "units, and a state");
    }

    #[test]
    fn an_item_that_does_not_add_up_is_found() {
        let mut ledger = Ledger::new().expect("a ledger");
        ledger.entries = vec![entry(1, &[(KNIFE, 2)], Fate::Paid), entry(2, &[(KNIFE, 2)], Fate::AtTheTill)];
        ledger.restocked = 1;
        let stock = pb::Stock { received: 4, claimed: 2, paying: 2, ..pb::Stock::default() };
        let item = pb::Item { sku: KNIFE.to_owned(), quantity: 3, stock: Some(stock), ..pb::Item::default() };
        let mut findings = Vec::new();
        assert_eq!((item_findings(&ledger, &item, &mut findings), findings.len()), (0, 0), "{findings:?}");
        let short = pb::Item { quantity: 2, ..item.clone() };
        assert_eq!((item_findings(&ledger, &short, &mut findings), findings.len()), (1, 2), "{findings:?}");
        let stock = Some(pb::Stock { received: 4, claimed: 2, paying: 1, ..pb::Stock::default() });
        findings.clear();
        assert_eq!(item_findings(&ledger, &pb::Item { stock, ..item }, &mut findings), 0);
        assert_eq!(findings.len(), 2, "paying, and the sum: {findings:?}");
    }
}
