//! A fact as named fields, printed as a line of text or as a JSON object.

use std::iter::once;

use serde_json::Value;
use stockade_types::ids::Lsn;
use stockade_types::time::{Millis, Timestamp};

/// A record as a kind and fields in a fixed order. Names and kinds are stable.
#[derive(Debug)]
pub(super) struct Fact {
    kind: &'static str,
    fields: Vec<(&'static str, Value)>,
}

impl Fact {
    /// A fact without fields.
    pub(super) const fn new(kind: &'static str) -> Self {
        Self { kind, fields: Vec::new() }
    }

    /// The same fields, as a fact of another kind.
    #[must_use]
    pub(super) fn named(self, kind: &'static str) -> Self {
        Self { kind, ..self }
    }

    /// Adds a field.
    #[must_use]
    pub(super) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// The fact in one line, with its LSN and the time at which its batch was written.
    pub(super) fn line(&self, lsn: Lsn, written_at: Timestamp, json: bool) -> String {
        if json { self.json(lsn, written_at) } else { self.text(lsn, written_at) }
    }

    fn json(&self, lsn: Lsn, written_at: Timestamp) -> String {
        // Written by hand to keep the order: a map would sort the names. The names need no escapes.
        let head = format!("\"lsn\":{lsn},\"written_at\":\"{written_at}\",\"kind\":\"{}\"", self.kind);
        let fields = self.fields.iter().map(|(name, value)| format!("\"{name}\":{value}"));
        format!("{{{}}}", once(head).chain(fields).collect::<Vec<_>>().join(","))
    }

    fn text(&self, lsn: Lsn, written_at: Timestamp) -> String {
        let head = format!("{lsn:>8} {written_at} {:<8}", self.kind);
        let present = self.fields.iter().filter(|(_, value)| !is_nothing(value));
        let fields = present.map(|(name, value)| format!("{name}={}", text(value)));
        once(head).chain(fields).collect::<Vec<_>>().join(" ")
    }
}

/// An instant as RFC 3339; null if there is none.
pub(super) fn time(at: impl Into<Option<Timestamp>>) -> Value {
    at.into().map_or(Value::Null, |at| at.to_string().into())
}

/// A span in milliseconds.
pub(super) const fn millis(span: Millis) -> u64 {
    span.0
}

/// Bytes in hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// Whether a line of text leaves the value out.
pub(super) fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.is_empty(),
        Value::Object(values) => values.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// A plain word is printed as it is, and everything else as JSON, so that the line can be parsed.
fn text(value: &Value) -> String {
    match value {
        Value::String(word) if is_plain(word) => word.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

fn is_plain(word: &str) -> bool {
    let apart = |letter: char| letter.is_whitespace() || matches!(letter, '"' | '=');
    !word.is_empty() && crate::text::is_plain(word) && !word.contains(apart)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_in_hex_and_what_is_not_there_as_nothing() {
        assert_eq!(hex(&[0, 0xab]), "00ab");
        assert_eq!((time(None), time(Timestamp(1))), (Value::Null, "1970-01-01T00:00:00.001Z".into()));
    }
}
