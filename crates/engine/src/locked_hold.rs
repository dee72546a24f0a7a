//! A hold with its shard locked and its drop's gate held: what every verb on an existing hold works on.
//!
//! Each verb is decided under the hold's lock. So a claim that races the deadline is decided once: whichever comes
//! first, claim or expiry, is in the journal, and the other finds its result.

use std::sync::Arc;

use smallvec::SmallVec;
use stockade_journal::Permit;
use stockade_types::definition::Definition;
use stockade_types::hold::{Change, Hold, HoldLine, HoldState};
use stockade_types::ids::{ItemNo, PoolNo};
use stockade_types::invariant;
use stockade_types::record::{HoldChange, Record};
use stockade_types::refusal::{Reason, Rule};
use stockade_types::time::Timestamp;

use crate::Engine;
use crate::answer::{Fault, HoldView, InvalidField, Outcome, Refusal};
use crate::attempt::{Answer, Decided};
use crate::command::{Operation, Target, WantedUnits};
use crate::commit::Prepared;
use crate::context::Context;
use crate::inventory::totals::HoldCount;
use crate::inventory::{DropEntry, DropInner, DropTable, HoldSlot, Locked, LockedShard};
use crate::refusals::{NumberedLine, Refused};

/// The caller's own hold, with its shard locked and its drop's gate held.
pub(crate) struct LockedHold<'a, 's> {
    pub(crate) drop: &'a DropEntry,
    pub(crate) drop_table: DropTable<'a>,
    pub(crate) view: &'a Arc<Definition>,
    pub(crate) inner: &'a DropInner,
    pub(crate) shard: &'a mut LockedShard<'s>,
    pub(crate) place: HoldSlot,
}

impl<'a, 's> LockedHold<'a, 's> {
    #[inline]
    pub(crate) fn of(
        drop: &'a DropEntry,
        drop_table: DropTable<'a>,
        inner: &'a DropInner,
        (shard, place): (&'a mut LockedShard<'s>, HoldSlot),
    ) -> Self {
        Self { drop, drop_table, view: &inner.definition, inner, shard, place }
    }
}

impl LockedHold<'_, '_> {
    #[inline]
    pub(crate) fn hold(&self) -> &Hold {
        // The place was found under this same lock.
        invariant!(let Some(hold) = self.shard.get(self.place), "no hold is where one was found: {:?}", self.place);
        hold
    }

    pub(crate) fn show(&self) -> HoldView {
        HoldView { hold: self.hold().clone(), definition: Arc::clone(self.view) }
    }

    /// Whether an item is a pickup slot that has begun.
    pub(crate) fn has_begun(&self, item: ItemNo) -> bool {
        self.inner.standing.as_deref().is_some_and(|standing| standing.has_begun(item))
    }

    /// Checks what is left of goods and pickup slots if the hold keeps these units of its lines: a slot stays with goods
    /// only, and where the drop requires slots, goods of a hold that has one stay with a slot only. A hold without a slot
    /// was made by staff or before slots were required, and what it has stays its customer's. Returns why this is refused.
    pub(crate) fn slots_of(&self, field: &str, wanted: &[WantedUnits], kept: &[u32]) -> Result<Option<Reason>, Fault> {
        let Some(standing) = self.inner.standing.as_deref() else { return Ok(None) };
        let hold = self.hold();
        let left = |slot: bool| {
            let mut lines = hold.lines().iter().zip(kept);
            lines.any(|(line, kept)| *kept > 0 && standing.is_slot(line.item) == slot)
        };
        let had_slot = || hold.lines().iter().any(|line| line.quantity > 0 && standing.is_slot(line.item));
        match (left(false), left(true)) {
            (true, false) if standing.slot_required && had_slot() && !hold.is_over_windows() => {
                Ok(Some(Reason::SlotRequired))
            }
            (false, true) => {
                let alone = |line: &WantedUnits| InvalidField {
                    field: format!("{field}[{}].sku", line.place),
                    description: "is a pickup slot: it is kept together with goods".to_owned(),
                };
                Err(Fault::Invalid(wanted.iter().map(alone).collect()))
            }
            (true | false, _) => Ok(None),
        }
    }

    /// A value that depends on the hold as it is now.
    #[inline]
    pub(crate) fn decided<T>(&self, value: T) -> Decided<T> {
        Decided { value, durable_after: self.hold().revision }
    }

    /// The hold as it is now.
    #[inline]
    pub(crate) fn shown(&self) -> Decided<Outcome> {
        self.decided(Outcome::Hold(self.show()))
    }

