//! Serves a request whole, and makes the hold of any request.

use smallvec::SmallVec;
use stockade_counter::stock::{Certainty, Taken};
use stockade_types::hold::{Hold, HoldExtras, HoldFields, HoldLine, HoldState, Lines};
use stockade_types::ids::Lsn;
use stockade_types::record::{Made, Record};
use stockade_types::time::{Millis, Timestamp};

use super::draw::Shares;
use super::{ReserveLocks, ReserveRequest, ReserveResult};
use crate::answer::{Fault, Outcome};
use crate::attempt::{Attempt, Decided};
use crate::commit::Prepared;
use crate::inventory::{Locked, LockedSubjects};

/// A hold with a shorter life may be past its deadline before that is in the queue, if its thread is held up after
/// reading the clock. Until the deadline is entered, its pools' refusals are kept in doubt.
const SHORT_TTL: Millis = Millis(10_000);

/// Guards of the units taken, one for each pool.
pub(super) type TakenUnits<'d> = SmallVec<[Taken<'d>; 4]>;

/// What a request gets: the hold to make, and the units taken for it.
pub(super) struct Served<'d> {
    pub(super) hold: Hold,
    pub(super) taken: TakenUnits<'d>,
}

impl ReserveRequest<'_> {
    /// Checks limits, takes the units, makes the hold: all lines or none.
    #[inline]
    pub(super) fn serve(&self, locks: ReserveLocks<'_, '_, '_>) -> Attempt<ReserveResult> {
        let violations = self.violations(locks.subjects);
        if !violations.is_empty() {
            return self.over_limit(&violations, locks.subjects);
        }
        // In doubt until entered: a cart, a successor, and a hold shorter than a thread may be held up.
        let certain = self.resolved.lines.len() == 1 && self.superseded.is_none() && self.ttl() >= SHORT_TTL;
        let certainty = if certain { Certainty::Certain } else { Certainty::Doubtful };
        let mut shares = Shares::default();
        for line in self.lines() {
            if let Err(free) = self.take(line, certainty, &mut shares)? {
                drop(shares); // the guards give back what the cart has taken so far
                return Ok(self.refuse_stock(&[(line.item, free)], locks.subjects));
            }
        }
        let Shares { lines, taken } = shares;
        Ok(self.make(locks, Served { hold: self.new_hold(&lines, self.extras(Vec::new())), taken })?)
    }

    /// Appends the record and makes the hold.
    #[expect(clippy::inline_always, reason = "measured: on its own it costs each reserve some 100 instructions")]
    #[inline(always)]
    pub(super) fn make(&self, locks: ReserveLocks<'_, '_, '_>, served: Served<'_>) -> Result<ReserveResult, Fault> {
        if let Some(old) = &self.superseded {
            return self.replace(old, locks, served);
        }
        let ReserveLocks { shards, subjects, permit } = locks;
        let Served { hold, taken } = served;
        let mut shown = hold.clone();
        let record = Record::Made(Made { actor: self.actor, hold });
        let subjects = LockedSubjects { keys: &self.resolved.limit_subjects.keys, subjects };
        let locked = Locked::NewHold(self.drop, shards.own(), Some(subjects));
        shown.revision = self.engine.commit(record, Prepared { permit, locked, taken }, self.now)?;
        Ok(Decided { durable_after: shown.revision, value: Outcome::Hold(shown) })
    }

    /// How long the hold lives: as long as was asked, or the drop's `hold_ttl`; at most `max_hold_life`.
    pub(super) fn ttl(&self) -> Millis {
        let definition = &self.inner.definition;
        self.command.ttl.unwrap_or(definition.terms.hold_ttl).min(definition.terms.max_hold_life)
    }

    #[inline]
    pub(super) fn new_hold(&self, lines: &[HoldLine], extras: Option<Box<HoldExtras>>) -> Hold {
        let (created_at, expires_at) = match &self.superseded {
            None => (self.now, self.now.plus(self.ttl())),
            Some(old) => self.life_of_successor(&old.hold),
        };
        let fields = HoldFields {
            id: self.command.hold,
            drop: self.drop.number,
            state: HoldState::Held,
            customer: self.command.customer.clone(),
            content: self.resolved.content,
            created_at,
            expires_at,
            settled_at: Timestamp::default(),
            revision: Lsn::default(),
            lines: Lines::from_slice(lines),
            extras,
        };
        fields.into()
    }
}
