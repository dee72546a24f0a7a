//! What customers asked and what they were answered, kept for the audit. Nothing here judges.

use std::time::Duration;

use parking_lot::Mutex;
use stockade_proto as pb;
use tonic::Code;
use uuid::Uuid;

use crate::samples::Verb;

/// An instant: nanoseconds from the start of the load; negative before it.
pub type At = i64;

/// An instant by the load's watch.
#[must_use]
pub fn at(elapsed: Duration) -> At {
    At::try_from(elapsed.as_nanos()).unwrap_or(At::MAX)
}

/// The crowd index of holds that existed before the load.
pub const BEFORE: u16 = u16::MAX;

/// Number of lists that visits are spread over, so that concurrent writers rarely contend.
const SHARDS: usize = 8;

/// An answer as the customer saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// A hold.
    Hold {
        /// Its state.
        state: pb::HoldState,
        /// Its deadline, in milliseconds since the epoch.
        expires_at: u64,
        /// The server's time, in milliseconds since the epoch.
        server_time: u64,
        /// Its revision.
        revision: u64,
        /// Whether id, drop, customer, lines and order are those of the request.
        faithful: bool,
    },
    /// A business refusal.
    Refused {
        /// Why.
        reason: pb::RefusalReason,
        /// The item of the first line that the refusal is about, by its place in the drop.
        item: Option<u16>,
        /// Whether units may come back.
        may_come_back: bool,
        /// The server's time, in milliseconds since the epoch.
        server_time: u64,
    },
    /// An answer that does not show the request's outcome.
    Unknown {
        /// The status.
        code: Code,
    },
}

/// A request and its answer.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// What was asked.
    pub verb: Verb,
    /// When it was sent.
    pub sent: At,
    /// When it was answered.
    pub received: At,
    /// The answer.
    pub said: Said,
}

/// A customer who got units, or may have.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The hold's id.
    pub hold: Uuid,
    /// The drop, by its place in the scenario.
    pub drop: u16,
    /// The crowd, by its place in the scenario.
    pub crowd: u16,
    /// The customer's id.
    pub customer: String,
    /// The customer, by their turn in the crowd.
    pub turn: u64,
    /// Items by their place in the drop, and units.
    pub lines: Vec<(u16, u32)>,
    /// All requests and answers.
    pub calls: Vec<Call>,
}

/// The order that a hold is claimed for.
#[must_use]
pub fn order(hold: Uuid) -> String {
    format!("order-{hold}")
}

/// A reserve that was refused.
#[derive(Debug, Clone, Copy)]
pub struct Turned {
    /// The drop, by its place in the scenario.
    pub drop: u16,
    /// The crowd.
    pub crowd: u16,
    /// The item of the line that the refusal is about.
    pub item: u16,
    /// Units of that item in the request.
    pub units: u32,
    /// Units of all items in the request.
    pub all: u32,
    /// The customer, by their turn in the crowd.
    pub turn: u64,
    /// Why.
    pub reason: pb::RefusalReason,
    /// When it was sent.
    pub sent: At,
    /// When it was answered.
    pub received: At,
}

/// Stock that was added during the load.
#[derive(Debug, Clone, Copy)]
pub struct Restock {
    /// The drop, by its place in the scenario.
    pub drop: u16,
    /// The item, by its place in the drop.
    pub item: u16,
    /// How many units.
    pub units: u64,
    /// When it was asked for.
    pub sent: At,
    /// When it was answered, if it was.
    pub received: Option<At>,
}

/// All requests and answers.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Customers who got units, or may have.
    pub visits: Vec<Visit>,
    /// Customers who were refused.
    pub turned: Vec<Turned>,
    /// Stock that was added.
    pub restocks: Vec<Restock>,
}

/// A ledger that many tasks write at once.
#[derive(Debug, Default)]
pub struct OpenLedger {
    shards: [Mutex<Ledger>; SHARDS],
}

