//! Units of a sale that are returned.

use smallvec::SmallVec;
use stockade_types::hold::{Change, HoldLine, HoldState};
use stockade_types::refusal::Reason;

use crate::Engine;
use crate::answer::{Fault, Outcome};
use crate::attempt::Answer;
use crate::command::{Operation, Return, WantedUnits};
use crate::context::Context;
use crate::locked_hold::{LockedHold, ended, known_skus, more_than, place_of};

impl Engine {
    /// Returns units of a sale. The command states the total returned so far; the total never sinks.
    ///
    /// # Errors
    /// [`Fault::NoHold`], [`Fault::Precondition`] for a hold that is not claimed yet, [`Fault::Invalid`] for more units
    /// than were sold, and faults of the journal.
    pub fn return_units(&self, command: &Return, context: Context<'_>) -> Answer<Outcome> {
        let permit = self.journal.permit()?;
        let answer = self.with_locked_hold(&command.target, |own| {
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
                self.change(own, permit, &Change::Returned { at: Some(context.now), totals }, context)?;
            }
            Ok(own.shown())
        });
        self.keep_refused(Operation::Return, &answer, context.now);
        answer
    }
}

/// For each line, the units returned in total after this call, and how many of those were withdrawn.
fn returned_totals(own: &LockedHold<'_, '_>, command: &Return) -> Result<SmallVec<[(u32, u32); 4]>, Fault> {
    let hold = own.hold();
    let sold = |line: &HoldLine| line.quantity.saturating_add(line.returned);
    more_than(own, "returned", &command.returned, sold)?;
    let all: SmallVec<[u32; 4]> = if command.returned.is_empty() {
        hold.lines().iter().map(|line| sold(&line)).collect()
    } else {
        with_more(own, &command.returned)
    };
    let totals = hold.lines().iter().zip(all).map(|(line, returned)| {
        let now_back = returned.saturating_sub(line.returned);
        let withdrawn = if command.restock { line.withdrawn } else { line.withdrawn.saturating_add(now_back) };
        (returned, withdrawn)
    });
    Ok(totals.collect())
}

/// What of each line is returned once these totals are. What comes back in addition to what came before leaves a SKU's
/// last line first; a total never sinks. Lines that name a pool come first, and a line that names none counts what is
/// returned beyond theirs.
fn with_more(own: &LockedHold<'_, '_>, wanted: &[WantedUnits]) -> SmallVec<[u32; 4]> {
    let hold = own.hold();
    let mut returned: SmallVec<[u32; 4]> = hold.lines().iter().map(|line| line.returned).collect();
    for total in wanted {
        let Some((item, pool)) = place_of(own.view, total) else { continue };
        let is_of = |line: &HoldLine| line.item == item && pool.is_none_or(|pool| pool == line.pool);
        let named = |other: &&WantedUnits| pool.is_none() && other.sku == total.sku && other.pool.is_some();
        let named = wanted.iter().filter(named).map(|other| other.units).fold(0, u32::saturating_add);
        let back = hold.lines().iter().zip(&returned).filter(|(line, _)| is_of(line)).map(|(_, units)| *units);
        let before = back.fold(0, u32::saturating_add).saturating_sub(named);
        let mut more = total.units.saturating_sub(before);
        let lines: SmallVec<[HoldLine; 4]> = hold.lines().iter().collect();
        for (line, units) in lines.iter().zip(&mut returned).rev().filter(|(line, _)| is_of(line)) {
            let there = line.quantity.saturating_add(line.returned).saturating_sub(*units).min(more);
            *units = units.saturating_add(there);
            more = more.saturating_sub(there);
        }
    }
    returned
}
