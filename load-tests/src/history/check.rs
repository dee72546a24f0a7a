//! Checks a whole history: single answers first, then every part.

use std::collections::{BTreeSet, HashSet};
use std::fmt;

use stockade_drill::facts::{Trial, judge};
use stockade_drill::numbers::count;

use super::event::{Answer, Call, History};
use super::explain::explain;
use super::lens::{Subject, parts};
use super::market::{Market, tiers};
use super::plain;
use super::search::{Bounds, Verdict, search};
use super::terms::Terms;

/// The most violations that are described.
const FINDINGS_MAX: usize = 3;

/// A life that served for this long, in milliseconds, must have answered most of its calls: only calls that were in
/// flight at its end, or that a client gave up at once, have no answer, and clients send thousands in a second.
const LONG: u64 = 1_000;

/// The result of a check.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Report {
    /// Calls in the history.
    pub calls: u64,
    /// Calls without an answer.
    pub unknowns: u64,
    /// Crashes of the server.
    pub kills: u64,
    /// Spans in which it was paused.
    pub pauses: u64,
    /// Holds, customers, stocks and figures that were checked.
    pub parts: [u64; 4],
    /// Configurations that were examined.
    pub states: u64,
    /// Parts without an order, and findings in single answers.
    pub violations: u64,
    /// Parts whose search was abandoned.
    pub undecided: u64,
    /// Lives of the server that left more calls unanswered than its end explains, and last reads without an answer:
    /// without answers any order fits.
    pub silences: u64,
    /// What the journal's records show, of a drop with rules.
    pub journal: Option<Trial>,
    /// The first findings in words.
    pub findings: Vec<String>,
}

impl Report {
    /// Whether every part has an order, and there were enough answers.
    #[must_use]
    pub const fn is_linearizable(&self) -> bool {
        self.violations == 0 && self.undecided == 0 && self.silences == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { calls, unknowns, kills, pauses, parts, states, violations, undecided, silences, journal, findings } =
            self;
        let [holds, customers, stocks, figures] = parts;
        writeln!(f, "{calls} calls, {unknowns} without an answer; {kills} kills, {pauses} pauses")?;
        writeln!(
            f,
            "searched: {holds} holds, {customers} customers, {stocks} stocks, {figures} figures; {states} states"
        )?;
        if let Some(journal) = journal {
            writeln!(f, "{journal}")?;
        }
        for finding in findings {
            writeln!(f, "{finding}")?;
        }
        match (violations, undecided) {
            (0, parts) if *silences > 0 => {
                write!(f, "TOO FEW ANSWERS: {silences} lives and last reads, {parts} parts undecided")
            }
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
    let market = Market::of(&history.setup, &history.facts);
    let plain = plain::look(history, market.as_ref());
    let journal = market.as_ref().map(|market| facts(market, history));
    let silences = silences(history);
    let mut report = Report {
        calls: count(history.calls.len()),
        unknowns: count(history.calls.iter().filter(|call| call.answer.is_unknown()).count()),
        kills: count(terms.crashes().count()),
        pauses: count(history.pauses.len()),
        violations: count(plain.len()),
        silences: count(silences.len()),
        findings: plain.into_iter().chain(silences).take(FINDINGS_MAX).collect(),
        ..Report::default()
    };
    for part in parts(history) {
        let [holds, customers, stocks, figures] = &mut report.parts;
        let counted = match part.subject {
            Subject::Hold(_) => holds,
            Subject::Customer(_) => customers,
            Subject::Stock(..) => stocks,
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
        if report.findings.len() < FINDINGS_MAX {
            report.findings.push(finding);
        }
    }
    if let Some(journal) = journal {
        report.violations = report.violations.saturating_add(journal.violations());
        report.findings.extend(journal.findings.iter().take(FINDINGS_MAX).map(|finding| format!("journal: {finding}")));
        report.journal = Some(journal);
    }
    report
}

/// Judges the journal: each record by those before it, and that it has each hold that was answered.
fn facts(market: &Market, history: &History) -> Trial {
    let number = |customer: &str| customer.strip_prefix("customer-").and_then(|number| number.parse().ok());
    let mut trial = judge(market.defined(), &history.facts, |customer| number(customer).map(tiers).unwrap_or_default());
    let made: HashSet<&str> = history.facts.iter().filter_map(|fact| fact.hold_id.as_deref()).collect();
    let answered = history.calls.iter().filter(|call| matches!(call.answer, Answer::Hold(_)));
    let lost: BTreeSet<&str> = answered.map(|call| call.hold.as_str()).filter(|hold| !made.contains(hold)).collect();
    trial.gaps = trial.gaps.saturating_add(count(lost.len()));
    let words = lost.into_iter().map(|hold| format!("hold {hold} was answered, and no record has it"));
    trial.findings.extend(words.take(FINDINGS_MAX));
    trial
}

/// Lives and last reads with too few answers.
fn silences(history: &History) -> Vec<String> {
    let is_answered = |call: &&Call| !call.answer.is_unknown();
    let mut found = Vec::new();
    if !history.calls.iter().any(|call| is_answered(&call)) {
        found.push("no call was answered".to_owned());
    }
    for (number, term) in (0_u32..).zip(&history.terms) {
        let calls: Vec<&Call> = history.calls.iter().filter(|call| call.term == number).collect();
        let last = calls.iter().map(|call| call.back.wall).max().unwrap_or(0);
        let ended = term.gone.map_or(last, |gone| gone.wall);
        let answered = calls.iter().copied().filter(|call| is_answered(call)).count();
        let is_silent = answered == 0 || answered.saturating_mul(2) < calls.len();
        if is_silent && ended.saturating_sub(term.serving) >= LONG {
            found.push(format!("life {number} answered {answered} of {} calls", calls.len()));
        }
    }
    let looks = history.calls.iter().filter(|call| call.last && call.answer.is_unknown());
    found.extend(looks.map(|call| format!("a last read has no answer: {call:?}")));
    found
}
