//! The agenda: work that is due by the clock. Drops open and close at their moments, rules fire that wait for a level of
//! stock, what the public sees of the stock is made known, holds are given back at their deadlines, ended holds are
//! forgotten, drops that closed long ago are archived, series make the drops of their occurrences, and what was asked of
//! drops is recorded. A request that
//! needs a drop turned or units given back before the agenda has done it does it by itself, with the same functions.
//!
//! Each kind of work is an entry, which knows the instant at which it next has something to do. In each pass, every
//! entry whose instant is reached gets one turn, in order, and does a bounded piece of its work, so that none waits
//! until another has finished. A turn ends with a rest at the latest, so an opening waits for few rests. An entry that
//! finds the journal busy gets its next turn a while later.
//!
//! The agenda has no clock and no thread: its owner passes the time and gets back when the next pass is due.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use stockade_types::ids::DropNo;
use stockade_types::time::{Millis, Timestamp};

use crate::Engine;
use crate::background::archive::Archiving;
use crate::background::sweep::PoolPlace;
use crate::background::throttle::{DutyCycle, TOO_LATE, Throttle};
use crate::inventory::DropEntry;
use crate::operators::measure::RECORD_PERIOD;
use crate::operators::series::Neighbours;
use crate::operators::stock_state::{Ceased, changes_of_sale, reached};

/// The longest time between two passes. Nothing wakes the agenda: a hold is given back, and a drop opens, at most about
/// this long after its instant, while there is little else to do.
pub const CHECK_PERIOD: Duration = Duration::from_millis(SOON.0);
/// How long an entry waits for its next turn if the journal could take no more or if it did not find what it expected.
const SOON: Millis = Millis(2);

/// A quarter of a core for all entries together while customers are active, in pieces of about 1 ms: a few hundred
/// holds. Work that is due and not done yet is done by the request that needs it.
const DUTY_CYCLE: DutyCycle = DutyCycle { rests: 3, piece: Duration::from_millis(1) };
/// Pools that have holds given back in one turn, a few holds of each at a time.
const POOLS_A_TURN: usize = 16;
/// How often the stock is compared with the levels at which rules fire. The contract says within 50 ms.
const LOOK_PERIOD: Millis = Millis(10);
/// How often the stock is compared with what was made known of it; less often while very many drops are on sale.
const SALE_PERIOD: Millis = Millis(100);
/// Most drops of which that is done in a millisecond, on average.
const SALES_A_MILLISECOND: u64 = 10;
/// Drops whose stock is looked at in one turn.
const DROPS_A_TURN: usize = 64;

/// The entries, in the order of their turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgendaEntry {
    /// Drops open and close.
    Moments,
    /// Rules fire that wait for a level of stock.
    StockLevels,
    /// What the public sees of the stock is made known.
    Sale,
    /// Holds are given back at their deadlines.
    DueHolds,
    /// Ended holds are forgotten.
    Eviction,
    /// Drops that closed long ago are archived, and their holds leave memory.
    Archiving,
    /// Series make the drops of their occurrences.
    Series,
    /// What was asked of drops is recorded.
    Demand,
}

/// How an entry's turn has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TurnEnd {
    /// A piece was done. `due_at` returns when there is more.
    Done,
    /// The remaining work must wait a while: the journal is busy or takes nothing now, or nothing was found.
    Soon,
}

/// What an entry does.
pub(crate) trait Work: fmt::Debug + Send {
    /// From when on there is something to do; [`Timestamp::NEVER`] for nothing. Called in every pass, so it must be
    /// cheap.
    fn due_at(&self, engine: &Engine) -> Timestamp;

    /// Does a bounded piece of its work, and rests in between while no lock is held.
    fn take_turn(&mut self, engine: &Engine, now: Timestamp, throttle: &mut Throttle) -> TurnEnd;
}

/// An entry, and when it may have its next turn.
#[derive(Debug)]
struct Scheduled {
    entry: AgendaEntry,
    work: Box<dyn Work>,
    not_before: Timestamp,
}

/// The work that is due by the clock.
#[derive(Debug)]
pub struct Agenda {
    engine: Arc<Engine>,
    entries: [Scheduled; 8],
    /// One for all entries, so that what one entry appends does not count as customers' activity for another.
    throttle: Throttle,
    /// Whether nothing was left to do at once after the last pass.
    idle: bool,
}

impl Agenda {
    /// An agenda before its first pass.
    #[must_use]
    pub fn new(engine: Arc<Engine>) -> Self {
        Self::with_duty_cycle(engine, DUTY_CYCLE)
    }

