//! The refusals that were answered last, in memory: nothing of them is in the journal, and none outlasts the process.
//!
//! Each reason has rings of its own, so that a herd that is refused for one reason evicts refusals of that reason only.
//! A reason's rings are split by thread: two cores that refuse at the same time write to different memory. Refusals by
//! windows, prices, limits and conduct are also split by drop, and are kept longer: a herd in one drop leaves most of the others'.
//!
//! An entry has a fixed size but for a cart's further lines and the limit that was reached. Names are resolved when it
//! is read: items, pools and windows never lose their numbers. A limit's name may change, so it is in the entry.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;
use stockade_counter::sync::parallelism;
use stockade_types::definition::Definition;
use stockade_types::ids::{DropNo, HoldId, ItemNo, Lsn, PoolNo, SubjectKey};
use stockade_types::refusal::{Reason, Rule};
use stockade_types::time::{Millis, Timestamp};

use crate::answer::{LimitHit, Refusal, RefusedLine};
use crate::command::Operation;

/// Refusals that are kept of each reason.
const KEPT: usize = 4_096;
/// Of those by windows, prices, limits and conduct: for each group of drops.
const KEPT_BY_DROP: usize = 2_048;
/// Groups of drops. Drops of one group share the rings for refusals by windows, prices, limits and conduct.
const GROUPS: usize = 8;
/// Most threads with rings of their own. Further threads share them.
const LANES_MAX: usize = 8;
/// Bytes of limits and further lines that a ring may have for each of its entries.
const MORE_BYTES: usize = 128;
/// Entries that are read under one lock.
const READ_AT_ONCE: usize = 256;
/// The most entries of one ring that a reader gets: the newest.
const FOUND_MAX: usize = 1_000;

static NEXT_LANE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// This thread's number, given to it when it refuses for the first time.
    static LANE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// A line that was refused, in numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NumberedLine {
    pub(crate) item: ItemNo,
    /// The pool that it names.
    pub(crate) pool: Option<PoolNo>,
    pub(crate) reason: Reason,
    pub(crate) requested: u32,
    pub(crate) available: u32,
}

/// A refusal as it is kept.
#[derive(Debug, Clone)]
pub(crate) struct KeptRefusal {
    /// When it was answered.
    pub(crate) at: Timestamp,
    /// To what.
    pub(crate) operation: Operation,
    /// The hold that was asked for, or that was to be changed.
    pub(crate) hold: HoldId,
    /// Its drop.
    pub(crate) drop: DropNo,
    /// Half of the hash of the customer: enough to find the customer's.
    customer: u64,
    reason: Reason,
    rule: Rule,
    may_come_back: bool,
    retry_after: Option<Millis>,
    /// The first line that was refused.
    line: Option<NumberedLine>,
    more: Option<Box<MoreOfRefusal>>,
}

/// What few refusals have, and a herd's has not.
#[derive(Debug, Clone)]
struct MoreOfRefusal {
    /// The hold that the refusal showed, and its revision.
    shown: Option<(HoldId, Lsn)>,
    limit: Option<LimitHit>,
    /// The lines behind the first.
    lines: Box<[NumberedLine]>,
}

/// A refusal that is about to be answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refused<'a> {
    pub(crate) at: Timestamp,
    pub(crate) operation: Operation,
    pub(crate) hold: HoldId,
    pub(crate) drop: DropNo,
    pub(crate) customer: SubjectKey,
    pub(crate) refusal: &'a Refusal,
    /// The refusal's lines.
    pub(crate) lines: &'a [NumberedLine],
}

/// Whose refusals are wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RefusalsOf {
    /// All about this hold, or about requests with its id.
    Hold(HoldId),
    /// All of this customer in this drop.
    Customer(DropNo, SubjectKey),
}

/// Some of the refusals, and since when none of their kind was evicted.
#[derive(Debug, Default)]
pub(crate) struct FoundRefusals {
    /// Oldest first.
    pub(crate) refusals: Vec<KeptRefusal>,
    /// Every later refusal is among them.
    pub(crate) since: Timestamp,
}

/// The last refusals of one reason that one lane's threads have answered.
#[derive(Debug, Default)]
struct Ring {
    entries: VecDeque<KeptRefusal>,
    /// How many were evicted.
    evicted: u64,
    /// The latest instant of those.
    evicted_at: Timestamp,
    /// Bytes of limits and further lines of the entries.
    more: usize,
}

