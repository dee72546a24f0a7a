//! A drop as a YAML file: the contract's names in `snake_case`, short enums, durations like `5m`, times with an
//! offset.
//!
//! Every fault is reported with its line and column. The server checks the values.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_saphyr::{Error, Location, Spanned};
use stockade_proto as pb;

use crate::config::span;

/// Keys of the contract that are not built yet, for a drop and for an item.
const UNBUILT: &str = "windows terms slot_required time_zone location tranches signals scarcity conduct zones waiting_room \
    waitlist pools kind slot price_floor unit_cost";

/// The smallest valid file.
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
    #[serde(default, deserialize_with = "given")]
    limits: Option<Vec<LimitEntry>>,
}

/// Distinguishes a key that is left out, which is `None`, from one that is left empty, which is an error as for any
/// list.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
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

/// A drop in a file.
#[derive(Debug)]
pub struct Wanted {
    /// The drop.
    pub drop: pb::Drop,
    /// The keys that the file leaves out and without which a drop is open or has no limits.
    pub left_out: Vec<LeftOut>,
}

/// A key whose absence would open a drop, keep it open, or remove its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// Without it a drop opens at once.
    OpensAt,
    /// Without it a drop never closes.
    ClosesAt,
    /// Without it a customer may have any number of units.
    Limits,
}

/// The value of `opens_at` for opening at once.
const NOW: &str = "now";
/// The value of `closes_at` for never closing by itself.
const NEVER: &str = "never";

/// Reads a drop from the text of a file with this name.
///
/// # Errors
/// As [`read`].
pub fn parse(name: &str, text: &str) -> Result<pb::Drop, String> {
    read(name, text).map(|Wanted { drop, left_out: _ }| drop)
}

/// Reads a drop from the text of a file with this name, and which keys it leaves out.
///
/// # Errors
/// All faults that can be found at once, each with line and column.
pub fn read(name: &str, text: &str) -> Result<Wanted, String> {
    if says_nothing(text) {
        return Err(format!("{name} is empty; the least that a file must say is:\n\n{SMALLEST}"));
    }
    let file: DropFile = serde_saphyr::from_str(text).map_err(|error| explain(name, text, &error))?;
    let mut faults = FileFaults { name, lines: Vec::new() };
    if file.kind.value != "Drop" {
        faults.add(file.kind.referenced, format_args!("kind must be Drop, not {:?}", file.kind.value));
    }
    let left_out = [
        (LeftOut::OpensAt, file.opens_at.is_none()),
        (LeftOut::ClosesAt, file.closes_at.is_none()),
        (LeftOut::Limits, file.limits.is_none()),
    ];
    let left_out = left_out.into_iter().filter(|(_, is_left_out)| *is_left_out).map(|(key, _)| key).collect();
    let drop = pb::Drop {
        opens_at: faults.instant(file.opens_at.as_ref(), "opens_at", NOW),
        closes_at: faults.instant(file.closes_at.as_ref(), "closes_at", NEVER),
        hold_ttl: faults.span(file.hold_ttl.as_ref(), "hold_ttl"),
        max_hold_life: faults.span(file.max_hold_life.as_ref(), "max_hold_life"),
        payment_ttl: faults.span(file.payment_ttl.as_ref(), "payment_ttl"),
        id: file.id,
        title: file.title,
        shop: file.shop,
        series: file.series,
        labels: file.labels.into_iter().collect(),
        items: file.items.into_iter().map(|entry| faults.item(entry)).collect(),
        limits: file.limits.into_iter().flatten().map(|entry| faults.limit(entry)).collect(),
        ..pb::Drop::default()
    };
    if faults.lines.is_empty() { Ok(Wanted { drop, left_out }) } else { Err(faults.lines.join("\n")) }
}

/// Whether there is nothing but space, comments and document markers.
fn says_nothing(text: &str) -> bool {
    text.lines().map(str::trim).all(|line| line.is_empty() || line.starts_with('#') || line == "---")
}

/// Turns a file's entries into the contract's messages, and keeps what is faulty in them, with its place.
struct FileFaults<'a> {
    name: &'a str,
    lines: Vec<String>,
}

