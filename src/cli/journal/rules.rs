//! A drop's rules and marks in a dump: only what is set is shown.

use serde_json::{Map, Value, json};
use stockade_types::definition::{
    Audience, Band, ConductRule, Definition, Flow, Item, Level, Moment, Money, Named, Pool, PoolSize, PriceStep,
    PriceTerms, RuleNames, Rules, Scarcity, Signal, Slot, StockLevel, Tranche, Trigger, Window,
};
use stockade_types::ids::{
    IdentityKind, ItemNo, PoolId, PoolNo, SignalId, Sku, TermsId, TierId, TrancheId, WindowId, ZoneId,
};
use stockade_types::record::{FlowPlace, Mark, MarkKind};

use super::fields::{is_nothing, millis, time};

/// An object of the fields that have a value.
fn present<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let present = fields.into_iter().filter(|(_, value)| !is_nothing(value) && *value != Value::Bool(false));
    present.map(|(name, value)| (name.to_owned(), value)).collect::<Map<String, Value>>().into()
}

/// The rules of a drop that are not of its items.
pub(super) fn rules(rules: &Rules) -> Value {
    let Rules {
        windows,
        prices,
        tranches,
        conduct,
        signals,
        scarcity: shown,
        slot_required,
        time_zone,
        location,
        zones,
        names: _,
    } = rules;
    let text = |text: &str| if text.is_empty() { Value::Null } else { text.into() };
    present([
        ("windows", windows.iter().map(window).collect()),
        ("terms", prices.iter().map(terms).collect()),
        ("tranches", tranches.iter().map(tranche).collect()),
        ("conduct", conduct.iter().map(conduct_rule).collect()),
        ("signals", signals.iter().map(signal).collect()),
        ("scarcity", json!(shown.as_ref().map(scarcity))),
        ("slot_required", (*slot_required).into()),
        ("time_zone", text(time_zone)),
        ("location", text(location)),
        ("zones", zones.iter().map(ZoneId::as_str).collect()),
    ])
}

/// An item with its pools.
pub(super) fn item(item: &Item) -> Value {
    let Item { sku, pools, slot: of_slot, price_floor, unit_cost } = item;
    present([
        ("sku", sku.as_str().into()),
        ("pools", pools.iter().map(pool).collect()),
        ("slot", json!(of_slot.as_ref().map(slot))),
        ("price_floor", json!(price_floor.map(money))),
        ("unit_cost", json!(unit_cost.map(money))),
    ])
}

fn pool(Pool { id, units, size, audience: whom, place, flows }: &Pool) -> Value {
    let size = match size {
        PoolSize::Rest => Value::Null,
        PoolSize::Units => "units".into(),
        PoolSize::Share(points) => json!({"share_basis_points": points}),
    };
    present([
        ("id", id.as_str().into()),
        ("units", (*units).into()),
        ("size", size),
        ("audience", audience(whom)),
        ("place", json!(place)),
        ("flows", flows.iter().map(flow).collect()),
    ])
}

fn flow(Flow { to, when }: &Flow) -> Value {
    present([("to", to.as_str().into()), ("when", json!(when.as_ref().map(trigger)))])
}

fn slot(Slot { place, starts, ends }: &Slot) -> Value {
    json!({"place": place, "starts": moment(*starts), "ends": moment(*ends)})
}

fn window(Window { id, audience: whom, skus, pools, starts, ends, hold_ttl }: &Window) -> Value {
    present([
        ("id", id.as_str().into()),
        ("audience", audience(whom)),
        ("skus", skus.iter().map(Sku::as_str).collect()),
        ("pools", pools.iter().map(PoolId::as_str).collect()),
        ("starts", json!(starts.map(moment))),
        ("ends", json!(ends.map(moment))),
        ("hold_ttl_ms", json!(hold_ttl.map(millis))),
    ])
}

fn terms(PriceTerms { id, audience: whom, skus, pools, starts, ends, price, steps }: &PriceTerms) -> Value {
    let step = |PriceStep { when, price }: &PriceStep| json!({"when": trigger(when), "price": money(*price)});
    present([
        ("id", id.as_str().into()),
        ("audience", audience(whom)),
        ("skus", skus.iter().map(Sku::as_str).collect()),
        ("pools", pools.iter().map(PoolId::as_str).collect()),
        ("starts", json!(starts.map(moment))),
        ("ends", json!(ends.map(moment))),
        ("price", money(*price)),
        ("steps", steps.iter().map(step).collect()),
    ])
}

fn tranche(Tranche { id, sku, pool, units, when }: &Tranche) -> Value {
    present([
        ("id", id.as_str().into()),
        ("sku", sku.as_str().into()),
        ("pool", json!(pool.as_ref().map(PoolId::as_str))),
        ("units", (*units).into()),
        ("when", trigger(when)),
    ])
}