    fn with_duty_cycle(engine: Arc<Engine>, duty_cycle: DutyCycle) -> Self {
        let at_once = |entry, work: Box<dyn Work>| Scheduled { entry, work, not_before: Timestamp(0) };
        let entries = [
            at_once(AgendaEntry::Moments, Box::new(DropMoments)),
            at_once(AgendaEntry::StockLevels, Box::<StockLevels>::default()),
            at_once(AgendaEntry::Sale, Box::<Sale>::default()),
            at_once(AgendaEntry::DueHolds, Box::<DueHolds>::default()),
            at_once(AgendaEntry::Eviction, Box::new(Eviction)),
            at_once(AgendaEntry::Archiving, Box::<Archiving>::default()),
            at_once(AgendaEntry::Series, Box::<SeriesLook>::default()),
            at_once(AgendaEntry::Demand, Box::<DemandRecords>::default()),
        ];
        let throttle = Throttle::new(Arc::clone(&engine), duty_cycle);
        Self { engine, entries, throttle, idle: true }
    }

    /// Gives a turn to every entry whose instant is reached. Returns when there is more to do, as far as is known; not
    /// after `now` means at once.
    pub fn run_due(&mut self, now: Timestamp) -> Timestamp {
        self.run_where(now, |_| true)
    }

    /// As [`Agenda::run_due`], for one entry alone: for simulations and tests.
    pub fn run_entry(&mut self, entry: AgendaEntry, now: Timestamp) -> Timestamp {
        self.run_where(now, |other| other == entry)
    }

    fn run_where(&mut self, now: Timestamp, wanted: impl Fn(AgendaEntry) -> bool) -> Timestamp {
        let Self { engine, entries, throttle, idle } = self;
        if *idle {
            throttle.has_rested();
        }
        let mut next = Timestamp::NEVER;
        for scheduled in entries.iter_mut().filter(|scheduled| wanted(scheduled.entry)) {
            if scheduled.next(engine) <= now {
                scheduled.take_turn(engine, now, throttle);
            }
            next = next.min(scheduled.next(engine));
        }
        *idle = next > now;
        next
    }
}

impl Scheduled {
    /// When the entry has its next turn.
    fn next(&self, engine: &Engine) -> Timestamp {
        self.work.due_at(engine).max(self.not_before)
    }

    fn take_turn(&mut self, engine: &Engine, now: Timestamp, throttle: &mut Throttle) {
        self.not_before = match self.work.take_turn(engine, now, throttle) {
            TurnEnd::Done => Timestamp(0),
            TurnEnd::Soon => now.plus(SOON),
        };
    }
}

/// [`AgendaEntry::Moments`]. It rests however late it is, since a request that needs a drop turned turns it.
#[derive(Debug)]
struct DropMoments;

impl Work for DropMoments {
    fn due_at(&self, engine: &Engine) -> Timestamp {
        engine.inventory.moments.next()
    }

    fn take_turn(&mut self, engine: &Engine, now: Timestamp, throttle: &mut Throttle) -> TurnEnd {
        match engine.turn_due_with(now, || throttle.rest(1, Millis(0))) {
            Ok(1..) if !engine.journal.is_busy() => TurnEnd::Done,
            Ok(_) | Err(_) => TurnEnd::Soon,
        }
    }
}

/// [`AgendaEntry::StockLevels`]. Looks at the stock of the drops that wait for it without closing their gates; if a level
/// seems to be reached, the gate is closed and the figures are read again. A level that was reached between two looks
/// only has not fired anything.
#[derive(Debug, Default)]
struct StockLevels {
    /// The last drop that was looked at in this round; none between two rounds.
    last: Option<DropNo>,
    /// When the next round begins.
    next: Timestamp,
    /// Signals that may fire again.
    ceased: Ceased,
}

impl Work for StockLevels {
    fn due_at(&self, engine: &Engine) -> Timestamp {
        if engine.inventory.watched.is_empty() { Timestamp::NEVER } else { self.next }
    }

    fn take_turn(&mut self, engine: &Engine, now: Timestamp, throttle: &mut Throttle) -> TurnEnd {
        let drops = engine.inventory.watched.after(self.last, DROPS_A_TURN);
        for drop in &drops {
            let ceased = &self.ceased;
            let look = |entry: &DropEntry| !reached(entry, &entry.read(), now, ceased).is_nothing();
            let reached = engine.inventory.drops.with_number(*drop, look);
            if reached == Some(true) && engine.turn_by_stock(*drop, now, &mut self.ceased).is_err() {
                return TurnEnd::Soon;
            }
            throttle.rest(0, Millis(0));
        }
        self.last = if drops.len() == DROPS_A_TURN { drops.last().copied() } else { None };
        if self.last.is_none() {
            self.next = now.plus(LOOK_PERIOD);
            // A drop that is paused is not watched, and what has ceased there counts once it goes on.
            self.ceased.retain(|drop| engine.inventory.on_sale.has(drop));
        }
        TurnEnd::Done
    }
}

