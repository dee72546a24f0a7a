//! Reserve: sets units aside for a customer, all lines or none.
//!
//! The order of checks is the order of refusals: the caller's own hold, the drop's state, stock (a read-only look, so
//! that a herd is refused from one word), limits; then the units are taken, the record is appended, and the hold is
//! made. Everything that is taken is guarded until the append.

use smallvec::SmallVec;

use super::answer::{Answer, Fault, HoldView, LimitHit, Outcome, Refusal, RefusedLine, Step, Violation};
use super::command::Reserve;
use super::{Decision, Engine, OwnHold};
use crate::definition::Definition;
use crate::digest::SubjectKey;
use crate::hold::{ContentHash, Hold, HoldLine, HoldState, Lines};
use crate::ids::{ItemNo, Lsn, PoolNo, Sku};
use crate::inventory::stock::Certainty;
use crate::inventory::{Broken, DropEntry, DropState, Entered, LockedShard, Pool, Running, Subject, Verdict};
use crate::journal::{Permit, Ticket};
use crate::record::Record;
use crate::refusal::Reason;
use crate::time::{Millis, Timestamp};

/// A hold that lives shorter may be past its deadline before that is in the queue, if its thread is held up between
/// reading the clock and there. Until it is, its pools' refusals are kept in doubt.
const SHORT_TTL: Millis = Millis(10_000);

type Found<T> = Result<Decision<T>, Fault>;

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
struct Line<'a> {
    item: ItemNo,
    pool_no: PoolNo,
    pool: Option<&'a Pool>,
    units: u32,
}

/// One reserve while its drop's gate is held.
struct Request<'a> {
    engine: &'a Engine,
    command: &'a Reserve,
    now: Timestamp,
    drop: &'a DropEntry,
    running: &'a Running,
    /// Ascending by item: carts take in one order.
    lines: SmallVec<[(ItemNo, u32); 4]>,
    content: ContentHash,
    customer: SubjectKey,
}

