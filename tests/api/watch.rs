//! Watches of drops over a real socket. No test here depends on the machine's speed: each waits for the expected
//! messages, and asserts only their order.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use stockade::metrics::edge::EdgeMetrics;
use stockade_client::Client;
use stockade_proto as pb;
use stockade_proto::drop_service_client::DropServiceClient;
use stockade_types::time::{ManualClock, Timestamp};
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use crate::common::{Server, create, engine, held, item, knife_drop, line, refused, reserve, serve_here};
use crate::server::channel;
use crate::shop::{
    WAIT_TIMEOUT, closed, comes_again, drop_of, ends_well, eventually, knife_shop, metrics, narrow, paused, plain_drop,
    secs, shop, staged, stocks, watchers,
};

type Stub = DropServiceClient<Channel>;

/// A watch of a drop.
struct Watch(Streaming<pb::WatchDropResponse>);

impl Watch {
    async fn of(stub: &Stub, drop: &str) -> Result<Self, Status> {
        let request = pb::WatchDropRequest { drop_id: drop.into() };
        Ok(Self(stub.clone().watch_drop(request).await?.into_inner()))
    }

    async fn next(&mut self) -> Result<pb::WatchDropResponse, Status> {
        tokio::time::timeout(WAIT_TIMEOUT, self.0.next()).await.expect("in time").expect("no end without a status")
    }

    async fn drop(&mut self) -> pb::Drop {
        self.next().await.expect("a message").drop.expect("a drop")
    }

    /// Reads messages until one fulfils the predicate. Returns their number and that one.
    async fn until(&mut self, wanted: impl Fn(&pb::Drop) -> bool) -> (u32, pb::Drop) {
        for messages in 1.. {
            let drop = self.drop().await;
            if wanted(&drop) {
                return (messages, drop);
            }
        }
        unreachable!("a watch goes on until it ends")
    }
}

async fn stub(server: &Server) -> Stub {
    DropServiceClient::new(channel(&server.endpoint).await)
}

async fn watched() -> (Server, Client, Stub) {
    let (server, client) = knife_shop().await;
    let stub = stub(&server).await;
    (server, client, stub)
}

fn stock(drop: &pb::Drop, place: usize) -> pb::Stock {
    stocks(drop).swap_remove(place)
}

#[tokio::test]
async fn the_whole_drop_comes_at_once_and_again_after_each_change() {
    let (server, client, stub) = watched().await;
    let mut watch = Watch::of(&stub, "knife").await.expect("a watch");
    let first = watch.next().await.expect("a message");
    assert_eq!(first.drop, Some(drop_of(&client, "knife").await), "as GetDrop shows it");
    assert!(first.server_time.is_some());
    let hold = held(&client, reserve(1, "knife", "ada", vec![line("KNIFE", 2)])).await;
    let (messages, drop) = watch.until(|drop| stock(drop, 0).held == 2).await;
    assert_eq!((messages, stock(&drop, 0).free), (1, 8), "one change, one message");
    assert!(drop.as_of_lsn >= hold.revision);
    client.extend(staged(1, pb::HoldStage::Paying)).await.expect("an answer");
    assert_eq!(stock(&watch.until(|drop| stock(drop, 0).paying == 2).await.1, 0).held, 0);
    paused(&client, "knife").await;
    assert_eq!(watch.until(|drop| drop.state() != pb::DropState::Open).await.1.state(), pb::DropState::Paused);
    closed(&client, "knife").await;
    assert_eq!(watch.drop().await.state(), pb::DropState::Closed);
    let page = metrics(&server).await;
    assert!(page.contains("stockade_rpcs_total{method=\"WatchDrop\",code=\"OK\"} 1\n"), "{page}");
}

