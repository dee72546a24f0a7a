//! How many units of one pool are free: a counter that many threads take from at once and that never refuses wrongly.
//!
//! It knows only units: no holds, no deadlines, no journal. It never waits for I/O; its one lock is held only while
//! each shard is touched once.

#[cfg(any(loom, shuttle))]
mod faults;
mod guard;
mod moving;
mod word;

use std::sync::Arc;

use crossbeam_utils::CachePadded;

pub use guard::{Certainty, Doubt, PeekResult, TakeResult, Taken};
pub use moving::Moving;
pub use word::{DOUBTS_MAX, UNITS_MAX};

use crate::sync::{self, AtomicU64, Mutex, Ordering};
use crate::{fault, ordering, sound};
use word::{Core, FOLDED, ONE_DOUBT, SHUT, Shard};

/// Most shards of a pool: beyond that a fold costs more than the contention that it spares.
pub const SHARDS_MAX: usize = 16;
/// Units that each shard must get for a spread to be worth it: a shard is drained after this many takes of one unit at
/// the earliest, and only then does the pool fold again.
pub const SHARE_MIN: u64 = 64;
/// Takes of the size just seen that each shard must be able to serve after a spread.
const TAKES_A_SHARE: u64 = 4;

/// Units of one pool: split over shards while there are plenty, folded into one word when they get low.
///
/// # How it works
///
/// A pool is *spread* or *folded*. Spread, a thread takes from and gives to the shard that is its home. When a home is
/// short, the pool folds: each shard is shut and its units are added to `core`; only then is core marked folded.
/// Folded, every take is one compare-and-swap on core. When there is plenty again it spreads: one compare-and-swap
/// takes the mark and the units off core, then the shards are opened. Fold and spread exclude each other by a mutex;
/// takers and givers never wait for it, except a taker whose home is short.
///
/// # Why no unit is sold twice
///
/// Units leave a word only by an atomic step that takes no more than the word has, and enter the next word after they
/// have left the one before. So at any instant the units in all words, those that a fold or spread is moving, and those
/// that takers have are together as many as were ever put in. The take's linearization point is its successful
/// compare-and-swap.
///
/// # Why no *short* is false
///
/// *Short* is the result of one load of core that is folded, has fewer units than asked, and no doubt. That load is the
/// linearization point. Let M be the change of core whose value it read. Then at M too few units were free:
///
/// 1. *At M all free units were in core.* The mark is set after the last shard has been shut and its units added, and
///    is removed before the first shard opens; both under the mutex. So nothing was in a shard or between words. A
///    giver that found its home open gave before that shard was shut, and the fold that set M's mark moved its units to
///    core; one that found it shut added to core itself. No give can come in between: giving to a shard is a
///    compare-and-swap on the word that the fold swaps.
/// 2. *At M nobody had taken units that might come back.* Such a taker begins its doubt before it takes from a shard,
///    or with taking from core, and ends it after giving back to a shard, or with giving back to core. If it took from
///    a shard that was later shut for M's mark, its doubt came before M in core's order of changes: the swap that shut
///    the shard read what the taker wrote, and the mark came after. If the doubt's end came before M, so did the units:
///    in core by the same step, or in a shard that was then open and, by 1., was folded before M.
///
/// Core's changes have one order, and a load never reads a change older than one that happened before the load. So M
/// lies after all that was over when the call began, and before all that begins after the answer: an instant inside the
/// call.
///
/// A taker that is [`Certainty::Certain`] has no doubt. If it drops its units all the same, that counts as a hold that
/// was made and released: a *short* between the two was true.
///
/// # Why taking less is exact
///
/// [`StockCounter::take_up_to`] settles for less only on a core that could refuse: folded, fewer units than asked, no
/// doubt. It takes all of them by one compare-and-swap on that same value, so between the load and the taking nothing
/// was taken or given: as for *short*, at that instant all free units were in core and nobody had any that might come
/// back. It is as if the caller had been refused with this many free and had asked for exactly those at the same
/// instant, with no other request in between. A loop of such tries would reach the same only if no other request came
/// in between. With units in doubt it returns [`TakeResult::InDoubt`] and takes nothing.
///
/// # Why these orderings
///
/// Each load is `Acquire` and each change is `AcqRel` (the opening of a shard, a plain store to a word that no other
/// thread may write, is `Release`). Two things need them. Steps 1. and 2. carry knowledge from one word to another
/// (shard to core in a fold, core to shard in a spread), so the reader of the first word must see all that came before
/// the write. And units carry the journal's order: a giver has appended its record before it gives, and a taker of
/// these units appends after it, through however many words they went. `SeqCst` would add one order over all words;
/// nothing here compares the order of two words that no thread passes between.
///
/// # Bounds
///
/// A pool accounts for at most [`UNITS_MAX`], more than an item may have; the callers ensure that and the counter
/// asserts it. Each taker in doubt is a thread inside one call, so [`DOUBTS_MAX`] is never reached in practice. From
/// half of it on doubtful takers get [`TakeResult::InDoubt`], which leaves the other half to
/// [`StockCounter::begin_doubt`].
#[derive(Debug)]
pub struct StockCounter {
    /// The one word that may refuse.
    core: CachePadded<AtomicU64>,
    /// None, or a power of two of them.
    shards: Box<[CachePadded<AtomicU64>]>,
    /// Held by a thread that folds or spreads.
    fold: Mutex<()>,
    /// Units that each shard must get for a spread to be worth it.
    least_share: u64,
    /// Counts gives, if the pool is one of several of its item.
    moving: Option<Arc<Moving>>,
}

