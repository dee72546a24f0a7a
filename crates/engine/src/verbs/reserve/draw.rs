//! Takes a line's units, pool by pool.
//!
//! A line draws on the pools that its request is offered (`rules`), in their order, through the first window that can
//! serve it whole. From each pool it first tries to take all
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
use stockade_types::hold::{HoldLine, Pinned};
use stockade_types::ids::PoolNo;
use stockade_types::invariant;
use stockade_types::time::Timestamp;

use super::grant::TakenUnits;
use super::{Line, ReserveRequest, ResolvedLine};
use crate::attempt::{Attempt, Chore, Undecided};
use crate::inventory::{Availability, Pool};
use crate::rules::{Choices, WindowOffer};

/// The outcome of an attempt for one line: `T`, or, if too few units are free, how many are.
pub(crate) type LineAttempt<T> = Attempt<Result<T, u64>>;

/// Units came back while several pools were read: decide again.
const DISTURBED: Undecided = Undecided::Retry(Chore::Again);

/// Units taken for a line from one pool.
pub(super) struct Draw<'d> {
    pool: PoolNo,
    pinned: Pinned,
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

impl<'l> Line<'l> {
    /// The item's only pool, with its place, if the drop has no rules and the item one pool; nearly every line's has.
    #[inline]
    fn only(self) -> Option<(PoolNo, &'l Pool)> {
        if self.offers.is_none() { self.stock.only() } else { None }
    }

    /// What it may draw on: one choice for each window that is open to it, in the order in which they are tried.
    #[inline]
    fn choices(self) -> Choices<'l> {
        self.offers.map_or_else(|| Choices::of_all(self.stock.pools().len()), |offers| offers.choices(self))
    }

    /// The pool that it tries first. Nearly every line is served by it.
    #[inline]
    fn first(self) -> Option<(PoolNo, Pinned, &'l Pool)> {
        self.pools_of(self.choices().next()?).next()
    }

    /// The least of `of` over the pools that it may draw on.
    #[inline]
    pub(super) fn earliest(self, of: impl Fn(&Pool) -> Timestamp) -> Timestamp {
        if let Some((_, pool)) = self.only() {
            return of(pool);
        }
        let pools = self.choices().flat_map(|choice| self.pools_of(choice));
        pools.map(|(_, _, pool)| of(pool)).min().unwrap_or(Timestamp::NEVER)
    }

    /// Whether units of its pools have been taken that are not entered yet, where `free` were free.
    pub(super) fn is_being_taken_from(self, free: u64) -> bool {
        let most = |choice| {
            let known = self.pools_of(choice).filter_map(|(_, _, pool)| pool.free_at_most());
            known.fold(0, u64::saturating_add)
        };
        self.choices().map(most).max().is_some_and(|most| most > free)
    }

    /// Whether several windows are open to it.
    fn has_choice(self) -> bool {
        self.offers.is_some_and(|offers| offers.of(self).has_choice())
    }

    /// The pools of a choice.
    #[inline]
    fn pools_of(self, choice: WindowOffer<'l>) -> impl Iterator<Item = (PoolNo, Pinned, &'l Pool)> {
        choice.filter_map(move |(place, pinned)| Some((place, pinned, self.stock.pool(place)?)))
    }
}

