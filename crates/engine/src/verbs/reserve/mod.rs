//! Reserve: sets units aside for a customer, all lines or none; with `allow_partial`, what is free of each.
//!
//! Checks are made in the order of refusals: the caller's own hold, the hold that is superseded, the drop's state,
//! stock (a read-only look, so a sold-out drop refuses from one load per line), limits. Then the units are taken, the
//! record is appended, and the hold is made. Units that were taken are guarded until the hold is entered.

mod conduct;
pub(crate) mod limits;
mod quota;
pub(crate) mod refusal;
mod draw;
mod eligible;
mod partial;
mod run;
mod grant;
mod supersede;

use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use smallvec::SmallVec;
use stockade_journal::Permit;
use stockade_types::definition::Definition;
use stockade_types::digest::ReserveOptions;
use stockade_types::hold::{ContentHash, Hold, HoldLine, HoldState};
use stockade_types::ids::{ItemNo, PoolNo};
use stockade_types::record::Actor;
use stockade_types::refusal::{Reason, Rule};
use stockade_types::time::{Millis, Timestamp};

use crate::Engine;
use crate::answer::{Fault, HoldView, Outcome};
use crate::attempt::{Answer, Attempt, Chore, Decided, Undecided};
use crate::command::Reserve;
use crate::context::Context;
use crate::inventory::limits::ActiveConduct;
use crate::inventory::{
    DropEntry, DropInner, DropScope, DropState, DropTable, HoldSlot, ItemStock, LockedShard, LockedShards, Subject,
};
use crate::locked_hold::{LockedHold, ended, known_skus, place_of};
use crate::verbs::reserve::limits::LimitSubjects;
use draw::LineAttempt;
use eligible::Offers;
use refusal::RefusedLines;
use supersede::SupersededHold;

/// Why no hold is made while the clock is in doubt.
const CLOCK_IN_DOUBT: &str =
    "the server's wall clock is more than 5 minutes ahead of engine time, so the time is in doubt";

/// A decided reserve: its hold without the drop's definition, which the caller has.
pub(crate) type ReserveResult = Decided<Outcome<Hold>>;

impl Engine {
    /// Sets units aside. The same request with the same content returns the same hold as it is now, while its units are
    /// still the customer's; a hold that has ended refuses.
    ///
    /// # Errors
    /// [`Fault::NoDrop`], [`Fault::NoHold`] if the hold to supersede is not this customer's in this drop,
    /// [`Fault::Invalid`] for a SKU that the drop does not have, [`Fault::Exists`] when the id has a hold of other
    /// content, [`Fault::Exhausted`], [`Fault::Suspended`] while the clock is in doubt, and faults of the journal.
    pub fn reserve(&self, command: &Reserve, context: Context<'_>) -> Answer<Outcome> {
        self.decide(context.now, || {
            let found = self.inventory.drops.with_id_among(&command.drop, |drop, drop_table| {
                let inner = &drop.read();
                let Context { now, origin } = context.not_before(inner.turned_at);
                let resolved = ResolvedReserve::of(self, &drop.scope, &inner.definition, command)?;
                let actor = origin.actor;
                let request = ReserveRequest {
                    engine: self,
                    command,
                    now,
                    actor,
                    drop,
                    drop_table,
                    inner,
                    resolved,
                    superseded: None,
                    offers: OnceCell::new(),
                    conduct: OnceCell::new(),
                };
                let definition = || Arc::clone(&inner.definition);
                Ok(request.decide(self.journal.permit()?)?.map(|outcome| match outcome {
                    Outcome::Hold(hold) => Outcome::Hold(HoldView { hold, definition: definition() }),
                    Outcome::Refused(refusal) => Outcome::Refused(refusal),
                }))
            });
            found.unwrap_or_else(|| Err(Fault::NoDrop(command.drop.clone()).into()))
        })
    }

    #[inline]
    fn content(&self, command: &Reserve, options: ReserveOptions) -> ContentHash {
        let wanted = command.lines.iter().map(|line| (&line.sku, line.pool.as_ref(), line.units));
        self.inventory.key.content(&command.drop, &command.customer, wanted, options)
    }
}

const fn options_of(command: &Reserve) -> ReserveOptions {
    ReserveOptions { supersedes: command.supersedes, allow_partial: command.allow_partial }
}

/// A line of the request, found in the drop.
#[derive(Clone, Copy)]
pub(crate) struct Line<'a> {
    /// Its place among the request's lines.
    pub(crate) place: usize,
    pub(crate) item: ItemNo,
    /// The pool that it names.
    pub(crate) named: Option<PoolNo>,
    /// What the drop's rules offer; none if it has none: all pools of the item.
    offers: Option<&'a Offers<'a>>,
    stock: &'a ItemStock,
    /// Units asked for.
    pub(crate) units: u32,
    /// Units that the customer has already, in the hold that is superseded.
    own: u32,
}

