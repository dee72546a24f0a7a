//! A reserve in place of the customer's own hold: one record ends the old hold and makes the new one.
//!
//! Both holds' shards are locked, in ascending order, from the first read to the change of both. So anything else that
//! happens to the old hold (a claim, its deadline, another successor) happens before, and this request finds its
//! result; or it happens after and finds a superseded hold.
//!
//! Only the difference moves. Units that the new hold has beyond the old one's are taken before the append, in doubt;
//! units that it does not have go back after the append; the rest moves from the old hold to the new one and is never
//! free. So a customer is never refused because of units of their own, and no other customer can get those.

use std::cell::OnceCell;

use stockade_journal::Permit;
use stockade_types::hold::{Change, Hold, HoldState};
use stockade_types::ids::HoldId;
use stockade_types::record::{HoldChange, Record, Superseded};
use stockade_types::refusal::Reason;
use stockade_types::time::{Millis, Timestamp};

use super::grant::Served;
use super::{ReserveLocks, ReserveRequest, ReserveResult, ResolvedReserve};
use crate::answer::{Fault, Outcome};
use crate::attempt::Decided;
use crate::commit::Prepared;
use crate::inventory::totals::HoldCount;
use crate::inventory::{HoldSlot, Locked, LockedShards, LockedSubjects};
use crate::locked_hold::ended;

/// The hold that is to be superseded. Its shard is locked, so what stands here is so until the request is decided.
pub(crate) struct SupersededHold {
    /// Where it lives.
    pub(crate) place: HoldSlot,
    pub(crate) hold: Hold,
}

impl ReserveRequest<'_> {
    /// The request, with the hold that it supersedes. That hold must be this customer's in this drop, and held. If it
    /// is due, it is expired first and the request is refused.
    #[cold]
    pub(super) fn in_place_of<'p>(
        &self,
        id: &HoldId,
        shards: &mut LockedShards<'_>,
        permit: Permit<'p>,
    ) -> Result<Result<(Self, Permit<'p>), ReserveResult>, Fault> {
        let not_found = || Fault::NoHold(*id);
        let shard = shards.other();
        let place = shard.find(id).ok_or_else(not_found)?;
        let known = shard.get(place).ok_or_else(not_found)?;
        if known.drop != self.drop.number || known.customer != self.command.customer {
            return Err(not_found());
        }
        let mut own = self.locked(shard, place);
        let Some(permit) = self.engine.expire_if_due(&mut own, permit, self.now)? else {
            return Ok(Err(self.refuse_by_hold(&own, Reason::HoldExpired)));
        };
        let hold = own.hold().clone();
        if let Some(reason) = not_superseded(&hold) {
            return Ok(Err(self.refuse_by_hold(&own, reason)));
        }
        let resolved = ResolvedReserve {
            limit_subjects: self.resolved.limit_subjects.with_subjects_of(&hold),
            ..self.resolved.clone()
        };
        Ok(Ok((
            Self {
                resolved,
                superseded: Some(SupersededHold { place, hold }),
                offers: OnceCell::new(),
                conduct: OnceCell::new(),
                ..*self
            },
            permit,
        )))
    }

    /// Creation and deadline of the successor: it keeps the old hold's creation, and its deadline is never earlier.
    pub(super) fn life_of_successor(&self, old: &Hold, ttl: Millis) -> (Timestamp, Timestamp) {
        let created_at = old.created_at();
        (created_at, old.expires_at().max(self.now.plus(ttl).min(self.ceiling(created_at))))
    }

    /// Appends the one record, ends the old hold and makes the new one.
    pub(super) fn replace(
        &self,
        old: &SupersededHold,
        locks: ReserveLocks<'_, '_, '_>,
        served: Served<'_>,
    ) -> Result<ReserveResult, Fault> {
        let ReserveLocks { shards, subjects, permit } = locks;
        let Served { mut hold, taken } = served;
        let change = Change::Superseded { at: self.now, by: hold.id };
        let ended = HoldChange::of(&old.hold, &change, self.now, self.actor);
        let record = Record::Superseded(Box::new(Superseded { ended, made: hold.clone() }));
        let subjects = LockedSubjects { keys: &self.resolved.limit_subjects.keys, subjects };
        let locked = Locked::Succession(self.drop, (shards, old.place), subjects);
        hold.revision = self.engine.commit(record, Prepared { permit, locked, taken }, self.now)?;
        self.drop.count_hold(HoldCount::Made);
        self.count_demand(Ok(&hold));
        Ok(Decided { durable_after: hold.revision, value: Outcome::Hold(hold) })
    }
}

/// Why a hold can't be superseded.
fn not_superseded(hold: &Hold) -> Option<Reason> {
    match hold.state {
        HoldState::Held => None,
        HoldState::Paying => Some(Reason::PaymentInProgress),
        HoldState::Claimed | HoldState::Released | HoldState::Expired => ended(hold),
    }
}
