//! One limit, and what a subject has of what it covers, bound by bound.

use std::cmp::Reverse;

use smallvec::SmallVec;
use stockade_types::definition::{Limit, Scope};
use stockade_types::hold::Hold;
use stockade_types::ids::{DropNo, ItemNo};
use stockade_types::refusal::Reason;
use stockade_types::time::{Millis, Timestamp};

use super::aggregate::{LiveSet, ReservedUnits};
use super::check::{ExcludedHold, LimitQuery, Purpose, Violation};
use super::subject::Subject;
use crate::inventory::drop_entry::DropEntry;

/// What a limit covers: lines of the request, and usage of subjects.
#[derive(Debug)]
pub(super) struct Coverage<'q, 'a> {
    query: &'q LimitQuery<'a>,
    limit: &'a Limit,
    /// The item, if the limit counts each item by itself.
    item: Option<ItemNo>,
    /// The request's lines that it covers: at least one.
    lines: SmallVec<[(ItemNo, u32); 4]>,
}

/// One bound of a limit for one subject.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound<'c, 'a> {
    limit: &'a Limit,
    kind: BoundKind,
    max: u64,
    /// What the subject has, without this request.
    used: u64,
    /// The request's lines that it covers.
    pub(super) lines: &'c [(ItemNo, u32)],
    /// When the bound will no longer refuse this request, if it does now and that is known.
    over_at: Option<Timestamp>,
}

/// What a bound counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum BoundKind {
    /// Nothing: the subject's last reserve is too recent.
    Cooldown,
    /// Live holds.
    LiveHolds,
    /// Units of live holds.
    LiveUnits,
    /// Units held, in payment and claimed.
    Units,
}

impl Bound<'_, '_> {
    /// What the request adds to the count.
    pub(super) fn asked(&self) -> u64 {
        match self.kind {
            BoundKind::Cooldown | BoundKind::LiveHolds => 1,
            BoundKind::LiveUnits | BoundKind::Units => asked(self.lines),
        }
    }

    pub(super) fn is_violated(&self) -> bool {
        self.used.saturating_add(self.asked()) > self.max
    }

    /// Units that the subject may still have.
    pub(super) const fn left(&self) -> u64 {
        match self.kind {
            BoundKind::Cooldown | BoundKind::LiveHolds => 0,
            BoundKind::LiveUnits | BoundKind::Units => self.max.saturating_sub(self.used),
        }
    }

    /// Of one limit's hits the least by this order is shown: the line that the request names first, live holds before
    /// live units, and of several identities the one that has most.
    pub(super) fn report_order(&self, place: impl Fn(ItemNo) -> usize) -> (Option<usize>, BoundKind, Reverse<u64>) {
        let first = self.lines.iter().map(|(item, _)| place(*item)).min();
        (first, self.kind, Reverse(self.used))
    }

    pub(super) const fn reason(&self) -> Reason {
        match self.kind {
            BoundKind::Cooldown => Reason::Cooldown,
            BoundKind::LiveHolds | BoundKind::LiveUnits => Reason::TooManyHolds,
            BoundKind::Units => Reason::LimitReached,
        }
    }
}

impl<'a> Bound<'_, 'a> {
    /// The same bound of a rule that no longer applies from `at` on.
    pub(super) fn until(&self, at: Timestamp) -> Self {
        let over_at = self.is_violated().then(|| self.over_at.map_or(at, |over_at| over_at.min(at)));
        Self { over_at, ..*self }
    }

    pub(super) const fn violation(&self) -> Violation<'a> {
        let Self { limit, kind: _, max, used, lines: _, over_at } = *self;
        Violation { limit, reason: self.reason(), max, used, over_at }
    }
}

/// Whether a limit counts an item of this drop.
fn covers(limit: &Limit, drop: &DropEntry, item: ItemNo) -> bool {
    if limit.skus.is_empty() { drop.is_goods(item) } else { drop.sku(item).is_some_and(|sku| limit.covers(sku)) }
}

fn asked(lines: &[(ItemNo, u32)]) -> u64 {
    lines.iter().map(|(_, units)| u64::from(*units)).fold(0, u64::saturating_add)
}

/// The parts of a request that a limit counts separately.
pub(super) type Coverages<'q, 'a> = SmallVec<[Coverage<'q, 'a>; 1]>;

