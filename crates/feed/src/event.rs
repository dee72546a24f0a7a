//! Converts records to events.
//!
//! Records of format 1 have no events. They don't contain a change's result or its instant, and half the life of a hold
//! would mislead a reader that counts. So events begin with the first record of format 2, whatever precedes it in the
//! journal.

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};
use stockade_types::definition::{Definition, Rules};
use stockade_types::hold::{Hold, HoldState};
use stockade_types::ids::{AdjustmentId, DropId, DropNo, ItemNo, Lsn, SeriesId, ShopId};
use stockade_types::record::{
    Actor, Adjusted, AdjustedBy, DefinedFact, DefinedKind, DefinedVerb, HoldChange, Lifecycle, Made, MarkKind,
    MovedLine, OccurrenceFact, OccurrenceVerb, PoolFigures, Record, ReportFact, ReportPart, Restart, Superseded, Verb,
};
use stockade_types::series::{Series, drop_id};
use stockade_types::time::Timestamp;

use super::cursor::Position;
use super::drop_facts;
use super::kind::Kind;
use super::names::Named;

/// An event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its record.
    pub lsn: Lsn,
    /// The position after it.
    pub position: Position,
    /// Which one it is of those of its record whose types end with the same word, from 1 on: those about the drop as a
    /// whole first, then the others, each in the record's order. Ids depend on it, so this order never changes.
    pub nth: u16,
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
    /// A drop, or something of its plan.
    Drop {
        /// What of its plan has come; none if the event is about the drop as a whole.
        mark: Option<MarkKind>,
        /// Its lifecycle after the event.
        lifecycle: Arc<Lifecycle>,
        /// Whether its holds were removed from memory by then.
        is_archived: bool,
        /// When it opens.
        opens_at: Timestamp,
        /// Its pools after the event, in the definition's order of items and pools.
        stock: Arc<[PoolFigures]>,
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
    /// A series, or one of its occurrences.
    Series {
        /// Which series.
        id: SeriesId,
        /// Whose.
        shop: ShopId,
        /// The occurrence that has no drop; none: the series itself.
        occurrence: Option<NoDrop>,
    },
    /// The report of a drop.
    Report {
        /// Which drop.
        drop: DropId,
        /// Its shop.
        shop: ShopId,
        /// Its series.
        series: Option<SeriesId>,
    },
    /// The engine.
    Restart {
        /// The last instant in the journal before the outage.
        stopped_at: Timestamp,
        /// Deadlines between the two were moved to this instant.
        grace_until: Timestamp,
    },
}

/// An occurrence of a series that has no drop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoDrop {
    /// The id that its drop would have.
    pub drop: DropId,
    /// Why it has none.
    pub reason: Box<str>,
}

/// The events of one record: most have one.
pub(crate) type Events = SmallVec<[Event; 1]>;

impl Event {
    /// The last part of its id: what happened, and from the second such event of its record on, which one it is.
    #[must_use]
    pub fn what(&self) -> String {
        let what = self.kind.what();
        if self.nth > 1 { format!("{what}.{}", self.nth) } else { what.to_owned() }
    }

