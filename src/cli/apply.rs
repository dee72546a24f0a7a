//! What `stockade drop apply` does with a drop that exists: which values stay because the file leaves them out, what
//! has changed, and how stock is changed instead.

use std::collections::BTreeMap;

use stockade_proto as pb;

use super::drop_file::LeftOut;
use super::show::{self, rules};

/// Keeps the values that the file leaves out, if leaving them out would open the drop, keep it open or remove its
/// limits. Returns a line for each kept value that makes a difference.
pub(super) fn keep(before: &pb::Drop, file: &mut pb::Drop, left_out: &[LeftOut]) -> Vec<String> {
    let is_to_open = matches!(before.state(), pb::DropState::Scheduled | pb::DropState::Paused);
    let stays = |key: &str, value: &str, otherwise: &str| {
        format!("the file leaves out {key}, and it stays {value}; {otherwise}")
    };
    let kept = left_out.iter().filter_map(|key| match key {
        LeftOut::OpensAt => {
            file.opens_at = before.opens_at;
            is_to_open
                .then(|| stays("opens_at", &show::instant(before.opens_at.as_ref()), "opens_at: now opens at once"))
        }
        LeftOut::ClosesAt => {
            file.closes_at = before.closes_at;
            let at = before.closes_at.as_ref()?;
            Some(stays("closes_at", &show::instant(Some(at)), "closes_at: never lets it run on"))
        }
        LeftOut::Limits => {
            file.limits.clone_from(&before.limits);
            let ids: Vec<_> = before.limits.iter().map(|limit| limit.id.as_str()).collect();
            (!ids.is_empty()).then(|| stays("limits", &ids.join(", "), "limits: [] removes all"))
        }
    });
    kept.collect()
}

/// The fields of a file that states none of the rules.
const PLAIN: [&str; 9] =
    ["title", "opens_at", "closes_at", "hold_ttl", "max_hold_life", "payment_ttl", "items", "limits", "labels"];

/// The fields to change: none for a file without rules, as ever. Otherwise they are named, with the rules that the file
/// states; an item that states none of its rules keeps them.
pub(super) fn mask(before: &pb::Drop, file: &mut pb::Drop, stated: &[&str]) -> Option<prost_types::FieldMask> {
    if stated.is_empty() && !file.items.iter().any(states_rules) {
        return None;
    }
    for item in file.items.iter_mut().filter(|item| !states_rules(item)) {
        let Some(known) = before.items.iter().find(|known| known.sku == item.sku) else { continue };
        let pools = if rules::is_general(known) { Vec::new() } else { known.pools.clone() };
        *item = pb::Item { quantity: item.quantity, pools, ..known.clone() };
    }
    // Without an instant it would mean now, and would be refused once the drop has opened.
    let stays_open = file.opens_at.is_none() && before.state() != pb::DropState::Scheduled;
    let named = |field: &&str| !(stays_open && *field == "opens_at");
    let own = [("shop", &file.shop), ("series", &file.series)].into_iter().filter(|(_, text)| !text.is_empty());
    let paths = PLAIN.into_iter().filter(named).chain(stated.iter().copied()).chain(own.map(|(field, _)| field));
    Some(prost_types::FieldMask { paths: paths.map(str::to_owned).collect() })
}

/// Whether an item of a file states more than its quantity.
fn states_rules(item: &pb::Item) -> bool {
    let pb::Item { sku: _, quantity: _, pools, stock: _, kind, slot, price_floor, unit_cost } = item;
    let is_plain = pools.is_empty() && *kind == 0 && slot.is_none() && price_floor.is_none() && unit_cost.is_none();
    !is_plain
}

/// How to change stock, if the file's quantity differs from the one that the drop was created with. The file may also
/// have the units received so far: then there is nothing to change.
pub(super) fn stock_advice(before: &pb::Drop, file: &mut pb::Drop) -> Option<String> {
    let mut lines = Vec::new();
    for item in &mut file.items {
        let Some(known) = before.items.iter().find(|known| known.sku == item.sku) else { continue };
        let received = known.stock.map_or(known.quantity, |stock| stock.received);
        if item.quantity == received {
            item.quantity = known.quantity;
        } else if item.quantity != known.quantity {
            let (drop, sku, units) = (&before.id, &item.sku, item.quantity);
            lines.push(format!("stockade drop adjust {drop} --sku {sku:?} --set {units} --expected {received}"));
        }
    }
    (!lines.is_empty()).then(|| format!("to change stock instead:\n    {}", lines.join("\n    ")))
}

