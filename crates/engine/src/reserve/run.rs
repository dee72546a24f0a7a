//! Reserves that came together, one after another in the same drop: a stretch of a batch.
//!
//! What each of them would do by itself and all have in common is done once: passing registry and gate, and asking the
//! journal for room. And since it is known what comes next, what all of them will touch is fetched into the cache ahead: a
//! hold's shard, its place in the index, its customer's stripe and entry are somewhere in memory, and waited for one
//! after the other they take a good part of a reserve's time.

use std::sync::Arc;

use smallvec::SmallVec;
use stockade_types::invariant;

use super::{Asked, Request};
use crate::Engine;
use crate::answer::{Fault, HoldView, Outcome};
use crate::attempt::{Decided, Undecided};
use crate::command::Reserve;
use crate::context::Context;

/// Most reserves of one run: enough for their misses to overlap, few enough that nobody waits long at the gate.
pub const MOST_IN_RUN: usize = 8;

impl Engine {
    /// Decides reserves in one drop, in their order and at one instant, and reports each as it is decided. Ends before one
    /// that can't be decided at once; that one, and what comes after it, is to be asked for by itself.
    ///
    /// # Errors
    /// As [`Engine::reserve`], for the one behind those that were decided.
    pub fn reserve_run(
        &self,
        commands: &[&Reserve],
        context: Context<'_>,
        mut on_decided: impl FnMut(Decided<&Outcome>),
    ) -> Result<(), Decided<Fault>> {
        let Some(first) = commands.first() else { return Ok(()) };
        let decided = self.inventory.drops.with_id_among(&first.drop, |drop, roster| {
            let running = &drop.running();
            let Context { now, origin } = context.not_before(running.turned_at);
            let actor = origin.actor;
            let mut asked: SmallVec<[Asked; MOST_IN_RUN]> = SmallVec::new();
            let mut fault = None;
            for command in commands.iter().take_while(|command| command.drop == first.drop) {
                match Asked::of(self, &drop.scope, &running.definition, command) {
                    Ok(request) => asked.push(request),
                    Err(wrong) => {
                        fault = Some(wrong);
                        break;
                    }
                }
            }
            if asked.is_empty() {
                return fault.map_or(Ok(()), |fault| Err(fault.into()));
            }
            self.fetch(commands, &asked);
            let permits = self.journal.permits(u64::try_from(asked.len()).unwrap_or(u64::MAX))?;
            let mut left = asked.len();
            // One for all of them: counting who has it, on two cores at once, costs more than a look at it.
            let mut definition = Arc::clone(&running.definition);
            for ((command, asked), permit) in commands.iter().zip(asked).zip(permits) {
                let request = Request { engine: self, command, now, actor, drop, roster, running, asked, old: None };
                let Decided { value, durable_after } = match request.decide(permit) {
                    Ok(reserved) => reserved,
                    Err(Undecided::Fault(fault)) => return Err(fault),
                    Err(Undecided::Retry(_) | Undecided::InDoubt) => return Ok(()),
                };
                left = left.saturating_sub(1);
                match value {
                    Outcome::Hold(hold) => {
                        let outcome = Outcome::Hold(HoldView { hold, definition });
                        on_decided(Decided { value: &outcome, durable_after });
                        invariant!(let Outcome::Hold(view) = outcome, "a hold that was made is another outcome");
                        definition = view.definition;
                    }
                    Outcome::Refused(refusal) => {
                        on_decided(Decided { value: &Outcome::Refused(refusal), durable_after });
                    }
                }
            }
            // The faulty one stands behind those that the journal had no room for.
            fault.filter(|_| left == 0).map_or(Ok(()), |fault| Err(fault.into()))
        });
        decided.unwrap_or_else(|| Err(Fault::NoDrop(first.drop.clone()).into()))
    }

    /// Has fetched what these will touch, step by step: what a step reads the one before has asked for.
    fn fetch(&self, commands: &[&Reserve], asked: &[Asked]) {
        let inventory = &self.inventory;
        for (command, asked) in commands.iter().zip(asked) {
            inventory.holds.fetch_shard(&command.hold);
            asked.counted.keys.iter().for_each(|key| inventory.subjects.fetch_stripe(*key));
        }
        for (command, asked) in commands.iter().zip(asked) {
            inventory.holds.fetch_place(&command.hold);
            asked.counted.keys.iter().for_each(|key| inventory.subjects.fetch_place(*key));
        }
        let keys = || asked.iter().flat_map(|asked| &asked.counted.keys);
        keys().for_each(|key| inventory.subjects.fetch_entry(*key));
        keys().for_each(|key| inventory.subjects.fetch_sums(*key));
    }
}
