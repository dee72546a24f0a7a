//! The verbs of a sale: claim, also after the deadline, and units that are returned after it.

use smallvec::SmallVec;
use stockade_counter::stock::{Certainty, Taken};
use stockade_journal::Permit;
use stockade_types::hold::{Change, HoldLine, HoldState};
use stockade_types::ids::ItemNo;
use stockade_types::record::{HoldChange, Record};
use stockade_types::refusal::Reason;
use stockade_types::time::{Millis, Timestamp};

use super::answer::{Fault, InvalidField, LimitHit, Outcome, Refusal, RefusedLine};
use super::attempt::{Answer, Attempt, Chore, Decided, Undecided};
use super::command::{Claim, ExpiredPolicy, Return, WantedUnits};
use super::commit::Prepared;
use super::context::Context;
use super::hold_verbs::{by_line, ended, known_skus};
use super::limits::{late_limits, limit_hit};
use super::{Engine, LockedHold};
use crate::inventory::{Availability, Locked, LockedSubjects, Violations};

/// Units taken, one guard for each line.
type Units<'d> = SmallVec<[Taken<'d>; 4]>;
/// Lines that can't be served: item, units requested, units available.
type RefusedItems = SmallVec<[(ItemNo, u32, u32); 4]>;

impl Engine {
    /// Turns a hold into a sale. A second claim for the same order returns the same answer.
    ///
    /// # Errors
    /// [`Fault::NoHold`], [`Fault::Invalid`] for lines that the hold does not have, and faults of the journal.
    pub fn claim(&self, command: &Claim, context: Context<'_>) -> Answer<Outcome> {
        let now = context.now;
        self.decide(now, || {
            let permit = self.journal.permit()?;
            self.with_own(&command.target, |own| {
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
        })
    }

    /// Returns units of a sale. The command states the total returned so far; the total never sinks.
    ///
    /// # Errors
    /// [`Fault::NoHold`], [`Fault::Precondition`] for a hold that is not claimed yet, [`Fault::Invalid`] for more units
    /// than were sold, and faults of the journal.
    pub fn return_units(&self, command: &Return, context: Context<'_>) -> Answer<Outcome> {
        let permit = self.journal.permit()?;
        self.with_own(&command.target, |own| {
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

    /// Claims an expired hold from units that are free now, with limits checked again: all that is asked for, or
    /// nothing.
    fn claim_late(
        &self,
        command: &Claim,
        own: &mut LockedHold<'_, '_>,
        permit: Permit<'_>,
        context: Context<'_>,
    ) -> Attempt<Decided<Outcome>> {
        let now = context.now;
        let kept = claimed_lines(own, &command.lines)?;
        let hold = own.hold();
        let lines: SmallVec<[HoldLine; 4]> = hold
            .lines()
            .iter()
            .enumerate()
            .map(|(place, line)| HoldLine { quantity: kept.get(place).copied().unwrap_or(line.quantity), ..line })
            .filter(|line| line.quantity > 0)
            .collect();
        let wanted = by_item(&lines);
        let keys = self.inventory.subjects_of(&own.drop.scope, hold);
        self.inventory.subjects.with(&keys, |subjects| {
            let violations = late_limits(own, &wanted, subjects, now)?;
            if !violations.is_empty() {
                return Ok(late_limited(own, &wanted, &violations, now));
            }
            let taken = match late_take(own, &lines, now)? {
                Ok(taken) => taken,
                Err(refused) => return Ok(refused),
            };
            let change = Change::Claimed { at: now, order_ref: command.order_ref.clone(), late: true, kept };
            let record = Record::Changed(HoldChange::of(own.hold(), &change, now, context.actor()));
            let subjects = Some(LockedSubjects { keys: &keys, subjects });
            let locked = Locked::Hold(own.drop, (own.shard, own.place), subjects);
            self.commit(record, Prepared { permit, locked, taken }, now)?;
            Ok(own.shown())
        })
    }
}

fn late_limited(
    own: &LockedHold<'_, '_>,
    wanted: &[(ItemNo, u32)],
    violations: &Violations<'_>,
    now: Timestamp,
) -> Decided<Outcome> {
    let left = |item: ItemNo| violations.line(item).map(|line| line.left);
    let refused: RefusedItems = wanted.iter().filter_map(|(item, units)| Some((*item, *units, left(*item)?))).collect();
    let (limit, retry_after) = violations.reported.as_ref().map(|violation| limit_hit(violation, now)).unzip();
    late_refusal(own, Reason::LimitReached, &refused, (limit, retry_after.flatten()), false)
}

/// Takes every line's units from the line's own pool, or returns a refusal that names every item that is short.
fn late_take<'d>(
    own: &LockedHold<'d, '_>,
    lines: &[HoldLine],
    now: Timestamp,
) -> Attempt<Result<Units<'d>, Decided<Outcome>>> {
    let certainty = if lines.len() == 1 { Certainty::Certain } else { Certainty::Doubtful };
    let mut taken = Units::new();
    let mut there: SmallVec<[(ItemNo, u32); 4]> = SmallVec::new();
    let mut may_come_back = true;
    for line in lines {
        let pool = own.drop.pool_of(line);
        match pool.take(u64::from(line.quantity), certainty, now) {
            Availability::Yes(units) => {
                taken.push(units);
                there.push((line.item, line.quantity));
            }
            Availability::Short { free } => {
                may_come_back &= pool.may_have_more(free);
                there.push((line.item, u32::try_from(free).unwrap_or(u32::MAX).min(line.quantity)));
            }
            Availability::InDoubt => return Err(Undecided::InDoubt),
            Availability::SweepDue => {
                return Err(Undecided::Retry(Chore::SweepItem(own.drop.number, line.item)));
            }
        }
    }
    if taken.len() == lines.len() {
        return Ok(Ok(taken));
    }
    drop(taken); // the guards give back what was taken
    let there = summed(there);
    let available = |item| there.iter().find(|(known, _)| *known == item).map_or(0, |(_, units)| *units);
    let wanted = by_item(lines).into_iter().map(|(item, units)| (item, units, available(item)));
    let short: RefusedItems = wanted.filter(|(_, units, there)| there < units).collect();
    Ok(Err(late_refusal(own, Reason::SoldOut, &short, (None, None), may_come_back)))
}

fn late_refusal(
    own: &LockedHold<'_, '_>,
    reason: Reason,
    lines: &[(ItemNo, u32, u32)],
    (limit, retry_after): (Option<LimitHit>, Option<Millis>),
    may_come_back: bool,
) -> Decided<Outcome> {
    let lines: Vec<RefusedLine> = lines
        .iter()
        .map(|(item, requested, available)| RefusedLine {
            sku: own.view.sku(*item).clone(),
            reason,
            requested: *requested,
            available: *available,
        })
        .collect();
    own.drop.count_refusal(reason);
    let sku = lines.first().map(|line| line.sku.clone());
    let refusal = Refusal { reason, sku, retry_after, may_come_back, lines, limit, hold: Some(own.show()) };
    own.decided(Outcome::Refused(Box::new(refusal)))
}

/// The units that a claim takes of each line; empty for all units.
fn claimed_lines(own: &LockedHold<'_, '_>, lines: &[WantedUnits]) -> Result<SmallVec<[u32; 4]>, Fault> {
    let hold = own.hold();
    if lines.is_empty() {
        return Ok(SmallVec::new());
    }
    let has = |item| -> u32 { hold.lines().iter().filter(|line| line.item == item).map(|line| line.quantity).sum() };
    more_than(own, "lines", lines, has)?;
    let kept = by_line(hold, own.view, lines);
    let all = hold.lines().iter().zip(&kept).all(|(line, kept)| line.quantity == *kept);
    Ok(if all { SmallVec::new() } else { kept })
}

/// For each line, the units returned in total after this call, and how many of those were withdrawn.
fn returned_totals(own: &LockedHold<'_, '_>, command: &Return) -> Result<SmallVec<[(u32, u32); 4]>, Fault> {
    let hold = own.hold();
    let sold = |line: &HoldLine| line.quantity.saturating_add(line.returned);
    let of_item = |item| -> u32 { hold.lines().iter().filter(|line| line.item == item).map(|line| sold(&line)).sum() };
    more_than(own, "returned", &command.returned, of_item)?;
    let all = command.returned.is_empty();
    let mut left: SmallVec<[(ItemNo, u32); 4]> =
        command.returned.iter().filter_map(|wanted| Some((own.view.item(&wanted.sku)?.0, wanted.units))).collect();
    let totals = hold.lines().iter().map(|line| {
        let asked = if all {
            sold(&line)
        } else {
            left.iter_mut().find(|(item, _)| *item == line.item).map_or(0, |(_, left)| {
                let here = sold(&line).min(*left);
                *left = left.saturating_sub(here);
                here
            })
        };
        let returned = asked.max(line.returned); // it never sinks
        let now_back = returned.saturating_sub(line.returned);
        let withdrawn = if command.restock { line.withdrawn } else { line.withdrawn.saturating_add(now_back) };
        (returned, withdrawn)
    });
    Ok(totals.collect())
}

/// Fails with every line that asks for more units than the hold has.
fn more_than(
    own: &LockedHold<'_, '_>,
    field: &str,
    wanted: &[WantedUnits],
    has: impl Fn(ItemNo) -> u32,
) -> Result<(), Fault> {
    let too_many: Vec<InvalidField> = wanted
        .iter()
        .filter_map(|wanted| {
            let most = has(own.view.item(&wanted.sku)?.0);
            (wanted.units > most).then(|| InvalidField {
                field: format!("{field}[{}].quantity", wanted.place),
                description: format!("the hold has {most} units of {:?}", wanted.sku.as_str()),
            })
        })
        .collect();
    if too_many.is_empty() { Ok(()) } else { Err(Fault::Invalid(too_many)) }
}

fn by_item(lines: &[HoldLine]) -> SmallVec<[(ItemNo, u32); 4]> {
    summed(lines.iter().map(|line| (line.item, line.quantity)))
}

/// The units of each item, summed over its lines.
fn summed(lines: impl IntoIterator<Item = (ItemNo, u32)>) -> SmallVec<[(ItemNo, u32); 4]> {
    let mut items: SmallVec<[(ItemNo, u32); 4]> = SmallVec::new();
    for (of, more) in lines {
        match items.iter_mut().find(|(item, _)| *item == of) {
            Some((_, units)) => *units = units.saturating_add(more),
            None => items.push((of, more)),
        }
    }
    items
}
