//! Pausing, resuming and closing a drop.

use stockade_types::ids::DropId;
use stockade_types::record::{Closed, DropVerb, Lifecycle};

use super::view::show_drop;
use crate::Engine;
use crate::answer::{DropView, Fault};
use crate::attempt::{Answer, Decided};
use crate::command::Steer;
use crate::context::Context;
use crate::operators::turn::fact;

impl Engine {
    /// Pauses, resumes or closes a drop. If it is in that state already, no record is written. Live holds are left
    /// alone. What has changed of the stock is made known before the closing.
    ///
    /// # Errors
    /// [`Fault::NoDrop`], [`Fault::Precondition`] when a closed drop would be paused or resumed, and faults of the
    /// journal.
    pub fn steer(&self, id: &DropId, steer: Steer, context: Context<'_>) -> Answer<DropView> {
        let steered = self.inventory.drops.with_id(id, |entry| {
            let mut inner = entry.write();
            let Context { now, origin } = context.not_before(inner.turned_at);
            self.turn_in(entry, &mut inner, now)?;
            let closed = inner.state().is_over();
            let mut permit = None;
            if steer == Steer::Close && inner.is_on_sale() {
                // Of a closed drop nothing is made known any more.
                permit = Some(self.make_last_known(self.journal.permit()?, (entry, &mut inner), now)?);
            }
            let is = inner.lifecycle.clone();
            let (verb, wanted) = match steer {
                Steer::Pause | Steer::Resume if closed => {
                    let what = format!("drop {id} is closed: it can't be paused or resumed");
                    return Err(Decided { value: Fault::Precondition(what), durable_after: inner.durable_after() });
                }
                Steer::Pause => (DropVerb::Pause, Lifecycle { paused: true, ..is.clone() }),
                Steer::Resume => (DropVerb::Resume, Lifecycle { paused: false, ..is.clone() }),
                Steer::Close if closed => (DropVerb::Close, is.clone()),
                Steer::Close => {
                    let closed = Some(Closed { at: now, by_hand: true });
                    (DropVerb::Close, Lifecycle { closed, ..is.clone() })
                }
            };
            if wanted != is {
                let fact = fact(entry, &inner, verb, (wanted, origin.clone()), now);
                let permit = permit.map_or_else(|| self.journal.permit(), Ok)?;
                self.commit_fact(permit, (entry, &mut inner), fact, now)?;
                self.inventory.series_looks.drop_changed();
            }
            Ok(show_drop(entry, &inner))
        });
        steered.unwrap_or_else(|| Err(Fault::NoDrop(id.clone()).into()))
    }
}
