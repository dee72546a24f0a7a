//! Webhooks of a real server: signed, in order, at least once over kills, bounded whatever the receiver does.

use std::time::Duration;

use stockade::webhooks::signature::{Secret, signature};
use stockade_client::Client;
use stockade_proto as pb;
use tokio::time::sleep;
use tonic::Code;

use crate::receiver::{Receiver, Reply, in_order};
use crate::server::{Server, start};
use crate::wire::{Dice, create, hold, line, reserve};
use tokio::time::Instant;

const FLAGS: [&str; 1] = ["--webhooks-to-private"];
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// How long a test waits for what must come.
const WITHIN: Duration = Duration::from_secs(30);

fn webhook(url: &str) -> pb::Webhook {
    let filter = pb::EventFilter { types: vec!["hold.*".into()], ..pb::EventFilter::default() };
    pb::Webhook { id: "w".into(), url: url.into(), filter: Some(filter), ..pb::Webhook::default() }
}

async fn make(client: &Client, webhook: pb::Webhook) -> pb::CreateWebhookResponse {
    let request = pb::CreateWebhookRequest { webhook: Some(webhook), secret: SECRET.into() };
    client.create_webhook(request).await.expect("a webhook")
}

async fn get(client: &Client) -> pb::GetWebhookResponse {
    client.get_webhook(pb::GetWebhookRequest { webhook_id: "w".into() }).await.expect("a webhook")
}

