//! Searches for an order in which one part's calls took effect, each between its sending and its return.
//!
//! The algorithm is Wing and Gong's with Lowe's just-in-time linearization. It walks the history event by event and
//! keeps all possible configurations, each once. A configuration is a state and the set of calls in flight that have
//! taken effect in it. A call takes effect as late as possible: right before some call returns. If a return leaves no
//! configuration, there is no order.
//!
//! Three shortcuts, none of which loses an order. A call that changes nothing takes effect as soon as it can. A call
//! without an answer takes effect only if some answer needs it; an answer that does not need it can be ordered before
//! it. A hold whose deadline has passed for every call still to take effect expires at once.

use std::collections::HashSet;

use super::event::{History, Verb};
use super::lens::{Op, Part, Said, Subject};
use super::state::{Life, State};
use super::step::Scene;
use super::terms::Terms;

/// Maximum calls in flight of one part. With more the search is abandoned.
const SLOTS: usize = 128;

/// The bounds of a search.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Configurations at one time.
    pub wide: usize,
    /// Configurations examined, in one part.
    pub all: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { wide: 200_000, all: 5_000_000 }
    }
}

/// The result of a search.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// There is an order.
    Linearizable,
    /// There is none.
    Violation(Stuck),
    /// The search was abandoned.
    Undecided(&'static str),
}

/// Where a search found that there is no order.
#[derive(Debug, Clone)]
pub struct Stuck {
    /// The call whose answer fits nowhere, by its index in the part.
    pub op: usize,
    /// Calls in flight with it, by their indices in the part.
    pub under_way: Vec<usize>,
    /// Some of the states that were possible before it returned.
    pub states: Vec<State>,
}

/// A state, and which calls in flight have taken effect in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Config {
    state: State,
    done: u128,
}

/// A call in flight.
#[derive(Debug, Clone, Copy)]
struct Slot {
    op: usize,
    is_unknown: bool,
}

/// An event of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    // The order of events at one instant: calls that touch each other count as concurrent.
    Sent(usize),
    Back(usize),
    Crash(u32),
}

/// The state of a search.
struct Search<'a> {
    part: &'a Part,
    history: &'a History,
    terms: &'a Terms,
    slots: Vec<Option<Slot>>,
    /// For each entry, the number of calls that are not over.
    left: Vec<u32>,
    configs: HashSet<Config>,
    looked_at: u64,
    bounds: Bounds,
    term: u32,
    /// The present instant: by the watch, and by the wall clock.
    at: (u64, u64),
}

/// Searches for an order of a part's calls. Returns the verdict, and how many configurations were examined.
#[must_use]
pub fn search(part: &Part, history: &History, terms: &Terms, bounds: Bounds) -> (Verdict, u64) {
    let mut left = vec![0_u32; part.units.len()];
    for op in &part.ops {
        if let Some(left) = left.get_mut(place(op.id)) {
            *left = left.saturating_add(1);
        }
    }
    let first = Config { state: State::default(), done: 0 };
    let (slots, configs) = (Vec::new(), HashSet::from([first]));
    let mut search = Search { part, history, terms, slots, left, configs, looked_at: 0, bounds, term: 0, at: (0, 0) };
    let verdict = match search.walk() {
        Ok(()) => Verdict::Linearizable,
        Err(verdict) => verdict,
    };
    (verdict, search.looked_at)
}

fn place(id: u32) -> usize {
    usize::try_from(id).unwrap_or(usize::MAX)
}

const fn bit(slot: usize) -> u128 {
    1 << (slot % SLOTS)
}

impl<'a> Search<'a> {
    fn walk(&mut self) -> Result<(), Verdict> {
        for (at, event) in events(self.part, self.terms) {
            match event {
                Event::Sent(op) => self.sent(at, op)?,
                Event::Back(op) => self.back(at, op)?,
                Event::Crash(term) => self.crash(term)?,
            }
        }
        Ok(())
    }

