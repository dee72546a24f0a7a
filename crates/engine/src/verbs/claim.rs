//! Claim: a hold becomes a sale.

use smallvec::SmallVec;
use stockade_types::hold::{Change, HoldState};
use stockade_types::refusal::Reason;

use crate::Engine;
use crate::answer::{Fault, HoldView, Outcome, Refusal};
use crate::attempt::{Answer, Chore, Decided, Undecided};
use crate::command::{Claim, ExpiredPolicy, Operation, WantedUnits};
use crate::context::Context;
use crate::locked_hold::{LockedHold, by_line, ended, known_skus, more_than};

impl Engine {
    /// Turns a hold into a sale. A second claim for the same order returns the same answer.
    ///
    /// # Errors
    /// [`Fault::NoHold`], [`Fault::Invalid`] for lines that the hold does not have, and faults of the journal.
    pub fn claim(&self, command: &Claim, context: Context<'_>) -> Answer<Outcome> {
        let now = context.now;
        let answer = self.decide(now, || {
            let permit = self.journal.permit()?;
            self.with_locked_hold(&command.target, |own| {
                known_skus(own.view, "lines", &command.lines)?;
                let Some(permit) = self.expire_if_due(own, permit, now)? else {
                    // Expired by this very call: a late claim is decided by the next attempt.
                    return match command.expired {
                        ExpiredPolicy::Refuse => Ok(own.refused(Reason::HoldExpired)),
                        ExpiredPolicy::TakeFreeStock => Err(Undecided::Retry(Chore::Again)),
                    };
                };
                let hold = own.hold();
                match hold.state {
                    HoldState::Held | HoldState::Paying => {
                        let kept = claimed_lines(own, &command.lines)?;
                        if let Some(reason) = own.slots_of("lines", &command.lines, &kept)? {
                            return Ok(own.refused(reason));
                        }
                        let order_ref = command.order_ref.clone();
                        self.change(own, permit, &Change::Claimed { at: now, order_ref, late: false, kept }, context)?;
                        Ok(own.shown())
                    }
                    HoldState::Expired if command.expired == ExpiredPolicy::TakeFreeStock => {
                        self.claim_late(command, own, permit, context)
                    }
                    HoldState::Claimed if hold.order_ref() == Some(&command.order_ref) => Ok(own.shown()),
                    HoldState::Claimed => Ok(own.refused(Reason::OrderMismatch)),
                    HoldState::Released | HoldState::Expired => {
                        Ok(own.refused(ended(hold).unwrap_or(Reason::HoldReleased)))
                    }
                }
            })
        });
        self.keep_refused(Operation::Claim, &answer, now);
        if let Ok(Decided { value: Outcome::Refused(refusal), .. }) = &answer {
            self.count_late(refusal);
        }
        answer
    }

    /// Counts a claim that was refused after the deadline of its hold.
    #[cold]
    fn count_late(&self, refusal: &Refusal) {
        if let Some(HoldView { hold, .. }) = &refusal.hold
            && hold.state == HoldState::Expired
        {
            self.inventory.drops.with_number(hold.drop, |drop| drop.demand().count_late_refused());
        }
    }
}

/// The units that a claim takes of each line; empty for all units.
pub(crate) fn claimed_lines(own: &LockedHold<'_, '_>, lines: &[WantedUnits]) -> Result<SmallVec<[u32; 4]>, Fault> {
    let hold = own.hold();
    if lines.is_empty() {
        return Ok(SmallVec::new());
    }
    more_than(own, "lines", lines, |line| line.quantity)?;
    let kept = by_line(hold, own.view, lines);
    let all = hold.lines().iter().zip(&kept).all(|(line, kept)| line.quantity == *kept);
    Ok(if all { SmallVec::new() } else { kept })
}
