//! What templates are given of an event: what anyone may see. No customer, no order, no figure of stock.

use std::collections::BTreeMap;

use minijinja::value::Value;
use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor, SerializeOptions};
use serde_json::{Map, json};
use stockade_proto as pb;

use super::template::{AnyKey, value};
use crate::contract::contract;
use crate::webhooks::envelope::BrokenEvents;

/// Fields of an event that templates do not get under its name.
const APART: [&str; 5] = ["drop", "labels", "audience", "stock", "cursor"];
/// The value of a label or a band of a sample.
const SAMPLE: &str = "sample";

/// Makes what templates are given.
#[derive(Debug, Clone)]
pub struct Contexts {
    event: MessageDescriptor,
}

impl Contexts {
    /// Of the contract's events.
    ///
    /// # Errors
    /// [`BrokenEvents`].
    pub fn new() -> Result<Self, BrokenEvents> {
        let contract = contract().map_err(|_bad| BrokenEvents)?;
        Ok(Self { event: contract.get_message_by_name("stockade.v1.Event").ok_or(BrokenEvents)? })
    }

    /// What templates are given of an event. In a sample every label and every band has a value.
    ///
    /// # Errors
    /// [`BrokenEvents`].
    pub fn of(&self, event: &pb::Event, is_sample: bool) -> Result<Value, BrokenEvents> {
        let message =
            DynamicMessage::decode(self.event.clone(), &*event.encode_to_vec()).map_err(|_bad| BrokenEvents)?;
        let options = SerializeOptions::new().use_proto_field_name(true).skip_default_fields(false);
        let written = message.serialize_with_options(serde_json::value::Serializer, &options);
        let Ok(serde_json::Value::Object(mut fields)) = written else { return Err(BrokenEvents) };
        let mut drop = match fields.remove("drop") {
            Some(serde_json::Value::Object(drop)) => drop,
            _ => Map::new(),
        };
        // What an event of something else says of its drop.
        drop.entry("drop_id").or_insert_with(|| json!(event.drop_id));
        drop.entry("shop").or_insert_with(|| json!(event.shop));
        if event.drop.is_some() {
            for instant in ["opens_at", "closes_at"] {
                drop.entry(instant).or_insert_with(|| json!(""));
            }
        }
        let shown: Map<_, _> = fields.into_iter().filter(|(key, _)| !APART.contains(&key.as_str())).collect();
        let mut shown = value_map(shown);
        shown.entry("scheduled_for".to_owned()).or_insert_with(|| Value::from(""));
        let labels = event.labels.iter().map(|(key, text)| (key.clone(), text.clone())).collect();
        let items = event.drop.iter().flat_map(|drop| &drop.items);
        let bands = items.map(|item| (item.sku.clone(), item.band.clone())).collect();
        let audience = event.audience.clone().unwrap_or_default();
        let mut drop = value_map(drop);
        if let Some(status) = &event.drop {
            let of_drop = status.labels.iter().map(|(key, text)| (key.clone(), text.clone())).collect();
            drop.insert("labels".to_owned(), entries(of_drop, is_sample));
        }
        let parts = [
            ("event", Value::from_object(shown)),
            ("drop", Value::from_object(drop)),
            ("signal", Value::from(if event.r#type.contains(".signal.") { event.name.as_str() } else { "" })),
            ("labels", entries(labels, is_sample)),
            ("audience", value(json!({"tiers": audience.tiers, "zones": audience.zones}))),
            ("stock", entries(bands, is_sample)),
        ];
        Ok(Value::from_object(parts.into_iter().map(|(key, part)| (key.to_owned(), part)).collect::<BTreeMap<_, _>>()))
    }
}

fn value_map(map: Map<String, serde_json::Value>) -> BTreeMap<String, Value> {
    map.into_iter().map(|(key, json)| (key, value(json))).collect()
}

fn entries(listed: BTreeMap<String, String>, is_sample: bool) -> Value {
    if is_sample {
        return Value::from_object(AnyKey { listed, other: SAMPLE.to_owned() });
    }
    Value::from_object(listed.into_iter().map(|(key, text)| (key, Value::from(text))).collect::<BTreeMap<_, _>>())
}
