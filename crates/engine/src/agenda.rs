//! The agenda: what comes by the clock and that nobody asked for. Drops open and close at their moments, holds are given
//! back at their deadlines, ended ones are forgotten, drops that closed long ago are archived. A request that needs one of
//! these before the agenda has come to it does it by itself, by the same functions.
//!
//! Each of these is an entry, which knows the instant from which it has something to do. At a look every entry whose instant
//! has come has one turn, in their order, and does a bounded piece of its work: none waits until another is done with all of
//! its own. A turn ends at the latest with a rest, so an opening waits for few of them. One that meets a busy journal has its
//! next turn a while later.
//!
//! It has no clock of its own and no thread: its owner passes the time, and gets that of the next look.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use stockade_types::time::{Millis, Timestamp};

use super::Engine;
use super::archive::Archiving;
use super::pace::{Pace, Share, TOO_LATE};
use super::sweep::PoolPlace;

/// How often the agenda is looked at, at least. Nobody wakes it: a hold is given back, and a drop opens, about this long after
/// its instant at most, as long as there is not much else to do.
pub const LOOK_PERIOD: Duration = Duration::from_millis(SOON.0);
/// When an entry has its next turn that the journal could take nothing more of, or that found nothing where it was to find
/// something.
const SOON: Millis = Millis(2);

/// A quarter of a core for all entries together, while customers are at work: what is due and not done yet is done by the
/// request that needs it, at its own cost. In pieces of a few hundred holds.
const SHARE: Share = Share { rests: 3, piece: Duration::from_millis(1) };
/// Pools that have holds given back at one turn: of each a few at a time.
const POOLS_A_TURN: usize = 16;

/// The entries, in the order in which they have their turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Drops open and close.
    Moments,
    /// Holds are given back at their deadlines.
    DueHolds,
    /// Ended holds are forgotten.
    Forgetting,
    /// Drops that closed long ago are archived, and their holds leave memory.
    Archiving,
}

/// How an entry's turn has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TurnEnd {
    /// A piece was done. When there is more, the entry's instant says.
    Done,
    /// The rest is for a while later: the journal is busy, or takes nothing now, or nothing was found.
    Soon,
}

/// What an entry does.
pub(super) trait Work: fmt::Debug + Send {
    /// From when on there is something to do; [`Timestamp::NEVER`] for nothing. Asked at every look, so it costs little.
    fn due_at(&self, engine: &Engine) -> Timestamp;

    /// Does a bounded piece of it, and rests in between where no lock is held.
    fn take_turn(&mut self, engine: &Engine, now: Timestamp, pace: &mut Pace) -> TurnEnd;
}

/// An entry, and when it may have its next turn.
#[derive(Debug)]
struct Scheduled {
    entry: Entry,
    work: Box<dyn Work>,
    not_before: Timestamp,
}

/// What comes by the clock.
#[derive(Debug)]
pub struct Agenda {
    engine: Arc<Engine>,
    entries: [Scheduled; 4],
    /// One for all: what one of them appends is nobody else's work to another.
    pace: Pace,
    /// After the last look there was nothing to do at once.
    idle: bool,
}

impl Agenda {
    /// One that has not been looked at yet.
    #[must_use]
    pub fn new(engine: Arc<Engine>) -> Self {
        Self::with_share(engine, SHARE)
    }

    fn with_share(engine: Arc<Engine>, share: Share) -> Self {
        let at_once = |entry, work: Box<dyn Work>| Scheduled { entry, work, not_before: Timestamp(0) };
        let entries = [
            at_once(Entry::Moments, Box::new(Moments)),
            at_once(Entry::DueHolds, Box::<DueHolds>::default()),
            at_once(Entry::Forgetting, Box::new(Forgetting)),
            at_once(Entry::Archiving, Box::<Archiving>::default()),
        ];
        let pace = Pace::new(Arc::clone(&engine), share);
        Self { engine, entries, pace, idle: true }
    }

    /// Gives every entry a turn whose instant has come. Says when there is more to do, as far as is known now: at once, where
    /// that is not after `now`.
    pub fn look(&mut self, now: Timestamp) -> Timestamp {
        self.look_where(now, |_| true)
    }

    /// As [`Agenda::look`], at one entry alone: for a simulation, and tests, of what comes in between.
    pub fn look_at(&mut self, entry: Entry, now: Timestamp) -> Timestamp {
        self.look_where(now, |other| other == entry)
    }

    fn look_where(&mut self, now: Timestamp, wanted: impl Fn(Entry) -> bool) -> Timestamp {
        let Self { engine, entries, pace, idle } = self;
        if *idle {
            pace.has_rested();
        }
        let mut next = Timestamp::NEVER;
        for scheduled in entries.iter_mut().filter(|scheduled| wanted(scheduled.entry)) {
            if scheduled.next(engine) <= now {
                scheduled.take_turn(engine, now, pace);
            }
            next = next.min(scheduled.next(engine));
        }
        *idle = next > now;
        next
    }
}

