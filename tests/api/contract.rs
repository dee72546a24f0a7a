//! The contract against the server: each method that is not served, and each field, enum value and mask path that is
//! not implemented, is refused by its name. The tests read the contract's descriptors, so whatever is added to it must
//! be served, output only or refused, and is never ignored.

use std::collections::BTreeSet;

use prost::Message;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage as _, Value,
};
use stockade::grpc;
use stockade_proto as pb;
use stockade_proto::DESCRIPTORS;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use crate::common::{create, held, hold_id, item, knife_drop, line, reserve, start};
use crate::served::{OUTPUT_ONLY, SERVED};
use crate::server::channel;
use crate::shop::{adjustment, claim, release, returning};

/// Enum values that are refused in a request.
const UNSERVED_VALUES: [&str; 1] = ["DROP_STATE_DRAFT"];

fn contract() -> DescriptorPool {
    DescriptorPool::decode(DESCRIPTORS).expect("the contract")
}

fn message(name: &str) -> MessageDescriptor {
    contract().get_message_by_name(&format!("stockade.v1.{name}")).expect(name)
}

fn stands_in(table: &[(&str, &str)], field: &FieldDescriptor) -> bool {
    let of = field.parent_message();
    table.iter().any(|(message, fields)| *message == of.name() && fields.split(' ').any(|known| known == field.name()))
}

fn is_served(field: &FieldDescriptor) -> bool {
    stands_in(&SERVED, field)
}

/// A value for a field, other than its default.
fn sample(kind: &Kind) -> Value {
    match kind {
        Kind::Message(inner) => Value::Message(DynamicMessage::new(inner.clone())),
        Kind::Enum(_) => Value::EnumNumber(1),
        Kind::String => Value::String("x".into()),
        Kind::Bytes => Value::Bytes(vec![1].into()),
        Kind::Bool => Value::Bool(true),
        Kind::Double => Value::F64(1.0),
        Kind::Float => Value::F32(1.0),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(1),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(1),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(1),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(1),
    }
}

fn sample_of(field: &FieldDescriptor) -> Value {
    if let (true, Kind::Message(entry)) = (field.is_map(), field.kind()) {
        let value = sample(&entry.map_entry_value_field().kind());
        return Value::Map([(prost_reflect::MapKey::String("x".into()), value)].into());
    }
    let value = sample(&field.kind());
    if field.is_list() { Value::List(vec![value]) } else { value }
}

/// A message with one field changed: the field's path, whether it must be refused, and the message.
struct Variant {
    path: String,
    refused: bool,
    message: DynamicMessage,
}

/// A variant for each field, for each field of its submessages, and for each value of an enum.
fn variants(message: &DynamicMessage) -> Vec<Variant> {
    let mut found = Vec::new();
    for field in message.descriptor().fields() {
        let with = |value: Value| {
            let mut message = message.clone();
            message.set_field(&field, value);
            message
        };
        let mut add = |refused, value| found.push(Variant { path: field.name().into(), refused, message: with(value) });
        if stands_in(&OUTPUT_ONLY, &field) {
            add(false, sample_of(&field));
            continue;
        }
        if !is_served(&field) {
            add(true, sample_of(&field));
            continue;
        }
        let kind = field.kind();
        if let Kind::Enum(known) = &kind {
            for value in known.values().filter(|value| value.number() != 0) {
                add(UNSERVED_VALUES.contains(&value.name()), Value::EnumNumber(value.number()));
            }
        } else if let Some(inner) = kind.as_message().filter(|inner| is_looked_into(inner) && !field.is_map()) {
            found.extend(variants(&there(message, &field, inner)).into_iter().map(|variant| {
                let (step, value) = if field.is_list() {
                    (format!("{}[0]", field.name()), Value::List(vec![Value::Message(variant.message)]))
                } else {
                    (field.name().to_owned(), Value::Message(variant.message))
                };
                Variant { path: format!("{step}.{}", variant.path), message: with(value), ..variant }
            }));
        } else {
            add(false, sample_of(&field));
        }
    }
    found
}

/// Whether the fields of a submessage are varied too. Not those of a batch's operation: a fault in one is its own
/// result.
fn is_looked_into(message: &MessageDescriptor) -> bool {
    message.package_name() == "stockade.v1" && message.name() != "Operation"
}

/// The message's value of this field, or the first of its list; if it has none, a sample.
fn there(message: &DynamicMessage, field: &FieldDescriptor, inner: &MessageDescriptor) -> DynamicMessage {
    let value = message.get_field(field);
    let first = value.as_list().map_or_else(|| value.as_message(), |list| list.first().and_then(Value::as_message));
    if let Some(first) = first.filter(|_| message.has_field(field)) {
        return first.clone();
    }
    DynamicMessage::new(inner.clone())
}

