//! Converts a record to a fact with named fields. Everything in the record is shown, and nothing else.

use serde_json::{Map, Value, json};
use stockade_types::definition::{Definition, Limit, Money, Schedule, Scope, Terms};
use stockade_types::hold::{Change, Hold, HoldExtras, HoldLine, HoldParts, Identity, Pinned, ShortLine};
use stockade_types::ids::{DropNo, HoldId, ItemNo, PoolNo, Sku, TierId, WindowId};
use stockade_types::record::{
    Adjusted, AdjustedBy, Adjustment, AdjustmentsImage, Announced, Archived, DropFact, DropImage, DropVerb, HoldChange,
    LastUpdate, Lifecycle, Made, Mark, MovedLine, OldFact, OldUsage, Origin, PoolBasis, PoolFigures, Reconciliation,
    Record, Restart, Sold, StockChange, StockImage, Superseded, UsageImage, Verb,
};
use stockade_types::time::Timestamp;

use super::defined;
use super::drops::KnownDrops;
use super::facts;
use super::fields::{Fact, hex, is_nothing, millis, time};
use super::measured;
use super::rules;

/// Converts a record.
pub(super) fn fact(record: &Record, drops: &KnownDrops) -> Fact {
    match record {
        Record::Drop(image) => drop_image(image),
        Record::Lifecycle(image) => lifecycle(of_drop("lifecycle", image.drop, drops), image, drops.get(image.drop)),
        Record::DropFact(fact) => drop_fact(fact),
        Record::Upgraded(at) => Fact::new("upgraded").with("at", time(*at)),
        Record::Hold(image) => hold(image, drops),
        Record::Made(Made { actor, hold: image }) => hold(image, drops).with("actor", actor.label()),
        Record::Changed(change) => changed(change, drops),
        Record::Old(fact) => old_fact(fact, drops),
        Record::Restart(Restart { stopped_at, grace_until, at }) => {
            let fact = Fact::new("restart").with("stopped_at", time(*stopped_at));
            fact.with("grace_until", time(*grace_until)).with("at", time(*at))
        }
        Record::Adjusted(adjusted) => adjustment(adjusted, drops),
        Record::Stock(image) => stock(image, drops),
        Record::Adjustments(image) => remembered(image, drops),
        Record::Superseded(superseded) => {
            let Superseded { ended, made } = superseded.as_ref();
            let HoldChange { at, actor, was, prev, hold: old, .. } = ended;
            hold(made, drops)
                .named("superseded")
                .with("superseded_hold_id", old.id.to_string())
                .with("at", time(*at))
                .with("actor", actor.label())
                .with("was", was.label())
                .with("prev", prev.0)
                .with("moved", moved(ended))
        }
        Record::Archived(archived) => archive(archived, drops),
        Record::Usage(image) => usage(image),
        Record::Defined(change) => defined::defined(change),
        Record::Occurrence(result) => defined::occurrence(result),
        Record::Delivered(delivered) => defined::delivered(delivered),
        Record::Channel(fact) => defined::channel(fact),
        Record::Facts(reported) => facts::facts(reported, drops),
        Record::FactsImage(image) => facts::kept(image),
        Record::Totals(image) => measured::totals(of_drop("totals", image.drop, drops), image.totals),
        Record::Demand(fact) => measured::demand(of_drop("demand", fact.drop, drops), fact),
        Record::Report(fact) => measured::report(of_drop("report", fact.drop, drops), fact),
    }
}

/// A fact about a drop, with its id, if that is known, and its number.
fn of_drop(kind: &'static str, number: DropNo, drops: &KnownDrops) -> Fact {
    let id = drops.get(number).map(|drop| drop.id.to_string());
    Fact::new(kind).with("drop_id", id).with("drop_number", number.0)
}

