//! A drop's rules as YAML.

use stockade_proto as pb;

use crate::yaml::{quoted, span};

/// A mapping of the keys that have a value.
fn mapping<const N: usize>(parts: [(&str, Option<String>); N]) -> String {
    let written = parts.into_iter().filter_map(|(key, value)| Some(format!("{key}: {}", value?)));
    format!("{{{}}}", written.collect::<Vec<_>>().join(", "))
}

fn list(entries: impl Iterator<Item = String>) -> String {
    format!("[{}]", entries.collect::<Vec<_>>().join(", "))
}

pub(crate) fn texts(texts: &[String]) -> String {
    list(texts.iter().map(|text| quoted(text)))
}

fn audience(audience: Option<&pb::Audience>) -> Option<String> {
    audience
        .map(|pb::Audience { tiers, zones }| mapping([("tiers", Some(texts(tiers))), ("zones", Some(texts(zones)))]))
}

fn money(money: Option<&pb::Money>) -> Option<String> {
    let written = |pb::Money { currency_code, minor_units }: &pb::Money| {
        mapping([("currency_code", Some(quoted(currency_code))), ("minor_units", Some(minor_units.to_string()))])
    };
    money.map(written)
}

fn share(points: u32) -> String {
    format!("{}.{:02}%", points / 100, points % 100)
}

/// The one key of a moment.
fn moment_parts(moment: &pb::Moment) -> [(&'static str, Option<String>); 1] {
    use pb::moment::When;
    [match moment.when.as_ref().expect("one of its keys") {
        When::At(at) => ("at", Some(jiff::Timestamp::new(at.seconds, at.nanos).expect("an instant").to_string())),
        When::AfterOpen(after) => ("after_open", Some(span(*after))),
        When::BeforeClose(before) => ("before_close", Some(span(*before))),
        When::Local(pb::LocalTime { days_after_open, time }) => {
            let parts = [("days_after_open", Some(days_after_open.to_string())), ("time", Some(quoted(time)))];
            ("local", Some(mapping(parts)))
        }
    }]
}

fn moment(moment: Option<&pb::Moment>) -> Option<String> {
    moment.map(|moment| mapping(moment_parts(moment)))
}

fn trigger(trigger: Option<&pb::Trigger>) -> Option<String> {
    use pb::stock_level::Level;
    use pb::trigger::On;
    let pb::StockLevel { sku, pool, level } = match trigger?.on.as_ref().expect("one of its keys") {
        On::Moment(moment) => return Some(mapping(moment_parts(moment))),
        On::Stock(level) => level,
    };
    let level = match level.as_ref().expect("a level") {
        Level::FreeAtMost(most) => ("free_at_most", Some(most.to_string())),
        Level::SoldBasisPoints(points) => ("sold", Some(share(*points))),
        Level::TakenBasisPoints(points) => ("taken", Some(share(*points))),
    };
    Some(mapping([level, ("sku", Some(quoted(sku))), ("pool", Some(quoted(pool)))]))
}

pub(crate) fn item(item: &pb::Item) -> String {
    let kind = match item.kind() {
        pb::ItemKind::Unspecified => None,
        pb::ItemKind::Goods => Some("goods".to_owned()),
        pb::ItemKind::Slot => Some("slot".to_owned()),
    };
    let slot = |pb::Slot { place, starts, ends, .. }: &pb::Slot| {
        let place = ("place", Some(quoted(place)));
        mapping([place, ("starts", moment(starts.as_ref())), ("ends", moment(ends.as_ref()))])
    };
    mapping([
        ("sku", Some(quoted(&item.sku))),
        ("quantity", Some(item.quantity.to_string())),
        ("pools", Some(list(item.pools.iter().map(pool)))),
        ("kind", kind),
        ("slot", item.slot.as_ref().map(slot)),
        ("price_floor", money(item.price_floor.as_ref())),
        ("unit_cost", money(item.unit_cost.as_ref())),
    ])
}

fn pool(pool: &pb::Pool) -> String {
    use pb::pool::Size;
    let flow = |flow: &pb::Flow| mapping([("to", Some(quoted(&flow.to))), ("when", trigger(flow.when.as_ref()))]);
    let size = match pool.size {
        None => ("units", None),
        Some(Size::Units(units)) => ("units", Some(units.to_string())),
        Some(Size::ShareBasisPoints(points)) => ("share", Some(share(points))),
    };
    mapping([
        ("id", Some(quoted(&pool.id))),
        ("audience", audience(pool.audience.as_ref())),
        size,
        ("flows", Some(list(pool.flows.iter().map(flow)))),
        ("place", Some(quoted(&pool.place))),
    ])
}

pub(crate) fn windows(drop: &pb::Drop) -> String {
    let window = |window: &pb::Window| {
        mapping([
            ("id", Some(quoted(&window.id))),
            ("audience", audience(window.audience.as_ref())),
            ("skus", Some(texts(&window.skus))),
            ("pools", Some(texts(&window.pools))),
            ("starts", moment(window.starts.as_ref())),
            ("ends", moment(window.ends.as_ref())),
            ("hold_ttl", window.hold_ttl.map(span)),
        ])
    };
    list(drop.windows.iter().map(window))
}

pub(crate) fn terms(drop: &pb::Drop) -> String {
    let step =
        |step: &pb::PriceStep| mapping([("when", trigger(step.when.as_ref())), ("price", money(step.price.as_ref()))]);
    let terms = |terms: &pb::Terms| {
        mapping([
            ("id", Some(quoted(&terms.id))),
            ("audience", audience(terms.audience.as_ref())),
            ("skus", Some(texts(&terms.skus))),
            ("pools", Some(texts(&terms.pools))),
            ("starts", moment(terms.starts.as_ref())),
            ("ends", moment(terms.ends.as_ref())),
            ("price", money(terms.price.as_ref())),
            ("steps", Some(list(terms.steps.iter().map(step)))),
        ])
    };
    list(drop.terms.iter().map(terms))
}

pub(crate) fn tranches(drop: &pb::Drop) -> String {
    let tranche = |tranche: &pb::Tranche| {
        mapping([
            ("id", Some(quoted(&tranche.id))),
            ("sku", Some(quoted(&tranche.sku))),
            ("pool", Some(quoted(&tranche.pool))),
            ("units", Some(tranche.units.to_string())),
            ("when", trigger(tranche.when.as_ref())),
        ])
    };
    list(drop.tranches.iter().map(tranche))
}

pub(crate) fn signals(drop: &pb::Drop) -> String {
    let signal = |signal: &pb::Signal| {
        let labels = signal.labels.iter().map(|(key, value)| format!("{}: {}", quoted(key), quoted(value)));
        mapping([
            ("id", Some(quoted(&signal.id))),
            ("on", trigger(signal.on.as_ref())),
            ("audience", audience(signal.audience.as_ref())),
            ("channels", Some(texts(&signal.channels))),
            ("repeat_after", signal.repeat_after.map(span)),
            ("valid_for", signal.valid_for.map(span)),
            ("labels", Some(format!("{{{}}}", labels.collect::<Vec<_>>().join(", ")))),
        ])
    };
    list(drop.signals.iter().map(signal))
}

pub(crate) fn scarcity(scarcity: &pb::Scarcity) -> String {
    let band = |band: &pb::Band| {
        mapping([("id", Some(quoted(&band.id))), ("min_free", Some(share(band.min_free_basis_points)))])
    };
    mapping([("bands", Some(list(scarcity.bands.iter().map(band)))), ("min_interval", scarcity.min_interval.map(span))])
}
