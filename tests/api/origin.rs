//! The record of an operator's change has its origin: the caller's address, and the request id from the caller.

use std::path::Path;

use serde_json::Value;
use stockade_proto as pb;
use stockade_proto::adjust_stock_request::Change;
use stockade_proto::drop_service_client::DropServiceClient;
use tonic::Request;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;

use crate::cli::{code, err, out, stockade};
use crate::common::{Server, held, knife_drop, line, reserve, start};
use crate::shop::adjustment;

/// The maximum length of a request id that is kept.
const ORIGIN_LENGTH_MAX: usize = 128;

async fn serve(data: &Path) -> (Server, DropServiceClient<Channel>) {
    let data = data.to_str().expect("a path in UTF-8");
    let server = start(&[("ephemeral", "false"), ("data", data)]).await;
    let drops = DropServiceClient::connect(server.endpoint.clone()).await.expect("a connection");
    (server, drops)
}

fn called<T>(message: T, request_id: &[u8]) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-request-id", MetadataValue::try_from(request_id).expect("a header's value"));
    request
}

fn pause() -> pb::PauseDropRequest {
    pb::PauseDropRequest { drop_id: "knife".into() }
}

fn resume() -> pb::ResumeDropRequest {
    pb::ResumeDropRequest { drop_id: "knife".into() }
}

fn creation() -> pb::CreateDropRequest {
    pb::CreateDropRequest { drop: Some(knife_drop("knife")), validate_only: false }
}

/// The journal's records after the server has stopped.
async fn records(server: Server, data: &Path) -> Vec<Value> {
    server.stop().await.expect("no panic").expect("a clean end");
    let dumped = stockade("", &["journal", "dump", "--json", "--data", data.to_str().expect("a path in UTF-8")]);
    assert_eq!(code(&dumped), 0, "{}", err(&dumped));
    let all = out(&dumped).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect::<Vec<Value>>();
    let is_measured = |record: &Value| matches!(record["kind"].as_str(), Some("demand" | "report"));
    all.into_iter().filter(|record| !is_measured(record)).collect()
}

/// Kind, actor and request id. What is measured is by nobody.
fn reported(record: &Value) -> (&str, &str, Option<&str>) {
    (
        record["kind"].as_str().expect("a kind"),
        record["actor"].as_str().expect("an actor"),
        record["request_id"].as_str(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_says_who_changed_a_drop() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, mut drops) = serve(folder.path()).await;
    let created = drops.create_drop(called(creation(), b"create-1")).await.expect("a drop").into_inner();
    let drop = pb::Drop { title: "Knives".into(), ..created.drop.expect("a drop") };
    let mask = prost_types::FieldMask { paths: vec!["title".into()] };
    let revision = drop.revision;
    let update = pb::UpdateDropRequest { drop: Some(drop), update_mask: Some(mask), revision, validate_only: false };
    drops.update_drop(called(update, b"update-1")).await.expect("an update");
    drops.pause_drop(called(pause(), b"pause-1")).await.expect("a pause");
    drops.resume_drop(called(resume(), b"resume-1")).await.expect("an end of it");
    let adjustment = adjustment(9, "knife", "KNIFE", Change::Delta(3));
    drops.adjust_stock(called(adjustment, b"adjust-1")).await.expect("more units");
    held(&server.client().await, reserve(1, "knife", "ada", vec![line("KNIFE", 1)])).await;
    let close = pb::CloseDropRequest { drop_id: "knife".into() };
    drops.close_drop(called(close, b"close-1")).await.expect("an end");
    let all = records(server, folder.path()).await;
    let wanted = [
        ("drop_created", "anonymous", Some("create-1")),
        ("drop_turned", "engine", None),
        ("drop_updated", "anonymous", Some("update-1")),
        ("drop_paused", "anonymous", Some("pause-1")),
        ("drop_resumed", "anonymous", Some("resume-1")),
        ("adjusted", "anonymous", Some("adjust-1")),
        ("hold", "anonymous", None),
        ("drop_closed", "anonymous", Some("close-1")),
    ];
    assert_eq!(all.iter().map(reported).collect::<Vec<_>>(), wanted);
    for record in &all {
        let peer = record["peer"].as_str();
        let wanted = record["request_id"].is_string();
        assert_eq!(peer.is_some_and(|peer| peer.starts_with("127.0.0.1:")), wanted, "{record}");
        assert_eq!(peer.is_some(), wanted, "{record}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_id_that_is_too_long_or_not_of_visible_ascii_is_left_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, mut drops) = serve(folder.path()).await;
    drops.create_drop(creation()).await.expect("a drop");
    let longest = "x".repeat(ORIGIN_LENGTH_MAX);
    let too_long = "x".repeat(ORIGIN_LENGTH_MAX + 1);
    drops.pause_drop(called(pause(), longest.as_bytes())).await.expect("a pause");
    drops.resume_drop(called(resume(), too_long.as_bytes())).await.expect("an end of it");
    drops.pause_drop(called(pause(), "größe".as_bytes())).await.expect("a pause");
    drops.resume_drop(called(resume(), b"two words")).await.expect("an end of it");
    drops.pause_drop(called(pause(), b"")).await.expect("a pause");
    let all = records(server, folder.path()).await;
    let ids: Vec<_> =
        all.iter().filter(|record| record["peer"].is_string()).map(|record| &record["request_id"]).collect();
    let none = Value::Null;
    assert_eq!(ids, [&none, &longest.into(), &none, &none, &none, &none]);
}
