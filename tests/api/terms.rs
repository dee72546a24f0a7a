//! A server whose engine is replaced while it serves: the answers to callers meanwhile, and where they go on.

use std::sync::Arc;

use futures_util::StreamExt as _;
use stockade::config::{Config, Given};
use stockade::grpc;
use stockade::server::{OpenedEngine, open_engine};
use stockade_client::Client;
use stockade_engine::lifecycle::term::EngineHandle;
use stockade_proto as pb;
use stockade_proto::drop_service_client::DropServiceClient;
use stockade_types::time::{ManualClock, Timestamp};
use tempfile::TempDir;
use tonic::{Code, Status, Streaming};

use crate::batch::reserving;
use crate::common::{create, engine, held, knife_drop, line, reserve, serve_terms};
use crate::contract::{ask, good, own_name};
use crate::events::{self, Reading, everything, kinds, read_all};
use crate::server::{channel, health};
use crate::shop::{WAIT_TIMEOUT, comes_again};

/// The status that ends a stream.
async fn end<T>(stream: &mut Streaming<T>) -> Status {
    let end = async {
        loop {
            match stream.next().await.expect("no end without a status") {
                Ok(_before) => {}
                Err(status) => return status,
            }
        }
    };
    tokio::time::timeout(WAIT_TIMEOUT, end).await.expect("in time")
}

#[tokio::test]
async fn between_two_terms_each_call_says_that_it_can_be_sent_again_and_then_the_next_term_answers() {
    let engines = EngineHandle::of(engine());
    let clock = Arc::new(ManualClock::at(Timestamp(1_800_000_000_000)));
    let endpoint = serve_terms(Arc::clone(&engines), clock, &Arc::default()).await;
    let (client, channel) = (Client::connect(&endpoint).await.expect("a connection"), channel(&endpoint).await);
    create(&client, knife_drop("knife")).await;
    let watch_request = || pb::WatchDropRequest { drop_id: "knife".into() };
    let operations = || vec![reserving(1, "ada", 1)];
    let mut watch =
        DropServiceClient::new(channel.clone()).watch_drop(watch_request()).await.expect("a watch").into_inner();

    assert!(engines.swap(None).is_some());
    comes_again("a watch", &end(&mut watch).await);
    for (path, request) in grpc::served() {
        let asked: Result<(), Status> = match own_name(request) {
            "WatchDropRequest" => ask(&channel, path, watch_request()).await,
            "WatchDropStatusRequest" => {
                ask(&channel, path, pb::WatchDropStatusRequest { drop_id: "knife".into() }).await
            }
            "BatchRequest" => ask(&channel, path, pb::BatchRequest { operations: operations(), view: 0 }).await,
            "BatchStreamRequest" => {
                let request = pb::BatchStreamRequest { sequence: 1, operations: operations(), view: 0 };
                ask(&channel, path, request).await
            }
            "ReadEventsRequest" => ask(&channel, path, everything()).await,
            name => ask(&channel, path, good(name)).await,
        };
        let status = asked.expect_err(path);
        comes_again(path, &status);
        assert_eq!(status.message(), "overloaded: the server's engine is being replaced", "{path}");
    }
    assert!(health(&channel, "").await.is_some(), "health stands");

    let second = engine();
    engines.swap(Some(Arc::clone(&second)));
    create(&client, knife_drop("other")).await;
    let mut watch = DropServiceClient::new(channel.clone())
        .watch_drop(pb::WatchDropRequest { drop_id: "other".into() })
        .await
        .expect("a watch")
        .into_inner();
    held(&client, reserve(1, "other", "ada", vec![line("KNIFE", 1)])).await;
    let seen = async {
        loop {
            let drop = watch.next().await.expect("no end").expect("a message").drop.expect("a drop");
            if drop.items[0].stock.is_some_and(|stock| stock.held == 1) {
                break;
            }
        }
    };
    tokio::time::timeout(WAIT_TIMEOUT, seen).await.expect("in time");
    let status = client.get_drop(pb::GetDropRequest { drop_id: "knife".into() }).await.expect_err("of the term before");
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(second.inventory().drops.all().len(), 1);
}

async fn open(folder: &TempDir) -> OpenedEngine {
    let data = folder.path().to_str().expect("a path").to_owned();
    let config = Config::from_flags(vec![Given::flag("data", data)]).expect("a good configuration");
    let opening = tokio::task::spawn_blocking(move || open_engine(&config));
    opening.await.expect("no panic").expect("an engine")
}

async fn close(term: OpenedEngine) {
    tokio::task::spawn_blocking(move || term.close()).await.expect("no panic").expect("it ends well");
}

#[tokio::test]
async fn events_end_with_their_term_and_go_on_in_the_next() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = open(&folder).await;
    let engines = EngineHandle::of(Arc::clone(&first.engine));
    let endpoint = serve_terms(Arc::clone(&engines), first.clock.clone(), &Arc::default()).await;
    let client = Client::connect(&endpoint).await.expect("a connection");
    let stub = events::Stub::new(channel(&endpoint).await);
    create(&client, knife_drop("knife")).await;
    let mut reading = Reading::from_now(&stub).await;
    held(&client, reserve(1, "knife", "ada", vec![line("KNIFE", 1)])).await;
    assert_eq!(kinds(&reading.events(1).await), ["stockade.hold.created"]);
    let before = read_all(&stub, everything()).await;

    drop(engines.swap(None));
    let weak = Arc::downgrade(&first.engine);
    close(first).await;
    comes_again("a reading", &end(&mut reading.0).await);
    assert!(weak.upgrade().is_none(), "who follows events keeps no engine");

    let second = open(&folder).await;
    engines.swap(Some(Arc::clone(&second.engine)));
    let mut reading = Reading::from_now(&stub).await;
    held(&client, reserve(2, "knife", "bea", vec![line("KNIFE", 1)])).await;
    assert_eq!(kinds(&reading.events(1).await), ["stockade.hold.created"]);
    let cursor = before.last().expect("an event").cursor.clone();
    let rest = read_all(&stub, pb::ReadEventsRequest { after: cursor, ..everything() }).await;
    assert_eq!(rest.last().expect("an event").r#type, "stockade.hold.created");
    assert!(read_all(&stub, everything()).await.starts_with(&before));
    close(second).await;
}

#[tokio::test]
async fn a_follower_ends_with_its_term_also_where_the_last_events_were_not_read_yet() {
    let folder = tempfile::tempdir().expect("a folder");
    let term = open(&folder).await;
    let engines = EngineHandle::of(Arc::clone(&term.engine));
    let endpoint = serve_terms(Arc::clone(&engines), term.clock.clone(), &Arc::default()).await;
    let client = Client::connect(&endpoint).await.expect("a connection");
    let stub = events::Stub::new(channel(&endpoint).await);
    create(&client, knife_drop("knife")).await;
    let mut reading = Reading::from_now(&stub).await;
    for n in 1..=9 {
        held(&client, reserve(n, "knife", &format!("c{n}"), vec![line("KNIFE", 1)])).await;
    }
    drop(engines.swap(None));
    close(term).await;
    comes_again("a reading", &end(&mut reading.0).await);
    let status = stub.clone().list_events(events::page_of(&["*"])).await.expect_err("no term");
    comes_again("a page", &status);
}
