//! What customers asked and what they were answered, kept for the audit. Nothing here judges.

use std::time::Duration;

use parking_lot::Mutex;
use stockade_proto as pb;
use tonic::Code;
use uuid::Uuid;

use crate::request::Verb;

/// One SKU of a drop.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Goods {
    /// Its name.
    pub sku: String,
    /// The initial stock.
    pub units: u64,
}

/// A drop whose customers a ledger is about. The ledger names drops and items by their places.
#[derive(Debug, Clone, Default)]
pub struct Sale {
    /// Its id.
    pub id: String,
    /// Its items.
    pub items: Vec<Goods>,
    /// The most units that a customer may have of the whole drop.
    pub limit: Option<u32>,
    /// The most units that a customer may have of each item.
    pub item_limit: Option<u32>,
    /// The drop as it is defined, if it has windows, pools or prices.
    pub rules: Option<pb::Drop>,
}

impl Sale {
    /// The bounds of what a customer may have: of one item, or of all.
    pub fn bounds(&self) -> impl Iterator<Item = (Option<u16>, u32)> {
        let items = (0_u16..).zip(&self.items).filter_map(|(item, _)| Some((Some(item), self.item_limit?)));
        self.limit.map(|limit| (None, limit)).into_iter().chain(items)
    }

    /// The SKU of an item; empty if there is no such item.
    #[must_use]
    pub fn sku(&self, item: u16) -> &str {
        self.items.get(usize::from(item)).map_or("", |goods| &goods.sku)
    }

    /// The item of a SKU.
    #[must_use]
    pub fn item(&self, sku: &str) -> Option<u16> {
        self.items.iter().position(|goods| goods.sku == sku).and_then(|item| u16::try_from(item).ok())
    }
}

/// An instant: nanoseconds from the start of the load; negative before it.
pub type At = i64;

/// An instant by the load's watch.
#[must_use]
pub fn at(elapsed: Duration) -> At {
    At::try_from(elapsed.as_nanos()).unwrap_or(At::MAX)
}

/// The crowd of holds that existed before the load.
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
    /// The drop, by its place.
    pub drop: u16,
    /// The crowd, by its place.
    pub crowd: u16,
    /// The customer's id.
    pub customer: String,
    /// The customer, by their turn in the crowd.
    pub turn: u64,
    /// Items by their place in the drop, and units.
    pub lines: Vec<(u16, u32)>,
    /// Whether the customer named how long the hold lives.
    pub names_ttl: bool,
    /// What the first answer with the hold shows of a drop with rules: the pool, the window and the price of its units.
    pub served: Vec<pb::HoldLine>,
    /// All requests and answers.
    pub calls: Vec<Call>,
}

/// A line as it was when its hold was made: what was released or returned since is part of it again.
#[must_use]
pub fn as_made(line: &pb::HoldLine) -> pb::HoldLine {
    let quantity = line.quantity.saturating_add(line.released).saturating_add(line.returned);
    pb::HoldLine { quantity, released: 0, returned: 0, ..line.clone() }
}

/// The order that a hold is claimed for.
#[must_use]
pub fn order(hold: Uuid) -> String {
    format!("order-{hold}")
}

/// A reserve that was refused.
#[derive(Debug, Clone, Copy)]
pub struct Turned {
    /// The drop, by its place.
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
    /// Whether units may come back.
    pub may_come_back: bool,
    /// The server's time, in milliseconds since the epoch.
    pub server_time: u64,
    /// When it was sent.
    pub sent: At,
    /// When it was answered.
    pub received: At,
}

/// Stock that was added during the load.
#[derive(Debug, Clone, Copy)]
pub struct Restock {
    /// The drop, by its place.
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
    /// The tiers of each crowd's customers; of a crowd that is not in it none.
    pub tiers: Vec<Vec<String>>,
}

/// A ledger that many tasks write at once.
#[derive(Debug, Default)]
pub struct OpenLedger {
    /// The tiers of each crowd's customers.
    pub tiers: Vec<Vec<String>>,
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
        let mut all = Ledger { tiers: self.tiers.clone(), ..Ledger::default() };
        for shard in &self.shards {
            all.merge(std::mem::take(&mut *shard.lock()));
        }
        all
    }
}