/// Calls a method by its path, even if the generated clients do not have it.
pub async fn ask<Q, A>(channel: &Channel, path: &str, request: Q) -> Result<A, Status>
where
    Q: Message + 'static,
    A: Message + Default + 'static,
{
    let mut calls = Grpc::new(channel.clone());
    calls.ready().await.expect("a connection");
    let path: PathAndQuery = path.parse().expect("a path");
    calls.unary(Request::new(request), path, ProstCodec::<Q, A>::default()).await.map(tonic::Response::into_inner)
}

/// A server with a drop and a hold in a data folder, since an ephemeral server has no events.
async fn serving() -> ((crate::common::Server, tempfile::TempDir), Channel) {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().to_str().expect("a path");
    let server = start(&[("ephemeral", "false"), ("data", data)]).await;
    let client = server.client().await;
    create(&client, knife_drop("knife")).await;
    held(&client, reserve(1, "knife", "ada", vec![line("KNIFE", 1)])).await;
    let channel = channel(&server.endpoint).await;
    ((server, folder), channel)
}

/// A valid request about a series.
fn of_series(request: &str) -> Vec<u8> {
    match request {
        "CreateSeriesRequest" => {
            let series = Some(good_series("other"));
            pb::CreateSeriesRequest { series, validate_only: true }.encode_to_vec()
        }
        "UpdateSeriesRequest" => {
            let series = Some(good_series("weekly"));
            pb::UpdateSeriesRequest { series, revision: 1, validate_only: true, ..Default::default() }.encode_to_vec()
        }
        "GetSeriesRequest" => pb::GetSeriesRequest { series_id: "weekly".to_owned() }.encode_to_vec(),
        "PreviewSeriesRequest" => {
            let of = Some(pb::preview_series_request::Of::Series(good_series("other")));
            pb::PreviewSeriesRequest { of, ..Default::default() }.encode_to_vec()
        }
        other => panic!("no request for {other}"),
    }
}

/// A valid request for each served method.
pub fn good(request: &str) -> DynamicMessage {
    let (id, drop_id) = (hold_id(1), "knife".to_owned());
    let lines = vec![line("KNIFE", 1)];
    let bytes = match request {
        "ReserveRequest" => good_reserve().encode_to_vec(),
        "ExtendRequest" => pb::ExtendRequest { hold_id: id, ..Default::default() }.encode_to_vec(),
        "ClaimRequest" => pb::ClaimRequest { lines, ..claim(1, "o") }.encode_to_vec(),
        "ReleaseRequest" => release(1, lines).encode_to_vec(),
        "ReturnUnitsRequest" => returning(1, lines, false).encode_to_vec(),
        "GetHoldRequest" => pb::GetHoldRequest { hold_id: id, ..Default::default() }.encode_to_vec(),
        "ListHoldsRequest" => pb::ListHoldsRequest { drop_id, ..Default::default() }.encode_to_vec(),
        "ExplainRequest" => pb::ExplainRequest { about: Some(pb::explain_request::About::HoldId(id)) }.encode_to_vec(),
        "CreateDropRequest" => {
            pb::CreateDropRequest { drop: Some(good_drop("other")), validate_only: true }.encode_to_vec()
        }
        "UpdateDropRequest" => {
            let drop = Some(good_drop("knife"));
            pb::UpdateDropRequest { drop, revision: 1, validate_only: true, ..Default::default() }.encode_to_vec()
        }
        "AdjustStockRequest" => {
            adjustment(9, &drop_id, "KNIFE", pb::adjust_stock_request::Change::Delta(1)).encode_to_vec()
        }
        "FireFlowRequest" => {
            let (sku, pool, to) = ("KNIFE".to_owned(), "general".to_owned(), "public".to_owned());
            pb::FireFlowRequest { drop_id, sku, pool, to }.encode_to_vec()
        }
        "ReconcileStockRequest" => {
            pb::ReconcileStockRequest { drop_id, sku: "KNIFE".to_owned(), ..Default::default() }.encode_to_vec()
        }
        // Empty, since a watch of an existing drop would not end, nor would a reading of its events.
        "BatchRequest"
        | "BatchStreamRequest"
        | "ListDropsRequest"
        | "ListDropStatusesRequest"
        | "ListSeriesRequest"
        | "ListWebhooksRequest"
        | "ListDropReportsRequest"
        | "WatchDropRequest"
        | "WatchDropStatusRequest"
        | "ReadEventsRequest" => Vec::new(),
        "CreateSeriesRequest" | "UpdateSeriesRequest" | "GetSeriesRequest" | "PreviewSeriesRequest" => {
            of_series(request)
        }
        "ListEventsRequest" => {
            let types = vec!["*".to_owned()];
            let filter = Some(pb::EventFilter { types, ..Default::default() });
            pb::ListEventsRequest { filter, ..Default::default() }.encode_to_vec()
        }
        "GetDropRequest"
        | "GetDropStatusRequest"
        | "GetDropReportRequest"
        | "PauseDropRequest"
        | "ResumeDropRequest"
        | "CloseDropRequest" => pb::GetDropRequest { drop_id }.encode_to_vec(),
        "RecordFactsRequest" => {
            let fact = pb::Fact { id: "f".into(), kind: pb::FactKind::View.into(), drop_id, ..Default::default() };
            pb::RecordFactsRequest { facts: vec![fact] }.encode_to_vec()
        }
        "CreateWebhookRequest" => {
            pb::CreateWebhookRequest { webhook: Some(good_webhook()), ..Default::default() }.encode_to_vec()
        }
        "UpdateWebhookRequest" => {
            let webhook = Some(good_webhook());
            pb::UpdateWebhookRequest { webhook, revision: 1, ..Default::default() }.encode_to_vec()
        }
        // Nothing is sent: there is no such webhook.
        "GetWebhookRequest" | "DeleteWebhookRequest" | "TestWebhookRequest" => {
            pb::GetWebhookRequest { webhook_id: "other".into() }.encode_to_vec()
        }
        other => panic!("{other} is served: a request of it stands here"),
    };
    DynamicMessage::decode(message(request), &*bytes).expect(request)
}

