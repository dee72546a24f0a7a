//! Events over a real socket: live, page by page, and from any kept position.

use std::collections::HashSet;

use futures_util::StreamExt as _;
use stockade_client::Client;
use stockade_proto as pb;
use stockade_proto::event_service_client::EventServiceClient;
use tempfile::TempDir;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use crate::common::{Server, create, held, hold_id, knife_drop, line, reserve, start};
use crate::server::channel;
use crate::shop::{
    WAIT_TIMEOUT, adjustment, claim, comes_again, ends_well, eventually, faulty, narrow, plain_drop, returning, secs,
    staged, watchers,
};

pub type Stub = EventServiceClient<Channel>;

/// A server that keeps its events.
pub struct Shop {
    pub server: Server,
    pub client: Client,
    pub stub: Stub,
    pub folder: TempDir,
}

pub async fn open(folder: TempDir) -> Shop {
    open_with(folder, "sync").await
}

async fn open_with(folder: TempDir, durability: &str) -> Shop {
    let data = folder.path().to_str().expect("a path").to_owned();
    let server = start(&[("ephemeral", "false"), ("data", &data), ("durability", durability)]).await;
    let client = server.client().await;
    let stub = EventServiceClient::new(channel(&server.endpoint).await);
    Shop { server, client, stub, folder }
}

pub async fn shop() -> Shop {
    let shop = open(tempfile::tempdir().expect("a folder")).await;
    create(&shop.client, knife_drop("knife")).await;
    shop
}

fn filter(types: &[&str]) -> pb::EventFilter {
    pb::EventFilter { types: types.iter().map(ToString::to_string).collect(), ..Default::default() }
}

pub fn everything() -> pb::ReadEventsRequest {
    let filter = Some(filter(&["*"]));
    pb::ReadEventsRequest { filter, with_customers: true, with_stock: true, ..Default::default() }
}

pub fn page_of(types: &[&str]) -> pb::ListEventsRequest {
    pb::ListEventsRequest { filter: Some(filter(types)), ..Default::default() }
}

/// A stream of events.
pub struct Reading(pub Streaming<pb::ReadEventsResponse>);

impl Reading {
    async fn begin(stub: &Stub, request: pb::ReadEventsRequest) -> Result<Self, Status> {
        Ok(Self(stub.clone().read_events(request).await?.into_inner()))
    }

    /// Follows events from now on.
    pub async fn from_now(stub: &Stub) -> Self {
        let request = pb::ReadEventsRequest { from_now: true, follow: true, ..everything() };
        let mut reading = Self::begin(stub, request).await.expect("a stream");
        let first = reading.message().await.expect("a message");
        assert_eq!((first.events, first.read_to), (vec![], first.durable_to), "where it is, at once");
        reading
    }

    async fn next(&mut self) -> Option<Result<pb::ReadEventsResponse, Status>> {
        tokio::time::timeout(WAIT_TIMEOUT, self.0.next()).await.expect("in time")
    }

    pub async fn message(&mut self) -> Result<pb::ReadEventsResponse, Status> {
        self.next().await.expect("no end without a status")
    }

    /// The next events, as many as `count`.
    pub async fn events(&mut self, count: usize) -> Vec<pb::Event> {
        let mut events = Vec::new();
        while events.len() < count {
            events.extend(self.message().await.expect("a message").events);
        }
        assert_eq!(events.len(), count, "{events:?}");
        events
    }

    /// All messages of a stream that does not follow.
    async fn till_its_end(mut self) -> Vec<pb::ReadEventsResponse> {
        let mut messages = Vec::new();
        while let Some(message) = self.next().await {
            messages.push(message.expect("a message"));
        }
        messages
    }
}

pub async fn read_all(stub: &Stub, request: pb::ReadEventsRequest) -> Vec<pb::Event> {
    let reading = Reading::begin(stub, request).await.expect("a stream");
    reading.till_its_end().await.into_iter().flat_map(|message| message.events).collect()
}

