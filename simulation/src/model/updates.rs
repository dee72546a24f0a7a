//! Updates, closing and archiving of a drop in a history: their effect on the model, and the check of the engine's
//! answers.

use stockade_engine::Engine;
use stockade_engine::answer::{DropState, Fault};
use stockade_engine::attempt::Decided;
use stockade_engine::context::Context;
use stockade_types::time::{Millis, Timestamp};

use super::plan::Plan;
use super::rules::Rule;
use super::state::{Model, ModelDrop, priced};
use super::words::{definition, update};
use super::{ARCHIVE_AFTER, DROPS, ITEMS};
use crate::world::Calls as _;

/// A change of a drop.
#[derive(Debug, Clone)]
pub enum Update {
    Ttl(u64),
    /// Sets the first limit's maximum, or adds a limit if there is none.
    MaxUnits(u32),
    /// Replaces all limits.
    Limits(Vec<Rule>),
    /// Closes the drop after this time.
    Closes(u64),
    /// Adds an item with this many units, unless all items exist.
    Add(u64),
    /// Replaces the rules.
    Plan(Box<Plan>),
}

impl Update {
    fn change_rules(&self, rules: &mut Vec<Rule>) {
        match self {
            Self::MaxUnits(max) => match rules.first_mut() {
                Some(known) => known.max = Some(*max),
                None => rules.push(Rule::plain(*max)),
            },
            Self::Limits(wanted) => rules.clone_from(wanted),
            Self::Ttl(_) | Self::Closes(_) | Self::Add(_) | Self::Plan(_) => {}
        }
    }
}

impl Model {
    /// When the drop was closed, if it was.
    pub fn closed_since(&self, drop: usize) -> Option<u64> {
        self.drops[drop].closed
    }

    pub fn state(&self, drop: usize) -> String {
        let known = &self.drops[drop];
        let state = match (known.closed, known.opened) {
            _ if known.archived.is_some() => DropState::Archived,
            (Some(_), None) => DropState::Cancelled,
            (Some(_), Some(_)) => DropState::Closed,
            (None, _) if known.paused => DropState::Paused,
            (None, None) => DropState::Scheduled,
            (None, Some(_)) => DropState::Open,
        };
        format!("{state:?}")
    }

    /// The drop as the update would leave it.
    fn wanted(&self, drop: usize, update: &Update) -> ModelDrop {
        let mut wanted = self.drops[drop].clone();
        update.change_rules(&mut wanted.rules);
        match update {
            Update::Ttl(ttl) => wanted.ttl = *ttl,
            Update::Closes(span) => wanted.plan.closes = Some(self.now + span),
            Update::Add(units) if wanted.pools.len() < ITEMS[drop].len() => wanted.pools.push(vec![*units]),
            Update::MaxUnits(_) | Update::Limits(_) | Update::Add(_) => {}
            Update::Plan(plan) => wanted.plan = Plan { closes: wanted.plan.closes, ..plan.as_ref().clone() },
        }
        wanted
    }

    /// Changes a drop. What is due by the change has not fired yet.
    pub fn update(&mut self, drop: usize, update: &Update) -> String {
        let known = &self.drops[drop];
        let mut wanted = self.wanted(drop, update);
        let scheduled = known.plan.scheduled(drop);
        let kept = |what: &str, when| {
            let is_same = scheduled.iter().any(|(known, _, of)| (known, of.as_str()) == (&when, what));
            known.fired.get(what).copied().filter(|_| is_same)
        };
        if wanted.plan.is_wrong(drop, kept) {
            return "invalid".to_owned();
        }
        // Ids that are not used by now are no part of the drop.
        let plan = Plan { next: known.plan.next, ..wanted.plan.clone() };
        let changed = ModelDrop { plan, ..wanted.clone() };
        if changed == *known {
            return self.state(drop);
        }
        if known.closed.is_some() || known.touches_fired(drop, &wanted.plan) {
            return "precondition".to_owned();
        }
        if wanted.plan.closes.is_some_and(|closes| closes <= wanted.plan.opens) {
            return "invalid".to_owned();
        }
        wanted.offers = priced(wanted.offers, &wanted.plan);
        self.drops[drop] = wanted;
        self.state(drop)
    }

    /// Archives this drop if it may be. Its holds are still in memory.
    pub fn archive_one(&mut self, drop: usize) -> bool {
        let picked_up = self.drops[drop].opened.and_then(|_| self.drops[drop].plan.last_slot_ends()).unwrap_or(0);
        let waited = self.closed_since(drop).is_some_and(|at| at.max(picked_up) + ARCHIVE_AFTER <= self.now);
        let live = self.holds.values().any(|hold| hold.drop() == drop && hold.is_live());
        if !waited || live || self.drops[drop].archived.is_some() {
            return false;
        }
        let holds = std::mem::take(&mut self.holds);
        let (here, elsewhere) = holds.into_iter().partition(|(_, hold)| hold.drop() == drop);
        self.holds = elsewhere;
        self.drops[drop].archived = Some(here.into_values().collect());
        self.drops[drop].leaving = true;
        true
    }

    /// Archives all drops that may be, with their holds. Returns the number of drops.
    pub fn archive(&mut self) -> String {
        let archived = (0..self.drops.len()).filter(|drop| self.archive_one(*drop)).count();
        self.drops.iter_mut().for_each(|drop| drop.leaving = false);
        archived.to_string()
    }
}

/// The engine's answer to an update. Checks that the same one repeated has the same answer, and that another one with
/// the same revision is stale.
pub fn engine_updates(engine: &Engine, (drop, act): (usize, &Update), model: &Model, now: Timestamp) -> String {
    // The model has the wanted limits; the other fields are taken from what the engine shows.
    let mut rules = model.drops[drop].rules.clone();
    act.change_rules(&mut rules);
    let id = DROPS[drop];
    let mut command = update(engine, id, now, |wanted| match act {
        Update::Ttl(ttl) => wanted.terms.hold_ttl = Millis(*ttl),
        Update::MaxUnits(_) | Update::Limits(_) => {
            wanted.limits = rules.iter().enumerate().map(|(place, rule)| rule.limit(place)).collect();
        }
        Update::Closes(span) => wanted.schedule.closes_at = Some(now.plus(Millis(*span))),
        Update::Add(units) => {
            if let Some(new) = ITEMS[drop].get(wanted.items.len()) {
                wanted.items.extend(definition(id, &[(new, *units)], &[]).items);
            }
        }
        Update::Plan(plan) => plan.apply(drop, wanted),
    });
    let view = match engine.update_drop(&command, Context::anonymous(now)).map_err(|fault| fault.value) {
        Ok(view) => view.value,
        Err(Fault::Precondition(_)) => return "precondition".to_owned(),
        Err(Fault::Invalid(_)) => return "invalid".to_owned(),
        Err(fault) => return format!("{fault:?}"),
    };
    let again = engine.update_drop(&command, Context::anonymous(now)).expect("sent again").value;
    assert_eq!((again.revision, &again.definition), (view.revision, &view.definition));
    if view.revision > command.revision {
        command.wanted.title.push_str("another");
        assert!(matches!(
            engine.update_drop(&command, Context::anonymous(now)),
            Err(Decided { value: Fault::Stale(_), .. })
        ));
    }
    let shown = engine.view(id, now);
    assert_eq!(shown.revision, view.revision);
    format!("{:?}", view.state)
}
