//! `stockade series schema`: the JSON Schema of a series' file, for editors and for checks without a server.
//!
//! It is written by hand in `docs/series.schema.json`. Its template and definitions are those of a drop's file: a test
//! compares them.

use super::Finding;
use super::output::Output;

/// The published schema.
const SCHEMA: &str = include_str!("../../docs/series.schema.json");

/// Prints the schema.
pub(super) fn schema(output: &mut Output) -> Finding {
    output.line(SCHEMA.trim_end());
    Finding::Well
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::cli::drop_file;

    fn parsed(text: &str) -> Value {
        serde_json::from_str(text).expect("JSON")
    }

    #[test]
    fn a_template_is_a_drop_without_what_the_series_says() {
        let (series, drop) = (parsed(SCHEMA), parsed(include_str!("../../docs/drop.schema.json")));
        for (name, definition) in drop["definitions"].as_object().expect("definitions") {
            assert_eq!(series["definitions"][name], *definition, "{name}");
        }
        let mut wanted = drop["properties"].clone();
        for key in ["kind", "id", "shop", "series", "opens_at", "closes_at", "time_zone"] {
            wanted.as_object_mut().expect("properties").remove(key);
        }
        assert_eq!(series["properties"]["template"]["properties"], wanted);
    }

    #[test]
    fn its_keys_are_those_of_the_parser() {
        const GOOD: &str = "kind: Series\nid: s\ntime_zone: UTC\nstarts_at: a\ntemplate: {items: [], @}\n";
        let cases = [
            ("x: 1\n", parsed(SCHEMA)["properties"].clone(), GOOD.replace(", @", "")),
            ("", parsed(SCHEMA)["properties"]["template"]["properties"].clone(), GOOD.replace('@', "x: 1")),
            (
                "guards: [{x: 1}]\n",
                parsed(SCHEMA)["definitions"]["guard"]["properties"].clone(),
                GOOD.replace(", @", ""),
            ),
        ];
        for (more, keys, text) in cases {
            let error = drop_file::series("f", &(text + more)).expect_err("an unknown key");
            let (_, listed) = error.split_once("keys here are ").expect("a list of keys");
            let listed: BTreeSet<&str> = listed.split(", ").collect();
            let keys: BTreeSet<&str> = keys.as_object().expect("keys").keys().map(String::as_str).collect();
            assert_eq!(keys, listed);
        }
    }
}