    /// The id of the window, pool, tranche, terms, signal or series that it is about.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match &self.detail {
            Detail::Drop { mark: Some(mark), .. } => drop_facts::name(self.drop.as_deref()?, *mark),
            Detail::Series { id, .. } => Some(id.as_str()),
            Detail::Drop { mark: None, .. }
            | Detail::Hold { .. }
            | Detail::Stock { .. }
            | Detail::Report { .. }
            | Detail::Restart { .. } => None,
        }
    }

    /// The channels for which a signal is meant.
    #[must_use]
    pub fn channels(&self) -> &[String] {
        let Detail::Drop { mark: Some(mark), .. } = &self.detail else { return &[] };
        self.drop.as_deref().map_or(&[], |drop| drop_facts::channels(drop, *mark))
    }

    /// The shop that it is about.
    #[must_use]
    pub fn shop(&self) -> Option<&ShopId> {
        if let Detail::Series { shop, .. } | Detail::Report { shop, .. } = &self.detail {
            Some(shop)
        } else {
            self.drop.as_deref().map(|drop| &drop.shop)
        }
    }

    /// The series that it is about, or that its drop belongs to.
    #[must_use]
    pub fn series(&self) -> Option<&SeriesId> {
        match &self.detail {
            Detail::Series { id, .. } => Some(id),
            Detail::Report { series, .. } => series.as_ref(),
            Detail::Hold { .. } | Detail::Drop { .. } | Detail::Stock { .. } | Detail::Restart { .. } => {
                self.drop.as_deref()?.series.as_ref()
            }
        }
    }

    /// The drop that it is about, also one that was not made.
    #[must_use]
    pub fn drop_id(&self) -> Option<&DropId> {
        match &self.detail {
            Detail::Series { occurrence, .. } => occurrence.as_ref().map(|occurrence| &occurrence.drop),
            Detail::Report { drop, .. } => Some(drop),
            Detail::Hold { .. } | Detail::Drop { .. } | Detail::Stock { .. } | Detail::Restart { .. } => {
                self.drop.as_deref().map(|drop| &drop.id)
            }
        }
    }

    /// About the bytes that it takes in memory.
    #[must_use]
    pub fn weight(&self) -> usize {
        let figures = |stock: &[PoolFigures]| size_of_val(stock);
        let more = match &self.detail {
            // A hold's texts and further lines are allocated separately.
            Detail::Hold { hold, .. } => hold.lines().count().saturating_mul(64).saturating_add(128),
            Detail::Drop { stock, .. } => figures(stock).saturating_add(self.drop.as_deref().map_or(0, weight)),
            Detail::Stock { stock, .. } => figures(stock),
            Detail::Series { occurrence, .. } => occurrence.as_ref().map_or(0, |of| of.reason.len()),
            Detail::Report { .. } | Detail::Restart { .. } => 0,
        };
        size_of::<Self>().saturating_add(more)
    }
}

/// About the bytes that a definition takes.
fn weight(definition: &Definition) -> usize {
    let Definition { title, labels, items, limits, rules, .. } = definition;
    let labels = labels.iter().map(|(key, value)| key.len().saturating_add(value.len()).saturating_add(64));
    let pools = items.iter().map(|item| item.pools.len().saturating_mul(64).saturating_add(item.sku.as_str().len()));
    let limits = limits.iter().map(|limit| limit.skus.len().saturating_mul(32).saturating_add(256));
    let Rules { windows, prices, tranches, signals, .. } = rules;
    let lists = [(windows.len(), 512), (prices.len(), 512), (tranches.len(), 128), (signals.len(), 1_024)];
    let rules = lists.into_iter().map(|(count, bytes)| count.saturating_mul(bytes));
    let parts = labels.chain(pools.map(|bytes| bytes.saturating_add(64))).chain(limits).chain(rules);
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
        Record::DropFact(fact) => drop_facts::events(lsn, *fact),
        Record::Adjusted(adjusted) => of_adjusted(lsn, *adjusted, named)?,
        Record::Restart(restart) => of_restart(lsn, restart).into_iter().collect(),
        Record::Defined(fact) => of_series(lsn, *fact).into_iter().collect(),
        Record::Occurrence(fact) => of_occurrence(lsn, *fact).into_iter().collect(),
        Record::Report(fact) => of_report(lsn, *fact).into_iter().collect(),
        // Of format 1, or in snapshots only.
        Record::Drop(_)
        | Record::Lifecycle(_)
        | Record::Upgraded(_)
        | Record::Hold(_)
        | Record::Old(_)
        | Record::Stock(_)
        | Record::Adjustments(_)
        | Record::Archived(_)
        | Record::Delivered(_)
        | Record::Channel(_)
        | Record::Facts(_)
        | Record::FactsImage(_)
        | Record::Totals(_)
        | Record::Demand(_)
        | Record::Usage(_) => Events::new(),
    };
    let count = events.len();
    for (place, event) in (1..).zip(&mut events) {
        event.position = Position::at(lsn, place, usize::from(place) == count);
    }
    number(&mut events);
    Ok(events)
}

