//! How a reserve is refused: which lines can't be served and why, and when to ask again.

use smallvec::SmallVec;
use stockade_types::ids::Sku;
use stockade_types::refusal::{Reason, Rule};
use stockade_types::time::{Millis, Timestamp};

use crate::answer::{LimitHit, Outcome, Refusal};
use crate::attempt::{Attempt, Chore, Decided, Undecided};
use crate::command::Operation;
use crate::inventory::{Pool, Subject, Violations};
use crate::locked_hold::LockedHold;
use crate::refusals::{NumberedLine, Refused};
use crate::verbs::reserve::limits::{due, limit_hit};
use crate::verbs::reserve::{Line, LineShort, ReserveRequest, ReserveResult, ResolvedLine, Shorts};

/// Lines that can't be served.
pub(super) type RefusedLines = SmallVec<[NumberedLine; 2]>;

impl ReserveRequest<'_> {
    /// Refuses for lack of stock, and names the lines that limits would refuse as well.
    pub(crate) fn sold_out(&self, shorts: &[LineShort]) -> Attempt<ReserveResult> {
        // The most frequent refusal: one line, nothing left. Limits can't make it less, so no subject is locked.
        if let [(_, 0)] = shorts
            && self.resolved.count() == 1
            && self.superseded.is_none()
        {
            return Ok(self.refuse_stock(shorts, &[]));
        }
        self.engine.inventory.subjects.with(&self.resolved.limit_subjects.keys, |subjects| {
            // A due hold must not be shown as the reason.
            if let Some(due) = due(subjects, self.now) {
                return Err(Undecided::Retry(Chore::SweepHold(due)));
            }
            self.find_conduct(subjects)?;
            Ok(self.refuse_stock(shorts, subjects))
        })
    }

    /// A limit would refuse. Due holds go back first, and stock is checked again, exactly: the first look can't see a
    /// shortage while units are spread, and `SOLD_OUT` has precedence over limits.
    pub(crate) fn over_limit(&self, violations: &Violations<'_>, subjects: &[Subject]) -> Attempt<ReserveResult> {
        if let Some(due) = due(subjects, self.now) {
            return Err(Undecided::Retry(Chore::SweepHold(due)));
        }
        let shorts = self.probe()?;
        Ok(if shorts.is_empty() { self.limited(violations) } else { self.refuse_stock(&shorts, subjects) })
    }

    /// Refuses for lack of stock. `shorts` are known to be short; other short lines of the cart are found here, as far
    /// as nothing is in doubt.
    pub(crate) fn refuse_stock(&self, shorts: &[LineShort], subjects: &[Subject]) -> ReserveResult {
        let all;
        let shorts = if shorts.len() == self.resolved.count() {
            shorts
        } else {
            all = self.all_shorts(shorts);
            all.as_slice()
        };
        // Limits are checked only if subjects were passed in.
        let violations = if subjects.is_empty() { Violations::default() } else { self.violations(subjects) };
        let mut lines = RefusedLines::new();
        for (place, line) in self.resolved.lines().enumerate() {
            if let Some(refused) = self.not_offered_at(place) {
                lines.push(refused);
                continue;
            }
            let short = shorts.iter().find(|(short, _)| *short == place);
            let limited = violations.line(line.item);
            let (reason, free) = match (short, limited) {
                // Units in the hold that is superseded are available to the customer, too.
                (Some((_, free)), _) => {
                    let there = free.saturating_add(u64::from(self.own(line)));
                    (Reason::SoldOut, u32::try_from(there).unwrap_or(u32::MAX))
                }
                (None, Some(limited)) => (limited.reason, line.units),
                (None, None) => continue,
            };
            let available = free.min(limited.map_or(u32::MAX, |line| line.left));
            lines.push(refused_line(line, reason, available));
        }
        // Worth another try once every short line may have units again; never if one has nothing held and nothing to
        // come. A rule that fires at a level of stock or by hand may bring units at an instant that is not known.
        let (mut retry_at, mut may_come_back) = (Timestamp(0), true);
        for short in shorts {
            let (at, by_trigger) = self.back_at(*short);
            retry_at = retry_at.max(at);
            may_come_back &= at != Timestamp::NEVER || by_trigger;
        }
        let retry_after = (retry_at != Timestamp::NEVER).then(|| self.now.until(retry_at));
        let free = shorts.first().map(|(_, free)| u32::try_from(*free).unwrap_or(u32::MAX));
        self.refuse_with((Reason::SoldOut, Rule::Stock { free }), (retry_after, may_come_back), lines, None)
    }

    fn all_shorts(&self, certain: &[LineShort]) -> Shorts {
        let mut shorts = Shorts::from(certain);
        for line in self.lines().filter(|line| line.needs() > 0) {
            let known = shorts.iter().any(|(place, _)| *place == line.place);
            // Lines in doubt may still be served: they are not named.
            if !known
                && self.not_offered_by(line).is_none()
                && let Ok(Err(free)) = self.probe_at(line)
            {
                shorts.push((line.place, free));
            }
        }
        shorts
    }

    /// When units of a short line may come back: the next deadline of the pools that it may draw on, or the instant at
    /// which a rule may bring some; and whether a rule may do so at an instant that is not known. The deadline of the
    /// hold that is superseded does not count: its units are the customer's already.
    fn back_at(&self, (place, free): LineShort) -> (Timestamp, bool) {
        let Some(line) = self.lines().nth(place) else { return (Timestamp::NEVER, false) };
        let (later, by_trigger) = self.later(line.item, line.named);
        (self.given_back_at(line, free).min(later), by_trigger)
    }

    fn given_back_at(&self, line: Line<'_>, free: u64) -> Timestamp {
        let of = |pool: &Pool| {
            self.superseded.as_ref().map_or_else(|| pool.next_due(), |old| pool.next_due_without(old.place))
        };
        let next_due = || line.earliest(of);
        match next_due() {
            // Units were taken and their hold is being made at this instant: assume the drop's usual hold time.
            Timestamp::NEVER if line.is_being_taken_from(free) => self.now.plus(self.inner.definition.terms.hold_ttl),
            // The hold may have been entered between the two reads: then its deadline is in the queue by now.
            Timestamp::NEVER => next_due(),
            next => next,
        }
    }

    /// Refuses because of limits, naming every line that they refuse.
    pub(crate) fn limited(&self, violations: &Violations<'_>) -> ReserveResult {
        let limited = |(place, line): (usize, ResolvedLine)| {
            let by_limit = || violations.line(line.item).map(|by| refused_line(line, by.reason, by.left));
            self.not_offered_at(place).or_else(by_limit)
        };
        let lines = self.resolved.lines().enumerate().filter_map(limited).collect();
        let reason = violations.reported.as_ref().map_or(Reason::LimitReached, |violation| violation.reason);
        let (limit, retry_after) = violations.reported.as_ref().map(|violation| limit_hit(violation, self.now)).unzip();
        let conduct = &self.inner.definition.rules.conduct;
        let is_conduct = limit.as_ref().is_some_and(|hit| conduct.iter().any(|rule| rule.limit.id == hit.id));
        let rule = if is_conduct { Rule::Conduct } else { Rule::Limit };
        self.refuse((reason, rule), retry_after.flatten(), lines, limit)
    }

    /// The line at this place, if nothing of it is offered. Only a reserve with `allow_partial` gets as far as that.
    fn not_offered_at(&self, place: usize) -> Option<NumberedLine> {
        if !self.command.allow_partial {
            return None;
        }
        let line = self.lines().nth(place)?;
        let Line { item, named, units, own, .. } = line;
        Some(refused_line(ResolvedLine { item, named, units }, self.not_offered_by(line)?, own))
    }

    /// The place in the request at which it names a SKU first.
    pub(crate) fn place_of(&self, sku: &Sku) -> usize {
        let named = self.command.lines.iter().filter(|wanted| wanted.sku == *sku);
        named.map(|wanted| wanted.place).min().unwrap_or(usize::MAX)
    }

    /// A refusal, lines in the request's order. It waits for no record, since it says nothing about a hold of the
    /// caller's.
    pub(crate) fn refuse(
        &self,
        by: (Reason, Rule),
        retry_after: Option<Millis>,
        lines: RefusedLines,
        limit: Option<LimitHit>,
    ) -> ReserveResult {
        self.refuse_with(by, (retry_after, false), lines, limit)
    }

    /// A refusal because of a hold.
    pub(super) fn refuse_by_hold(&self, own: &LockedHold<'_, '_>, reason: Reason) -> ReserveResult {
        let refused = own.refused(reason);
        if let Outcome::Refused(refusal) = &refused.value {
            self.keep(refusal, &[]);
        }
        refused
    }

    /// Keeps a refusal, so that it can be explained.
    fn keep(&self, refusal: &Refusal, lines: &[NumberedLine]) {
        self.engine.refusals.keep(Refused {
            at: self.now,
            operation: Operation::Reserve,
            hold: self.command.hold,
            drop: self.drop.number,
            customer: self.resolved.limit_subjects.customer(),
            refusal,
            lines,
        });
    }

    /// The same, which says whether units may come back.
    fn refuse_with(
        &self,
        (reason, rule): (Reason, Rule),
        (retry_after, may_come_back): (Option<Millis>, bool),
        mut lines: RefusedLines,
        limit: Option<LimitHit>,
    ) -> ReserveResult {
        let definition = &self.inner.definition;
        lines.sort_by_key(|line| self.place_of(definition.sku(line.item)));
        self.drop.count_refusal(reason);
        self.count_demand(Err(reason));
        let first = lines.iter().find(|line| line.reason == reason);
        let refusal = Refusal {
            reason,
            rule,
            sku: first.map(|line| definition.sku(line.item).clone()),
            retry_after,
            may_come_back,
            lines: lines.iter().map(|line| line.shown(definition)).collect(),
            limit,
            hold: None,
        };
        self.keep(&refusal, &lines);
        Decided::at_once(Outcome::Refused(Box::new(refusal)))
    }
}

/// A line that can't be served, with the units that the customer could have of it.
pub(super) fn refused_line(line: ResolvedLine, reason: Reason, available: u32) -> NumberedLine {
    let ResolvedLine { item, named: pool, units: requested } = line;
    NumberedLine { item, pool, reason, requested, available: available.min(requested) }
}
