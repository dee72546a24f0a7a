//! Checks whether subjects may have what a request asks for.
//!
//! Every limit is checked, in the drop's order, for each subject that it counts. The hit that is shown is the first
//! that refuses, cooldowns before live holds before units. What is left of a line is the least that any limit leaves.
//! Nothing is changed here.

use smallvec::SmallVec;
use stockade_types::definition::{Limit, Scope};
use stockade_types::hold::{Hold, Identity};
use stockade_types::ids::{ItemNo, TierId};
use stockade_types::refusal::Reason;
use stockade_types::time::Timestamp;

use super::bound::{Bound, Coverage};
use super::conduct::ActiveConduct;
use super::subject::Subject;
use crate::inventory::drop_entry::DropEntry;
use crate::inventory::drops::DropTable;
use crate::inventory::holds::HoldSlot;

/// A request, as limits check it.
#[derive(Debug, Clone, Copy)]
pub struct LimitQuery<'a> {
    /// Its drop.
    pub drop: &'a DropEntry,
    /// All drops.
    pub drop_table: DropTable<'a>,
    /// The drop's limits, in its order.
    pub limits: &'a [Limit],
    /// The rules of conduct that apply: their bounds are checked like those of limits.
    pub conduct: &'a [ActiveConduct<'a>],
    /// Units of each item, ascending by item.
    pub lines: &'a [(ItemNo, u32)],
    /// The customer's tiers.
    pub tiers: &'a [TierId],
    /// The customer's identities; their subjects follow the customer's, in this order.
    pub identities: &'a [Identity],
    /// The instant of the request.
    pub now: Timestamp,
    /// What the units are for.
    pub purpose: Purpose<'a>,
}

/// What units are asked for.
#[derive(Debug, Clone, Copy)]
pub enum Purpose<'a> {
    /// For a new hold.
    Reserve,
    /// For a new hold that supersedes this one: the old hold's units and its reserve do not count.
    Instead(ExcludedHold<'a>),
    /// For the late claim of an expired hold. It is no new reserve, and its units are never live.
    LateClaim {
        /// When the hold was made.
        created_at: Timestamp,
    },
}

/// A hold that does not count.
#[derive(Debug, Clone, Copy)]
pub struct ExcludedHold<'a> {
    /// Where it lives.
    pub place: HoldSlot,
    /// The hold.
    pub hold: &'a Hold,
}

/// A line that limits would refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViolatedLine {
    /// Which item.
    pub item: ItemNo,
    /// Why: the first reason, in the documented order.
    pub reason: Reason,
    /// Units of this line that the subjects could have now: the least that any limit leaves.
    pub left: u32,
}

/// The hit that is shown.
#[derive(Debug, Clone, Copy)]
pub struct Violation<'d> {
    /// The limit.
    pub limit: &'d Limit,
    /// The reason of the refusal.
    pub reason: Reason,
    /// Most units or holds; 0 for a cooldown.
    pub max: u64,
    /// Units or holds that the subject has, without this request; 0 for a cooldown.
    pub used: u64,
    /// When no limit will refuse for this reason any more, if that is known.
    pub over_at: Option<Timestamp>,
}

/// What limits refuse of a request; empty if they allow all of it.
#[derive(Debug, Default)]
pub struct Violations<'d> {
    /// Lines that they refuse, ascending by item.
    pub lines: SmallVec<[ViolatedLine; 2]>,
    /// The hit that is shown.
    pub reported: Option<Violation<'d>>,
}

impl Violations<'_> {
    /// Whether limits allow the whole request.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.reported.is_none()
    }

    /// The line of this item, if it is refused.
    #[must_use]
    pub fn line(&self, item: ItemNo) -> Option<&ViolatedLine> {
        self.lines.iter().find(|line| line.item == item)
    }
}