/// A line of the request in numbers.
#[derive(Clone, Copy)]
pub(crate) struct ResolvedLine {
    pub(crate) item: ItemNo,
    pub(crate) named: Option<PoolNo>,
    pub(crate) units: u32,
}

/// What follows from the request and its drop's definition alone.
#[derive(Clone)]
pub(crate) struct ResolvedReserve {
    /// The units of each item, ascending by item, so that all carts take in one order.
    pub(crate) by_item: SmallVec<[(ItemNo, u32); 4]>,
    /// The lines, if any of them names a pool: in the order of items, of an item those that name a pool first.
    named: Option<Box<[ResolvedLine]>>,
    content: ContentHash,
    pub(crate) limit_subjects: LimitSubjects,
}

impl ResolvedReserve {
    fn of(engine: &Engine, scope: &DropScope, definition: &Definition, command: &Reserve) -> Result<Self, Fault> {
        let (by_item, named) = resolve(definition, command)?;
        let content = engine.content(command, options_of(command));
        Ok(Self { by_item, named, content, limit_subjects: LimitSubjects::of(&engine.inventory.key, scope, command) })
    }

    /// The number of lines.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        self.named.as_ref().map_or_else(|| self.by_item.len(), |lines| lines.len())
    }

    /// The line at this place.
    #[inline]
    pub(crate) fn line(&self, place: usize) -> Option<ResolvedLine> {
        match &self.named {
            None => {
                self.by_item.get(place).map(|(item, units)| ResolvedLine { item: *item, named: None, units: *units })
            }
            Some(lines) => lines.get(place).copied(),
        }
    }

    /// Each line, in the order of taking.
    #[inline]
    pub(crate) fn lines(&self) -> impl Iterator<Item = ResolvedLine> + '_ {
        (0..self.count()).filter_map(|place| self.line(place))
    }
}

/// One reserve while its drop's gate is held.
pub(crate) struct ReserveRequest<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) command: &'a Reserve,
    pub(crate) now: Timestamp,
    pub(crate) actor: Actor,
    pub(crate) drop: &'a DropEntry,
    pub(crate) drop_table: DropTable<'a>,
    pub(crate) inner: &'a DropInner,
    pub(crate) resolved: ResolvedReserve,
    /// The hold to supersede, once it is found and may be superseded.
    pub(crate) superseded: Option<SupersededHold>,
    /// What the drop's rules offer of each line, once that is found; never set for a drop without rules.
    offers: OnceCell<Offers<'a>>,
    /// The rules of conduct that apply, once they are found; never set for a drop without such rules.
    conduct: OnceCell<Box<[ActiveConduct<'a>]>>,
}

/// What a request holds while it is served: locks, and room in the journal's queue.
struct ReserveLocks<'r, 's, 'p> {
    shards: &'r mut LockedShards<'s>,
    /// In the order of the request's keys.
    subjects: &'r mut [Subject],
    permit: Permit<'p>,
}

/// A line that stock can't serve: its place among the lines, and how many units were free.
pub(crate) type LineShort = (usize, u64);
pub(crate) type Shorts = SmallVec<[LineShort; 4]>;

