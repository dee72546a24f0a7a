//! Reserve: sets units aside for a customer, all lines or none; with `allow_partial`, what is free of each.
//!
//! Checks are made in the order of refusals: the caller's own hold, the hold that is superseded, the drop's state,
//! stock (a read-only look, so a sold-out drop refuses from one load per line), limits. Then the units are taken, the
//! record is appended, and the hold is made. Units that were taken are guarded until the hold is entered.

mod allowance;
mod draw;
mod partial;
mod run;
mod serve;
mod supersede;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use smallvec::SmallVec;
use stockade_journal::Permit;
use stockade_types::definition::Definition;
use stockade_types::digest::Manner;
use stockade_types::hold::{ContentHash, Hold, HoldState};
use stockade_types::ids::ItemNo;
use stockade_types::record::Actor;
use stockade_types::refusal::Reason;
use stockade_types::time::{Millis, Timestamp};

use super::answer::{Fault, HoldView, Outcome, Violation};
use super::attempt::{Answer, Attempt, Chore, Decided, Undecided};
use super::command::Reserve;
use super::context::Context;
use super::hold_verbs::ended;
use super::limits::Counted;
use super::{Engine, OwnHold};
use crate::inventory::{DropEntry, DropScope, DropState, ItemStock, LockedShards, Roster, Running, Subject};
use draw::Had;
use supersede::Old;

/// Why no hold is made while the clock is in doubt.
const CLOCK_IN_DOUBT: &str =
    "the server's wall clock is more than 5 minutes ahead of engine time, so the time is in doubt";

/// A decided reserve: its hold without the drop's definition, which the caller has.
pub(super) type Reserved = Decided<Outcome<Hold>>;

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
            let found = self.inventory.drops.with_id_among(&command.drop, |drop, roster| {
                let running = &drop.running();
                let Context { now, origin } = context.not_before(running.turned_at);
                let asked = Asked::of(self, &drop.scope, &running.definition, command)?;
                let actor = origin.actor;
                let request = Request { engine: self, command, now, actor, drop, roster, running, asked, old: None };
                let definition = || Arc::clone(&running.definition);
                Ok(request.decide(self.journal.permit()?)?.map(|outcome| match outcome {
                    Outcome::Hold(hold) => Outcome::Hold(HoldView { hold, definition: definition() }),
                    Outcome::Refused(refusal) => Outcome::Refused(refusal),
                }))
            });
            found.unwrap_or_else(|| Err(Fault::NoDrop(command.drop.clone()).into()))
        })
    }

    #[inline]
    fn content(&self, command: &Reserve, manner: Manner) -> ContentHash {
        let wanted = command.lines.iter().map(|line| (&line.sku, line.units));
        self.inventory.key.content(&command.drop, &command.customer, wanted, manner)
    }
}

const fn manner(command: &Reserve) -> Manner {
    Manner { supersedes: command.supersedes, allow_partial: command.allow_partial }
}

/// A line of the request, found in the drop.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) item: ItemNo,
    stock: &'a ItemStock,
    /// Units asked for.
    pub(super) units: u32,
    /// Units that the customer has already, in the hold that is superseded.
    own: u32,
}

/// What follows from the request and its drop's definition alone.
#[derive(Clone)]
pub(super) struct Asked {
    /// Ascending by item, so that all carts take in one order.
    pub(super) lines: SmallVec<[(ItemNo, u32); 4]>,
    content: ContentHash,
    pub(super) counted: Counted,
}

impl Asked {
    fn of(engine: &Engine, scope: &DropScope, definition: &Definition, command: &Reserve) -> Result<Self, Fault> {
        let lines = resolve(definition, command)?;
        let content = engine.content(command, manner(command));
        Ok(Self { lines, content, counted: Counted::of(&engine.inventory.key, scope, command) })
    }
}

