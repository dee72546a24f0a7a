//! Prints the audit.

use super::audit::Audit;
use super::customer::Fate;
use super::ledger::Ledger;
use crate::cli::output::{Output, table};

/// Prints the audit.
pub(super) fn print(output: &mut Output, ledger: &Ledger, audit: &Audit) {
    let count = |fates: &[Fate]| {
        let held = ledger.entries.iter().filter(|entry| fates.contains(&entry.fate));
        held.count().to_string()
    };
    let carts = ledger.entries.iter().filter(|entry| entry.lines.len() > 1).count();
    let mut rows = table(&[]);
    rows.add_row(["asked", &ledger.asked.to_string()]);
    rows.add_row(["held", &ledger.entries.len().to_string()]);
    rows.add_row(["  carts of several items", &carts.to_string()]);
    rows.add_row(["  claimed", &count(&[Fate::Claimed, Fate::Paid])]);
    rows.add_row(["    of those, through payment", &count(&[Fate::Paid])]);
    rows.add_row(["  released", &count(&[Fate::Released, Fate::GaveUp])]);
    rows.add_row(["    of those, from payment", &count(&[Fate::GaveUp])]);
    rows.add_row(["  expired", &count(&[Fate::WalkedAway])]);
    rows.add_row(["  still held", &count(&[Fate::Kept])]);
    rows.add_row(["  still in payment", &count(&[Fate::AtTheTill])]);
    for (reason, count) in &ledger.refused {
        rows.add_row([format!("refused, {reason}"), count.to_string()]);
    }
    rows.add_row(["units put in during the sale", &ledger.restocked.to_string()]);
    rows.add_row(["units back from expired holds", &ledger.came_back.to_string()]);
    rows.add_row(["  bought by those who waited", &ledger.bought_again.to_string()]);
    rows.add_row(["oversold", &audit.oversold.to_string()]);
    rows.add_row(["over limit", &audit.over_limit.to_string()]);
    rows.add_row(["conservation error", &audit.conservation_error]);
    rows.add_row(["holds unaccounted for", &audit.unaccounted.to_string()]);
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

/// Microseconds as milliseconds with two decimals.
fn millis(micros: u64) -> String {
    format!("{}.{:02}", micros / 1000, micros % 1000 / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_milliseconds() {
        assert_eq!((millis(1_234), millis(9)), ("1.23".to_owned(), "0.00".to_owned()));
    }
}
