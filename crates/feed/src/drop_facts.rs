//! The events of a fact about a drop: of what was done to it, and of each thing of its plan that has come.

use std::sync::Arc;

use smallvec::smallvec;
use stockade_types::definition::Definition;
use stockade_types::ids::Lsn;
use stockade_types::record::{
    Actor, DropFact, DropVerb, FlowPlace, Lifecycle, Mark, MarkKind, PoolFigures, each_planned,
};
use stockade_types::time::Timestamp;

use super::event::{Detail, Event, Events};
use super::kind::Kind;
use super::names::Named;

/// What the events of a fact share.
struct Fact {
    lsn: Lsn,
    at: Timestamp,
    actor: Actor,
    drop: Named,
    opens_at: Timestamp,
    is_archived: bool,
    /// Whether what has come was fired by hand.
    is_by_hand: bool,
}

/// The drop after an event.
struct After {
    lifecycle: Arc<Lifecycle>,
    stock: Arc<[PoolFigures]>,
}

/// The events of a fact, in order.
pub(super) fn events(lsn: Lsn, fact: DropFact) -> Events {
    let DropFact { verb, at, origin, image, lifecycle, marks, stock } = fact;
    let kind = match verb {
        DropVerb::Create => Some(Kind::DropCreated),
        DropVerb::Update => Some(Kind::DropUpdated),
        DropVerb::Pause => Some(Kind::DropPaused),
        DropVerb::Resume => Some(Kind::DropResumed),
        DropVerb::Close if lifecycle.opened.is_none() => Some(Kind::DropCancelled),
        DropVerb::Close => Some(Kind::DropClosed),
        DropVerb::Archive => Some(Kind::DropArchived),
        DropVerb::Turn | DropVerb::Fire => None,
    };
    let fact = Fact {
        lsn,
        at,
        actor: origin.actor,
        opens_at: image.definition.schedule.opens_at.unwrap_or(image.created_at),
        is_archived: verb == DropVerb::Archive,
        is_by_hand: verb == DropVerb::Fire,
        drop: Arc::new(image.definition),
    };
    let after = After { lifecycle: Arc::new(lifecycle), stock: stock.into() };
    match kind {
        Some(kind) => smallvec![fact.event(kind, None, None, after)],
        None => fact.of_marks(&marks, &after),
    }
}

impl Fact {
    fn event(&self, kind: Kind, mark: Option<MarkKind>, scheduled_for: Option<Timestamp>, after: After) -> Event {
        let After { lifecycle, stock } = after;
        let Self { lsn, at, actor, drop, opens_at, is_archived, is_by_hand: _ } = self;
        let detail = Detail::Drop { mark, lifecycle, is_archived: *is_archived, opens_at: *opens_at, stock };
        Event { actor: *actor, scheduled_for, drop: Some(Arc::clone(drop)), ..Event::new(*lsn, kind, *at, detail) }
    }

    /// An event for each mark that readers get.
    fn of_marks(&self, marks: &[Mark], after: &After) -> Events {
        let planned = if self.is_by_hand { Vec::new() } else { planned(&self.drop) };
        let of_mark = |(place, mark): (usize, &Mark)| {
            let kind = kind(mark.kind)?;
            let later = marks.get(place.saturating_add(1)..).unwrap_or_default();
            // What fires at a level of stock, or by hand, was scheduled for no instant.
            let scheduled_for = planned.contains(&mark.kind).then_some(mark.scheduled_for);
            let about = Some(mark.kind).filter(|mark| !matches!(mark, MarkKind::Opens | MarkKind::Closes));
            Some(self.event(kind, about, scheduled_for, after.before(&self.drop, later)))
        };
        marks.iter().enumerate().filter_map(of_mark).collect()
    }
}

