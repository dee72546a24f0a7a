//! Events on the wire.

use stockade_engine::answer::DropState;
use stockade_feed::{Detail, Event, PREFIX};
use stockade_proto as pb;
use stockade_types::definition::{Definition, Item, Signal, Trigger};
use stockade_types::hold::{Hold, HoldLine, HoldState};
use stockade_types::ids::{ItemNo, PoolNo};
use stockade_types::record::{FlowPlace, Lifecycle, MarkKind, MovedLine, PoolBasis, PoolFigures};

use super::answer::{hold_in, hold_line, timestamp};
use super::drop_status::{Shown, drop_status};
use super::rules_view::{audience_view, money_view};

/// Which parts of an event are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventFields {
    /// The customer, the order and the actor.
    pub customers: bool,
    /// Stock figures.
    pub stock: bool,
}

/// An event of this journal, with the cursor after it.
#[must_use]
pub fn event(event: &Event, journal: &str, cursor: String, shown: EventFields) -> pb::Event {
    let Event { lsn, position: _, nth: _, kind, at, scheduled_for, actor, drop, detail } = event;
    let drop = drop.as_deref();
    let plain = pb::Event {
        id: format!("{journal}-{lsn}-{}", event.what()),
        cursor,
        time: Some(timestamp(*at)),
        scheduled_for: scheduled_for.map(timestamp),
        r#type: format!("{PREFIX}{}", kind.name()),
        shop: drop.map(|drop| drop.shop.to_string()).unwrap_or_default(),
        drop_id: drop.map(|drop| drop.id.to_string()).unwrap_or_default(),
        actor: if shown.customers { actor.label().to_owned() } else { String::new() },
        lsn: lsn.0,
        name: event.name().unwrap_or_default().to_owned(),
        ..pb::Event::default() // fields of certain kinds, and fields that are not built yet
    };
    match (detail, drop) {
        (Detail::Hold { hold, was, moved }, Some(drop)) => pb::Event {
            hold: Some(shown_hold(drop, hold, shown)),
            was: was.map_or(0, |was| i32::from(HoldState::number(was))),
            moved: moved_lines(drop, hold, moved),
            ..plain
        },
        (Detail::Drop { mark, lifecycle, is_archived, opens_at, stock }, Some(drop)) => {
            let state = drop_state(lifecycle, *is_archived);
            let status = || drop_status(drop, Shown { opens_at: *opens_at, state, stock, marks: &lifecycle.marks });
            match mark {
                None => pb::Event { drop: Some(status()), ..plain },
                Some(mark) => of_mark(drop, (*mark, stock), shown, status, plain),
            }
        }
        (Detail::Stock { item, stock, cause }, Some(drop)) => pb::Event {
            sku: sku(drop, *item),
            stock: shown.stock.then(|| sum(stock)),
            cause: cause.to_string(),
            ..plain
        },
        (Detail::Series { id, shop, occurrence }, _) => {
            let reason = occurrence.as_ref().map(|of| ("reason".to_owned(), of.reason.to_string()));
            pb::Event {
                shop: shop.to_string(),
                name: id.to_string(),
                drop_id: occurrence.as_ref().map(|of| of.drop.to_string()).unwrap_or_default(),
                labels: reason.into_iter().collect(),
                ..plain
            }
        }
        (Detail::Report { drop, shop, series: _ }, _) => {
            pb::Event { shop: shop.to_string(), drop_id: drop.to_string(), ..plain }
        }
        (Detail::Restart { stopped_at, grace_until }, _) => {
            let labels = [("stopped_at", stopped_at), ("grace_until", grace_until)];
            let labels = labels.into_iter().map(|(key, at)| (key.to_owned(), at.to_string())).collect();
            pb::Event { labels, ..plain }
        }
        // Each of these events has a drop.
        (Detail::Hold { .. } | Detail::Drop { .. } | Detail::Stock { .. }, None) => plain,
    }
}

/// An event of something of a drop's plan that has come.
fn of_mark(
    drop: &Definition,
    (mark, stock): (MarkKind, &[PoolFigures]),
    shown: EventFields,
    status: impl FnOnce() -> pb::DropStatus,
    plain: pb::Event,
) -> pb::Event {
    match mark {
        MarkKind::WindowOpens(number) | MarkKind::WindowCloses(number) => {
            let audience = drop.window(number).and_then(|window| audience_view(&window.audience));
            pb::Event { audience, drop: Some(status()), ..plain }
        }
        MarkKind::Flow(FlowPlace { item, from: _, to }) => {
            pb::Event { sku: sku(drop, item), to: drop.pool(item, to).to_string(), ..plain }
        }
        MarkKind::Tranche(number) => {
            let Some(item) = drop.tranche(number).and_then(|tranche| drop.item(&tranche.sku)) else { return plain };
            let figures = || sum(pools_of(drop, item.0, stock));
            pb::Event { sku: sku(drop, item.0), stock: shown.stock.then(figures), ..plain }
        }
        MarkKind::PriceStep(number, step) => {
            let step = drop.price_terms(number).and_then(|terms| terms.steps.get(usize::from(step)));
            pb::Event { price: step.map(|step| money_view(step.price)), ..plain }
        }
        MarkKind::Signal(number) | MarkKind::SignalMissed(number) => {
            let drop_shown = Some(status());
            let Some(signal) = drop.signal(number) else { return pb::Event { drop: drop_shown, ..plain } };
            let Signal { on, audience, channels, labels, .. } = signal;
            let sku = match on {
                Trigger::Stock(level) => level.sku.as_ref().map(ToString::to_string).unwrap_or_default(),
                Trigger::Moment(_) => String::new(),
            };
            pb::Event {
                sku,
                drop: drop_shown,
                stock: shown.stock.then(|| sum(of_signal(drop, on, stock))),
                audience: audience_view(audience),
                channels: channels.clone(),
                labels: labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
                ..plain
            }
        }
        MarkKind::SoldOut(of) | MarkKind::BackInStock(of) => {
            let figures = || match of {
                Some(item) => sum(pools_of(drop, item, stock)),
                None => sum(goods(drop, stock)),
            };
            let sku = of.map(|item| sku(drop, item)).unwrap_or_default();
            pb::Event { sku, drop: Some(status()), stock: shown.stock.then(figures), ..plain }
        }
        MarkKind::Band(item, _) => pb::Event { sku: sku(drop, item), drop: Some(status()), ..plain },
        // No events of their own, or of the drop as a whole.
        MarkKind::Opens
        | MarkKind::Closes
        | MarkKind::TermsStart(_)
        | MarkKind::TermsEnd(_)
        | MarkKind::SlotStarts(_) => plain,
    }
}

