//! Explain: why a hold is as it is, or why a customer was refused.
//!
//! Two steps, since the engine does not read the journal: [`Engine::explain`] finds the holds and the refusals in
//! memory; the caller reads the holds' records, and [`Known::decisions`] puts both into one order.

mod decision;

use std::collections::HashMap;
use std::sync::Arc;

use stockade_types::definition::Definition;
use stockade_types::ids::{CustomerId, DropId, HoldId, Lsn};
use stockade_types::time::Timestamp;

pub use decision::{Decision, DecisionOutcome, Facts, RecordOfHold, RuleName};

use crate::Engine;
use crate::answer::{Fault, HoldView};
use crate::attempt::{Answer, Decided};
use crate::context::Context;
use crate::refusals::{FoundRefusals, KeptRefusal, RefusalsOf};
use crate::verbs::list::HoldFilter;
use crate::verbs::page::Page;

/// The most decisions of an explanation: the newest are shown.
pub const DECISIONS_MAX: usize = 1_000;

/// What is to be explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// One hold, or requests with its id.
    Hold(HoldId),
    /// A customer in a drop.
    Customer {
        /// The drop.
        drop: DropId,
        /// The customer.
        customer: CustomerId,
    },
}

/// What memory knows of a subject.
#[derive(Debug)]
pub struct Known {
    /// The holds, each with its newest state: whose records are to be read.
    pub holds: Vec<HoldView>,
    /// No later refusal is missing.
    pub refusals_since: Timestamp,
    /// Oldest first, each with its drop's definition.
    refusals: Vec<(KeptRefusal, Arc<Definition>)>,
}

impl Engine {
    /// What memory knows of a hold, or of a customer in a drop. Holds that are due are expired first. The answer waits
    /// until all that it is based on is durable. Blocks, as [`Engine::list_holds`] does, for a customer.
    ///
    /// # Errors
    /// [`Fault::NoDrop`]; [`Fault::NoHold`] if neither the hold nor a refusal is known; and faults of the journal.
    pub fn explain(&self, subject: &Subject, context: Context<'_>) -> Answer<Known> {
        let (holds, found) = match subject {
            Subject::Hold(id) => {
                let hold = match self.get_hold(*id, None, context) {
                    Ok(Decided { value, .. }) => Some(value),
                    Err(Decided { value: Fault::NoHold(_), .. }) => None,
                    Err(fault) => return Err(fault),
                };
                (Vec::from_iter(hold), self.refusals.find(RefusalsOf::Hold(*id)))
            }
            Subject::Customer { drop, customer } => {
                let holds = self.holds_of(drop, customer, context)?;
                let of = self.inventory.drops.with_id(drop, |entry| {
                    RefusalsOf::Customer(entry.number, entry.scope.customers(&self.inventory.key).subject(customer))
                });
                let of = of.ok_or_else(|| Fault::NoDrop(drop.clone()))?;
                (holds, self.refusals.find(of))
            }
        };
        let FoundRefusals { refusals, since } = found;
        // Of a drop that is forgotten nothing can be named.
        let refusals: Vec<_> =
            refusals.into_iter().filter_map(|kept| Some((self.definition(kept.drop)?, kept))).collect();
        match subject {
            Subject::Hold(id) if holds.is_empty() && refusals.is_empty() => return Err(Fault::NoHold(*id).into()),
            Subject::Hold(_) | Subject::Customer { .. } => {}
        }
        let refusals = refusals.into_iter().map(|(definition, kept)| (kept, definition)).collect();
        let known = Known { holds, refusals_since: since.max(self.began), refusals };
        Ok(Decided { value: known, durable_after: self.journal.appended() })
    }

    /// The customer's holds that changed last.
    fn holds_of(
        &self,
        drop: &DropId,
        customer: &CustomerId,
        context: Context<'_>,
    ) -> Result<Vec<HoldView>, Decided<Fault>> {
        let filter = HoldFilter { drop: Some(drop.clone()), customer: Some(customer.clone()), ..HoldFilter::default() };
        let (mut holds, mut from) = (Vec::new(), None);
        loop {
            let mut page = Page::new(DECISIONS_MAX, usize::MAX, |view: &HoldView| (view.clone(), 0));
            from = self.list_holds(&filter, from, &mut page, context)?.value;
            holds.extend(page.into_shown());
            // Each has a decision of its own, so older ones would not be shown.
            holds.sort_unstable_by_key(|view: &HoldView| std::cmp::Reverse(view.hold.revision));
            holds.truncate(DECISIONS_MAX);
            if from.is_none() {
                return Ok(holds);
            }
        }
    }
}

impl Known {
    /// What is known and what the journal's records of the holds say, as decisions: oldest first, the holds' records in
    /// their order.
    #[must_use]
    pub fn decisions(self, records: impl IntoIterator<Item = RecordOfHold>) -> Vec<Decision> {
        let Self { holds, refusals_since: _, refusals } = self;
        let known: HashMap<HoldId, &HoldView> = holds.iter().map(|view| (view.hold.id, view)).collect();
        let done = records.into_iter().filter_map(|found| {
            let view = known.get(&found.hold)?;
            Decision::of_record(found, &view.definition)
        });
        let mut decisions: Vec<(Timestamp, Decision)> = Vec::new();
        let image = |view: &HoldView| ((view.hold.id, view.hold.revision), view.clone());
        let mut images: HashMap<(HoldId, Lsn), HoldView> = holds.iter().map(image).collect();
        for decision in done {
            if let DecisionOutcome::Done(view, _) = &decision.outcome {
                images.extend([image(view)]);
            }
            // Two threads may read the clock and take the hold's lock in different orders.
            let latest = decisions.last().map_or(decision.at, |(latest, _)| decision.at.max(*latest));
            decisions.push((latest, decision));
        }
        for (kept, definition) in refusals {
            let mut refusal = kept.refusal(&definition);
            refusal.hold = kept.shown().and_then(|shown| images.get(&shown)).cloned();
            let in_question = kept.shown().map(|(hold, _)| hold);
            let asked = (kept.at, kept.operation.label(), kept.hold);
            decisions.push((kept.at, Decision::of_refusal(asked, in_question, refusal, &definition)));
        }
        // Stable: what was refused at the instant of a change was refused because of it.
        decisions.sort_by_key(|(at, _)| *at);
        decisions.into_iter().map(|(_, decision)| decision).collect()
    }
}