/// Adds a drop's lifecycle; marks of its rules only if there are any.
fn lifecycle(fact: Fact, life: &Lifecycle, drop: Option<&Definition>) -> Fact {
    let Lifecycle { drop: _, paused, opened, closed, marks } = life;
    let fact = fact
        .with("paused", *paused)
        .with("opened", time(*opened))
        .with("closed", time(closed.map(|closed| closed.at)))
        .with("closed_by_hand", closed.is_some_and(|closed| closed.by_hand));
    let shown = |mark: Mark| match drop {
        Some(drop) => rules::mark(mark, drop),
        None => json!({"what": mark.kind.label(), "scheduled_for": time(mark.scheduled_for)}),
    };
    let marks: Vec<Value> = marks.iter().map(shown).collect();
    if marks.is_empty() { fact } else { fact.with("marks", marks) }
}

/// A change of a drop, with the drop after it.
fn drop_fact(fact: &DropFact) -> Fact {
    let DropFact { verb, at, origin, image, lifecycle: life, marks, stock } = fact;
    let kind = match verb {
        DropVerb::Create => "drop_created",
        DropVerb::Update => "drop_updated",
        DropVerb::Pause => "drop_paused",
        DropVerb::Resume => "drop_resumed",
        DropVerb::Close => "drop_closed",
        DropVerb::Turn => "drop_turned",
        DropVerb::Archive => "drop_archived",
        DropVerb::Fire => "flow_fired",
    };
    let present = by(drop_image(image).named(kind).with("at", time(*at)), origin);
    let definition = &image.definition;
    lifecycle(present, life, Some(definition))
        .with("moments", marks.iter().map(|mark| rules::mark(*mark, definition)).collect::<Value>())
        .with("stock", stock.iter().map(figures).collect::<Value>())
}

/// Adds the origin of a change.
pub(super) fn by(fact: Fact, Origin { actor, peer, request_id }: &Origin) -> Fact {
    fact.with("actor", actor.label()).with("peer", peer.as_deref()).with("request_id", request_id.as_deref())
}

fn figures(figures: &PoolFigures) -> Value {
    let PoolFigures { basis: PoolBasis { received, taken_out }, held, paying, claimed, withdrawn, returned_total } =
        figures;
    json!({
        "received": received, "taken_out": taken_out, "held": held, "paying": paying, "claimed": claimed,
        "withdrawn": withdrawn, "returned_total": returned_total,
    })
}

fn drop_image(image: &DropImage) -> Fact {
    let DropImage { number, created_at, definition, request, update } = image;
    let Definition {
        id,
        title,
        shop,
        series,
        labels,
        schedule: Schedule { opens_at, closes_at },
        terms: Terms { hold_ttl, max_hold_life, payment_ttl },
        items,
        limits,
        rules: of_rules,
    } = definition;
    let fact = Fact::new("drop")
        .with("drop_id", id.as_str())
        .with("drop_number", number.0)
        .with("created_at", time(*created_at))
        .with("title", title.as_str())
        .with("shop", shop.as_str())
        .with("series", series.as_ref().map(ToString::to_string))
        .with("labels", json!(labels))
        .with("opens_at", time(*opens_at))
        .with("closes_at", time(*closes_at))
        .with("hold_ttl_ms", millis(*hold_ttl))
        .with("max_hold_life_ms", millis(*max_hold_life))
        .with("payment_ttl_ms", millis(*payment_ttl))
        .with("items", items.iter().map(rules::item).collect::<Value>())
        .with("limits", limits.iter().map(limit).collect::<Value>())
        .with("request_digest", hex(request))
        .with("updated_from", update.map(|LastUpdate { base, .. }| base.0))
        .with("update_digest", update.map(|LastUpdate { request, .. }| hex(&request)));
    let fact = match update.and_then(|LastUpdate { base: _, request: _, announced }| announced) {
        Some(Announced { changes, at }) => fact.with("announced_changes", changes).with("announced_at", time(at)),
        None => fact,
    };
    if of_rules.is_empty() { fact } else { fact.with("rules", rules::rules(of_rules)) }
}