impl ReserveRequest<'_> {
    // If this is inlined into its callers, its own callees are not inlined: 17 instructions more for each reserve.
    #[inline(never)]
    fn decide(&self, permit: Permit<'_>) -> Attempt<ReserveResult> {
        let holds = &self.engine.inventory.holds;
        let Reserve { hold, supersedes, .. } = self.command;
        match supersedes {
            None => holds.with_id(hold, |shard| self.decide_in(&mut LockedShards::one(shard), permit)),
            Some(old) => holds.with_two(hold, old, |shards| self.decide_in(shards, permit)),
        }
    }

    fn decide_in(&self, shards: &mut LockedShards<'_>, permit: Permit<'_>) -> Attempt<ReserveResult> {
        // The holds of an archived drop count as gone, also those that are still in memory.
        if self.inner.archived.is_some() {
            return Ok(self.refused_by_drop(Reason::Closed, None));
        }
        let shard = shards.own();
        if let Some(place) = shard.find(&self.command.hold) {
            let mut own = self.locked(shard, place);
            return Ok(self.again(&mut own, permit)?);
        }
        let successor;
        let (request, permit) = match &self.command.supersedes {
            None => (self, permit),
            Some(old) => match self.in_place_of(old, shards, permit)? {
                Ok((found, permit)) => {
                    successor = found;
                    (&successor, permit)
                }
                Err(refused) => return Ok(refused),
            },
        };
        request.decide_new(shards, permit)
    }

    /// The id has a hold already: the same request again, or another request by mistake.
    fn again(&self, own: &mut LockedHold<'_, '_>, permit: Permit<'_>) -> Result<ReserveResult, Decided<Fault>> {
        let hold = own.hold();
        if hold.content != self.resolved.content || hold.drop != self.drop.number {
            let field = self.differing_field(hold);
            return Err(own.decided(Fault::Exists { what: format!("hold {}", hold.id), field }));
        }
        self.engine.expire_if_due(own, permit, self.now)?;
        let hold = own.hold();
        Ok(match hold.state {
            HoldState::Held | HoldState::Paying | HoldState::Claimed => own.decided(Outcome::Hold(hold.clone())),
            HoldState::Released | HoldState::Expired => {
                self.refuse_by_hold(own, ended(hold).unwrap_or(Reason::HoldReleased))
            }
        })
    }

    /// The first field in which this request differs from the one that made the hold.
    #[cold]
    fn differing_field(&self, hold: &Hold) -> &'static str {
        if hold.drop != self.drop.number {
            return "drop_id";
        }
        if hold.customer != self.command.customer {
            return "customer.id";
        }
        let asked = |item| self.resolved.by_item.iter().any(|(asked, _)| *asked == item);
        let more = hold.lines().iter().any(|line| !asked(line.item)) || hold.shorts().iter().any(|s| !asked(s.item));
        if more || self.resolved.by_item.iter().any(|(item, units)| hold.asked(*item) != *units) {
            return "lines";
        }
        // What the hold superseded is not kept but in the digest. If all but `allow_partial` is the same, that is it.
        let options = options_of(self.command);
        let otherwise = ReserveOptions { allow_partial: !options.allow_partial, ..options };
        if self.engine.content(self.command, otherwise) == hold.content {
            "allow_partial"
        } else if self.resolved.named.is_some() || self.is_of_place(hold) {
            // The same units from other pools.
            "lines"
        } else {
            "supersedes"
        }
    }

    /// Decides a request whose id has no hold yet.
    fn decide_new(&self, shards: &mut LockedShards<'_>, permit: Permit<'_>) -> Attempt<ReserveResult> {
        if self.engine.clock_is_in_doubt.load(Ordering::Relaxed) {
            return Err(Fault::Suspended(CLOCK_IN_DOUBT).into());
        }
        if self.inner.is_to_turn(self.now) {
            return Err(Undecided::Retry(Chore::Turn(self.drop.number)));
        }
        if let Some((reason, retry_after)) = self.barred() {
            return Ok(self.refused_by_drop(reason, retry_after));
        }
        match self.inner.standing.as_deref() {
            Some(standing) => {
                if let Some(refused) = self.find_offers(standing)? {
                    return Ok(refused);
                }
            }
            None if self.resolved.named.is_some() => self.names_apart_without_rules()?,
            None => {}
        }
        let shorts = if self.command.allow_partial { self.peek_any() } else { self.peek() }?;
        if !shorts.is_empty() {
            return self.sold_out(&shorts);
        }
        self.engine.has_memory()?;
        let Engine { inventory, bounds, .. } = self.engine;
        // A successor adds no hold.
        let full = self.superseded.is_none() && inventory.owned() >= bounds.max_holds;
        if full || !shards.own().has_room() {
            return Err(Fault::Exhausted("too many holds: --max-holds is reached").into());
        }
        let no_more = inventory.subjects.len() >= bounds.max_subjects() || !inventory.subjects.has_room();
        inventory.subjects.with(&self.resolved.limit_subjects.keys, |subjects| {
            if no_more && subjects.iter().any(|subject| subject.is_empty() || subject.is_old()) {
                return Err(Fault::Exhausted("too many subjects of limits: --max-holds is reached").into());
            }
            self.find_conduct(subjects)?;
            let locks = ReserveLocks { shards, subjects, permit };
            if self.command.allow_partial { self.serve_partly(locks) } else { self.serve(locks) }
        })
    }

    /// A refusal because of the drop's state. It is sent once that state is durable.
    fn refused_by_drop(&self, reason: Reason, retry_after: Option<Millis>) -> ReserveResult {
        Decided {
            durable_after: self.inner.durable_after(),
            ..self.refuse((reason, Rule::behind(reason)), retry_after, RefusedLines::new(), None)
        }
    }

    /// Why the drop takes no reserves now, and when it will.
    fn barred(&self) -> Option<(Reason, Option<Millis>)> {
        match self.inner.state() {
            DropState::Open => None,
            DropState::Closed | DropState::Cancelled | DropState::Archived => Some((Reason::Closed, None)),
            DropState::Paused => Some((Reason::Paused, None)),
            DropState::Scheduled => Some((Reason::NotOpen, Some(self.now.until(self.inner.opens_at(self.drop))))),
        }
    }

    /// The lines that stock can't serve. Units that are spread can hide a short line.
    fn peek(&self) -> Attempt<Shorts> {
        self.shorts(|line| self.peek_at(line, line.needs()))
    }

    /// The same; exact also while units are spread.
    pub(crate) fn probe(&self) -> Attempt<Shorts> {
        self.shorts(|line| self.probe_at(line))
    }

    #[inline]
    fn shorts<'l>(&'l self, peek: impl Fn(Line<'l>) -> LineAttempt<()>) -> Attempt<Shorts> {
        let mut shorts = Shorts::new();
        for line in self.lines().filter(|line| line.needs() > 0) {
            if let Err(free) = peek(line)? {
                shorts.push((line.place, free));
            }
        }
        Ok(shorts)
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let offers = self.offers.get();
        self.resolved.lines().enumerate().map(move |(place, line)| {
            let ResolvedLine { item, named, units } = line;
            let (stock, own) = (self.drop.item_stock(item), self.own(line));
            Line { place, item, named, offers, stock, units, own }
        })
    }

    /// Units of a line that the customer has already, in the hold that is superseded.
    pub(crate) fn own(&self, line: ResolvedLine) -> u32 {
        let Some(old) = &self.superseded else { return 0 };
        self.own_of(line, &old.hold)
    }

    #[cold]
    fn own_of(&self, line: ResolvedLine, old: &Hold) -> u32 {
        let kept = old.lines().iter().filter(|of| self.stays_with(line, of));
        kept.map(|line| line.quantity).fold(0, u32::saturating_add)
    }

    /// Whether a line of the hold that is superseded may stay with a line of the request: units of a place only with a
    /// line that names it, all others with a line that names their pool or else with the one that names none.
    fn stays_with(&self, line: ResolvedLine, of: &HoldLine) -> bool {
        let is_named = || self.resolved.lines().any(|other| other.item == of.item && other.named == Some(of.pool));
        of.item == line.item
            && match line.named {
                Some(pool) => pool == of.pool,
                None => !is_named() && !self.is_place(of),
            }
    }

    fn is_place(&self, line: &HoldLine) -> bool {
        let item = self.inner.definition.items.get(line.item.index());
        item.and_then(|item| item.pools.get(line.pool.index())).is_some_and(|pool| pool.place.is_some())
    }

    fn is_of_place(&self, hold: &Hold) -> bool {
        hold.lines().iter().any(|line| self.is_place(&line))
    }

    fn locked<'l, 's>(&'l self, shard: &'l mut LockedShard<'s>, place: HoldSlot) -> LockedHold<'l, 's> {
        LockedHold::of(self.drop, self.drop_table, self.inner, (shard, place))
    }
}

