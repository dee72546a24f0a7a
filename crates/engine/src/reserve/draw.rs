//! A line's units, pool by pool.
//!
//! A line draws on the pools that its request is offered, in their order, and tries for all that is missing from the next
//! one, for sure where nothing can fail after it. Only a pool that has some, but too few, gives what it has, in doubt, and
//! the draw goes on. A pool in doubt is waited for, not passed by. So one unit, the usual case, comes from one pool and
//! is never in doubt, however many pools there are.
//!
//! # Why a refusal over several pools is exact
//!
//! A look reads one pool after the other. A unit could come back to one that was read, while the last one leaves another
//! that is read next: then one was free all the time and none was seen. So gives to the pools of such an item are counted
//! (`src/inventory/stock/moving.rs`), and a look refuses only where none came meanwhile; else the request is decided anew.
//! Each pool was found with too few units, none in doubt and none due, as for an item of one pool, and had no more since:
//! at the end of the look all together had at most the sum.
//!
//! A draw that falls short refuses nothing: a unit may have come back to a pool that it had passed. It gives back and
//! looks. A reserve that takes what there is settles for less only where nothing came back to any of the pools from before
//! the first taking to behind the last.

use smallvec::SmallVec;
use stockade_counter::stock::{Certainty, Taken};
use stockade_types::hold::HoldLine;
use stockade_types::ids::{ItemNo, PoolNo};
use stockade_types::invariant;
use stockade_types::time::Timestamp;

use super::serve::Guards;
use super::{Line, Request};
use crate::attempt::{Attempt, Chore, Undecided};
use crate::inventory::{Pool, Verdict};
use crate::rules;

/// Something of a line; or how many units are free for it, where they are too few.
pub(crate) type Had<T> = Attempt<Result<T, u64>>;

/// Units came back while several pools were read.
const DISTURBED: Undecided = Undecided::Retry(Chore::Again);

/// What was taken for a line from one pool.
pub(super) struct Draw<'d> {
    pool: PoolNo,
    taken: Taken<'d>,
}

/// From each of several pools, in their order.
pub(super) type Draws<'d> = SmallVec<[Draw<'d>; 2]>;

/// What a hold gets: lines, one for each pool of an item, and the units that were taken for them.
#[derive(Default)]
pub(super) struct Shares<'d> {
    pub(super) lines: SmallVec<[HoldLine; 4]>,
    pub(super) taken: Guards<'d>,
}

impl Draw<'_> {
    /// Units taken.
    pub(super) const fn units(&self) -> u64 {
        self.taken.units()
    }
}

