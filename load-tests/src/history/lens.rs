//! Parts of a history that are checked separately: the calls that concern one hold, one item or one customer.
//!
//! If all calls together have an order, the calls of each part have the same order. So a part without an order is a
//! violation of the whole, and there are no false alarms. The reverse does not hold: each part may have an order of its
//! own, and these may contradict each other. Stock and limits are promised per item and per customer only.

use std::collections::{HashMap, HashSet};
use std::fmt;

use super::event::{Answer, Call, Figures, History, Moment, Seen, Verb, Why};
use super::market::Market;

/// The subject of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A hold's life, by the hold's number in the history.
    Hold(u32),
    /// The limit of one customer.
    Customer(u32),
    /// The stock of an item's pools as grants and refusals show it: of those that a customer may draw on together, a
    /// bit for each. Of an item without pools, the first bit.
    Stock(u8, u8),
    /// An item's stock as `GetDrop` shows it. A separate part, since its figures may lag behind the counter by calls
    /// that are not answered yet.
    Figures(u8),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hold(number) => write!(f, "hold {number}"),
            Self::Customer(number) => write!(f, "customer {number}"),
            Self::Stock(item, set) => write!(f, "item {item}: stock of pools {set:b}"),
            Self::Figures(item) => write!(f, "item {item}: figures"),
        }
    }
}

/// The result of a call, as far as it concerns the part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A hold.
    Hold(Seen),
    /// A refusal.
    Refused {
        /// Why.
        why: Why,
        /// Whether units of this book were too few.
        short: bool,
    },
    /// There is no such hold.
    Absent,
    /// The adjustment is made.
    Adjusted,
    /// The item's stock.
    Figures(Figures),
    /// The outcome is unknown.
    Unknown,
}

/// A call, as far as it concerns the part.
#[derive(Debug, Clone)]
pub struct Op {
    /// Its place in the history.
    pub call: usize,
    /// The hold or adjustment, by its number in this part.
    pub id: u32,
    /// The request.
    pub verb: Verb,
    /// The result.
    pub said: Said,
    /// The life of the server that the call was sent to.
    pub term: u32,
    /// When it was sent, in nanoseconds of the run's watch.
    pub sent: u64,
    /// An instant by which it took effect, if it was answered and ever did.
    pub back: u64,
    /// When it was sent, in wall clock milliseconds.
    pub sent_wall: u64,
    /// When it was answered, in wall clock milliseconds.
    pub back_wall: u64,
    /// The server's time of the decision.
    pub now: Option<u64>,
}

/// A part of a history.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its subject.
    pub subject: Subject,
    /// Units of the book at first; none for a hold's own life, which no units bound.
    pub capacity: Option<i64>,
    /// Units of the book that each hold has, by its number here; for an adjustment, those that it adds.
    pub units: Vec<i64>,
    /// Holds that the last read did not find: if one ever existed, a crash undid it.
    pub never: HashSet<u32>,
    /// The calls, in order of sending.
    pub ops: Vec<Op>,
}

/// All parts of a history: holds, customers and items.
#[must_use]
pub fn parts(history: &History) -> Vec<Part> {
    let absent = |call: &&Call| call.last && call.answer == Answer::Absent;
    let never = history.calls.iter().filter(absent).map(|call| call.hold.as_str()).collect();
    let (parts, numbers, local) = (HashMap::new(), HashMap::new(), HashMap::new());
    let market = Market::of(&history.setup, &history.facts);
    let mut sorter = Sorter { history, market, drawn: drawn(history), never, parts, numbers, local };
    for (place, call) in history.calls.iter().enumerate() {
        sorter.sort(place, call);
    }
    let mut parts: Vec<Part> = sorter.parts.into_values().collect();
    // Small parts first: a violation is easiest to understand there.
    parts.sort_by_key(|part| part.subject);
    parts
}

/// What a hold has drawn, by the first answer that shows it.
struct Drawn<'h> {
    /// When it was made, in the server's milliseconds.
    created: u64,
    /// Items, the names of pools, and units.
    lines: Vec<(u8, &'h str, u32)>,
}

