//! A server with a drop, and what customers and operators ask of it, in a word each.

use std::time::Duration;

use stockade::server::ServeError;
use stockade_client::Client;
use stockade_proto as pb;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::common::{Server, create, get, hold_id, item, knife_drop, start};

/// A server with this drop, and a client of it.
pub async fn shop(drop: pb::Drop) -> (Server, Client) {
    let server = start(&[]).await;
    let client = server.client().await;
    create(&client, drop).await;
    (server, client)
}

/// A span on the wire.
pub const fn secs(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

/// The n-th hold becomes a sale.
pub fn claim(n: u8, order: &str) -> pb::ClaimRequest {
    pb::ClaimRequest { hold_id: hold_id(n), order_ref: order.into(), ..Default::default() }
}

/// The n-th hold is moved into payment, or back.
pub fn staged(n: u8, stage: pb::HoldStage) -> pb::ExtendRequest {
    pb::ExtendRequest { hold_id: hold_id(n), stage: stage.into(), ..Default::default() }
}

/// All of the n-th hold is given back but this.
pub fn release(n: u8, keep: Vec<pb::Line>) -> pb::ReleaseRequest {
    pb::ReleaseRequest { hold_id: hold_id(n), keep, ..Default::default() }
}

/// Units of the n-th hold come back after the sale; all of them if none are named.
pub fn returning(n: u8, returned: Vec<pb::Line>, restock: bool) -> pb::ReturnUnitsRequest {
    pb::ReturnUnitsRequest { hold_id: hold_id(n), returned, restock, ..Default::default() }
}

/// A change of an item's stock, with the n-th id.
pub fn adjustment(n: u8, drop: &str, sku: &str, change: pb::adjust_stock_request::Change) -> pb::AdjustStockRequest {
    let (drop_id, sku, adjustment_id) = (drop.into(), sku.into(), hold_id(n));
    pb::AdjustStockRequest { drop_id, sku, adjustment_id, change: Some(change), ..Default::default() }
}

/// A limit without bounds.
pub fn limit(id: &str, scope: pb::LimitScope) -> pb::Limit {
    pb::Limit { id: id.into(), scope: scope.into(), ..Default::default() }
}

/// An answer with either a hold or a refusal.
pub trait Outcome {
    /// The hold, which it must have.
    fn hold(self) -> pb::Hold;
    /// The refusal, which it must be.
    fn refusal(self) -> pb::Refusal;
}

macro_rules! outcomes {
    ($($response:ident: $module:ident;)*) => {
        $(impl Outcome for pb::$response {
            fn hold(self) -> pb::Hold {
                match self.outcome {
                    Some(pb::$module::Outcome::Hold(hold)) => hold,
                    other => panic!("no hold: {other:?}"),
                }
            }
            fn refusal(self) -> pb::Refusal {
                match self.outcome {
                    Some(pb::$module::Outcome::Refusal(refusal)) => refusal,
                    other => panic!("no refusal: {other:?}"),
                }
            }
        })*
    };
}

outcomes! {
    ReserveResponse: reserve_response;
    ExtendResponse: extend_response;
    ClaimResponse: claim_response;
    ReleaseResponse: release_response;
    ReturnUnitsResponse: return_units_response;
}

/// A drop as it is now.
pub async fn drop_of(client: &Client, id: &str) -> pb::Drop {
    let answer = client.get_drop(pb::GetDropRequest { drop_id: id.into() }).await.expect("a drop");
    assert!(answer.server_time.is_some());
    answer.drop.expect("a drop")
}

/// The stock of a drop's items.
pub fn stocks(drop: &pb::Drop) -> Vec<pb::Stock> {
    drop.items.iter().map(|item| item.stock.expect("stock")).collect()
}

/// The stock of a drop's first item as it is now.
pub async fn stock_of(client: &Client, id: &str) -> pb::Stock {
    stocks(&drop_of(client, id).await).swap_remove(0)
}

/// The n-th hold as it is now.
pub async fn hold_of(client: &Client, n: u8) -> pb::Hold {
    let request = pb::GetHoldRequest { hold_id: hold_id(n), ..Default::default() };
    client.get_hold(request).await.expect("an answer").hold.expect("a hold")
}

/// A drop after a pause.
pub async fn paused(client: &Client, id: &str) -> pb::Drop {
    client.pause_drop(pb::PauseDropRequest { drop_id: id.into() }).await.expect("an answer").drop.expect("a drop")
}

/// A drop after the end of a pause.
pub async fn resumed(client: &Client, id: &str) -> pb::Drop {
    client.resume_drop(pb::ResumeDropRequest { drop_id: id.into() }).await.expect("an answer").drop.expect("a drop")
}

/// A drop after its end.
pub async fn closed(client: &Client, id: &str) -> pb::Drop {
    client.close_drop(pb::CloseDropRequest { drop_id: id.into() }).await.expect("an answer").drop.expect("a drop")
}

/// The metrics page.
pub async fn metrics(server: &Server) -> String {
    get(server.http, "/metrics", "text/plain").await.1
}

/// Checks that a page has these lines.
pub fn has_lines(page: &str, lines: &[&str]) {
    for line in lines {
        assert!(page.lines().any(|reported| reported == *line), "{line} in\n{page}");
    }
}

/// How many streams of drops and events are open.
pub async fn watchers(server: &Server) -> u64 {
    let page = metrics(server).await;
    let reported = page.lines().find_map(|line| line.strip_prefix("stockade_watchers "));
    reported.and_then(|reported| reported.parse().ok()).expect("a figure")
}

/// The fields that a status names as faulty.
pub fn faulty(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    let details = status.get_details_bad_request().expect("details");
    details.field_violations.into_iter().map(|violation| violation.field).collect()
}

/// Checks that a caller is told to send its request again, and when.
pub fn comes_again(call: &str, status: &Status) {
    assert_eq!(status.code(), Code::Unavailable, "{call}: {status}");
    assert!(status.metadata().get("grpc-retry-pushback-ms").is_some(), "{call}: {status}");
}

/// A server with the drop `knife` of [`knife_drop`], and a client of it.
pub async fn knife_shop() -> (Server, Client) {
    shop(knife_drop("knife")).await
}

/// A drop without limits, with some units of one item.
pub fn plain_drop(id: &str, sku: &str, units: u64) -> pb::Drop {
    pb::Drop { id: id.into(), items: vec![item(sku, units)], ..Default::default() }
}

/// Longer than anything that is waited for takes on a busy machine.
pub const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

/// Waits until the check holds.
pub async fn eventually(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(WAIT_TIMEOUT, async {
        while !check().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    waited.await.unwrap_or_else(|_late| panic!("never: {what}"));
}

/// Stops a server that has streams open: it ends before the drain timeout, and well.
pub async fn ends_well(ended: JoinHandle<Result<(), ServeError>>) {
    let ended = tokio::time::timeout(Duration::from_secs(8), ended).await.expect("nothing is left behind");
    ended.expect("no panic").expect("it ends well");
}

/// A connection with the smallest window that HTTP/2 allows, so that little is sent before it is read.
pub async fn narrow(endpoint: &str) -> Channel {
    let channel = Channel::from_shared(endpoint.to_owned()).expect("an endpoint");
    channel.initial_stream_window_size(65_535).connect().await.expect("a connection")
}
