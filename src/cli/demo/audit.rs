//! The audit: what the herd was answered, held against what the server shows afterwards.

use std::collections::HashMap;

use super::customer::{DROP, Fate, LIMIT};
use super::herd::{Entry, Ledger};
use super::stage::Stage;
use crate::cli::failure::Failure;
use crate::cli::output::{Output, table};
use crate::client::Client;
use crate::proto as pb;

/// What the audit came to.
pub struct Audit {
    /// Units that more customers have than there are.
    oversold: u64,
    /// Customers that have more than the limit.
    over_limit: usize,
    /// Units that the server itself misses.
    conservation_error: String,
    /// Everything that does not add up; none: all is well.
    pub findings: Vec<String>,
}

/// Looks at everything.
///
/// # Errors
/// When the server can't be asked.
pub async fn audit(client: &Client, stage: &Stage, ledger: &Ledger) -> Result<Audit, Failure> {
    let mut findings: Vec<String> = ledger.troubles.clone();
    if ledger.trouble_count > 0 {
        findings.push(format!("{} answers in all that must not be", ledger.trouble_count));
    }
    let answer = client.get_drop(pb::GetDropRequest { drop_id: DROP.to_owned() }).await?;
    let items = answer.drop.map(|drop| drop.items).unwrap_or_default();
    let mut oversold: u64 = 0;
    for item in &items {
        oversold = oversold.saturating_add(item_findings(ledger, item, &mut findings));
    }
    let over_limit = over_limit(&ledger.entries);
    if over_limit > 0 {
        findings.push(format!("{over_limit} customers have more than {LIMIT}"));
    }
    not_expired(client, ledger, &mut findings).await?;
    let page = stage.metrics().await?;
    let conservation_error = metric(&page, "stockade_conservation_error_units").unwrap_or("unknown").to_owned();
    if conservation_error != "0" {
        findings.push(format!("stockade_conservation_error_units is {conservation_error}"));
    }
    for (fate, state) in [(Fate::Claimed, "claimed"), (Fate::Released, "released"), (Fate::Abandoned, "expired")] {
        let series = format!("stockade_hold_transitions_total{{to=\"{state}\"}}");
        let (told, counted) = (metric(&page, &series).unwrap_or("0"), holds(ledger, fate).count());
        if told != counted.to_string() {
            findings.push(format!("{series} is {told}, the customers count {counted}"));
        }
    }
    Ok(Audit { oversold, over_limit, conservation_error, findings })
}

fn holds(ledger: &Ledger, fate: Fate) -> impl Iterator<Item = &Entry> {
    ledger.entries.iter().filter(move |entry| entry.fate == fate)
}

fn units(ledger: &Ledger, fate: Fate, sku: &str) -> u64 {
    let lines = holds(ledger, fate).flat_map(|entry| &entry.lines).filter(|line| line.sku == sku);
    lines.map(|line| u64::from(line.quantity)).fold(0, u64::saturating_add)
}

/// What is wrong with one item. Answers by how many units it is oversold, as the customers count.
fn item_findings(ledger: &Ledger, item: &pb::Item, findings: &mut Vec<String>) -> u64 {
    let sku = &item.sku;
    let stock = item.stock.unwrap_or_default();
    let (claimed, kept) = (units(ledger, Fate::Claimed, sku), units(ledger, Fate::Kept, sku));
    let given = claimed.saturating_add(kept);
    for (what, told, counted) in [("claimed", stock.claimed, claimed), ("held", stock.held, kept)] {
        if told != counted {
            findings.push(format!("{sku}: the server shows {told} {what}, the customers count {counted}"));
        }
    }
    let parts = [stock.free, stock.held, stock.paying, stock.claimed, stock.withdrawn];
    let sum = parts.into_iter().fold(0, u64::saturating_add);
    if sum != stock.received {
        findings.push(format!("{sku}: {sum} units are accounted for, {} were received", stock.received));
    }
    if stock.received != item.quantity {
        findings.push(format!("{sku}: {} units were received, {} were defined", stock.received, item.quantity));
    }
    let oversold = given.saturating_sub(item.quantity);
    if oversold > 0 {
        findings.push(format!("{sku}: oversold by {oversold}"));
    }
    oversold
}