fn conduct_rule(ConductRule { counts, at_least, within, audience: whom, hold_ttl, limit }: &ConductRule) -> Value {
    present([
        ("id", limit.id.as_str().into()),
        ("identity_kind", json!(limit.identity_kind.as_ref().map(IdentityKind::as_str))),
        ("counts", counts.label().into()),
        ("at_least", (*at_least).into()),
        ("within_ms", millis(*within).into()),
        ("audience", audience(whom)),
        ("hold_ttl_ms", json!(hold_ttl.map(millis))),
        ("max_live_units", json!(limit.max_live_units)),
        ("max_units", json!(limit.max_units)),
        ("cooldown_ms", json!(limit.cooldown.map(millis))),
    ])
}

fn signal(signal: &Signal) -> Value {
    let Signal { id, on, audience: whom, channels, repeat_after, valid_for, labels, defined_at } = signal;
    present([
        ("id", id.as_str().into()),
        ("on", trigger(on)),
        ("audience", audience(whom)),
        ("channels", json!(channels)),
        ("repeat_after_ms", json!(repeat_after.map(millis))),
        ("valid_for_ms", millis(*valid_for).into()),
        ("labels", json!(labels)),
        ("defined_at", time(*defined_at)),
    ])
}

fn scarcity(Scarcity { bands, min_interval }: &Scarcity) -> Value {
    let band = |Band { id, min_free }: &Band| json!({"id": id.as_str(), "min_free_basis_points": min_free});
    present([("bands", bands.iter().map(band).collect()), ("min_interval_ms", millis(*min_interval).into())])
}

fn audience(Audience { tiers, zones }: &Audience) -> Value {
    present([
        ("tiers", tiers.iter().map(TierId::as_str).collect()),
        ("zones", zones.iter().map(ZoneId::as_str).collect()),
    ])
}

fn money(Money { currency, minor_units }: Money) -> Value {
    json!({"currency": currency.as_str(), "minor_units": minor_units})
}

/// A moment as it is defined, and when it comes.
fn moment(Moment { named, at }: Moment) -> Value {
    match named {
        Named::At(_) => json!({"at": time(at)}),
        Named::AfterOpening(span) => json!({"at": time(at), "after_open_ms": span}),
        Named::BeforeClosing(span) => json!({"at": time(at), "before_close_ms": millis(span)}),
        Named::Local { days, seconds } => json!({"at": time(at), "days_after_open": days, "second_of_day": seconds}),
    }
}

fn trigger(trigger: &Trigger) -> Value {
    let StockLevel { sku, pool, level } = match trigger {
        Trigger::Moment(at) => return moment(*at),
        Trigger::Stock(level) => level,
    };
    let (name, value) = match level {
        Level::FreeAtMost(most) => ("free_at_most", (*most).into()),
        Level::Sold(points) => ("sold_basis_points", (*points).into()),
        Level::Taken(points) => ("taken_basis_points", (*points).into()),
    };
    let (sku, pool) = (sku.as_ref().map(Sku::as_str), pool.as_ref().map(PoolId::as_str));
    present([("sku", json!(sku)), ("pool", json!(pool)), (name, value)])
}

/// A mark, with the names of what it is about.
pub(super) fn mark(Mark { kind, scheduled_for }: Mark, drop: &Definition) -> Value {
    let names: &RuleNames = &drop.rules.names;
    let mut shown =
        Map::from_iter([("what".to_owned(), kind.label().into()), ("scheduled_for".to_owned(), time(scheduled_for))]);
    let mut name = |key: &str, text: Option<&str>| {
        shown.extend(text.map(|text| (key.to_owned(), text.into())));
    };
    let sku = |item: ItemNo| drop.items.get(item.index()).map(|item| item.sku.as_str());
    match kind {
        MarkKind::Opens | MarkKind::Closes => {}
        MarkKind::WindowOpens(window) | MarkKind::WindowCloses(window) => {
            name("window", names.window(window).map(WindowId::as_str));
        }
        MarkKind::Flow(FlowPlace { item, from, to }) => {
            let pool =
                |pool: PoolNo| drop.items.get(item.index())?.pools.get(pool.index()).map(|pool| pool.id.as_str());
            name("sku", sku(item));
            name("pool", pool(from));
            name("to", pool(to));
        }
        MarkKind::Tranche(tranche) => name("tranche", names.tranche(tranche).map(TrancheId::as_str)),
        MarkKind::TermsStart(terms) | MarkKind::TermsEnd(terms) => {
            name("terms", names.terms(terms).map(TermsId::as_str));
        }
        MarkKind::PriceStep(terms, step) => {
            name("terms", names.terms(terms).map(TermsId::as_str));
            shown.insert("step".to_owned(), step.into());
        }
        MarkKind::SlotStarts(item) => name("sku", sku(item)),
        MarkKind::Signal(signal) | MarkKind::SignalMissed(signal) => {
            name("signal", names.signal(signal).map(SignalId::as_str));
        }
        MarkKind::SoldOut(of) | MarkKind::BackInStock(of) => name("sku", of.and_then(sku)),
        MarkKind::Band(item, band) => {
            name("sku", sku(item));
            name("band", Some(drop.rules.scarcity.as_ref().unwrap_or(&Scarcity::USUAL).name(band)));
        }
    }
    shown.into()
}
