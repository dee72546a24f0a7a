//! Converts records to events.
//!
//! Records of format 1 have no events. They don't contain a change's result or its instant, and half the life of a hold
//! would mislead a reader that counts. So events begin with the first record of format 2, whatever precedes it in the
//! journal.

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};
use stockade_types::definition::Definition;
use stockade_types::hold::{Hold, HoldState};
use stockade_types::ids::{AdjustmentId, DropNo, ItemNo, Lsn};
use stockade_types::record::{
    Actor, Adjusted, AdjustedBy, DropFact, DropVerb, HoldChange, Lifecycle, Made, Mark, MarkKind, MovedLine,
    PoolFigures, Record, Restart, Superseded, Verb,
};
use stockade_types::time::Timestamp;

use super::cursor::Position;
use super::kind::Kind;
use super::names::Named;

/// An event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its record.
    pub lsn: Lsn,
    /// The position after it.
    pub position: Position,
    /// Its type.
    pub kind: Kind,
    /// When it was decided.
    pub at: Timestamp,
    /// When it was scheduled for.
    pub scheduled_for: Option<Timestamp>,
    /// Who did it.
    pub actor: Actor,
    /// The drop that it is about. Its names are valid at any time; the other fields only in events about the drop
    /// itself.
    pub drop: Option<Named>,
    /// What it is about.
    pub detail: Detail,
}

/// What an event is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Detail {
    /// A hold.
    Hold {
        /// The hold after the event.
        hold: Hold,
        /// The state before; none if the hold was just made.
        was: Option<HoldState>,
        /// The units moved of each line, in the hold's order of lines.
        moved: SmallVec<[MovedLine; 1]>,
    },
    /// A drop.
    Drop {
        /// Its lifecycle after the event.
        lifecycle: Lifecycle,
        /// Whether its holds were removed from memory by then.
        is_archived: bool,
        /// When it opens.
        opens_at: Timestamp,
        /// Its pools after the event, in the definition's order of items and pools.
        stock: Vec<PoolFigures>,
    },
    /// An item's stock.
    Stock {
        /// Of which item.
        item: ItemNo,
        /// Its pools after the event.
        stock: Vec<PoolFigures>,
        /// The adjustment that changed it.
        cause: AdjustmentId,
    },
    /// The engine.
    Restart {
        /// The last instant in the journal before the outage.
        stopped_at: Timestamp,
        /// Deadlines between the two were moved to this instant.
        grace_until: Timestamp,
    },
}

/// The events of one record: most have one.
type Events = SmallVec<[Event; 1]>;

impl Event {
    /// About the bytes that it takes in memory.
    #[must_use]
    pub fn weight(&self) -> usize {
        let figures = |stock: &[PoolFigures]| size_of_val(stock);
        let more = match &self.detail {
            // A hold's texts and further lines are allocated separately.
            Detail::Hold { hold, .. } => hold.lines().count().saturating_mul(64).saturating_add(128),
            Detail::Drop { stock, .. } => figures(stock).saturating_add(self.drop.as_deref().map_or(0, weight)),
            Detail::Stock { stock, .. } => figures(stock),
            Detail::Restart { .. } => 0,
        };
        size_of::<Self>().saturating_add(more)
    }
}

/// About the bytes that a definition takes.
fn weight(definition: &Definition) -> usize {
    let Definition { title, labels, items, limits, .. } = definition;
    let labels = labels.iter().map(|(key, value)| key.len().saturating_add(value.len()).saturating_add(64));
    let pools = items.iter().map(|item| item.pools.len().saturating_mul(64).saturating_add(item.sku.as_str().len()));
    let limits = limits.iter().map(|limit| limit.skus.len().saturating_mul(32).saturating_add(256));
    let parts = labels.chain(pools.map(|bytes| bytes.saturating_add(64))).chain(limits);
    parts.fold(title.len().saturating_add(512), usize::saturating_add)
}

/// A record's events in order. Asks for the drop's names if the record does not contain them.
///
/// # Errors
/// Those of `named`.
pub(crate) fn events<E>(lsn: Lsn, record: Record, named: impl FnOnce(DropNo) -> Result<Named, E>) -> Result<Events, E> {
    let mut events = match record {
        Record::Made(made) => smallvec![of_made(lsn, made, named)?],
        Record::Changed(change) => {
            let drop = named(change.hold.drop)?;
            smallvec![of_change(lsn, change, drop)]
        }
        Record::Superseded(superseded) => of_superseded(lsn, *superseded, named)?,
        Record::DropFact(fact) => of_drop(lsn, *fact),
        Record::Adjusted(adjusted) => of_adjusted(lsn, *adjusted, named)?,
        Record::Restart(restart) => of_restart(lsn, restart).into_iter().collect(),
        // Of format 1, or in snapshots only.
        Record::Drop(_)
        | Record::Lifecycle(_)
        | Record::Upgraded(_)
        | Record::Hold(_)
        | Record::Old(_)
        | Record::Stock(_)
        | Record::Adjustments(_)
        | Record::Archived(_)
        | Record::Defined(_)
        | Record::Delivered(_)
        | Record::Usage(_) => Events::new(),
    };
    let count = events.len();
    for (place, event) in (1..).zip(&mut events) {
        event.position = Position::at(lsn, place, usize::from(place) == count);
    }
    Ok(events)
}

fn of_made<E>(
    lsn: Lsn,
    Made { actor, hold }: Made,
    named: impl FnOnce(DropNo) -> Result<Named, E>,
) -> Result<Event, E> {
    let (drop, at) = (named(hold.drop)?, hold.created_at());
    Ok(created(lsn, hold, (drop, actor, at)))
}

