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
        ("windows: []\n", "knife.yaml:8:1: windows is not supported yet"),
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
    let Wanted { drop, left_out } = read("k", &said).expect("good");
    assert_eq!(left_out, []);
    assert_eq!((drop.opens_at, drop.closes_at, drop.limits.len()), (None, None, 0));
    for wrong in ["opens_at: never", "closes_at: now"] {
        assert!(parse("k", &format!("{SMALLEST}{wrong}\n")).is_err(), "{wrong}");
    }
}

#[test]
fn nested_keys_are_told_too() {
    let cost = GOOD.replace("quantity: 300}", "quantity: 300, unit_cost: {}}");
    assert_eq!(parse("k", &cost).expect_err("unbuilt"), "k:6:42: unit_cost is not supported yet");
    let pools = GOOD.replace("quantity: 300}", "quantity: 300, pools: []}");
    assert_eq!(parse("k", &pools).expect_err("unbuilt"), "k:6:42: pools is not supported yet");
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
