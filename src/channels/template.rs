//! Templates: texts with places for what an event says. Bounded in time, memory and depth; what is undefined is an error.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::fmt::strtime::BrokenDownTime;
use minijinja::value::{Enumerator, Kwargs, Object, Value};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, filters};

/// What a template may cost: about so many steps, and 64 bytes of memory for each.
const FUEL: u64 = 50_000;
/// How deep its blocks may be nested.
const DEPTH_MAX: usize = 100;
/// Most bytes of a template.
pub const TEMPLATE_BYTES_MAX: usize = 64 * 1024;
/// Most bytes of what it writes.
pub const WRITTEN_BYTES_MAX: usize = 256 * 1024;

/// A template as it stands in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Its text.
    pub source: String,
    /// The file.
    pub file: String,
    /// The line of the file in which its text begins.
    pub line: usize,
}

/// A template that can't be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct BadTemplate {
    /// The file and the line.
    pub place: String,
    /// What is wrong.
    pub what: String,
}

/// What templates are written with.
static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(DEPTH_MAX);
    // Mails and JSON are no HTML: `tojson` and `escape` are there for who needs them.
    environment.set_auto_escape_callback(|_name| minijinja::AutoEscape::None);
    environment.set_debug(true);
    environment.add_filter("local", local);
    // The library's own write null and nothing for what is undefined.
    environment.add_filter("tojson", |value: &Value, indent: Option<Value>, options: Kwargs| {
        filters::tojson(defined(value)?, indent, options)
    });
    environment.add_filter("urlencode", |value: &Value| filters::urlencode(defined(value)?));
    environment
});

impl Template {
    /// Writes it.
    ///
    /// # Errors
    /// [`BadTemplate`], with the line of the file.
    pub fn write(&self, context: &Value) -> Result<String, BadTemplate> {
        let template = ENVIRONMENT.template_from_str(&self.source).map_err(|error| self.bad(&error))?;
        let written = template.render(context.clone()).map_err(|error| self.bad(&error))?;
        if written.len() > WRITTEN_BYTES_MAX {
            return Err(self.at(self.line, format!("writes more than {WRITTEN_BYTES_MAX} bytes")));
        }
        Ok(written)
    }

    /// An error of its own first line.
    #[must_use]
    pub fn wrong(&self, what: String) -> BadTemplate {
        self.at(self.line, what)
    }

    fn bad(&self, error: &Error) -> BadTemplate {
        let below = error.line().unwrap_or(1).saturating_sub(1);
        let named = error.range().and_then(|range| self.source.get(range)).map(|code| format!(", at {code:?}"));
        let detail = error.detail().map(|detail| format!(": {detail}"));
        let what = format!("{}{}{}", error.kind(), detail.unwrap_or_default(), named.unwrap_or_default());
        self.at(self.line.saturating_add(below), what)
    }

    fn at(&self, line: usize, what: String) -> BadTemplate {
        BadTemplate { place: format!("{}:{line}", self.file), what }
    }
}

/// The filter `local`: an instant as it is in a zone, in the words of a format.
fn local(at: &str, zone: &str, format: &str) -> Result<String, Error> {
    if at.is_empty() {
        return Ok(String::new());
    }
    let fault = |what: &'static str| Error::new(ErrorKind::InvalidOperation, what);
    let at: Timestamp = at.parse().map_err(|_bad| fault("local needs an instant such as drop.opens_at"))?;
    let zone = if zone.is_empty() { "UTC" } else { zone };
    let at = at.in_tz(zone).map_err(|_bad| fault("local needs a time zone such as \"Europe/Berlin\""))?;
    let format = BrokenDownTime::from(&at).to_string(format);
    format.map_err(|_bad| fault("local needs a format such as \"%H:%M\""))
}

/// The value, unless it is undefined.
fn defined(value: &Value) -> Result<&Value, Error> {
    if value.is_undefined() { Err(ErrorKind::UndefinedError.into()) } else { Ok(value) }
}

