//! Decisions as they are explained: which rule made them, and what it saw.

use std::sync::Arc;

use stockade_types::definition::Definition;
use stockade_types::hold::{Hold, HoldLine};
use stockade_types::ids::{HoldId, Lsn};
use stockade_types::record::{Actor, HoldChange, Made, MovedLine, Record, Superseded, Verb};
use stockade_types::refusal::{Reason, Rule};
use stockade_types::time::Timestamp;

use crate::answer::{HoldView, Refusal, RefusedLine};

/// A decision: a change of a hold, or a refusal.
#[derive(Debug, Clone)]
pub struct Decision {
    /// When it was made.
    pub at: Timestamp,
    /// Its record; 0 for a refusal.
    pub lsn: Lsn,
    /// What was asked for or done, in lower case.
    pub operation: &'static str,
    /// The hold.
    pub hold: HoldId,
    /// The rule that made it.
    pub rule: RuleName,
    /// What the rule saw, or what the record says.
    pub facts: Facts,
    /// What came of it.
    pub outcome: DecisionOutcome,
}

/// A rule by its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleName {
    /// Its kind, in lower case.
    pub kind: &'static str,
    /// Its id; empty if it has none.
    pub id: String,
}

/// Numbers by name.
pub type Facts = Vec<(&'static str, i64)>;

/// What came of a decision.
#[derive(Debug, Clone)]
pub enum DecisionOutcome {
    /// It was done: the hold as it was then, and by whom it was asked for.
    Done(HoldView, Actor),
    /// It was refused.
    Refused(Box<Refusal>),
}

/// A record about a hold, as the journal's reader found it.
#[derive(Debug, Clone)]
pub struct RecordOfHold {
    /// The hold.
    pub hold: HoldId,
    /// The record's place.
    pub lsn: Lsn,
    /// When it was decided.
    pub at: Timestamp,
    /// The record.
    pub record: Record,
}

impl RuleName {
    fn new(kind: &'static str, id: &impl ToString) -> Self {
        Self { kind, id: id.to_string() }
    }

    /// The rule through which a hold's units were drawn: its first line's window, or else its price, or the drop.
    fn of_made(hold: &Hold, definition: &Definition) -> Self {
        let names = &definition.rules.names;
        let window = hold.lines().iter().find_map(|line| names.window(line.pinned.window));
        let terms = || hold.lines().iter().find_map(|line| names.offer(line.pinned.offer));
        match window {
            Some(window) => Self::new("window", window),
            None => terms().map_or_else(|| Self::new("drop", &definition.id), |(terms, _)| Self::new("terms", terms)),
        }
    }

    fn of_refusal(refusal: &Refusal, hold: HoldId, definition: &Definition) -> Self {
        let Refusal { rule, sku, limit, .. } = refusal;
        let sku = || sku.as_ref().map(ToString::to_string).unwrap_or_default();
        let id = match rule {
            Rule::Drop => definition.id.to_string(),
            Rule::Window(window) => definition.rules.names.window(*window).map(ToString::to_string).unwrap_or_default(),
            Rule::Terms => String::new(),
            Rule::Slot | Rule::Stock { .. } => sku(),
            Rule::Limit | Rule::Conduct => limit.as_ref().map(|hit| hit.id.to_string()).unwrap_or_default(),
            Rule::Hold => hold.to_string(),
        };
        Self { kind: rule.label(), id }
    }
}

impl Decision {
    /// The decision that a record is about; none for a record that is not about this hold.
    pub(super) fn of_record(found: RecordOfHold, definition: &Arc<Definition>) -> Option<Self> {
        let RecordOfHold { hold: id, lsn, at, record } = found;
        let done = |operation, rule, facts, hold: Hold, actor| {
            let view = HoldView { hold: with_revision(hold, lsn), definition: Arc::clone(definition) };
            Self { at, lsn, operation, hold: id, rule, facts, outcome: DecisionOutcome::Done(view, actor) }
        };
        Some(match record {
            Record::Made(Made { actor, hold }) => {
                let rule = RuleName::of_made(&hold, definition);
                done("reserve", rule, made_facts(&hold, at), hold, actor)
            }
            Record::Superseded(superseded) => {
                let Superseded { ended, made } = *superseded;
                let (hold, facts, other) = if made.id == id {
                    let facts = made_facts(&made, at);
                    (made, facts, ended.hold.id)
                } else {
                    let facts = vec![("units", units(&ended.hold))];
                    (ended.hold, facts, made.id)
                };
                done(Verb::Supersede.label(), RuleName::new("hold", &other), facts, hold, ended.actor)
            }
            Record::Changed(change) => {
                let facts = changed_facts(&change);
                let rule = match change.hold.lines().iter().next() {
                    Some(line) if change.is_late_claim() => RuleName::new("stock", definition.sku(line.item)),
                    Some(_) | None => RuleName::new("hold", &id),
                };
                done(change.verb.label(), rule, facts, change.hold, change.actor)
            }
            Record::Drop(_)
            | Record::Lifecycle(_)
            | Record::DropFact(_)
            | Record::Upgraded(_)
            | Record::Hold(_)
            | Record::Old(_)
            | Record::Restart(_)
            | Record::Adjusted(_)
            | Record::Stock(_)
            | Record::Adjustments(_)
            | Record::Archived(_)
            | Record::Defined(_)
            | Record::Occurrence(_)
            | Record::Delivered(_)
            | Record::Channel(_)
            | Record::Facts(_)
            | Record::FactsImage(_)
            | Record::Totals(_)
            | Record::Demand(_)
            | Record::Report(_)
            | Record::Usage(_) => return None,
        })
    }

    /// The decision to refuse. `in_question` is the hold that the refusal is about, if it is about one.
    pub(super) fn of_refusal(
        (at, operation, hold): (Timestamp, &'static str, HoldId),
        in_question: Option<HoldId>,
        refusal: Refusal,
        definition: &Definition,
    ) -> Self {
        let rule = RuleName::of_refusal(&refusal, in_question.unwrap_or(hold), definition);
        let facts = refused_facts(&refusal, at);
        let outcome = DecisionOutcome::Refused(Box::new(refusal));
        Self { at, lsn: Lsn::default(), operation, hold, rule, facts, outcome }
    }
}

fn with_revision(mut hold: Hold, lsn: Lsn) -> Hold {
    hold.revision = lsn;
    hold
}

fn count(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}

fn units(hold: &Hold) -> i64 {
    hold.lines().iter().map(|line| i64::from(line.quantity)).sum()
}

/// Milliseconds from one instant to a later one.
fn millis(from: Timestamp, to: Timestamp) -> i64 {
    count(from.until(to).0)
}

fn made_facts(hold: &Hold, at: Timestamp) -> Facts {
    let mut facts = vec![("units", units(hold)), ("expires_in_ms", millis(at, hold.expires_at()))];
    if !hold.shorts().is_empty() {
        facts.push(("requested", short_of(hold)));
    }
    let overrides = [("over_limits", hold.is_over_limits()), ("over_windows", hold.is_over_windows())];
    facts.extend(overrides.into_iter().filter(|(_, overridden)| *overridden).map(|(name, _)| (name, 1)));
    facts
}

/// Units that a hold was asked for that was served short.
fn short_of(hold: &Hold) -> i64 {
    let short = |line: &HoldLine| hold.shorts().iter().any(|short| short.item == line.item);
    let whole = hold.lines().iter().filter(|line| !short(line)).map(|line| i64::from(line.quantity));
    whole.chain(hold.shorts().iter().map(|short| i64::from(short.requested))).sum()
}

fn changed_facts(change: &HoldChange) -> Facts {
    let moved = |of: fn(&MovedLine) -> u32| change.moved().iter().map(|line| i64::from(of(line))).sum::<i64>();
    let (at, expires_at) = (change.at, change.hold.expires_at());
    let released = ("released", moved(|line| line.released));
    match change.verb {
        Verb::Extend => vec![("expires_in_ms", millis(at, expires_at))],
        Verb::Claim => {
            let late = change.is_late_claim().then(|| ("late_ms", millis(expires_at, at)));
            [Some(("units", moved(|line| line.quantity))), Some(released), late].into_iter().flatten().collect()
        }
        Verb::Release => vec![released],
        Verb::Return => vec![("returned", moved(|line| line.returned))],
        Verb::Expire => vec![released, ("late_ms", millis(expires_at, at))],
        Verb::Supersede => vec![("units", units(&change.hold))],
    }
}

fn refused_facts(refusal: &Refusal, at: Timestamp) -> Facts {
    let Refusal { reason, rule, retry_after, lines, limit, hold, .. } = refusal;
    let line = lines.iter().find(|line| line.reason == *reason);
    let of_line =
        |line: &RefusedLine| [("requested", i64::from(line.requested)), ("available", i64::from(line.available))];
    let mut facts: Facts = line.map(of_line).into_iter().flatten().collect();
    match rule {
        Rule::Stock { free } => facts.extend(free.map(|free| ("free", i64::from(free)))),
        Rule::Limit | Rule::Conduct => {
            // A cooldown counts nothing.
            let counts = limit.iter().filter(|hit| hit.max > 0 || hit.used > 0);
            facts.extend(counts.flat_map(|hit| [("used", i64::from(hit.used)), ("max", i64::from(hit.max))]));
        }
        Rule::Hold if *reason == Reason::HoldExpired => {
            facts.extend(hold.as_ref().map(|view| ("late_ms", millis(view.hold.expires_at(), at))));
        }
        Rule::Drop | Rule::Window(_) | Rule::Terms | Rule::Slot | Rule::Hold => {}
    }
    let name = if *reason == Reason::NotOpen { "opens_in_ms" } else { "retry_after_ms" };
    facts.extend(retry_after.map(|span| (name, count(span.0))));
    facts
}
