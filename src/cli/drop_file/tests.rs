//! Drop files: what a good one is read as, and how each fault is reported.

use super::*;

const GOOD: &str = "kind: Drop
id: knife-1204
opens_at: 2026-12-04T18:00:00+01:00
closes_at: 2026-12-04T20:00:00+01:00
hold_ttl: 5m
items: [{sku: KNIFE/20cm, quantity: 300}]
limits: [{id: two-each, scope: drop, max_units: 2}]
";

#[test]
fn a_file_is_a_drop() {
    let drop = parse("knife.yaml", GOOD).expect("good");
    assert_eq!(drop.id, "knife-1204");
    assert_eq!(drop.opens_at.map(|at| at.seconds), Some(1_796_403_600));
    assert_eq!(drop.hold_ttl, Some(prost_types::Duration { seconds: 300, nanos: 0 }));
    assert_eq!((drop.items[0].sku.as_str(), drop.items[0].quantity), ("KNIFE/20cm", 300));
    assert_eq!((drop.limits[0].scope(), drop.limits[0].max_units), (pb::LimitScope::Drop, Some(2)));
}

#[test]
fn whatever_is_wrong_is_told_with_line_and_column() {
    let table = [
        ("colour: red\n", "knife.yaml:8:1: unknown key colour; keys here are kind, id"),
        ("waitlist: {}\n", "knife.yaml:8:1: waitlist is not supported yet"),
        ("max_hold_life: soon\n", "knife.yaml:8:16: max_hold_life must be a duration"),
        ("id: again\n", "knife.yaml:8:1: the key id is given twice"),
        ("labels: [a]\n", "knife.yaml:8:9: labels: must be keys with values, such as {a: b}"),
        ("labels: [\n", "knife.yaml:"),
        ("title: [a]\n", "knife.yaml:8:8: title: must be a text or a number"),
        ("title:\n", "knife.yaml:8:6: title: must not be left empty"),
        ("title: *a\n", "knife.yaml:8:8: title: there is no anchor (&) of that name before"),
        ("---\nkind: Drop\n", "knife.yaml:9:1: a file has one drop, but a second document begins here"),
    ];
    for (line, message) in table {
        let error = parse("knife.yaml", &format!("{GOOD}{line}")).expect_err(line);
        assert!(error.starts_with(message), "{error}");
    }
}

/// Words of the parser.
const THEIRS: [&str; 9] =
    ["from_str", "serde", "deserializ", "Spanned", "scalar", "mapping", "sequence", "simple key", "expected"];

#[test]
fn the_parsers_own_words_reach_nobody() {
    let mut texts: Vec<String> =
        ["{", "[", "a: b: c", "\"", "- a", "5", "kind: Drop\n- x", "%YAML 9", "\t", "? a", "a: &b *b"]
            .map(str::to_owned)
            .into();
    for at in 0..GOOD.len() {
        texts.push(GOOD[..at].to_owned());
        texts.extend(
            ["{", "}", "]", "\"", "*", "!", "&", "- ", "\t", "|", "\u{0}"]
                .map(|piece| format!("{}{piece}{}", &GOOD[..at], &GOOD[at..])),
        );
    }
    for text in texts {
        let Err(error) = parse("k", &text) else { continue };
        let theirs = THEIRS.iter().find(|word| error.contains(*word));
        assert_eq!(theirs, None, "{error}\nof {text:?}");
        let placed = error.lines().all(|line| {
            let mut parts = line.splitn(4, ':').skip(1);
            let mut number = || parts.next().is_some_and(|part| part.parse::<u64>().is_ok());
            number() && number()
        });
        assert!(placed || error.starts_with("k is empty"), "{error}");
    }
}

