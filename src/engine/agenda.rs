//! The agenda: what comes by the clock and that nobody asked for. Drops open and close at their moments, holds are given back
//! at their deadlines. Whoever needs such a thing before the agenda has come to it does it by itself, by the same functions.
//!
//! It has no clock of its own and no thread: its owner says what time it is.

use std::sync::Arc;
use std::time::Duration;

use super::Engine;
use super::pace::{Pace, Share, TOO_LATE};
use crate::time::{Millis, Timestamp};

/// How often the agenda is looked at: a hold is given back, and a drop opens, about this long after its instant at most, as
/// long as no wave of deadlines is given back meanwhile.
pub const LOOK_PERIOD: Duration = Duration::from_millis(SWEEP_EVERY.0);
const SWEEP_EVERY: Millis = Millis(2);

/// A quarter of a core for giving back, while customers are at work: what is due and not given back yet is given back by
/// whoever needs it, at its own cost. In pieces of a few hundred holds.
const SWEEP: Share = Share { rests: 3, piece: Duration::from_millis(1) };

/// What comes by the clock.
#[derive(Debug)]
pub struct Agenda {
    engine: Arc<Engine>,
    sweeper: Sweeper,
}

impl Agenda {
    /// One that has not been looked at yet.
    #[must_use]
    pub fn new(engine: Arc<Engine>) -> Self {
        let sweeper = Sweeper::new(Arc::clone(&engine));
        Self { engine, sweeper }
    }

    /// Does what has come, a bounded part of it: moments of drops first. Says whether there may be more to do at once.
    pub fn look(&mut self, now: Timestamp) -> bool {
        // What the journal can't take now, the next look finds again; one that finds it busy leaves it to customers.
        let turned = self.engine.turn_due(now).is_ok_and(|drops| drops > 0);
        self.sweeper.look(now) || (turned && !self.engine.journal().is_busy())
    }
}

/// Gives back and forgets what is due.
///
/// A wave of deadlines is never let loose on the journal as fast as memory is: the queue would be full of it, customers
/// would be turned away for what nobody waits for, and all others would stand behind it. Where much waits already, a part
/// is given back at each look and no more; and while customers are at work it rests between, until it is late. What is
/// left is late, not lost: who needs units that are due gives them back first. Only `--max-holds` counts it meanwhile: near
/// that bound it does not rest.
#[derive(Debug)]
struct Sweeper {
    engine: Arc<Engine>,
    /// When it last gave back.
    swept: Timestamp,
    pace: Pace,
    /// The last look found nothing.
    idle: bool,
}

impl Sweeper {
    /// One that has not looked yet.
    fn new(engine: Arc<Engine>) -> Self {
        let pace = Pace::new(Arc::clone(&engine), SWEEP);
        Self { engine, swept: Timestamp(0), pace, idle: true }
    }

    /// Looks once. Says whether there may be more to do at once.
    fn look(&mut self, now: Timestamp) -> bool {
        if self.idle {
            self.pace.has_rested();
        }
        let waits = self.engine.journal().is_busy() && now < self.swept.plus(SWEEP_EVERY);
        let more = !waits && self.give_back(now) && !self.engine.journal().is_busy();
        // Forgetting writes nothing: it goes on whatever the journal does, and without a rest where memory is at its bound.
        let forgot = self.engine.forget(now) > 0;
        if forgot && !self.engine.remembers_too_many() {
            self.pace.rest(0, Millis(0));
        }
        self.idle = !(forgot || more);
        !self.idle
    }

    /// Whether there was something.
    fn give_back(&mut self, now: Timestamp) -> bool {
        self.swept = now;
        let Self { engine, pace, .. } = self;
        let rest = |expired, late| pace.rest(expired, if engine.has_hardly_room() { TOO_LATE } else { late });
        // Where the journal is full or failed, the next look finds the same holds.
        engine.sweep_with(now, rest).is_ok_and(|expired| expired > 0)
    }
}
