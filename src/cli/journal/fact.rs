//! What a record says, as a fact with named fields. Everything in a record is shown; nothing is left out or added.

use serde_json::{Map, Value, json};

use super::drops::Drops;
use super::fields::{Fact, hex, millis, time};
use crate::definition::{Definition, Item, Limit, Pool, Scope};
use crate::hold::{Change, Hold, HoldLine, Rare};
use crate::ids::{DropNo, HoldId, ItemNo, PoolNo};
use crate::record::{Adjusted, Adjustment, DropImage, PoolBasis, Record, Restart, Steering, StockChange, StockImage};
use crate::time::Timestamp;

/// What a record says.
pub fn fact(record: &Record, drops: &Drops) -> Fact {
    match record {
        Record::Drop(image) => drop_image(image),
        Record::Steering(Steering { drop, paused, closed_at }) => {
            of_drop("steering", *drop, drops).with("paused", *paused).with("closed_at", time(*closed_at))
        }
        Record::Hold(image) => hold(image, drops),
        Record::Change(id, change) => changed(*id, change),
        Record::Restart(Restart { stopped_at, grace_until }) => {
            Fact::new("restart").with("stopped_at", time(*stopped_at)).with("grace_until", time(*grace_until))
        }
        Record::Adjusted(adjusted) => adjustment(adjusted, drops),
        Record::Stock(image) => stock(image, drops),
    }
}

/// A fact of a drop: by name, if that is known, and by number.
fn of_drop(kind: &'static str, number: DropNo, drops: &Drops) -> Fact {
    let id = drops.get(number).map(|drop| drop.id.to_string());
    Fact::new(kind).with("drop_id", id).with("drop_number", number.0)
}

fn drop_image(image: &DropImage) -> Fact {
    let DropImage { number, created_at, definition, request } = image;
    let Definition {
        id,
        title,
        shop,
        labels,
        opens_at,
        closes_at,
        hold_ttl,
        max_hold_life,
        payment_ttl,
        items,
        limits,
    } = definition;
    Fact::new("drop")
        .with("drop_id", id.as_str())
        .with("drop_number", number.0)
        .with("created_at", time(*created_at))
        .with("title", title.as_str())
        .with("shop", shop.as_str())
        .with("labels", json!(labels))
        .with("opens_at", time(*opens_at))
        .with("closes_at", time(*closes_at))
        .with("hold_ttl_ms", millis(*hold_ttl))
        .with("max_hold_life_ms", millis(*max_hold_life))
        .with("payment_ttl_ms", millis(*payment_ttl))
        .with("items", items.iter().map(item).collect::<Value>())
        .with("limits", limits.iter().map(limit).collect::<Value>())
        .with("request_digest", hex(request))
}

fn item(Item { sku, pools }: &Item) -> Value {
    let pool = |Pool { id, units }: &Pool| json!({"id": id.as_str(), "units": units});
    json!({"sku": sku.as_str(), "pools": pools.iter().map(pool).collect::<Value>()})
}

fn limit(Limit { id, scope, max_units }: &Limit) -> Value {
    let scope = match scope {
        Scope::Item => "item",
        Scope::Drop => "drop",
    };
    json!({"id": id.as_str(), "scope": scope, "max_units": max_units})
}

fn hold(image: &Hold, drops: &Drops) -> Fact {
    // The revision is the record's own LSN, which stands before it.
    let Hold { id, drop, state, customer, content, created_at, expires_at, settled_at, revision: _, lines, rare } =
        image;
    let (order_ref, late, superseded_by) = match rare.as_deref() {
        Some(Rare { order_ref, late, superseded_by }) => (order_ref.as_ref(), *late, *superseded_by),
        None => (None, false, None),
    };
    let definition = drops.get(*drop);
    let settled_at = Some(*settled_at).filter(|at| *at > Timestamp(0));
    Fact::new("hold")
        .with("hold_id", id.to_string())
        .with("drop_id", definition.map(|drop| drop.id.to_string()))
        .with("drop_number", drop.0)
        .with("customer_id", customer.as_str())
        .with("state", state.label())
        .with("lines", lines.iter().map(|line| held(line, definition)).collect::<Value>())
        .with("created_at", time(*created_at))
        .with("expires_at", time(*expires_at))
        .with("settled_at", time(settled_at))
        .with("order_ref", order_ref.map(ToString::to_string))
        .with("late", late)
        .with("superseded_by", superseded_by.map(|by| by.to_string()))
        .with("content_digest", format!("{:016x}", content.0))
}

