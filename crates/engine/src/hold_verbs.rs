//! The verbs on a hold before its sale: extend, release, and reading one.
//!
//! Each is decided under the hold's lock. So a claim that races the deadline is decided once: whichever comes first,
//! claim or expiry, is in the journal, and the other finds its result.

use smallvec::SmallVec;
use stockade_journal::Permit;
use stockade_types::definition::Definition;
use stockade_types::hold::{Change, Hold, HoldState};
use stockade_types::ids::{DropId, HoldId};
use stockade_types::refusal::Reason;
use stockade_types::time::{Millis, Timestamp};

use super::answer::{Fault, HoldView, InvalidField, Outcome};
use super::attempt::{Answer, Decided};
use super::command::{Extend, Release, Stage, Target, WantedUnits};
use super::context::Context;
use super::{Engine, LockedHold};

/// A hold that comes back from payment has at least this long, unless its own deadline or its total life ends before. A
/// payment with less than this left of the total life is refused.
const PAYMENT_TIME_MIN: Millis = Millis(60_000);

impl Engine {
    /// Moves a hold's deadline to `now + ttl`, at most to the ceiling of its life and never to an earlier instant. At
    /// the ceiling the hold is returned unchanged. Or moves the hold into payment or back; back from payment the
    /// deadline may become earlier.
    ///
    /// # Errors
    /// [`Fault::NoHold`], and faults of the journal.
    pub fn extend(&self, command: &Extend, context: Context<'_>) -> Answer<Outcome> {
        self.with_live(&command.target, context.now, |own, permit| {
            let hold = own.hold();
            if let Some(reason) = ended(hold) {
                return Ok(own.refused(reason));
            }
            let (state, expires_at) = match moved(hold, own.view, command, context.now) {
                Ok(moved) => moved,
                Err(reason) => return Ok(own.refused(reason)),
            };
            if state != hold.state {
                self.change(own, permit, &Change::Staged { stage: state, expires_at }, context)?;
            } else if expires_at != hold.expires_at() {
                self.change(own, permit, &Change::Extended { expires_at }, context)?;
            }
            Ok(own.shown())
        })
    }

    /// Gives back all units but those to keep. A release never adds units, so it can be sent twice. A hold in payment
    /// is refused unless the payment is abandoned.
    ///
    /// # Errors
    /// [`Fault::NoHold`], [`Fault::Invalid`] for a SKU that the drop does not have, and faults of the journal.
    pub fn release(&self, command: &Release, context: Context<'_>) -> Answer<Outcome> {
        self.with_live(&command.target, context.now, |own, permit| {
            known_skus(own.view, "keep", &command.keep)?;
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
            if kept.iter().all(|units| *units == 0) {
                kept.clear();
            }
            self.change(own, permit, &Change::Released { at: context.now, kept }, context)?;
            Ok(own.shown())
        })
    }

    /// One hold, live or ended, as long as it is remembered. If it is due, it is expired first: no answer shows it as
    /// expired before that record is durable.
    ///
    /// # Errors
    /// [`Fault::NoHold`], and faults of the journal.
    pub fn get_hold(&self, hold: HoldId, drop: Option<&DropId>, context: Context<'_>) -> Answer<HoldView> {
        let target = Target { hold, drop: drop.cloned(), customer: None };
        self.with_own(&target, |own| {
            if own.hold().is_due(context.now) {
                let _expired = self.expire_if_due(own, self.journal.permit()?, context.now)?;
            }
            Ok(own.decided(own.show()))
        })
    }

    /// Runs a verb on a hold that is not past its deadline. If it is, it is expired here, under the lock, and the verb
    /// is refused.
    fn with_live(
        &self,
        target: &Target,
        now: Timestamp,
        verb: impl FnOnce(&mut LockedHold<'_, '_>, Permit<'_>) -> Result<Decided<Outcome>, Fault>,
    ) -> Answer<Outcome> {
        let permit = self.journal.permit()?;
        self.with_own(target, |own| match self.expire_if_due(own, permit, now)? {
            Some(permit) => Ok(verb(own, permit)?),
            None => Ok(own.refused(Reason::HoldExpired)),
        })
    }

    /// Expires the hold if it is due; otherwise returns the permit unused.
    pub(super) fn expire_if_due<'p>(
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
    pub(super) fn with_own<R, E: From<Fault>>(
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
                f(&mut LockedHold { drop, drop_table, view: &inner.definition, shard: &mut shard, place })
            })
        });
        found.unwrap_or_else(|| Err(not_found()))
    }
}