#[test]
fn what_is_left_out_is_known_and_words_say_it_on_purpose() {
    use LeftOut::{ClosesAt, Limits, OpensAt};
    let left_out = |text: &str| read("k", text).expect("good").left_out;
    assert_eq!(left_out(GOOD), []);
    assert_eq!(left_out(SMALLEST), [OpensAt, ClosesAt, Limits]);
    let said = format!("{SMALLEST}opens_at: now\ncloses_at: never\nlimits: []\n");
    let Wanted { drop, left_out, stated } = read("k", &said).expect("good");
    assert_eq!((left_out, stated.len()), (Vec::new(), 0));
    assert_eq!((drop.opens_at, drop.closes_at, drop.limits.len()), (None, None, 0));
    for wrong in ["opens_at: never", "closes_at: now"] {
        assert!(parse("k", &format!("{SMALLEST}{wrong}\n")).is_err(), "{wrong}");
    }
}

#[test]
fn nested_keys_are_told_too() {
    let cost = GOOD.replace("quantity: 300}", "quantity: 300, unit_cost: {}}");
    assert_eq!(parse("k", &cost).expect_err("empty"), "k:6:53: the key currency_code is missing");
    let pools = GOOD.replace("quantity: 300}", "quantity: 300, pools: [{id: a, colour: red}]}");
    let error = parse("k", &pools).expect_err("unknown");
    assert!(error.starts_with("k:6:58: unknown key colour; keys here are id, audience, units"), "{error}");
    let galaxy = GOOD.replace("scope: drop", "scope: galaxy");
    let error = parse("k", &galaxy).expect_err("unknown");
    assert!(error.starts_with("k:7:32: ") && error.contains("galaxy"), "{error}");
    let missing = GOOD.replace("id: knife-1204\n", "");
    assert!(parse("k", &missing).expect_err("missing").contains("id"));
}

#[test]
fn numbers_are_told_by_their_key() {
    for wrong in ["many", "-1", "1.5", "\"\""] {
        let text = GOOD.replace("300", wrong).replace("max_units: 2", &format!("max_units: {wrong}"));
        let error = parse("k", &text).expect_err(wrong);
        let lines: Vec<_> = error.lines().collect();
        assert_eq!(lines.len(), 2, "{error}");
        assert!(lines[0].starts_with("k:6:37: quantity must be a whole number, 0 or more, not "), "{error}");
        assert!(lines[1].starts_with("k:7:49: max_units must be a whole number, 0 or more, not "), "{error}");
    }
    assert_eq!(parse("k", &GOOD.replace("300", "1_000")).expect("good").items[0].quantity, 1_000);
}

#[test]
fn a_limit_has_all_its_parts() {
    let text = "kind: Drop
id: knife-1204
series: winter
items: [{sku: A, quantity: 1}]
limits:
  - id: cards
    scope: series
    skus: [A, B]
    identity_kind: card
    max_units: 2
    max_units_by_tier: {gold: 4, silver: 3}
    max_live_units: 1
    max_live_holds: 0
    rolling: 30 days
    cooldown: 500ms
  - {id: all, scope: shop, max_units: 9}
";
    let drop = parse("k", text).expect("good");
    assert_eq!((drop.series.as_str(), drop.limits[1].scope()), ("winter", pb::LimitScope::Shop));
    let span = |seconds, nanos| Some(prost_types::Duration { seconds, nanos });
    let wanted = pb::Limit {
        id: "cards".into(),
        scope: pb::LimitScope::Series.into(),
        skus: vec!["A".into(), "B".into()],
        identity_kind: "card".into(),
        max_units: Some(2),
        max_units_by_tier: [("gold".to_owned(), 4), ("silver".to_owned(), 3)].into(),
        max_live_units: Some(1),
        max_live_holds: Some(0),
        rolling: span(30 * 86_400, 0),
        cooldown: span(0, 500_000_000),
    };
    assert_eq!(drop.limits[0], wanted);
    let bad = text.replace("gold: 4", "gold: many").replace("500ms", "soon").replace("30 days", "ever");
    let error = parse("k", &bad).expect_err("faulty");
    assert!(error.contains("k:11:31: max_units_by_tier must be a whole number"), "{error}");
    assert!(error.contains("rolling must be a duration") && error.contains("cooldown must be"), "{error}");
}