fn good_reserve() -> pb::ReserveRequest {
    let identities = vec![pb::Identity { kind: "card".into(), value: "1".into() }];
    pb::ReserveRequest {
        customer: Some(pb::Customer { id: "eva".into(), tiers: vec!["gold".into()], identities, ..Default::default() }),
        r#override: Some(pb::Override { limits: true, windows: false, reason: "the buyer called".into() }),
        ..reserve(2, "knife", "eva", vec![line("KNIFE", 1)])
    }
}

/// Disabled, so that nothing is sent.
fn good_webhook() -> pb::Webhook {
    let filter = Some(pb::EventFilter { types: vec!["hold.*".into()], ..Default::default() });
    let (id, url) = ("w".into(), "https://192.0.1.1/hook".into());
    pb::Webhook { id, url, filter, state: pb::WebhookState::Disabled.into(), ..Default::default() }
}

fn good_drop(id: &str) -> pb::Drop {
    pb::Drop { items: vec![item("KNIFE", 10)], ..knife_drop(id) }
}

fn good_series(id: &str) -> pb::Series {
    pb::Series {
        id: id.into(),
        time_zone: "Europe/Berlin".into(),
        starts_at: "2036-12-04T18:00:00".into(),
        template: Some(pb::Drop { items: vec![item("KNIFE", 10)], ..pb::Drop::default() }),
        ..pb::Series::default()
    }
}

pub fn own_name(full: &str) -> &str {
    full.strip_prefix("stockade.v1.").expect("of the contract")
}

#[test]
fn each_field_of_the_tables_is_one_of_the_contract() {
    for (of, fields) in SERVED.iter().chain(&OUTPUT_ONLY) {
        for field in fields.split(' ') {
            assert!(message(of).get_field_by_name(field).is_some(), "{of}.{field}");
        }
    }
    let contract = contract();
    let values: Vec<_> = contract.all_enums().flat_map(|known| known.values().collect::<Vec<_>>()).collect();
    for name in UNSERVED_VALUES {
        assert!(values.iter().any(|value| value.name() == name), "{name}");
    }
}

#[tokio::test]
async fn each_method_that_is_not_served_is_refused_by_its_name() {
    let (_server, channel) = serving().await;
    let served: BTreeSet<&str> = grpc::served().map(|(path, _)| path).collect();
    let mut refused = BTreeSet::new();
    for service in contract().services() {
        for method in service.methods() {
            let path = format!("/{}/{}", service.full_name(), method.name());
            let asked: Result<(), Status> = ask(&channel, &path, DynamicMessage::new(method.input())).await;
            if served.contains(path.as_str()) {
                assert_ne!(asked.err().map(|status| status.code()), Some(Code::Unimplemented), "{path}");
                continue;
            }
            let status = asked.expect_err(&path);
            assert_eq!((status.code(), status.message()), (Code::Unimplemented, &*format!("not built yet: {path}")));
            refused.insert(own_name(service.full_name()).to_owned());
        }
    }
    let all = ["Admin", "Admission", "Insight"];
    assert_eq!(refused.into_iter().collect::<Vec<_>>(), all.map(|service| format!("{service}Service")));
}

