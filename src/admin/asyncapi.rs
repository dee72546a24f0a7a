//! `/asyncapi.json`: the events, as `AsyncAPI` 3 has them.

use axum::response::Response;
use serde_json::{Map, Value, json};
use stockade_feed::Kind;

use super::document::{self, Document};
use super::schema::Schemas;
use crate::contract::contract;

static DOCUMENT: Document = Document::new(|| document::made(document()));

pub(super) async fn page() -> Response {
    document::page(&DOCUMENT)
}

fn document() -> Result<Value, prost_reflect::DescriptorError> {
    let contract = contract()?;
    let mut schemas = Schemas::default();
    let event = contract.get_message_by_name("stockade.v1.Event").map(|event| schemas.message(&event));
    let event = event.unwrap_or(Value::Bool(true));
    let names = || Kind::ALL.into_iter().map(Kind::name);
    let message = |name: &str| {
        let kind = format!("stockade.{name}");
        let payload = json!({"allOf": [event, {"properties": {"type": {"const": kind}}}]});
        (name.to_owned(), json!({"name": kind, "contentType": "application/json", "payload": payload}))
    };
    let messages: Map<String, Value> = names().map(message).collect();
    let of_components = |name: &str| (name.to_owned(), json!({"$ref": format!("#/components/messages/{name}")}));
    let of_channel = |name: &str| json!({"$ref": format!("#/channels/events/messages/{name}")});
    let in_channel: Map<String, Value> = names().map(of_components).collect();
    let in_operation: Vec<Value> = names().map(of_channel).collect();
    Ok(json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Stockade's events",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The facts of the journal, in their order, each with an id that never changes. They are \
                            read by GET /v1/events, which waits for them if it is asked to, or by gRPC.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "events": {
                "address": "/v1/events",
                "title": "Events",
                "messages": in_channel,
            },
        },
        "operations": {
            "sendEvents": {
                "action": "send",
                "channel": {"$ref": "#/channels/events"},
                "messages": in_operation,
            },
        },
        "components": {"messages": messages, "schemas": schemas.into_components()},
    }))
}
