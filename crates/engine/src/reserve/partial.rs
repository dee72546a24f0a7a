//! Serves what is free: of each line as many units as were asked for, are free and are allowed by limits; at least one
//! unit in all.
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

use super::allowance::Allotments;
use super::draw::{Draw, Draws, Shares};
use super::serve::Served;
use super::{Hands, Line, Request, Reserved, Shorts};
use crate::attempt::{Attempt, Chore, Undecided};
use crate::inventory::Subject;
use crate::limits::due;

/// A line and the units taken for it.
struct Got<'d> {
    line: Line<'d>,
    draws: Draws<'d>,
}

impl Got<'_> {
    fn units(&self) -> u64 {
        self.draws.iter().map(Draw::units).fold(0, u64::saturating_add)
    }

    /// Units that the line can have: those taken, and those of the units asked for that the customer has already.
    fn there(&self) -> u32 {
        let own = self.line.units.min(self.line.own);
        own.saturating_add(u32::try_from(self.units()).unwrap_or(u32::MAX))
    }
}

type AllGot<'d> = SmallVec<[Got<'d>; 4]>;

impl Request<'_> {
    /// Checks, read-only, whether any unit of any line is free. Returns all lines if none is, otherwise no line.
    pub(super) fn look_for_any(&self) -> Attempt<Shorts> {
        let mut shorts = Shorts::new();
        for line in self.lines() {
            if line.own > 0 {
                return Ok(Shorts::new());
            }
            match self.look_at(line, 1)? {
                Ok(()) => return Ok(Shorts::new()),
                Err(free) => shorts.push((line.item, free)),
            }
        }
        Ok(shorts)
    }

    /// Takes what is free, cuts it by limits, makes the hold.
    #[cold]
    pub(super) fn serve_partly(&self, hands: Hands<'_, '_, '_>) -> Attempt<Reserved> {
        let got = self.take_what_there_is()?;
        let there: SmallVec<[(ItemNo, u32); 4]> = got.iter().map(|got| (got.line.item, got.there())).collect();
        let allotted = self.allotted(hands.subjects, &there);
        let cut = allotted.iter().any(|line| line.cut_by.is_some());
        if cut && let Some(due) = due(hands.subjects, self.now) {
            return Err(Undecided::Retry(Chore::SweepHold(due)));
        }
        if allotted.iter().all(|line| line.units == 0) {
            return Ok(self.nothing_at_all(got, hands.subjects));
        }
        let rare = self.rare(self.short_lines(&got, &allotted));
        let mut shares = Shares::default();
        for (got, served) in got.into_iter().zip(&allotted) {
            self.share(got.line, served.units, got.draws, &mut shares);
        }
        let Shares { lines, taken } = shares;
        Ok(self.make(hands, Served { hold: self.new_hold(&lines, rare), taken })?)
    }

    fn take_what_there_is(&self) -> Attempt<AllGot<'_>> {
        self.lines().map(|line| Ok(Got { line, draws: self.draw_up_to(line)? })).collect()
    }

    /// No unit can be served: refuses as a reserve of all lines does.
    fn nothing_at_all(&self, got: AllGot<'_>, subjects: &[Subject]) -> Reserved {
        let short = got.iter().filter(|got| got.there() < got.line.units);
        let shorts: Shorts = short.map(|got| (got.line.item, got.units())).collect();
        drop(got); // the guards give back what limits do not allow
        if shorts.is_empty() { self.limited(&self.broken(subjects)) } else { self.refuse_stock(&shorts, subjects) }
    }

    /// Lines that get less than they asked for, in the request's order. `SOLD_OUT` has precedence over limits, as in a
    /// refusal.
    fn short_lines(&self, got: &AllGot<'_>, allotted: &Allotments) -> Vec<ShortLine> {
        let short = got.iter().zip(allotted).filter(|(got, served)| served.units < got.line.units);
        let mut shorts: Vec<ShortLine> = short
            .map(|(got, served)| ShortLine {
                item: got.line.item,
                requested: got.line.units,
                reason: served.cut_by.filter(|_| got.there() >= got.line.units).unwrap_or(Reason::SoldOut),
            })
            .collect();
        shorts.sort_by_key(|short| self.place_of(self.running.definition.sku(short.item)));
        shorts
    }
}
