//! What the customers and the server say in the end: the audit, what the demo expects beyond it, and how it is printed.

use std::collections::BTreeMap;
use std::time::Duration;

use stockade_client::Client;
use stockade_drill::audit::{self, Audit, Evidence};
use stockade_drill::customers::Floor;
use stockade_drill::ledger::{Ledger, Said, reason_name};
use stockade_drill::numbers::millis;
use stockade_drill::request::Verb;
use stockade_drill::samples::spread;

use super::customer::{Fate, Wish};
use super::rounds::{granted, units};
use super::stage::Stage;
use crate::cli::failure::Failure;
use crate::cli::output::{Output, table};

/// What happened.
pub(super) struct Sold {
    /// What the customers were answered.
    pub ledger: Ledger,
    /// How long the rush took.
    pub took: Duration,
    /// Knives that were added during the sale.
    pub restocked: u64,
    /// Units that the customers of the second round got.
    pub bought_again: u64,
    /// What was wrong on the way.
    pub troubles: Vec<String>,
}

/// Audits everything, and prints the result. Returns whether it is clean.
///
/// # Errors
/// If the server can't be asked.
pub(super) async fn report(
    (client, stage): (&Client, &Stage),
    floor: &Floor,
    sold: &Sold,
    output: &mut Output,
) -> Result<bool, Failure> {
    let drops = audit::fetch(client, &floor.sales).await?;
    // The server began with the demo: all of its counters were 0.
    let evidence = Evidence { drops, metrics: Some((String::new(), stage.metrics().await?)), alone: true };
    let audit = audit::judge(&floor.sales, &sold.ledger, &evidence);
    let mut findings = [sold.troubles.clone(), audit.findings.clone(), steps(&sold.ledger)].concat();
    let (expired, left) = (stage.expired().await?, count(&sold.ledger, &[Fate::WalkedAway]));
    if expired != left {
        findings.push(format!("{expired} holds have expired, {left} customers walked away"));
    }
    print(output, sold, &audit);
    output.line(&latency(floor, sold.took)?);
    for finding in &findings {
        output.line(&format!("finding: {finding}"));
    }
    output.line(if findings.is_empty() { "the audit is clean" } else { "the audit is not clean" });
    Ok(findings.is_empty() && audit.is_clean())
}

/// What the demo expects beyond the audit: its server is neither busy for long nor stopped, so every request has an
/// answer; and nobody waits long enough for a step on an own live hold to be refused.
fn steps(ledger: &Ledger) -> Vec<String> {
    let mut findings = Vec::new();
    for visit in &ledger.visits {
        let fate = Wish::behind(visit).fate;
        for verb in Verb::ALL {
            let last = visit.of(verb).last().map(|call| call.said);
            let fits = match last {
                None | Some(Said::Hold { .. }) => true,
                Some(Said::Refused { .. }) => verb == Verb::Reserve,
                Some(Said::Unknown { .. }) => false,
            };
            if !fits {
                findings.push(format!("hold {} could not end as {fate:?}: {verb:?} gave {last:?}", visit.hold));
            }
        }
    }
    findings
}

/// The number of holds with these fates.
fn count(ledger: &Ledger, fates: &[Fate]) -> String {
    granted(ledger, |fate| fates.contains(&fate)).count().to_string()
}

