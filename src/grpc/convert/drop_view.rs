//! A drop on the wire.

use prost::Message;
use stockade_engine::answer::{DropState, DropView, Stock};
use stockade_proto as pb;
use stockade_types::definition::{Definition, Item, Limit, Pool, Schedule, Terms};
use stockade_types::time::Timestamp;

use super::answer::{duration, kind_of_subject, limit_scope, timestamp};

/// A drop with its state and stock.
#[must_use]
pub fn drop_view(view: &DropView) -> pb::Drop {
    // Closing by hand shows in the state; the schedule stays as defined.
    let DropView { definition, opens_at, closed_at: _, state, revision, as_of, stock } = view;
    pb::Drop {
        state: drop_state(*state).into(),
        revision: revision.0,
        as_of_lsn: as_of.0,
        ..defined(definition, *opens_at, stock)
    }
}

/// Bytes of an encoded drop without its output-only fields and without the default pool of an item. A new drop and
/// the same drop, read and sent back, have the same size.
#[must_use]
pub(super) fn encoded_len(definition: &Definition) -> usize {
    let mut drop = defined(definition, definition.schedule.opens_at.unwrap_or(Timestamp::NEVER), &[]);
    for item in &mut drop.items {
        (item.stock, item.pools) = (None, Vec::new());
    }
    drop.encoded_len()
}

/// A drop as it was defined, with its stock.
fn defined(definition: &Definition, opens_at: Timestamp, stock: &[Vec<Stock>]) -> pb::Drop {
    let Definition {
        id,
        title,
        shop,
        series,
        labels,
        schedule: Schedule { opens_at: _, closes_at },
        terms: Terms { hold_ttl, max_hold_life, payment_ttl },
        items,
        limits,
    } = definition;
    let none = Vec::new();
    let stock = stock.iter().chain(std::iter::repeat(&none));
    pb::Drop {
        id: id.to_string(),
        title: title.clone(),
        shop: shop.to_string(),
        series: series.as_ref().map(ToString::to_string).unwrap_or_default(),
        opens_at: Some(timestamp(opens_at)),
        closes_at: closes_at.map(timestamp),
        hold_ttl: Some(duration(*hold_ttl)),
        max_hold_life: Some(duration(*max_hold_life)),
        payment_ttl: Some(duration(*payment_ttl)),
        items: items.iter().zip(stock).map(|(item, pools)| item_view(item, pools)).collect(),
        limits: limits.iter().map(limit_view).collect(),
        labels: labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        ..pb::Drop::default() // fields that are not built yet, and its state and stock
    }
}

pub(super) const fn drop_state(state: DropState) -> pb::DropState {
    match state {
        DropState::Scheduled => pb::DropState::Scheduled,
        DropState::Open => pb::DropState::Open,
        DropState::Paused => pb::DropState::Paused,
        DropState::Closed => pb::DropState::Closed,
        DropState::Cancelled => pb::DropState::Cancelled,
        DropState::Archived => pb::DropState::Archived,
    }
}

fn item_view(item: &Item, stock: &[Stock]) -> pb::Item {
    let Item { sku, pools } = item;
    let sum = stock.iter().copied().fold(Stock::default(), Stock::plus);
    let stock = stock.iter().copied().map(Some).chain(std::iter::repeat(None));
    pb::Item {
        sku: sku.to_string(),
        quantity: pools.iter().map(|pool| pool.units).fold(0, u64::saturating_add),
        pools: pools.iter().zip(stock).map(|(pool, stock)| pool_view(pool, stock)).collect(),
        stock: Some(stock_view(sum)),
        kind: pb::ItemKind::Goods.into(),
        slot: None,
        price_floor: None,
        unit_cost: None,
    }
}

fn pool_view(pool: &Pool, stock: Option<Stock>) -> pb::Pool {
    let Pool { id, units } = pool;
    pb::Pool {
        id: id.to_string(),
        audience: None,
        size: Some(pb::pool::Size::Units(*units)),
        flows: Vec::new(),
        place: String::new(),
        stock: stock.map(stock_view),
    }
}

const fn stock_view(stock: Stock) -> pb::Stock {
    let Stock { received, free, held, paying, claimed, withdrawn, returned_total } = stock;
    pb::Stock { received, free, held, paying, claimed, withdrawn, returned_total }
}

fn limit_view(limit: &Limit) -> pb::Limit {
    let Limit {
        id,
        scope,
        skus,
        identity_kind,
        max_units,
        max_units_by_tier,
        max_live_units,
        max_live_holds,
        rolling,
        cooldown,
    } = limit;
    pb::Limit {
        id: id.to_string(),
        scope: limit_scope(*scope).into(),
        identity_kind: kind_of_subject(identity_kind.as_ref()),
        skus: skus.iter().map(ToString::to_string).collect(),
        max_units: *max_units,
        max_units_by_tier: max_units_by_tier.iter().map(|(tier, most)| (tier.to_string(), *most)).collect(),
        max_live_units: *max_live_units,
        max_live_holds: *max_live_holds,
        rolling: rolling.map(duration),
        cooldown: cooldown.map(duration),
    }
}
