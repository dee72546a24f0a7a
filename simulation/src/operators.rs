//! Operators: they change drops and stock, pause and close.

use crate::draw;
use crate::model::marks::fired;
use crate::model::says::Said;
use crate::model::stock::{adjusted, steered};
use crate::model::updates::{Update, engine_updates};
use crate::simulation::{Checked, Simulation};

impl Simulation {
    pub(crate) fn operate(&mut self) -> Checked {
        match self.dice.below(9) {
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

    fn steer(&mut self) -> Checked {
        let mut before = self.before();
        let (drop, steer) = (self.dice.place(2), draw::steer(&mut self.dice));
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
            before.halfway = Some(before.seen.clone());
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

    fn operated(&mut self, what: &str, expected: &str, said: Said) -> Checked {
        self.log(&format!("{what} -> {}", said.text));
        if said.text != expected {
            return self.violated(format!("expected {expected}, got {}", said.text));
        }
        self.wait_for(said);
        Ok(())
    }
}