impl<'q, 'a> Coverage<'q, 'a> {
    /// The parts of a request that a limit counts separately: each item by itself, or all together; none if it covers
    /// none of the items.
    pub(super) fn each(query: &'q LimitQuery<'a>, limit: &'a Limit) -> Coverages<'q, 'a> {
        let covered = query.lines.iter().filter(|(item, _)| covers(limit, query.drop, *item)).copied();
        let mut covers = Coverages::new();
        match limit.scope {
            Scope::Item => covers.extend(covered.map(|line| Self {
                query,
                limit,
                item: Some(line.0),
                lines: SmallVec::from_slice(&[line]),
            })),
            Scope::Drop | Scope::Series | Scope::Shop => {
                let lines: SmallVec<_> = covered.collect();
                if !lines.is_empty() {
                    covers.push(Self { query, limit, item: None, lines });
                }
            }
        }
        covers
    }

    /// Whether units of this item, in any drop, count.
    fn counts(&self, drop: DropNo, item: ItemNo) -> bool {
        let ours = || drop == self.query.drop.number;
        let known = |drop: &DropEntry| match self.limit.scope {
            Scope::Item => ours() && self.item == Some(item),
            Scope::Drop => ours() && covers(self.limit, drop, item),
            Scope::Series => drop.scope.series == self.query.drop.scope.series && covers(self.limit, drop, item),
            // A subject belongs to one shop, so all that it has is in this shop.
            Scope::Shop => covers(self.limit, drop, item),
        };
        self.query.drop_table.drop(drop).is_some_and(known)
    }

    /// Visits the limit's bounds in the order in which they are shown.
    pub(super) fn each_bound(
        &self,
        subject: &Subject,
        excluded: Option<ExcludedHold<'a>>,
        f: &mut impl FnMut(&Bound<'_, 'a>),
    ) {
        let of = |kind, max: u32, used| Bound {
            limit: self.limit,
            kind,
            max: u64::from(max),
            used,
            lines: &self.lines,
            over_at: None,
        };
        let report = |bound: Bound<'_, 'a>,
                      over_at: &dyn Fn(&Bound<'_, 'a>) -> Option<Timestamp>,
                      f: &mut dyn FnMut(&Bound<'_, 'a>)| {
            let over_at = if bound.is_violated() { over_at(&bound) } else { None };
            f(&Bound { over_at, ..bound });
        };
        let late = match self.query.purpose {
            Purpose::LateClaim { created_at } => Some(created_at),
            Purpose::Reserve | Purpose::Instead(_) => None,
        };
        if late.is_none() {
            if let Some(cooldown) = self.limit.cooldown
                && let Some(over_at) = self.cooling_until(subject, excluded, cooldown)
            {
                report(of(BoundKind::Cooldown, 0, 0), &|_| Some(over_at), f);
            }
            if let Some(max) = self.limit.max_live_holds {
                let (used, next) = self.live_holds(subject, excluded);
                report(of(BoundKind::LiveHolds, max, used), &|_| next.filter(|_| max > 0), f);
            }
            if let Some(max) = self.limit.max_live_units {
                let used = self.live_units(subject, excluded);
                let may_ever_fit = asked(&self.lines) <= u64::from(max);
                let next = || self.live_holds(subject, excluded).1;
                report(of(BoundKind::LiveUnits, max, used), &|_| if may_ever_fit { next() } else { None }, f);
            }
        }
        let Some(max) = self.limit.units_for(self.query.tiers) else { return };
        match self.limit.rolling {
            None => f(&of(BoundKind::Units, max, self.units(subject, excluded))),
            // Units of a hold that has left the window are not counted.
            Some(span) if late.is_some_and(|created_at| created_at.plus(span) <= self.query.now) => {}
            Some(span) => {
                let window = self.window(subject, excluded, span);
                let used = window.iter().map(|(_, units)| *units).fold(0, u64::saturating_add);
                // A late claim also passes once its own units have left the window.
                let left = late.map(|created_at| created_at.plus(span));
                let over_at = |bound: &Bound<'_, 'a>| bound.leaves_room(&window, span).into_iter().chain(left).min();
                report(of(BoundKind::Units, max, used), &over_at, f);
            }
        }
    }

    /// Until when the subject's last reserve prevents the next, if it does now.
    fn cooling_until(&self, subject: &Subject, excluded: Option<ExcludedHold<'_>>, span: Millis) -> Option<Timestamp> {
        let mut last = None;
        subject.each_since(first_within(self.query.now, span), |made| {
            let others = made.holds.saturating_sub(u32::from(excluded.is_some_and(|excluded| excluded.made(&made))));
            if others > 0 && self.counts(made.drop, made.item) {
                last = Some(made.at.plus(span));
            }
            last.is_none()
        });
        last.filter(|until| self.query.now < *until)
    }