impl StockCounter {
    /// A pool with `units` free, with as many shards as suit this machine.
    ///
    /// # Panics
    /// If `units` is over [`UNITS_MAX`].
    #[must_use]
    pub fn new(units: u64) -> Self {
        Self::with_shards(units, sync::parallelism())
    }

    /// A pool with this many shards: rounded up to a power of two, at most [`SHARDS_MAX`]. With one there is nothing to
    /// split, and the pool stays folded.
    ///
    /// # Panics
    /// If `units` is over [`UNITS_MAX`].
    #[must_use]
    pub fn with_shards(units: u64, shards: usize) -> Self {
        Self::with_shape(units, shards, SHARE_MIN)
    }

    /// As [`Self::with_shards`]; spreads when each shard gets `least_share` units, and starts spread if that is so.
    ///
    /// # Panics
    /// If `units` is over [`UNITS_MAX`].
    #[must_use]
    pub fn with_shape(units: u64, shards: usize, least_share: u64) -> Self {
        assert!(units <= UNITS_MAX, "a pool of {units} units cannot be counted");
        let shards = match shards.min(SHARDS_MAX).next_power_of_two() {
            1 => 0,
            shards => shards,
        };
        let counter = Self {
            core: CachePadded::new(AtomicU64::new(Core::folded(units).0)),
            shards: (0..shards).map(|_| CachePadded::new(AtomicU64::new(SHUT))).collect(),
            fold: Mutex::new(()),
            least_share,
            moving: None,
        };
        counter.spread(0);
        counter
    }

    /// The same as one of several pools of an item: gives to it are counted in `moving`.
    #[must_use]
    pub fn among(self, moving: Arc<Moving>) -> Self {
        Self { moving: Some(moving), ..self }
    }

    /// Sets the count to `units`. Only before serving, while no guard of it exists.
    ///
    /// # Panics
    /// If `units` is over [`UNITS_MAX`].
    pub fn set(&mut self, units: u64) {
        let moving = self.moving.take();
        *self = Self { moving, ..Self::with_shape(units, self.shards.len(), self.least_share) };
    }