    /// A refusal because of the hold.
    pub(crate) fn refused<H>(&self, reason: Reason) -> Decided<Outcome<H>> {
        self.drop.count_refusal(reason);
        self.decided(Outcome::Refused(Box::new(Refusal {
            reason,
            rule: Rule::behind(reason),
            sku: None,
            retry_after: None,
            may_come_back: false,
            lines: Vec::new(),
            limit: None,
            hold: Some(self.show()),
        })))
    }
}

impl Engine {
    /// Runs a verb on a hold that is not past its deadline. If it is, it is expired here, under the lock, and the verb
    /// is refused.
    pub(crate) fn with_live(
        &self,
        target: &Target,
        now: Timestamp,
        verb: impl FnOnce(&mut LockedHold<'_, '_>, Permit<'_>) -> Result<Decided<Outcome>, Fault>,
    ) -> Answer<Outcome> {
        let permit = self.journal.permit()?;
        self.with_locked_hold(target, |own| match self.expire_if_due(own, permit, now)? {
            Some(permit) => Ok(verb(own, permit)?),
            None => Ok(own.refused(Reason::HoldExpired)),
        })
    }

    /// Keeps the answer to a request to change a hold if it is a refusal, so that it can be explained.
    #[inline]
    pub(crate) fn keep_refused(&self, operation: Operation, answer: &Answer<Outcome>, now: Timestamp) {
        if let Ok(Decided { value: Outcome::Refused(refusal), .. }) = answer {
            self.keep_refusal(operation, refusal, now);
        }
    }

    /// Keeps a refusal because of the hold that it shows. No lock may be held.
    #[cold]
    fn keep_refusal(&self, operation: Operation, refusal: &Refusal, at: Timestamp) {
        let Some(HoldView { hold, definition }) = &refusal.hold else { return };
        self.inventory.drops.with_number(hold.drop, |drop| {
            let customer = drop.scope.customers(&self.inventory.key).subject(&hold.customer);
            let (hold, drop) = (hold.id, hold.drop);
            let lines: SmallVec<[NumberedLine; 4]> =
                refusal.lines.iter().filter_map(|line| NumberedLine::of(line, definition)).collect();
            self.refusals.keep(Refused { at, operation, hold, drop, customer, refusal, lines: &lines });
        });
    }

    /// Expires the hold if it is due; otherwise returns the permit unused.
    pub(crate) fn expire_if_due<'p>(
        &self,
        own: &mut LockedHold<'_, '_>,
        permit: Permit<'p>,
        now: Timestamp,
    ) -> Result<Option<Permit<'p>>, Fault> {
        let hold = own.hold();
        if !hold.is_due(now) {
            return Ok(Some(permit));
        }
        let late = hold.expires_at().until(now);
        self.change(own, permit, &Change::Expired { at: now }, Context::engine(now))?;
        self.metrics.expiry_lag.observe(late.duration());
        Ok(None)
    }

    /// Finds the target hold and runs `f` with its drop's gate held and its shard locked, in that order. The hold names
    /// its drop, so it is read once without the gate and again under it.
    pub(crate) fn with_locked_hold<R, E: From<Fault>>(
        &self,
        target: &Target,
        f: impl FnOnce(&mut LockedHold<'_, '_>) -> Result<R, E>,
    ) -> Result<R, E> {
        let not_found = || E::from(Fault::NoHold(target.hold));
        let (number, place) = self
            .inventory
            .holds
            .with_id(&target.hold, |shard| {
                let place = shard.find(&target.hold)?;
                Some((shard.get(place)?.drop, place))
            })
            .ok_or_else(not_found)?;
        let found = self.inventory.drops.with_number_among(number, |drop, drop_table| {
            let inner = drop.read();
            // The holds of an archived drop count as gone, also those that are still in memory.
            let other = target.drop.as_ref().is_some_and(|id| *id != inner.definition.id);
            if other || inner.archived.is_some() {
                return Err(not_found());
            }
            // By its place: the id is not hashed and searched again.
            self.inventory.holds.with_ref(place, |mut shard| {
                let hold = shard.get(place).ok_or_else(not_found)?;
                // The hold may have been forgotten in between, and its place or its id used again: then it counts as
                // not found.
                let same = hold.id == target.hold
                    && hold.drop == number
                    && target.customer.as_ref().is_none_or(|id| *id == hold.customer);
                if !same {
                    return Err(not_found());
                }
                f(&mut LockedHold::of(drop, drop_table, &inner, (&mut shard, place)))
            })
        });
        found.unwrap_or_else(|| Err(not_found()))
    }

    /// Appends a change of a hold and applies it; an answer that shows the hold then waits for its revision. The hold's
    /// shard is locked and its drop's gate is held.
    pub(crate) fn change(
        &self,
        own: &mut LockedHold<'_, '_>,
        permit: Permit<'_>,
        change: &Change,
        context: Context<'_>,
    ) -> Result<(), Fault> {
        let change = HoldChange::of(own.hold(), change, context.now, context.actor());
        let counts_as = HoldCount::of(&change);
        let locked = Locked::Hold(own.drop, (own.shard, own.place), None);
        self.commit(Record::Changed(change), Prepared { permit, locked, taken: None }, context.now)?;
        if let Some(what) = counts_as {
            own.drop.count_hold(what);
        }
        Ok(())
    }
}