    /// Live holds with a unit that counts, and their earliest deadline.
    fn live_holds(&self, subject: &Subject, excluded: Option<ExcludedHold<'_>>) -> (u64, Option<Timestamp>) {
        let (mut count, mut next): (u64, Option<Timestamp>) = (0, None);
        subject.each_live_set(|LiveSet { drop, items, count: more, first, second }| {
            if items.iter().any(|item| self.counts(drop, *item)) {
                count = count.saturating_add(u64::try_from(more).unwrap_or(u64::MAX));
                let excepted = excluded.is_some_and(|excluded| excluded.place == first.1);
                if let Some((at, _)) = if excepted { second } else { Some(first) } {
                    next = Some(next.map_or(at, |next| next.min(at)));
                }
            }
        });
        let counts = |hold: &Hold| {
            hold.state.is_live()
                && hold.lines().iter().any(|line| line.quantity > 0 && self.counts(hold.drop, line.item))
        };
        let excepted = u64::from(excluded.is_some_and(|excluded| counts(excluded.hold)));
        (count.saturating_sub(excepted), next)
    }

    fn live_units(&self, subject: &Subject, excluded: Option<ExcludedHold<'_>>) -> u64 {
        let live = excluded.filter(|excluded| excluded.hold.state.is_live());
        self.sum(subject, |live, _| live).saturating_sub(self.units_in(live))
    }

    fn units(&self, subject: &Subject, excluded: Option<ExcludedHold<'_>>) -> u64 {
        self.sum(subject, u64::saturating_add).saturating_sub(self.units_in(excluded))
    }

    fn sum(&self, subject: &Subject, of: impl Fn(u64, u64) -> u64) -> u64 {
        let mut units = 0_u64;
        subject.each_sum(|sum| {
            if self.counts(sum.drop, sum.item) {
                units = units.saturating_add(of(sum.live, sum.owned));
            }
        });
        units
    }

    /// The hold's units that count.
    fn units_in(&self, hold: Option<ExcludedHold<'_>>) -> u64 {
        let Some(ExcludedHold { place: _, hold }) = hold.filter(|excluded| !excluded.hold.state.is_ended()) else {
            return 0;
        };
        let counted = hold.lines().iter().filter(|line| self.counts(hold.drop, line.item));
        counted.map(|line| u64::from(line.quantity)).fold(0, u64::saturating_add)
    }

    /// What was reserved within a span and is still held or claimed, newest first.
    fn window(
        &self,
        subject: &Subject,
        excluded: Option<ExcludedHold<'_>>,
        span: Millis,
    ) -> SmallVec<[(Timestamp, u64); 4]> {
        let mut window = SmallVec::new();
        subject.each_owned_since(first_within(self.query.now, span), |made| {
            let excepted = excluded.map_or(0, |excluded| excluded.units_of(&made));
            let units = made.units.saturating_sub(excepted);
            if units > 0 && self.counts(made.drop, made.item) {
                window.push((made.at, units));
            }
        });
        window
    }
}

impl Bound<'_, '_> {
    /// When enough of the window has passed for the request; none if it asks for more than the bound allows at all.
    fn leaves_room(&self, window: &[(Timestamp, u64)], span: Millis) -> Option<Timestamp> {
        let mut used = self.used;
        let mut oldest_first = window.iter().rev();
        oldest_first.find_map(|(at, units)| {
            used = used.saturating_sub(*units);
            (used.saturating_add(self.asked()) <= self.max).then(|| at.plus(span))
        })
    }
}

impl ExcludedHold<'_> {
    /// Whether it is one of the holds that were made at this instant with units of this item.
    fn made(&self, made: &ReservedUnits) -> bool {
        let Self { place: _, hold } = self;
        (hold.created_at(), hold.drop) == (made.at, made.drop) && hold.lines().iter().any(|line| line.item == made.item)
    }

    fn units_of(&self, made: &ReservedUnits) -> u64 {
        if !self.made(made) || self.hold.state.is_ended() {
            return 0;
        }
        let lines = self.hold.lines().iter().filter(|line| line.item == made.item);
        lines.map(|line| u64::from(line.quantity)).fold(0, u64::saturating_add)
    }
}

/// The first instant later than `now - span`: what was made then counts until `span` after it.
pub(super) const fn first_within(now: Timestamp, span: Millis) -> Timestamp {
    Timestamp(now.0.saturating_add(1).saturating_sub(span.0))
}
