//! Takes a line's units, pool by pool.
//!
//! A line draws on the pools that its request is offered, in their order. From each pool it first tries to take all
//! that is missing. Only if a pool has fewer does the line take what that pool has, in doubt, and go on to the next. A
//! pool that is in doubt is waited for, not skipped. So a request for one unit, the usual case, takes from one pool and
//! needs no doubt, however many pools there are.
//!
//! # Why a refusal over several pools is exact
//!
//! A read-only check (`peek`) reads one pool after the other. A unit could come back to a pool that was read already
//! while the last unit of a pool that is read later is taken: one unit was free all the time and the check saw none. So
//! gives to the pools of an item with several pools are counted (`crates/counter/src/stock/moving.rs`), and a check
//! refuses only if no give happened during it; otherwise the request is decided again. Then each pool was found with
//! too few units, none in doubt and none due, and had no more since it was read: at the end of the check all pools
//! together had at most the sum.
//!
//! A draw that falls short does not refuse, since a unit may have come back to a pool that it had passed. It gives its
//! units back and checks; the check decides. A reserve with `allow_partial` settles for less only if no units came back
//! to any of the pools from before its first taking until after its last.

use smallvec::SmallVec;
use stockade_counter::stock::{Certainty, Taken};
use stockade_types::hold::HoldLine;
use stockade_types::ids::{ItemNo, PoolNo};
use stockade_types::invariant;
use stockade_types::time::Timestamp;

use super::grant::TakenUnits;
use super::{Line, ReserveRequest};
use crate::attempt::{Attempt, Chore, Undecided};
use crate::inventory::{Availability, Pool};
use crate::rules;

/// The outcome of an attempt for one line: `T`, or, if too few units are free, how many are.
pub(crate) type LineAttempt<T> = Attempt<Result<T, u64>>;

/// Units came back while several pools were read: decide again.
const DISTURBED: Undecided = Undecided::Retry(Chore::Again);

/// Units taken for a line from one pool.
pub(super) struct Draw<'d> {
    pool: PoolNo,
    taken: Taken<'d>,
}

/// The same from several pools, in the order of drawing.
pub(super) type Draws<'d> = SmallVec<[Draw<'d>; 2]>;

/// What a hold gets: its lines, one for each pool of an item, and the guards of the units taken for them.
#[derive(Default)]
pub(super) struct Shares<'d> {
    pub(super) lines: SmallVec<[HoldLine; 4]>,
    pub(super) taken: TakenUnits<'d>,
}

impl Draw<'_> {
    pub(super) const fn units(&self) -> u64 {
        self.taken.units()
    }
}