/// The webhook, once it is as it must be.
async fn until(client: &Client, is: impl Fn(&pb::GetWebhookResponse) -> bool) -> pb::GetWebhookResponse {
    let began = Instant::now();
    loop {
        let shown = get(client).await;
        if is(&shown) {
            return shown;
        }
        assert!(began.elapsed() < WITHIN, "{shown:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn change(client: &Client, change: impl FnOnce(&mut pb::UpdateWebhookRequest)) -> pb::Webhook {
    let webhook = get(client).await.webhook.expect("a webhook");
    let revision = webhook.revision;
    let mut request =
        pb::UpdateWebhookRequest { webhook: Some(webhook), revision, ..pb::UpdateWebhookRequest::default() };
    change(&mut request);
    client.update_webhook(request).await.expect("a change").webhook.expect("a webhook")
}

/// Starts a server with the drop, and a receiver with its webhook.
async fn begin(data: &std::path::Path) -> (Server, Client, Receiver) {
    let server = start(data, &FLAGS);
    let client = server.client().await;
    create(&client, &[("SKU", 100_000)], 1).await;
    let receiver = Receiver::start().await;
    make(&client, webhook(&receiver.url())).await;
    (server, client, receiver)
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_delivered_signed_and_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, client, receiver) = begin(folder.path()).await;
    let mut dice = Dice::new(1);
    for _ in 0..20 {
        hold(&client, &dice.hold_id(), "SKU").await;
    }
    let taken = receiver.wait_for(20).await;
    assert_eq!(in_order(&receiver.events()).len(), 20);
    let secret = Secret::parse(SECRET).expect("a secret");
    for delivery in &taken {
        let (id, at) = (delivery.header("webhook-id"), delivery.header("webhook-timestamp"));
        let signed = signature(id, at.parse().expect("seconds"), &delivery.body, std::slice::from_ref(&secret));
        assert_eq!(delivery.header("webhook-signature"), signed);
        assert_eq!(delivery.header("content-type"), "application/cloudevents+json");
        let event = &delivery.events()[0];
        assert_eq!((event["id"].as_str(), event["specversion"].as_str()), (Some(id), Some("1.0")));
        assert_eq!(event["type"], "stockade.hold.created");
        assert!(event["data"]["hold"].get("customerId").is_none(), "customers are left out: {event}");
    }
    let shown = until(&client, |shown| shown.webhook.as_ref().is_some_and(|webhook| webhook.behind == 0)).await;
    assert_eq!(shown.recent.len(), 20);
    assert!(shown.recent.iter().all(|attempt| attempt.http_status == 204 && attempt.events == 1));
    let again = pb::CreateWebhookRequest { webhook: Some(webhook(&receiver.url())), secret: String::new() };
    let again = client.create_webhook(again).await.expect("the same answer");
    assert_eq!(again.secret, "", "a delivery has succeeded");
    assert_eq!(server.metric("stockade_webhook_deliveries_total{outcome=\"delivered\"}"), "20");
    server.stop().must(0, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_is_in_the_answer_until_a_delivery_has_succeeded_and_two_sign_for_a_day() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, client, receiver) = begin(folder.path()).await;
    let request = pb::CreateWebhookRequest { webhook: Some(webhook(&receiver.url())), secret: String::new() };
    assert_eq!(client.create_webhook(request.clone()).await.expect("again").secret, SECRET);
    let mut other = request.clone();
    other.webhook.get_or_insert_default().max_batch = 9;
    assert_eq!(client.create_webhook(other).await.expect_err("another one").code(), Code::AlreadyExists);
    let new = Secret::random().expect("random");
    change(&client, |request| request.new_secret = new.text()).await;
    hold(&client, &Dice::new(1).hold_id(), "SKU").await;
    let taken = receiver.wait_for(1).await;
    let (id, at) = (taken[0].header("webhook-id"), taken[0].header("webhook-timestamp"));
    let secrets = [new, Secret::parse(SECRET).expect("a secret")];
    let both = signature(id, at.parse().expect("seconds"), &taken[0].body, &secrets);
    assert_eq!(taken[0].header("webhook-signature"), both);
    server.stop().must(0, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_no_event_is_lost_and_each_drops_are_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut server, mut client, receiver) = begin(folder.path()).await;
    let mut dice = Dice::seeded("webhooks killed");
    for round in 0..4 {
        let until = Instant::now() + Duration::from_millis(300 + dice.below(1_500));
        while Instant::now() < until {
            let id = dice.hold_id();
            let request = reserve(&id, &id, vec![line("SKU", 1)]);
            client.reserve(request).await.unwrap_or_else(|status| panic!("round {round}: {status}"));
        }
        server.kill();
        server = start(folder.path(), &FLAGS);
        client = server.client().await;
    }
    let filter = pb::EventFilter { types: vec!["hold.*".into()], ..pb::EventFilter::default() };
    let mut wanted = Vec::new();
    let mut after = String::new();
    loop {
        let request =
            pb::ListEventsRequest { after, filter: Some(filter.clone()), page_size: 1_000, ..Default::default() };
        let page = client.list_events(request).await.expect("events");
        if page.events.is_empty() {
            break;
        }
        wanted.extend(page.events.iter().map(|event| event.lsn));
        after = page.read_to;
    }
    assert!(wanted.len() > 100, "{}", wanted.len());
    let began = Instant::now();
    while in_order(&receiver.events()).len() < wanted.len() {
        assert!(began.elapsed() < WITHIN, "{} of {}", in_order(&receiver.events()).len(), wanted.len());
        sleep(Duration::from_millis(50)).await;
    }
    let seen = in_order(&receiver.events());
    assert_eq!(seen.into_keys().collect::<Vec<_>>(), wanted);
    server.stop().must(0, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_receiver_with_ten_thousand_events_costs_little_and_gets_all_when_it_is_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, client, receiver) = begin(folder.path()).await;
    let address = receiver.address;
    drop(receiver);
    let mut dice = Dice::new(5);
    for _ in 0..10 {
        let reserves = (0..1_000).map(|_| {
            let id = dice.hold_id();
            let reserve = reserve(&id, &id, vec![line("SKU", 1)]);
            pb::Operation { operation: Some(pb::operation::Operation::Reserve(reserve)) }
        });
        let batch = pb::BatchRequest { operations: reserves.collect(), ..pb::BatchRequest::default() };
        client.batch(batch).await.expect("holds");
    }
    let shown = until(&client, |shown| shown.webhook.as_ref().is_some_and(|webhook| webhook.behind == 10_000)).await;
    assert!(shown.recent.len() < 10, "one request at a time, with growing waits: {}", shown.recent.len());
    let webhook = shown.webhook.expect("a webhook");
    assert!(webhook.failing_since.is_some() && !webhook.last_error.is_empty(), "{webhook:?}");
    let receiver = Receiver::at(address).await;
    // A change of the definition is tried at once.
    change(&client, |request| request.webhook.get_or_insert_default().max_batch = 100).await;
    let shown = until(&client, |shown| shown.webhook.as_ref().is_some_and(|webhook| webhook.behind == 0)).await;
    assert!(shown.webhook.is_some_and(|webhook| webhook.failing_since.is_none() && webhook.given_up == 0));
    let seen = in_order(&receiver.events());
    assert_eq!((seen.len(), seen.values().max()), (10_000, Some(&1)));
    let batch = &receiver.received()[20];
    assert_eq!(batch.header("content-type"), "application/cloudevents-batch+json");
    let (first, more) = batch.header("webhook-id").split_once('+').expect("the first and how many follow");
    assert_eq!((Some(first), more.parse().ok()), (batch.events()[0]["id"].as_str(), Some(batch.events().len() - 1)));
    server.stop().must(0, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_endless_and_redirecting_receivers_are_bounded() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, client, receiver) = begin(folder.path()).await;
    let other = Receiver::start().await;
    receiver.answers(Reply::Status(302, vec![("location", other.url())]));
    let test = async || {
        let test = client.clone().with_timeout(Duration::from_secs(20));
        let answer = test.test_webhook(pb::TestWebhookRequest { webhook_id: "w".into() }).await.expect("an attempt");
        answer.attempt.expect("an attempt")
    };
    let attempt = test().await;
    assert_eq!(attempt.http_status, 302, "{attempt:?}");
    assert!(other.received().is_empty(), "a redirect is not followed");
    receiver.answers(Reply::Endless);
    let attempt = test().await;
    assert_eq!((attempt.http_status, attempt.error.as_str()), (200, ""));
    assert!(attempt.took.is_some_and(|took| took.seconds < 9), "the rest is not waited for: {attempt:?}");
    receiver.answers(Reply::Silence);
    let attempt = test().await;
    assert_eq!(attempt.http_status, 0);
    assert!(attempt.took.is_some_and(|took| took.seconds >= 9), "{attempt:?}");
    // TLS on a port without it.
    change(&client, |request| {
        request.webhook.get_or_insert_default().url = receiver.url().replace("http://", "https://");
    })
    .await;
    receiver.answers(Reply::Status(204, Vec::new()));
    let attempt = test().await;
    assert!(attempt.http_status == 0 && !attempt.error.is_empty(), "{attempt:?}");
    assert_eq!(server.metric("stockade_webhook_deliveries_total{outcome=\"redirected\"}"), "1");
    assert_eq!(server.metric("stockade_webhook_deliveries_total{outcome=\"timed_out\"}"), "1");
    assert_eq!(server.metric("stockade_webhook_deliveries_total{outcome=\"unreachable\"}"), "1");
    server.stop().must(0, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_kept_to_and_gone_disables() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, client, receiver) = begin(folder.path()).await;
    receiver.answers(Reply::Status(429, vec![("retry-after", "2".into())]));
    let mut dice = Dice::new(3);
    hold(&client, &dice.hold_id(), "SKU").await;
    let taken = receiver.wait_for(2).await;
    let waited = taken[1].at.duration_since(taken[0].at);
    assert!(waited >= Duration::from_millis(1_900), "{waited:?}");
    receiver.answers(Reply::Status(410, Vec::new()));
    let is_disabled = |shown: &pb::GetWebhookResponse| {
        shown.webhook.as_ref().is_some_and(|webhook| webhook.state() == pb::WebhookState::Disabled)
    };
    let shown = until(&client, is_disabled).await;
    assert!(shown.webhook.is_some_and(|webhook| webhook.last_error.contains("410")));
    let before = receiver.received().len();
    receiver.answers(Reply::Status(200, Vec::new()));
    hold(&client, &dice.hold_id(), "SKU").await;
    sleep(Duration::from_millis(500)).await;
    assert_eq!(receiver.received().len(), before, "nothing is sent while it is disabled");
    change(&client, |request| request.webhook.get_or_insert_default().set_state(pb::WebhookState::Enabled)).await;
    receiver.wait_for(before + 2).await;
    assert_eq!(in_order(&receiver.events()).len(), 2, "what waited is delivered");
    server.stop().must(0, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_given_up_at_their_deadline_and_replayed_from_a_cursor() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, client, receiver) = begin(folder.path()).await;
    let give_up_after = Some(prost_types::Duration { seconds: 5, nanos: 0 });
    let start = get(&client).await.webhook.expect("a webhook").delivered_to;
    change(&client, |request| request.webhook.get_or_insert_default().give_up_after = give_up_after).await;
    receiver.answers(Reply::Status(500, Vec::new()));
    hold(&client, &Dice::new(3).hold_id(), "SKU").await;
    let began = Instant::now();
    until(&client, |shown| shown.webhook.as_ref().is_some_and(|webhook| webhook.given_up == 1)).await;
    assert!(began.elapsed() >= Duration::from_millis(4_500), "{:?}", began.elapsed());
    receiver.answers(Reply::Status(200, Vec::new()));
    let before = receiver.received().len();
    change(&client, |request| {
        request.replay = true;
        request.webhook.get_or_insert_default().delivered_to = start;
    })
    .await;
    receiver.wait_for(before + 1).await;
    assert_eq!(server.metric("stockade_webhook_deliveries_total{outcome=\"given_up\"}"), "1");
    server.stop().must(0, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_public_is_refused_and_webhooks_are_listed_and_deleted() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = start(folder.path(), &[]);
    let client = server.client().await;
    create(&client, &[("SKU", 1)], 1).await;
    let urls =
        ["http://example.com/", "https://127.0.0.1/", "https://[::1]:8443/", "https://localhost/", "https://10.1.2.3/"];
    for url in urls {
        let request = pb::CreateWebhookRequest { webhook: Some(webhook(url)), secret: String::new() };
        let status = client.create_webhook(request).await.expect_err(url);
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains("webhook.url"), "{status:?}");
    }
    // Literal, so that no name is resolved.
    let public = "https://192.0.1.1/hook";
    for id in ["b", "a", "c"] {
        make(&client, pb::Webhook { id: id.into(), ..webhook(public) }).await;
    }
    let page = |page_token: String| client.list_webhooks(pb::ListWebhooksRequest { page_size: 2, page_token });
    let first = page(String::new()).await.expect("a page");
    let second = page(first.next_page_token.clone()).await.expect("a page");
    let ids: Vec<_> = first.webhooks.iter().chain(&second.webhooks).map(|webhook| webhook.id.as_str()).collect();
    assert_eq!((ids, second.next_page_token.as_str()), (vec!["a", "b", "c"], ""));
    for _ in 0..2 {
        client.delete_webhook(pb::DeleteWebhookRequest { webhook_id: "b".into() }).await.expect("it is gone");
    }
    let gone = client.get_webhook(pb::GetWebhookRequest { webhook_id: "b".into() }).await.expect_err("gone");
    assert_eq!(gone.code(), Code::NotFound);
    server.stop().must(0, &[]);
}

/// Most memory that a server with ten thousand webhooks takes, and most files that it has open. One that was tried took
/// 168 MiB and 206 files.
const MANY_BYTES: u64 = 400 * 1024 * 1024;
const MANY_FILES: usize = 600;
const MANY: usize = 10_000;
/// Webhooks that are created at once, so that many share a sync.
const CREATED_AT_ONCE: usize = 256;

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_webhooks_take_little_and_each_gets_the_event() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = start(folder.path(), &FLAGS);
    let client = server.client().await;
    create(&client, &[("SKU", 10)], 1).await;
    let (receiver, silent) = (Receiver::start().await, Receiver::start().await);
    silent.answers(Reply::Silence);
    let numbers: Vec<usize> = (0..MANY).collect();
    for together in numbers.chunks(CREATED_AT_ONCE) {
        let made = together.iter().map(|n| {
            // One in a hundred never answers: it holds up no other.
            let url = if n % 100 == 0 { silent.url() } else { receiver.url() };
            make(&client, pb::Webhook { id: format!("w{n}"), ..webhook(&url) })
        });
        futures_util::future::join_all(made).await;
    }
    hold(&client, &Dice::new(1).hold_id(), "SKU").await;
    receiver.wait_for(MANY - MANY / 100).await;
    let files = std::fs::read_dir(format!("/proc/{}/fd", server.id())).expect("its files").count();
    let bytes = stockade_drill::process::memory(server.id(), "VmHWM:").expect("its memory");
    assert!(files <= MANY_FILES && bytes <= MANY_BYTES, "{files} files, {bytes} bytes");
    eprintln!("{MANY} webhooks: {files} files, {} MiB at most", bytes >> 20);
    server.stop().must(0, &[]);
}
