//! Serves a request whole, and makes the hold of any request.

use smallvec::SmallVec;
use stockade_counter::demand::Asked;
use stockade_counter::stock::{Certainty, Taken};
use stockade_types::hold::{Hold, HoldExtras, HoldFields, HoldLine, HoldState, Lines};
use stockade_types::ids::{ItemNo, Lsn};
use stockade_types::record::{Made, Record};
use stockade_types::refusal::Reason;
use stockade_types::time::{Millis, Timestamp};

use super::draw::Shares;
use super::{ReserveLocks, ReserveRequest, ReserveResult};
use crate::answer::{Fault, Outcome};
use crate::attempt::{Attempt, Decided};
use crate::commit::Prepared;
use crate::inventory::totals::HoldCount;
use crate::inventory::{Locked, LockedSubjects};
use crate::rules::{Standing, usual_ttl};

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
        if !self.fits_plainly(locks.subjects) {
            let violations = self.violations(locks.subjects);
            if !violations.is_empty() {
                return self.over_limit(&violations, locks.subjects);
            }
        }
        // In doubt until entered: a cart, a successor, and a hold shorter than a thread may be held up.
        let certain = self.resolved.count() == 1 && self.superseded.is_none() && self.lives_long();
        let certainty = if certain { Certainty::Certain } else { Certainty::Doubtful };
        let mut shares = Shares::default();
        for line in self.lines() {
            if let Err(free) = self.take(line, certainty, &mut shares)? {
                drop(shares); // the guards give back what the cart has taken so far
                return Ok(self.refuse_stock(&[(line.place, free)], locks.subjects));
            }
        }
        self.order(&mut shares);
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
        self.drop.count_hold(HoldCount::Made);
        self.count_demand(Ok(&shown));
        Ok(Decided { durable_after: shown.revision, value: Outcome::Hold(shown) })
    }

    /// Counts what was asked of the drop: once for each request that is decided.
    #[inline]
    pub(super) fn count_demand(&self, outcome: Result<&Hold, Reason>) {
        // Without rules a drop has no pickup slots.
        let is_goods = |item| self.inner.standing.is_none() || self.drop.is_goods(item);
        let goods = |item: ItemNo, units: u32| if is_goods(item) { u64::from(units) } else { 0 };
        let units = self.resolved.by_item.iter().map(|(item, units)| goods(*item, *units)).fold(0, u64::saturating_add);
        let held =
            |hold: &Hold| hold.lines().iter().map(|line| goods(line.item, line.quantity)).fold(0, u64::saturating_add);
        self.engine.has_been_asked();
        self.drop.demand().count(Asked {
            second: self.now.seconds(),
            customer: self.resolved.limit_subjects.customer(),
            tier: self.inner.named_tiers.first_of(&self.command.tiers),
            units,
            outcome: outcome.map(held),
        });
    }

    /// How long a hold of these lines lives: as long as was asked; or else as the windows say that the lines came
    /// through, or the drop; at most `max_hold_life`, and what conduct allows.
    fn ttl(&self, lines: &[HoldLine]) -> Millis {
        let definition = &self.inner.definition;
        let usual = || usual_ttl(definition, self.inner.standing.as_deref(), lines.iter().copied());
        let ttl = self.command.ttl.unwrap_or_else(usual).min(definition.terms.max_hold_life);
        self.life_max().map_or(ttl, |life_max| ttl.min(life_max))
    }

    /// Whether the hold's life is not short, whichever windows it comes through.
    #[inline]
    fn lives_long(&self) -> bool {
        let of_windows = self.inner.standing.as_deref().and_then(Standing::shortest_hold_ttl);
        let usual = || {
            let of_drop = self.inner.definition.terms.hold_ttl;
            of_windows.map_or(of_drop, |of_windows| of_windows.min(of_drop))
        };
        let ttl = self.command.ttl.unwrap_or_else(usual).min(self.inner.definition.terms.max_hold_life);
        ttl >= SHORT_TTL && self.life_max().is_none_or(|life_max| life_max >= SHORT_TTL)
    }

    /// Brings the lines into the order in which a hold keeps them, those of one pool, window and price as one. Without
    /// rules they are in it.
    #[inline]
    pub(super) fn order(&self, shares: &mut Shares<'_>) {
        if shares.lines.len() > 1 && self.inner.standing.is_some() {
            order(&mut shares.lines);
        }
    }

    #[inline]
    pub(super) fn new_hold(&self, lines: &[HoldLine], extras: Option<Box<HoldExtras>>) -> Hold {
        let (created_at, expires_at) = match &self.superseded {
            None => (self.now, self.now.plus(self.ttl(lines))),
            Some(old) => self.life_of_successor(&old.hold, self.ttl(lines)),
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
            has_grace: false,
            revision: Lsn::default(),
            lines: Lines::from_slice(lines),
            extras,
        };
        fields.into()
    }
}

#[cold]
fn order(lines: &mut SmallVec<[HoldLine; 4]>) {
    lines.sort_unstable_by_key(|line| (line.item, line.pool, line.pinned));
    lines.dedup_by(|later, first| {
        let same = first.is_of_same_pool(later) && first.pinned == later.pinned;
        if same {
            first.quantity = first.quantity.saturating_add(later.quantity);
        }
        same
    });
}
