//! Reserve: sets units aside for a customer, all lines or none.
//!
//! The order of checks is the order of refusals: the caller's own hold, the drop's state, stock (a read-only look, so
//! that a herd is refused from one word), limits; then the units are taken, the record is appended, and the hold is
//! made. Everything that is taken is guarded until the hold is entered.

use std::sync::Arc;

use smallvec::SmallVec;

use super::answer::{Answer, Fault, HoldView, Outcome, Step, Violation};
use super::command::Reserve;
use super::hold_verbs::ended;
use super::{Decision, Engine, OwnHold};
use crate::definition::Definition;
use crate::hold::{ContentHash, Hold, HoldLine, HoldState, Lines};
use crate::ids::{ItemNo, Lsn, PoolNo, SubjectKey};
use crate::inventory::stock::{Certainty, Taken};
use crate::inventory::{DropEntry, DropState, Entered, LockedShard, Pool, Running, Subject, Verdict};
use crate::journal::Permit;
use crate::record::Record;
use crate::refusal::Reason;
use crate::time::{Millis, Timestamp};

/// A hold that lives shorter may be past its deadline before that is in the queue, if its thread is held up between
/// reading the clock and there. Until it is, its pools' refusals are kept in doubt.
const SHORT_TTL: Millis = Millis(10_000);

/// What came of a look, or why none could be taken.
pub(super) type Found<T> = Result<Decision<T>, Fault>;

impl Engine {
    /// Sets units aside. Asked for again with the same content, the same hold is answered as it stands now, as long as
    /// its units are still the customer's; a dead one refuses.
    ///
    /// # Errors
    /// [`Fault::NoDrop`], [`Fault::Invalid`] for a SKU that the drop does not have, [`Fault::Exists`] when the id has a
    /// hold of other content, [`Fault::Exhausted`], and faults of the journal.
    pub fn reserve(&self, command: &Reserve, now: Timestamp) -> Result<Step<Answer>, Fault> {
        self.decide(now, || {
            let found = self.inventory.drops.with_id(&command.drop, |drop| {
                let running = drop.running();
                let lines = resolve(&running.definition, command)?;
                let key = &self.inventory.key;
                let wanted = command.lines.iter().map(|line| (&line.sku, line.units));
                let content = key.content(&command.drop, &command.customer, wanted);
                let customer = key.customer(&running.definition.shop, &command.customer);
                let request = Request { engine: self, command, now, drop, running: &running, lines, content, customer };
                request.decide()
            });
            found.unwrap_or_else(|| Err(Fault::NoDrop(command.drop.clone())))
        })
    }
}

/// A line of the request, found in the drop.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) item: ItemNo,
    pool_no: PoolNo,
    pub(super) pool: Option<&'a Pool>,
    pub(super) units: u32,
}

/// One reserve while its drop's gate is held.
pub(super) struct Request<'a> {
    pub(super) engine: &'a Engine,
    pub(super) command: &'a Reserve,
    pub(super) now: Timestamp,
    pub(super) drop: &'a DropEntry,
    pub(super) running: &'a Running,
    /// Ascending by item: carts take in one order.
    pub(super) lines: SmallVec<[(ItemNo, u32); 4]>,
    content: ContentHash,
    pub(super) customer: SubjectKey,
}

/// A line that stock can't serve: which, and how many units were free.
pub(super) type Short = (ItemNo, u64);
/// Several of them.
pub(super) type Shorts = SmallVec<[Short; 4]>;

