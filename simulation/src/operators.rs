//! Operators: they change drops and stock, pause and close.

use std::sync::Arc;

use stockade_engine::command::Steer;
use stockade_engine::context::Context;
use stockade_feed::{Feed, FeedError, HistoryError};

use crate::draw;
use crate::model::marks::fired;
use crate::model::says::Said;
use crate::model::state::Model;
use crate::model::stock::{Reconcile, adjusted, reconcile_command, reconciled, steered};
use crate::model::updates::{Update, engine_updates};
use crate::reconcile;
use crate::simulation::{Checked, Simulation};

impl Simulation {
    pub(crate) fn operate(&mut self) -> Checked {
        match self.dice.below(14) {
            11..=13 => self.define(),
            9..=10 => self.reconcile(),
            0..=2 => self.adjust(),
            3..=5 => self.update(),
            6 => self.fire_flow(),
            _ => self.steer(),
        }
    }

    fn adjust(&mut self) -> Checked {
        let mut before = self.before();
        let adjust = draw::adjust(&mut self.dice, &before.seen);
        let expected = before.seen.adjust(&adjust);
        let said = adjusted(&self.engine(), &adjust, self.machine.instant());
        self.coverage.count("did adjust");
        self.coverage.count(&format!("adjusted {}", said.text.to_lowercase()));
        self.operated(&format!("{adjust:?}"), &expected, said)?;
        self.explain(before)
    }

    /// A system of record that has taken in what happened up to some record says what it has on hand; or the same once
    /// more.
    fn reconcile(&mut self) -> Checked {
        let history = self.engine().history().expect("a folder that keeps something");
        let Ok(oldest) = history.oldest() else { return Ok(()) };
        let records = (self.history.first().max(oldest.0.saturating_sub(1)), self.history.last());
        if records.0 > records.1 || self.options.plant.is_some() {
            return Ok(());
        }
        let seen = self.seen();
        let mut ask = draw::reconcile(&mut self.dice, &seen, records);
        match &self.reconciled {
            Some(before) if self.dice.percent(20) && (records.0..=records.1).contains(&before.as_of) => {
                ask = before.clone();
                self.coverage.count("did reconcile again");
            }
            _ => {
                let should_have = seen.should_have(self.model_at(&ask), &ask) + 3;
                ask.on_hand = u64::try_from(should_have).unwrap_or(0).saturating_sub(self.dice.below(7));
                self.reconciled = Some(ask.clone());
            }
        }
        let command = reconcile_command(&ask);
        let mut expected = None;
        loop {
            self.make_moments()?;
            let (engine, mut before) = (self.engine(), self.before());
            let answer = engine.reconcile_stock(&command, expected, Context::anonymous(self.machine.instant()));
            let counted = match reconciled(&engine, answer) {
                Ok(said) => {
                    let wanted = before.seen.reconcile(self.model_at(&ask), &ask);
                    self.coverage.count("did reconcile");
                    self.operated(&format!("{ask:?}"), &wanted, said)?;
                    return self.explain(before);
                }
                Err(counted) => counted,
            };
            self.explain(before)?;
            self.between_count_and_comparison()?;
            if self.doom.is_some() {
                return Ok(());
            }
            expected = match reconcile::expected(&Feed::new(Arc::clone(&history), |_| None), command.as_of, &counted) {
                Ok(expected) => Some(expected),
                // It was dropped meanwhile.
                Err(FeedError::History(HistoryError::NotKept { .. }) | FeedError::Unknown(_)) => return Ok(()),
                Err(error) => return self.violated(format!("what moved since {} is not known: {error:?}", ask.as_of)),
            };
        }
    }

    /// The model at the record that a count is of, or at the one that made its item.
    fn model_at(&self, ask: &Reconcile) -> &Model {
        let has_item = |lsn: &u64| self.history.at(*lsn).is_some_and(|at| at.model.has_item(ask.drop, ask.item));
        let at = (ask.as_of..=self.history.last()).find(has_item).and_then(|lsn| self.history.at(lsn));
        at.map_or(&self.truth, |at| &at.model)
    }

    /// Others are served, and what the count waits for is forced to the disk.
    fn between_count_and_comparison(&mut self) -> Checked {
        let nested = std::mem::replace(&mut self.nested, true);
        let steps = self.dice.below(4);
        let served = self.meanwhile(steps);
        self.nested = nested;
        served?;
        while self.doom.is_none() && self.engine().journal().durable() < self.engine().journal().appended() {
            self.turn()?;
        }
        if self.doom.is_none() {
            self.force();
        }
        Ok(())
    }

    fn steer(&mut self) -> Checked {
        let mut before = self.before();
        let (drop, steer) = (self.dice.place(2), draw::steer(&mut self.dice));
        // Units of holds that are due and not given back are not free yet.
        let changes = Model { now: before.seen.now, ..self.truth.clone() }.last_changes(drop);
        if steer == Steer::Close && !changes.is_empty() {
            before.seen.make_known(drop, &changes);
            before.earlier.push(before.seen.clone());
            self.coverage.count("made known: before a closing by hand");
            self.made_known(drop, &changes);
        }
        let expected = before.seen.steer(drop, steer);
        let said = steered(&self.engine(), drop, steer, self.machine.instant());
        self.coverage.count("did steer");
        self.operated(&format!("{steer:?} {drop}"), &expected, said)?;
        self.explain(before)
    }

    fn update(&mut self) -> Checked {
        let mut before = self.before();
        let drop = self.dice.place(2);
        let update = draw::update(&mut self.dice, &before.seen.drops[drop]);
        let text = engine_updates(&self.engine(), (drop, &update), &before.seen, self.machine.instant());
        let expected = before.seen.update(drop, &update);
        self.coverage.count("did update");
        if matches!(update, Update::Plan(_)) {
            let refused = if expected.starts_with(char::is_lowercase) { &expected } else { "made" };
            self.coverage.count(&format!("update of rules {refused}"));
        }
        if before.seen.next_due().is_some() {
            // What is due by the change fires with it.
            before.earlier.push(before.seen.clone());
            before.seen.turn_all();
            self.coverage.count("fired by an update");
        }
        let ticket = Some(self.engine().journal().barrier());
        self.operated(&format!("{update:?} of {drop}"), &expected, Said { text, ticket, shown: None })?;
        self.explain(before)
    }

    fn fire_flow(&mut self) -> Checked {
        let mut before = self.before();
        let drop = self.dice.place(2);
        let flows = before.seen.drops[drop].plan.flows();
        let (from, to) = match flows.len() {
            0 => ((0, 0), 1),
            some => {
                let (from, to, _) = &flows[self.dice.place(some)];
                if self.dice.percent(95) { (*from, *to) } else { (*from, from.1) }
            }
        };
        let expected = before.seen.fire_flow(drop, from, to);
        let said = fired(&self.engine(), drop, from, to, self.machine.instant());
        if before.seen != before.was {
            self.coverage.count("did fire a flow by hand");
        }
        self.operated(&format!("flow of {drop} from {from:?} to {to}"), &expected, said)?;
        self.explain(before)
    }

    pub(crate) fn operated(&mut self, what: &str, expected: &str, said: Said) -> Checked {
        self.log(&format!("{what} -> {}", said.text));
        if said.text != expected {
            return self.violated(format!("expected {expected}, got {}", said.text));
        }
        self.wait_for(said);
        Ok(())
    }
}