/// [`AgendaEntry::Sale`]. Looks at the stock of the drops on sale as [`StockLevels`] does.
#[derive(Debug, Default)]
struct Sale {
    /// The last drop that was looked at in this round; none between two rounds.
    last: Option<DropNo>,
    /// Drops that were looked at in this round.
    looked: u64,
    /// When the next round begins.
    next: Timestamp,
}

impl Work for Sale {
    fn due_at(&self, engine: &Engine) -> Timestamp {
        if engine.inventory.on_sale.is_empty() { Timestamp::NEVER } else { self.next }
    }

    fn take_turn(&mut self, engine: &Engine, now: Timestamp, throttle: &mut Throttle) -> TurnEnd {
        let drops = engine.inventory.on_sale.after(self.last, DROPS_A_TURN);
        for drop in &drops {
            let look = |entry: &DropEntry| !changes_of_sale(entry, &entry.read(), now).is_empty();
            let has_changed = engine.inventory.drops.with_number(*drop, look);
            if has_changed == Some(true) && engine.turn_by_sale(*drop, now).is_err() {
                return TurnEnd::Soon;
            }
            self.last = Some(*drop);
            self.looked = self.looked.saturating_add(1);
            throttle.rest(0, Millis(0));
        }
        if drops.len() < DROPS_A_TURN {
            let most = Millis(self.looked.checked_div(SALES_A_MILLISECOND).unwrap_or(0));
            (self.last, self.looked, self.next) = (None, 0, now.plus(SALE_PERIOD.max(most)));
        }
        TurnEnd::Done
    }
}

/// [`AgendaEntry::DueHolds`].
///
/// Many holds may fall due at once. If all were expired as fast as memory allows, their records would fill the
/// journal's queue: customers would be turned away, and all others would wait behind. So while the journal is busy, one
/// part is given back every 2 ms, and while customers are active it rests in between, until it is late. Late holds cost
/// little: a request that needs their units gives them back first. Until then they count for `--max-holds`; near that
/// bound there is no rest.
#[derive(Debug, Default)]
struct DueHolds {
    /// Pools that had due holds at the last look at all pools and have not had their turn since.
    pools: std::vec::IntoIter<PoolPlace>,
}

impl DueHolds {
    fn has_pools(&self) -> bool {
        !self.pools.as_slice().is_empty()
    }
}

impl Work for DueHolds {
    fn due_at(&self, engine: &Engine) -> Timestamp {
        if self.has_pools() { Timestamp(0) } else { engine.inventory.next_due() }
    }

    fn take_turn(&mut self, engine: &Engine, now: Timestamp, throttle: &mut Throttle) -> TurnEnd {
        if !self.has_pools() {
            self.pools = engine.inventory.due(now).into_iter();
            if !self.has_pools() {
                return TurnEnd::Done;
            }
        }
        let rest = |expired, late| throttle.rest(expired, if engine.has_hardly_room() { TOO_LATE } else { late });
        match engine.sweep_pools(self.pools.by_ref().take(POOLS_A_TURN), now, rest) {
            Ok(1..) if !engine.journal.is_busy() => TurnEnd::Done,
            Ok(0) if self.has_pools() => TurnEnd::Done,
            Ok(_) | Err(_) => TurnEnd::Soon,
        }
    }
}

/// [`AgendaEntry::Eviction`]. It writes nothing, so it goes on whatever the journal does, and without a rest while too
/// many holds are remembered.
#[derive(Debug)]
struct Eviction;

impl Work for Eviction {
    fn due_at(&self, engine: &Engine) -> Timestamp {
        engine.next_eviction()
    }

    fn take_turn(&mut self, engine: &Engine, now: Timestamp, throttle: &mut Throttle) -> TurnEnd {
        engine.evict_ended(now);
        if !engine.has_too_many_ended() {
            throttle.rest(0, Millis(0));
        }
        TurnEnd::Done
    }
}

/// [`AgendaEntry::Series`]: a few drops of one series a turn. What stops it, stops it for a while: the series is due again by then.
#[derive(Debug, Default)]
struct SeriesLook {
    /// What the looks that follow one another have found of other drops.
    neighbours: Neighbours,
}

impl Work for SeriesLook {
    fn due_at(&self, engine: &Engine) -> Timestamp {
        engine.inventory.series_looks.next()
    }