fn over_limit(entries: &[Entry]) -> usize {
    let mut owned: HashMap<u32, u32> = HashMap::new();
    for entry in entries.iter().filter(|entry| matches!(entry.fate, Fate::Claimed | Fate::Kept)) {
        let units = entry.lines.iter().map(|line| line.quantity).fold(0, u32::saturating_add);
        let sum = owned.entry(entry.customer).or_default();
        *sum = sum.saturating_add(units);
    }
    owned.values().filter(|units| **units > LIMIT).count()
}

async fn not_expired(client: &Client, ledger: &Ledger, findings: &mut Vec<String>) -> Result<(), Failure> {
    let mut alive: u64 = 0;
    for entry in holds(ledger, Fate::Abandoned) {
        let request = pb::GetHoldRequest { hold_id: entry.hold.clone(), drop_id: DROP.to_owned() };
        let state = client.get_hold(request).await?.hold.map(|hold| hold.state());
        if state != Some(pb::HoldState::Expired) {
            alive = alive.saturating_add(1);
        }
    }
    if alive > 0 {
        findings.push(format!("{alive} abandoned holds did not expire"));
    }
    Ok(())
}

/// The value of a series in a metrics page.
fn metric<'a>(page: &'a str, series: &str) -> Option<&'a str> {
    page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')).map(str::trim)
}

/// Prints the audit.
pub fn tell(output: &mut Output, ledger: &Ledger, audit: &Audit) {
    let count = |fate| holds(ledger, fate).count().to_string();
    let mut rows = table(&[]);
    rows.add_row(["asked", &ledger.asked.to_string()]);
    rows.add_row(["held", &ledger.entries.len().to_string()]);
    rows.add_row(["  claimed", &count(Fate::Claimed)]);
    rows.add_row(["  released", &count(Fate::Released)]);
    rows.add_row(["  expired", &count(Fate::Abandoned)]);
    rows.add_row(["  still held", &count(Fate::Kept)]);
    for (reason, count) in &ledger.refused {
        rows.add_row([format!("refused, {reason}"), count.to_string()]);
    }
    rows.add_row(["oversold", &audit.oversold.to_string()]);
    rows.add_row(["over limit", &audit.over_limit.to_string()]);
    rows.add_row(["conservation error", &audit.conservation_error]);
    output.line("\naudit");
    output.table(rows);
    output.line(&latency(ledger));
    for finding in &audit.findings {
        output.line(&format!("finding: {finding}"));
    }
    output.line(if audit.findings.is_empty() { "the audit is clean" } else { "the audit is not clean" });
}

fn latency(ledger: &Ledger) -> String {
    let at = |quantile| millis(ledger.latency.value_at_quantile(quantile));
    let (p50, p99, p999) = (at(0.5), at(0.99), at(0.999));
    let max = millis(ledger.latency.max());
    format!(
        "\nreserve, durable: p50 {p50} ms, p99 {p99} ms, p99.9 {p999} ms, max {max} ms; the rush took {:.1?}",
        ledger.took
    )
}

/// Microseconds as milliseconds with two digits.
fn millis(micros: u64) -> String {
    format!("{}.{:02}", micros / 1000, micros % 1000 / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(customer: u32, quantity: u32, fate: Fate) -> Entry {
        let line = pb::HoldLine { sku: "K".into(), quantity, ..pb::HoldLine::default() };
        Entry { hold: String::new(), customer, lines: vec![line], fate }
    }

    #[test]
    fn who_has_too_much_is_found() {
        let within = [entry(1, 2, Fate::Claimed), entry(1, 2, Fate::Released), entry(2, 2, Fate::Kept)];
        assert_eq!(over_limit(&within), 0);
        assert_eq!(over_limit(&[entry(1, 2, Fate::Claimed), entry(1, 1, Fate::Kept)]), 1);
    }

    #[test]
    fn a_series_is_found_by_its_whole_name() {
        let page = "a_total{to=\"x\"} 3\nb 0\nb_units 7\n";
        assert_eq!(metric(page, "b"), Some("0"));
        assert_eq!(metric(page, "a_total{to=\"x\"}"), Some("3"));
        assert_eq!(metric(page, "c"), None);
    }

    #[test]
    fn times_are_told_in_milliseconds() {
        assert_eq!((millis(1_234), millis(9)), ("1.23".to_owned(), "0.00".to_owned()));
    }
}