/// The template of a series' drops.
pub(super) fn template(definition: &Definition) -> Value {
    let Definition { id: _, title, shop: _, series: _, labels, schedule: _, terms, items, limits, rules: of_rules } =
        definition;
    let Terms { hold_ttl, max_hold_life, payment_ttl } = terms;
    json!({
        "title": title, "labels": labels, "hold_ttl_ms": millis(*hold_ttl), "max_hold_life_ms": millis(*max_hold_life),
        "payment_ttl_ms": millis(*payment_ttl), "items": items.iter().map(rules::item).collect::<Value>(),
        "limits": limits.iter().map(limit).collect::<Value>(), "rules": rules::rules(of_rules),
    })
}

/// A limit; bounds that it does not have are left out.
fn limit(limit: &Limit) -> Value {
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
    let scope = match scope {
        Scope::Item => "item",
        Scope::Drop => "drop",
        Scope::Series => "series",
        Scope::Shop => "shop",
    };
    let by_tier: Map<_, _> = max_units_by_tier.iter().map(|(tier, units)| (tier.to_string(), json!(units))).collect();
    present(json!({
        "id": id.as_str(), "scope": scope, "skus": skus.iter().map(Sku::as_str).collect::<Value>(),
        "identity_kind": identity_kind.as_ref().map(ToString::to_string), "max_units": max_units,
        "max_units_by_tier": by_tier, "max_live_units": max_live_units, "max_live_holds": max_live_holds,
        "rolling_ms": rolling.map(millis), "cooldown_ms": cooldown.map(millis),
    }))
}

/// An object without the fields that say nothing.
fn present(mut shown: Value) -> Value {
    shown.as_object_mut().into_iter().for_each(|fields| fields.retain(|_name, value| !is_nothing(value)));
    shown
}

/// A number of units; nothing if it is zero.
fn units(units: u32) -> Option<u32> {
    (units > 0).then_some(units)
}

fn hold(image: &Hold, drops: &KnownDrops) -> Fact {
    // The revision is the record's own LSN, which precedes it.
    let HoldParts {
        id,
        drop,
        state,
        customer,
        content,
        created_at,
        expires_at,
        settled_at,
        has_grace,
        revision: _,
        lines,
        extras,
    } = image.parts();
    let definition = drops.get(drop);
    let settled_at = Some(settled_at).filter(|at| *at > Timestamp(0));
    let fact = Fact::new("hold")
        .with("hold_id", id.to_string())
        .with("drop_id", definition.map(|drop| drop.id.to_string()))
        .with("drop_number", drop.0)
        .with("customer_id", customer.as_str())
        .with("state", state.label())
        .with("lines", lines.iter().map(|line| held(line, definition)).collect::<Value>())
        .with("created_at", time(created_at))
        .with("expires_at", time(expires_at))
        .with("settled_at", time(settled_at))
        .with("content_digest", format!("{:016x}", content.0));
    let fact = if has_grace { fact.with("grace", true) } else { fact };
    with_extras(fact, extras.unwrap_or(&HoldExtras::default()), definition)
}

/// Adds the fields that few holds have.
fn with_extras(fact: Fact, extras: &HoldExtras, drop: Option<&Definition>) -> Fact {
    let HoldExtras {
        order_ref,
        late,
        superseded_by,
        identities,
        tiers,
        over_limits,
        over_windows,
        shorts,
        life_max,
        returned_at,
    } = extras;
    let identity =
        |Identity { kind, subject }: &Identity| json!({"kind": kind.as_str(), "digest": format!("{:032x}", subject.0)});
    let short = |ShortLine { item, requested, reason }: &ShortLine| {
        let (name, value) = sku(*item, drop);
        json!({name: value, "requested": requested, "reason": reason.label()})
    };
    let fact = fact
        .with("order_ref", order_ref.as_ref().map(ToString::to_string))
        .with("late", *late)
        .with("superseded_by", superseded_by.map(|by| by.to_string()))
        .with("identities", identities.iter().map(identity).collect::<Value>())
        .with("tiers", tiers.iter().map(TierId::as_str).collect::<Value>())
        .with("over_limits", over_limits.as_deref())
        .with("short_lines", shorts.iter().map(short).collect::<Value>());
    let rare = [
        ("over_windows", over_windows.as_deref().map(Value::from)),
        ("life_max_ms", life_max.map(millis).map(Value::from)),
        ("returned_at", Some(*returned_at).filter(|at| at.0 > 0).map(time)),
    ];
    rare.into_iter().fold(fact, |fact, (name, value)| match value {
        Some(value) => fact.with(name, value),
        None => fact,
    })
}