#[tokio::test]
async fn opening_closing_and_expiry_show_without_anybody_doing_anything() {
    let (_server, client, stub) = watched().await;
    let now = client.get_drop(pb::GetDropRequest { drop_id: "knife".into() }).await.expect("a drop").server_time;
    let after = |millis: i64| {
        let now = now.expect("a time");
        let millis = now.seconds * 1_000 + i64::from(now.nanos / 1_000_000) + millis;
        let nanos = i32::try_from(millis % 1_000).expect("small") * 1_000_000;
        Some(prost_types::Timestamp { seconds: millis / 1_000, nanos })
    };
    let timed =
        pb::Drop { opens_at: after(1_500), closes_at: after(5_500), hold_ttl: Some(secs(1)), ..knife_drop("timed") };
    create(&client, timed).await;
    let mut watch = Watch::of(&stub, "timed").await.expect("a watch");
    assert_eq!(watch.drop().await.state(), pb::DropState::Scheduled);
    let opened = watch.next().await.expect("a message");
    let seconds = |at: Option<prost_types::Timestamp>| at.map(|at| (at.seconds, at.nanos));
    assert!(seconds(opened.server_time) >= seconds(after(1_500)), "{opened:?}");
    assert_eq!(opened.drop.expect("a drop").state(), pb::DropState::Open);
    held(&client, reserve(1, "timed", "ada", vec![line("KNIFE", 2)])).await;
    watch.until(|drop| stock(drop, 0).held == 2).await;
    assert_eq!(stock(&watch.drop().await, 0).held, 0, "expired");
    assert_eq!(watch.drop().await.state(), pb::DropState::Closed);
}

#[tokio::test]
async fn many_changes_are_few_messages_and_the_last_one_is_right() {
    let (_server, client, stub) = watched().await;
    create(&client, plain_drop("many", "SKU", 1_000)).await;
    let mut watch = Watch::of(&stub, "many").await.expect("a watch");
    watch.drop().await;
    let began = tokio::time::Instant::now();
    for n in 0..=255 {
        held(&client, reserve(n, "many", &format!("c{n}"), vec![line("SKU", 1)])).await;
    }
    let (messages, last) = watch.until(|drop| stock(drop, 0).held == 256).await;
    let tenths = began.elapsed().as_millis() / 100 + 1;
    assert!(u128::from(messages) <= tenths, "{messages} messages in {tenths} tenths of a second");
    assert_eq!(stock(&last, 0).free, 744);
}

#[tokio::test]
async fn a_drop_that_does_not_change_is_shown_again_all_the_same() {
    let (_server, _client, stub) = watched().await;
    let mut watch = Watch::of(&stub, "knife").await.expect("a watch");
    let first = watch.next().await.expect("a message");
    let again = watch.next().await.expect("a message");
    assert_eq!(first.drop, again.drop);
    let seconds = |message: pb::WatchDropResponse| message.server_time.expect("a time").seconds;
    let apart = seconds(again) - seconds(first);
    assert!((5..=15).contains(&apart), "{apart} s apart");
}

#[tokio::test]
async fn an_unknown_drop_is_told_at_once_and_takes_no_seat() {
    let (server, client, stub) = watched().await;
    let status = Watch::of(&stub, "spoon").await.err().expect("a status");
    assert_eq!((status.code(), status.message()), (Code::NotFound, "drop spoon not found"));
    let status = Watch::of(&stub, "").await.err().expect("a status");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("drop_id"), "{status}");
    assert_eq!(watchers(&server).await, 0);
    refused(&client, reserve(1, "knife", "ada", vec![line("KNIFE", 3)])).await;
}

#[tokio::test]
async fn a_slow_reader_gets_the_latest_only() {
    let items = (0..200).map(|n| item(&format!("SKU-{n:0>100}"), 10_000)).collect();
    let (server, client) = shop(pb::Drop { id: "wide".into(), items, ..Default::default() }).await;
    // One or two messages are sent before they are read.
    let mut watch = Watch::of(&DropServiceClient::new(narrow(&server.endpoint).await), "wide").await.expect("a watch");
    let sku = format!("SKU-{:0>100}", 0);
    for n in 0..30 {
        held(&client, reserve(n, "wide", "ada", vec![line(&sku, 1)])).await;
        tokio::time::sleep(Duration::from_millis(110)).await;
    }
    let (messages, last) = watch.until(|drop| stock(drop, 0).held == 30).await;
    assert!(messages <= 8, "{messages} messages for one who slept");
    assert_eq!(stock(&last, 0).free, 9_970);
}

#[tokio::test]
async fn a_server_that_stops_tells_its_watchers() {
    let (server, client, stub) = watched().await;
    let mut watches = Vec::new();
    for _ in 0..3 {
        let mut watch = Watch::of(&stub, "knife").await.expect("a watch");
        watch.drop().await;
        watches.push(watch);
    }
    held(&client, reserve(1, "knife", "ada", vec![line("KNIFE", 2)])).await;
    let ended = server.stop();
    for watch in &mut watches {
        let status = loop {
            match watch.next().await {
                Ok(_change) => {}
                Err(status) => break status,
            }
        };
        comes_again("a watch", &status);
        assert!(watch.0.next().await.is_none(), "and that is the end");
    }
    ends_well(ended).await;
}