/// What was changed in a drop, or would be.
pub(super) fn outcome(before: &pb::Drop, after: &pb::Drop, dry_run: bool) -> String {
    let changed = changed(before, after).join(", ");
    let (id, was, is) = (&before.id, before.revision, after.revision);
    match (dry_run, changed.is_empty()) {
        (false, true) => format!("drop {id} unchanged, revision {is}"),
        (false, false) => format!("drop {id} changed: {changed}; revision {was} became {is}"),
        (true, true) => format!("drop {id} would stay unchanged, revision {was}"),
        (true, false) => format!("drop {id} would be changed: {changed}; revision is {was}"),
    }
}

/// The differences of two definitions, a line each: `field: before -> after`.
pub(super) fn differences(before: &pb::Drop, after: &pb::Drop) -> Vec<String> {
    let span =
        |of: fn(&pb::Drop) -> &Option<prost_types::Duration>| [before, after].map(|drop| show::span(of(drop).as_ref()));
    let instant = |of: fn(&pb::Drop) -> &Option<prost_types::Timestamp>| {
        [before, after].map(|drop| show::instant(of(drop).as_ref()))
    };
    let mut facts = vec![
        ("title".to_owned(), [before, after].map(|drop| quoted(&drop.title))),
        ("opens_at".to_owned(), instant(|drop| &drop.opens_at)),
        ("closes_at".to_owned(), instant(|drop| &drop.closes_at)),
        ("hold_ttl".to_owned(), span(|drop| &drop.hold_ttl)),
        ("max_hold_life".to_owned(), span(|drop| &drop.max_hold_life)),
        ("payment_ttl".to_owned(), span(|drop| &drop.payment_ttl)),
    ];
    let labels = |drop: &pb::Drop| drop.labels.iter().map(|(key, value)| (key.clone(), quoted(value))).collect();
    facts.extend(named("labels", [labels(before), labels(after)]));
    let items = |drop: &pb::Drop| drop.items.iter().map(|item| (item.sku.clone(), rules::item(item))).collect();
    facts.extend(named("items", [items(before), items(after)]));
    let of_windows = |drop: &pb::Drop| drop.windows.iter().map(|of| (of.id.clone(), rules::window(of))).collect();
    facts.extend(named("windows", [of_windows(before), of_windows(after)]));
    let of_terms = |drop: &pb::Drop| drop.terms.iter().map(|of| (of.id.clone(), rules::terms(of))).collect();
    facts.extend(named("terms", [of_terms(before), of_terms(after)]));
    let of_tranches = |drop: &pb::Drop| drop.tranches.iter().map(|of| (of.id.clone(), rules::tranche(of))).collect();
    facts.extend(named("tranches", [of_tranches(before), of_tranches(after)]));
    let of_conduct = |drop: &pb::Drop| drop.conduct.iter().map(|of| (of.id.clone(), rules::conduct(of))).collect();
    facts.extend(named("conduct", [of_conduct(before), of_conduct(after)]));
    let of_signals = |drop: &pb::Drop| drop.signals.iter().map(|of| (of.id.clone(), rules::signal(of))).collect();
    facts.extend(named("signals", [of_signals(before), of_signals(after)]));
    let text = |of: fn(&pb::Drop) -> String| [before, after].map(of);
    facts.extend([
        ("slot_required".to_owned(), text(|drop| drop.slot_required.to_string())),
        ("time_zone".to_owned(), text(|drop| quoted(&drop.time_zone))),
        ("location".to_owned(), text(|drop| quoted(&drop.location))),
        ("scarcity".to_owned(), text(|drop| drop.scarcity.as_ref().map_or_else(|| "-".to_owned(), rules::scarcity))),
        ("zones".to_owned(), text(|drop| drop.zones.join(", "))),
    ]);
    let limits = |drop: &pb::Drop| drop.limits.iter().map(|limit| (limit.id.clone(), show::limit(limit))).collect();
    facts.extend(named("limits", [limits(before), limits(after)]));
    let order = |drop: &pb::Drop| drop.limits.iter().map(|limit| limit.id.as_str()).collect::<Vec<_>>().join(", ");
    facts.push(("order of limits".to_owned(), [before, after].map(order)));
    let differing = facts.into_iter().filter(|(_, [was, is])| was != is);
    differing.map(|(field, [was, is])| format!("{field}: {was} -> {is}")).collect()
}

