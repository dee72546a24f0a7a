//! `stockade drop schema`: the JSON Schema of a drop's file, for editors and for checks without a server.
//!
//! It is written by hand in `docs/drop.schema.json`. The tests here compare its keys with the parser's;
//! `tests/python/drop_files.py` checks the same documents with both. It can't check the calendar: only the parser
//! finds a 30th of February.

use super::Finding;
use super::output::Output;

/// The published schema.
const SCHEMA: &str = include_str!("../../docs/drop.schema.json");

/// Prints the schema.
pub(super) fn schema(output: &mut Output) -> Finding {
    output.line(SCHEMA.trim_end());
    Finding::Well
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost_reflect::DescriptorPool;
    use serde_json::Value;
    use stockade_proto::DESCRIPTORS;

    use super::*;
    use crate::cli::drop_file;

    const GOOD: &str = "kind: Drop\nid: d\nitems: [{sku: A, quantity: 1}]\nlimits: [{id: l, scope: drop}]\n";
    /// A part of each kind, with the definition that it has in the schema; `@` stands for another key.
    const PARTS: [(&str, &str); 16] = [
        ("pool", "items: [{sku: A, quantity: 1, pools: [{@id: p}]}]\n"),
        ("audience", "items: [{sku: A, quantity: 1, pools: [{id: p, audience: {@}}]}]\n"),
        ("flow", "items: [{sku: A, quantity: 1, pools: [{id: p, flows: [{@to: q}]}]}]\n"),
        ("trigger", "items: [{sku: A, quantity: 1, pools: [{id: p, flows: [{to: q, when: {@sold: 1%}}]}]}]\n"),
        ("slot", "items: [{sku: A, quantity: 1, slot: {@starts: {after_open: 1s}, ends: {after_open: 2s}}}]\n"),
        ("moment", "items: [{sku: A, quantity: 1}]\nwindows: [{id: w, starts: {@after_open: 1s}}]\n"),
        ("local", "items: [{sku: A, quantity: 1}]\nwindows: [{id: w, starts: {local: {@time: a}}}]\n"),
        ("window", "items: [{sku: A, quantity: 1}]\nwindows: [{@id: w}]\n"),
        ("terms", "items: [{sku: A, quantity: 1}]\nterms: [{@id: t, price: 1 EUR}]\n"),
        (
            "step",
            "items: [{sku: A, quantity: 1}]\nterms: [{id: t, price: 1 EUR, steps: [{@when: {sold: 1%}, price: 2 EUR}]}]\n",
        ),
        ("wire_money", "items: [{sku: A, quantity: 1, unit_cost: {@currency_code: EUR, minor_units: 1}}]\n"),
        ("tranche", "items: [{sku: A, quantity: 1}]\ntranches: [{@id: t, sku: A, units: 1, when: {sold: 1%}}]\n"),
        ("signal", "items: [{sku: A, quantity: 1}]\nsignals: [{@id: s, on: {sold: 1%}}]\n"),
        ("scarcity", "items: [{sku: A, quantity: 1}]\nscarcity: {@min_interval: 5s}\n"),
        ("band", "items: [{sku: A, quantity: 1}]\nscarcity: {bands: [{@id: b, min_free: 1%}, {id: none}]}\n"),
        (
            "conduct",
            "items: [{sku: A, quantity: 1}]\nconduct: [{@id: c, counts: returns, at_least: 1, within: 1h, max_units: 1}]\n",
        ),
    ];

    fn parsed() -> Value {
        serde_json::from_str(SCHEMA).expect("JSON")
    }

    /// The keys that the parser lists in its error about an unknown key.
    fn known_to_the_parser(text: &str) -> BTreeSet<String> {
        let error = drop_file::parse("f", text).expect_err("an unknown key");
        let (_, keys) = error.split_once("; keys here are ").unwrap_or_else(|| panic!("{error}"));
        keys.split(", ").map(str::to_owned).collect()
    }

    fn known_to_the_schema(object: &Value) -> BTreeSet<String> {
        assert_eq!(object["additionalProperties"], false, "an unknown key is a fault");
        object["properties"].as_object().expect("keys").keys().cloned().collect()
    }

    #[test]
    fn schema_and_parser_know_the_same_keys() {
        drop_file::parse("f", GOOD).expect("good");
        let schema = parsed();
        let table = [
            (&schema, GOOD.replace("kind:", "unheard_of: 1\nkind:")),
            (&schema["definitions"]["item"], GOOD.replace("{sku", "{unheard_of: 1, sku")),
            (&schema["definitions"]["limit"], GOOD.replace("{id", "{unheard_of: 1, id")),
        ];
        for (object, text) in table {
            assert_eq!(
                known_to_the_schema(object),
                known_to_the_parser(&text),
                "schema on the left, parser on the right"
            );
        }
        for (name, text) in PARTS {
            let text = format!("kind: Drop\nid: d\n{text}");
            drop_file::parse("f", &text.replace('@', "")).expect(name);
            assert_eq!(
                known_to_the_schema(&schema["definitions"][name]),
                known_to_the_parser(&text.replace('@', "unheard_of: 1, ").replace(", }", "}")),
                "{name}: schema on the left, parser on the right"
            );
        }
    }

    /// A drop's file with this key in it.
    type With<'a> = &'a dyn Fn(&str) -> String;

    #[test]
    fn each_field_of_the_contract_is_a_key_or_refused_by_its_name() {
        const OUTPUT_ONLY: [&str; 6] = ["state", "revision", "as_of_lsn", "tightenings", "occurrence", "stock"];
        let contract = DescriptorPool::decode(DESCRIPTORS).expect("the contract");
        let drop = |key: &str| GOOD.replace("kind:", &format!("{key}: 1\nkind:"));
        let item = |key: &str| GOOD.replace("{sku", &format!("{{{key}: 1, sku"));
        let limit = |key: &str| GOOD.replace("{id", &format!("{{{key}: 1, id"));
        let parts: [(&str, With<'_>); 3] = [("Drop", &drop), ("Item", &item), ("Limit", &limit)];
        for (name, with) in parts {
            let message = contract.get_message_by_name(&format!("stockade.v1.{name}")).expect("a message");
            let keys = known_to_the_parser(&with("unheard_of"));
            for field in message.fields() {
                let field = field.name();
                if keys.contains(field) || OUTPUT_ONLY.contains(&field) {
                    continue;
                }
                let error = drop_file::parse("f", &with(field)).expect_err(field);
                assert!(error.ends_with(&format!("{field} is not supported yet")), "{error}");
            }
        }
    }

    #[test]
    fn what_the_schema_needs_the_parser_needs() {
        let schema = parsed();
        let needed = |object: &Value| {
            let keys = object["required"].as_array().expect("keys").iter();
            keys.map(|key| key.as_str().expect("a key").to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(needed(&schema), ["kind", "id", "items"]);
        assert_eq!(needed(&schema["definitions"]["item"]), ["sku", "quantity"]);
        assert_eq!(needed(&schema["definitions"]["limit"]), ["id", "scope"]);
        for without in [
            "kind: Drop\n",
            "id: d\n",
            "items: [{sku: A, quantity: 1}]\n",
            "sku: A, ",
            ", quantity: 1",
            "id: l, ",
            ", scope: drop",
        ] {
            let error = drop_file::parse("f", &GOOD.replacen(without, "", 1)).expect_err(without);
            assert!(error.contains("the key ") && error.ends_with(" is missing"), "{error}");
        }
    }

    #[test]
    fn every_key_is_explained_and_every_reference_leads_somewhere() {
        fn walk(value: &Value, whole: &Value) {
            if let Some(target) = value["$ref"].as_str() {
                let place = target.strip_prefix('#').expect("a place in this schema");
                assert!(whole.pointer(place).is_some(), "{target}");
            }
            for (key, property) in value["properties"].as_object().into_iter().flatten() {
                assert!(property["description"].is_string(), "{key} is not explained");
            }
            match value {
                Value::Array(values) => values.iter().for_each(|value| walk(value, whole)),
                Value::Object(values) => values.values().for_each(|value| walk(value, whole)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        let schema = parsed();
        walk(&schema, &schema);
    }
}
