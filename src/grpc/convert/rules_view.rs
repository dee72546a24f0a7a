//! A drop's items and rules on the wire: as they were defined, with what was resolved and what has fired.

use stockade_engine::answer::{DropView, Stock};
use stockade_proto as pb;
use stockade_types::definition::{
    Audience, Band, Conduct, ConductRule, Definition, Flow, GENERAL_POOL, Item, Level, Moment, Money, Named, Pool,
    PoolSize, PriceStep, PriceTerms, Scarcity, Signal, Slot, StockLevel, Tranche, Trigger, Window,
};
use stockade_types::ids::{ItemNo, PoolNo};
use stockade_types::record::{FlowPlace, MarkKind, Marks};
use stockade_types::time::{Millis, Timestamp};

use super::answer::{duration, timestamp};

/// What is output only: instants that were resolved, what has fired, and stock.
#[derive(Clone, Copy)]
pub(super) struct Live<'a> {
    definition: &'a Definition,
    opens_at: Timestamp,
    marks: &'a Marks,
    stock: &'a [Vec<Stock>],
}

impl<'a> Live<'a> {
    pub(super) fn of(view: &'a DropView) -> Self {
        let DropView { definition, opens_at, marks, stock, .. } = view;
        Self { definition, opens_at: *opens_at, marks, stock }
    }

    fn fired_at(self, kind: Option<MarkKind>) -> Option<prost_types::Timestamp> {
        self.marks.at(kind?).map(timestamp)
    }
}

pub(super) fn window_view(window: &Window, live: Option<Live<'_>>) -> pb::Window {
    let Window { id, audience, skus, pools, starts, ends, hold_ttl } = window;
    let from = |live: Live<'_>| starts.map_or(live.opens_at, |starts| starts.at);
    let until = |live: Live<'_>| ends.map(|ends| ends.at).or(live.definition.schedule.closes_at);
    pb::Window {
        id: id.to_string(),
        audience: audience_view(audience),
        skus: texts(skus),
        starts: starts.map(moment_view),
        ends: ends.map(moment_view),
        hold_ttl: hold_ttl.map(duration),
        pools: texts(pools),
        starts_at: live.map(from).map(timestamp),
        ends_at: live.and_then(until).map(timestamp),
    }
}

pub(super) fn terms_view(terms: &PriceTerms, live: Option<Live<'_>>) -> pb::Terms {
    let PriceTerms { id, audience, skus, pools, starts, ends, price, steps } = terms;
    let number = live.and_then(|live| live.definition.rules.names.terms_no(id));
    let step_view = |(place, PriceStep { when, price }): (u8, &PriceStep)| pb::PriceStep {
        when: Some(trigger_view(when)),
        price: Some(money_view(*price)),
        fired_at: live.and_then(|live| live.fired_at(Some(MarkKind::PriceStep(number?, place)))),
    };
    pb::Terms {
        id: id.to_string(),
        audience: audience_view(audience),
        skus: texts(skus),
        starts: starts.map(moment_view),
        ends: ends.map(moment_view),
        price: Some(money_view(*price)),
        steps: (0..).zip(steps).map(step_view).collect(),
        pools: texts(pools),
    }
}

pub(super) fn tranche_view(tranche: &Tranche, live: Option<Live<'_>>) -> pb::Tranche {
    let Tranche { id, sku, pool, units, when } = tranche;
    let fired = |live: Live<'_>| live.fired_at(live.definition.rules.names.tranche_no(id).map(MarkKind::Tranche));
    pb::Tranche {
        id: id.to_string(),
        sku: sku.to_string(),
        pool: pool.as_ref().map(ToString::to_string).unwrap_or_default(),
        units: *units,
        when: Some(trigger_view(when)),
        fired_at: live.and_then(fired),
    }
}