impl ReserveRequest<'_> {
    /// Whether stock may have `units` for a line. A check can't tell exactly while the units are spread.
    #[inline]
    pub(super) fn peek_at(&self, line: Line<'_>, units: u64) -> LineAttempt<()> {
        match line.stock.only() {
            Some((_, pool)) => self.attempt_of(line, pool.peek(units, self.now)),
            None => self.peek_over(line, units),
        }
    }

    /// Whether stock has all units that a line needs; exact also while they are spread.
    #[inline]
    pub(crate) fn probe_at(&self, line: Line<'_>) -> LineAttempt<()> {
        match line.stock.only() {
            Some((_, pool)) => self.attempt_of(line, pool.probe(line.needs(), self.now)),
            None => Ok(self.draw_over(line, Certainty::Doubtful)?.map(drop)),
        }
    }

    /// Takes all that a line needs and adds the line to the hold's lines; or takes nothing.
    #[inline]
    pub(super) fn take<'d>(&'d self, line: Line<'d>, certainty: Certainty, shares: &mut Shares<'d>) -> LineAttempt<()> {
        let Some((place, pool)) = line.stock.only() else { return self.take_over(line, certainty, shares) };
        if line.needs() > 0 {
            match self.attempt_of(line, pool.take(line.needs(), certainty, self.now))? {
                Ok(taken) => shares.taken.push(taken),
                Err(free) => return Ok(Err(free)),
            }
        }
        shares.lines.push(HoldLine::new(line.item, place, line.units));
        Ok(Ok(()))
    }

    #[cold]
    fn take_over<'d>(&'d self, line: Line<'d>, certainty: Certainty, shares: &mut Shares<'d>) -> LineAttempt<()> {
        Ok(self.draw_over(line, certainty)?.map(|draws| self.share(line, line.units, draws, shares)))
    }

    /// Takes what a line needs or, if fewer units are free, all of those. They are in doubt.
    pub(super) fn draw_up_to<'d>(&'d self, line: Line<'d>) -> Attempt<Draws<'d>> {
        if let Some((pool, of)) = line.stock.only() {
            let needs = line.needs();
            let taken = if needs == 0 { Err(0) } else { self.attempt_of(line, of.take_up_to(needs, self.now))? };
            return Ok(taken.into_iter().map(|taken| Draw { pool, taken }).collect());
        }
        // Declared outside the watched closure: dropping a draw gives units back, which would count as a disturbance.
        let mut draws = Draws::new();
        let (all, undisturbed) = line.stock.watch(|| self.draw_available(line, &mut draws));
        if all? || undisturbed { Ok(draws) } else { Err(DISTURBED) }
    }

    /// Returns whether the line has all that it needs.
    #[cold]
    fn draw_available<'d>(&'d self, line: Line<'d>, draws: &mut Draws<'d>) -> Attempt<bool> {
        let mut rest = line.needs();
        for (place, pool) in self.offered(line) {
            if rest == 0 {
                break;
            }
            if let Ok(taken) = self.attempt_of(line, pool.take_up_to(rest, self.now))? {
                rest = rest.saturating_sub(taken.units());
                draws.push(Draw { pool: place, taken });
            }
        }
        Ok(rest == 0)
    }

    /// Adds `units` of a line to the hold: first those that the customer has already, in the pools that they are in,
    /// then those drawn, in the order of drawing. Drawn units beyond that go back.
    pub(super) fn share<'d>(&self, line: Line<'_>, units: u32, draws: Draws<'d>, shares: &mut Shares<'d>) {
        let mut parts = self.kept(line.item, units);
        let mut rest = units.saturating_sub(line.own);
        for Draw { pool, mut taken } in draws {
            // A draw of more than `u32::MAX` units covers all that is missing.
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

    /// At most `most` of the units that the customer has already, by pool; those of the hold's first lines first.
    fn kept(&self, item: ItemNo, most: u32) -> SmallVec<[(PoolNo, u32); 4]> {
        let mut left = most;
        let lines = self.superseded.iter().flat_map(|old| old.hold.lines()).filter(|line| line.item == item);
        let parts = lines.map(|line| {
            let kept = line.quantity.min(left);
            left = left.saturating_sub(kept);
            (line.pool, kept)
        });
        parts.filter(|(_, kept)| *kept > 0).collect()
    }

    /// The least of `of` over the pools that a line may draw on.
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

    /// The pools that a line may draw on, in the order of drawing.
    fn offered<'l>(&'l self, line: Line<'l>) -> impl Iterator<Item = (PoolNo, &'l Pool)> {
        let item = self.inner.definition.items.get(line.item.index());
        let places = item.into_iter().flat_map(|item| rules::offer(item).pools());
        places.filter_map(move |place| Some((place, line.stock.pool(place)?)))
    }

    /// Takes all that a line needs from several pools; or takes nothing.
    #[cold]
    fn draw_over<'d>(&'d self, line: Line<'d>, certainty: Certainty) -> LineAttempt<Draws<'d>> {
        let mut rest = line.needs();
        let mut draws = Draws::new();
        for (place, pool) in self.offered(line) {
            if rest == 0 {
                break;
            }
            let taken = match self.attempt_of(line, pool.take(rest, certainty, self.now))? {
                Ok(taken) => taken,
                Err(0) => continue,
                Err(_some) => match self.attempt_of(line, pool.take_up_to(rest, self.now))? {
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
        drop(draws); // the guards give the units back
        match self.peek_over(line, line.needs())? {
            Ok(()) => Err(DISTURBED),
            Err(free) => Ok(Err(free)),
        }
    }

    #[cold]
    fn peek_over(&self, line: Line<'_>, units: u64) -> LineAttempt<()> {
        match line.stock.watch(|| self.peek_each(line, units)) {
            (Ok(Err(_too_few)), false) => Err(DISTURBED),
            (found, _) => found,
        }
    }

    fn peek_each(&self, line: Line<'_>, units: u64) -> LineAttempt<()> {
        let mut sum = 0_u64;
        for (_, pool) in self.offered(line) {
            match self.attempt_of(line, pool.peek(units.saturating_sub(sum), self.now))? {
                Ok(()) => return Ok(Ok(())),
                Err(free) => sum = sum.saturating_add(free),
            }
        }
        Ok(Err(sum))
    }

    /// Turns a pool's availability into an attempt's result. If holds are due, those of all pools of the item are swept
    /// first.
    #[inline]
    fn attempt_of<T>(&self, line: Line<'_>, availability: Availability<T>) -> LineAttempt<T> {
        match availability {
            Availability::Yes(had) => Ok(Ok(had)),
            Availability::Short { free } => Ok(Err(free)),
            Availability::InDoubt => Err(Undecided::InDoubt),
            Availability::SweepDue => Err(Undecided::Retry(Chore::SweepItem(self.drop.number, line.item))),
        }
    }
}
