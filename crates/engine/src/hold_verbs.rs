//! The verbs on a hold before its sale: extend, release, and looking at one.
//!
//! Each is decided under the hold's lock, so a claim that races its deadline is decided once: whoever comes first, the
//! claim or the expiry, is in the journal, and the other finds what it left.

use smallvec::SmallVec;
use stockade_journal::Permit;
use stockade_types::definition::Definition;
use stockade_types::hold::{Change, Hold, HoldState};
use stockade_types::ids::{DropId, HoldId};
use stockade_types::refusal::Reason;
use stockade_types::time::{Millis, Timestamp};

use super::answer::{Fault, HoldView, Outcome, Violation};
use super::attempt::{Answer, Decided};
use super::command::{Extend, Release, Stage, Target, Wanted};
use super::context::Context;
use super::{Engine, OwnHold};

/// A hold that comes back from payment has at least this long, and a payment that has less than this left of its total
/// is not begun.
const LEAST: Millis = Millis(60_000);

impl Engine {
    /// Moves a hold's deadline, never back: to `now + ttl`, at most to the ceiling of its life. At the ceiling the hold
    /// is answered as it is. Or moves it into payment or back, which may shorten.
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

    /// Gives back all but what shall be kept. A hold never grows by it, so sending it twice is safe. One that is in
    /// payment is left alone, unless the payment is abandoned.
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
                // Nothing is left, whatever was to be kept at most: the same answer as the first time.
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

    /// One hold, live or ended, as long as it is remembered. One that is due is expired first: no answer says so
    /// before its record is written.
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

    /// Runs a verb on a hold that is not past its deadline. One that is becomes expired here, under the lock, and the
    /// verb is refused.
    fn with_live(
        &self,
        target: &Target,
        now: Timestamp,
        verb: impl FnOnce(&mut OwnHold<'_, '_>, Permit<'_>) -> Result<Decided<Outcome>, Fault>,
    ) -> Answer<Outcome> {
        let permit = self.journal.permit()?;
        self.with_own(target, |own| match self.expire_if_due(own, permit, now)? {
            Some(permit) => Ok(verb(own, permit)?),
            None => Ok(own.refused(Reason::HoldExpired)),
        })
    }

    /// Expires the hold if it is due; else gives the permit back, unused.
    pub(super) fn expire_if_due<'p>(
        &self,
        own: &mut OwnHold<'_, '_>,
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

    /// Finds the hold that the caller means and runs `f` with its drop's gate held and its shard locked, in that order.
    /// The drop is known only once the hold was seen, so it is looked at twice.
    pub(super) fn with_own<R, E: From<Fault>>(
        &self,
        target: &Target,
        f: impl FnOnce(&mut OwnHold<'_, '_>) -> Result<R, E>,
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
        let found = self.inventory.drops.with_number_among(number, |drop, roster| {
            let running = drop.running();
            // The holds of an archived drop are gone, also those that are not taken out yet.
            let other = target.drop.as_ref().is_some_and(|id| *id != running.definition.id);
            if other || running.archived.is_some() {
                return Err(not_found());
            }
            // Where it was found: the second time neither hashed nor searched for.
            self.inventory.holds.with_ref(place, |mut shard| {
                let hold = shard.get(place).ok_or_else(not_found)?;
                // Forgotten in between, and another in its place, or its id used again elsewhere: for this call it was
                // not found.
                let same = hold.id == target.hold
                    && hold.drop == number
                    && target.customer.as_ref().is_none_or(|id| *id == hold.customer);
                if !same {
                    return Err(not_found());
                }
                f(&mut OwnHold { drop, roster, view: &running.definition, shard: &mut shard, place })
            })
        });
        found.unwrap_or_else(|| Err(not_found()))
    }
}

/// Where an extension leads: stage and deadline.
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
            let worthwhile = hold.created_at().until(total) >= LEAST;
            if begins && worthwhile && now.until(total) < LEAST {
                return Err(Reason::CeilingReached);
            }
            let span = command.ttl.unwrap_or_default().max(definition.terms.payment_ttl);
            Ok((HoldState::Paying, later(now.plus(span), total)))
        }
        // Back from payment: the card was declined.
        (Some(Stage::Held), HoldState::Paying) => {
            let left = hold.expires_at().min(ceiling).max(now.plus(LEAST));
            // The total may be another one by now, or an outage's grace reach beyond it: what is there is not cut under
            // the least.
            let kept = hold.expires_at().min(now.plus(LEAST));
            Ok((HoldState::Held, left.min(total).max(kept)))
        }
        // Sent again: it is back already.
        (Some(Stage::Held), state) if command.ttl.is_none() => Ok((state, hold.expires_at())),
        (Some(Stage::Held) | None, state) => {
            Ok((state, later(now.plus(command.ttl.unwrap_or(definition.terms.hold_ttl)), ceiling)))
        }
    }
}

/// Why a hold that is not live any more refuses.
pub(super) fn ended(hold: &Hold) -> Option<Reason> {
    match hold.state {
        HoldState::Held | HoldState::Paying => None,
        HoldState::Claimed => Some(Reason::HoldClaimed),
        HoldState::Released if hold.superseded_by().is_some() => Some(Reason::Superseded),
        HoldState::Released => Some(Reason::HoldReleased),
        HoldState::Expired => Some(Reason::HoldExpired),
    }
}

/// Every SKU of the request is one of the drop's.
pub(super) fn known_skus(definition: &Definition, field: &str, wanted: &[Wanted]) -> Result<(), Fault> {
    let unknown: Vec<Violation> = wanted
        .iter()
        .filter(|wanted| definition.item(&wanted.sku).is_none())
        .map(|wanted| Violation {
            field: format!("{field}[{}].sku", wanted.place),
            description: format!("drop {} has no item {:?}", definition.id, wanted.sku.as_str()),
        })
        .collect();
    if unknown.is_empty() { Ok(()) } else { Err(Fault::Invalid(unknown)) }
}

/// The request's units by line of the hold: a SKU's units lie in its lines from the first on, and no line gets more
/// than it has.
pub(super) fn by_line(hold: &Hold, definition: &Definition, wanted: &[Wanted]) -> SmallVec<[u32; 4]> {
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