pub(super) fn signal_view(signal: &Signal, live: Option<Live<'_>>) -> pb::Signal {
    let Signal { id, on, audience, channels, repeat_after, valid_for, labels, defined_at: _ } = signal;
    let fired = |live: Live<'_>| live.fired_at(live.definition.rules.names.signal_no(id).map(MarkKind::Signal));
    pb::Signal {
        id: id.to_string(),
        on: Some(trigger_view(on)),
        audience: audience_view(audience),
        channels: channels.clone(),
        repeat_after: repeat_after.map(duration),
        valid_for: Some(duration(*valid_for)),
        labels: labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        fired_at: live.and_then(fired),
    }
}

pub(super) fn scarcity_view(Scarcity { bands, min_interval }: &Scarcity) -> pb::Scarcity {
    let band = |Band { id, min_free }: &Band| pb::Band { id: id.to_string(), min_free_basis_points: *min_free };
    pb::Scarcity { bands: bands.iter().map(band).collect(), min_interval: Some(duration(*min_interval)) }
}

pub(super) fn conduct_view(rule: &ConductRule) -> pb::ConductRule {
    let ConductRule { counts, at_least, within, audience, hold_ttl, limit } = rule;
    let counts = match counts {
        Conduct::UnclaimedHolds => pb::Conduct::UnclaimedHolds,
        Conduct::Cancellations => pb::Conduct::Cancellations,
        Conduct::Chargebacks => pb::Conduct::Chargebacks,
        Conduct::Returns => pb::Conduct::Returns,
    };
    pb::ConductRule {
        id: limit.id.to_string(),
        identity_kind: limit.identity_kind.as_ref().map(ToString::to_string).unwrap_or_default(),
        counts: counts.into(),
        at_least: *at_least,
        within: Some(duration(*within)),
        audience: audience_view(audience),
        hold_ttl: hold_ttl.map(duration),
        max_live_units: limit.max_live_units,
        max_units: limit.max_units,
        cooldown: limit.cooldown.map(duration),
    }
}

pub(super) fn item_view(place: ItemNo, item: &Item, live: Option<Live<'_>>) -> pb::Item {
    let Item { sku, pools, slot, price_floor, unit_cost } = item;
    let stock = live.and_then(|live| live.stock.get(place.index()));
    let sum = |stock: &Vec<Stock>| stock.iter().copied().fold(Stock::default(), Stock::plus);
    let kind = if slot.is_some() { pb::ItemKind::Slot } else { pb::ItemKind::Goods };
    let pool_of = |(number, pool): (PoolNo, &Pool)| pb::Pool {
        flows: pool.flows.iter().map(|flow| flow_view(item, (place, number), flow, live)).collect(),
        stock: stock.and_then(|stock| stock.get(number.index())).copied().map(stock_view),
        ..pool_view(pool, is_general(item))
    };
    pb::Item {
        sku: sku.to_string(),
        quantity: item.units(),
        pools: (0..).map(PoolNo).zip(pools).map(pool_of).collect(),
        stock: live.is_some().then(|| stock_view(stock.map(sum).unwrap_or_default())),
        kind: kind.into(),
        slot: slot.as_ref().map(|slot| slot_view(slot, live)),
        price_floor: price_floor.map(money_view),
        unit_cost: unit_cost.map(money_view),
    }
}

/// Whether the item has the one pool of an item that names none.
pub(super) fn is_general(item: &Item) -> bool {
    let [Pool { id, units: _, size, audience, place, flows }] = item.pools.as_slice() else { return false };
    id.as_str() == GENERAL_POOL
        && *size == PoolSize::Rest
        && audience.is_everyone()
        && place.is_none()
        && flows.is_empty()
}

/// A pool without its flows and stock. The only pool of an item that names none is shown with its units.
fn pool_view(Pool { id, units, size, audience, place, flows: _ }: &Pool, is_general: bool) -> pb::Pool {
    let size = match size {
        PoolSize::Rest => is_general.then_some(pb::pool::Size::Units(*units)),
        PoolSize::Units => Some(pb::pool::Size::Units(*units)),
        PoolSize::Share(points) => Some(pb::pool::Size::ShareBasisPoints(*points)),
    };
    pb::Pool {
        id: id.to_string(),
        audience: audience_view(audience),
        size,
        place: place.clone().unwrap_or_default(),
        ..pb::Pool::default()
    }
}