impl FileFaults<'_> {
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

    /// A whole number. Otherwise a fault is recorded and `instead` is returned, so that checking goes on.
    fn whole<N: FromStr>(&mut self, given: &Spanned<String>, key: &str, instead: N) -> N {
        let digits: String = given.value.split('_').collect();
        digits.parse().unwrap_or_else(|_bad| {
            let wanted = "must be a whole number, 0 or more";
            self.add(given.referenced, format_args!("{key} {wanted}, not {:?}", given.value));
            instead
        })
    }

    /// An instant; `None` also for the word `none`.
    fn instant(&mut self, given: Option<&Spanned<String>>, key: &str, none: &str) -> Option<prost_types::Timestamp> {
        let given = given.filter(|given| given.value != none)?;
        let Ok(at) = given.value.parse::<jiff::Timestamp>() else {
            let wanted = "must be a time with an offset, such as 2026-12-04T18:00:00+01:00";
            self.add(given.referenced, format_args!("{key} {wanted}, or {none}, not {:?}", given.value));
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

/// A duration for the wire.
pub fn proto_span(span: Duration) -> prost_types::Duration {
    let seconds = i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    prost_types::Duration { seconds, nanos: i32::try_from(span.subsec_nanos()).unwrap_or(0) }
}

fn explain(name: &str, text: &str, error: &Error) -> String {
    let error = error.without_snippet();
    let place = error.location().unwrap_or(Location::UNKNOWN);
    let what = what(error);
    // A fault of a key names the key already.
    let names_key = matches!(
        error,
        Error::SerdeUnknownField { .. } | Error::SerdeMissingField { .. } | Error::DuplicateMappingKey { .. }
    );
    let key = key_before(text, place).filter(|_| !names_key);
    let what = key.map_or_else(|| what.clone(), |key| format!("{key}: {what}"));
    format!("{name}:{}:{}: {what}", place.line(), place.column())
}

/// The fault in words for users; the parser's own words are for programmers.
#[expect(clippy::wildcard_enum_match_arm, reason = "the parser has 60 faults, and what they say is for its callers")]
fn what(error: &Error) -> String {
    const NO_YAML: &str = "this is no YAML: check the indentation, colons, quotes and brackets up to here";
    match error {
        Error::SerdeUnknownField { field, .. } if UNBUILT.split(' ').any(|key| key == field) => {
            format!("{field} is not supported yet")
        }
        Error::SerdeUnknownField { field, expected, .. } => {
            format!("unknown key {field}; keys here are {}", expected.join(", "))
        }
        Error::SerdeMissingField { field, .. } => format!("the key {field} is missing"),
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("the key {key} is given twice"),
        Error::DuplicateMappingKey { key: None, .. } => "a key is given twice".to_owned(),
        Error::MultipleDocuments { .. } => "a file has one drop, but a second document begins here".to_owned(),
        Error::Eof { .. } => "the file ends where something is missing".to_owned(),
        Error::Unexpected { expected, .. } => must_be(expected),
        Error::NullIntoString { .. } => "must not be left empty".to_owned(),
        Error::SerdeInvalidType { expected, .. } => must_be(expected),
        Error::TaggedScalarCannotDeserializeIntoString { .. } | Error::UnsupportedTag { .. } => {
            "tags (!) are not supported".to_owned()
        }
        Error::UnknownAnchor { .. } => "there is no anchor (&) of that name before".to_owned(),
        Error::AliasError { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::RecursiveReferencesRequireWeakTypes { .. } => "aliases (*) expand too far here".to_owned(),
        Error::Budget { .. } => "the file is too large, or nested too deeply".to_owned(),
        Error::QuotingRequired { value, .. } => format!("{value:?} must be in quotes"),
        Error::InvalidUtf8Input => "the file is not UTF-8".to_owned(),
        _ => NO_YAML.to_owned(),
    }
}

/// What the value must be, from the parser's word for it.
fn must_be(expected: &str) -> String {
    let kinds = [
        ("seq", "must be a list, such as [a, b]"),
        ("map", "must be keys with values, such as {a: b}"),
        ("struct", "must be keys with values, such as {a: b}"),
        ("scalar", "must be a text or a number"),
        ("string", "must be a text or a number"),
    ];
    let kind = kinds.into_iter().find(|(word, _)| expected.contains(word));
    kind.map_or("something else is needed here", |(_, wanted)| wanted).to_owned()
}

/// The key whose value is at this place, if it is in the same line.
fn key_before(text: &str, place: Location) -> Option<&str> {
    let line = text.lines().nth(usize::try_from(place.line()).ok()?.checked_sub(1)?)?;
    let column = usize::try_from(place.column()).ok()?.checked_sub(1)?;
    let end = line.char_indices().nth(column).map_or(line.len(), |(at, _)| at);
    let (before, rest) = line.split_at_checked(end)?;
    // An empty value is located at the colon, any other after it.
    let before = before.trim_end();
    let before = before.strip_suffix(':').or_else(|| rest.starts_with(':').then_some(before))?;
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
}