fn held(line: HoldLine, drop: Option<&Definition>) -> Value {
    let HoldLine { item, pool, pinned: Pinned { window, offer }, quantity, released, returned, withdrawn } = line;
    let [(item, sku), (pool, place)] = place(item, pool, drop);
    // As in the record: only if units were given back.
    let (released, returned, withdrawn) = (units(released), units(returned), units(withdrawn));
    let names = drop.map(|drop| &drop.rules.names);
    let window = names.and_then(|names| names.window(window)).map(WindowId::as_str);
    let offer = names.and_then(|names| names.offer(offer));
    let terms = offer.map(|(terms, _)| terms.as_str());
    let price = offer
        .map(|(_, Money { currency, minor_units })| json!({"currency": currency.as_str(), "minor_units": minor_units}));
    present(json!({
        item: sku, pool: place, "quantity": quantity, "released": released, "returned": returned, "withdrawn": withdrawn,
        "window": window, "terms": terms, "price": price,
    }))
}

/// An item by SKU, if that is known, else by number.
fn sku(item: ItemNo, drop: Option<&Definition>) -> (&'static str, Value) {
    let known = drop.and_then(|drop| drop.items.get(item.index()));
    known.map_or(("item", item.0.into()), |item| ("sku", item.sku.as_str().into()))
}

/// An item and its pool, by name if known, else by number.
fn place(item: ItemNo, pool: PoolNo, drop: Option<&Definition>) -> [(&'static str, Value); 2] {
    let known = drop.and_then(|drop| drop.items.get(item.index())?.pools.get(pool.index()));
    let named = known.map_or(("pool_number", pool.0.into()), |pool| ("pool", pool.id.as_str().into()));
    [sku(item, drop), named]
}

/// A change, with the hold after it. The kind is the verb in the past tense.
fn changed(change: &HoldChange, drops: &KnownDrops) -> Fact {
    let HoldChange { verb, at, actor, was, prev, hold: image, .. } = change;
    let kind = match verb {
        Verb::Extend => "extended",
        Verb::Claim => "claimed",
        Verb::Release => "released",
        Verb::Return => "returned",
        Verb::Expire => "expired",
        Verb::Supersede => "superseded",
    };
    hold(image, drops)
        .named(kind)
        .with("at", time(*at))
        .with("actor", actor.label())
        .with("was", was.label())
        .with("prev", prev.0)
        .with("moved", moved(change))
}

/// What a change moved, by line; zeros are left out.
fn moved(change: &HoldChange) -> Value {
    let line = |MovedLine { quantity, released, returned }: MovedLine| {
        let (quantity, released, returned) = (units(quantity), units(released), units(returned));
        present(json!({"quantity": quantity, "released": released, "returned": returned}))
    };
    change.moved().into_iter().map(line).collect()
}

fn old_fact(fact: &OldFact, drops: &KnownDrops) -> Fact {
    match fact {
        OldFact::Change(id, change) => old_change(*id, change),
        OldFact::Superseded { old, at, hold: image } => {
            let made = hold(image, drops).named("superseded");
            made.with("superseded_hold_id", old.to_string()).with("at", time(*at))
        }
    }
}

fn old_change(id: HoldId, change: &Change) -> Fact {
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
        Change::Returned { at: _, totals } => fact("returned")
            .with("returned", totals.iter().map(|(returned, _)| *returned).collect::<Vec<u32>>())
            .with("withdrawn", totals.iter().map(|(_, withdrawn)| *withdrawn).collect::<Vec<u32>>()),
        Change::Released { at, kept } => fact("released").with("at", time(*at)).with("kept", kept.to_vec()),
        Change::Superseded { at, by } => fact("superseded").with("at", time(*at)).with("superseded_by", by.to_string()),
        Change::Expired { at } => fact("expired").with("at", time(*at)),
    }
}

