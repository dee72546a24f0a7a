//! How a reserve is refused: which lines can't be served and why, and when it may be worth asking again.

use super::Decision;
use super::answer::{Answer, LimitHit, Outcome, Refusal, RefusedLine};
use super::reserve::{Found, Request, Short, Shorts};
use crate::ids::{ItemNo, Sku};
use crate::inventory::{Broken, Pool, Subject, Verdict};
use crate::journal::Ticket;
use crate::refusal::Reason;
use crate::time::{Millis, Timestamp};

impl Request<'_> {
    /// Refuses for want of stock, naming what limits would refuse of the cart as well.
    pub(super) fn sold_out(&self, shorts: &[Short]) -> Decision<Answer> {
        // The herd's refusal: one line, nothing left. The customer's own usage can't make less of nothing.
        if let [(_, 0)] = shorts
            && self.lines.len() == 1
        {
            return Decision::Done(self.refuse_stock(shorts, &Subject::default()));
        }
        self.engine.inventory.subjects.with(self.customer, |subject| match subject.due(self.now) {
            // What the customer had must not be told to stand in his way.
            Some(due) => Decision::SweepHold(due),
            None => Decision::Done(self.refuse_stock(shorts, subject)),
        })
    }

    /// A limit would refuse. What is due goes back first, and stock is looked at once more: the first look can't tell
    /// of units that are spread, and `SOLD_OUT` stands before `LIMIT_REACHED`.
    pub(super) fn over_limit(&self, broken: &Broken<'_>, subject: &Subject) -> Found<Answer> {
        if let Some(due) = subject.due(self.now) {
            return Ok(Decision::SweepHold(due));
        }
        Ok(match self.look(Pool::look_closely)? {
            Decision::Done(shorts) if shorts.is_empty() => Decision::Done(self.limit_reached(broken)),
            Decision::Done(shorts) => Decision::Done(self.refuse_stock(&shorts, subject)),
            Decision::InDoubt => Decision::InDoubt,
            Decision::Again => Decision::Again,
            Decision::SweepPool(drop, item, pool) => Decision::SweepPool(drop, item, pool),
            Decision::SweepHold(hold) => Decision::SweepHold(hold),
        })
    }

    /// Refuses for want of stock. That `shorts` are short is certain; what else of the cart is short is looked up here,
    /// as well as a look can tell.
    pub(super) fn refuse_stock(&self, shorts: &[Short], subject: &Subject) -> Answer {
        let shorts = self.all_shorts(shorts);
        let broken = subject.broken(self.drop.number, &self.running.definition.limits, &self.lines);
        let allowed = |item| broken.iter().find(|line| line.item == item).map(|line| line.left);
        let mut lines = Vec::new();
        for (item, units) in &self.lines {
            let short = shorts.iter().find(|(short, _)| short == item);
            let (reason, free) = match (short, allowed(*item)) {
                (Some((_, free)), _) => (Reason::SoldOut, u32::try_from(*free).unwrap_or(u32::MAX)),
                (None, Some(_)) => (Reason::LimitReached, *units),
                (None, None) => continue,
            };
            let available = free.min(*units).min(allowed(*item).unwrap_or(u32::MAX));
            lines.push(self.refused_line(*item, reason, *units, available));
        }
        // Worth another try once every short line may have units again; never, where nothing is held.
        let retry_at = shorts.iter().map(|short| self.comes_back(*short)).max();
        let retry_after = retry_at.filter(|at| *at != Timestamp::NEVER).map(|at| self.now.until(at));
        self.refuse(Reason::SoldOut, retry_after, lines, None)
    }

    fn all_shorts(&self, certain: &[Short]) -> Shorts {
        let mut shorts = Shorts::from(certain);
        for line in self.lines() {
            let known = shorts.iter().any(|(item, _)| *item == line.item);
            let looked = line.pool.filter(|_| !known).map(|pool| pool.look_closely(u64::from(line.units), self.now));
            match looked {
                Some(Verdict::Short { free }) => shorts.push((line.item, free)),
                // What is in doubt may be had: it is not named.
                Some(Verdict::Yes(()) | Verdict::InDoubt | Verdict::SweepDue) | None => {}
            }
        }
        shorts
    }

    /// When units of a short line may come back: at its pool's next deadline.
    fn comes_back(&self, (item, free): Short) -> Timestamp {
        let Some(pool) = self.lines().find(|line| line.item == item).and_then(|line| line.pool) else {
            return Timestamp::NEVER;
        };
        match pool.next_due() {
            // Units were taken and their hold is being made at this instant: it will live about as long as any.
            Timestamp::NEVER if pool.is_being_taken_from(free) => self.now.plus(self.running.definition.hold_ttl),
            // Entered between the two looks: then its deadline is in the queue by now.
            Timestamp::NEVER => pool.next_due(),
            next => next,
        }
    }

    fn limit_reached(&self, broken: &Broken<'_>) -> Answer {
        let asked = |item| self.lines.iter().find(|(asked, _)| *asked == item).map_or(0, |(_, units)| *units);
        let lines = broken
            .iter()
            .map(|line| self.refused_line(line.item, Reason::LimitReached, asked(line.item), line.left))
            .collect();
        // The limit that is told is the one that refuses the line that is told first.
        let first = broken.iter().min_by_key(|line| self.place_of(self.running.definition.sku(line.item)));
        let hit = first.map(|line| LimitHit {
            id: line.limit.id.clone(),
            scope: line.limit.scope,
            max: line.limit.max_units.unwrap_or(0),
            used: u32::try_from(line.used).unwrap_or(u32::MAX),
        });
        self.refuse(Reason::LimitReached, None, lines, hit)
    }

    fn refused_line(&self, item: ItemNo, reason: Reason, requested: u32, available: u32) -> RefusedLine {
        RefusedLine { sku: self.running.definition.sku(item).clone(), reason, requested, available }
    }

    /// Where the request names a SKU first.
    fn place_of(&self, sku: &Sku) -> usize {
        self.command.lines.iter().find(|wanted| wanted.sku == *sku).map_or(usize::MAX, |wanted| wanted.place)
    }

    /// A refusal, lines in the request's order. It waits for nothing: it says nothing about a hold of the caller's.
    pub(super) fn refuse(
        &self,
        reason: Reason,
        retry_after: Option<Millis>,
        mut lines: Vec<RefusedLine>,
        limit: Option<LimitHit>,
    ) -> Answer {
        lines.sort_by_key(|line| self.place_of(&line.sku));
        self.drop.count_refusal(reason);
        let sku: Option<Sku> = lines.iter().find(|line| line.reason == reason).map(|line| line.sku.clone());
        let refusal = Refusal { reason, sku, retry_after, lines, limit, hold: None };
        Answer { outcome: Outcome::Refused(Box::new(refusal)), ticket: Ticket::ready() }
    }
}