/// The state and deadline that an extension leads to.
fn moved(
    hold: &Hold,
    definition: &Definition,
    command: &Extend,
    now: Timestamp,
) -> Result<(HoldState, Timestamp), Reason> {
    let ceiling = hold.created_at().plus(definition.terms.max_hold_life);
    let total = ceiling.plus(definition.terms.payment_ttl);
    let later = |wish: Timestamp, most: Timestamp| hold.expires_at().max(wish.min(most));
    match (command.stage, hold.state) {
        (Some(Stage::Paying), from) => {
            let begins = from != HoldState::Paying;
            let worthwhile = hold.created_at().until(total) >= PAYMENT_TIME_MIN;
            if begins && worthwhile && now.until(total) < PAYMENT_TIME_MIN {
                return Err(Reason::CeilingReached);
            }
            let span = command.ttl.unwrap_or_default().max(definition.terms.payment_ttl);
            Ok((HoldState::Paying, later(now.plus(span), total)))
        }
        // Back from payment, for instance because the card was declined.
        (Some(Stage::Held), HoldState::Paying) => {
            let left = hold.expires_at().min(ceiling).max(now.plus(PAYMENT_TIME_MIN));
            // The total may have changed since, or an outage's grace may reach beyond it: the deadline is not cut to
            // less than `PAYMENT_TIME_MIN` from now by either.
            let kept = hold.expires_at().min(now.plus(PAYMENT_TIME_MIN));
            Ok((HoldState::Held, left.min(total).max(kept)))
        }
        // The same call again: the hold is back already.
        (Some(Stage::Held), state) if command.ttl.is_none() => Ok((state, hold.expires_at())),
        (Some(Stage::Held) | None, state) => {
            Ok((state, later(now.plus(command.ttl.unwrap_or(definition.terms.hold_ttl)), ceiling)))
        }
    }
}

/// Why a hold that is no longer live refuses.
pub(super) fn ended(hold: &Hold) -> Option<Reason> {
    match hold.state {
        HoldState::Held | HoldState::Paying => None,
        HoldState::Claimed => Some(Reason::HoldClaimed),
        HoldState::Released if hold.superseded_by().is_some() => Some(Reason::Superseded),
        HoldState::Released => Some(Reason::HoldReleased),
        HoldState::Expired => Some(Reason::HoldExpired),
    }
}

/// Checks that every SKU of the request is one of the drop's.
pub(super) fn known_skus(definition: &Definition, field: &str, wanted: &[WantedUnits]) -> Result<(), Fault> {
    let unknown: Vec<InvalidField> = wanted
        .iter()
        .filter(|wanted| definition.item(&wanted.sku).is_none())
        .map(|wanted| InvalidField {
            field: format!("{field}[{}].sku", wanted.place),
            description: format!("drop {} has no item {:?}", definition.id, wanted.sku.as_str()),
        })
        .collect();
    if unknown.is_empty() { Ok(()) } else { Err(Fault::Invalid(unknown)) }
}

/// The request's units for each line of the hold. A SKU's units fill its lines from the first on; no line gets more
/// than it has.
pub(super) fn by_line(hold: &Hold, definition: &Definition, wanted: &[WantedUnits]) -> SmallVec<[u32; 4]> {
    let mut wishes: SmallVec<[_; 4]> =
        wanted.iter().filter_map(|wanted| Some((definition.item(&wanted.sku)?.0, wanted.units))).collect();
    hold.lines()
        .iter()
        .map(|line| {
            let Some((_, left)) = wishes.iter_mut().find(|(item, _)| *item == line.item) else { return 0 };
            let given = line.quantity.min(*left);
            *left = left.saturating_sub(given);
            given
        })
        .collect()
}