fn print(output: &mut Output, sold: &Sold, audit: &Audit) {
    let Sold { ledger, took: _, restocked, bought_again, troubles: _ } = sold;
    let count = |fates: &[Fate]| count(ledger, fates);
    let held = || granted(ledger, |_any| true);
    let mut refused: BTreeMap<&str, usize> = BTreeMap::new();
    for turned in ledger.refused() {
        let sum = refused.entry(reason_name(turned.reason)).or_default();
        *sum = sum.saturating_add(1);
    }
    let asked = ledger.visits.len().saturating_add(ledger.turned.len());
    let came_back = units(granted(ledger, |fate| fate == Fate::WalkedAway));
    let mut rows = table(&[]);
    rows.add_row(["asked", &asked.to_string()]);
    rows.add_row(["held", &held().count().to_string()]);
    rows.add_row(["  carts of several items", &held().filter(|visit| visit.lines.len() > 1).count().to_string()]);
    rows.add_row(["  claimed", &count(&[Fate::Claimed, Fate::Paid])]);
    rows.add_row(["    of those, through payment", &count(&[Fate::Paid])]);
    rows.add_row(["  released", &count(&[Fate::Released, Fate::GaveUp])]);
    rows.add_row(["    of those, from payment", &count(&[Fate::GaveUp])]);
    rows.add_row(["  expired", &count(&[Fate::WalkedAway])]);
    rows.add_row(["  still held", &count(&[Fate::Kept])]);
    rows.add_row(["  still in payment", &count(&[Fate::InPayment])]);
    for (reason, count) in refused {
        rows.add_row([format!("refused, {reason}"), count.to_string()]);
    }
    rows.add_row(["units put in during the sale", &restocked.to_string()]);
    rows.add_row(["units back from expired holds", &came_back.to_string()]);
    rows.add_row(["  bought by those who waited", &bought_again.to_string()]);
    rows.add_row(["oversold", &audit.oversold.to_string()]);
    rows.add_row(["over limit", &audit.over_limit.to_string()]);
    rows.add_row(["conservation error", &audit.conservation_error.to_string()]);
    rows.add_row(["holds unaccounted for", &audit.lost_acks.saturating_add(audit.phantoms).to_string()]);
    output.line("\naudit");
    output.table(rows);
}

fn latency(floor: &Floor, took: Duration) -> Result<String, Failure> {
    let samples = floor.recorder.take();
    let reserves = spread(samples.iter().filter(|sample| sample.verb == Verb::Reserve))?;
    let [p50, p99, p999, max] = [0.5, 0.99, 0.999, 1.0].map(|quantile| millis(reserves.value_at_quantile(quantile)));
    Ok(format!(
        "\nreserve, durable: p50 {p50} ms, p99 {p99} ms, p99.9 {p999} ms, max {max} ms; the rush took {took:.1?}"
    ))
}

#[cfg(test)]
mod tests {
    use stockade_drill::ledger::{Call, Visit};
    use stockade_proto as pb;
    use tonic::Code;

    use super::super::customer::RUSH;
    use super::*;

    #[test]
    fn a_step_that_is_refused_or_has_no_answer_is_a_finding() {
        let hold =
            |state: pb::HoldState| Said::Hold { state, expires_at: 9, server_time: 1, revision: 1, faithful: true };
        let visit = |said: &[(Verb, Said)]| {
            let call = |(verb, said): &(Verb, Said)| Call { verb: *verb, sent: 0, received: 1, said: *said };
            let (hold, customer, lines) = (uuid::Uuid::nil(), "customer-0".to_owned(), vec![(0, 1)]);
            let (names_ttl, served, calls) = (false, Vec::new(), said.iter().map(call).collect());
            Visit { hold, drop: 0, crowd: RUSH, customer, turn: 0, lines, names_ttl, served, calls }
        };
        let found = |said: &[(Verb, Said)]| steps(&Ledger { visits: vec![visit(said)], ..Ledger::default() }).len();
        let (reserved, unknown) =
            ((Verb::Reserve, hold(pb::HoldState::Held)), Said::Unknown { code: Code::Unavailable });
        let reason = pb::RefusalReason::HoldExpired;
        let refused = Said::Refused { reason, item: None, may_come_back: false, server_time: 1 };
        assert_eq!(found(&[reserved, (Verb::Claim, hold(pb::HoldState::Claimed))]), 0);
        assert_eq!(found(&[reserved, (Verb::Claim, unknown), (Verb::Claim, hold(pb::HoldState::Claimed))]), 0);
        assert_eq!(found(&[reserved, (Verb::Claim, refused)]), 1);
        assert_eq!((found(&[reserved, (Verb::Release, unknown)]), found(&[(Verb::Reserve, unknown)])), (1, 1));
    }
}
