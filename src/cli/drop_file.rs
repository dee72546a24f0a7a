//! A drop as a YAML file: the contract's names in `snake_case`, short enums, spans like `5m`, times with an offset.
//!
//! Whatever is wrong is told with its line and column. Whether the values make a good drop is the server's to say.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde_saphyr::{Error, Location, Spanned};

use crate::config::span;
use crate::proto as pb;

/// Keys of the contract that are not built yet.
const UNBUILT: [&str; 7] = ["windows", "terms", "slot_required", "pools", "kind", "slot", "price_floor"];

/// The least that a file must say.
const SMALLEST: &str = "kind: Drop\nid: knife-1204\nitems: [{sku: KNIFE/20cm, quantity: 300}]\n";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DropFile {
    kind: Spanned<String>,
    id: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    shop: String,
    #[serde(default)]
    series: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    opens_at: Option<Spanned<String>>,
    closes_at: Option<Spanned<String>>,
    hold_ttl: Option<Spanned<String>>,
    max_hold_life: Option<Spanned<String>>,
    payment_ttl: Option<Spanned<String>>,
    items: Vec<ItemEntry>,
    #[serde(default)]
    limits: Vec<LimitEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ItemEntry {
    sku: String,
    quantity: Spanned<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitEntry {
    id: String,
    scope: Spanned<String>,
    #[serde(default)]
    skus: Vec<String>,
    #[serde(default)]
    identity_kind: String,
    max_units: Option<Spanned<String>>,
    #[serde(default)]
    max_units_by_tier: BTreeMap<String, Spanned<String>>,
    max_live_units: Option<Spanned<String>>,
    max_live_holds: Option<Spanned<String>>,
    rolling: Option<Spanned<String>>,
    cooldown: Option<Spanned<String>>,
}

/// A drop from the text of a file with this name.
///
/// # Errors
/// Everything that is wrong that can be told at once, each with line and column.
pub fn parse(name: &str, text: &str) -> Result<pb::Drop, String> {
    if says_nothing(text) {
        return Err(format!("{name} is empty; the least that a file must say is:\n\n{SMALLEST}"));
    }
    let file: DropFile = serde_saphyr::from_str(text).map_err(|error| explain(name, text, &error))?;
    let mut faults = Faults { name, lines: Vec::new() };
    if file.kind.value != "Drop" {
        faults.add(file.kind.referenced, format_args!("kind must be Drop, not {:?}", file.kind.value));
    }
    let drop = pb::Drop {
        opens_at: faults.instant(file.opens_at.as_ref(), "opens_at"),
        closes_at: faults.instant(file.closes_at.as_ref(), "closes_at"),
        hold_ttl: faults.span(file.hold_ttl.as_ref(), "hold_ttl"),
        max_hold_life: faults.span(file.max_hold_life.as_ref(), "max_hold_life"),
        payment_ttl: faults.span(file.payment_ttl.as_ref(), "payment_ttl"),
        id: file.id,
        title: file.title,
        shop: file.shop,
        series: file.series,
        labels: file.labels.into_iter().collect(),
        items: file.items.into_iter().map(|entry| faults.item(entry)).collect(),
        limits: file.limits.into_iter().map(|entry| faults.limit(entry)).collect(),
        ..pb::Drop::default()
    };
    if faults.lines.is_empty() { Ok(drop) } else { Err(faults.lines.join("\n")) }
}

/// Whether there is nothing but space, comments and marks of documents.
fn says_nothing(text: &str) -> bool {
    text.lines().map(str::trim).all(|line| line.is_empty() || line.starts_with('#') || line == "---")
}

struct Faults<'a> {
    name: &'a str,
    lines: Vec<String>,
}

impl Faults<'_> {
    fn add(&mut self, at: Location, fault: impl std::fmt::Display) {
        self.lines.push(format!("{}:{}:{}: {fault}", self.name, at.line(), at.column()));
    }

    fn item(&mut self, ItemEntry { sku, quantity }: ItemEntry) -> pb::Item {
        let quantity = self.whole(&quantity, "quantity", 0);
        pb::Item { sku, quantity, ..pb::Item::default() }
    }

    fn limit(&mut self, entry: LimitEntry) -> pb::Limit {
        let by_tier = entry.max_units_by_tier.into_iter();
        pb::Limit {
            id: entry.id,
            scope: self.scope(&entry.scope).into(),
            skus: entry.skus,
            identity_kind: entry.identity_kind,
            max_units: self.most(entry.max_units.as_ref(), "max_units"),
            max_units_by_tier: by_tier.map(|(tier, most)| (tier, self.whole(&most, "max_units_by_tier", 0))).collect(),
            max_live_units: self.most(entry.max_live_units.as_ref(), "max_live_units"),
            max_live_holds: self.most(entry.max_live_holds.as_ref(), "max_live_holds"),
            rolling: self.span(entry.rolling.as_ref(), "rolling"),
            cooldown: self.span(entry.cooldown.as_ref(), "cooldown"),
        }
    }

    fn most(&mut self, given: Option<&Spanned<String>>, key: &str) -> Option<u32> {
        Some(self.whole(given?, key, 0))
    }

    fn scope(&mut self, given: &Spanned<String>) -> pb::LimitScope {
        match given.value.as_str() {
            "item" => return pb::LimitScope::Item,
            "drop" => return pb::LimitScope::Drop,
            "series" => return pb::LimitScope::Series,
            "shop" => return pb::LimitScope::Shop,
            other => {
                self.add(given.referenced, format_args!("scope must be item, drop, series or shop, not {other:?}"));
            }
        }
        pb::LimitScope::Unspecified
    }

    /// A whole number. What is none is noted, and `instead` stands in until all is told.
    fn whole<N: FromStr>(&mut self, given: &Spanned<String>, key: &str, instead: N) -> N {
        let digits: String = given.value.split('_').collect();
        digits.parse().unwrap_or_else(|_bad| {
            let wanted = "must be a whole number, 0 or more";
            self.add(given.referenced, format_args!("{key} {wanted}, not {:?}", given.value));
            instead
        })
    }

    fn instant(&mut self, given: Option<&Spanned<String>>, key: &str) -> Option<prost_types::Timestamp> {
        let given = given?;
        let Ok(at) = given.value.parse::<jiff::Timestamp>() else {
            let wanted = "must be a time with an offset, such as 2026-12-04T18:00:00+01:00";
            self.add(given.referenced, format_args!("{key} {wanted}, not {:?}", given.value));
            return None;
        };
        Some(prost_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() })
    }

    fn span(&mut self, given: Option<&Spanned<String>>, key: &str) -> Option<prost_types::Duration> {
        let given = given?;
        match span(&given.value) {
            Ok(span) => Some(proto_span(span)),
            Err(wanted) => {
                self.add(given.referenced, format_args!("{key} {wanted}, not {:?}", given.value));
                None
            }
        }
    }
}