impl Scheduled {
    /// When it has its next turn.
    fn next(&self, engine: &Engine) -> Timestamp {
        self.work.due_at(engine).max(self.not_before)
    }

    fn take_turn(&mut self, engine: &Engine, now: Timestamp, pace: &mut Pace) {
        self.not_before = match self.work.take_turn(engine, now, pace) {
            TurnEnd::Done => Timestamp(0),
            TurnEnd::Soon => now.plus(SOON),
        };
    }
}

/// [`Entry::Moments`]. However late it is, it rests: a request that needs a drop turns it.
#[derive(Debug)]
struct Moments;

impl Work for Moments {
    fn due_at(&self, engine: &Engine) -> Timestamp {
        engine.inventory.moments.next()
    }

    fn take_turn(&mut self, engine: &Engine, now: Timestamp, pace: &mut Pace) -> TurnEnd {
        match engine.turn_due_with(now, || pace.rest(1, Millis(0))) {
            Ok(1..) if !engine.journal.is_busy() => TurnEnd::Done,
            Ok(_) | Err(_) => TurnEnd::Soon,
        }
    }
}

/// [`Entry::DueHolds`].
///
/// A wave of deadlines is never let loose on the journal as fast as memory is: the queue would be full of it, customers
/// would be turned away for what nobody waits for, and all others would stand behind it. Where much waits already, a part
/// is given back every 2 ms and no more; and while customers are at work it rests between, until it is late. What is
/// left is late, not lost: who needs units that are due gives them back first. Only `--max-holds` counts it meanwhile: near
/// that bound it does not rest.
#[derive(Debug, Default)]
struct DueHolds {
    /// Pools that had holds due when all were looked at last, and have not had their turn since.
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

    fn take_turn(&mut self, engine: &Engine, now: Timestamp, pace: &mut Pace) -> TurnEnd {
        if !self.has_pools() {
            self.pools = engine.inventory.due(now).into_iter();
            if !self.has_pools() {
                return TurnEnd::Done;
            }
        }
        let rest = |expired, late| pace.rest(expired, if engine.has_hardly_room() { TOO_LATE } else { late });
        match engine.sweep_pools(self.pools.by_ref().take(POOLS_A_TURN), now, rest) {
            Ok(1..) if !engine.journal.is_busy() => TurnEnd::Done,
            Ok(0) if self.has_pools() => TurnEnd::Done,
            Ok(_) | Err(_) => TurnEnd::Soon,
        }
    }
}

/// [`Entry::Forgetting`]. It writes nothing: it goes on whatever the journal does, and without a rest where memory is at its
/// bound.
#[derive(Debug)]
struct Forgetting;

impl Work for Forgetting {
    fn due_at(&self, engine: &Engine) -> Timestamp {
        engine.next_forgotten()
    }

    fn take_turn(&mut self, engine: &Engine, now: Timestamp, pace: &mut Pace) -> TurnEnd {
        engine.forget(now);
        if !engine.remembers_too_many() {
            pace.rest(0, Millis(0));
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
    use crate::handle::ephemeral_engine;

    fn sale(n: u64) -> CreateDrop {
        let pool = Pool { id: "all".parse().expect("an id"), units: 1 };
        let definition = Definition {
            id: format!("d{n}").parse().expect("an id"),
            title: String::new(),
            shop: "s".parse().expect("an id"),
            series: None,
            labels: BTreeMap::new(),
            schedule: Schedule { opens_at: Some(Timestamp(10)), closes_at: Some(Timestamp(20)) },
            terms: Terms { hold_ttl: Millis(1), max_hold_life: Millis(1), payment_ttl: Millis(1) },
            items: vec![Item { sku: Sku::try_from("KNIFE").expect("a sku"), pools: vec![pool] }],
            limits: Vec::new(),
        };
        CreateDrop { definition, validate_only: false }
    }

    #[test]
    fn moments_and_archiving_rest_while_others_are_at_work() {
        let engine = ephemeral_engine();
        let mut agenda = Agenda::with_share(Arc::clone(&engine), Share { rests: 0, piece: Duration::ZERO });
        let archived_at = Timestamp(20).plus(engine.bounds.archive_after);
        let mut rested = 0;
        // What others do comes right before each look, so they are at work.
        let looks = [(Entry::Moments, Timestamp(10)), (Entry::Moments, Timestamp(20)), (Entry::Archiving, archived_at)];
        for (n, (entry, at)) in (0..).zip(looks) {
            let _made = engine.create_drop(&sale(n), Context::anonymous(Timestamp(1))).expect("a drop");
            agenda.look_at(entry, at);
            assert!(agenda.pace.rests > rested, "{entry:?} at {at}");
            rested = agenda.pace.rests;
        }
        assert_eq!(engine.inventory.closings.next(), Timestamp::NEVER, "what was closed is archived");
    }
}
