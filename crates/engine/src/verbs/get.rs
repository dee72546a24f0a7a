//! Reading one hold.

use stockade_types::ids::{DropId, HoldId};

use crate::Engine;
use crate::answer::HoldView;
use crate::attempt::Answer;
use crate::command::Target;
use crate::context::Context;

impl Engine {
    /// One hold, live or ended, as long as it is remembered. If it is due, it is expired first: no answer shows it as
    /// expired before that record is durable.
    ///
    /// # Errors
    /// [`Fault::NoHold`](crate::answer::Fault), and faults of the journal.
    pub fn get_hold(&self, hold: HoldId, drop: Option<&DropId>, context: Context<'_>) -> Answer<HoldView> {
        let target = Target { hold, drop: drop.cloned(), customer: None };
        self.with_locked_hold(&target, |own| {
            if own.hold().is_due(context.now) {
                let _expired = self.expire_if_due(own, self.journal.permit()?, context.now)?;
            }
            Ok(own.decided(own.show()))
        })
    }
}