pub fn kinds(events: &[pb::Event]) -> Vec<&str> {
    events.iter().map(|event| event.r#type.as_str()).collect()
}

/// Lines as SKU and units: sold or held, released, returned.
fn moved(event: &pb::Event) -> Vec<(&str, u32, u32, u32)> {
    event.moved.iter().map(|line| (line.sku.as_str(), line.quantity, line.released, line.returned)).collect()
}

async fn paying(client: &Client, n: u8) {
    client.extend(staged(n, pb::HoldStage::Paying)).await.expect("an answer");
}

pub async fn claimed(client: &Client, n: u8) {
    client.claim(claim(n, "order")).await.expect("an answer");
}

#[tokio::test]
async fn a_follower_sees_a_hold_s_life() {
    let shop = shop().await;
    let mut reading = Reading::from_now(&shop.stub).await;
    held(&shop.client, reserve(1, "knife", "ada", vec![line("KNIFE", 2)])).await;
    paying(&shop.client, 1).await;
    claimed(&shop.client, 1).await;
    shop.client.return_units(returning(1, vec![line("KNIFE", 1)], true)).await.expect("an answer");
    let events = reading.events(4).await;
    let life = ["stockade.hold.created", "stockade.hold.paying", "stockade.hold.claimed", "stockade.hold.returned"];
    assert_eq!(kinds(&events), life);
    let was = events.iter().map(pb::Event::was).collect::<Vec<_>>();
    let [first, second] = [pb::HoldState::Held, pb::HoldState::Paying];
    assert_eq!(was, [pb::HoldState::Unspecified, first, second, pb::HoldState::Claimed]);
    let moves: Vec<_> = events.iter().map(moved).collect();
    assert_eq!(moves, [vec![("KNIFE", 2, 0, 0)], vec![], vec![("KNIFE", 2, 0, 0)], vec![("KNIFE", 0, 0, 1)]]);
    let states: Vec<_> = events.iter().filter_map(|event| event.hold.as_ref().map(pb::Hold::state)).collect();
    assert_eq!(states, [first, second, pb::HoldState::Claimed, pb::HoldState::Claimed]);
    for event in &events {
        let hold = event.hold.as_ref().expect("a hold");
        assert_eq!((event.shop.as_str(), event.drop_id.as_str(), hold.id.as_str()), ("default", "knife", &*hold_id(1)));
        assert_eq!((hold.customer_id.as_str(), event.actor.as_str()), ("ada", "anonymous"));
        assert_eq!(hold.revision, event.lsn, "the hold as it was then");
        let what = event.r#type.rsplit('.').next().expect("a word");
        assert!(event.id.ends_with(&format!("-{}-{what}", event.lsn)), "{}", event.id);
    }
    assert_eq!(events[2].hold.as_ref().map(|hold| hold.order_ref.as_str()), Some("order"));
}

#[tokio::test]
async fn an_expiry_says_for_when_it_was_and_an_opening_stands_before_the_first_hold() {
    let shop = shop().await;
    let ttl = Some(secs(1));
    let hold =
        held(&shop.client, pb::ReserveRequest { ttl, ..reserve(1, "knife", "ada", vec![line("KNIFE", 1)]) }).await;
    let mut reading =
        Reading::begin(&shop.stub, pb::ReadEventsRequest { follow: true, ..everything() }).await.expect("a stream");
    let events = reading.events(4).await;
    let expected = ["stockade.drop.created", "stockade.drop.opened", "stockade.hold.created", "stockade.hold.expired"];
    assert_eq!(kinds(&events), expected);
    assert_eq!(events[3].scheduled_for, hold.expires_at);
    assert_eq!((moved(&events[3]), events[3].actor.as_str()), (vec![("KNIFE", 0, 1, 0)], "engine"));
    let status = events[1].drop.as_ref().expect("the drop as anyone may see it");
    assert_eq!((status.state(), status.drop_id.as_str()), (pb::DropState::Open, "knife"));
    let bands: Vec<_> = status.items.iter().map(|item| item.band.as_str()).collect();
    assert_eq!(bands, ["available", "available"]);
    assert_eq!(events[1].scheduled_for, status.opens_at);
}

#[tokio::test]
async fn who_bought_and_figures_are_for_who_asks_for_them() {
    let shop = shop().await;
    held(&shop.client, reserve(1, "knife", "ada", vec![line("KNIFE", 2)])).await;
    claimed(&shop.client, 1).await;
    let more = adjustment(9, "knife", "KNIFE", pb::adjust_stock_request::Change::Delta(5));
    shop.client.adjust_stock(more).await.expect("adjusted");
    let plain = pb::ReadEventsRequest { with_customers: false, with_stock: false, ..everything() };
    let (all, plain) = (read_all(&shop.stub, everything()).await, read_all(&shop.stub, plain).await);
    let adjusted = all.last().expect("an event");
    let stock = pb::Stock { received: 15, free: 13, claimed: 2, ..Default::default() };
    assert_eq!((adjusted.r#type.as_str(), adjusted.sku.as_str()), ("stockade.stock.adjusted", "KNIFE"));
    assert_eq!((adjusted.stock, adjusted.cause.as_str()), (Some(stock), &*hold_id(9)));
    let without = |event: &pb::Event| {
        let hold = event.hold.clone();
        let hold = hold.map(|hold| pb::Hold { customer_id: String::new(), order_ref: String::new(), ..hold });
        pb::Event { hold, actor: String::new(), stock: None, ..event.clone() }
    };
    assert_eq!(plain, all.iter().map(without).collect::<Vec<_>>());
    assert!(all != plain);
}

#[tokio::test]
async fn events_of_one_record_come_in_one_message_and_reading_goes_on_between_them() {
    let shop = shop().await;
    held(&shop.client, reserve(1, "knife", "ada", vec![line("KNIFE", 1)])).await;
    let in_place = pb::ReserveRequest { supersedes: hold_id(1), ..reserve(2, "knife", "ada", vec![line("KNIFE", 2)]) };
    held(&shop.client, in_place).await;
    let all = read_all(&shop.stub, everything()).await;
    let one = pb::ReadEventsRequest { max_events: 1, ..everything() };
    let messages = Reading::begin(&shop.stub, one).await.expect("a stream").till_its_end().await;
    let sizes: Vec<_> = messages.iter().map(|message| message.events.len()).filter(|events| *events > 0).collect();
    assert_eq!(sizes, [1, 1, 1, 2], "{:?}", kinds(&all));
    let last = messages.last().expect("a message");
    assert_eq!(last.read_to, last.durable_to, "to the end");
    for message in &messages {
        let rest = read_all(&shop.stub, pb::ReadEventsRequest { after: message.read_to.clone(), ..everything() }).await;
        assert!(all.ends_with(&rest));
    }
    let mut ids = HashSet::new();
    for (place, event) in all.iter().enumerate() {
        assert!(ids.insert(event.id.as_str()), "{} twice", event.id);
        let after = pb::ReadEventsRequest { after: event.cursor.clone(), ..everything() };
        assert_eq!(read_all(&shop.stub, after).await, all[place + 1..], "behind {}", event.id);
    }
    let ended = all.iter().find(|event| event.r#type == "stockade.hold.superseded").expect("the old hold's end");
    assert_eq!(ended.hold.as_ref().map(|hold| hold.superseded_by.clone()), Some(hold_id(2)));
}

#[tokio::test]
async fn ids_and_cursors_outlive_a_restart() {
    let shop = shop().await;
    held(&shop.client, reserve(1, "knife", "ada", vec![line("KNIFE", 1)])).await;
    let before = read_all(&shop.stub, everything()).await;
    let Shop { server, client, stub, folder } = shop;
    drop((client, stub));
    server.stop().await.expect("no panic").expect("it ends well");
    let shop = open(folder).await;
    let after = read_all(&shop.stub, everything()).await;
    assert!(after.starts_with(&before), "{after:?}");
    let cursor = before.last().expect("an event").cursor.clone();
    let rest = read_all(&shop.stub, pb::ReadEventsRequest { after: cursor, ..everything() }).await;
    assert_eq!(rest, after[before.len()..]);
}

#[tokio::test]
async fn a_cursor_that_can_not_be_gone_on_from_says_why() {
    let (other, shop) = (shop().await, shop().await);
    let after = |after: &str| pb::ReadEventsRequest { after: after.into(), ..everything() };
    let status_of = async |after: pb::ReadEventsRequest| {
        Reading::begin(&shop.stub, after).await.err().expect("a status instead of a stream")
    };
    let status = status_of(after("nonsense")).await;
    assert_eq!(faulty(&status), ["after"]);
    let foreign = read_all(&other.stub, everything()).await.pop().expect("an event").cursor;
    let status = status_of(after(&foreign)).await;
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    let oldest = status.message().rsplit(' ').next().expect("a word");
    let from_oldest = read_all(&shop.stub, after(oldest)).await;
    assert_eq!(from_oldest, read_all(&shop.stub, everything()).await, "the message names the oldest");
    let listed = shop.stub.clone().list_events(pb::ListEventsRequest { after: foreign, ..page_of(&["*"]) }).await;
    assert_eq!(listed.expect_err("of another journal").code(), Code::OutOfRange);
    let both = pb::ReadEventsRequest { from_now: true, ..after(oldest) };
    assert_eq!(status_of(both).await.code(), Code::InvalidArgument);
    let none = pb::ReadEventsRequest { filter: None, ..everything() };
    let status = status_of(none).await;
    assert!(status.message().starts_with("filter.types"), "{status}");
}

#[tokio::test]
async fn pages_follow_one_another_and_a_wait_is_over_once_there_is_something() {
    let shop = shop().await;
    for n in 1..=5 {
        held(&shop.client, reserve(n, "knife", &format!("c{n}"), vec![line("KNIFE", 1)])).await;
    }
    let list = async |request: pb::ListEventsRequest| {
        let listed = tokio::time::timeout(WAIT_TIMEOUT, shop.stub.clone().list_events(request)).await.expect("in time");
        listed.expect("a page").into_inner()
    };
    let (mut after, mut lsns) = (String::new(), Vec::new());
    loop {
        let page = list(pb::ListEventsRequest { after: after.clone(), page_size: 2, ..page_of(&["hold.*"]) }).await;
        assert!(page.events.len() <= 2);
        after = page.read_to;
        if page.events.is_empty() {
            break;
        }
        lsns.extend(page.events.iter().map(|event| event.lsn));
    }
    assert_eq!((lsns.len(), lsns.is_sorted()), (5, true));
    let waiting = |wait: i64| pb::ListEventsRequest {
        after: after.clone(),
        wait: Some(prost_types::Duration { seconds: wait, nanos: 0 }),
        ..page_of(&["hold.created"])
    };
    let nothing = list(waiting(1)).await;
    assert_eq!(nothing.events, []);
    let (page, _hold) = tokio::join!(list(waiting(25)), async {
        eventually("it waits", async || watchers(&shop.server).await > 0).await;
        paying(&shop.client, 1).await;
        held(&shop.client, reserve(6, "knife", "c6", vec![line("KNIFE", 1)])).await
    });
    assert_eq!(kinds(&page.events), ["stockade.hold.created"], "what is not wanted ends no wait");
}

#[tokio::test]
async fn a_page_of_what_no_event_can_be_says_at_once_that_all_was_looked_at() {
    let shop = shop().await;
    held(&shop.client, reserve(1, "knife", "c1", vec![line("KNIFE", 1)])).await;
    let list = async |request: pb::ListEventsRequest| {
        shop.stub.clone().list_events(request).await.expect("a page").into_inner()
    };
    let named = pb::EventFilter { names: vec!["early".into()], ..filter(&["*"]) };
    let asked = [named, filter(&["signal.*"])].into_iter().flat_map(|filter| [(filter.clone(), false), (filter, true)]);
    for (n, (filter, latest)) in (2..).zip(asked) {
        let page = list(pb::ListEventsRequest { filter: Some(filter), latest, ..page_of(&["*"]) }).await;
        assert_eq!(page.events, []);
        held(&shop.client, reserve(n, "knife", &format!("c{n}"), vec![line("KNIFE", 1)])).await;
        let behind = list(pb::ListEventsRequest { after: page.read_to, ..page_of(&["*"]) }).await;
        assert_eq!(kinds(&behind.events), ["stockade.hold.created"], "what was there before was looked at");
    }
}

#[tokio::test]
async fn what_was_answered_can_be_read_at_once_also_where_the_disk_is_not_waited_for() {
    let shop = open_with(tempfile::tempdir().expect("a folder"), "os").await;
    create(&shop.client, knife_drop("knife")).await;
    for n in 1..=3 {
        let hold = held(&shop.client, reserve(n, "knife", &format!("c{n}"), vec![line("KNIFE", 1)])).await;
        let page = shop.stub.clone().list_events(page_of(&["hold.created"])).await.expect("a page").into_inner();
        let last = page.events.last().and_then(|event| event.hold.as_ref()).expect("a hold");
        assert_eq!((last.id.as_str(), page.events.len()), (hold.id.as_str(), usize::from(n)));
    }
}

#[tokio::test]
async fn the_latest_come_newest_first() {
    let shop = shop().await;
    create(&shop.client, plain_drop("many", "SKU", 9_000)).await;
    let bulk: Vec<_> = (0..30_u32).map(|batch| reserves(batch, 100)).collect();
    for operations in bulk {
        let batch = pb::BatchRequest { operations, ..Default::default() };
        shop.client.batch(batch).await.expect("an answer");
    }
    let mut all = read_all(&shop.stub, everything()).await;
    assert!(all.len() > 3_000);
    all.reverse();
    let latest = async |request: pb::ListEventsRequest| {
        let request = pb::ListEventsRequest { latest: true, with_customers: true, with_stock: true, ..request };
        shop.stub.clone().list_events(request).await.expect("a page").into_inner()
    };
    assert_eq!(latest(page_of(&["*"])).await.events, all[..100]);
    assert_eq!(latest(pb::ListEventsRequest { page_size: 7, ..page_of(&["*"]) }).await.events, all[..7]);
    let oldest = latest(page_of(&["drop.created"])).await;
    assert_eq!(kinds(&oldest.events), ["stockade.drop.created"; 2], "however far back");
    assert!(oldest.events[0].lsn > oldest.events[1].lsn);
    let few = latest(pb::ListEventsRequest { after: all[3].cursor.clone(), ..page_of(&["*"]) }).await;
    assert_eq!(few.events, all[..3], "behind a cursor");
    assert_eq!(latest(pb::ListEventsRequest { after: few.read_to, ..page_of(&["*"]) }).await.events, []);
}

/// Reserves of one unit each, for `count` customers.
fn reserves(batch: u32, count: u32) -> Vec<pb::Operation> {
    let one = |n: u32| {
        let hold_id = format!("018f4e9a-7c1e-7b3a-9d52-{:012x}", batch * count + n + 1_000);
        let customer = Some(pb::Customer { id: format!("customer-{n}"), ..Default::default() });
        let (drop_id, lines) = ("many".to_owned(), vec![line("SKU", 1)]);
        let reserve = pb::ReserveRequest { hold_id, drop_id, lines, customer, ..Default::default() };
        pb::Operation { operation: Some(pb::operation::Operation::Reserve(reserve)) }
    };
    (0..count).map(one).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_slow_misses_nothing_and_slows_nobody() {
    let shop = shop().await;
    create(&shop.client, plain_drop("many", "SKU", 90_000)).await;
    let mut slow = Reading::from_now(&EventServiceClient::new(narrow(&shop.server.endpoint).await)).await;
    let mut quick = Reading::from_now(&shop.stub).await;
    let holds = 200 * 100;
    let ((), reported) = tokio::join!(
        async {
            for batch in 0..200 {
                let request = pb::BatchRequest { operations: reserves(batch, 100), ..Default::default() };
                shop.client.batch(request).await.expect("an answer");
            }
        },
        quick.events(holds),
    );
    let late = slow.events(holds).await;
    assert_eq!(late, reported, "the same, in the same order");
    assert!(reported.iter().map(|event| event.lsn).is_sorted());
    let read =
        read_all(&shop.stub, pb::ReadEventsRequest { filter: Some(filter(&["hold.created"])), ..everything() }).await;
    assert_eq!(read, reported);
}

#[tokio::test]
async fn a_server_that_stops_tells_who_follows_and_who_waits() {
    let shop = shop().await;
    let mut reading = Reading::from_now(&shop.stub).await;
    let wait = Some(secs(30));
    let request = pb::ListEventsRequest { wait, ..page_of(&["signal.fired"]) };
    let mut stub = shop.stub.clone();
    let waiting = tokio::spawn(async move { stub.list_events(request).await });
    eventually("both wait", async || watchers(&shop.server).await == 2).await;
    let ended = shop.server.stop();
    comes_again("a reading", &reading.message().await.expect_err("the end"));
    let status = waiting.await.expect("no panic").expect_err("the end");
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    ends_well(ended).await;
}

#[tokio::test]
async fn a_follower_is_told_where_it_is_though_nothing_happens_and_gives_its_place_back() {
    let shop = shop().await;
    let mut reading = Reading::from_now(&shop.stub).await;
    assert_eq!(watchers(&shop.server).await, 1);
    let quiet = reading.message().await.expect("a message");
    assert_eq!((quiet.events, quiet.read_to), (vec![], quiet.durable_to));
    drop(reading);
    eventually("its place is free", async || watchers(&shop.server).await == 0).await;
    // A reader that connects later is served as usual.
    let mut reading = Reading::from_now(&shop.stub).await;
    held(&shop.client, reserve(1, "knife", "ada", vec![line("KNIFE", 1)])).await;
    assert_eq!(kinds(&reading.events(1).await), ["stockade.hold.created"]);
}

#[tokio::test]
async fn a_server_that_keeps_nothing_has_no_events() {
    let server = start(&[]).await;
    let mut stub = EventServiceClient::new(channel(&server.endpoint).await);
    let read = stub.read_events(everything()).await.expect_err("none");
    let listed = stub.list_events(page_of(&["*"])).await.expect_err("none");
    for status in [read, listed] {
        assert_eq!((status.code(), status.message()), (Code::Unimplemented, "with --ephemeral no events are kept"));
    }
    let hooks = stub.list_webhooks(pb::ListWebhooksRequest::default()).await.expect_err("none");
    assert_eq!((hooks.code(), hooks.message()), (Code::Unimplemented, "with --ephemeral no events are kept"));
}