/// Why a hold that is no longer live refuses.
pub(crate) fn ended(hold: &Hold) -> Option<Reason> {
    match hold.state {
        HoldState::Held | HoldState::Paying => None,
        HoldState::Claimed => Some(Reason::HoldClaimed),
        HoldState::Released if hold.superseded_by().is_some() => Some(Reason::Superseded),
        HoldState::Released => Some(Reason::HoldReleased),
        HoldState::Expired => Some(Reason::HoldExpired),
    }
}

/// Checks that every SKU and pool of the request is one of the drop's.
pub(crate) fn known_skus(definition: &Definition, field: &str, wanted: &[WantedUnits]) -> Result<(), Fault> {
    let unknown: Vec<InvalidField> =
        wanted.iter().filter_map(|wanted| unknown_part(definition, field, wanted)).collect();
    if unknown.is_empty() { Ok(()) } else { Err(Fault::Invalid(unknown)) }
}

/// What the drop does not have of a line's SKU and pool, if anything.
pub(crate) fn unknown_part(definition: &Definition, field: &str, wanted: &WantedUnits) -> Option<InvalidField> {
    let WantedUnits { sku, pool, units: _, place } = wanted;
    let Some((_, item)) = definition.item(sku) else {
        let description = format!("drop {} has no item {:?}", definition.id, sku.as_str());
        return Some(InvalidField { field: format!("{field}[{place}].sku"), description });
    };
    let pool = pool.as_ref().filter(|pool| item.pool_no(pool).is_none())?;
    let description = format!("item {:?} has no pool {pool}", sku.as_str());
    Some(InvalidField { field: format!("{field}[{place}].pool"), description })
}

/// The item of a line of a request, and the pool that it names.
pub(crate) fn place_of(definition: &Definition, wanted: &WantedUnits) -> Option<(ItemNo, Option<PoolNo>)> {
    let (number, item) = definition.item(&wanted.sku)?;
    match &wanted.pool {
        None => Some((number, None)),
        Some(pool) => Some((number, Some(item.pool_no(pool)?))),
    }
}

/// The request's units for each line of the hold; no line gets more than it has. Units of a SKU fill its lines from the
/// first on, those of a named pool its lines alone; pools that are named come first.
pub(crate) fn by_line(hold: &Hold, definition: &Definition, wanted: &[WantedUnits]) -> SmallVec<[u32; 4]> {
    let mut given: SmallVec<[u32; 4]> = hold.lines().iter().map(|_| 0).collect();
    for wanted in wanted {
        let Some((item, pool)) = place_of(definition, wanted) else { continue };
        let mut left = wanted.units;
        for (line, given) in hold.lines().iter().zip(&mut given) {
            if line.item == item && pool.is_none_or(|pool| pool == line.pool) {
                let more = line.quantity.saturating_sub(*given).min(left);
                *given = given.saturating_add(more);
                left = left.saturating_sub(more);
            }
        }
    }
    given
}

/// Fails with every line that asks for more units than the hold's lines have.
pub(crate) fn more_than(
    own: &LockedHold<'_, '_>,
    field: &str,
    wanted: &[WantedUnits],
    has: impl Fn(&HoldLine) -> u32,
) -> Result<(), Fault> {
    known_skus(own.view, field, wanted)?;
    let hold = own.hold();
    let mut too_many = Vec::new();
    for line in wanted {
        let Some((item, pool)) = place_of(own.view, line) else { continue };
        let fits = |of: &HoldLine| of.item == item && pool.is_none_or(|pool| pool == of.pool);
        let most: u32 = hold.lines().iter().filter(fits).map(|of| has(&of)).fold(0, u32::saturating_add);
        // Lines that name a pool of the item take their units first.
        let named: u32 = match pool {
            Some(_) => 0,
            None => wanted.iter().filter(|other| other.sku == line.sku && other.pool.is_some()).map(|o| o.units).sum(),
        };
        if line.units > most.saturating_sub(named) {
            too_many.push(InvalidField {
                field: format!("{field}[{}].quantity", line.place),
                description: format!("the hold has {most} units of {:?}", line.sku.as_str()),
            });
        }
    }
    if too_many.is_empty() { Ok(()) } else { Err(Fault::Invalid(too_many)) }
}