impl After {
    /// The same before these marks of the same record.
    fn before(&self, drop: &Definition, later: &[Mark]) -> Self {
        let Self { lifecycle, stock } = self;
        let is_later = |kind| later.iter().any(|mark| mark.kind == kind);
        let (opens, closes) = (is_later(MarkKind::Opens), is_later(MarkKind::Closes));
        let lifecycle = if opens || closes {
            let mut before = Lifecycle::clone(lifecycle);
            before.opened = before.opened.filter(|_| !opens);
            before.closed = before.closed.filter(|_| !closes);
            Arc::new(before)
        } else {
            Arc::clone(lifecycle)
        };
        let tranche = |mark: &Mark| {
            let MarkKind::Tranche(number) = mark.kind else { return None };
            drop.tranche(number)
        };
        let tranches = || later.iter().filter_map(tranche);
        if tranches().next().is_none() {
            return Self { lifecycle, stock: Arc::clone(stock) };
        }
        let mut stock = stock.to_vec();
        for tranche in tranches() {
            if let Some(figures) = drop.tranche_place(tranche).and_then(|place| stock.get_mut(place)) {
                figures.basis.received = figures.basis.received.saturating_sub(tranche.units);
            }
        }
        Self { lifecycle, stock: stock.into() }
    }
}

/// The channels for which a signal is meant.
pub(super) fn channels(drop: &Definition, mark: MarkKind) -> &[String] {
    let (MarkKind::Signal(number) | MarkKind::SignalMissed(number)) = mark else { return &[] };
    drop.signal(number).map_or(&[], |signal| &signal.channels)
}

/// What of a drop's plan comes at an instant.
fn planned(drop: &Definition) -> Vec<MarkKind> {
    let mut planned = vec![MarkKind::Opens, MarkKind::Closes];
    each_planned(drop, |kind, _| {
        planned.push(kind);
        if let MarkKind::Signal(number) = kind {
            planned.push(MarkKind::SignalMissed(number));
        }
    });
    planned
}

/// The type of a mark's event; none if it has no event of its own.
const fn kind(mark: MarkKind) -> Option<Kind> {
    match mark {
        MarkKind::Opens => Some(Kind::DropOpened),
        MarkKind::Closes => Some(Kind::DropClosed),
        MarkKind::WindowOpens(_) => Some(Kind::WindowOpened),
        MarkKind::WindowCloses(_) => Some(Kind::WindowClosed),
        MarkKind::Flow(_) => Some(Kind::PoolFlowed),
        MarkKind::Tranche(_) => Some(Kind::TrancheAdded),
        MarkKind::PriceStep(..) => Some(Kind::TermsStepped),
        MarkKind::Signal(_) => Some(Kind::SignalFired),
        MarkKind::SignalMissed(_) => Some(Kind::SignalMissed),
        MarkKind::SoldOut(_) => Some(Kind::DropSoldOut),
        MarkKind::BackInStock(_) => Some(Kind::DropBackInStock),
        MarkKind::Band(..) => Some(Kind::DropBandChanged),
        MarkKind::TermsStart(_) | MarkKind::TermsEnd(_) | MarkKind::SlotStarts(_) => None,
    }
}

/// The id of what a mark is about; of a flow the pool's whose units flow.
pub(super) fn name(drop: &Definition, mark: MarkKind) -> Option<&str> {
    let names = &drop.rules.names;
    match mark {
        MarkKind::WindowOpens(window) | MarkKind::WindowCloses(window) => Some(names.window(window)?.as_str()),
        MarkKind::Flow(FlowPlace { item, from, to: _ }) => {
            Some(drop.items.get(item.index())?.pools.get(from.index())?.id.as_str())
        }
        MarkKind::Tranche(tranche) => Some(names.tranche(tranche)?.as_str()),
        MarkKind::PriceStep(terms, _) | MarkKind::TermsStart(terms) | MarkKind::TermsEnd(terms) => {
            Some(names.terms(terms)?.as_str())
        }
        MarkKind::Signal(signal) | MarkKind::SignalMissed(signal) => Some(names.signal(signal)?.as_str()),
        MarkKind::Opens
        | MarkKind::Closes
        | MarkKind::SlotStarts(_)
        | MarkKind::SoldOut(_)
        | MarkKind::BackInStock(_)
        | MarkKind::Band(..) => None,
    }
}
