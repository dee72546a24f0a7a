//! Lists that are read page by page, and watches of drops.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use stockade_client::{Error, Options, Retry};
use stockade_proto as pb;
use tonic::{Code, Status};

use super::fake::Fake;
use super::shared::plenty;
use super::{all_at_once, asking, connected, granted, id, options};
use crate::common::{create, knife_drop};

#[tokio::test]
async fn a_list_is_walked_to_its_end() {
    let (server, stockade) = plenty().await;
    for ended in all_at_once(&stockade, (0..25).map(|n| asking(n, 1))).await {
        assert_eq!(granted(ended.expect("an answer")).hold.state(), pb::HoldState::Held);
    }
    let request = pb::ListHoldsRequest { drop_id: "plenty".into(), page_size: 4, ..Default::default() };
    let holds: Vec<pb::Hold> = stockade.holds(request.clone()).try_collect().await.expect("all pages");
    let mut ids: Vec<String> = holds.into_iter().map(|hold| hold.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..25).map(id).collect::<Vec<_>>(), "each once");
    let first: Vec<_> = stockade.holds(request).take(3).try_collect().await.expect("a page");
    assert_eq!(first.len(), 3);
    create(&server.client().await, knife_drop("knife")).await;
    let one_by_one = pb::ListDropsRequest { page_size: 1, ..Default::default() };
    let drops: Vec<pb::Drop> = stockade.drops(one_by_one).try_collect().await.expect("all pages");
    assert_eq!(drops.iter().map(|drop| drop.id.as_str()).collect::<Vec<_>>(), ["plenty", "knife"]);
}

#[tokio::test]
async fn a_list_ends_with_its_first_error() {
    let (_server, stockade) = plenty().await;
    let mut holds = stockade.holds(pb::ListHoldsRequest::default());
    let error = holds.next().await.expect("an answer").expect_err("a list of nothing in particular");
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    assert!(holds.next().await.is_none());
}

fn seen(revision: u64) -> pb::WatchDropResponse {
    let drop = pb::Drop { id: "knife".into(), revision, ..Default::default() };
    pb::WatchDropResponse { drop: Some(drop), server_time: None }
}

fn revision(message: &pb::WatchDropResponse) -> u64 {
    message.drop.as_ref().expect("a drop").revision
}

#[tokio::test]
async fn a_watch_goes_on_when_its_stream_breaks_until_the_drop_is_gone() {
    let fake = Fake::new().on_watch(|nth| match nth {
        0 => vec![Ok(seen(1)), Ok(seen(2)), Err(Status::unavailable("stopping"))],
        1 => Vec::new(),
        2 => vec![Ok(seen(3))],
        _ => vec![Err(Status::not_found("no such drop"))],
    });
    let (_running, stockade) = connected(&fake, options()).await;
    let reported: Vec<_> = stockade.watch_drop("knife").collect().await;
    let (last, messages) = reported.split_last().expect("an end");
    let revisions: Vec<u64> = messages.iter().map(|reported| revision(reported.as_ref().expect("a message"))).collect();
    assert_eq!(revisions, [1, 2, 3]);
    assert!(matches!(last, Err(Error::Status(status)) if status.code() == Code::NotFound), "{last:?}");
    assert_eq!(fake.watches.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn a_watch_gives_up_after_so_many_failures_in_a_row() {
    let fake = Fake::new().on_watch(|nth| match nth {
        0 => vec![Ok(seen(1))],
        _ => vec![Err(Status::unavailable("down"))],
    });
    let retry = Retry { attempts: 3, shortest_delay: Duration::from_millis(1), ..Retry::default() };
    let (_running, stockade) = connected(&fake, Options { retry, ..options() }).await;
    let reported: Vec<_> = stockade.watch_drop("knife").collect().await;
    assert_eq!(reported.len(), 2, "{reported:?}");
    assert!(matches!(reported.last(), Some(Err(Error::Unavailable { attempts: 3, .. }))), "{reported:?}");
}