impl OpenLedger {
    /// Keeps a visit. One that was only refused is stored in short form, since a million of them must fit into memory.
    pub fn keep(&self, connection: usize, visit: Visit) {
        let Some(shard) = self.shards.get(connection % SHARDS) else { return };
        let mut shard = shard.lock();
        let refused = |call: &Call| matches!(call.said, Said::Refused { .. });
        if !visit.calls.iter().all(refused) {
            shard.visits.push(visit);
            return;
        }
        shard.turned.extend(visit.calls.iter().filter_map(|call| turned(&visit, call)));
    }

    /// Keeps visits of before the load.
    pub fn keep_before(&self, visits: Vec<Visit>) {
        if let Some(shard) = self.shards.first() {
            shard.lock().visits.extend(visits);
        }
    }

    /// Keeps a restock.
    pub fn keep_restock(&self, restock: Restock) {
        if let Some(shard) = self.shards.first() {
            shard.lock().restocks.push(restock);
        }
    }

    /// Closes the ledger and returns its contents.
    #[must_use]
    pub fn close(&self) -> Ledger {
        let mut all = Ledger::default();
        for shard in &self.shards {
            let Ledger { visits, turned, restocks } = std::mem::take(&mut *shard.lock());
            all.visits.extend(visits);
            all.turned.extend(turned);
            all.restocks.extend(restocks);
        }
        all
    }
}

/// A refused reserve, as a line of the ledger.
#[must_use]
pub fn turned(visit: &Visit, call: &Call) -> Option<Turned> {
    let Call { verb: Verb::Reserve, sent, received, said: Said::Refused { reason, item, .. } } = *call else {
        return None;
    };
    let first = visit.lines.first().map(|(item, _)| *item);
    let item = item.or(first)?;
    let units = visit.lines.iter().find(|(line, _)| *line == item).map_or(0, |(_, units)| *units);
    let all = visit.lines.iter().map(|(_, units)| *units).fold(0, u32::saturating_add);
    let Visit { drop, crowd, turn, .. } = *visit;
    Some(Turned { drop, crowd, item, units, all, turn, reason, sent, received })
}

impl Visit {
    /// Units in the request, over all lines.
    #[must_use]
    pub fn units(&self) -> u64 {
        self.lines.iter().map(|(_, units)| u64::from(*units)).fold(0, u64::saturating_add)
    }

    /// Calls of a verb.
    pub fn of(&self, verb: Verb) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(move |call| call.verb == verb)
    }

    /// When a verb was first answered with a hold, and that call.
    #[must_use]
    pub fn granted(&self, verb: Verb) -> Option<&Call> {
        self.of(verb).filter(|call| matches!(call.said, Said::Hold { .. })).min_by_key(|call| call.received)
    }

    /// Whether a request of this verb has an unknown outcome.
    #[must_use]
    pub fn in_doubt(&self, verb: Verb) -> bool {
        self.granted(verb).is_none() && self.of(verb).any(|call| matches!(call.said, Said::Unknown { .. }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(verb: Verb, received: At, said: Said) -> Call {
        Call { verb, sent: received - 1, received, said }
    }

    const REFUSED: Said =
        Said::Refused { reason: pb::RefusalReason::SoldOut, item: Some(1), may_come_back: false, server_time: 0 };
    const UNKNOWN: Said = Said::Unknown { code: Code::Unavailable };

    fn visit(calls: Vec<Call>) -> Visit {
        let lines = vec![(0, 1), (1, 2)];
        Visit { hold: Uuid::nil(), drop: 0, crowd: 0, customer: "c".into(), turn: 0, lines, calls }
    }

    #[test]
    fn who_was_only_refused_is_kept_short_and_whoever_may_have_units_whole() {
        let ledger = OpenLedger::default();
        ledger.keep(1, visit(vec![call(Verb::Reserve, 5, REFUSED), call(Verb::Reserve, 9, REFUSED)]));
        ledger.keep(2, visit(vec![call(Verb::Reserve, 5, REFUSED), call(Verb::Reserve, 9, UNKNOWN)]));
        let closed = ledger.close();
        assert_eq!((closed.turned.len(), closed.visits.len()), (2, 1));
        assert_eq!((closed.turned[0].item, closed.turned[0].units), (1, 2), "the line that it is about");
        assert!(closed.visits[0].in_doubt(Verb::Reserve) && !closed.visits[0].in_doubt(Verb::Claim));
    }
}