/// The figures of an item's pools among those of all pools of a drop.
fn pools_of<'a>(drop: &Definition, item: ItemNo, stock: &'a [PoolFigures]) -> &'a [PoolFigures] {
    let from = drop.pool_place(item, PoolNo(0)).unwrap_or(usize::MAX);
    let count = drop.items.get(item.index()).map_or(0, |item| item.pools.len());
    stock.get(from..from.saturating_add(count)).unwrap_or_default()
}

/// The figures of all pools of a drop's goods.
fn goods<'a>(drop: &'a Definition, stock: &'a [PoolFigures]) -> impl Iterator<Item = &'a PoolFigures> {
    let is_goods = |(_, item): &(ItemNo, &Item)| item.slot.is_none();
    let items = (0..).map(ItemNo).zip(&drop.items).filter(is_goods);
    items.flat_map(move |(number, _)| pools_of(drop, number, stock))
}

/// The figures of the pools that a signal is about; for a moment, of all goods.
fn of_signal<'a>(drop: &'a Definition, on: &'a Trigger, stock: &'a [PoolFigures]) -> Vec<&'a PoolFigures> {
    let (of, named) = match on {
        Trigger::Stock(level) => (level.sku.as_ref(), level.pool.as_ref()),
        Trigger::Moment(_) => (None, None),
    };
    let is_meant = |item: &Item| of.map_or(item.slot.is_none(), |sku| *sku == item.sku);
    let items = (0..).map(ItemNo).zip(&drop.items).filter(|(_, item)| is_meant(item));
    let pools = items.flat_map(|(number, item)| item.pools.iter().zip(pools_of(drop, number, stock)));
    pools.filter(|(pool, _)| named.is_none_or(|id| *id == pool.id)).map(|(_, figures)| figures).collect()
}

fn shown_hold(drop: &Definition, hold: &Hold, shown: EventFields) -> pb::Hold {
    let hold = hold_in(drop, hold);
    if shown.customers { hold } else { pb::Hold { customer_id: String::new(), order_ref: String::new(), ..hold } }
}

/// The lines of which units were moved.
fn moved_lines(drop: &Definition, hold: &Hold, moved: &[MovedLine]) -> Vec<pb::HoldLine> {
    let lines = hold.lines().iter().zip(moved).filter(|(_, moved)| **moved != MovedLine::default());
    let moved = |(line, MovedLine { quantity, released, returned }): (HoldLine, &MovedLine)| {
        let moved = HoldLine { quantity: *quantity, released: *released, returned: *returned, ..line };
        hold_line(drop, moved)
    };
    lines.map(moved).collect()
}

fn sku(drop: &Definition, item: ItemNo) -> String {
    drop.sku(item).to_string()
}

/// The state of a drop according to its lifecycle record alone.
const fn drop_state(lifecycle: &Lifecycle, is_archived: bool) -> DropState {
    let Lifecycle { drop: _, paused, opened, closed, marks: _ } = lifecycle;
    match (closed, opened) {
        _ if is_archived => DropState::Archived,
        (Some(_), None) => DropState::Cancelled,
        (Some(_), Some(_)) => DropState::Closed,
        (None, _) if *paused => DropState::Paused,
        (None, None) => DropState::Scheduled,
        (None, Some(_)) => DropState::Open,
    }
}

/// An item's stock, summed over its pools.
fn sum<'a>(pools: impl IntoIterator<Item = &'a PoolFigures>) -> pb::Stock {
    pools.into_iter().fold(pb::Stock::default(), |sum, pool| {
        let PoolFigures { basis: PoolBasis { received, taken_out }, held, paying, claimed, withdrawn, returned_total } =
            *pool;
        pb::Stock {
            received: sum.received.saturating_add(received),
            free: sum.free.saturating_add(pool.free()),
            held: sum.held.saturating_add(held),
            paying: sum.paying.saturating_add(paying),
            claimed: sum.claimed.saturating_add(claimed),
            withdrawn: sum.withdrawn.saturating_add(withdrawn).saturating_add(taken_out),
            returned_total: sum.returned_total.saturating_add(returned_total),
        }
    })
}
