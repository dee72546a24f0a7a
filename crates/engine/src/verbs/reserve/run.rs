//! Runs of reserves: consecutive reserves of a batch in the same drop.
//!
//! What all of them have in common is done once: locking the registry and the gate, and taking permits from the
//! journal. All memory that they will touch is prefetched: a hold's shard, its place in the index, its customer's
//! stripe and entry. Their cache misses, one after another, would take a good part of a reserve's time.

use std::cell::OnceCell;
use std::sync::Arc;

use smallvec::SmallVec;
use stockade_types::invariant;

use super::{ReserveRequest, ResolvedReserve};
use crate::Engine;
use crate::answer::{Fault, HoldView, Outcome};
use crate::attempt::{Decided, Undecided};
use crate::command::Reserve;
use crate::context::Context;

/// Most reserves of one run: enough for their cache misses to overlap, few enough that the gate is held briefly.
pub(super) const RUN_MAX: usize = 8;

impl Engine {
    /// Decides reserves in one drop, in their order and at one instant, and reports each as it is decided. It stops
    /// before the first reserve that can't be decided at once; the caller must decide that one and all after it
    /// separately.
    ///
    /// # Errors
    /// As [`Engine::reserve`], for the first reserve that was not reported.
    pub fn reserve_run(
        &self,
        commands: &[&Reserve],
        context: Context<'_>,
        mut on_decided: impl FnMut(Decided<&Outcome>),
    ) -> Result<(), Decided<Fault>> {
        let Some(first) = commands.first() else { return Ok(()) };
        let decided = self.inventory.drops.with_id_among(&first.drop, |drop, drop_table| {
            let inner = &drop.read();
            let Context { now, origin } = context.not_before(inner.turned_at);
            let actor = origin.actor;
            let mut resolved: SmallVec<[ResolvedReserve; RUN_MAX]> = SmallVec::new();
            let mut fault = None;
            for command in commands.iter().take_while(|command| command.drop == first.drop) {
                match ResolvedReserve::of(self, &drop.scope, &inner.definition, command) {
                    Ok(request) => resolved.push(request),
                    Err(wrong) => {
                        fault = Some(wrong);
                        break;
                    }
                }
            }
            if resolved.is_empty() {
                return fault.map_or(Ok(()), |fault| Err(fault.into()));
            }
            self.fetch(commands, &resolved);
            let permits = self.journal.permits(u64::try_from(resolved.len()).unwrap_or(u64::MAX))?;
            let mut left = resolved.len();
            // One for all of them: changing its reference count on two cores at once costs more than moving it.
            let mut definition = Arc::clone(&inner.definition);
            for ((command, resolved), permit) in commands.iter().zip(resolved).zip(permits) {
                let request = ReserveRequest {
                    engine: self,
                    command,
                    now,
                    actor,
                    drop,
                    drop_table,
                    inner,
                    resolved,
                    superseded: None,
                    offers: OnceCell::new(),
                    conduct: OnceCell::new(),
                };
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
            // A fault is reported only after all before it are decided; the journal may have had room for fewer.
            fault.filter(|_| left == 0).map_or(Ok(()), |fault| Err(fault.into()))
        });
        decided.unwrap_or_else(|| Err(Fault::NoDrop(first.drop.clone()).into()))
    }

    /// Prefetches what these reserves will touch, step by step: each step reads what the one before has prefetched.
    fn fetch(&self, commands: &[&Reserve], resolved: &[ResolvedReserve]) {
        let inventory = &self.inventory;
        for (command, resolved) in commands.iter().zip(resolved) {
            inventory.holds.fetch_shard(&command.hold);
            resolved.limit_subjects.keys.iter().for_each(|key| inventory.subjects.fetch_stripe(*key));
        }
        for (command, resolved) in commands.iter().zip(resolved) {
            inventory.holds.fetch_place(&command.hold);
            resolved.limit_subjects.keys.iter().for_each(|key| inventory.subjects.fetch_place(*key));
        }
        let keys = || resolved.iter().flat_map(|resolved| &resolved.limit_subjects.keys);
        keys().for_each(|key| inventory.subjects.fetch_entry(*key));
        keys().for_each(|key| inventory.subjects.fetch_sums(*key));
    }
}