impl Ledger {
    /// Adds another ledger of the same drops and the same watch.
    pub fn merge(&mut self, other: Self) {
        let Self { visits, turned, restocks, tiers } = other;
        if self.tiers.is_empty() {
            self.tiers = tiers;
        }
        self.visits.extend(visits);
        self.turned.extend(turned);
        self.restocks.extend(restocks);
    }

    /// Every reserve that was refused, also those of customers who got units later.
    pub fn refused(&self) -> impl Iterator<Item = Turned> {
        let late = self.visits.iter().flat_map(|visit| visit.calls.iter().filter_map(|call| turned(visit, call)));
        self.turned.iter().copied().chain(late)
    }

    /// The tiers of a crowd's customers.
    #[must_use]
    pub fn tiers_of(&self, crowd: u16) -> &[String] {
        self.tiers.get(usize::from(crowd)).map_or(&[], Vec::as_slice)
    }

    /// How many units of an item were put in: surely, and at most.
    #[must_use]
    pub fn restocked(&self, drop: u16, item: u16) -> (u64, u64) {
        let here = self.restocks.iter().filter(|restock| (restock.drop, restock.item) == (drop, item));
        here.fold((0, 0), |(least, most), restock| {
            let sure = restock.received.map_or(0, |_answered| restock.units);
            (least.saturating_add(sure), most.saturating_add(restock.units))
        })
    }
}

/// The name of a reason, as in the contract.
#[must_use]
pub fn reason_name(reason: pb::RefusalReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix("REFUSAL_REASON_").unwrap_or(name)
}

/// A refused reserve, as a line of the ledger.
fn turned(visit: &Visit, call: &Call) -> Option<Turned> {
    let Call { verb: Verb::Reserve, sent, received, said: Said::Refused { reason, item, may_come_back, server_time } } =
        *call
    else {
        return None;
    };
    let first = visit.lines.first().map(|(item, _)| *item);
    let item = item.or(first)?;
    let units = visit.lines.iter().find(|(line, _)| *line == item).map_or(0, |(_, units)| *units);
    let all = visit.lines.iter().map(|(_, units)| *units).fold(0, u32::saturating_add);
    let Visit { drop, crowd, turn, .. } = *visit;
    Some(Turned { drop, crowd, item, units, all, turn, reason, may_come_back, server_time, sent, received })
}

impl Visit {
    /// Calls of a verb.
    pub fn of(&self, verb: Verb) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(move |call| call.verb == verb)
    }

    /// When a verb was first answered with a hold, and that call.
    #[must_use]
    pub fn granted(&self, verb: Verb) -> Option<&Call> {
        self.of(verb).filter(|call| matches!(call.said, Said::Hold { .. })).min_by_key(|call| call.received)
    }

    /// The deadline and the revision that were acknowledged last, and the state with that revision; 0 if nothing was.
    #[must_use]
    pub fn acknowledged(&self) -> (u64, u64, pb::HoldState) {
        let holds = self.calls.iter().filter_map(|call| match call.said {
            Said::Hold { expires_at, revision, state, .. } => Some((expires_at, revision, state)),
            Said::Refused { .. } | Said::Unknown { .. } => None,
        });
        holds.fold((0, 0, pb::HoldState::Unspecified), |(deadline, latest, state), (at, revision, then)| {
            (at.max(deadline), revision.max(latest), if revision >= latest { then } else { state })
        })
    }

    /// Whether the hold was acknowledged to be in payment.
    #[must_use]
    pub fn paid(&self) -> bool {
        let paying = |call: &Call| matches!(call.said, Said::Hold { state: pb::HoldState::Paying, .. });
        self.calls.iter().any(paying)
    }

    /// Units of an item in the request; of all items if none is named.
    #[must_use]
    pub fn units_of(&self, item: Option<u16>) -> u64 {
        let lines = self.lines.iter().filter(|(line, _)| item.is_none_or(|item| item == *line));
        lines.map(|(_, units)| u64::from(*units)).fold(0, u64::saturating_add)
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
        let (names_ttl, served) = (false, Vec::new());
        Visit { hold: Uuid::nil(), drop: 0, crowd: 0, customer: "c".into(), turn: 0, lines, names_ttl, served, calls }
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