/// A span for the wire.
pub fn proto_span(span: Duration) -> prost_types::Duration {
    let seconds = i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    prost_types::Duration { seconds, nanos: i32::try_from(span.subsec_nanos()).unwrap_or(0) }
}

fn explain(name: &str, text: &str, error: &Error) -> String {
    let error = error.without_snippet();
    let place = error.location().unwrap_or(Location::UNKNOWN);
    let what = if let Error::SerdeUnknownField { field, expected, .. } = error {
        if UNBUILT.contains(&field.as_str()) {
            format!("{field} is not supported yet")
        } else {
            format!("unknown key {field}; keys here are {}", expected.join(", "))
        }
    } else {
        // Its own words end with the place, which stands in front already.
        let words = error.to_string();
        let words = words.split(" at line ").next().unwrap_or_default();
        key_before(text, place).map_or_else(|| words.to_owned(), |key| format!("{key}: {words}"))
    };
    format!("{name}:{}:{}: {what}", place.line(), place.column())
}

/// The key whose value stands at this place, if it stands in the same line.
fn key_before(text: &str, place: Location) -> Option<&str> {
    let line = text.lines().nth(usize::try_from(place.line()).ok()?.checked_sub(1)?)?;
    let column = usize::try_from(place.column()).ok()?.checked_sub(1)?;
    let end = line.char_indices().nth(column).map_or(line.len(), |(at, _)| at);
    let before = line.get(..end)?.trim_end().strip_suffix(':')?;
    let key = before.rsplit([' ', ',', '{', '[']).next()?;
    (!key.is_empty()).then_some(key)
}

#[cfg(test)]
mod tests {
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
            ("id: again\n", "knife.yaml:8:1: "),
            ("labels: [\n", "knife.yaml:"),
            ("title: [a]\n", "knife.yaml:8:8: title: "),
        ];
        for (line, told) in table {
            let error = parse("knife.yaml", &format!("{GOOD}{line}")).expect_err(line);
            assert!(error.starts_with(told), "{error}");
        }
    }

    #[test]
    fn nested_keys_are_told_too() {
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
}
