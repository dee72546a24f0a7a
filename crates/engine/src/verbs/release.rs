//! Release: units of a hold go back before its deadline.

use stockade_types::hold::{Change, HoldState};
use stockade_types::refusal::Reason;

use crate::Engine;
use crate::answer::Outcome;
use crate::attempt::Answer;
use crate::command::{Operation, Release};
use crate::context::Context;
use crate::locked_hold::{by_line, ended, known_skus};

impl Engine {
    /// Gives back all units but those to keep. A release never adds units, so it can be sent twice. A hold in payment
    /// is refused unless the payment is abandoned.
    ///
    /// # Errors
    /// [`Fault::NoHold`](crate::answer::Fault), [`Fault::Invalid`](crate::answer::Fault) for a SKU that the drop does
    /// not have, and faults of the journal.
    pub fn release(&self, command: &Release, context: Context<'_>) -> Answer<Outcome> {
        let permit = self.journal.permit()?;
        let answer = self.with_locked_hold(&command.target, |own| {
            known_skus(own.view, "keep", &command.keep)?;
            let Some(permit) = self.expire_if_due(own, permit, context.now)? else {
                return Ok(own.refused(Reason::HoldExpired));
            };
            let hold = own.hold();
            match hold.state {
                HoldState::Held => {}
                HoldState::Paying if command.abandon_payment => {}
                HoldState::Paying => return Ok(own.refused(Reason::PaymentInProgress)),
                // No units are left, so none could be kept: the same answer as the first time.
                HoldState::Released if hold.superseded_by().is_none() => return Ok(own.shown()),
                HoldState::Claimed | HoldState::Released | HoldState::Expired => {
                    return Ok(own.refused(ended(hold).unwrap_or(Reason::HoldReleased)));
                }
            }
            let mut kept = by_line(hold, own.view, &command.keep);
            if hold.lines().iter().zip(&kept).all(|(line, kept)| line.quantity == *kept) {
                return Ok(own.shown());
            }
            if let Some(reason) = own.slots_of("keep", &command.keep, &kept)? {
                return Ok(own.refused(reason));
            }
            if kept.iter().all(|units| *units == 0) {
                kept.clear();
            }
            self.change(own, permit, &Change::Released { at: context.now, kept }, context)?;
            Ok(own.shown())
        });
        self.keep_refused(Operation::Release, &answer, context.now);
        answer
    }
}