fn held(line: HoldLine, drop: Option<&Definition>) -> Value {
    let HoldLine { item, pool, quantity, released, returned, withdrawn } = line;
    let mut shown: Map<String, Value> =
        place(item, pool, drop).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    shown.insert("quantity".to_owned(), quantity.into());
    // As in the bytes: only where something was given back.
    for (name, units) in [("released", released), ("returned", returned), ("withdrawn", withdrawn)] {
        if units > 0 {
            shown.insert(name.to_owned(), units.into());
        }
    }
    shown.into()
}

/// An item's pool: by name, if that is known, else by number.
fn place(item: ItemNo, pool: PoolNo, drop: Option<&Definition>) -> [(&'static str, Value); 2] {
    let known = drop.and_then(|drop| drop.items.get(item.index()));
    let sku = known.map_or(("item", item.0.into()), |item| ("sku", item.sku.as_str().into()));
    let named = known.and_then(|item| item.pools.get(pool.index()));
    let pool = named.map_or(("pool_number", pool.0.into()), |pool| ("pool", pool.id.as_str().into()));
    [sku, pool]
}

fn changed(id: HoldId, change: &Change) -> Fact {
    let fact = |kind| Fact::new(kind).with("hold_id", id.to_string());
    match change {
        Change::Extended { expires_at } => fact("extended").with("expires_at", time(*expires_at)),
        Change::Staged { stage, expires_at } => {
            fact("staged").with("stage", stage.label()).with("expires_at", time(*expires_at))
        }
        Change::Claimed { at, order_ref, late, kept } => fact("claimed")
            .with("at", time(*at))
            .with("order_ref", order_ref.as_str())
            .with("late", *late)
            .with("kept", kept.to_vec()),
        Change::Returned { totals } => fact("returned")
            .with("returned", totals.iter().map(|(returned, _)| *returned).collect::<Vec<u32>>())
            .with("withdrawn", totals.iter().map(|(_, withdrawn)| *withdrawn).collect::<Vec<u32>>()),
        Change::Released { at, kept } => fact("released").with("at", time(*at)).with("kept", kept.to_vec()),
        Change::Expired { at } => fact("expired").with("at", time(*at)),
    }
}

fn adjustment(adjusted: &Adjusted, drops: &Drops) -> Fact {
    let Adjusted { drop, item, adjustment, basis } = adjusted;
    let Adjustment { id, pool, change } = adjustment;
    let PoolBasis { received, taken_out } = basis;
    let place = place(*item, *pool, drops.get(*drop));
    place
        .into_iter()
        .fold(of_drop("adjusted", *drop, drops), |fact, (name, value)| fact.with(name, value))
        .with("adjustment_id", id.to_string())
        .with("change", asked(change))
        .with("received", *received)
        .with("taken_out", *taken_out)
}

fn asked(change: &StockChange) -> Value {
    match change {
        StockChange::Delta(delta) => json!({"delta": delta}),
        StockChange::SetReceived { expected, units } => json!({"expected": expected, "units": units}),
    }
}

fn stock(image: &StockImage, drops: &Drops) -> Fact {
    let StockImage { drop, item, pools, adjustments } = image;
    let pool = |PoolBasis { received, taken_out }: &PoolBasis| json!({"received": received, "taken_out": taken_out});
    let adjustment = |Adjustment { id, pool, change }: &Adjustment| json!({"adjustment_id": id.to_string(), "pool_number": pool.0, "change": asked(change)});
    of_drop("stock", *drop, drops)
        .with("item", item.0)
        .with("pools", pools.iter().map(pool).collect::<Value>())
        .with("adjustments", adjustments.iter().map(adjustment).collect::<Value>())
}