/// JSON as a value of templates.
#[must_use]
pub fn value(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(flag) => Value::from(flag),
        serde_json::Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Value::from(number),
            (None, Some(number)) => Value::from(number),
            (None, None) => Value::from(number.as_f64().unwrap_or_default()),
        },
        serde_json::Value::String(text) => Value::from(text),
        serde_json::Value::Array(list) => list.into_iter().map(value).collect(),
        serde_json::Value::Object(map) => {
            Value::from_object(map.into_iter().map(|(key, json)| (key, value(json))).collect::<BTreeMap<_, _>>())
        }
    }
}

/// Entries of a sample: each key has a value, since which keys there will be is not known yet.
#[derive(Debug)]
pub struct AnyKey {
    /// The entries that are listed.
    pub listed: BTreeMap<String, String>,
    /// The value of all others.
    pub other: String,
}

impl Object for AnyKey {
    fn get_value(self: &std::sync::Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        Some(Value::from(self.listed.get(key).unwrap_or(&self.other)))
    }

    fn enumerate(self: &std::sync::Arc<Self>) -> Enumerator {
        Enumerator::Iter(Box::new(self.listed.keys().map(Value::from).collect::<Vec<_>>().into_iter()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template(source: &str) -> Template {
        Template { source: source.to_owned(), file: "stockade.toml".to_owned(), line: 7 }
    }

    fn written(source: &str) -> Result<String, BadTemplate> {
        let context = json!({
            "drop": {"title": "A \"bowl\" & <more>", "opens_at": "2026-12-04T17:00:00.000Z", "closes_at": ""},
            "signal": "last-five", "list": [1, 2],
        });
        template(source).write(&value(context))
    }

    #[test]
    fn places_are_filled_and_json_is_escaped_where_asked_for() {
        let table = [
            ("{{ signal }}", "last-five"),
            ("{{ drop.title }}", "A \"bowl\" & <more>"),
            ("{{ list | length }}", "2"),
            ("{{ drop.opens_at | local('Europe/Berlin', '%H:%M') }}", "18:00"),
            ("{{ drop.closes_at | local('Europe/Berlin', '%H:%M') }}", ""),
            ("{{ missing | default('none') }}", "none"),
        ];
        for (source, wanted) in table {
            assert_eq!(written(source).as_deref(), Ok(wanted), "{source}");
        }
        let json = written(r#"{"t": {{ drop.title | tojson }}}"#).expect("text");
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(json["t"], "A \"bowl\" & <more>");
    }

    #[test]
    fn what_fails_is_named_with_the_line_of_the_file() {
        let table = [
            ("{{ missing }}", 7, "undefined value"),
            ("one\ntwo {{ drop.missing }}", 8, "undefined value"),
            ("{{ drop.missing | tojson }}", 7, "undefined value"),
            ("{{ drop.missing | urlencode }}", 7, "undefined value"),
            ("{{ drop.missing | upper }}", 7, "undefined value"),
            ("{{ drop.missing ~ 'x' }}", 7, "undefined value"),
            ("{% if drop.missing %}{% endif %}", 7, "undefined value"),
            ("{% for x in drop.missing %}{% endfor %}", 7, "undefined value"),
            ("{% if %}", 7, "syntax error"),
            ("\n\n{{ signal | nothing }}", 9, "unknown filter"),
            ("{{ 'x' | local('Europe/Berlin', '%H') }}", 7, "local needs an instant"),
            ("{{ drop.opens_at | local('Nowhere', '%H') }}", 7, "local needs a time zone"),
            ("{% include 'other' %}", 7, "unknown statement include"),
        ];
        for (source, line, what) in table {
            let bad = written(source).expect_err(source);
            assert_eq!(bad.place, format!("stockade.toml:{line}"), "{bad}");
            assert!(bad.what.contains(what), "{bad}");
        }
    }

    #[test]
    fn time_memory_and_depth_are_bounded() {
        let deep = format!("{}{}", "{% if true %}".repeat(200), "{% endif %}".repeat(200));
        let sources = [
            "{% for a in range(10000) %}{% for b in range(10000) %}{% endfor %}{% endfor %}",
            "{{ 'x' * 100000000 }}",
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
            "{% for a in range(4000) %}{{ 'x' * 1000 }}{% endfor %}",
            &deep,
        ];
        for source in sources {
            assert!(written(source).is_err(), "{source}");
        }
    }
}
