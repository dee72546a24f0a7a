//! A history as a whole: single answers first, then every part.

use std::fmt;

use super::event::History;
use super::explain::explain;
use super::lens::{Subject, parts};
use super::plain;
use super::search::{Bounds, Verdict, search};
use super::terms::Terms;
use crate::numbers::count;

/// Violations told at most.
const MOST: usize = 3;

/// What a check came to.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Report {
    /// Calls in the history.
    pub calls: u64,
    /// Calls without an answer.
    pub unknowns: u64,
    /// Crashes of the server.
    pub kills: u64,
    /// Spans in which it stood still.
    pub pauses: u64,
    /// Holds, customers, stocks and figures that were checked.
    pub parts: [u64; 4],
    /// Configurations that were looked at.
    pub states: u64,
    /// Parts without an order, and findings in single answers.
    pub violations: u64,
    /// Parts whose search was given up.
    pub undecided: u64,
    /// The first of both in words.
    pub findings: Vec<String>,
}

impl Report {
    /// Whether every part has an order.
    #[must_use]
    pub const fn is_linearizable(&self) -> bool {
        self.violations == 0 && self.undecided == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { calls, unknowns, kills, pauses, parts, states, violations, undecided, findings } = self;
        let [holds, customers, stocks, figures] = parts;
        writeln!(f, "{calls} calls, {unknowns} without an answer; {kills} kills, {pauses} pauses")?;
        writeln!(
            f,
            "searched: {holds} holds, {customers} customers, {stocks} stocks, {figures} figures; {states} states"
        )?;
        for finding in findings {
            writeln!(f, "{finding}")?;
        }
        match (violations, undecided) {
            (0, 0) => f.write_str("linearizable"),
            (0, parts) => write!(f, "UNDECIDED: the search was given up in {parts} parts"),
            (violations, _) => write!(f, "NOT LINEARIZABLE: {violations} violations, {undecided} parts undecided"),
        }
    }
}

/// Checks a history.
#[must_use]
pub fn check(history: &History, bounds: Bounds) -> Report {
    let terms = Terms::of(history);
    let plain = plain::look(history);
    let mut report = Report {
        calls: count(history.calls.len()),
        unknowns: count(history.calls.iter().filter(|call| call.answer.is_unknown()).count()),
        kills: count(terms.crashes().count()),
        pauses: count(history.pauses.len()),
        violations: count(plain.len()),
        findings: plain.into_iter().take(MOST).collect(),
        ..Report::default()
    };
    for part in parts(history) {
        let [holds, customers, stocks, figures] = &mut report.parts;
        let counted = match part.subject {
            Subject::Hold(_) => holds,
            Subject::Customer(_) => customers,
            Subject::Stock(_) => stocks,
            Subject::Figures(_) => figures,
        };
        *counted = counted.saturating_add(1);
        let (verdict, states) = search(&part, history, &terms, bounds);
        report.states = report.states.saturating_add(states);
        let finding = match verdict {
            Verdict::Linearizable => continue,
            Verdict::Violation(stuck) => {
                report.violations = report.violations.saturating_add(1);
                explain(&part, history, &stuck)
            }
            Verdict::Undecided(why) => {
                report.undecided = report.undecided.saturating_add(1);
                format!("{}: undecided: {why}", part.subject)
            }
        };
        if report.findings.len() < MOST {
            report.findings.push(finding);
        }
    }
    report
}