type Rings = Box<[CachePadded<Mutex<Ring>>]>;

/// The refusals that were answered last.
#[derive(Debug)]
pub(crate) struct Refusals {
    lanes: usize,
    /// By reason and lane.
    of_all: Rings,
    /// By reason, group of drops and lane.
    by_drop: Rings,
}

impl Default for Refusals {
    fn default() -> Self {
        let lanes = parallelism().clamp(1, LANES_MAX);
        let rings = |groups: usize| {
            let count = Reason::ALL.len().saturating_mul(groups).saturating_mul(lanes);
            (0..count).map(|_| CachePadded::default()).collect()
        };
        Self { lanes, of_all: rings(1), by_drop: rings(GROUPS) }
    }
}

impl Refusals {
    /// Keeps a refusal. It is called once for each answer.
    pub(crate) fn keep(&self, refused: Refused<'_>) {
        let Refused { drop, refusal: Refusal { reason, rule, .. }, .. } = refused;
        let lane = LANE.get().unwrap_or_else(next_lane).checked_rem(self.lanes).unwrap_or_default();
        let (ring, most) = if lasts(*rule) {
            (self.by_drop.get(self.place_by_drop(*reason, drop).saturating_add(lane)), KEPT_BY_DROP)
        } else {
            (self.of_all.get(self.place_of_all(*reason).saturating_add(lane)), KEPT)
        };
        if let Some(ring) = ring {
            let entry = KeptRefusal::of(refused);
            ring.lock().push(entry, most.checked_div(self.lanes).unwrap_or(most));
        }
    }

    const fn place_of_all(&self, reason: Reason) -> usize {
        reason.place().saturating_mul(self.lanes)
    }

    fn place_by_drop(&self, reason: Reason, drop: DropNo) -> usize {
        let group = drop.index() % GROUPS;
        reason.place().saturating_mul(GROUPS).saturating_add(group).saturating_mul(self.lanes)
    }

    /// The refusals that are kept of one hold or customer.
    pub(crate) fn find(&self, of: RefusalsOf) -> FoundRefusals {
        let mut found = FoundRefusals::default();
        self.of_all.iter().for_each(|ring| found.add(ring, of));
        match of {
            RefusalsOf::Hold(_) => self.by_drop.iter().for_each(|ring| found.add(ring, of)),
            RefusalsOf::Customer(drop, _) => {
                for place in Reason::ALL.map(|reason| self.place_by_drop(reason, drop)) {
                    let rings = self.by_drop.iter().skip(place).take(self.lanes);
                    rings.for_each(|ring| found.add(ring, of));
                }
            }
        }
        found.refusals.sort_by_key(|refusal| refusal.at);
        found
    }
}

#[cold]
fn next_lane() -> usize {
    // Relaxed: the number orders no other data.
    let lane = NEXT_LANE.fetch_add(1, Ordering::Relaxed);
    LANE.set(Some(lane));
    lane
}

/// Whether refusals by this rule are kept for each group of drops.
const fn lasts(rule: Rule) -> bool {
    match rule {
        Rule::Window(_) | Rule::Terms | Rule::Limit | Rule::Conduct => true,
        Rule::Drop | Rule::Slot | Rule::Stock { .. } | Rule::Hold => false,
    }
}

impl FoundRefusals {
    /// Adds what a ring has. Its lock is released again and again, for those who wait to refuse.
    fn add(&mut self, ring: &Mutex<Ring>, of: RefusalsOf) {
        let (mut passed, mut found) = (0, VecDeque::new());
        loop {
            let ring = ring.lock();
            self.since = self.since.max(ring.evicted_at);
            let skipped = usize::try_from(u64::saturating_sub(passed, ring.evicted)).unwrap_or(usize::MAX);
            let read = ring.entries.iter().skip(skipped).take(READ_AT_ONCE);
            let count = read.len();
            found.extend(read.filter(|entry| entry.is_of(of)).cloned());
            passed = passed.max(ring.evicted).saturating_add(u64::try_from(count).unwrap_or_default());
            drop(ring);
            let left_out = found.drain(..found.len().saturating_sub(FOUND_MAX));
            self.since = left_out.map(|entry: KeptRefusal| entry.at).fold(self.since, Timestamp::max);
            if count < READ_AT_ONCE {
                break;
            }
        }
        self.refusals.extend(found);
    }
}

