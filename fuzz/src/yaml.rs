//! Drop files: an accepted file can be written anew with the same meaning; a refusal has line and column.

use std::fmt::Write as _;

use stockade::cli::drop_file::parse;
use stockade::grpc::convert;
use stockade_proto as pb;

use crate::bounds::bounded;
use crate::requests::explained;
use crate::yaml_rules;

/// Memory for reading a file. The parser keeps the position of each key and value.
const MEMORY: (u64, u64) = (1024 * 1024, 1024);

const NAME: &str = "drop.yaml";

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match bounded("reading a drop file", text.len(), MEMORY, || parse(NAME, text)) {
        Ok(drop) => accepted(drop),
        Err(reported) => refused(text, &reported),
    }
}

fn accepted(drop: pb::Drop) {
    let written = write(&drop);
    let again =
        parse(NAME, &written).unwrap_or_else(|reported| panic!("written anew, it is refused: {reported}\n{written}"));
    assert_eq!(again, drop, "written anew, it is another drop:\n{written}");
    if let Err(rejection) = convert::create_drop(&pb::CreateDropRequest { drop: Some(drop), validate_only: true }) {
        explained("stockade.v1.CreateDropRequest", &rejection);
    }
}

/// Either the file is empty, or every line of the message begins with a position in the file.
fn refused(text: &str, reported: &str) {
    if reported.starts_with(&format!("{NAME} is empty")) {
        return;
    }
    let first = reported.lines().next().expect("an answer");
    let place = first.strip_prefix(NAME).and_then(|rest| rest.strip_prefix(':'));
    let mut parts = place.unwrap_or_else(|| panic!("an answer without a place: {reported:?}")).splitn(3, ':');
    let line: usize = parts.next().and_then(|line| line.parse().ok()).expect("a line");
    let column: usize = parts.next().and_then(|column| column.parse().ok()).expect("a column");
    assert!(parts.next().is_some_and(|what| !what.trim().is_empty()), "a place without a reason: {reported:?}");
    let lines = text.split(['\n', '\r']).count();
    assert!(line >= 1 && line <= lines + 1, "line {line} of {lines}: {reported:?}");
    assert!(column >= 1, "column {column}: {reported:?}");
}

/// A text that YAML always reads as this string.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            _ => write!(out, "\\U{:08x}", u32::from(c)).expect("a string takes all"),
        }
    }
    out.push('"');
    out
}

fn write(drop: &pb::Drop) -> String {
    let mut out = String::from("kind: Drop\n");
    let mut line = |key: &str, value: String| writeln!(out, "{key}: {value}").expect("a string takes all");
    for (key, text) in [("id", &drop.id), ("title", &drop.title), ("shop", &drop.shop), ("series", &drop.series)] {
        line(key, quoted(text));
    }
    let labels: Vec<_> = drop.labels.iter().map(|(key, value)| format!("{}: {}", quoted(key), quoted(value))).collect();
    line("labels", format!("{{{}}}", labels.join(", ")));
    for (key, at) in [("opens_at", drop.opens_at), ("closes_at", drop.closes_at)] {
        if let Some(at) = at {
            line(key, jiff::Timestamp::new(at.seconds, at.nanos).expect("an instant").to_string());
        }
    }
    let spans = [("hold_ttl", drop.hold_ttl), ("max_hold_life", drop.max_hold_life), ("payment_ttl", drop.payment_ttl)];
    for (key, span) in spans {
        if let Some(span) = span {
            line(key, self::span(span));
        }
    }
    line("items", format!("[{}]", drop.items.iter().map(yaml_rules::item).collect::<Vec<_>>().join(", ")));
    let lists = [
        ("windows", yaml_rules::windows(drop)),
        ("terms", yaml_rules::terms(drop)),
        ("tranches", yaml_rules::tranches(drop)),
        ("signals", yaml_rules::signals(drop)),
        ("zones", yaml_rules::texts(&drop.zones)),
    ];
    for (key, list) in lists {
        line(key, list);
    }
    if let Some(scarcity) = &drop.scarcity {
        line("scarcity", yaml_rules::scarcity(scarcity));
    }
    line("slot_required", drop.slot_required.to_string());
    line("time_zone", quoted(&drop.time_zone));
    line("location", quoted(&drop.location));
    line("limits", format!("[{}]", drop.limits.iter().map(limit).collect::<Vec<_>>().join(", ")));
    out
}

fn limit(limit: &pb::Limit) -> String {
    let scope = limit.scope().as_str_name().trim_start_matches("LIMIT_SCOPE_").to_lowercase();
    let mut out = format!("{{id: {}, scope: {scope}", quoted(&limit.id));
    let mut part = |key: &str, value: String| write!(out, ", {key}: {value}").expect("a string takes all");
    part("skus", format!("[{}]", limit.skus.iter().map(|sku| quoted(sku)).collect::<Vec<_>>().join(", ")));
    part("identity_kind", quoted(&limit.identity_kind));
    let tiers = limit.max_units_by_tier.iter().map(|(tier, most)| format!("{}: {most}", quoted(tier)));
    part("max_units_by_tier", format!("{{{}}}", tiers.collect::<Vec<_>>().join(", ")));
    let numbers = [
        ("max_units", limit.max_units),
        ("max_live_units", limit.max_live_units),
        ("max_live_holds", limit.max_live_holds),
    ];
    for (key, most) in numbers {
        if let Some(most) = most {
            part(key, most.to_string());
        }
    }
    for (key, span) in [("rolling", limit.rolling), ("cooldown", limit.cooldown)] {
        if let Some(span) = span {
            part(key, self::span(span));
        }
    }
    out.push('}');
    out
}

pub(crate) fn span(span: prost_types::Duration) -> String {
    let sign = if span.seconds < 0 || span.nanos < 0 { "-" } else { "" };
    format!("{sign}{}s {}ns", span.seconds.unsigned_abs(), span.nanos.unsigned_abs())
}