/// The values of two drops under each name, or `-`.
fn named(field: &str, [before, after]: [BTreeMap<String, String>; 2]) -> Vec<(String, [String; 2])> {
    let names: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let shown = |drop: &BTreeMap<String, String>, name: &String| drop.get(name).map_or("-", String::as_str).to_owned();
    names.into_iter().map(|name| (format!("{field}[{name}]"), [shown(&before, name), shown(&after, name)])).collect()
}

fn quoted(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { format!("{text:?}") }
}

/// A drop without what is output only of its rules and items.
fn as_defined(drop: &pb::Drop) -> pb::Drop {
    let mut drop = drop.clone();
    for window in &mut drop.windows {
        (window.starts_at, window.ends_at) = (None, None);
    }
    drop.terms.iter_mut().flat_map(|terms| &mut terms.steps).for_each(|step| step.fired_at = None);
    drop.tranches.iter_mut().for_each(|tranche| tranche.fired_at = None);
    drop.signals.iter_mut().for_each(|signal| signal.fired_at = None);
    for item in &mut drop.items {
        item.stock = None;
        if let Some(slot) = &mut item.slot {
            (slot.resolved_starts_at, slot.resolved_ends_at) = (None, None);
        }
        for pool in &mut item.pools {
            pool.stock = None;
            pool.flows.iter_mut().for_each(|flow| flow.fired_at = None);
        }
    }
    drop
}