    fn op(&self, place: usize) -> Option<&'a Op> {
        self.part.ops.get(place)
    }

    fn scene(&self) -> Scene<'_> {
        let (part, setup, terms, term) = (self.part, &self.history.setup, self.terms, self.term);
        let latest = self.at.1.saturating_add(setup.slack).min(terms.latest(term));
        let (may_be_lost, left) = (terms.may_lose(term, self.at.0), &self.left);
        Scene { part, setup, terms, term, latest, may_be_lost, left }
    }

    fn sent(&mut self, at: u64, place: usize) -> Result<(), Verdict> {
        let Some(op) = self.op(place) else { return Ok(()) };
        self.at = (at, op.sent_wall);
        self.retire();
        let slot = Slot { op: place, is_unknown: op.said == Said::Unknown };
        match self.slots.iter().position(Option::is_none) {
            Some(free) => {
                if let Some(known) = self.slots.get_mut(free) {
                    *known = Some(slot);
                }
            }
            None if self.slots.len() < SLOTS => self.slots.push(Some(slot)),
            None => return Err(Verdict::Undecided("too many calls without an answer")),
        }
        self.normalize()
    }

    fn back(&mut self, at: u64, place: usize) -> Result<(), Verdict> {
        let Some(op) = self.op(place) else { return Ok(()) };
        self.at = (at, op.back_wall);
        let mine = self.slots.iter().position(|slot| slot.is_some_and(|slot| slot.op == place));
        let Some(mine) = mine else { return Ok(()) };
        let before = std::mem::take(&mut self.configs);
        let mut todo: Vec<Config> = before.iter().cloned().collect();
        let mut seen = before.clone();
        while let Some(config) = todo.pop() {
            self.looked_at = self.looked_at.saturating_add(1);
            if config.done & bit(mine) != 0 {
                self.configs.insert(Config { done: config.done & !bit(mine), ..config });
            } else {
                todo.extend(self.successors(&config).into_iter().filter(|next| seen.insert(next.clone())));
            }
            if self.looked_at > self.bounds.all || seen.len() > self.bounds.wide {
                return Err(Verdict::Undecided("too many orders to look at"));
            }
        }
        if self.configs.is_empty() {
            let others = self.slots.iter().flatten().map(|slot| slot.op).filter(|other| *other != place);
            let states = before.into_iter().map(|config| config.state).take(3).collect();
            return Err(Verdict::Violation(Stuck { op: place, under_way: others.collect(), states }));
        }
        self.over(mine, op.id);
        self.normalize()
    }

    /// Removes a call that is over from the slots and from its entry's count.
    fn over(&mut self, slot: usize, id: u32) {
        if let Some(slot) = self.slots.get_mut(slot) {
            *slot = None;
        }
        if let Some(left) = self.left.get_mut(place(id)) {
            *left = left.saturating_sub(1);
        }
    }

    /// Removes calls without an answer that can take effect in no configuration any more.
    fn retire(&mut self) {
        let done = self.configs.iter().fold(u128::MAX, |done, config| done & config.done);
        for number in 0..self.slots.len() {
            let Some(Slot { op, is_unknown: true }) = self.slots.get(number).copied().flatten() else { continue };
            if done & bit(number) != 0 {
                let id = self.op(op).map_or(u32::MAX, |op| op.id);
                self.over(number, id);
                let configs = std::mem::take(&mut self.configs);
                let cleared = configs.into_iter().map(|config| Config { done: config.done & !bit(number), ..config });
                self.configs = cleared.collect();
            }
        }
    }

    fn crash(&mut self, term: u32) -> Result<(), Verdict> {
        let scene = self.scene();
        let mut configs = HashSet::new();
        for config in &self.configs {
            let Some(states) = self.terms.crashed(&config.state, term) else {
                return Err(Verdict::Undecided("too many ways to crash"));
            };
            // Whatever a crash keeps was there before it, so no two holds have the same units.
            let is_shown = matches!(self.part.subject, Subject::Figures(_));
            let fits = |state: &State| is_shown || scene.free(state).is_none_or(|free| free >= 0);
            let fits =
                |state: &State| fits(state) && !state.entries.iter().any(|entry| self.part.never.contains(&entry.id));
            let open = self.open(config);
            let over = open.iter().filter(|(_, op, _)| self.part.never.contains(&op.id));
            let done = over.fold(config.done, |done, (number, _, _)| done | bit(*number));
            configs.extend(states.into_iter().filter(fits).map(|state| Config { state, done }));
        }
        self.looked_at = self.looked_at.saturating_add(u64::try_from(configs.len()).unwrap_or(u64::MAX));
        self.configs = configs;
        self.term = term.saturating_add(1);
        if self.configs.len() > self.bounds.wide {
            return Err(Verdict::Undecided("too many ways to crash"));
        }
        Ok(())
    }

    /// Calls in flight that have not taken effect in a configuration, with their slots.
    fn open(&self, config: &Config) -> Vec<(usize, &'a Op, bool)> {
        let slots = self.slots.iter().enumerate();
        slots
            .filter(|(number, _)| config.done & bit(*number) == 0)
            .filter_map(|(number, slot)| slot.and_then(|slot| Some((number, self.op(slot.op)?, slot.is_unknown))))
            .collect()
    }

    /// The configurations after one more call took effect.
    fn successors(&self, config: &Config) -> Vec<Config> {
        let scene = self.scene();
        let open = self.open(config);
        let mut next = Vec::new();
        let mut blocked: Vec<&Op> = Vec::new();
        for (number, op, _) in open.iter().filter(|(_, _, is_unknown)| !is_unknown) {
            let states = scene.answered(op, &config.state);
            if states.is_empty() || scene.is_tight(op, &config.state, &states) {
                blocked.push(op);
            }
            let done = config.done | bit(*number) | overtaken(op, &open);
            next.extend(states.into_iter().map(|state| self.normal(Config { state, done })));
        }
        for (number, op, _) in open.iter().filter(|(_, _, is_unknown)| *is_unknown) {
            // A hold that the last read did not find can be made only while a crash may still undo it.
            let may_be = scene.may_be_lost || !self.part.never.contains(&op.id);
            if may_be && blocked.iter().any(|blocked| may_need(blocked, op)) {
                let done = config.done | bit(*number);
                let states = scene.unknown(op, &config.state);
                next.extend(states.into_iter().map(|state| self.normal(Config { state, done })));
            }
        }
        next
    }

    fn normalize(&mut self) -> Result<(), Verdict> {
        let configs = std::mem::take(&mut self.configs);
        self.configs = configs.into_iter().map(|config| self.normal(config)).collect();
        if self.configs.len() > self.bounds.wide {
            return Err(Verdict::Undecided("too many orders side by side"));
        }
        Ok(())
    }

    /// Applies to a configuration all that changes nothing or can't be delayed.
    fn normal(&self, mut config: Config) -> Config {
        let scene = self.scene();
        let open = self.open(&config);
        for (number, op, _) in open.iter().filter(|(_, _, is_unknown)| !is_unknown) {
            if scene.answered(op, &config.state).contains(&config.state) {
                config.done |= bit(*number) | overtaken(op, &open);
            }
        }
        for (number, op, _) in open.iter().filter(|(_, _, is_unknown)| *is_unknown) {
            if can_never_be(op, &config.state) {
                config.done |= bit(*number);
            }
        }
        self.expire_passed(&scene, &mut config);
        self.settle(&scene, &mut config);
        config
    }

    /// Expires holds whose deadline has passed for every call still to take effect. Not for figures: those may include
    /// such holds until a sweep returns their units.
    fn expire_passed(&self, scene: &Scene<'_>, config: &mut Config) {
        if matches!(self.part.subject, Subject::Figures(_)) {
            return;
        }
        let open = self.open(config);
        let slack = self.history.setup.slack;
        let earliest = open.iter().filter_map(|(_, op, _)| op.now).fold(self.at.1.saturating_sub(slack), u64::min);
        let passed: Vec<u32> = config
            .state
            .entries
            .iter()
            .filter(|entry| matches!(entry.life, Life::Live { due, .. } if due.until <= earliest))
            .filter(|entry| !open.iter().any(|(_, op, is_unknown)| *is_unknown && op.id == entry.id))
            .map(|entry| entry.id)
            .collect();
        for id in passed {
            config.state = scene.expired(&config.state, id);
        }
    }

    /// Removes entries that no call refers to any more.
    fn settle(&self, scene: &Scene<'_>, config: &mut Config) {
        let over = |life: Life| !matches!(life, Life::Live { .. });
        let is_left = |id: u32| self.left.get(place(id)).is_some_and(|left| *left > 0);
        let entries = config.state.entries.iter();
        let settled = entries.filter(|entry| over(entry.life) && entry.before.is_empty() && !is_left(entry.id));
        for entry in settled.cloned().collect::<Vec<_>>() {
            scene.settle(&mut config.state, &entry);
        }
    }
}

