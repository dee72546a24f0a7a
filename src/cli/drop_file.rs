//! A drop as a YAML file: the contract's names in `snake_case`, short enums, durations like `5m`, shares like `12%`,
//! times with an offset.
//!
//! Every fault is reported with its line and column. The server checks the values.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_saphyr::{Error, Location, Spanned};
use stockade_proto as pb;

mod entries;
mod money;
mod parts;
mod series;
mod values;

use entries::{ConductEntry, ItemEntry, LimitEntry, ScarcityEntry, SignalEntry, TermsEntry, TrancheEntry, WindowEntry};
pub(super) use money::shown as shown_money;
pub use series::series;
use values::FileFaults;
pub use values::proto_span;

/// Keys of the contract that are not built yet.
const UNBUILT: &str = "waiting_room waitlist";

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
    #[serde(default, deserialize_with = "given")]
    windows: Option<Vec<WindowEntry>>,
    #[serde(default, deserialize_with = "given")]
    terms: Option<Vec<TermsEntry>>,
    slot_required: Option<Spanned<String>>,
    time_zone: Option<String>,
    location: Option<String>,
    #[serde(default, deserialize_with = "given")]
    tranches: Option<Vec<TrancheEntry>>,
    #[serde(default, deserialize_with = "given")]
    conduct: Option<Vec<ConductEntry>>,
    #[serde(default, deserialize_with = "given")]
    zones: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    signals: Option<Vec<SignalEntry>>,
    scarcity: Option<ScarcityEntry>,
}

/// Distinguishes a key that is left out, which is `None`, from one that is left empty, which is an error as for any
/// list.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A drop in a file.
#[derive(Debug)]
pub struct Wanted {
    /// The drop.
    pub drop: pb::Drop,
    /// The keys that the file leaves out and without which a drop is open or has no limits.
    pub left_out: Vec<LeftOut>,
    /// The rules that the file states, by their fields in the contract.
    pub stated: Vec<&'static str>,
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
    read(name, text).map(|Wanted { drop, .. }| drop)
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
    let stated = [
        ("windows", file.windows.is_some()),
        ("terms", file.terms.is_some()),
        ("slot_required", file.slot_required.is_some()),
        ("time_zone", file.time_zone.is_some()),
        ("location", file.location.is_some()),
        ("tranches", file.tranches.is_some()),
        ("zones", file.zones.is_some()),
        ("conduct", file.conduct.is_some()),
        ("signals", file.signals.is_some()),
        ("scarcity", file.scarcity.is_some()),
    ];
    let stated = stated.into_iter().filter(|(_, is_stated)| *is_stated).map(|(key, _)| key).collect();
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
        windows: file.windows.into_iter().flatten().map(|entry| faults.window(entry)).collect(),
        terms: file.terms.into_iter().flatten().map(|entry| faults.terms(entry)).collect(),
        slot_required: faults.flag(file.slot_required.as_ref(), "slot_required"),
        time_zone: file.time_zone.unwrap_or_default(),
        location: file.location.unwrap_or_default(),
        tranches: file.tranches.into_iter().flatten().map(|entry| faults.tranche(entry)).collect(),
        zones: file.zones.unwrap_or_default(),
        conduct: file.conduct.into_iter().flatten().map(|entry| faults.conduct(entry)).collect(),
        signals: file.signals.into_iter().flatten().map(|entry| faults.signal(entry)).collect(),
        scarcity: file.scarcity.map(|entry| faults.scarcity(entry)),
        ..pb::Drop::default()
    };
    if faults.lines.is_empty() { Ok(Wanted { drop, left_out, stated }) } else { Err(faults.lines.join("\n")) }
}

/// Whether there is nothing but space, comments and document markers.
fn says_nothing(text: &str) -> bool {
    text.lines().map(str::trim).all(|line| line.is_empty() || line.starts_with('#') || line == "---")
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
mod tests;