impl Ring {
    fn push(&mut self, entry: KeptRefusal, most: usize) {
        if self.entries.capacity() == 0 {
            self.entries.reserve_exact(most);
        }
        self.more = self.more.saturating_add(entry.more_bytes());
        while self.entries.len() >= most || self.more > most.saturating_mul(MORE_BYTES) {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.more = self.more.saturating_sub(oldest.more_bytes());
            self.evicted = self.evicted.saturating_add(1);
            self.evicted_at = self.evicted_at.max(oldest.at);
        }
        self.entries.push_back(entry);
    }
}

impl NumberedLine {
    /// The numbers of a line of this drop.
    pub(crate) fn of(line: &RefusedLine, definition: &Definition) -> Option<Self> {
        let RefusedLine { sku, reason, requested, available, pool } = line;
        let (item, of) = definition.item(sku)?;
        let pool = pool.as_ref().and_then(|pool| of.pool_no(pool));
        Some(Self { item, pool, reason: *reason, requested: *requested, available: *available })
    }

    /// The line with the names of its drop.
    pub(crate) fn shown(self, definition: &Definition) -> RefusedLine {
        let Self { item, pool, reason, requested, available } = self;
        let pool = pool.map(|pool| definition.pool(item, pool).clone());
        RefusedLine { sku: definition.sku(item).clone(), reason, requested, available, pool }
    }
}

impl KeptRefusal {
    fn of(refused: Refused<'_>) -> Self {
        let Refused { at, operation, hold, drop, customer, refusal, lines } = refused;
        let Refusal { reason, rule, sku: _, retry_after, may_come_back, lines: _, limit, hold: shown } = refusal;
        let is_plain = shown.is_none() && limit.is_none() && lines.len() <= 1;
        let more = || MoreOfRefusal {
            shown: shown.as_ref().map(|view| (view.hold.id, view.hold.revision)),
            limit: limit.clone(),
            lines: lines.iter().skip(1).copied().collect(),
        };
        Self {
            at,
            operation,
            hold,
            drop,
            customer: customer.place(),
            reason: *reason,
            rule: *rule,
            may_come_back: *may_come_back,
            retry_after: *retry_after,
            line: lines.first().copied(),
            more: if is_plain { None } else { Some(Box::new(more())) },
        }
    }

    /// The refusal, with the names of its drop, but without the hold that it showed.
    pub(crate) fn refusal(&self, definition: &Definition) -> Refusal {
        let Self { reason, rule, may_come_back, retry_after, line: first, more, .. } = self;
        let rest = more.iter().flat_map(|more| &more.lines);
        let lines: Vec<RefusedLine> = first.iter().chain(rest).map(|line| line.shown(definition)).collect();
        Refusal {
            reason: *reason,
            rule: *rule,
            sku: lines.iter().find(|line| line.reason == *reason).map(|line| line.sku.clone()),
            retry_after: *retry_after,
            may_come_back: *may_come_back,
            lines,
            limit: more.as_ref().and_then(|more| more.limit.clone()),
            hold: None,
        }
    }

    fn is_of(&self, of: RefusalsOf) -> bool {
        match of {
            RefusalsOf::Hold(hold) => self.hold == hold || self.shown().is_some_and(|shown| shown.0 == hold),
            RefusalsOf::Customer(drop, customer) => self.drop == drop && self.customer == customer.place(),
        }
    }

    /// The hold that the refusal showed, and its revision.
    pub(crate) fn shown(&self) -> Option<(HoldId, Lsn)> {
        self.more.as_ref()?.shown
    }

    /// Bytes that it takes beside its entry.
    fn more_bytes(&self) -> usize {
        let Some(more) = &self.more else { return 0 };
        let MoreOfRefusal { shown: _, limit, lines } = more.as_ref();
        let names = limit.as_ref().map_or(0, |hit| {
            let kind = hit.identity_kind.as_ref().map_or(0, |kind| kind.as_str().len());
            hit.id.as_str().len().saturating_add(kind)
        });
        size_of::<MoreOfRefusal>().saturating_add(size_of_val(&**lines)).saturating_add(names)
    }
}

const _: () = assert!(size_of::<KeptRefusal>() <= 128, "what is kept of a refusal has grown");

#[cfg(test)]
mod tests;