#[tokio::test]
async fn nothing_is_left_of_watchers_that_are_gone() {
    let metrics = Arc::new(EdgeMetrics::default());
    let clock = Arc::new(ManualClock::at(Timestamp(1_800_000_000_000)));
    let endpoint = serve_here(&engine(), clock, &metrics).await;
    let client = Client::connect(&endpoint).await.expect("a connection");
    create(&client, knife_drop("knife")).await;
    create(&client, knife_drop("other")).await;
    let stub = DropServiceClient::new(channel(&endpoint).await);
    let count = || metrics.watchers.get();
    // More watchers than one group has.
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let mut first = Watch::of(&stub, "knife").await.expect("a watch");
    first.drop().await;
    drop(first);
    eventually("the first is forgotten", async || count() == 0).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let before = tasks();
    let mut watches = Vec::new();
    for n in 0..400 {
        let mut watch = Watch::of(&stub, if n % 8 == 0 { "other" } else { "knife" }).await.expect("a watch");
        watch.drop().await;
        watches.push(watch);
    }
    assert_eq!(count(), 400);
    assert!(tasks() > before);
    drop(watches.split_off(399));
    drop(watches);
    eventually("all are forgotten", async || count() == 0).await;
    eventually("and nobody looks any more", async || tasks() <= before).await;
    let mut again = Watch::of(&stub, "knife").await.expect("a watch");
    again.drop().await;
    held(&client, reserve(1, "knife", "ada", vec![line("KNIFE", 2)])).await;
    assert_eq!(stock(&again.drop().await, 0).held, 2, "and whoever comes later is served as ever");
}

/// Watchers at once, on one drop and over many.
const CROWD: usize = 10_000;
const DROPS: usize = 100;
const CONNECTIONS: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_watch_over_ten_connections_and_nobody_is_held_back() {
    let (server, client, _) = watched().await;
    create(&client, plain_drop("hot", "SKU", 1_000)).await;
    for n in 0..DROPS {
        create(&client, plain_drop(&format!("d{n}"), "SKU", 9)).await;
    }
    let mut stubs = Vec::new();
    for _ in 0..CONNECTIONS {
        stubs.push(stub(&server).await);
    }
    let drop_of = |n: usize| if n.is_multiple_of(2) { "hot".to_owned() } else { format!("d{}", n / 2 % DROPS) };
    let mut opening: FuturesUnordered<_> = (0..CROWD)
        .map(|n| {
            let (stub, drop) = (stubs[n % CONNECTIONS].clone(), drop_of(n));
            async move {
                let mut watch = Watch::of(&stub, &drop).await.expect("a watch");
                assert_eq!(watch.drop().await.id, drop);
                (drop, watch)
            }
        })
        .collect();
    let mut watches = Vec::new();
    while let Some(watch) = opening.next().await {
        watches.push(watch);
    }
    assert_eq!(watchers(&server).await, u64::try_from(CROWD).expect("small"));
    // Requests are answered during all these watches.
    for n in 0..100 {
        held(&client, reserve(n, "hot", &format!("c{n}"), vec![line("SKU", 1)])).await;
    }
    held(&client, reserve(200, "d7", "ada", vec![line("SKU", 9)])).await;
    let mut telling: FuturesUnordered<_> = watches
        .iter_mut()
        .filter(|(drop, _)| drop == "hot" || drop == "d7")
        .map(|(drop, watch)| {
            let wanted = if drop == "hot" { 100 } else { 9 };
            watch.until(move |drop| stock(drop, 0).held == wanted)
        })
        .collect();
    while telling.next().await.is_some() {}
    drop(telling);
    drop(watches);
    eventually("all are forgotten", async || watchers(&server).await == 0).await;
}

#[tokio::test]
async fn whoever_comes_later_to_a_quiet_drop_is_shown_it_again_in_time() {
    let (_server, _client, stub) = watched().await;
    let mut first = Watch::of(&stub, "knife").await.expect("a watch");
    first.next().await.expect("a message");
    // Between two heartbeats of the existing watchers.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut later = Watch::of(&stub, "knife").await.expect("a watch");
    later.next().await.expect("a message");
    let again = tokio::time::timeout(Duration::from_secs(15), later.next()).await;
    again.expect("no silence of 15 s").expect("a message");
}
