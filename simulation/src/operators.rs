//! Operators: they change drops and stock, pause and close.

use crate::draw;
use crate::model::says::Said;
use crate::model::stock::{adjusted, steered};
use crate::model::updates::engine_updates;
use crate::simulation::{Checked, Simulation};

impl Simulation {
    pub(crate) fn operate(&mut self) -> Checked {
        match self.dice.below(8) {
            0..=2 => self.adjust(),
            3..=5 => self.update(),
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
        let (drop, update) = (self.dice.place(2), draw::update(&mut self.dice));
        let text = engine_updates(&self.engine(), (drop, &update), &before.seen, self.machine.instant());
        let expected = before.seen.update(drop, &update);
        self.coverage.count("did update");
        let ticket = Some(self.engine().journal().barrier());
        self.operated(&format!("{update:?} of {drop}"), &expected, Said { text, ticket, shown: None })?;
        self.explain(before)
    }

    fn operated(&mut self, what: &str, expected: &str, said: Said) -> Checked {
        self.log(&format!("{what} -> {}", said.text));
        if said.text != expected {
            return self.violated(format!("expected {expected}, was told {}", said.text));
        }
        self.wait_for(said);
        Ok(())
    }
}
