//! Limits as the verbs use them: for which subjects a request counts, and how a reached limit is shown.

use stockade_types::digest::DigestKey;
use stockade_types::hold::{Hold, HoldExtras, Identity, ShortLine};
use stockade_types::ids::{ItemNo, SubjectKey, TierId};
use stockade_types::time::{Millis, Timestamp};

use crate::answer::LimitHit;
use crate::attempt::{Attempt, Chore, Undecided};
use crate::command::Reserve;
use crate::inventory::limits::{ExcludedHold, LimitQuery, Purpose, Violation};
use crate::inventory::{DropScope, HoldSlot, Keys, Subject, Violations};
use crate::locked_hold::LockedHold;
use crate::verbs::reserve::ReserveRequest;

/// The subjects that limits count a reserve for.
#[derive(Clone)]
pub(crate) struct LimitSubjects {
    /// The customer, then the identities.
    pub(crate) keys: Keys,
    /// In the order of their subjects, which follow the customer's.
    pub(crate) identities: Vec<Identity>,
}

impl LimitSubjects {
    /// The subjects of a request in a drop. Identities are kept as hashes only; their values are not.
    #[inline]
    pub(crate) fn of(key: &DigestKey, scope: &DropScope, command: &Reserve) -> Self {
        let mut keys = Keys::from_buf([scope.customers(key).subject(&command.customer)]);
        if command.identities.is_empty() {
            return Self { keys, identities: Vec::new() };
        }
        let mut identities: Vec<Identity> = command
            .identities
            .iter()
            .map(|(kind, value)| Identity { kind: kind.clone(), subject: key.identity(&scope.shop, kind, value) })
            .collect();
        identities.sort_unstable();
        identities.dedup();
        keys.extend(identities.iter().map(|identity| identity.subject));
        Self { keys, identities }
    }

    /// The customer.
    #[inline]
    pub(crate) fn customer(&self) -> SubjectKey {
        self.keys.first().copied().unwrap_or(SubjectKey(0))
    }

    /// The same, followed by the subjects of the hold that the request supersedes: their usage changes too.
    pub(crate) fn with_subjects_of(&self, old: &Hold) -> Self {
        let mut counted = self.clone();
        for identity in old.identities() {
            if !counted.keys.contains(&identity.subject) {
                counted.keys.push(identity.subject);
            }
        }
        counted
    }
}

/// A hold of these subjects that is due: it must be given back before a limit may refuse.
pub(crate) fn due(subjects: &[Subject], now: Timestamp) -> Option<HoldSlot> {
    subjects.iter().find_map(|subject| subject.due(now))
}

/// A reached limit as an answer shows it, and when to ask again.
pub(crate) fn limit_hit(violation: &Violation<'_>, now: Timestamp) -> (LimitHit, Option<Millis>) {
    let Violation { limit, reason: _, max, used, over_at } = violation;
    let small = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    let limit = LimitHit {
        id: limit.id.clone(),
        scope: limit.scope,
        identity_kind: limit.identity_kind.clone(),
        max: small(*max),
        used: small(*used),
    };
    (limit, over_at.map(|at| now.until(at)))
}

impl ReserveRequest<'_> {
    /// Whether limits allow the whole request; nearly every request is decided by this. If it returns false, they may
    /// still allow it: see [`Self::violations`].
    #[inline]
    pub(super) fn fits_plainly(&self, subjects: &[Subject]) -> bool {
        self.is_unlimited() || self.query().fits_plainly(subjects)
    }

    /// What limits refuse of the request. With `over_limits`, which staff may set, nothing.
    pub(crate) fn violations(&self, subjects: &[Subject]) -> Violations<'_> {
        if self.is_unlimited() {
            return Violations::default();
        }
        let query = self.query();
        query.check(subjects, |item| self.place_of(self.inner.definition.sku(item)))
    }

    /// Whether no limit applies.
    #[inline]
    pub(crate) fn is_unlimited(&self) -> bool {
        let is_without = self.inner.definition.limits.is_empty() && self.conduct().is_empty();
        is_without || self.command.over_limits.is_some()
    }

    /// The request as limits check it. The hold that is superseded does not count: its units move to the new one, or go
    /// back.
    #[inline]
    pub(crate) fn query(&self) -> LimitQuery<'_> {
        LimitQuery {
            drop: self.drop,
            drop_table: self.drop_table,
            limits: &self.inner.definition.limits,
            conduct: self.conduct(),
            lines: &self.resolved.by_item,
            tiers: &self.command.tiers,
            identities: &self.resolved.limit_subjects.identities,
            now: self.now,
            purpose: match &self.superseded {
                None => Purpose::Reserve,
                Some(old) => Purpose::Instead(ExcludedHold { place: old.place, hold: &old.hold }),
            },
        }
    }

    /// What the hold keeps of the request's rare parts; none if there is nothing.
    #[inline]
    pub(crate) fn extras(&self, shorts: Vec<ShortLine>) -> Option<Box<HoldExtras>> {
        let Reserve { tiers, over_limits, over_windows, .. } = self.command;
        let overridden = over_limits.is_some() || over_windows.is_some();
        let names_no_one = tiers.is_empty() && self.resolved.limit_subjects.identities.is_empty();
        if names_no_one && !overridden && shorts.is_empty() && self.life_max().is_none() {
            return None;
        }
        self.rare_extras(shorts)
    }

    #[inline(never)]
    fn rare_extras(&self, shorts: Vec<ShortLine>) -> Option<Box<HoldExtras>> {
        let Reserve { tiers, over_limits, over_windows, .. } = self.command;
        let identities = &self.resolved.limit_subjects.identities;
        let limits = &self.inner.definition.limits;
        let named = |tier: &&TierId| limits.iter().any(|limit| limit.max_units_by_tier.contains_key(*tier));
        let tiers: Vec<TierId> = tiers.iter().filter(named).cloned().collect();
        let overridden = over_limits.is_some() || over_windows.is_some();
        let life_max = self.life_max().filter(|life| *life < self.inner.definition.terms.max_hold_life);
        if identities.is_empty() && tiers.is_empty() && !overridden && shorts.is_empty() && life_max.is_none() {
            return None;
        }
        Some(Box::new(HoldExtras {
            identities: identities.clone(),
            tiers,
            over_limits: over_limits.clone(),
            over_windows: over_windows.clone(),
            shorts,
            life_max,
            ..HoldExtras::default()
        }))
    }
}

/// Checks limits again for an expired hold that is claimed late. It is not a new reserve and it never becomes live,
/// so only bounds on units count, with the identities and tiers that the hold was made with. A hold that was
/// made with `over_limits` passes again.
pub(crate) fn late_limits<'a>(
    own: &'a LockedHold<'_, '_>,
    lines: &'a [(ItemNo, u32)],
    subjects: &[Subject],
    now: Timestamp,
) -> Attempt<Violations<'a>> {
    let Some(hold) = own.shard.get(own.place).filter(|hold| !hold.is_over_limits()) else {
        return Ok(Violations::default());
    };
    let query = LimitQuery {
        drop: own.drop,
        drop_table: own.drop_table,
        limits: &own.view.limits,
        // A late payment is for what was reserved already.
        conduct: &[],
        lines,
        tiers: hold.tiers(),
        identities: hold.identities(),
        now,
        purpose: Purpose::LateClaim { created_at: hold.created_at() },
    };
    let violations = query.check(subjects, ItemNo::index);
    match due(subjects, now) {
        Some(due) if !violations.is_empty() => Err(Undecided::Retry(Chore::SweepHold(due))),
        Some(_) | None => Ok(violations),
    }
}
