//! The server's lives: when each began and ended, what a crash may undo, and how a restart moves deadlines.

use super::event::{Answer, History, Setup, Term, Verb};
use super::market::millis;
use super::state::{Entry, Life, Span, State};

/// The most states that a crash may make of one state. With more the search is abandoned.
const STATES_MAX: usize = 4_096;

/// The server's time of the last record that the journal has of a life; 0 if it has none.
fn last_record(history: &History, term: &Term) -> u64 {
    let slack = history.setup.slack;
    let from = term.spawned.saturating_sub(slack);
    let until = term.gone.map_or(u64::MAX, |gone| gone.wall.saturating_add(slack));
    let decided = history.facts.iter().filter_map(|fact| millis(fact.at.as_ref().or(fact.created_at.as_ref())?));
    decided.filter(|at| (from..=until).contains(at)).max().unwrap_or(0)
}

/// All lives of the server, and what the answers show of each.
#[derive(Debug, Clone, Default)]
pub struct Terms(Vec<Facts>);

#[derive(Debug, Clone, Copy, Default)]
struct Facts {
    /// The least deadline of a live hold after this start.
    grace: Span,
    /// A lower bound of the server's time at its end: something was journaled then, and acknowledged.
    ran_until: u64,
    /// An upper bound of the same.
    latest: u64,
    /// Changes before this instant of the watch were durable at the end: a call that was sent after it was
    /// acknowledged, and the journal keeps a prefix.
    durable_before: u64,
    /// When it had ended, by the watch; none for the last life.
    gone: Option<u64>,
}

impl Terms {
    /// Collects the facts of each life from a history.
    #[must_use]
    pub fn of(history: &History) -> Self {
        let Setup { slack, grace, .. } = history.setup;
        let mut facts: Vec<Facts> = history
            .terms
            .iter()
            .map(|term| Facts {
                grace: Span {
                    from: term.spawned.saturating_add(grace).saturating_sub(slack),
                    until: term.serving.saturating_add(grace).saturating_add(slack),
                },
                ran_until: 0,
                latest: term.gone.map_or(u64::MAX, |gone| gone.wall.saturating_add(slack)),
                durable_before: 0,
                gone: term.gone.map(|gone| gone.ns),
            })
            .collect();
        let mut asked = std::collections::HashSet::new();
        for call in &history.calls {
            // Only the first reserve of a hold surely appended a record of its own before it was acknowledged.
            let first = matches!(call.verb, Verb::Reserve { .. }) && asked.insert(call.hold.as_str());
            let made = matches!(&call.answer, Answer::Hold(seen) if Some(seen.created) == call.now);
            let known = usize::try_from(call.term).ok().and_then(|term| facts.get_mut(term));
            if let Some(term) = known.filter(|_| first && made) {
                term.ran_until = term.ran_until.max(call.now.unwrap_or(0));
                term.durable_before = term.durable_before.max(call.sent.ns);
            }
        }
        for (facts, term) in facts.iter_mut().zip(&history.terms) {
            let last = last_record(history, term);
            facts.ran_until = facts.ran_until.max(last);
            // What took effect before that record was decided is in the journal before it.
            let before = history.calls.iter().filter(|call| call.sent.wall.saturating_add(slack) < last);
            facts.durable_before = facts.durable_before.max(before.map(|call| call.sent.ns).max().unwrap_or(0));
        }
        Self(facts)
    }

    fn facts(&self, term: u32) -> Facts {
        usize::try_from(term).ok().and_then(|term| self.0.get(term)).copied().unwrap_or_default()
    }

    /// The crashes: which life ended, and when by the watch.
    pub fn crashes(&self) -> impl Iterator<Item = (u32, u64)> {
        let ended = (0_u32..).zip(&self.0).filter_map(|(term, facts)| Some((term, facts.gone?)));
        ended.take(self.0.len().saturating_sub(1))
    }

    /// The upper bound of the server's time in that life.
    #[must_use]
    pub fn latest(&self, term: u32) -> u64 {
        self.facts(term).latest
    }

    /// The lower bound of the server's time at the end of that life.
    #[must_use]
    pub fn ran_until(&self, term: u32) -> u64 {
        self.facts(term).ran_until
    }

    /// Whether a change at this instant of the watch may be lost when that life ends.
    #[must_use]
    pub fn may_lose(&self, term: u32, at: u64) -> bool {
        let facts = self.facts(term);
        facts.gone.is_some() && at >= facts.durable_before
    }

    /// A deadline of one life as seen in a later one.
    #[must_use]
    pub fn carried(&self, due: Span, from: u32, to: u32) -> Span {
        (from..to).fold(due, |due, term| self.moved(due, term))
    }

    /// The deadline of a live hold after the start that follows this life.
    fn moved(&self, due: Span, term: u32) -> Span {
        let (ended, next) = (self.facts(term), self.facts(term.saturating_add(1)));
        if due.until <= ended.ran_until {
            return due; // It expired before the server stopped.
        }
        if due.from > ended.latest {
            return due.at_least(next.grace);
        }
        // It may have expired before the server stopped, or not.
        Span { from: due.from, until: due.until.max(next.grace.until) }
    }

    /// The states that the crash at the end of this life and the next start may make of a state. None: too many.
    #[must_use]
    pub fn crashed(&self, state: &State, term: u32) -> Option<Vec<State>> {
        let mut states = vec![State { entries: Vec::new(), ..state.clone() }];
        for entry in &state.entries {
            let mut lives = vec![Some(entry.life)];
            lives.extend(entry.before.iter().copied());
            let many = states.len().saturating_mul(lives.len());
            if many > STATES_MAX {
                return None;
            }
            let mut next = Vec::with_capacity(many);
            for state in &states {
                for life in &lives {
                    let mut state = state.clone();
                    if let Some(life) = life {
                        state.entries.push(self.kept(entry, *life, term));
                    }
                    next.push(state);
                }
            }
            states = next;
        }
        Some(states)
    }

    fn kept(&self, entry: &Entry, life: Life, term: u32) -> Entry {
        let life = match life {
            Life::Live { due, paying } => Life::Live { due: self.moved(due, term), paying },
            Life::Claimed(_) | Life::Released | Life::Expired | Life::Adjusted => life,
        };
        entry.durable(life)
    }
}