/// What each hold has drawn from which pool.
fn drawn(history: &History) -> HashMap<&str, Drawn<'_>> {
    let mut drawn = HashMap::new();
    for call in &history.calls {
        if let Answer::Hold(seen) = &call.answer {
            let lines = || seen.served.iter().map(|line| (line.item, line.pool.as_str(), line.units)).collect();
            let known = || Drawn { created: seen.created, lines: lines() };
            drawn.entry(call.hold.as_str()).or_insert_with(known);
        }
    }
    drawn
}

struct Sorter<'h> {
    history: &'h History,
    /// The drop's rules, if it has any.
    market: Option<Market>,
    /// What each hold has drawn.
    drawn: HashMap<&'h str, Drawn<'h>>,
    /// Holds that the last read did not find.
    never: HashSet<&'h str>,
    parts: HashMap<Subject, Part>,
    /// Numbers of holds and adjustments in the history, by their ids.
    numbers: HashMap<&'h str, u32>,
    /// Their numbers in a part. A hold has several: one for what it has, one for what it asked for, and one for each
    /// number of units that it may have had before a crash undid it.
    local: HashMap<(Subject, u32, As), u32>,
}

impl<'h> Sorter<'h> {
    fn sort(&mut self, place: usize, call: &'h Call) {
        if let Answer::Odd(_) = call.answer {
            return; // reported by `plain`
        }
        let term = usize::try_from(call.term).ok().and_then(|term| self.history.terms.get(term));
        let gone = term.and_then(|term| term.gone);
        // It was sent to a process that had ended, so it was never received. Or it was sent to the last life, and its
        // hold does not exist at the end.
        let unreached = gone.map_or(self.never.contains(call.hold.as_str()), |gone| gone.ns <= call.sent.ns);
        if call.answer.is_unknown() && unreached {
            return;
        }
        if call.verb == Verb::GetDrop {
            if let Answer::Stock(items) = &call.answer {
                for (item, figures) in (0_u8..).zip(items) {
                    self.enter(Subject::Figures(item), (place, call), (u32::MAX, 0), Said::Figures(*figures));
                }
            }
            return;
        }
        let next = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(&call.hold).or_insert(next);
        if call.verb != Verb::Adjust {
            self.enter(Subject::Hold(number), (place, call), (number, 1), said(call, None));
            if call.last {
                return;
            }
            let all = call.lines.iter().map(|(_, units)| i64::from(*units)).fold(0, i64::saturating_add);
            let short = matches!(call.answer, Answer::Refused(Why::LimitReached, _));
            self.enter(Subject::Customer(call.customer), (place, call), (number, all), said(call, Some(short)));
        }
        for (item, units) in &call.lines {
            self.of_stock((place, call), number, (*item, *units));
            let hold = (number, i64::from(*units));
            self.enter(Subject::Figures(*item), (place, call), hold, said(call, None));
        }
    }