    /// One try to take `units`. A request must take from a pool only once, or its own doubt would delay it.
    #[inline]
    pub fn take(&self, units: u64, certainty: Certainty) -> TakeResult<'_> {
        self.take_as(units, certainty, |_core| units)
    }

    /// One try to take `most` units or, if fewer are free, all of those; *short* only if there is none. In doubt until
    /// they are kept. See *Why taking less is exact*.
    pub fn take_up_to(&self, most: u64) -> TakeResult<'_> {
        self.take_as(most, Certainty::Doubtful, |core| core.up_to(most))
    }

    /// One try to take `units`; from a folded core, as many as `of_core` returns.
    #[expect(
        clippy::inline_always,
        reason = "by `just instructions` a refusal because of limits takes 70 more where it is on its own"
    )]
    #[inline(always)]
    fn take_as(&self, units: u64, certainty: Certainty, of_core: impl Fn(Core) -> u64) -> TakeResult<'_> {
        let mut core = self.core();
        loop {
            if certainty == Certainty::Doubtful && core.is_crowded() {
                return TakeResult::InDoubt;
            }
            if core.is_folded() {
                match self.take_from_core(core, of_core(core), certainty) {
                    Ok(take) => return take,
                    Err(found) => core = found,
                }
            } else if let Some(taken) = self.take_from_home(units, certainty) {
                return TakeResult::Taken(taken);
            } else {
                self.fold(units);
                core = self.core();
            }
        }
    }

    /// Whether `units` would be refused now: one load of a word that all cores share, so that many refusals cost
    /// little.
    #[inline]
    pub fn peek(&self, units: u64) -> PeekResult {
        self.core().peek(units)
    }

    /// Gives `units` back, or puts new ones in: after the record of that was appended. Never fails.
    ///
    /// A hold's units are given while the hold is still locked. A thread that finds the hold ended relies on its units
    /// being back; a sweep that found it ended too early would make a refusal false.
    ///
    /// # Panics
    /// If the pool would have more than [`UNITS_MAX`]: units were given that never existed.
    #[inline]
    pub fn give(&self, units: u64) {
        match &self.moving {
            None => self.give_uncounted(units),
            Some(moving) => moving.count(|| self.give_uncounted(units)),
        }
    }

    #[inline]
    fn give_uncounted(&self, units: u64) {
        if !self.give_to_home(units) {
            self.give_to_core(units, units);
        }
    }

    /// Begins a doubt: until the guard is dropped nobody is refused. It must begin before the units that will be given
    /// leave the place where others could find them.
    ///
    /// # Panics
    /// If [`DOUBTS_MAX`] threads have one at once.
    #[inline]
    pub fn begin_doubt(&self) -> Doubt<'_> {
        // AcqRel: a thread that sees what this thread takes next sees the doubt as well.
        let before = Core(self.core.fetch_add(ONE_DOUBT, Ordering::AcqRel));
        assert!(before.doubts() < DOUBTS_MAX, "more doubts than core can count");
        Doubt::new(self)
    }

    /// Units that are free. Exact while nobody takes or gives; folding and spreading do not disturb it.
    pub fn sum(&self) -> u64 {
        let _moving = self.fold.lock();
        // Acquire, as every load: the reader sees at least what led to these units.
        let open = self.shards.iter().filter_map(|shard| Shard(shard.load(Ordering::Acquire)).open());
        open.fold(self.core().units(), u64::saturating_add)
    }

    /// The word that may refuse, at one instant.
    #[inline]
    fn core(&self) -> Core {
        // Acquire: a taker that sees units in core sees what their giver appended, and one that sees the mark sees that
        // the shards are shut.
        Core(self.core.load(Ordering::Acquire))
    }

    /// This thread's shard; none in a pool that never spreads.
    #[inline]
    fn home(&self) -> Option<&AtomicU64> {
        let last = self.shards.len().checked_sub(1)?;
        self.shards.get(sync::home() & last).map(|shard| &**shard)
    }

    /// One try on a folded `core`; if it has changed, returns the value found.
    #[inline]
    fn take_from_core(&self, core: Core, units: u64, certainty: Certainty) -> Result<TakeResult<'_>, Core> {
        match core.peek(units) {
            PeekResult::MayServe => {}
            PeekResult::Short { free } => return Ok(TakeResult::Short { free }),
            PeekResult::InDoubt => return Ok(TakeResult::InDoubt),
        }
        let rest = core.taken(units, certainty);
        // AcqRel: sees what the givers of these units appended; shows the next taker what this one has seen. Acquire on
        // failure: the value found is the next one to decide from.
        match self.core.compare_exchange_weak(core.0, rest.0, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                if self.share(rest, units).is_some() {
                    self.spread(units);
                }
                Ok(TakeResult::Taken(Taken::new(self, units, certainty)))
            }
            Err(found) => Err(Core(found)),
        }
    }

    #[inline]
    fn take_from_home(&self, units: u64, certainty: Certainty) -> Option<Taken<'_>> {
        match certainty {
            Certainty::Certain => {
                self.change_home(|shard| shard.without(units)).then(|| Taken::new(self, units, certainty))
            }
            Certainty::Doubtful => {
                fault!(doubt_begins_after_taking, return self.take_then_doubt(units));
                // The doubt first: once the units are gone from the shard, a fold could find them missing.
                let doubt = self.begin_doubt();
                let took = self.change_home(|shard| shard.without(units));
                took.then(|| doubt.into_taken(units))
            }
        }
    }

    #[inline]
    fn give_to_home(&self, units: u64) -> bool {
        self.change_home(|shard| {
            let held = shard.with(units)?;
            assert!(held <= UNITS_MAX, "more units given than a pool can count");
            Some(held)
        })
    }

    /// Adds `change` to core, which then has `units` more. Does not spread them: the next taker does, since it knows
    /// how much is asked for at a time.
    fn give_to_core(&self, units: u64, change: u64) {
        // AcqRel: shows the next taker what this giver and the givers of the units already there appended.
        let before = self.core.fetch_add(change, ordering!(AcqRel, relaxed_giving_to_core));
        assert!(Core(before).has_room_for(units), "more units given than a pool can count");
    }

    /// Gives `units` back and then, or with the same step, ends the giver's doubt.
    fn give_and_end_doubt(&self, units: u64) {
        fault!(the_end_of_a_doubt_gives_uncounted, return self.give_and_end_doubt_uncounted(units));
        match &self.moving {
            None => self.give_and_end_doubt_uncounted(units),
            Some(moving) => moving.count(|| self.give_and_end_doubt_uncounted(units)),
        }
    }

    fn give_and_end_doubt_uncounted(&self, units: u64) {
        fault!(doubt_ends_before_giving, return self.end_doubt_then_give(units));
        if self.give_to_home(units) {
            self.end_doubt();
        } else {
            self.give_to_core(units, units.wrapping_sub(ONE_DOUBT));
        }
    }

    fn end_doubt(&self) {
        // AcqRel: a thread that sees the doubt gone sees the result of its taking.
        let before = Core(self.core.fetch_sub(ONE_DOUBT, Ordering::AcqRel));
        debug_assert!(before.doubts() > 0, "a doubt ended that never began");
    }

    /// Changes this thread's shard, unless `change` returns none.
    #[inline]
    fn change_home(&self, change: impl Fn(Shard) -> Option<u64>) -> bool {
        let Some(home) = self.home() else { return false };
        // Acquire, as every load; the compare-and-swap confirms what is decided here.
        let mut held = home.load(Ordering::Acquire);
        while let Some(wanted) = change(Shard(held)) {
            // AcqRel: as on core, for units that pass through a shard.
            let success = ordering!(AcqRel, relaxed_change_of_a_shard);
            match home.compare_exchange_weak(held, wanted, success, ordering!(Acquire, relaxed_change_of_a_shard)) {
                Ok(_) => return true,
                Err(found) => held = found,
            }
        }
        false
    }

    /// Moves all units into core, for a taker of `units` whose home is short.
    #[cold]
    fn fold(&self, units: u64) {
        let _alone = self.fold.lock();
        // While this thread waited, the pool may have been folded, or spread and its home filled.
        if self.core().is_folded() || self.home_has(units) {
            return;
        }
        fault!(mark_before_units, self.core.fetch_or(FOLDED, Ordering::AcqRel));
        for shard in &self.shards {
            // A swap, so that nothing comes between reading and shutting. AcqRel: passes on into core what the givers
            // of the units wrote, and shows what was done before this fold to threads that find the shard shut.
            let held = sound!(
                shard.swap(SHUT, ordering!(AcqRel, relaxed_shutting)),
                shard_read_then_shut,
                faults::read_then_shut(shard)
            );
            let Some(held) = Shard(held).open() else { continue };
            if held > 0 {
                // AcqRel: passes on what the givers of the units wrote.
                self.core.fetch_add(held, Ordering::AcqRel);
            }
        }
        // Last: from here on core may refuse. AcqRel: a thread that sees the mark sees the units.
        self.core.fetch_or(FOLDED, Ordering::AcqRel);
    }

    fn home_has(&self, units: u64) -> bool {
        // Acquire, as every load; only the decision to fold depends on it.
        self.home().is_some_and(|home| Shard(home.load(Ordering::Acquire)).without(units).is_some())
    }

    /// What each shard would get if the pool, folded, were spread; none if that is too little.
    ///
    /// `units` is the size of the take after which this is checked: shards that serve only few takes of that size would
    /// be folded again at once.
    #[inline]
    fn share(&self, core: Core, units: u64) -> Option<u64> {
        let shards = u64::try_from(self.shards.len()).ok()?;
        if !core.is_folded() || core.units() < self.least_share.saturating_mul(shards) {
            return None;
        }
        let share = core.units().checked_div(shards)?;
        (share >= units.saturating_mul(TAKES_A_SHARE)).then_some(share)
    }

    /// Distributes the units in core to the shards, if there is still plenty.
    #[cold]
    fn spread(&self, units: u64) {
        // Only a try: the thread that has the lock is folding or spreading, and core serves meanwhile.
        let Some(_alone) = self.fold.try_lock() else { return };
        let mut core = self.core();
        while let Some(share) = self.share(core, units) {
            let shards = u64::try_from(self.shards.len()).unwrap_or(0);
            fault!(shards_open_under_the_mark, self.open_shards(share));
            let rest = core.spread(share.saturating_mul(shards));
            // The mark goes with the units, in one step. AcqRel: sees what their givers wrote. Acquire on
            // failure: the value found is the next one to decide from.
            match self.core.compare_exchange_weak(core.0, rest.0, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return self.open_shards(share),
                Err(found) => core = Core(found),
            }
        }
    }

    fn open_shards(&self, share: u64) {
        for shard in &self.shards {
            // Release: threads that find the shard open see what the units' givers wrote. A store is enough: only the
            // holder of the lock writes to a shut shard.
            shard.store(share, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests;
