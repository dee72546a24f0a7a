//! Limits as the verbs meet them: what is asked for whom, and how a hit is told.

use stockade_types::digest::DigestKey;
use stockade_types::hold::{Hold, Identity, Rare, ShortLine};
use stockade_types::ids::{ItemNo, TierId};
use stockade_types::time::{Millis, Timestamp};

use super::OwnHold;
use super::answer::LimitHit;
use super::attempt::{Attempt, Chore, Undecided};
use super::command::Reserve;
use super::reserve::Request;
use crate::inventory::limits::{Ask, Except, Hit, Purpose};
use crate::inventory::{Broken, DropScope, HoldRef, Keys, Subject};

/// Whom limits count a reserve for.
#[derive(Clone)]
pub(super) struct Counted {
    /// The customer, then the identities.
    pub(super) keys: Keys,
    /// In the order of their subjects behind the customer's.
    pub(super) identities: Vec<Identity>,
}

impl Counted {
    /// Of a request in a drop: the identities' values end here, only their hashes go on.
    #[inline]
    pub(super) fn of(key: &DigestKey, scope: &DropScope, command: &Reserve) -> Self {
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

    /// As this, with the subjects of a hold that the request takes the place of behind the others: theirs change too.
    pub(super) fn with_subjects_of(&self, old: &Hold) -> Self {
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
pub(super) fn due(subjects: &[Subject], now: Timestamp) -> Option<HoldRef> {
    subjects.iter().find_map(|subject| subject.due(now))
}

/// A hit as it is told, and when it may be worth asking again.
pub(super) fn told(hit: &Hit<'_>, now: Timestamp) -> (LimitHit, Option<Millis>) {
    let Hit { limit, reason: _, max, used, over_at } = hit;
    let small = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    let hit = LimitHit {
        id: limit.id.clone(),
        scope: limit.scope,
        identity_kind: limit.identity_kind.clone(),
        max: small(*max),
        used: small(*used),
    };
    (hit, over_at.map(|at| now.until(at)))
}

impl Request<'_> {
    /// What limits refuse of the request. Staff may step over them all.
    pub(super) fn broken(&self, subjects: &[Subject]) -> Broken<'_> {
        if self.is_unlimited() {
            return Broken::default();
        }
        let ask = self.ask();
        if ask.fits_plainly(subjects) {
            return Broken::default();
        }
        ask.check(subjects, |item| self.place_of(self.running.definition.sku(item)))
    }

    /// Whether no limit is asked.
    pub(super) fn is_unlimited(&self) -> bool {
        self.running.definition.limits.is_empty() || self.command.over_limits.is_some()
    }

    /// The request, as limits look at it. The hold that is to be superseded does not count: its units go over to the
    /// new one, or back.
    #[inline]
    pub(super) fn ask(&self) -> Ask<'_> {
        Ask {
            drop: self.drop,
            roster: self.roster,
            limits: &self.running.definition.limits,
            lines: &self.asked.lines,
            tiers: &self.command.tiers,
            identities: &self.asked.counted.identities,
            now: self.now,
            purpose: match &self.old {
                None => Purpose::Reserve,
                Some(old) => Purpose::Instead(Except { place: old.place, hold: &old.hold }),
            },
        }
    }

    /// What of the request few have, for its hold.
    pub(super) fn rare(&self, shorts: Vec<ShortLine>) -> Option<Box<Rare>> {
        let Reserve { tiers, over_limits, .. } = self.command;
        let identities = &self.asked.counted.identities;
        if identities.is_empty() && tiers.is_empty() && over_limits.is_none() && shorts.is_empty() {
            return None;
        }
        let limits = &self.running.definition.limits;
        let named = |tier: &&TierId| limits.iter().any(|limit| limit.max_units_by_tier.contains_key(*tier));
        let rare = Rare {
            identities: identities.clone(),
            tiers: tiers.iter().filter(named).cloned().collect(),
            over_limits: over_limits.clone(),
            shorts,
            ..Rare::default()
        };
        (rare != Rare::default()).then(|| Box::new(rare))
    }
}

/// Checks limits again for an expired hold that is claimed. It is no new reserve, and its units are never live: only
/// the bounds on units count, with the identities and tiers that it was made with. A hold that staff stepped over
/// the limits for is let through again.
pub(super) fn late_limits<'a>(
    own: &'a OwnHold<'_, '_>,
    lines: &'a [(ItemNo, u32)],
    subjects: &[Subject],
    now: Timestamp,
) -> Attempt<Broken<'a>> {
    let Some(hold) = own.shard.get(own.place).filter(|hold| !hold.is_over_limits()) else {
        return Ok(Broken::default());
    };
    let ask = Ask {
        drop: own.drop,
        roster: own.roster,
        limits: &own.view.limits,
        lines,
        tiers: hold.tiers(),
        identities: hold.identities(),
        now,
        purpose: Purpose::LateClaim { created_at: hold.created_at() },
    };
    let broken = ask.check(subjects, ItemNo::index);
    match due(subjects, now) {
        Some(due) if !broken.is_empty() => Err(Undecided::Retry(Chore::SweepHold(due))),
        Some(_) | None => Ok(broken),
    }
}