impl Request<'_> {
    /// Whether stock may have `units` for a line, as far as a look can tell.
    #[inline]
    pub(super) fn look_at(&self, line: Line<'_>, units: u64) -> Had<()> {
        match line.stock.only() {
            Some((_, pool)) => self.had(line, pool.look(units, self.now)),
            None => self.look_over(line, units),
        }
    }

    /// The same of all units that a line needs, and certain also when they are spread.
    #[inline]
    pub(crate) fn look_closely_at(&self, line: Line<'_>) -> Had<()> {
        match line.stock.only() {
            Some((_, pool)) => self.had(line, pool.look_closely(line.needs(), self.now)),
            None => Ok(self.draw_over(line, Certainty::Doubtful)?.map(drop)),
        }
    }

    /// Takes what a line needs and adds the line to the hold's; or nothing.
    #[inline]
    pub(super) fn take<'d>(&'d self, line: Line<'d>, certainty: Certainty, shares: &mut Shares<'d>) -> Had<()> {
        let Some((place, pool)) = line.stock.only() else { return self.take_over(line, certainty, shares) };
        if line.needs() > 0 {
            match self.had(line, pool.take(line.needs(), certainty, self.now))? {
                Ok(taken) => shares.taken.push(taken),
                Err(free) => return Ok(Err(free)),
            }
        }
        shares.lines.push(HoldLine::new(line.item, place, line.units));
        Ok(Ok(()))
    }

    #[cold]
    fn take_over<'d>(&'d self, line: Line<'d>, certainty: Certainty, shares: &mut Shares<'d>) -> Had<()> {
        Ok(self.draw_over(line, certainty)?.map(|draws| self.share(line, line.units, draws, shares)))
    }

    /// Takes what a line needs or, where fewer units are free, all of those; in doubt.
    pub(super) fn draw_up_to<'d>(&'d self, line: Line<'d>) -> Attempt<Draws<'d>> {
        if let Some((pool, of)) = line.stock.only() {
            let needs = line.needs();
            let taken = if needs == 0 { Err(0) } else { self.had(line, of.take_up_to(needs, self.now))? };
            return Ok(taken.into_iter().map(|taken| Draw { pool, taken }).collect());
        }
        // They live on behind the reading: to drop one gives, and would disturb it.
        let mut draws = Draws::new();
        let (all, undisturbed) = line.stock.watch(|| self.draw_what_there_is(line, &mut draws));
        if all? || undisturbed { Ok(draws) } else { Err(DISTURBED) }
    }

    /// Says whether that is all that the line needs.
    #[cold]
    fn draw_what_there_is<'d>(&'d self, line: Line<'d>, draws: &mut Draws<'d>) -> Attempt<bool> {
        let mut rest = line.needs();
        for (place, pool) in self.offered(line) {
            if rest == 0 {
                break;
            }
            if let Ok(taken) = self.had(line, pool.take_up_to(rest, self.now))? {
                rest = rest.saturating_sub(taken.units());
                draws.push(Draw { pool: place, taken });
            }
        }
        Ok(rest == 0)
    }

    /// Adds `units` of a line to the hold: those that the customer has already, in the pools in which they are,
    /// then what was drawn for it, in its order. What is drawn beyond goes back.
    pub(super) fn share<'d>(&self, line: Line<'_>, units: u32, draws: Draws<'d>, shares: &mut Shares<'d>) {
        let mut parts = self.kept(line.item, units);
        let mut rest = units.saturating_sub(line.own);
        for Draw { pool, mut taken } in draws {
            // What is more than a line can have is more than is missing.
            let used = u32::try_from(taken.units()).map_or(rest, |units| units.min(rest));
            if used == 0 {
                continue;
            }
            taken.shrink(used.into());
            shares.taken.push(taken);
            rest = rest.saturating_sub(used);
            parts.push((pool, used));
        }
        parts.sort_unstable_by_key(|(pool, _)| *pool);
        for (pool, units) in parts {
            match shares.lines.last_mut().filter(|last| (last.item, last.pool) == (line.item, pool)) {
                Some(last) => {
                    let sum = last.quantity.checked_add(units);
                    invariant!(let Some(sum) = sum, "item {} is given {} and {units} units", line.item, last.quantity);
                    last.quantity = sum;
                }
                None => shares.lines.push(HoldLine::new(line.item, pool, units)),
            }
        }
    }

    /// Of the units that the customer has already, `most` at most: by pool, those of the hold's first lines first.
    fn kept(&self, item: ItemNo, most: u32) -> SmallVec<[(PoolNo, u32); 4]> {
        let mut left = most;
        let lines = self.old.iter().flat_map(|old| old.hold.lines()).filter(|line| line.item == item);
        let parts = lines.map(|line| {
            let kept = line.quantity.min(left);
            left = left.saturating_sub(kept);
            (line.pool, kept)
        });
        parts.filter(|(_, kept)| *kept > 0).collect()
    }

    /// The earliest of what is said of each pool that a line may draw on.
    #[inline]
    pub(crate) fn earliest(&self, line: Line<'_>, of: impl Fn(&Pool) -> Timestamp) -> Timestamp {
        match line.stock.only() {
            Some((_, pool)) => of(pool),
            None => self.offered(line).map(|(_, pool)| of(pool)).min().unwrap_or(Timestamp::NEVER),
        }
    }

    /// Whether units of a line's pools have been taken that are not entered yet, where `free` were free.
    pub(crate) fn is_being_taken_from(&self, line: Line<'_>, free: u64) -> bool {
        let known = self.offered(line).filter_map(|(_, pool)| pool.free_at_most());
        known.fold(0, u64::saturating_add) > free
    }

    /// The pools that a line may draw on, in the order in which it does.
    fn offered<'l>(&'l self, line: Line<'l>) -> impl Iterator<Item = (PoolNo, &'l Pool)> {
        let item = self.running.definition.items.get(line.item.index());
        let places = item.into_iter().flat_map(|item| rules::offer(item).pools());
        places.filter_map(move |place| Some((place, line.stock.pool(place)?)))
    }

    /// Takes what a line needs from several pools; or nothing.
    #[cold]
    fn draw_over<'d>(&'d self, line: Line<'d>, certainty: Certainty) -> Had<Draws<'d>> {
        let mut rest = line.needs();
        let mut draws = Draws::new();
        for (place, pool) in self.offered(line) {
            if rest == 0 {
                break;
            }
            let taken = match self.had(line, pool.take(rest, certainty, self.now))? {
                Ok(taken) => taken,
                Err(0) => continue,
                Err(_some) => match self.had(line, pool.take_up_to(rest, self.now))? {
                    Ok(taken) => taken,
                    Err(_none) => continue,
                },
            };
            rest = rest.saturating_sub(taken.units());
            draws.push(Draw { pool: place, taken });
        }
        if rest == 0 {
            return Ok(Ok(draws));
        }
        drop(draws); // the guards give back
        match self.look_over(line, line.needs())? {
            Ok(()) => Err(DISTURBED),
            Err(free) => Ok(Err(free)),
        }
    }

    #[cold]
    fn look_over(&self, line: Line<'_>, units: u64) -> Had<()> {
        match line.stock.watch(|| self.look_at_each(line, units)) {
            (Ok(Err(_too_few)), false) => Err(DISTURBED),
            (found, _) => found,
        }
    }

    fn look_at_each(&self, line: Line<'_>, units: u64) -> Had<()> {
        let mut sum = 0_u64;
        for (_, pool) in self.offered(line) {
            match self.had(line, pool.look(units.saturating_sub(sum), self.now))? {
                Ok(()) => return Ok(Ok(())),
                Err(free) => sum = sum.saturating_add(free),
            }
        }
        Ok(Err(sum))
    }

    /// What a pool says to a line. What is due in any of its item's is given back first.
    #[inline]
    fn had<T>(&self, line: Line<'_>, verdict: Verdict<T>) -> Had<T> {
        match verdict {
            Verdict::Yes(had) => Ok(Ok(had)),
            Verdict::Short { free } => Ok(Err(free)),
            Verdict::InDoubt => Err(Undecided::InDoubt),
            Verdict::SweepDue => Err(Undecided::Retry(Chore::SweepItem(self.drop.number, line.item))),
        }
    }
}
