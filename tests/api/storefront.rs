//! What the public may see of drops, over gRPC.

use std::time::Duration;

use futures_util::StreamExt as _;
use stockade_proto as pb;
use stockade_proto::storefront_service_client::StorefrontServiceClient;
use tonic::Code;
use tonic::transport::Channel;

use crate::common::{create, held, item, knife_drop, line, reserve, start};
use crate::server::channel;
use crate::shop::{WAIT_TIMEOUT, closed, ends_well, paused, resumed, shop};

async fn stub(endpoint: &str) -> StorefrontServiceClient<Channel> {
    StorefrontServiceClient::new(channel(endpoint).await)
}

/// An instant this far from now.
pub fn from_now(seconds: i64) -> prost_types::Timestamp {
    let now = i64::try_from(stockade_types::time::wall_clock().0 / 1000).expect("a time of this age");
    prost_types::Timestamp { seconds: now + seconds, nanos: 0 }
}

/// A drop that opens this far from now.
pub fn opening(id: &str, seconds: i64) -> pb::Drop {
    pb::Drop { opens_at: Some(from_now(seconds)), ..knife_drop(id) }
}

fn status_of(id: &str) -> pb::GetDropStatusRequest {
    pb::GetDropStatusRequest { drop_id: id.into() }
}

#[tokio::test]
async fn the_public_sees_state_and_bands_and_when_to_ask_again() {
    let (server, client) = shop(pb::Drop { title: "Knives".into(), ..knife_drop("knife") }).await;
    let shown = client.get_drop_status(status_of("knife")).await.expect("a status");
    let status = shown.status.expect("a status");
    assert_eq!((status.title.as_str(), status.state()), ("Knives", pb::DropState::Open));
    let bands: Vec<_> = status.items.iter().map(|item| (item.sku.as_str(), item.band.as_str())).collect();
    assert_eq!(bands, [("KNIFE", "available"), ("SHEATH", "available")]);
    assert_eq!(shown.poll_after, Some(prost_types::Duration { seconds: 1, nanos: 500_000_000 }));
    assert!(shown.server_time.is_some());
    held(&client, reserve(1, "knife", "ada", vec![line("SHEATH", 2)])).await;
    held(&client, reserve(2, "knife", "bob", vec![line("SHEATH", 1)])).await;
    let later = client.get_drop_status(status_of("knife")).await.expect("a status").status.expect("a status");
    assert_eq!((later.items[0].band.as_str(), later.items[1].band.as_str()), ("available", "sold_out"));
    assert_ne!(later.version, status.version);
    let missing = client.get_drop_status(status_of("spoon")).await.expect_err("no drop");
    assert_eq!(missing.code(), Code::NotFound);
    assert_eq!(client.get_drop_status(status_of("no slug")).await.expect_err("bad").code(), Code::InvalidArgument);
    ends_well(server.stop()).await;
}

#[tokio::test]
async fn before_an_opening_readers_are_asked_back_sooner() {
    let server = start(&[]).await;
    let client = server.client().await;
    for (id, seconds) in [("far", 86_400), ("soon", 25)] {
        create(&client, opening(id, seconds)).await;
    }
    let after = async |id: &str| {
        let shown = client.get_drop_status(status_of(id)).await.expect("a status");
        assert_eq!(shown.status.expect("a status").state(), pb::DropState::Scheduled);
        shown.poll_after.expect("a span").seconds
    };
    assert_eq!(after("far").await, 60);
    assert!((1..=2).contains(&after("soon").await));
}

#[tokio::test]
async fn a_watcher_is_shown_each_change_and_the_end_of_the_server() {
    let (server, client) = shop(knife_drop("knife")).await;
    let request = pb::WatchDropStatusRequest { drop_id: "knife".into() };
    let mut watch = stub(&server.endpoint).await.watch_drop_status(request).await.expect("a watch").into_inner();
    let mut state = async || {
        let next = tokio::time::timeout(WAIT_TIMEOUT, watch.next()).await.expect("in time").expect("no end");
        next.map(|shown| (shown.status.expect("a status").state(), shown.server_time.is_some()))
    };
    assert_eq!(state().await.expect("at once"), (pb::DropState::Open, true));
    paused(&client, "knife").await;
    assert_eq!(state().await.expect("a change"), (pb::DropState::Paused, true));
    resumed(&client, "knife").await;
    assert_eq!(state().await.expect("a change"), (pb::DropState::Open, true));
    closed(&client, "knife").await;
    assert_eq!(state().await.expect("a change"), (pb::DropState::Closed, true));
    let ended = server.stop();
    assert_eq!(state().await.expect_err("it stops").code(), Code::Unavailable);
    ends_well(ended).await;
}

#[tokio::test]
async fn a_watcher_hears_at_least_every_15_s() {
    let (server, _client) = shop(knife_drop("knife")).await;
    let request = pb::WatchDropStatusRequest { drop_id: "knife".into() };
    let mut watch = stub(&server.endpoint).await.watch_drop_status(request).await.expect("a watch").into_inner();
    for _ in 0..2 {
        let next = tokio::time::timeout(Duration::from_secs(15), watch.next()).await;
        next.expect("within 15 s").expect("no end").expect("a status");
    }
}

#[tokio::test]
async fn drops_are_listed_by_their_opening_page_by_page() {
    let server = start(&[]).await;
    let client = server.client().await;
    let berlin = pb::Drop { zones: vec!["berlin".into()], ..opening("c", 300) };
    let paris = pb::Drop { zones: vec!["paris".into()], series: "weekly".into(), ..opening("b", 200) };
    let other = pb::Drop { shop: "other".into(), ..opening("a", 400) };
    let old = pb::Drop { items: vec![item("OLD", 1)], ..knife_drop("now") };
    for drop in [berlin, paris, other, old] {
        create(&client, drop).await;
    }
    let list = async |request: pb::ListDropStatusesRequest| {
        let page = client.list_drop_statuses(request).await.expect("a page");
        (page.statuses.into_iter().map(|status| status.drop_id).collect::<Vec<_>>().join(" "), page.next_page_token)
    };
    let all = pb::ListDropStatusesRequest::default();
    assert_eq!(list(all.clone()).await, ("now b c a".into(), String::new()));
    let zone = pb::ListDropStatusesRequest { zone: "berlin".into(), ..all.clone() };
    assert_eq!(list(zone).await.0, "now c a", "for this place, or for all");
    let series = pb::ListDropStatusesRequest { series: "weekly".into(), ..all.clone() };
    assert_eq!(list(series).await.0, "b");
    let shop = pb::ListDropStatusesRequest { shop: "other".into(), ..all.clone() };
    assert_eq!(list(shop).await.0, "a");
    let span = pb::ListDropStatusesRequest {
        opens_from: Some(from_now(100)),
        opens_until: Some(from_now(290)),
        ..all.clone()
    };
    assert_eq!(list(span).await.0, "b");
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = pb::ListDropStatusesRequest { page_size: 1, page_token: token, ..all.clone() };
        let (ids, next) = list(page).await;
        seen.push(ids);
        if next.is_empty() {
            break;
        }
        token = next;
    }
    assert_eq!(seen, ["now", "b", "c", "a"]);
    // A drop that is made is listed at once.
    create(&client, opening("d", 500)).await;
    assert_eq!(list(all).await.0, "now b c a d");
}
