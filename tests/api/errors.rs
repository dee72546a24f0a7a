//! Bad requests over a real socket: the status, its message, its details.

use stockade_proto as pb;
use stockade_proto::drop_service_client::DropServiceClient;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request};

use crate::common::{create, held, hold_id, item, knife_drop, line, reserve, start};
use crate::shop::{claim, faulty, knife_shop};

#[tokio::test]
async fn every_faulty_field_is_named_in_words_and_in_details() {
    let server = start(&[]).await;
    let client = server.client().await;
    let request = reserve(1, "a b", "", vec![line("K", 0), line("", 1)]);
    let status = client.reserve(request).await.expect_err("faulty");
    let all = ["drop_id", "lines[0].quantity", "lines[1].sku", "customer.id"];
    assert_eq!(faulty(&status), all);
    assert!(all.iter().all(|field| status.message().contains(field)), "{}", status.message());
}

#[tokio::test]
async fn hundreds_of_faults_reach_a_client_with_usual_limits() {
    let server = start(&[]).await;
    let client = server.client().await;
    let drop = pb::Drop { items: vec![item("", 1); 256], ..knife_drop("d") };
    let request = pb::CreateDropRequest { drop: Some(drop), validate_only: false };
    let status = client.create_drop(request).await.expect_err("faulty");
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    assert!(status.message().contains("drop.items[0].sku"), "{}", status.message());
}

#[tokio::test]
async fn what_is_not_built_is_named_and_never_ignored() {
    let server = start(&[]).await;
    let client = server.client().await;
    let drop = pb::Drop {
        waiting_room: Some(pb::WaitingRoom::default()),
        waitlist: Some(pb::Waitlist::default()),
        ..knife_drop("d")
    };
    let request = pb::CreateDropRequest { drop: Some(drop), validate_only: true };
    let status = client.create_drop(request).await.expect_err("unbuilt");
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unimplemented, "not built yet: drop.waiting_room, drop.waitlist")
    );
    let missing = client.get_drop(pb::GetDropRequest { drop_id: "d".into() }).await.expect_err("nothing was made");
    assert_eq!(missing.code(), Code::NotFound);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let (_server, client) = knife_shop().await;
    held(&client, reserve(1, "knife", "ada", vec![line("KNIFE", 1)])).await;
    let unknown = reserve(2, "spoon", "ada", vec![line("KNIFE", 1)]);
    let claim = |n, customer: &str| pb::ClaimRequest { customer_id: customer.into(), ..claim(n, "o") };
    let statuses = [
        client.reserve(unknown).await.expect_err("no drop"),
        client.claim(claim(9, "")).await.expect_err("no hold"),
        client.claim(claim(1, "bob")).await.expect_err("another's hold"),
        client
            .get_hold(pb::GetHoldRequest { hold_id: hold_id(1), drop_id: "spoon".into(), ..Default::default() })
            .await
            .expect_err("drop"),
        client.pause_drop(pb::PauseDropRequest { drop_id: "spoon".into() }).await.expect_err("no drop"),
    ];
    for status in statuses {
        assert_eq!(status.code(), Code::NotFound, "{status}");
    }
}

#[tokio::test]
async fn an_unknown_sku_in_a_known_drop_is_a_faulty_field() {
    let (_server, client) = knife_shop().await;
    let request = reserve(1, "knife", "ada", vec![line("KNIFE", 1), line("AXE", 1)]);
    let status = client.reserve(request).await.expect_err("faulty");
    assert_eq!(faulty(&status), ["lines[1].sku"]);
}

#[tokio::test]
async fn an_id_in_use_with_other_content_is_told_with_the_field() {
    let (_server, client) = knife_shop().await;
    held(&client, reserve(1, "knife", "ada", vec![line("KNIFE", 1)])).await;
    let status = client.reserve(reserve(1, "knife", "ada", vec![line("KNIFE", 2)])).await.expect_err("other content");
    assert_eq!(status.code(), Code::AlreadyExists);
    assert!(status.message().contains("lines"), "{}", status.message());
    let drop = pb::Drop { title: "other".into(), ..knife_drop("knife") };
    let request = pb::CreateDropRequest { drop: Some(drop), validate_only: false };
    let status = client.create_drop(request).await.expect_err("other content");
    assert_eq!(status.code(), Code::AlreadyExists);
    assert!(status.message().contains("title"), "{}", status.message());
}

#[tokio::test]
async fn a_message_that_is_too_long_is_told_with_the_limit() {
    let server = start(&[]).await;
    let client = server.client().await;
    let drop = pb::Drop { title: "x".repeat(5 * 1024 * 1024), ..knife_drop("knife") };
    let request = pb::CreateDropRequest { drop: Some(drop), validate_only: false };
    let status = client.create_drop(request).await.expect_err("too long");
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    assert!(status.message().contains("at most 131072 bytes"), "{}", status.message());
}

#[tokio::test]
async fn a_request_id_comes_back_with_every_answer() {
    let server = start(&[]).await;
    let mut drops = DropServiceClient::connect(server.endpoint.clone()).await.expect("a connection");
    let with_id = |drop_id: &str| {
        let mut request = Request::new(pb::GetDropRequest { drop_id: drop_id.into() });
        request.metadata_mut().insert("x-request-id", "r-1".parse().expect("a value"));
        request
    };
    create(&server.client().await, knife_drop("knife")).await;
    let answer = drops.get_drop(with_id("knife")).await.expect("an answer");
    assert_eq!(answer.metadata().get("x-request-id").map(MetadataValue::as_bytes), Some(&b"r-1"[..]));
    let status = drops.get_drop(with_id("spoon")).await.expect_err("no drop");
    assert_eq!(status.metadata().get("x-request-id").map(MetadataValue::as_bytes), Some(&b"r-1"[..]));
}
