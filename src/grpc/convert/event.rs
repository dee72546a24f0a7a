//! Events on the wire.

use stockade_engine::answer::DropState;
use stockade_feed::{Detail, Event, PREFIX};
use stockade_proto as pb;
use stockade_types::definition::Definition;
use stockade_types::hold::{Hold, HoldLine, HoldState};
use stockade_types::ids::ItemNo;
use stockade_types::record::{Lifecycle, MovedLine, PoolBasis, PoolFigures};

use super::answer::{hold_in, hold_line, timestamp};
use super::drop_status::{Shown, drop_status};

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
    let Event { lsn, position: _, kind, at, scheduled_for, actor, drop, detail } = event;
    let drop = drop.as_deref();
    let plain = pb::Event {
        id: format!("{journal}-{lsn}-{}", kind.what()),
        cursor,
        time: Some(timestamp(*at)),
        scheduled_for: scheduled_for.map(timestamp),
        r#type: format!("{PREFIX}{}", kind.name()),
        shop: drop.map(|drop| drop.shop.to_string()).unwrap_or_default(),
        drop_id: drop.map(|drop| drop.id.to_string()).unwrap_or_default(),
        actor: if shown.customers { actor.label().to_owned() } else { String::new() },
        lsn: lsn.0,
        ..pb::Event::default() // fields of certain kinds, and fields that are not built yet
    };
    match (detail, drop) {
        (Detail::Hold { hold, was, moved }, Some(drop)) => pb::Event {
            hold: Some(shown_hold(drop, hold, shown)),
            was: was.map_or(0, |was| i32::from(HoldState::number(was))),
            moved: moved_lines(drop, hold, moved),
            ..plain
        },
        (Detail::Drop { lifecycle, is_archived, opens_at, stock }, Some(drop)) => {
            let state = drop_state(lifecycle, *is_archived);
            let shown = Shown { opens_at: *opens_at, state, stock, marks: &lifecycle.marks };
            pb::Event { drop: Some(drop_status(drop, shown)), ..plain }
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
        (Detail::Restart { stopped_at, grace_until }, _) => {
            let labels = [("stopped_at", stopped_at), ("grace_until", grace_until)];
            let labels = labels.into_iter().map(|(key, at)| (key.to_owned(), at.to_string())).collect();
            pb::Event { labels, ..plain }
        }
        // Each of these events has a drop.
        (Detail::Hold { .. } | Detail::Drop { .. } | Detail::Stock { .. }, None) => plain,
    }
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
fn sum(pools: &[PoolFigures]) -> pb::Stock {
    pools.iter().fold(pb::Stock::default(), |sum, pool| {
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