impl Request<'_> {
    fn decide(&self) -> Found<Answer> {
        let permit = self.engine.journal.permit()?;
        self.engine.inventory.holds.with_id(&self.command.hold, |mut shard| {
            if let Some(place) = shard.find(&self.command.hold) {
                let view = &self.running.definition;
                let mut own = OwnHold { drop: self.drop, view, shard: &mut shard, place };
                return self.again(&mut own, permit).map(Decision::Done);
            }
            if let Some((reason, retry_after)) = self.barred() {
                let ticket = self.engine.journal.ticket(self.running.revision.max(self.running.steered));
                let refused = self.refuse(reason, retry_after, Vec::new(), None);
                return Ok(Decision::Done(Answer { ticket, ..refused }));
            }
            match self.look(Pool::look)? {
                Decision::Done(shorts) if shorts.is_empty() => {}
                Decision::Done(shorts) => return Ok(self.sold_out(&shorts)),
                Decision::InDoubt => return Ok(Decision::InDoubt),
                Decision::Again => return Ok(Decision::Again),
                Decision::SweepPool(drop, item, pool) => return Ok(Decision::SweepPool(drop, item, pool)),
                Decision::SweepHold(hold) => return Ok(Decision::SweepHold(hold)),
            }
            let engine = self.engine;
            if engine.inventory.owned() >= engine.bounds.max_holds || !shard.has_room() {
                return Err(Fault::Exhausted("too many holds: --max-holds is reached"));
            }
            engine.inventory.subjects.with(self.customer, |subject| self.serve(&mut shard, subject, permit))
        })
    }

    /// The id has a hold already: the same request again, or another one by mistake.
    fn again(&self, own: &mut OwnHold<'_, '_>, permit: Permit<'_>) -> Result<Answer, Fault> {
        let hold = own.hold()?;
        if hold.content != self.content || hold.drop != self.drop.number {
            let field = if hold.drop != self.drop.number {
                "drop_id"
            } else if hold.customer != self.command.customer {
                "customer.id"
            } else {
                "lines"
            };
            return Err(Fault::Exists { what: format!("hold {}", hold.id), field, known_at: hold.revision });
        }
        self.engine.expire_if_due(own, permit, self.now)?;
        match own.hold()?.state {
            HoldState::Held | HoldState::Paying | HoldState::Claimed => self.engine.shown(own),
            HoldState::Released | HoldState::Expired => {
                let reason = ended(own.hold()?).unwrap_or(Reason::HoldReleased);
                self.engine.refused_by_hold(own, reason)
            }
        }
    }

    /// Why the drop takes no reserves now, and when it may.
    fn barred(&self) -> Option<(Reason, Option<Millis>)> {
        match self.running.state(self.drop, self.now) {
            DropState::Open => None,
            DropState::Closed => Some((Reason::Closed, None)),
            DropState::Paused => Some((Reason::Paused, None)),
            DropState::Scheduled => Some((Reason::NotOpen, Some(self.now.until(self.running.opens_at(self.drop))))),
        }
    }

    /// Which lines stock can't serve: none, as far as a look can tell.
    pub(super) fn look(&self, look: impl Fn(&Pool, u64, Timestamp) -> Verdict<()>) -> Found<Shorts> {
        let mut shorts = Shorts::new();
        for line in self.lines() {
            match look(line.pool()?, u64::from(line.units), self.now) {
                Verdict::Yes(()) => {}
                Verdict::Short { free } => shorts.push((line.item, free)),
                Verdict::InDoubt => return Ok(Decision::InDoubt),
                Verdict::SweepDue => return Ok(self.sweep_pool(line)),
            }
        }
        Ok(Decision::Done(shorts))
    }

    /// Checks limits, takes, appends, makes the hold. The hold's shard and the subject's stripe are locked.
    fn serve(&self, shard: &mut LockedShard<'_>, subject: &mut Subject, permit: Permit<'_>) -> Found<Answer> {
        let definition = &self.running.definition;
        let broken = subject.broken(self.drop.number, &definition.limits, &self.lines);
        if !broken.is_empty() {
            return self.over_limit(&broken, subject);
        }
        // A hold that lives shorter than its thread may be held up, and a cart, are in doubt until they are entered.
        let certain = self.lines.len() == 1 && self.ttl() >= SHORT_TTL;
        let certainty = if certain { Certainty::Certain } else { Certainty::Doubtful };
        let mut taken: SmallVec<[Taken<'_>; 4]> = SmallVec::new();
        for line in self.lines() {
            match line.pool()?.take(u64::from(line.units), certainty, self.now) {
                Verdict::Yes(units) => taken.push(units),
                Verdict::Short { free } => {
                    drop(taken); // the guards give back what the cart has already taken
                    return Ok(Decision::Done(self.refuse_stock(&[(line.item, free)], subject)));
                }
                Verdict::InDoubt => return Ok(Decision::InDoubt),
                Verdict::SweepDue => return Ok(self.sweep_pool(line)),
            }
        }
        let mut hold = self.new_hold();
        let ticket = self.engine.journal.append(permit, &[Record::Hold(hold.clone())], self.now)?;
        // From here on nothing may fail. The units are kept last, when the hold's deadline is in the queues: until then
        // nobody could tell that they are due. A panic in between ends the process; no guard gives back.
        hold.revision = ticket.lsn();
        let place = shard.insert(hold.clone());
        let entered = Entered { drop: self.drop, place, before: None, after: &hold };
        self.engine.inventory.enter_with(&entered, subject);
        taken.into_iter().for_each(Taken::keep);
        self.engine.count_transition(HoldState::Held);
        let view = HoldView { hold, definition: Arc::clone(definition) };
        Ok(Decision::Done(Answer { outcome: Outcome::Hold(view), ticket }))
    }

    /// How long the hold is granted: the wish or the drop's, at most the ceiling.
    fn ttl(&self) -> Millis {
        let definition = &self.running.definition;
        self.command.ttl.unwrap_or(definition.hold_ttl).min(definition.max_hold_life)
    }

    fn new_hold(&self) -> Hold {
        let lines: SmallVec<[HoldLine; 4]> =
            self.lines().map(|line| HoldLine::new(line.item, line.pool_no, line.units)).collect();
        Hold {
            id: self.command.hold,
            drop: self.drop.number,
            state: HoldState::Held,
            customer: self.command.customer.clone(),
            content: self.content,
            created_at: self.now,
            expires_at: self.now.plus(self.ttl()),
            settled_at: Timestamp::default(),
            revision: Lsn::default(),
            lines: Lines::from_slice(&lines),
            rare: None,
        }
    }

    fn sweep_pool<T>(&self, line: Line<'_>) -> Decision<T> {
        Decision::SweepPool(self.drop.number, line.item, line.pool_no)
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let pool_no = PoolNo(0); // every item has one pool so far: the first takes everything
        self.lines.iter().map(move |(item, units)| Line {
            item: *item,
            pool_no,
            pool: self.drop.pool(*item, pool_no),
            units: *units,
        })
    }
}

impl<'a> Line<'a> {
    fn pool(self) -> Result<&'a Pool, Fault> {
        // Items were found in the definition that the pools were made from: the error is never seen.
        self.pool.ok_or(Fault::Overloaded("pool missing"))
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