fn created(lsn: Lsn, mut hold: Hold, (drop, actor, at): (Named, Actor, Timestamp)) -> Event {
    hold.revision = lsn;
    let set_aside = |quantity| MovedLine { quantity, ..MovedLine::default() };
    let moved = hold.lines().iter().map(|line| set_aside(line.quantity)).collect();
    let detail = Detail::Hold { hold, was: None, moved };
    Event { actor, drop: Some(drop), ..Event::new(lsn, Kind::HoldCreated, at, detail) }
}

fn of_change(lsn: Lsn, change: HoldChange, drop: Named) -> Event {
    let moved = change.moved().into_iter().collect();
    let HoldChange { verb, at, actor, was, prev: _, mut hold, .. } = change;
    hold.revision = lsn;
    let kind = match verb {
        Verb::Extend if hold.state == HoldState::Paying && was != HoldState::Paying => Kind::HoldPaying,
        Verb::Extend => Kind::HoldExtended,
        Verb::Claim => Kind::HoldClaimed,
        Verb::Release => Kind::HoldReleased,
        Verb::Return => Kind::HoldReturned,
        Verb::Expire => Kind::HoldExpired,
        Verb::Supersede => Kind::HoldSuperseded,
    };
    let scheduled_for = (verb == Verb::Expire).then(|| hold.expires_at());
    let detail = Detail::Hold { hold, was: Some(was), moved };
    Event { actor, scheduled_for, drop: Some(drop), ..Event::new(lsn, kind, at, detail) }
}

fn of_superseded<E>(
    lsn: Lsn,
    Superseded { ended, made }: Superseded,
    named: impl FnOnce(DropNo) -> Result<Named, E>,
) -> Result<Events, E> {
    let drop = named(made.drop)?;
    let (actor, at) = (ended.actor, ended.at);
    Ok(smallvec![of_change(lsn, ended, Arc::clone(&drop)), created(lsn, made, (drop, actor, at))])
}

fn of_drop(lsn: Lsn, fact: DropFact) -> Events {
    let DropFact { verb, at, origin, image, lifecycle, marks, stock } = fact;
    let opens_at = image.definition.schedule.opens_at.unwrap_or(image.created_at);
    let drop = Arc::new(image.definition);
    let event = |kind, lifecycle, scheduled_for| {
        let (is_archived, stock) = (verb == DropVerb::Archive, stock.clone());
        let detail = Detail::Drop { lifecycle, is_archived, opens_at, stock };
        let drop = Some(Arc::clone(&drop));
        Event { actor: origin.actor, scheduled_for, drop, ..Event::new(lsn, kind, at, detail) }
    };
    let kind = match verb {
        DropVerb::Create => Kind::DropCreated,
        DropVerb::Update => Kind::DropUpdated,
        DropVerb::Pause => Kind::DropPaused,
        DropVerb::Resume => Kind::DropResumed,
        DropVerb::Close if lifecycle.opened.is_none() => Kind::DropCancelled,
        DropVerb::Close => Kind::DropClosed,
        DropVerb::Archive => Kind::DropArchived,
        DropVerb::Turn => {
            let closes = marks.iter().any(|mark| mark.kind == MarkKind::Closes);
            let of_mark = |Mark { kind, scheduled_for }| match kind {
                // If the same record also closes it, it was not closed yet.
                MarkKind::Opens if closes => {
                    let still_open = Lifecycle { closed: None, ..lifecycle.clone() };
                    Some(event(Kind::DropOpened, still_open, Some(scheduled_for)))
                }
                MarkKind::Opens => Some(event(Kind::DropOpened, lifecycle.clone(), Some(scheduled_for))),
                MarkKind::Closes => Some(event(Kind::DropClosed, lifecycle.clone(), Some(scheduled_for))),
                // Readers are not told of these by an event of their own.
                MarkKind::WindowOpens(_)
                | MarkKind::WindowCloses(_)
                | MarkKind::Flow(_)
                | MarkKind::Tranche(_)
                | MarkKind::TermsStart(_)
                | MarkKind::TermsEnd(_)
                | MarkKind::PriceStep(..)
                | MarkKind::SlotStarts(_) => None,
            };
            return marks.into_iter().filter_map(of_mark).collect();
        }
        DropVerb::Fire => return Events::new(),
    };
    smallvec![event(kind, lifecycle, None)]
}

fn of_adjusted<E>(lsn: Lsn, adjusted: Adjusted, named: impl FnOnce(DropNo) -> Result<Named, E>) -> Result<Events, E> {
    let Adjusted { drop, item, adjustment, basis: _, at, by } = adjusted;
    let (Some(at), Some(by)) = (at, by) else { return Ok(Events::new()) };
    let AdjustedBy { origin, stock } = *by;
    let detail = Detail::Stock { item, stock, cause: adjustment.id };
    let drop = Some(named(drop)?);
    Ok(smallvec![Event { actor: origin.actor, drop, ..Event::new(lsn, Kind::StockAdjusted, at, detail) }])
}

fn of_restart(lsn: Lsn, Restart { stopped_at, grace_until, at }: Restart) -> Option<Event> {
    Some(Event::new(lsn, Kind::EngineRestarted, at?, Detail::Restart { stopped_at, grace_until }))
}

impl Event {
    /// An event by the engine, without a drop, the only one of its record.
    const fn new(lsn: Lsn, kind: Kind, at: Timestamp, detail: Detail) -> Self {
        let position = Position::behind(lsn);
        Self { lsn, position, kind, at, scheduled_for: None, actor: Actor::Engine, drop: None, detail }
    }
}

#[cfg(test)]
mod tests;