impl ReserveRequest<'_> {
    /// Whether stock may have `units` for a line. A check can't tell exactly while the units are spread.
    #[inline]
    pub(super) fn peek_at(&self, line: Line<'_>, units: u64) -> LineAttempt<()> {
        match line.only() {
            Some((_, pool)) => self.attempt_of(line, pool.peek(units, self.now)),
            None => self.peek_over(line, units),
        }
    }

    /// Whether stock has all units that a line needs; exact also while they are spread.
    #[inline]
    pub(crate) fn probe_at(&self, line: Line<'_>) -> LineAttempt<()> {
        match line.only() {
            Some((_, pool)) => self.attempt_of(line, pool.probe(line.needs(), self.now)),
            None => Ok(self.draw_over(line, Certainty::Doubtful)?.map(drop)),
        }
    }

    /// Takes all that a line needs and adds the line to the hold's lines; or takes nothing.
    #[inline]
    pub(super) fn take<'d>(&'d self, line: Line<'d>, certainty: Certainty, shares: &mut Shares<'d>) -> LineAttempt<()> {
        let Some((place, pool)) = line.only() else { return self.take_over(line, certainty, shares) };
        if line.needs() > 0 {
            match self.attempt_of(line, pool.take(line.needs(), certainty, self.now))? {
                Ok(taken) => shares.taken.push(taken),
                Err(free) => return Ok(Err(free)),
            }
        }
        shares.lines.push(HoldLine::new(line.item, place, line.units));
        Ok(Ok(()))
    }

    #[inline(never)]
    fn take_over<'d>(&'d self, line: Line<'d>, certainty: Certainty, shares: &mut Shares<'d>) -> LineAttempt<()> {
        // The first step of `draw_over`, without its lists, where the hold has no units of another to keep. If the pool
        // has fewer, the line begins anew.
        if self.superseded.is_none()
            && let Some((place, pinned, pool)) = line.first()
            && let Ok(taken) = self.attempt_of(line, pool.take(line.needs(), certainty, self.now))?
        {
            shares.taken.push(taken);
            shares.lines.push(HoldLine { pinned, ..HoldLine::new(line.item, place, line.units) });
            return Ok(Ok(()));
        }
        Ok(self.draw_over(line, certainty)?.map(|draws| self.share(line, line.units, draws, shares)))
    }

    /// Takes what a line needs or, if fewer units are free, all of those. They are in doubt.
    pub(super) fn draw_up_to<'d>(&'d self, line: Line<'d>) -> Attempt<Draws<'d>> {
        if let Some((pool, of)) = line.only() {
            let needs = line.needs();
            let taken = if needs == 0 { Err(0) } else { self.attempt_of(line, of.take_up_to(needs, self.now))? };
            return Ok(taken.into_iter().map(|taken| Draw { pool, pinned: Pinned::NOTHING, taken }).collect());
        }
        // A line comes through one window if one can serve it whole.
        if line.has_choice()
            && let Ok(draws) = self.draw_over(line, Certainty::Doubtful)?
        {
            return Ok(draws);
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
        for (place, pinned, pool) in line.choices().flat_map(|choice| line.pools_of(choice)) {
            if rest == 0 {
                break;
            }
            // What an earlier window has taken of a pool is all that this has, and in doubt until the hold is made.
            if draws.iter().any(|draw| draw.pool == place) {
                continue;
            }
            if let Ok(taken) = self.attempt_of(line, pool.take_up_to(rest, self.now))? {
                rest = rest.saturating_sub(taken.units());
                draws.push(Draw { pool: place, pinned, taken });
            }
        }
        Ok(rest == 0)
    }

    /// Adds `units` of a line to the hold: first those that the customer has already, in the pools that they are in,
    /// then those drawn, in the order of drawing. Drawn units beyond that go back.
    pub(super) fn share<'d>(&self, line: Line<'_>, units: u32, draws: Draws<'d>, shares: &mut Shares<'d>) {
        let mut parts = self.kept(line, units);
        let mut rest = units.saturating_sub(line.own);
        for Draw { pool, pinned, mut taken } in draws {
            // A draw of more than `u32::MAX` units covers all that is missing.
            let used = u32::try_from(taken.units()).map_or(rest, |units| units.min(rest));
            if used == 0 {
                continue;
            }
            taken.shrink(used.into());
            shares.taken.push(taken);
            rest = rest.saturating_sub(used);
            parts.push((pool, pinned, used));
        }
        parts.sort_unstable_by_key(|(pool, pinned, _)| (*pool, *pinned));
        for (pool, pinned, units) in parts {
            let same = |last: &&mut HoldLine| (last.item, last.pool, last.pinned) == (line.item, pool, pinned);
            match shares.lines.last_mut().filter(same) {
                Some(last) => {
                    let sum = last.quantity.checked_add(units);
                    invariant!(let Some(sum) = sum, "item {} is given {} and {units} units", line.item, last.quantity);
                    last.quantity = sum;
                }
                None => shares.lines.push(HoldLine { pinned, ..HoldLine::new(line.item, pool, units) }),
            }
        }
    }

    /// At most `most` of the units that the customer has already, by pool; those of the hold's first lines first.
    fn kept(&self, line: Line<'_>, most: u32) -> SmallVec<[(PoolNo, Pinned, u32); 4]> {
        let mut left = most;
        let resolved = ResolvedLine { item: line.item, named: line.named, units: line.units };
        let lines = self.superseded.iter().flat_map(|old| old.hold.lines());
        let parts = lines.filter(|of| self.stays_with(resolved, of)).map(|line| {
            let kept = line.quantity.min(left);
            left = left.saturating_sub(kept);
            (line.pool, line.pinned, kept)
        });
        parts.filter(|(_, _, kept)| *kept > 0).collect()
    }

    /// Takes all that a line needs, through the first window that can serve it whole; or takes nothing.
    #[cold]
    fn draw_over<'d>(&'d self, line: Line<'d>, certainty: Certainty) -> LineAttempt<Draws<'d>> {
        if line.needs() == 0 {
            return Ok(Ok(Draws::new()));
        }
        for choice in line.choices() {
            if let Some(draws) = self.draw_from(line, choice, certainty)? {
                return Ok(Ok(draws));
            }
        }
        match self.peek_over(line, line.needs())? {
            Ok(()) => Err(DISTURBED),
            Err(free) => Ok(Err(free)),
        }
    }

    /// The same from the pools of one choice; none if they have too few.
    fn draw_from<'d>(
        &'d self,
        line: Line<'d>,
        choice: WindowOffer<'d>,
        certainty: Certainty,
    ) -> Attempt<Option<Draws<'d>>> {
        let mut rest = line.needs();
        let mut draws = Draws::new();
        for (place, pinned, pool) in line.pools_of(choice) {
            let taken = match self.attempt_of(line, pool.take(rest, certainty, self.now))? {
                Ok(taken) => taken,
                Err(0) => continue,
                Err(_some) => match self.attempt_of(line, pool.take_up_to(rest, self.now))? {
                    Ok(taken) => taken,
                    Err(_none) => continue,
                },
            };
            rest = rest.saturating_sub(taken.units());
            draws.push(Draw { pool: place, pinned, taken });
            if rest == 0 {
                return Ok(Some(draws));
            }
        }
        Ok(None) // the guards give the units back
    }

    #[inline(never)]
    fn peek_over(&self, line: Line<'_>, units: u64) -> LineAttempt<()> {
        // Only a shortage must be seen in all pools at one instant.
        if let Some((_, _, pool)) = line.first()
            && let Ok(()) = self.attempt_of(line, pool.peek(units, self.now))?
        {
            return Ok(Ok(()));
        }
        match line.stock.watch(|| self.peek_each(line, units)) {
            (Ok(Err(_too_few)), false) => Err(DISTURBED),
            (found, _) => found,
        }
    }

    /// Whether any choice has the units; otherwise the most that one of them has.
    fn peek_each(&self, line: Line<'_>, units: u64) -> LineAttempt<()> {
        let mut most = 0_u64;
        for choice in line.choices() {
            let mut sum = 0_u64;
            for (_, _, pool) in line.pools_of(choice) {
                match self.attempt_of(line, pool.peek(units.saturating_sub(sum), self.now))? {
                    Ok(()) => return Ok(Ok(())),
                    Err(free) => sum = sum.saturating_add(free),
                }
            }
            most = most.max(sum);
        }
        Ok(Err(most))
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
