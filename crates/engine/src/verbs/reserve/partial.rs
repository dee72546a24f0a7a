//! Serves what is free: of each line as many units as were asked for, are free and are allowed by limits; at least one
//! unit in all. Of a line of which the drop's rules offer this customer nothing, only what the customer has already.
//!
//! # Why less is exact
//!
//! Each line takes, in one step, what was asked or else all that was free at an instant at which nothing was in doubt
//! or due (see `Pool::take_up_to`). So it never gets less because another taker was about to give units back. Nothing
//! is read first and taken later, so no other request gets in between. Units are taken in doubt, since limits may leave
//! some of them unused: those go back before the record is appended, and until then no request is refused because of
//! them. With units in doubt or holds due the request is decided again, as any other. Limits are exact because the
//! subjects' stripes stay locked and the subjects' due holds are given back before a limit may cut a line.

use smallvec::SmallVec;
use stockade_types::hold::ShortLine;
use stockade_types::ids::ItemNo;
use stockade_types::refusal::Reason;

use super::draw::{Draw, Draws, Shares};
use super::grant::Served;
use super::quota::Allotments;
use super::{Line, ReserveLocks, ReserveRequest, ReserveResult, Shorts};
use crate::attempt::{Attempt, Chore, Undecided};
use crate::inventory::Subject;
use crate::verbs::reserve::limits::due;

/// A line and the units taken for it.
struct LineDraws<'d> {
    line: Line<'d>,
    draws: Draws<'d>,
}

impl LineDraws<'_> {
    fn units(&self) -> u64 {
        self.draws.iter().map(Draw::units).fold(0, u64::saturating_add)
    }

    /// Units that the line can have: those taken, and those of the units asked for that the customer has already.
    fn there(&self) -> u32 {
        let own = self.line.units.min(self.line.own);
        own.saturating_add(u32::try_from(self.units()).unwrap_or(u32::MAX))
    }
}

type AllDraws<'d> = SmallVec<[LineDraws<'d>; 4]>;

impl ReserveRequest<'_> {
    /// Checks, read-only, whether any unit of any line is free. Returns all lines if none is, otherwise no line.
    pub(super) fn peek_any(&self) -> Attempt<Shorts> {
        let mut shorts = Shorts::new();
        for line in self.lines() {
            if line.own > 0 {
                return Ok(Shorts::new());
            }
            if self.not_offered_by(line).is_some() {
                continue;
            }
            match self.peek_at(line, 1)? {
                Ok(()) => return Ok(Shorts::new()),
                Err(free) => shorts.push((line.place, free)),
            }
        }
        Ok(shorts)
    }

    /// Takes what is free, cuts it by limits, makes the hold.
    #[cold]
    pub(super) fn serve_partly(&self, locks: ReserveLocks<'_, '_, '_>) -> Attempt<ReserveResult> {
        let drawn = self.take_available()?;
        let there: SmallVec<[(ItemNo, u32); 4]> = drawn.iter().map(|drawn| (drawn.line.item, drawn.there())).collect();
        let allotted = self.allotted(locks.subjects, &there);
        let cut = allotted.iter().any(|line| line.cut_by.is_some());
        if cut && let Some(due) = due(locks.subjects, self.now) {
            return Err(Undecided::Retry(Chore::SweepHold(due)));
        }
        if self.is_served_nothing(&drawn, &allotted) {
            return Ok(self.nothing_at_all(drawn, locks.subjects));
        }
        let extras = self.extras(self.short_lines(&drawn, &allotted));
        let mut shares = Shares::default();
        for (drawn, served) in drawn.into_iter().zip(&allotted) {
            self.share(drawn.line, served.units, drawn.draws, &mut shares);
        }
        self.order(&mut shares);
        let Shares { lines, taken } = shares;
        Ok(self.make(locks, Served { hold: self.new_hold(&lines, extras), taken })?)
    }

    /// Whether what can be served is no hold: no unit at all, a slot that is not whole, or a slot without goods.
    fn is_served_nothing(&self, drawn: &AllDraws<'_>, allotted: &Allotments) -> bool {
        let is_slot = |line: Line<'_>| self.inner.standing.as_deref().is_some_and(|rules| rules.is_slot(line.item));
        let mut lines = drawn.iter().zip(allotted).map(|(drawn, served)| (drawn.line, served.units));
        let any_goods = lines.clone().any(|(line, units)| units > 0 && !is_slot(line));
        !any_goods || lines.any(|(line, units)| is_slot(line) && units < line.units)
    }

    fn take_available(&self) -> Attempt<AllDraws<'_>> {
        self.lines().map(|line| Ok(LineDraws { line, draws: self.draw_up_to(line)? })).collect()
    }

    /// No unit can be served: refuses as a reserve of all lines does.
    fn nothing_at_all(&self, drawn: AllDraws<'_>, subjects: &[Subject]) -> ReserveResult {
        let is_short = |drawn: &&LineDraws<'_>| drawn.there() < drawn.line.units;
        let short = drawn.iter().filter(is_short).filter(|drawn| self.not_offered_by(drawn.line).is_none());
        let shorts: Shorts = short.map(|drawn| (drawn.line.place, drawn.units())).collect();
        drop(drawn); // the guards give back what limits do not allow
        if shorts.is_empty() { self.limited(&self.violations(subjects)) } else { self.refuse_stock(&shorts, subjects) }
    }

    /// Lines that get less than they asked for, in the request's order. That nothing is offered of a line has precedence
    /// over `SOLD_OUT`, and that over limits, as in a refusal.
    fn short_lines(&self, drawn: &AllDraws<'_>, allotted: &Allotments) -> Vec<ShortLine> {
        let short = drawn.iter().zip(allotted).filter(|(drawn, served)| served.units < drawn.line.units);
        let mut shorts: Vec<ShortLine> = short
            .map(|(drawn, served)| {
                let by_limit = || served.cut_by.filter(|_| drawn.there() >= drawn.line.units);
                let reason = self.not_offered_by(drawn.line).or_else(by_limit).unwrap_or(Reason::SoldOut);
                ShortLine { item: drawn.line.item, requested: self.asked_of(drawn.line.item), reason }
            })
            .collect();
        // An item is named once, however many pools of it were named.
        shorts.dedup_by_key(|short| short.item);
        shorts.sort_by_key(|short| self.place_of(self.inner.definition.sku(short.item)));
        shorts
    }

    /// Units of an item that the request asks for.
    fn asked_of(&self, item: ItemNo) -> u32 {
        self.resolved.by_item.iter().find(|(asked, _)| *asked == item).map_or(0, |(_, units)| *units)
    }
}