impl Line<'_> {
    /// Units that must come from stock.
    #[inline]
    pub(crate) fn needs(self) -> u64 {
        u64::from(self.units.saturating_sub(self.own))
    }
}

/// The units of each item, and the lines if any of them names a pool.
type Resolved = (SmallVec<[(ItemNo, u32); 4]>, Option<Box<[ResolvedLine]>>);

/// The request's lines in numbers, in the order of taking.
fn resolve(definition: &Definition, command: &Reserve) -> Result<Resolved, Fault> {
    let mut by_item = SmallVec::new();
    for wanted in &command.lines {
        match definition.item(&wanted.sku) {
            Some((item, _)) if wanted.pool.is_none() => by_item.push((item, wanted.units)),
            Some(_) | None => return resolve_named(definition, command),
        }
    }
    by_item.sort_unstable();
    Ok((by_item, None))
}

/// The same if a line names a pool, or something that the drop does not have. A line that names no pool comes behind
/// those of its item that do: what it may draw on contains what they draw on, so taking in this order is exact.
#[cold]
fn resolve_named(definition: &Definition, command: &Reserve) -> Result<Resolved, Fault> {
    known_skus(definition, "lines", &command.lines)?;
    let line = |wanted| {
        let (item, named) = place_of(definition, wanted)?;
        Some(ResolvedLine { item, named, units: wanted.units })
    };
    let mut lines: Vec<ResolvedLine> = command.lines.iter().filter_map(line).collect();
    lines.sort_unstable_by_key(|line| (line.item, line.named.is_none(), line.named));
    let mut by_item: SmallVec<[(ItemNo, u32); 4]> = SmallVec::new();
    for line in &lines {
        match by_item.last_mut() {
            Some((item, units)) if *item == line.item => *units = units.saturating_add(line.units),
            Some(_) | None => by_item.push((line.item, line.units)),
        }
    }
    Ok((by_item, Some(lines.into())))
}