/// The fields in which two definitions differ.
fn changed(before: &pb::Drop, after: &pb::Drop) -> Vec<&'static str> {
    let (before, after) = (&as_defined(before), &as_defined(after));
    let fields = [
        ("title", before.title != after.title),
        ("labels", before.labels != after.labels),
        ("opens_at", before.opens_at != after.opens_at),
        ("closes_at", before.closes_at != after.closes_at),
        ("hold_ttl", before.hold_ttl != after.hold_ttl),
        ("max_hold_life", before.max_hold_life != after.max_hold_life),
        ("payment_ttl", before.payment_ttl != after.payment_ttl),
        ("items", before.items != after.items),
        ("limits", before.limits != after.limits),
        ("windows", before.windows != after.windows),
        ("terms", before.terms != after.terms),
        ("slot_required", before.slot_required != after.slot_required),
        ("time_zone", before.time_zone != after.time_zone),
        ("location", before.location != after.location),
        ("tranches", before.tranches != after.tranches),
        ("zones", before.zones != after.zones),
        ("conduct", before.conduct != after.conduct),
        ("signals", before.signals != after.signals),
        ("scarcity", before.scarcity != after.scarcity),
    ];
    fields.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drop(quantity: u64, received: u64) -> pb::Drop {
        let stock = Some(pb::Stock { received, ..pb::Stock::default() });
        let items = vec![pb::Item { sku: "K".into(), quantity, stock, ..pb::Item::default() }];
        pb::Drop { id: "knife".into(), items, revision: 7, ..pb::Drop::default() }
    }

    #[test]
    fn a_file_may_say_what_there_was_first_or_what_there_is_by_now() {
        for says in [300, 350] {
            let mut file = drop(says, 0);
            assert_eq!(stock_advice(&drop(300, 350), &mut file), None);
            assert_eq!(file.items[0].quantity, 300);
        }
        let mut file = drop(400, 0);
        let advice = stock_advice(&drop(300, 350), &mut file).expect("advice");
        assert!(advice.contains("stockade drop adjust knife --sku \"K\" --set 400 --expected 350"), "{advice}");
        assert_eq!(file.items[0].quantity, 400, "the server says no");
    }

    #[test]
    fn what_has_changed_is_told_by_name() {
        let before = drop(1, 1);
        assert_eq!(outcome(&before, &before, false), "drop knife unchanged, revision 7");
        assert_eq!(outcome(&before, &before, true), "drop knife would stay unchanged, revision 7");
        let after = pb::Drop { title: "t".into(), revision: 9, ..before.clone() };
        assert_eq!(outcome(&before, &after, false), "drop knife changed: title; revision 7 became 9");
        assert_eq!(outcome(&before, &after, true), "drop knife would be changed: title; revision is 7");
    }

    const fn at(seconds: i64) -> prost_types::Timestamp {
        prost_types::Timestamp { seconds, nanos: 0 }
    }

    fn limit(id: &str, max_units: u32) -> pb::Limit {
        pb::Limit {
            id: id.into(),
            scope: pb::LimitScope::Drop.into(),
            max_units: Some(max_units),
            ..pb::Limit::default()
        }
    }

    #[test]
    fn what_would_open_or_unbind_a_drop_stays_and_is_said() {
        use LeftOut::{ClosesAt, Limits, OpensAt};
        let bound = pb::Drop {
            state: pb::DropState::Scheduled.into(),
            opens_at: Some(at(1_796_403_600)),
            closes_at: Some(at(1_796_410_800)),
            limits: vec![limit("two", 2)],
            ..drop(1, 1)
        };
        let mut file = drop(1, 1);
        let said = keep(&bound, &mut file, &[OpensAt, ClosesAt, Limits]);
        assert_eq!((file.opens_at, file.closes_at, &file.limits), (bound.opens_at, bound.closes_at, &bound.limits));
        assert_eq!(
            said,
            [
                "the file leaves out opens_at, and it stays 2026-12-04T17:00:00.000Z; opens_at: now opens at once",
                "the file leaves out closes_at, and it stays 2026-12-04T19:00:00.000Z; closes_at: never lets it run on",
                "the file leaves out limits, and it stays two; limits: [] removes all",
            ]
        );
        let mut file = drop(1, 1);
        assert_eq!(keep(&bound, &mut file, &[]), Vec::<String>::new());
        assert_eq!((file.opens_at, file.closes_at, file.limits.len()), (None, None, 0), "the file says so");
        let open = pb::Drop { state: pb::DropState::Open.into(), opens_at: Some(at(5)), ..drop(1, 1) };
        let said = keep(&open, &mut drop(1, 1), &[OpensAt, ClosesAt, Limits]);
        assert_eq!(said, Vec::<String>::new(), "nothing would have become of it");
    }

    #[test]
    fn differences_are_lines_of_before_and_after() {
        let before = pb::Drop {
            title: "Knives".into(),
            opens_at: Some(at(1_796_403_600)),
            hold_ttl: Some(prost_types::Duration { seconds: 300, nanos: 0 }),
            labels: [("season".to_owned(), "winter".to_owned())].into(),
            limits: vec![limit("two", 2), limit("all", 9)],
            ..drop(1, 1)
        };
        assert_eq!(differences(&before, &before), Vec::<String>::new());
        let mut after = pb::Drop {
            title: "Better\u{1b}[2J".into(),
            opens_at: Some(at(1_796_403_601)),
            closes_at: Some(at(1_796_410_800)),
            hold_ttl: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
            labels: [("year".to_owned(), "2026".to_owned())].into(),
            limits: vec![limit("two", 3), limit("each", 1)],
            ..before.clone()
        };
        after.items.push(pb::Item { sku: "SHEATH".into(), quantity: 5, ..pb::Item::default() });
        assert_eq!(
            differences(&before, &after),
            [
                r#"title: "Knives" -> "Better\u{1b}[2J""#,
                "opens_at: 2026-12-04T17:00:00.000Z -> 2026-12-04T17:00:01.000Z",
                "closes_at: - -> 2026-12-04T19:00:00.000Z",
                "hold_ttl: 5m -> 1m",
                r#"labels[season]: "winter" -> -"#,
                r#"labels[year]: - -> "2026""#,
                "items[SHEATH]: - -> 5",
                "limits[all]: at most 9 units for each customer in this drop -> -",
                "limits[each]: - -> at most 1 unit for each customer in this drop",
                "limits[two]: at most 2 units for each customer in this drop -> at most 3 units for each customer in this drop",
                "order of limits: two, all -> two, each",
            ]
        );
    }
}
