//! Changes of the drop in a history: what they come to in the model, and that the engine answers them as they should be.

use proptest::prelude::*;
use stockade::definition::{Limit, Scope};
use stockade::engine::Engine;
use stockade::engine::answer::Fault;
use stockade::time::{Millis, Timestamp};

use super::{ITEMS, Model};
use crate::common::{definition, drop_id, update};

/// A change of the drop.
#[derive(Debug, Clone)]
pub enum Update {
    Ttl(u64),
    /// Of the first limit; where there is none, a new one.
    MaxUnits(u32),
    /// So long from now.
    Closes(u64),
    /// An item with so many units, unless all are there.
    Add(u64),
}

pub fn updates() -> impl Strategy<Value = Update> {
    prop_oneof![
        1 => (1_u64..3_000).prop_map(Update::Ttl),
        1 => (0_u32..6).prop_map(Update::MaxUnits),
        1 => (1_u64..20_000).prop_map(Update::Closes),
        2 => (0_u64..7).prop_map(Update::Add),
    ]
}

impl Model {
    pub fn is_closed(&self) -> bool {
        self.closes.is_some_and(|at| at <= self.now)
    }

    pub fn update(&mut self, update: &Update) -> String {
        let closed = self.is_closed();
        let changes = match update {
            Update::Ttl(ttl) => *ttl != self.ttl,
            Update::MaxUnits(max) => self.limits.first().is_none_or(|(_, _, known)| known != max),
            Update::Closes(span) => self.closes != Some(self.now + span),
            Update::Add(_) => self.units.len() < ITEMS.len(),
        };
        if changes && closed {
            return "precondition".to_owned();
        }
        match update {
            Update::Ttl(ttl) => self.ttl = *ttl,
            Update::MaxUnits(max) => match self.limits.first_mut() {
                Some((_, _, known)) => *known = *max,
                None => self.limits.push(("new", Scope::Drop, *max)),
            },
            Update::Closes(span) if changes => self.closes = Some(self.now + span),
            Update::Add(units) if changes => self.units.push(*units),
            Update::Closes(_) | Update::Add(_) => {}
        }
        if self.is_closed() { "Shut" } else { "Open" }.to_owned()
    }
}

/// What the engine says; sent again it must say the same, and another change of the same revision must be stale.
pub fn engine_says(engine: &Engine, act: &Update, now: Timestamp) -> String {
    let mut command = update(engine, "d", now, |wanted| match act {
        Update::Ttl(ttl) => wanted.hold_ttl = Millis(*ttl),
        Update::MaxUnits(max) => {
            if let Some(limit) = wanted.limits.first_mut() {
                limit.max_units = *max;
            } else {
                let id = "new".try_into().expect("an id");
                wanted.limits.push(Limit { id, scope: Scope::Drop, max_units: *max });
            }
        }
        Update::Closes(span) => wanted.closes_at = Some(now.plus(Millis(*span))),
        Update::Add(units) => {
            if let Some(new) = ITEMS.get(wanted.items.len()) {
                wanted.items.extend(definition("d", &[(new, *units)], &[]).items);
            }
        }
    });
    let view = match engine.update_drop(&command, now) {
        Ok((view, _)) => view,
        Err(Fault::Precondition(_)) => return "precondition".to_owned(),
        Err(fault) => return format!("{fault:?}"),
    };
    let (again, _) = engine.update_drop(&command, now).expect("sent again");
    assert_eq!((again.revision, &again.definition), (view.revision, &view.definition));
    if view.revision > command.revision {
        command.wanted.title.push_str("another");
        assert!(matches!(engine.update_drop(&command, now), Err(Fault::Stale(_))));
    }
    let (shown, _) = engine.get_drop(&drop_id("d"), now).expect("the drop");
    assert_eq!(shown.revision, view.revision);
    if view.state == stockade::engine::answer::DropState::Closed { "Shut" } else { "Open" }.to_owned()
}