/// One reserve while its drop's gate is held.
pub(super) struct Request<'a> {
    pub(super) engine: &'a Engine,
    pub(super) command: &'a Reserve,
    pub(super) now: Timestamp,
    pub(super) actor: Actor,
    pub(super) drop: &'a DropEntry,
    pub(super) roster: Roster<'a>,
    pub(super) running: &'a Running,
    pub(super) asked: Asked,
    /// The hold to supersede, once it is found and may be superseded.
    pub(super) old: Option<Old>,
}

/// What a request holds while it is served: locks, and room in the journal's queue.
struct Hands<'r, 's, 'p> {
    shards: &'r mut LockedShards<'s>,
    /// In the order of the request's keys.
    subjects: &'r mut [Subject],
    permit: Permit<'p>,
}

/// A line that stock can't serve: its item, and how many units were free.
pub(super) type Short = (ItemNo, u64);
pub(super) type Shorts = SmallVec<[Short; 4]>;

impl Request<'_> {
    // If this is inlined into its callers, its own callees are not inlined: 17 instructions more for each reserve.
    #[inline(never)]
    fn decide(&self, permit: Permit<'_>) -> Attempt<Reserved> {
        let holds = &self.engine.inventory.holds;
        let Reserve { hold, supersedes, .. } = self.command;
        match supersedes {
            None => holds.with_id(hold, |shard| self.decide_in(&mut LockedShards::one(shard), permit)),
            Some(old) => holds.with_two(hold, old, |shards| self.decide_in(shards, permit)),
        }
    }

    fn decide_in(&self, shards: &mut LockedShards<'_>, permit: Permit<'_>) -> Attempt<Reserved> {
        // The holds of an archived drop count as gone, also those that are still in memory.
        if self.running.archived.is_some() {
            return Ok(self.refused_by_drop(Reason::Closed, None));
        }
        let shard = shards.own();
        if let Some(place) = shard.find(&self.command.hold) {
            let mut own =
                OwnHold { drop: self.drop, roster: self.roster, view: &self.running.definition, shard, place };
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
    fn again(&self, own: &mut OwnHold<'_, '_>, permit: Permit<'_>) -> Result<Reserved, Decided<Fault>> {
        let hold = own.hold();
        if hold.content != self.asked.content || hold.drop != self.drop.number {
            let field = self.differing_field(hold);
            return Err(own.decided(Fault::Exists { what: format!("hold {}", hold.id), field }));
        }
        self.engine.expire_if_due(own, permit, self.now)?;
        let hold = own.hold();
        Ok(match hold.state {
            HoldState::Held | HoldState::Paying | HoldState::Claimed => own.decided(Outcome::Hold(hold.clone())),
            HoldState::Released | HoldState::Expired => own.refused(ended(hold).unwrap_or(Reason::HoldReleased)),
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
        let asked = |item| self.asked.lines.iter().any(|(asked, _)| *asked == item);
        let more = hold.lines().iter().any(|line| !asked(line.item)) || hold.shorts().iter().any(|s| !asked(s.item));
        if more || self.asked.lines.iter().any(|(item, units)| hold.asked(*item) != *units) {
            return "lines";
        }
        // What the hold superseded is not kept but in the digest. If all but `allow_partial` is the same, that is it.
        let manner = manner(self.command);
        let otherwise = Manner { allow_partial: !manner.allow_partial, ..manner };
        if self.engine.content(self.command, otherwise) == hold.content { "allow_partial" } else { "supersedes" }
    }

    /// Decides a request whose id has no hold yet.
    fn decide_new(&self, shards: &mut LockedShards<'_>, permit: Permit<'_>) -> Attempt<Reserved> {
        if self.engine.clock_is_in_doubt.load(Ordering::Relaxed) {
            return Err(Fault::Suspended(CLOCK_IN_DOUBT).into());
        }
        if self.running.is_to_turn(self.now) {
            return Err(Undecided::Retry(Chore::Turn(self.drop.number)));
        }
        if let Some((reason, retry_after)) = self.barred() {
            return Ok(self.refused_by_drop(reason, retry_after));
        }
        let shorts = if self.command.allow_partial { self.look_for_any() } else { self.look() }?;
        if !shorts.is_empty() {
            return self.sold_out(&shorts);
        }
        self.engine.has_memory()?;
        let Engine { inventory, bounds, .. } = self.engine;
        // A successor adds no hold.
        let full = self.old.is_none() && inventory.owned() >= bounds.max_holds;
        if full || !shards.own().has_room() {
            return Err(Fault::Exhausted("too many holds: --max-holds is reached").into());
        }
        let no_more = inventory.subjects.len() >= bounds.max_subjects() || !inventory.subjects.has_room();
        inventory.subjects.with(&self.asked.counted.keys, |subjects| {
            if no_more && subjects.iter().any(|subject| subject.is_empty() || subject.is_old()) {
                return Err(Fault::Exhausted("too many subjects of limits: --max-holds is reached").into());
            }
            let hands = Hands { shards, subjects, permit };
            if self.command.allow_partial { self.serve_partly(hands) } else { self.serve(hands) }
        })
    }

    /// A refusal because of the drop's state. It is sent once that state is durable.
    fn refused_by_drop(&self, reason: Reason, retry_after: Option<Millis>) -> Reserved {
        Decided { durable_after: self.running.known_at(), ..self.refuse(reason, retry_after, Vec::new(), None) }
    }

    /// Why the drop takes no reserves now, and when it will.
    fn barred(&self) -> Option<(Reason, Option<Millis>)> {
        match self.running.state() {
            DropState::Open => None,
            DropState::Closed | DropState::Cancelled | DropState::Archived => Some((Reason::Closed, None)),
            DropState::Paused => Some((Reason::Paused, None)),
            DropState::Scheduled => Some((Reason::NotOpen, Some(self.now.until(self.running.opens_at(self.drop))))),
        }
    }

    /// The lines that stock can't serve. Units that are spread can hide a short line.
    fn look(&self) -> Attempt<Shorts> {
        self.shorts(|line| self.look_at(line, line.needs()))
    }

    /// The same; exact also while units are spread.
    pub(super) fn look_closely(&self) -> Attempt<Shorts> {
        self.shorts(|line| self.look_closely_at(line))
    }

    #[inline]
    fn shorts<'l>(&'l self, look: impl Fn(Line<'l>) -> Had<()>) -> Attempt<Shorts> {
        let mut shorts = Shorts::new();
        for line in self.lines().filter(|line| line.needs() > 0) {
            if let Err(free) = look(line)? {
                shorts.push((line.item, free));
            }
        }
        Ok(shorts)
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.asked.lines.iter().map(|(item, units)| Line {
            item: *item,
            stock: self.drop.item_stock(*item),
            units: *units,
            own: self.own(*item),
        })
    }

    /// Units of an item that the customer has already, in the hold that is superseded.
    pub(super) fn own(&self, item: ItemNo) -> u32 {
        self.old.as_ref().map_or(0, |old| old.hold.units_of(item))
    }
}

impl Line<'_> {
    /// Units that must come from stock.
    pub(super) fn needs(self) -> u64 {
        u64::from(self.units.saturating_sub(self.own))
    }
}

/// The request's lines as items of the drop, ascending.
fn resolve(definition: &Definition, command: &Reserve) -> Result<SmallVec<[(ItemNo, u32); 4]>, Fault> {
    let mut lines = SmallVec::new();
    let mut unknown = Vec::new();
    for wanted in &command.lines {
        match definition.item(&wanted.sku) {
            Some((item, _)) => lines.push((item, wanted.units)),
            None => unknown.push(Violation {
                field: format!("lines[{}].sku", wanted.place),
                description: format!("drop {} has no item {:?}", definition.id, wanted.sku.as_str()),
            }),
        }
    }
    if !unknown.is_empty() {
        return Err(Fault::Invalid(unknown));
    }
    lines.sort_unstable();
    Ok(lines)
}
