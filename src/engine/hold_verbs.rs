//! The verbs on a hold that is there: extend, claim, release, and looking at one.
//!
//! Each is decided under the hold's lock, so a claim that races its deadline is decided once: whoever comes first, the
//! claim or the expiry, is in the journal, and the other finds what it left.

use smallvec::SmallVec;

use super::answer::{Answer, Fault, HoldView, Step, Violation};
use super::command::{Claim, Extend, Release, Target, Wanted};
use super::{Engine, OwnHold};
use crate::definition::Definition;
use crate::hold::{Change, Hold, HoldState};
use crate::ids::{DropId, HoldId};
use crate::journal::{Permit, Ticket};
use crate::refusal::Reason;
use crate::time::Timestamp;

impl Engine {
    /// Moves a hold's deadline, never back: to `now + ttl`, at most to the ceiling of its life. At the ceiling the hold
    /// is answered as it is.
    ///
    /// # Errors
    /// [`Fault::NoHold`], and faults of the journal.
    pub fn extend(&self, command: &Extend, now: Timestamp) -> Result<Step<Answer>, Fault> {
        self.with_live(&command.target, now, |own, permit| {
            let definition = own.view;
            let hold = own.hold()?;
            match hold.state {
                HoldState::Held => {}
                HoldState::Claimed => return self.refused_by_hold(own, Reason::HoldClaimed),
                HoldState::Released => return self.refused_by_hold(own, Reason::HoldReleased),
                HoldState::Expired => return self.refused_by_hold(own, Reason::HoldExpired),
            }
            let wish = now.plus(command.ttl.unwrap_or(definition.hold_ttl));
            let ceiling = hold.created_at.plus(definition.max_hold_life);
            let expires_at = hold.expires_at.max(wish.min(ceiling));
            if expires_at == hold.expires_at {
                return self.shown(own);
            }
            self.change(own, permit, Change::Extended { expires_at }, now)?;
            self.shown(own)
        })
    }

    /// Turns a hold into a sale. For the order that it was claimed for, it is the same answer again.
    ///
    /// # Errors
    /// [`Fault::NoHold`], and faults of the journal.
    pub fn claim(&self, command: &Claim, now: Timestamp) -> Result<Step<Answer>, Fault> {
        self.with_live(&command.target, now, |own, permit| {
            let hold = own.hold()?;
            match hold.state {
                HoldState::Held => {
                    let order_ref = command.order_ref.clone();
                    self.change(own, permit, Change::Claimed { at: now, order_ref }, now)?;
                    self.shown(own)
                }
                HoldState::Claimed if hold.order_ref.as_deref() == Some(&command.order_ref) => self.shown(own),
                HoldState::Claimed => self.refused_by_hold(own, Reason::OrderMismatch),
                HoldState::Released => self.refused_by_hold(own, Reason::HoldReleased),
                HoldState::Expired => self.refused_by_hold(own, Reason::HoldExpired),
            }
        })
    }

    /// Gives back all but what shall be kept. A hold never grows by it, so sending it twice is safe.
    ///
    /// # Errors
    /// [`Fault::NoHold`], [`Fault::Invalid`] for a SKU that the drop does not have, and faults of the journal.
    pub fn release(&self, command: &Release, now: Timestamp) -> Result<Step<Answer>, Fault> {
        self.with_live(&command.target, now, |own, permit| {
            known_skus(own.view, &command.keep)?;
            let hold = own.hold()?;
            match hold.state {
                HoldState::Held => {}
                HoldState::Claimed => return self.refused_by_hold(own, Reason::HoldClaimed),
                HoldState::Released if command.keep.is_empty() => return self.shown(own),
                HoldState::Released => return self.refused_by_hold(own, Reason::HoldReleased),
                HoldState::Expired => return self.refused_by_hold(own, Reason::HoldExpired),
            }
            let mut kept = kept_by_line(hold, own.view, &command.keep);
            if hold.lines.iter().zip(&kept).all(|(line, kept)| line.quantity == *kept) {
                return self.shown(own);
            }
            if kept.iter().all(|units| *units == 0) {
                kept.clear();
            }
            self.change(own, permit, Change::Released { at: now, kept }, now)?;
            self.shown(own)
        })
    }