#[test]
fn an_empty_file_is_shown_what_is_needed_and_that_is_enough() {
    for empty in ["", "\n \n", "# a drop\n---\n"] {
        let error = parse("k.yaml", empty).expect_err("empty");
        assert!(error.starts_with("k.yaml is empty") && error.ends_with(SMALLEST), "{error}");
    }
    assert_eq!(parse("k", SMALLEST).expect("good").items.len(), 1);
}

#[test]
fn faulty_values_are_told_together() {
    let bad = GOOD.replace("kind: Drop", "kind: Sale").replace("5m", "five").replace("T20:00:00+01:00", "");
    let error = parse("k", &bad).expect_err("faulty");
    let lines: Vec<_> = error.lines().collect();
    assert_eq!(lines.len(), 3, "{error}");
    assert!(lines[0].starts_with("k:1:7: kind must be Drop"), "{error}");
    assert!(lines[1].starts_with("k:4:12: closes_at must be a time with an offset"), "{error}");
    assert!(lines[2].starts_with("k:5:11: hold_ttl must be a duration"), "{error}");
}

/// A drop with every rule.
const FULL: &str = "kind: Drop
id: night-market
time_zone: Europe/Berlin
location: Hall 3
zones: [kreuzberg]
slot_required: true
items:
  - sku: KNIFE
    quantity: 100
    price_floor: 9 EUR
    unit_cost: {currency_code: EUR, minor_units: 450}
    pools:
      - id: members
        share: 12.5%
        audience: {tiers: [member], zones: [kreuzberg, mitte]}
        flows:
          - {to: public, when: {after_open: 10m}}
          - {to: public, when: {taken: 90%, pool: public}}
          - {to: counter}
      - {id: public}
      - {id: counter, units: 5, place: Market hall}
  - sku: EIGHT
    quantity: 20
    kind: slot
    slot:
      place: Market hall
      starts: {local: {time: \"20:00\"}}
      ends: {local: {days_after_open: 1, time: 01:00:30}}
windows:
  - {id: members, audience: {tiers: [member]}, skus: [KNIFE, EIGHT], pools: [members, general], hold_ttl: 10m}
  - {id: all, starts: {after_open: 10m}, ends: {before_close: 5m}}
terms:
  - id: early
    skus: [KNIFE]
    pools: [public]
    price: 12.50 EUR
    ends: {at: 2026-12-04T19:00:00+01:00}
    steps:
      - {when: {free_at_most: 50}, price: 14 EUR}
      - {when: {sold: 75%, sku: KNIFE}, price: {currency_code: EUR, minor_units: 1600}}
tranches:
  - {id: second, sku: KNIFE, pool: public, units: 50, when: {after_open: 1h}}
";

#[test]
fn every_rule_of_a_file_is_sent() {
    use pb::moment::When;
    use pb::stock_level::Level;
    let Wanted { drop, stated, .. } = read("k", FULL).expect("good");
    let all = ["windows", "terms", "slot_required", "time_zone", "location", "tranches", "zones"];
    assert_eq!(stated, all);
    let span = |seconds| prost_types::Duration { seconds, nanos: 0 };
    let moment = |when| Some(pb::Moment { when: Some(when) });
    let [knife, slot] = drop.items.as_slice() else { panic!("two items: {:?}", drop.items) };
    let euros = |minor_units| Some(pb::Money { currency_code: "EUR".into(), minor_units });
    assert_eq!((&knife.price_floor, &knife.unit_cost), (&euros(900), &euros(450)));
    let [members, public, counter] = knife.pools.as_slice() else { panic!("three pools: {:?}", knife.pools) };
    assert_eq!(members.size, Some(pb::pool::Size::ShareBasisPoints(1_250)));
    assert_eq!(
        (public.size, counter.size, counter.place.as_str()),
        (None, Some(pb::pool::Size::Units(5)), "Market hall")
    );
    let on = |flow: &pb::Flow| flow.when.as_ref().and_then(|when| when.on.clone());
    let stock = |sku: &str, pool: &str, level| {
        let level = pb::StockLevel { sku: sku.into(), pool: pool.into(), level: Some(level) };
        Some(pb::trigger::On::Stock(level))
    };
    assert_eq!(on(&members.flows[0]), moment(When::AfterOpen(span(600))).map(pb::trigger::On::Moment));
    assert_eq!(on(&members.flows[1]), stock("", "public", Level::TakenBasisPoints(9_000)));
    assert_eq!(members.flows[2].when, None, "by hand");
    let of_slot = slot.slot.as_ref().expect("a slot");
    let local = |days_after_open, time: &str| moment(When::Local(pb::LocalTime { days_after_open, time: time.into() }));
    assert_eq!(
        (slot.kind(), &of_slot.starts, &of_slot.ends),
        (pb::ItemKind::Slot, &local(0, "20:00"), &local(1, "01:00:30"))
    );
    assert_eq!((&drop.windows[0].skus.len(), drop.windows[0].hold_ttl), (&2, Some(span(600))));
    assert_eq!(drop.windows[1].ends, moment(When::BeforeClose(span(300))));
    let terms = &drop.terms[0];
    assert_eq!((&terms.price, &terms.steps[1].price), (&euros(1_250), &euros(1_600)));
    let of_step = |step: &pb::PriceStep| step.when.as_ref().and_then(|when| when.on.clone());
    assert_eq!(of_step(&terms.steps[0]), stock("", "", Level::FreeAtMost(50)));
    assert_eq!(of_step(&terms.steps[1]), stock("KNIFE", "", Level::SoldBasisPoints(7_500)));
    assert_eq!((drop.tranches[0].pool.as_str(), drop.tranches[0].units), ("public", 50));
    assert_eq!((drop.time_zone.as_str(), drop.slot_required, &drop.zones[0][..]), ("Europe/Berlin", true, "kreuzberg"));
}

#[test]
fn what_is_wrong_with_a_rule_is_told_with_line_and_column() {
    let table = [
        ("share: 12.5%", "share: 12", "k:14:16: share must be a share such as 12% or 12.5%"),
        ("units: 5,", "units: 5, share: 1%,", "k:21:40: a pool must have units or share, not both"),
        (
            "{to: public, when: {after_open: 10m}}",
            "{to: public, when: {}}",
            "k:17:32: when must have one of at, after_open",
        ),
        ("{taken: 90%, pool: public}", "{taken: 90%, after_open: 1m}", "k:18:32: when must have one of at, after_open"),
        ("{after_open: 1h}", "{after_open: 1h, sku: KNIFE}", "k:42:61: when must have sku and pool only with"),
        ("{before_close: 5m}", "{before_close: 5m, after_open: 1m}", "k:31:48: ends must have one of at, after_open"),
        ("{before_close: 5m}", "{before_close: soon}", "k:31:63: before_close must be a duration"),
        ("price: 12.50 EUR", "price: 12.505 EUR", "k:36:12: price must be an amount such as 12.50 EUR, or"),
        ("price: 12.50 EUR", "price: 12.50", "k:36:12: price must be an amount such as 12.50 EUR, or"),
        ("minor_units: 450", "minor_units: few", "k:11:50: minor_units must be a whole number, 0 or more"),
        ("days_after_open: 1", "days_after_open: soon", "k:28:39: days_after_open must be a whole number"),
        ("kind: slot", "kind: ticket", "k:24:11: kind must be goods or slot"),
        ("slot_required: true", "slot_required: perhaps", "k:6:16: slot_required must be true or false"),
        ("units: 50, ", "", "k:42:44: the key units is missing"),
        ("price: 14 EUR", "amount: 14 EUR", "k:39:36: unknown key amount; keys here are when, price"),
    ];
    for (good, bad, message) in table {
        assert!(FULL.contains(good), "{good}");
        let error = parse("k", &FULL.replace(good, bad)).expect_err(bad);
        assert!(error.starts_with(message), "{bad}: {error}\nwanted {message}");
    }
}