    /// A call's line, in the books of each set of pools.
    fn of_stock(&mut self, (place, call): (usize, &'h Call), number: u32, (item, units): (u8, u32)) {
        let Some(market) = &self.market else {
            let short = matches!(&call.answer, Answer::Refused(Why::SoldOut, items) if items.contains(&item));
            let hold = (number, i64::from(units));
            return self.enter(Subject::Stock(item, 1), (place, call), hold, said(call, Some(short)));
        };
        let sets = market.sets(item);
        let all = sets.iter().fold(0, |all, set| all | set);
        let is_short = matches!(&call.answer, Answer::Refused(Why::SoldOut, items) if items.contains(&item));
        // If the customer could draw on more pools than surely, these were short as well.
        let asked = call.now.filter(|_| is_short).map(|now| market.pools(item, call.customer, now));
        let books: Vec<(u8, i64)> =
            sets.into_iter().map(|set| (set, self.units_of(market, call, (item, units), set))).collect();
        for (set, has) in books {
            let (subject, said) = (Subject::Stock(item, set), said(call, Some(asked == Some(set))));
            if matches!(said, Said::Refused { short: true, .. }) {
                self.enter_as(subject, (place, call), (number, i64::from(units)), (said, As::Asked));
                continue;
            }
            // A hold that a crash undid may have drawn otherwise than is known: all of its units, or one.
            let may_differ = set != all && self.may_have_been_undone(call);
            for other in [1, i64::from(units)].into_iter().filter(|other| may_differ && *other != has) {
                self.enter_as(subject, (place, call), (number, other), (said.clone(), As::Undone(other)));
            }
            // What has drawn nothing from these pools would only multiply the states.
            if has > 0 {
                self.enter_as(subject, (place, call), (number, has), (said, As::Has));
            }
        }
    }

    /// Whether a reserve may have made a hold that a crash undid: it has no answer, and what is known of the hold is of
    /// a later life.
    fn may_have_been_undone(&self, call: &Call) -> bool {
        let gone = usize::try_from(call.term).ok().and_then(|term| self.history.terms.get(term)?.gone);
        let is_later = |gone: Moment| {
            let known = self.drawn.get(call.hold.as_str());
            known.is_none_or(|known| known.created > gone.wall.saturating_add(self.history.setup.slack))
        };
        call.answer.is_unknown() && matches!(call.verb, Verb::Reserve { .. }) && gone.is_some_and(is_later)
    }

    /// The units that a call's hold, or an adjustment, has in a set of pools. Of a hold that no answer shows: all.
    fn units_of(&self, market: &Market, call: &Call, (item, units): (u8, u32), set: u8) -> i64 {
        if call.verb == Verb::Adjust {
            return if market.takes_rest(item, set) { i64::from(units) } else { 0 };
        }
        let Some(drawn) = self.drawn.get(call.hold.as_str()) else { return i64::from(units) };
        let here = drawn.lines.iter().filter(|(of, pool, _)| *of == item && market.is_in(item, pool, set));
        here.map(|(_, _, units)| i64::from(*units)).fold(0, i64::saturating_add)
    }

    fn enter(&mut self, subject: Subject, call: (usize, &Call), hold: (u32, i64), said: Said) {
        self.enter_as(subject, call, hold, (said, As::Has));
    }

    fn enter_as(
        &mut self,
        subject: Subject,
        (place, call): (usize, &Call),
        (number, units): (u32, i64),
        (said, role): (Said, As),
    ) {
        let setup = &self.history.setup;
        let stock = |item: u8| setup.stock.get(usize::from(item)).copied().map(i64::from);
        let pools = |item: u8, set: u8| self.market.as_ref().map_or_else(|| stock(item), |of| of.capacity(item, set));
        let part = self.parts.entry(subject).or_insert_with(|| Part {
            subject,
            capacity: match subject {
                Subject::Hold(_) => None,
                Subject::Customer(_) => Some(i64::from(setup.limit)),
                Subject::Stock(item, set) => pools(item, set),
                Subject::Figures(item) => stock(item),
            },
            units: Vec::new(),
            never: HashSet::new(),
            ops: Vec::new(),
        });
        let id = *self.local.entry((subject, number, role)).or_insert_with(|| {
            part.units.push(units);
            if self.never.contains(call.hold.as_str()) {
                part.never.insert(u32::try_from(part.units.len().saturating_sub(1)).unwrap_or(u32::MAX));
            }
            u32::try_from(part.units.len().saturating_sub(1)).unwrap_or(u32::MAX)
        });
        let term = usize::try_from(call.term).ok().and_then(|term| self.history.terms.get(term));
        // An answer may be read after its process has ended, but it was decided before.
        let gone = term.and_then(|term| term.gone);
        let back = gone.map_or(call.back.ns, |gone| gone.ns.min(call.back.ns));
        let back_wall = gone.map_or(call.back.wall, |gone| gone.wall.min(call.back.wall));
        part.ops.push(Op {
            call: place,
            id,
            verb: call.verb,
            said,
            term: call.term,
            sent: call.sent.ns,
            back: back.max(call.sent.ns),
            sent_wall: call.sent.wall,
            back_wall,
            now: call.now,
        });
    }
}

/// Which of a hold's units a call is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum As {
    /// Those that it has.
    Has,
    /// Those that a refused request asked for.
    Asked,
    /// Those that it may have had before a crash undid it.
    Undone(i64),
}

/// The result of a call. For a refusal, `short` says whether this book had too few units.
fn said(call: &Call, short: Option<bool>) -> Said {
    match &call.answer {
        Answer::Hold(seen) => Said::Hold(seen.clone()),
        Answer::Refused(why, _) => Said::Refused { why: *why, short: short.unwrap_or(false) },
        Answer::Absent => Said::Absent,
        Answer::Adjusted => Said::Adjusted,
        Answer::Stock(_) | Answer::Unknown(_) | Answer::Odd(_) => Said::Unknown,
    }
}