    /// One hold, live or ended, as long as it is remembered. One that is due is expired first: no answer says so
    /// before its record is written.
    ///
    /// # Errors
    /// [`Fault::NoHold`], and faults of the journal.
    pub fn get_hold(&self, hold: HoldId, drop: Option<&DropId>, now: Timestamp) -> Result<(HoldView, Ticket), Fault> {
        let target = Target { hold, drop: drop.cloned(), customer: None };
        let permit = self.journal.permit()?;
        self.with_own(&target, |own| {
            self.expire_if_due(own, permit, now)?;
            let view = own.show()?;
            let ticket = self.journal.ticket(view.hold.revision);
            Ok((view, ticket))
        })
    }

    /// Runs a verb on a hold that is not past its deadline. One that is becomes expired here, under the lock, and the
    /// verb is refused.
    fn with_live(
        &self,
        target: &Target,
        now: Timestamp,
        verb: impl FnOnce(&mut OwnHold<'_, '_>, Permit<'_>) -> Result<Answer, Fault>,
    ) -> Result<Step<Answer>, Fault> {
        let permit = self.journal.permit()?;
        self.with_own(target, |own| match self.expire_if_due(own, permit, now)? {
            Some(permit) => verb(own, permit).map(Step::Done),
            None => self.refused_by_hold(own, Reason::HoldExpired).map(Step::Done),
        })
    }

    /// Expires the hold if it is due; else gives the permit back, unused.
    pub(super) fn expire_if_due<'p>(
        &self,
        own: &mut OwnHold<'_, '_>,
        permit: Permit<'p>,
        now: Timestamp,
    ) -> Result<Option<Permit<'p>>, Fault> {
        let hold = own.hold()?;
        if !hold.is_due(now) {
            return Ok(Some(permit));
        }
        let late = hold.expires_at.until(now);
        self.change(own, permit, Change::Expired { at: now }, now)?;
        self.metrics.expiry_lag.observe(late.duration());
        Ok(None)
    }

    /// Finds the hold that the caller means and runs `f` with its drop's gate held and its shard locked, in that order.
    /// The drop is known only once the hold was seen, so it is looked at twice.
    fn with_own<R>(
        &self,
        target: &Target,
        f: impl FnOnce(&mut OwnHold<'_, '_>) -> Result<R, Fault>,
    ) -> Result<R, Fault> {
        let not_found = || Fault::NoHold(target.hold);
        let number = self
            .inventory
            .holds
            .with_id(&target.hold, |shard| Some(shard.get(shard.find(&target.hold)?)?.drop))
            .ok_or_else(not_found)?;
        let found = self.inventory.drops.with_number(number, |drop| {
            let running = drop.running();
            if target.drop.as_ref().is_some_and(|id| *id != running.definition.id) {
                return Err(not_found());
            }
            self.inventory.holds.with_id(&target.hold, |mut shard| {
                let place = shard.find(&target.hold).ok_or_else(not_found)?;
                let hold = shard.get(place).ok_or_else(not_found)?;
                // Forgotten in between, and its id used again elsewhere: for this call it was not found.
                let same = hold.drop == number && target.customer.as_ref().is_none_or(|id| *id == hold.customer);
                if !same {
                    return Err(not_found());
                }
                f(&mut OwnHold { drop, view: &running.definition, shard: &mut shard, place })
            })
        });
        found.unwrap_or_else(|| Err(not_found()))
    }
}

fn known_skus(definition: &Definition, keep: &[Wanted]) -> Result<(), Fault> {
    let unknown: Vec<Violation> = keep
        .iter()
        .filter(|wanted| definition.item(&wanted.sku).is_none())
        .map(|wanted| Violation {
            field: format!("keep[{}].sku", wanted.place),
            description: format!("drop {} has no item {:?}", definition.id, wanted.sku.as_str()),
        })
        .collect();
    if unknown.is_empty() { Ok(()) } else { Err(Fault::Invalid(unknown)) }
}

/// What each line of the hold keeps: a SKU's units are kept in its lines from the first on.
fn kept_by_line(hold: &Hold, definition: &Definition, keep: &[Wanted]) -> SmallVec<[u32; 4]> {
    let mut wishes: SmallVec<[_; 4]> =
        keep.iter().filter_map(|wanted| Some((definition.item(&wanted.sku)?.0, wanted.units))).collect();
    hold.lines
        .iter()
        .map(|line| {
            let Some((_, left)) = wishes.iter_mut().find(|(item, _)| *item == line.item) else { return 0 };
            let kept = line.quantity.min(*left);
            *left = left.saturating_sub(kept);
            kept
        })
        .collect()
}