impl<'a> LimitQuery<'a> {
    /// What limits refuse of the request. `place` returns where the request names an item: of one limit's hits that of
    /// the first item is shown. `subjects` are the customer, then the identities.
    #[must_use]
    pub fn check(&self, subjects: &[Subject], place: impl Fn(ItemNo) -> usize) -> Violations<'a> {
        let mut violations = Violations::default();
        for counted in self.counted() {
            let mut violations_found: SmallVec<[_; 2]> = SmallVec::new();
            self.each_bound(counted, subjects, |bound| {
                if bound.is_violated() {
                    bound.lines.iter().for_each(|line| violations.note_line(bound, *line));
                    violations_found.push((bound.report_order(&place), bound.violation()));
                }
            });
            violations_found.sort_unstable_by_key(|(first, _)| *first);
            violations_found.into_iter().for_each(|(_, violation)| violations.note_violation(violation));
        }
        violations.lines.sort_unstable_by_key(|line| line.item);
        violations
    }

    /// Whether all limits are of the usual kind and allow all of it: a fast check before [`LimitQuery::check`].
    #[inline]
    #[must_use]
    pub fn fits_plainly(&self, subjects: &[Subject]) -> bool {
        let reserve = match self.purpose {
            Purpose::Reserve => true,
            Purpose::Instead(_) | Purpose::LateClaim { .. } => false,
        };
        let Some(customer) = subjects.first() else { return self.limits.is_empty() };
        self.conduct.is_empty()
            && self.limits.iter().all(|limit| reserve && limit.is_plain() && self.fits(limit, customer))
    }

    /// How many units of a line limits allow in addition to what was granted already, each item once, and the reason if
    /// that is not all of it.
    #[must_use]
    pub fn room(
        &self,
        subjects: &[Subject],
        granted: &[(ItemNo, u32)],
        (item, wanted): (ItemNo, u32),
    ) -> (u32, Option<Reason>) {
        let mut lines: SmallVec<[(ItemNo, u32); 4]> = granted.into();
        add_units(&mut lines, (item, wanted));
        let query = LimitQuery { lines: &lines, ..*self };
        let mut room = (wanted, None);
        for counted in self.counted() {
            query.each_bound(counted, subjects, |bound| {
                if bound.lines.iter().any(|(covered, _)| *covered == item) && bound.is_violated() {
                    let others = bound.asked().saturating_sub(u64::from(wanted));
                    let left = bound.left().saturating_sub(others);
                    let reason = bound.reason();
                    room.0 = room.0.min(u32::try_from(left).unwrap_or(u32::MAX));
                    room.1 = Some(room.1.map_or(reason, |first: Reason| first.min(reason)));
                }
            });
        }
        room
    }

    /// Checks a limit of the usual kind: units of the drop or of each item, and nothing else.
    #[inline]
    fn fits(&self, limit: &Limit, customer: &Subject) -> bool {
        let Some(max) = limit.max_units.map(u64::from) else { return false };
        let drop = self.drop.number;
        match limit.scope {
            Scope::Item => {
                let mut lines = self.lines.iter();
                lines.all(|(item, units)| customer.units(drop, Some(*item)).saturating_add(u64::from(*units)) <= max)
            }
            Scope::Drop => {
                let asked = self.lines.iter().map(|(_, units)| u64::from(*units)).fold(0, u64::saturating_add);
                customer.units(drop, None).saturating_add(asked) <= max
            }
            Scope::Series | Scope::Shop => false,
        }
    }

    /// The limits, then the rules of conduct that apply.
    fn counted(&self) -> impl Iterator<Item = CountedLimit<'a>> + use<'a> {
        let limits = self.limits.iter().map(|limit| CountedLimit { limit, active: &[] });
        let of_rule = self.conduct.chunk_by(|one, other| std::ptr::eq(one.rule, other.rule));
        limits.chain(of_rule.filter_map(|active| Some(CountedLimit { limit: &active.first()?.rule.limit, active })))
    }

    /// Visits each bound of a limit, for each subject that it counts, that covers a part of the request.
    fn each_bound(
        &self,
        CountedLimit { limit, active }: CountedLimit<'a>,
        subjects: &[Subject],
        mut f: impl FnMut(&Bound<'_, 'a>),
    ) {
        let excluded = match self.purpose {
            Purpose::Instead(excluded) => Some(excluded),
            Purpose::Reserve | Purpose::LateClaim { .. } => None,
        };
        let covers = Coverage::each(self, limit);
        for ActiveConduct { rule: _, subject, over_at } in active {
            let Some(counted) = subjects.get(*subject) else { continue };
            let identity = subject.checked_sub(1).and_then(|place| self.identities.get(place));
            let counts = |of: &ExcludedHold<'_>| identity.is_none_or(|own| of.hold.identities().contains(own));
            let excluded = excluded.filter(counts);
            covers.iter().for_each(|cover| cover.each_bound(counted, excluded, &mut |bound| f(&bound.until(*over_at))));
        }
        if !active.is_empty() {
            return;
        }
        let Some(kind) = &limit.identity_kind else {
            if let Some(customer) = subjects.first() {
                covers.iter().for_each(|cover| cover.each_bound(customer, excluded, &mut f));
            }
            return;
        };
        let identities = self.identities.iter().zip(subjects.iter().skip(1));
        for (identity, subject) in identities.filter(|(identity, _)| identity.kind == *kind) {
            let excluded = excluded.filter(|excluded| excluded.hold.identities().contains(identity));
            covers.iter().for_each(|cover| cover.each_bound(subject, excluded, &mut f));
        }
    }
}

/// A limit to check, or the bounds of a rule of conduct, which count for the subjects to which it applies.
#[derive(Clone, Copy)]
struct CountedLimit<'a> {
    limit: &'a Limit,
    /// Empty for a limit.
    active: &'a [ActiveConduct<'a>],
}

/// Adds units of an item to a list that has each item once.
pub(crate) fn add_units(lines: &mut SmallVec<[(ItemNo, u32); 4]>, (item, more): (ItemNo, u32)) {
    match lines.iter_mut().find(|(known, _)| *known == item) {
        Some((_, units)) => *units = units.saturating_add(more),
        None => lines.push((item, more)),
    }
}

impl<'d> Violations<'d> {
    /// Notes that a bound refuses a line.
    fn note_line(&mut self, bound: &Bound<'_, 'd>, (item, wanted): (ItemNo, u32)) {
        let left = u32::try_from(bound.left()).unwrap_or(u32::MAX).min(wanted);
        match self.lines.iter_mut().find(|line| line.item == item) {
            Some(line) => {
                line.left = left.min(line.left);
                line.reason = line.reason.min(bound.reason());
            }
            None => self.lines.push(ViolatedLine { item, reason: bound.reason(), left }),
        }
    }

    /// Notes a hit. Reasons are shown in the order of their numbers; of one reason the first hit is shown.
    fn note_violation(&mut self, violation: Violation<'d>) {
        match &mut self.reported {
            Some(reported) if reported.reason < violation.reason => {}
            // Before the last of these hits is over, the request would be refused again.
            Some(reported) if reported.reason == violation.reason => {
                reported.over_at = reported.over_at.zip(violation.over_at).map(|(one, other)| one.max(other));
            }
            Some(_) | None => self.reported = Some(violation),
        }
    }
}