fn flow_view(item: &Item, (number, from): (ItemNo, PoolNo), flow: &Flow, live: Option<Live<'_>>) -> pb::Flow {
    let Flow { to, when } = flow;
    let place = item.pool_no(to).map(|to| MarkKind::Flow(FlowPlace { item: number, from, to }));
    let fired_at = live.and_then(|live| live.fired_at(place));
    pb::Flow { to: to.to_string(), when: when.as_ref().map(trigger_view), fired_at }
}

fn slot_view(Slot { place, starts, ends }: &Slot, live: Option<Live<'_>>) -> pb::Slot {
    pb::Slot {
        place: place.clone(),
        starts: Some(moment_view(*starts)),
        ends: Some(moment_view(*ends)),
        resolved_starts_at: live.map(|_| timestamp(starts.at)),
        resolved_ends_at: live.map(|_| timestamp(ends.at)),
    }
}

pub(super) const fn stock_view(stock: Stock) -> pb::Stock {
    let Stock { received, free, held, paying, claimed, withdrawn, returned_total } = stock;
    pb::Stock { received, free, held, paying, claimed, withdrawn, returned_total }
}

/// Whom a rule is for; not set for everyone.
pub(super) fn audience_view(audience: &Audience) -> Option<pb::Audience> {
    let Audience { tiers, zones } = audience;
    (!audience.is_everyone()).then(|| pb::Audience { tiers: texts(tiers), zones: texts(zones) })
}

fn texts(ids: &[impl ToString]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

pub(super) fn moment_view(Moment { named, at: _ }: Moment) -> pb::Moment {
    use pb::moment::When;
    let when = match named {
        Named::At(at) => When::At(timestamp(at)),
        Named::AfterOpening(span) => {
            let prost_types::Duration { seconds, nanos } = duration(Millis(span.unsigned_abs()));
            // Only signals may be before the opening.
            let sign = if span < 0 { -1 } else { 1 };
            When::AfterOpen(prost_types::Duration {
                seconds: seconds.saturating_mul(sign.into()),
                nanos: nanos.saturating_mul(sign),
            })
        }
        Named::BeforeClosing(span) => When::BeforeClose(duration(span)),
        Named::Local { days, seconds } => {
            When::Local(pb::LocalTime { days_after_open: days, time: time_of_day(seconds) })
        }
    };
    pb::Moment { when: Some(when) }
}

/// As `18:00`, or with seconds if there are any.
fn time_of_day(seconds: u32) -> String {
    let [hours, minutes, seconds] = [seconds / 3_600, seconds / 60 % 60, seconds % 60];
    if seconds == 0 { format!("{hours:02}:{minutes:02}") } else { format!("{hours:02}:{minutes:02}:{seconds:02}") }
}

fn trigger_view(trigger: &Trigger) -> pb::Trigger {
    use pb::stock_level::Level as Wire;
    let StockLevel { sku, pool, level } = match trigger {
        Trigger::Moment(moment) => return pb::Trigger { on: Some(pb::trigger::On::Moment(moment_view(*moment))) },
        Trigger::Stock(level) => level,
    };
    let level = match level {
        Level::FreeAtMost(most) => Wire::FreeAtMost(*most),
        Level::Sold(points) => Wire::SoldBasisPoints(*points),
        Level::Taken(points) => Wire::TakenBasisPoints(*points),
    };
    let stock = pb::StockLevel {
        sku: sku.as_ref().map(ToString::to_string).unwrap_or_default(),
        pool: pool.as_ref().map(ToString::to_string).unwrap_or_default(),
        level: Some(level),
    };
    pb::Trigger { on: Some(pb::trigger::On::Stock(stock)) }
}

/// An amount of money.
pub(super) fn money_view(Money { currency, minor_units }: Money) -> pb::Money {
    pb::Money { currency_code: currency.as_str().to_owned(), minor_units }
}
