//! Deliveries know the webhooks that are defined: after calls that were abandoned, and after another of the same id.

use std::sync::Arc;
use std::time::Duration;

use stockade::config::{Config, Given};
use stockade::grpc::{self, Edge};
use stockade::metrics::edge::EdgeMetrics;
use stockade::server::{OpenedEngine, open_engine};
use stockade::webhooks::address::Reach;
use stockade::webhooks::{Contract, Delivering, Setup, Webhooks};
use stockade_client::Client;
use stockade_engine::Engine;
use stockade_engine::context::Context;
use stockade_engine::inventory::Defined;
use stockade_engine::lifecycle::term::EngineHandle;
use stockade_engine::operators::define::Define;
use stockade_feed::Filter;
use stockade_proto as pb;
use stockade_types::ids::DefinedId;
use stockade_types::record::DefinedKind;
use stockade_types::time::{Clock as _, Timestamp};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::common::serve_services;

const KIND: DefinedKind = DefinedKind::Webhook;
/// How long a test waits for what must come.
const WITHIN: Duration = Duration::from_secs(30);

/// An engine with its deliveries, served in this process.
struct Served {
    client: Client,
    opened: OpenedEngine,
    webhooks: Arc<Webhooks>,
    delivering: Delivering,
    _folder: TempDir,
}

async fn served() -> Served {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().display().to_string();
    let config = Config::from_flags(vec![Given::flag("data", data)]).expect("good");
    let opened = open_engine(&config).expect("a folder that can be opened");
    let contract = Contract {
        show: |event, _journal, _cursor, _with| pb::Event { lsn: event.lsn.0, ..pb::Event::default() },
        filter: |_patterns| Filter::default(),
    };
    let setup = Setup { metrics: Arc::default(), contract, reach: Reach::Private, files: 8 };
    let clock = opened.clock.clone();
    let started = Webhooks::start(&opened.engine, clock.clone(), setup).expect("a thread");
    let (webhooks, delivering) = started.expect("a journal that is kept");
    let metrics = Arc::<EdgeMetrics>::default();
    let edge = Edge::new(EngineHandle::of(Arc::clone(&opened.engine)), clock, Arc::clone(&metrics));
    let all = grpc::services(edge, metrics, Some(Arc::clone(&webhooks))).await.expect("the contract");
    let endpoint = serve_services(all.services).await;
    let client = Client::connect(&endpoint).await.expect("a connection");
    Served { client, opened, webhooks, delivering, _folder: folder }
}

impl Served {
    fn engine(&self) -> &Engine {
        &self.opened.engine
    }

    fn context(&self) -> Context<'static> {
        Context::anonymous(self.opened.clock.now())
    }

    fn defined(&self, id: &DefinedId) -> Option<Defined> {
        self.engine().defined(KIND, id).ok().map(|decided| decided.value)
    }

    /// Whether deliveries of the webhook that is defined now have begun.
    fn is_followed(&self, id: &DefinedId) -> bool {
        self.defined(id).is_some_and(|known| self.webhooks.shown(id, known.fact.image.created_at).is_some())
    }

    /// Deletes a webhook, and defines it again some time later: as calls do whose end deliveries have not learned.
    fn replace(&self, id: &DefinedId) -> Timestamp {
        let known = self.defined(id).expect("a webhook");
        self.engine().undefine(KIND, id, self.context()).expect("deleted");
        let now = known.fact.image.created_at.plus(stockade_types::time::Millis(7));
        let (request, bytes) = (known.fact.image.request, known.fact.image.bytes.clone());
        let define = Define { kind: KIND, id: id.clone(), request, bytes, validate_only: false };
        self.engine().define(define, Context::anonymous(now)).expect("made").value.fact.image.created_at
    }

    async fn stop(self) {
        let Self { client, opened, webhooks, delivering, _folder } = self;
        drop((client, webhooks));
        tokio::task::spawn_blocking(move || delivering.stop()).await.expect("no panic");
        drop(opened);
    }
}

fn id(text: &str) -> DefinedId {
    text.parse().expect("an id")
}

fn creating(id: &str) -> pb::CreateWebhookRequest {
    let filter = pb::EventFilter { types: vec!["hold.*".into()], ..pb::EventFilter::default() };
    let url = "http://127.0.0.1:9/".to_owned();
    let webhook = pb::Webhook { id: id.into(), url, filter: Some(filter), ..pb::Webhook::default() };
    pb::CreateWebhookRequest { webhook: Some(webhook), secret: String::new() }
}

async fn until(what: &str, is: impl Fn() -> bool) {
    let waiting = async {
        while !is() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(WITHIN, waiting).await.unwrap_or_else(|_elapsed| panic!("not in time: {what}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_webhook_of_the_same_id_begins_anew() {
    let served = served().await;
    let w = id("w");
    served.client.create_webhook(creating("w")).await.expect("a webhook");
    until("the first is followed", || served.is_followed(&w)).await;
    served.client.test_webhook(pb::TestWebhookRequest { webhook_id: "w".into() }).await.expect("an attempt");
    let request = || pb::GetWebhookRequest { webhook_id: "w".into() };
    assert_eq!(served.client.get_webhook(request()).await.expect("shown").recent.len(), 1);
    let second = served.replace(&w);
    let shown = served.client.get_webhook(request()).await.expect("shown");
    assert_eq!(shown.recent, [], "the attempts of the first are not those of the second");
    served.webhooks.changed(w.clone()).await;
    until("the second is followed", || served.webhooks.shown(&w, second).is_some()).await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_call_again_announces_what_an_abandoned_one_has_changed() {
    let served = served().await;
    let w = id("w");
    served.client.create_webhook(creating("w")).await.expect("a webhook");
    until("the first is followed", || served.is_followed(&w)).await;
    let second = served.replace(&w);
    served.client.create_webhook(creating("w")).await.expect("the same answer");
    until("the second is followed", || served.webhooks.shown(&w, second).is_some()).await;
    served.engine().undefine(KIND, &w, served.context()).expect("deleted");
    served.client.delete_webhook(pb::DeleteWebhookRequest { webhook_id: "w".into() }).await.expect("it is gone");
    until("nothing is followed", || served.webhooks.shown(&w, second).is_none()).await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_know_what_calls_have_changed_whose_callers_went_away() {
    let served = served().await;
    let mut abandoned = 0;
    for n in 0..50 {
        let name = format!("w{n}");
        let w = id(&name);
        tokio::select! {
            biased;
            _answered = served.client.create_webhook(creating(&name)) => {}
            // As soon as it is decided, which is before it is durable.
            () = until("it is defined", || {
                std::thread::yield_now();
                served.defined(&w).is_some()
            }) => abandoned += 1,
        }
        until("it is defined", || served.defined(&w).is_some()).await;
        until(&format!("{name} is followed, {abandoned} were abandoned"), || served.is_followed(&w)).await;
    }
    served.stop().await;
}