/// Sets which one each event is of those whose types end with the same word.
fn number(events: &mut [Event]) {
    let mut seen: SmallVec<[(&'static str, u16); 4]> = SmallVec::new();
    for is_of_drop in [true, false] {
        for event in events.iter_mut().filter(|event| event.kind.is_of_drop() == is_of_drop) {
            let what = event.kind.what();
            if let Some((_, count)) = seen.iter_mut().find(|(known, _)| *known == what) {
                *count = count.saturating_add(1);
                event.nth = *count;
            } else {
                seen.push((what, 1));
                event.nth = 1;
            }
        }
    }
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

fn of_adjusted<E>(lsn: Lsn, adjusted: Adjusted, named: impl FnOnce(DropNo) -> Result<Named, E>) -> Result<Events, E> {
    let Adjusted { drop, item, adjustment, basis: _, at, by } = adjusted;
    let (Some(at), Some(by)) = (at, by) else { return Ok(Events::new()) };
    let AdjustedBy { origin, stock } = *by;
    let detail = Detail::Stock { item, stock, cause: adjustment.id };
    let drop = Some(named(drop)?);
    Ok(smallvec![Event { actor: origin.actor, drop, ..Event::new(lsn, Kind::StockAdjusted, at, detail) }])
}

fn of_series(lsn: Lsn, fact: DefinedFact) -> Option<Event> {
    let DefinedFact { verb, at, origin, image } = fact;
    let kind = match (image.kind, verb) {
        (DefinedKind::Series, DefinedVerb::Create) => Kind::SeriesCreated,
        (DefinedKind::Series, DefinedVerb::Update) => Kind::SeriesUpdated,
        (DefinedKind::Series, DefinedVerb::Delete) | (DefinedKind::Webhook, _) => return None,
    };
    let series = Series::decode(&image.bytes).ok()?;
    let detail = Detail::Series { id: series.id, shop: series.shop, occurrence: None };
    Some(Event { actor: origin.actor, ..Event::new(lsn, kind, at, detail) })
}

fn of_occurrence(lsn: Lsn, fact: OccurrenceFact) -> Option<Event> {
    let OccurrenceFact { series, shop, local, verb, at, origin, opens_at, by: _, reason } = fact;
    let kind = match verb {
        OccurrenceVerb::Skip => Kind::OccurrenceSkipped,
        OccurrenceVerb::Fail => Kind::OccurrenceFailed,
        // The drop's own events say these.
        OccurrenceVerb::Create | OccurrenceVerb::Change | OccurrenceVerb::Cancel => return None,
    };
    let occurrence = Some(NoDrop { drop: drop_id(&series, local), reason });
    let detail = Detail::Series { id: series, shop, occurrence };
    Some(Event { actor: origin.actor, scheduled_for: Some(opens_at), ..Event::new(lsn, kind, at, detail) })
}

fn of_report(lsn: Lsn, fact: ReportFact) -> Option<Event> {
    let ReportFact { drop: _, id, shop, series, opens_at: _, at, part, bytes: _ } = fact;
    let detail = Detail::Report { drop: id, shop, series };
    (part == ReportPart::Figures).then(|| Event::new(lsn, Kind::ReportReady, at, detail))
}

fn of_restart(lsn: Lsn, Restart { stopped_at, grace_until, at }: Restart) -> Option<Event> {
    Some(Event::new(lsn, Kind::EngineRestarted, at?, Detail::Restart { stopped_at, grace_until }))
}

impl Event {
    /// An event by the engine, without a drop, the only one of its record.
    pub(super) const fn new(lsn: Lsn, kind: Kind, at: Timestamp, detail: Detail) -> Self {
        let position = Position::behind(lsn);
        Self { lsn, position, nth: 1, kind, at, scheduled_for: None, actor: Actor::Engine, drop: None, detail }
    }
}

#[cfg(test)]
mod tests;
