//! What a subject did lately that rules of conduct count, and which rules apply to it because of that.
//!
//! All of it follows from the remembered holds, from the returns of archived drops, and from facts. A hold that is due counts once
//! it is given back: the caller gives back a subject's due holds before it asks.

use std::cmp::Reverse;

use smallvec::SmallVec;
use stockade_types::definition::{Conduct, ConductRule};
use stockade_types::hold::{HoldState, Identity};
use stockade_types::ids::{OrderKey, TierId, ZoneId};
use stockade_types::invariant;
use stockade_types::time::Timestamp;

use super::bound::first_within;
use super::sorted::Sorted;
use super::subject::Subject;

/// How many holds did something, by the instant at which they did.
pub(super) type Instants = Sorted<Timestamp, u32>;

/// What the holds of one subject did.
#[derive(Debug, Default)]
pub(super) struct ConductLog {
    pub(super) unclaimed: Instants,
    pub(super) returned: Instants,
}

/// What a hold did, and when.
pub(super) type Deed = (Conduct, Timestamp);

/// What a hold in this state did at `at`.
pub(super) const fn deed(state: HoldState, at: Timestamp) -> Deed {
    match state {
        HoldState::Released | HoldState::Expired => (Conduct::UnclaimedHolds, at),
        HoldState::Held | HoldState::Paying | HoldState::Claimed => (Conduct::Returns, at),
    }
}

impl ConductLog {
    /// Enters the change of a hold.
    pub(super) fn enter(&mut self, before: Option<Deed>, after: Option<Deed>) {
        if before == after {
            return;
        }
        for (deed, change) in [(before, -1), (after, 1)] {
            let Some((counts, at)) = deed else { continue };
            if let Some(instants) = self.of_mut(counts) {
                add(instants, at, change);
            }
        }
    }

    /// None for what facts alone tell.
    pub(super) const fn of(&self, counts: Conduct) -> Option<&Instants> {
        match counts {
            Conduct::UnclaimedHolds => Some(&self.unclaimed),
            Conduct::Returns => Some(&self.returned),
            Conduct::Cancellations | Conduct::Chargebacks => None,
        }
    }

    const fn of_mut(&mut self, counts: Conduct) -> Option<&mut Instants> {
        match counts {
            Conduct::UnclaimedHolds => Some(&mut self.unclaimed),
            Conduct::Returns => Some(&mut self.returned),
            Conduct::Cancellations | Conduct::Chargebacks => None,
        }
    }
}

/// Adds holds that did something at an instant, or takes them out.
pub(super) fn add(instants: &mut Instants, at: Timestamp, change: i32) {
    let known = instants.get(&at).unwrap_or_default();
    let counted = known.checked_add_signed(change);
    invariant!(let Some(counted) = counted, "{known} holds of a subject did something at {at}, and {change} more");
    instants.set(at, Some(counted).filter(|counted| *counted > 0));
}

/// Each hold by itself, oldest first.
pub(super) fn each(instants: &Instants) -> impl Iterator<Item = Timestamp> {
    instants.iter().flat_map(|(at, count)| (0..count).map(move |_| at))
}

/// When the `nth` newest hold or order did it, among those that did it at `from` or later; none if fewer did. `orders`
/// are ascending.
pub(super) fn nth_newest<'a>(
    sources: impl IntoIterator<Item = &'a Instants>,
    orders: &[(Timestamp, OrderKey)],
    from: Timestamp,
    nth: u32,
) -> Option<Timestamp> {
    let most = usize::try_from(nth).unwrap_or(usize::MAX);
    let of_orders = orders.iter().rev().map(|(at, _)| *at).take_while(|at| *at >= from).take(most);
    let mut newest: SmallVec<[(Timestamp, u32); 8]> = of_orders.map(|at| (at, 1)).collect();
    for instants in sources {
        let mut seen = 0_u32;
        instants.each_down_to(&from, |at, count| {
            newest.push((at, count));
            seen = seen.saturating_add(count);
            seen < nth
        });
    }
    newest.sort_unstable_by_key(|(at, _)| Reverse(*at));
    let mut left = nth;
    newest.into_iter().find_map(|(at, count)| {
        left = left.saturating_sub(count);
        (left == 0).then_some(at)
    })
}

/// A rule of conduct that applies to one subject of a request.
#[derive(Debug, Clone, Copy)]
pub struct ActiveConduct<'a> {
    /// The rule.
    pub rule: &'a ConductRule,
    /// The subject's place: the customer, then the identities.
    pub subject: usize,
    /// When it no longer applies, if the subject does nothing more.
    pub over_at: Timestamp,
}

/// The rules that apply to a request's subjects: to the customer or to identities of the kind that a rule names.
#[must_use]
pub fn active_conduct<'a>(
    rules: &'a [ConductRule],
    (subjects, identities): (&[Subject], &[Identity]),
    (tiers, zones): (&[TierId], &[ZoneId]),
    now: Timestamp,
) -> Vec<ActiveConduct<'a>> {
    let mut active = Vec::new();
    for rule in rules.iter().filter(|rule| rule.audience.contains(tiers, zones)) {
        let of_kind = |subject: usize| match (&rule.limit.identity_kind, subject.checked_sub(1)) {
            (None, place) => place.is_none(),
            (Some(kind), place) => place.and_then(|place| identities.get(place)).is_some_and(|of| of.kind == *kind),
        };
        for (place, subject) in subjects.iter().enumerate().filter(|(place, _)| of_kind(*place)) {
            let from = first_within(now, rule.within);
            if let Some(at) = subject.nth_newest(rule.counts, from, rule.at_least) {
                active.push(ActiveConduct { rule, subject: place, over_at: at.plus(rule.within) });
            }
        }
    }
    active
}