    fn take_turn(&mut self, engine: &Engine, now: Timestamp, throttle: &mut Throttle) -> TurnEnd {
        let looked = engine.look_at_series_with(now, &mut self.neighbours);
        if engine.inventory.series_looks.next() > now {
            self.neighbours = Neighbours::default();
        }
        throttle.rest(0, Millis(0));
        match looked {
            Ok(true) if !engine.journal.is_busy() => TurnEnd::Done,
            Ok(_) => TurnEnd::Soon,
            Err(fault) => {
                tracing::warn!(%fault, "what a series has to do is done later");
                TurnEnd::Soon
            }
        }
    }
}

/// [`AgendaEntry::Demand`]: each drop of which something was asked, once in a while.
#[derive(Debug, Default)]
struct DemandRecords {
    /// The last drop that was looked at in this round; none between two rounds.
    last: Option<DropNo>,
    /// When the next round begins; none while nothing was asked since the last one.
    next: Option<Timestamp>,
    /// Whether a drop of this round has requests of a second that still runs.
    is_left: bool,
}

impl Work for DemandRecords {
    fn due_at(&self, engine: &Engine) -> Timestamp {
        if !engine.bounds.records_demand {
            return Timestamp::NEVER;
        }
        let first =
            || if engine.has_unrecorded_demand.load(Ordering::Relaxed) { Timestamp(0) } else { Timestamp::NEVER };
        self.next.unwrap_or_else(first)
    }

    fn take_turn(&mut self, engine: &Engine, now: Timestamp, throttle: &mut Throttle) -> TurnEnd {
        if self.next.is_none() {
            // A round begins a while after the first request.
            self.next = Some(now.plus(RECORD_PERIOD));
            return TurnEnd::Done;
        }
        if self.last.is_none() {
            // Cleared before anything is taken: what is asked from now on sets it again.
            engine.has_unrecorded_demand.store(false, Ordering::Relaxed);
            self.is_left = false;
        }
        let entries = engine.inventory.drops.behind(self.last, DROPS_A_TURN);
        for entry in &entries {
            let recorded = engine.record_demand(entry, now);
            self.is_left |= entry.demand_so_far().is_some_and(|demand| !demand.is_settled());
            if recorded.is_err() || engine.journal.is_busy() {
                engine.has_unrecorded_demand.store(true, Ordering::Relaxed);
                return TurnEnd::Soon;
            }
            self.last = Some(entry.number);
        }
        throttle.rest(0, Millis(0));
        if entries.len() < DROPS_A_TURN {
            (self.last, self.next) = (None, self.is_left.then(|| now.plus(RECORD_PERIOD)));
        }
        TurnEnd::Done
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use stockade_types::definition::{Definition, Item, Pool, Schedule, Terms};
    use stockade_types::ids::Sku;

    use super::*;
    use crate::command::CreateDrop;
    use crate::context::Context;
    use crate::lifecycle::term::ephemeral_engine;

    fn sale(n: u64) -> CreateDrop {
        let pool = Pool::plain("all".parse().expect("an id"), 1);
        let definition = Definition {
            id: format!("d{n}").parse().expect("an id"),
            title: String::new(),
            shop: "s".parse().expect("an id"),
            series: None,
            labels: BTreeMap::new(),
            schedule: Schedule { opens_at: Some(Timestamp(10)), closes_at: Some(Timestamp(20)) },
            terms: Terms { hold_ttl: Millis(1), max_hold_life: Millis(1), payment_ttl: Millis(1) },
            items: vec![Item::plain(Sku::try_from("KNIFE").expect("a sku"), vec![pool])],
            limits: Vec::new(),
            rules: stockade_types::definition::Rules::default(),
        };
        CreateDrop { definition, validate_only: false }
    }

    #[test]
    fn moments_and_archiving_rest_while_others_are_at_work() {
        let engine = ephemeral_engine();
        let mut agenda = Agenda::with_duty_cycle(Arc::clone(&engine), DutyCycle { rests: 0, piece: Duration::ZERO });
        let archived_at = Timestamp(20).plus(engine.bounds.archive_after);
        let mut rested = 0;
        // Customers' records are appended right before each look, so customers count as active.
        let looks = [
            (AgendaEntry::Moments, Timestamp(10)),
            (AgendaEntry::Moments, Timestamp(20)),
            (AgendaEntry::Archiving, archived_at),
        ];
        for (n, (entry, at)) in (0..).zip(looks) {
            let _made = engine.create_drop(&sale(n), Context::anonymous(Timestamp(1))).expect("a drop");
            agenda.run_entry(entry, at);
            assert!(agenda.throttle.rests > rested, "{entry:?} at {at}");
            rested = agenda.throttle.rests;
        }
        assert_eq!(engine.inventory.closings.next(), Timestamp::NEVER, "what was closed is archived");
    }
}