/// Calls without an answer of an earlier life on the same hold. An answer of a later life shows their effect, or they
/// never had one.
fn overtaken(op: &Op, open: &[(usize, &Op, bool)]) -> u128 {
    let old = |other: &Op| other.id == op.id && other.term < op.term;
    let bits = open.iter().filter(|(_, other, is_unknown)| *is_unknown && old(other));
    bits.fold(0, |bits, (number, _, _)| bits | bit(*number))
}

/// Whether an answer may fit only after this call without one.
fn may_need(blocked: &Op, unknown: &Op) -> bool {
    if blocked.id == unknown.id {
        return true;
    }
    match blocked.said {
        // Figures depend on everything. So does a shortage, since a moved deadline keeps units taken.
        Said::Figures(_) | Said::Refused { .. } => true,
        // Its units may have been freed or added by another call.
        Said::Hold(_) => matches!(unknown.verb, Verb::Release | Verb::Adjust),
        Said::Absent | Said::Adjusted | Said::Unknown => false,
    }
}

/// Whether a call without an answer can no longer change anything.
fn can_never_be(op: &Op, state: &State) -> bool {
    let entry = state.get(op.id);
    match op.verb {
        // An id is used once, unless a crash undoes it.
        Verb::Reserve { .. } | Verb::Adjust => entry.is_some_and(|entry| entry.before.is_empty()),
        Verb::Extend { .. } | Verb::Claim { .. } | Verb::Release => {
            entry.is_some_and(|entry| entry.before.is_empty() && !matches!(entry.life, Life::Live { .. }))
        }
        Verb::GetHold | Verb::GetDrop => true,
    }
}

/// All events of a part and of the server's lives, in order.
fn events(part: &Part, terms: &Terms) -> Vec<(u64, Event)> {
    let mut events = Vec::with_capacity(part.ops.len().saturating_mul(2));
    for (place, op) in part.ops.iter().enumerate() {
        events.push((op.sent, Event::Sent(place)));
        if op.said != Said::Unknown {
            events.push((op.back, Event::Back(place)));
        }
    }
    events.extend(terms.crashes().map(|(term, at)| (at, Event::Crash(term))));
    events.sort_unstable();
    events
}
