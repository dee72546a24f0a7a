//! Enters the facts of a record: into their table, and into the subjects whose conduct they tell of.

use stockade_types::hold::{Hold, HoldState};
use stockade_types::ids::{Lsn, OrderKey, OrderRef, SubjectKey};
use stockade_types::record::{Fact, FactKind, Facts, FactsImage};

use super::FactTable;
use crate::inventory::{DropScope, Inventory};

impl Inventory {
    /// Applies a record of facts, whose table is locked.
    pub(in crate::inventory) fn enter_facts(&self, table: &mut FactTable, lsn: Lsn, facts: &Facts) {
        self.load_facts(table, lsn, facts);
        for fact in &facts.facts {
            self.recheck_return(fact);
        }
    }

    /// The same for a start, which looks at the holds of returned orders at its end.
    pub(in crate::inventory) fn load_facts(&self, table: &mut FactTable, lsn: Lsn, facts: &Facts) {
        table.apply(lsn, facts, |drop| self.drops.with_number(drop, |_| ()).is_some());
        for fact in &facts.facts {
            self.enter_conduct(fact);
        }
    }

    fn enter_conduct(&self, fact: &Fact) {
        let Fact { kind, time, shop, order, subjects, holds, .. } = fact;
        let Some(order) = order.as_ref().filter(|_| !subjects.is_empty()) else { return };
        let order = self.key.order(shop, order).with_hold(!holds.is_empty());
        for key in subjects {
            self.subjects.with_one(*key, |subject| subject.enter_fact(*kind, *time, order));
        }
    }

    /// If `ReturnUnits` was called for an order while the fact that it was returned was entered, the fact does not
    /// count. Called after it was entered: a call that comes now takes it out itself.
    fn recheck_return(&self, fact: &Fact) {
        let Fact { kind, shop, order, subjects, holds, .. } = fact;
        if *kind != FactKind::Returned {
            return;
        }
        let Some(order) = order else { return };
        for hold in holds {
            let is_returned = self.holds.with_id(hold, |shard| {
                let hold = shard.find(hold).and_then(|place| shard.get(place));
                hold.is_some_and(|hold| returned_order(hold).is_some_and(|known| known == order))
            });
            if is_returned {
                let order = self.key.order(shop, order);
                self.forget_fact_returns_of(subjects, order);
            }
        }
    }

    /// Forgets what facts told of drops that are not remembered.
    pub fn forget_unknown_facts(&self) {
        self.facts.lock().keep_drops(|drop| self.drops.with_number(drop, |_| ()).is_some());
    }

    /// The order of a hold of which units came back by `ReturnUnits`.
    pub(in crate::inventory) fn returned_order(&self, scope: &DropScope, hold: &Hold) -> Option<OrderKey> {
        returned_order(hold).map(|order| self.key.order(&scope.shop, order))
    }

    /// An order of these subjects counts as returned by its hold, and not by facts.
    pub(in crate::inventory) fn forget_fact_returns_of(&self, subjects: &[SubjectKey], order: OrderKey) {
        for key in subjects {
            self.subjects.with_one(*key, |subject| subject.forget_fact_return(order));
        }
    }

    /// Restores a part of what is kept of facts from a snapshot.
    pub(in crate::inventory) fn restore_facts(&self, image: &FactsImage) {
        if let FactsImage::Conduct(subject, conduct) = image {
            self.subjects.with_one(*subject, |subject| subject.restore_facts(conduct));
        } else {
            self.facts.lock().restore(image);
        }
    }
}

fn returned_order(hold: &Hold) -> Option<&OrderRef> {
    if hold.state == HoldState::Claimed { hold.conduct_at().and(hold.order_ref()) } else { None }
}
