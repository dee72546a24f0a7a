//! Units of a sale that are returned.

use smallvec::SmallVec;
use stockade_types::hold::{Change, HoldLine, HoldState};
use stockade_types::refusal::Reason;

use crate::Engine;
use crate::answer::{Fault, Outcome};
use crate::attempt::Answer;
use crate::command::Return;
use crate::context::Context;
use crate::locked_hold::{LockedHold, distributed, ended, known_skus, more_than};

impl Engine {
    /// Returns units of a sale. The command states the total returned so far; the total never sinks.
    ///
    /// # Errors
    /// [`Fault::NoHold`], [`Fault::Precondition`] for a hold that is not claimed yet, [`Fault::Invalid`] for more units
    /// than were sold, and faults of the journal.
    pub fn return_units(&self, command: &Return, context: Context<'_>) -> Answer<Outcome> {
        let permit = self.journal.permit()?;
        self.with_locked_hold(&command.target, |own| {
            known_skus(own.view, "returned", &command.returned)?;
            let Some(permit) = self.expire_if_due(own, permit, context.now)? else {
                return Ok(own.refused(Reason::HoldExpired));
            };
            let hold = own.hold();
            match hold.state {
                HoldState::Claimed => {}
                HoldState::Held | HoldState::Paying => {
                    let what = format!("hold {} is not claimed: release it instead", hold.id);
                    return Err(own.decided(Fault::Precondition(what)));
                }
                HoldState::Released | HoldState::Expired => {
                    return Ok(own.refused(ended(hold).unwrap_or(Reason::HoldReleased)));
                }
            }
            let totals = returned_totals(own, command)?;
            if hold.lines().iter().zip(&totals).any(|(line, (returned, _))| line.returned != *returned) {
                self.change(own, permit, &Change::Returned { totals }, context)?;
            }
            Ok(own.shown())
        })
    }
}

/// For each line, the units returned in total after this call, and how many of those were withdrawn.
fn returned_totals(own: &LockedHold<'_, '_>, command: &Return) -> Result<SmallVec<[(u32, u32); 4]>, Fault> {
    let hold = own.hold();
    let sold = |line: &HoldLine| line.quantity.saturating_add(line.returned);
    more_than(own, "returned", &command.returned, sold)?;
    let asked = if command.returned.is_empty() {
        hold.lines().iter().map(|line| sold(&line)).collect()
    } else {
        distributed(hold, own.view, &command.returned, sold)
    };
    let totals = hold.lines().iter().zip(asked).map(|(line, asked)| {
        let returned = asked.max(line.returned); // it never sinks
        let now_back = returned.saturating_sub(line.returned);
        let withdrawn = if command.restock { line.withdrawn } else { line.withdrawn.saturating_add(now_back) };
        (returned, withdrawn)
    });
    Ok(totals.collect())
}