/// A line that stock can't serve: which, and how many units were free.
type Short = (ItemNo, u64);

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
                return Ok(Decision::Done(self.refuse(reason, retry_after, Vec::new(), None)));
            }
            match self.look()? {
                Decision::Done(shorts) if shorts.is_empty() => {}
                Decision::Done(shorts) => return Ok(self.sold_out(&shorts)),
                Decision::InDoubt => return Ok(Decision::InDoubt),
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
            return Err(Fault::Exists { what: format!("hold {}", hold.id), field });
        }
        self.engine.expire_if_due(own, permit, self.now)?;
        match own.hold()?.state {
            HoldState::Held | HoldState::Claimed => self.engine.shown(own),
            HoldState::Released => self.engine.refused_by_hold(own, Reason::HoldReleased),
            HoldState::Expired => self.engine.refused_by_hold(own, Reason::HoldExpired),
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
    fn look(&self) -> Found<SmallVec<[Short; 4]>> {
        let mut shorts = SmallVec::new();
        for line in self.lines() {
            match line.pool()?.look(u64::from(line.units), self.now) {
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
        if let Some(broken) = subject.broken(self.drop.number, &definition.limits, &self.lines) {
            return Ok(match subject.due(self.now) {
                Some(due) => Decision::SweepHold(due),
                None => Decision::Done(self.limit_reached(&broken)),
            });
        }
        let mut doubts: SmallVec<[_; 4]> = SmallVec::new();
        if self.ttl() < SHORT_TTL {
            for line in self.lines() {
                doubts.push(line.pool()?.doubt());
            }
        }
        let certainty = if self.lines.len() == 1 { Certainty::Certain } else { Certainty::Doubtful };
        let mut taken: SmallVec<[_; 4]> = SmallVec::new();
        for line in self.lines() {
            match line.pool()?.take(u64::from(line.units), certainty, self.now) {
                Verdict::Yes(units) => taken.push(units),
                // Gone since the look. The guards give back what the cart has already taken; another look names
                // every line that can't be served.
                Verdict::Short { free } if taken.is_empty() && self.lines.len() == 1 => {
                    return Ok(Decision::Done(self.refuse_stock(&[(line.item, free)], subject)));
                }
                Verdict::Short { .. } | Verdict::InDoubt => return Ok(Decision::InDoubt),
                Verdict::SweepDue => return Ok(self.sweep_pool(line)),
            }
        }
        let mut hold = self.new_hold();
        let ticket = self.engine.journal.append(permit, &[Record::Hold(hold.clone())], self.now)?;
        // From here on nothing may fail.
        taken.into_iter().for_each(crate::inventory::stock::Taken::keep);
        hold.revision = ticket.lsn();
        let place = shard.insert(hold.clone());
        let entered = Entered { drop: self.drop, place, before: None, after: &hold };
        self.engine.inventory.enter_with(&entered, subject);
        drop(doubts); // the deadlines are in the queues now
        self.engine.count_transition(HoldState::Held);
        let view = HoldView { hold, definition: std::sync::Arc::clone(definition) };
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
            order_ref: None,
        }
    }

    /// Refuses for want of stock, naming what limits would refuse of the cart as well.
    fn sold_out(&self, shorts: &[Short]) -> Decision<Answer> {
        // The herd's refusal: one line, nothing left. The customer's own usage can't make less of nothing.
        if let [(_, 0)] = shorts
            && self.lines.len() == 1
        {
            return Decision::Done(self.refuse_stock(shorts, &Subject::default()));
        }
        self.engine.inventory.subjects.with(self.customer, |subject| match subject.due(self.now) {
            // What the customer had must not be told to stand in his way.
            Some(due) => Decision::SweepHold(due),
            None => Decision::Done(self.refuse_stock(shorts, subject)),
        })
    }

    fn refuse_stock(&self, shorts: &[Short], subject: &Subject) -> Answer {
        let broken = subject.broken(self.drop.number, &self.running.definition.limits, &self.lines);
        let allowed = |item| {
            let left = broken.as_ref()?.lines.iter().find(|(limited, _)| *limited == item)?.1;
            Some(left)
        };
        let mut lines = Vec::new();
        for (item, units) in &self.lines {
            let short = shorts.iter().find(|(short, _)| short == item);
            let (reason, free) = match (short, allowed(*item)) {
                (Some((_, free)), _) => (Reason::SoldOut, u32::try_from(*free).unwrap_or(u32::MAX)),
                (None, Some(_)) => (Reason::LimitReached, *units),
                (None, None) => continue,
            };
            let available = free.min(*units).min(allowed(*item).unwrap_or(u32::MAX));
            lines.push(self.refused_line(*item, reason, *units, available));
        }
        // Worth another try once every short line may have units again; never, where nothing is held.
        let retry_at = self
            .lines()
            .filter(|line| shorts.iter().any(|(short, _)| *short == line.item))
            .map(|line| line.pool.map_or(Timestamp::NEVER, Pool::next_due))
            .max();
        let retry_after = retry_at.filter(|at| *at != Timestamp::NEVER).map(|at| self.now.until(at));
        self.refuse(Reason::SoldOut, retry_after, lines, None)
    }

    fn limit_reached(&self, broken: &Broken<'_>) -> Answer {
        let lines = self.lines.iter().filter_map(|(item, units)| {
            let (_, left) = broken.lines.iter().find(|(limited, _)| limited == item)?;
            Some(self.refused_line(*item, Reason::LimitReached, *units, *left))
        });
        let hit = LimitHit {
            id: broken.limit.id.clone(),
            scope: broken.limit.scope,
            max: broken.limit.max_units,
            used: u32::try_from(broken.used).unwrap_or(u32::MAX),
        };
        self.refuse(Reason::LimitReached, None, lines.collect(), Some(hit))
    }

    fn refused_line(&self, item: ItemNo, reason: Reason, requested: u32, available: u32) -> RefusedLine {
        RefusedLine { sku: self.running.definition.sku(item).clone(), reason, requested, available }
    }

    /// A refusal. It waits for nothing: it says nothing about a hold of the caller's.
    fn refuse(
        &self,
        reason: Reason,
        retry_after: Option<Millis>,
        mut lines: Vec<RefusedLine>,
        limit: Option<LimitHit>,
    ) -> Answer {
        lines.sort_by_key(|line| self.command.lines.iter().find(|wanted| wanted.sku == line.sku).map(|w| w.place));
        self.drop.count_refusal(reason);
        let sku: Option<Sku> = lines.iter().find(|line| line.reason == reason).map(|line| line.sku.clone());
        let refusal = Refusal { reason, sku, retry_after, lines, limit, hold: None };
        Answer { outcome: Outcome::Refused(Box::new(refusal)), ticket: Ticket::ready() }
    }

    fn sweep_pool<T>(&self, line: Line<'_>) -> Decision<T> {
        Decision::SweepPool(self.drop.number, line.item, line.pool_no)
    }

    fn lines(&self) -> impl Iterator<Item = Line<'_>> {
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
