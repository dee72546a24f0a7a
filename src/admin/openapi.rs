//! `/openapi.json`: the pages of the HTTP endpoint and the calls of the contract, as `OpenAPI` 3.1 has them.

use std::error::Error;

use axum::response::Response;
use prost_reflect::MethodDescriptor;
use prost_types::method_options::IdempotencyLevel;
use serde_json::{Map, Value, json};

use super::document::{self, Document};
use super::schema::{Schemas, comment};
use crate::contract::contract;
use crate::grpc::served;

/// The pages beside the calls, those for anyone among them.
const PAGES: &str = include_str!("pages.json");

static DOCUMENT: Document = Document::new(|| document::made(document()));

pub(super) async fn page() -> Response {
    document::page(&DOCUMENT)
}

fn document() -> Result<Value, Box<dyn Error>> {
    let contract = contract()?;
    let mut schemas = Schemas::default();
    let mut paths = Map::new();
    for (path, _request) in served() {
        let Some((service, name)) = path.trim_start_matches('/').split_once('/') else { continue };
        let service = contract.get_service_by_name(service);
        let method = service.and_then(|service| service.methods().find(|method| method.name() == name));
        let is_unary = |method: &MethodDescriptor| !method.is_client_streaming() && !method.is_server_streaming();
        if let Some(method) = method.filter(is_unary) {
            paths.insert(path.to_owned(), call(&method, &mut schemas));
        }
    }
    // The pages name these.
    for name in ["ListEventsResponse", "DropStatus", "RecordFactsRequest"] {
        if let Some(message) = contract.get_message_by_name(&format!("stockade.v1.{name}")) {
            schemas.message(&message);
        }
    }
    paths.extend(serde_json::from_str::<Map<String, Value>>(PAGES)?);
    let mut components = schemas.into_components();
    if let Some(components) = components.as_object_mut() {
        components.insert("ConnectError".to_owned(), connect_error());
        components.insert("Problem".to_owned(), problem());
    }
    Ok(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Stockade",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "A reservation engine for drops",
            "description": "The contract's unary calls by the Connect protocol, and the pages of the HTTP endpoint. \
                            Messages are in protobuf's canonical JSON.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": components},
    }))
}

/// A call of the contract.
fn call(method: &MethodDescriptor, schemas: &mut Schemas) -> Value {
    let service = method.parent_service();
    let (request, answer) = (schemas.message(&method.input()), schemas.message(&method.output()));
    let id = format!("{}.{}", service.name(), method.name());
    let answers = json!({
        "200": {"description": "The call's answer.", "content": {"application/json": {"schema": answer}}},
        "default": {
            "description": "The call failed.",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ConnectError"}}},
        },
    });
    let described = |id: &str, mut operation: Value| {
        if let Some(operation) = operation.as_object_mut() {
            operation.insert("operationId".to_owned(), id.into());
            operation.insert("tags".to_owned(), json!([service.name()]));
            operation.insert("responses".to_owned(), answers.clone());
            if let Some(comment) = comment(&service.parent_file(), method.path()) {
                operation.insert("description".to_owned(), comment.into());
            }
        }
        operation
    };
    let timeout = json!({
        "name": "Connect-Timeout-Ms", "in": "header", "schema": {"type": "string", "pattern": "^[0-9]{1,10}$"},
        "description": "How long the caller waits, in milliseconds.",
    });
    let body = json!({"required": true, "content": {"application/json": {"schema": request}}});
    let post = json!({"parameters": [timeout], "requestBody": body});
    let mut item = Map::new();
    item.insert("post".to_owned(), described(&id, post));
    let options = method.method_descriptor_proto().options.clone().unwrap_or_default();
    if options.idempotency_level() == IdempotencyLevel::NoSideEffects {
        item.insert("get".to_owned(), described(&format!("{id}.get"), json!({"parameters": parameters(&request)})));
    }
    item.into()
}

/// The parameters of a call without side effects as GET.
fn parameters(request: &Value) -> Value {
    json!([
        {
            "name": "message", "in": "query", "required": true, "description": "The request.",
            "content": {"application/json": {"schema": request}},
        },
        {"name": "encoding", "in": "query", "required": true, "schema": {"enum": ["json", "proto"]}},
        {
            "name": "base64", "in": "query", "schema": {"enum": ["0", "1"]},
            "description": "1: the message is URL-safe base64.",
        },
        {"name": "connect", "in": "query", "schema": {"enum": ["v1"]}, "description": "The protocol's version."},
    ])
}

fn connect_error() -> Value {
    json!({
        "type": "object",
        "required": ["code"],
        "properties": {
            "code": {"type": "string", "description": "The name of the gRPC status, in lower case."},
            "message": {"type": "string"},
            "details": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "type": {"type": "string", "description": "The message's full name."},
                        "value": {"type": "string", "contentEncoding": "base64"},
                    },
                },
            },
        },
    })
}

fn problem() -> Value {
    json!({
        "type": "object",
        "description": "RFC 9457.",
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "violations": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"field": {"type": "string"}, "description": {"type": "string"}},
                },
            },
        },
    })
}
