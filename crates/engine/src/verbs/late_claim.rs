//! A claim after the deadline, from units that are free.

use smallvec::SmallVec;
use stockade_counter::stock::{Certainty, Taken};
use stockade_journal::Permit;
use stockade_types::hold::{Change, HoldLine};
use stockade_types::ids::ItemNo;
use stockade_types::record::{HoldChange, Record};
use stockade_types::refusal::{Reason, Rule};
use stockade_types::time::{Millis, Timestamp};

use crate::Engine;
use crate::answer::{LimitHit, Outcome, Refusal, RefusedLine};
use crate::attempt::{Attempt, Chore, Decided, Undecided};
use crate::command::Claim;
use crate::commit::Prepared;
use crate::context::Context;
use crate::locked_hold::LockedHold;
use crate::verbs::reserve::limits::{late_limits, limit_hit};

use super::claim::claimed_lines;
use crate::inventory::totals::HoldCount;
use crate::inventory::{Availability, Locked, LockedSubjects, Violations};

/// Units taken, one guard for each line.
type Units<'d> = SmallVec<[Taken<'d>; 4]>;
/// Lines that can't be served: item, units requested, units available.
type RefusedItems = SmallVec<[(ItemNo, u32, u32); 4]>;

impl Engine {
    /// Claims an expired hold from units that are free now, with limits checked again: all that is asked for, or
    /// nothing.
    pub(crate) fn claim_late(
        &self,
        command: &Claim,
        own: &mut LockedHold<'_, '_>,
        permit: Permit<'_>,
        context: Context<'_>,
    ) -> Attempt<Decided<Outcome>> {
        let now = context.now;
        // A slot that begins now is refused by its mark.
        if own.inner.is_to_turn(now) {
            return Err(Undecided::Retry(Chore::Turn(own.drop.number)));
        }
        let kept = claimed_lines(own, &command.lines)?;
        if let Some(reason) = own.slots_of("lines", &command.lines, &kept)? {
            return Ok(own.refused(reason));
        }
        let hold = own.hold();
        let lines = by_pool(hold.lines().iter().enumerate().map(|(place, line)| {
            let quantity = kept.get(place).copied().unwrap_or(line.quantity);
            HoldLine { quantity, ..line }
        }));
        let wanted = by_item(&lines);
        let keys = self.inventory.subjects_of(&own.drop.scope, hold);
        let begun = |(item, units): &(ItemNo, u32)| (own.has_begun(*item)).then_some((*item, *units, 0));
        let begun: RefusedItems = wanted.iter().filter_map(begun).collect();
        if !begun.is_empty() {
            return Ok(late_refusal(own, (Reason::Closed, Rule::Slot), &begun, (None, None), false));
        }
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
            own.drop.count_hold(HoldCount::Late);
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
    late_refusal(own, (Reason::LimitReached, Rule::Limit), &refused, (limit, retry_after.flatten()), false)
}

/// The units of each pool, as lines. Two lines of one pool are taken as one: what the first had taken would be in doubt
/// for the second.
fn by_pool(lines: impl Iterator<Item = HoldLine>) -> SmallVec<[HoldLine; 4]> {
    let mut pools: SmallVec<[HoldLine; 4]> = SmallVec::new();
    for line in lines.filter(|line| line.quantity > 0) {
        match pools.last_mut().filter(|last| last.is_of_same_pool(&line)) {
            Some(last) => last.quantity = last.quantity.saturating_add(line.quantity),
            None => pools.push(line),
        }
    }
    pools
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
    let rule = Rule::Stock { free: short.first().map(|(_, _, free)| *free) };
    Ok(Err(late_refusal(own, (Reason::SoldOut, rule), &short, (None, None), may_come_back)))
}

fn late_refusal(
    own: &LockedHold<'_, '_>,
    (reason, rule): (Reason, Rule),
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
            pool: None,
        })
        .collect();
    own.drop.count_refusal(reason);
    let sku = lines.first().map(|line| line.sku.clone());
    let refusal = Refusal { reason, rule, sku, retry_after, may_come_back, lines, limit, hold: Some(own.show()) };
    own.decided(Outcome::Refused(Box::new(refusal)))
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