fn adjustment(adjusted: &Adjusted, drops: &KnownDrops) -> Fact {
    let Adjusted { drop, item, adjustment, basis, at, by: made_by } = adjusted;
    let Adjustment { id, pool, change } = adjustment;
    let PoolBasis { received, taken_out } = basis;
    let place = place(*item, *pool, drops.get(*drop));
    let fact = place
        .into_iter()
        .fold(of_drop("adjusted", *drop, drops), |fact, (name, value)| fact.with(name, value))
        .with("adjustment_id", id.to_string())
        .with("change", asked(change))
        .with("received", *received)
        .with("taken_out", *taken_out);
    let fact = at.iter().fold(fact, |fact, at| fact.with("at", time(*at)));
    made_by.iter().fold(fact, |fact, made_by| {
        let AdjustedBy { origin, stock } = made_by.as_ref();
        by(fact, origin).with("stock", stock.iter().map(figures).collect::<Value>())
    })
}

fn remembered(image: &AdjustmentsImage, drops: &KnownDrops) -> Fact {
    let AdjustmentsImage { drop, item, forgotten, adjustments } = image;
    let adjustment = |(Adjustment { id, pool, change }, at): &(Adjustment, Option<Timestamp>)| json!({"adjustment_id": id.to_string(), "pool_number": pool.0, "change": asked(change), "at": time(*at)});
    of_drop("adjustments", *drop, drops)
        .with("item", item.0)
        .with("forgotten_until", time(*forgotten))
        .with("adjustments", adjustments.iter().map(adjustment).collect::<Value>())
}

fn archive(archived: &Archived, drops: &KnownDrops) -> Fact {
    let Archived { drop, at, pools } = archived;
    let sold = |Sold { claimed, withdrawn, returned_total }: &Sold| json!({"claimed": claimed, "withdrawn": withdrawn, "returned_total": returned_total});
    of_drop("archived", *drop, drops).with("at", time(*at)).with("pools", pools.iter().map(sold).collect::<Value>())
}

fn usage(UsageImage { subject, usage, returns }: &UsageImage) -> Fact {
    let old = |OldUsage { drop, item, at, units }: &OldUsage| json!({"drop_number": drop.0, "item": item.0, "until": time(*at), "units": units});
    let fact = Fact::new("usage")
        .with("subject_digest", format!("{:032x}", subject.0))
        .with("usage", usage.iter().map(old).collect::<Value>());
    if returns.is_empty() { fact } else { fact.with("returns", returns.iter().map(|at| time(*at)).collect::<Value>()) }
}

fn asked(change: &StockChange) -> Value {
    match change {
        StockChange::Delta(delta) => json!({"delta": delta}),
        StockChange::SetReceived { expected, units } => json!({"expected": expected, "units": units}),
        StockChange::Reconcile(Reconciliation { whole_item, as_of, on_hand, drift, applied }) => json!({
            "whole_item": whole_item, "as_of": as_of.0, "on_hand": on_hand, "drift": drift, "applied": applied,
        }),
    }
}

fn stock(image: &StockImage, drops: &KnownDrops) -> Fact {
    let StockImage { drop, item, pools, adjustments } = image;
    let pool = |PoolBasis { received, taken_out }: &PoolBasis| json!({"received": received, "taken_out": taken_out});
    let adjustment = |Adjustment { id, pool, change }: &Adjustment| json!({"adjustment_id": id.to_string(), "pool_number": pool.0, "change": asked(change)});
    of_drop("stock", *drop, drops)
        .with("item", item.0)
        .with("pools", pools.iter().map(pool).collect::<Value>())
        .with("adjustments", adjustments.iter().map(adjustment).collect::<Value>())
}