#[tokio::test]
async fn each_field_that_is_not_built_is_refused_by_its_name() {
    let (_server, channel) = serving().await;
    let mut refusals = 0;
    for (path, request) in grpc::served() {
        for Variant { path: field, refused, message } in variants(&good(own_name(request))) {
            let asked: Result<(), Status> = ask(&channel, path, message).await;
            if refused {
                let status = asked.expect_err(&format!("{path} ignores {field}"));
                let refusal = format!("not built yet: {field}");
                assert_eq!((status.code(), status.message()), (Code::Unimplemented, &*refusal), "{path}");
                refusals += 1;
            } else {
                let code = asked.err().map(|status| status.code());
                assert_ne!(code, Some(Code::Unimplemented), "{path} refuses {field}");
            }
        }
    }
    // Two of a drop that is made or changed and of each template of one, two of a reserve, one of a hold, one of a list.
    assert_eq!(refusals, 14);
}

#[tokio::test]
async fn an_operation_of_a_batch_is_refused_as_its_call_is() {
    let (_server, channel) = serving().await;
    let operation = message("Operation");
    let (mut operations, mut wanted) = (Vec::new(), Vec::new());
    for field in operation.fields() {
        let Kind::Message(request) = field.kind() else { panic!("{} is no request", field.name()) };
        for variant in variants(&good(request.name())).into_iter().filter(|variant| variant.refused) {
            let mut asked = DynamicMessage::new(operation.clone());
            asked.set_field(&field, Value::Message(variant.message));
            operations.push(Value::Message(asked));
            wanted.push(format!("not built yet: {}", variant.path));
        }
    }
    let mut batch = DynamicMessage::new(message("BatchRequest"));
    batch.set_field_by_name("operations", Value::List(operations));
    let answer: pb::BatchResponse =
        ask(&channel, "/stockade.v1.ReservationService/Batch", batch).await.expect("an answer");
    let messages = answer.results.iter().map(|result| match &result.result {
        Some(pb::result::Result::Error(error)) if error.code == 12 => error.message.clone(),
        other => panic!("not refused: {other:?}"),
    });
    assert_eq!(messages.collect::<Vec<_>>(), wanted);
    assert_eq!(wanted, ["admission_token", "superseded_customer_id"].map(|field| format!("not built yet: {field}")));
}

#[tokio::test]
async fn a_mask_can_not_name_what_is_not_built() {
    let (_server, channel) = serving().await;
    for field in message("Drop").fields() {
        let paths = vec![field.name().to_owned()];
        let drop = Some(good_drop("knife"));
        let update_mask = Some(prost_types::FieldMask { paths });
        let request = pb::UpdateDropRequest { drop, update_mask, revision: 1, validate_only: true };
        let asked: Result<(), Status> = ask(&channel, "/stockade.v1.DropService/UpdateDrop", request).await;
        let status = asked.err();
        let code = status.as_ref().map(Status::code);
        if stands_in(&OUTPUT_ONLY, &field) || field.name() == "id" {
            assert_eq!(code, Some(Code::InvalidArgument), "{}", field.name());
        } else if is_served(&field) {
            assert_ne!(code, Some(Code::Unimplemented), "{}", field.name());
        } else {
            let status = status.unwrap_or_else(|| panic!("{} is ignored", field.name()));
            let refusal = format!("not built yet: drop.{}", field.name());
            assert_eq!((status.code(), status.message()), (Code::Unimplemented, &*refusal));
        }
    }
}

#[test]
fn the_readme_names_each_call_that_is_served_and_each_service_that_is_not() {
    let readme = include_str!("../../README.md");
    let (_, section) = readme.split_once("\n## Not built yet\n").expect("the section");
    let (said, table) = section.split_once("\n|").expect("a table");
    let (_, listed) = said.split_once("Served today: ").expect("a list");
    let named: BTreeSet<&str> = listed.split('`').skip(1).step_by(2).collect();
    let served: BTreeSet<&str> = grpc::served().filter_map(|(path, _)| path.rsplit('/').next()).collect();
    assert_eq!(named, served, "README.md on the left");
    let (table, _) = table.split_once("\n## ").expect("an end");
    for service in contract().services() {
        let prefix = format!("/{}/", service.full_name());
        let is_served = grpc::served().any(|(path, _)| path.starts_with(&prefix));
        assert!(is_served || table.contains(&format!("`{}`", service.name())), "{}", service.name());
        for method in service.methods().filter(|_| is_served) {
            let named = format!("`{}`", method.name());
            assert!(served.contains(method.name()) || table.contains(&named), "{named}");
        }
    }
}
