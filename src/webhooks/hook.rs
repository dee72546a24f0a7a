//! A webhook as its worker needs it, and what all workers share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use stockade_feed::{Event, Feed, Filter};
use stockade_proto as pb;
use stockade_types::ids::{DefinedId, Lsn};
use stockade_types::time::{Clock, Timestamp, wall_clock};
use stockade_types::webhook::{EventPatterns, Webhook};
use tokio::sync::Semaphore;

use super::envelope::Envelopes;
use super::metrics::WebhookMetrics;
use super::outcome::Outcome;
use super::post::{Answer, Delivery, Poster, Way};
use super::signature::{Secret, signature};
use super::store::Store;
use super::turns::{Pace, Turns};

/// Most bytes of events on their way, of all webhooks. Beyond it each still has one event.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// Reads of files at once.
pub const READS_AT_ONCE: usize = 2;

/// How events are selected and shown: functions of the layer that knows the wire.
#[derive(Debug, Clone, Copy)]
pub struct Contract {
    /// An event of this journal, with the cursor after it; with customers, and with stock figures.
    pub show: fn(&Event, &str, String, (bool, bool)) -> pb::Event,
    /// The filter of these patterns.
    pub filter: fn(&EventPatterns) -> Filter,
}

/// A webhook as it is defined now.
#[derive(Debug)]
pub struct Hook {
    /// Its id.
    pub id: DefinedId,
    /// When it was created: another one of its id was so at another time.
    pub created_at: Timestamp,
    /// The last record of its definition.
    pub revision: Lsn,
    /// Its definition.
    pub webhook: Webhook,
    /// Which events it is sent.
    pub filter: Filter,
}

impl Hook {
    /// What deliveries are signed with at this instant, the newest first.
    #[must_use]
    pub fn secrets(&self, now: Timestamp) -> Vec<Secret> {
        let old = self.webhook.old_secret.as_ref().filter(|old| now < old.until);
        let all = std::iter::once(&self.webhook.secret).chain(old.map(|old| &old.secret));
        all.filter_map(|bytes| Secret::of_bytes(bytes).ok()).collect()
    }
}

/// What all workers share.
pub(super) struct Shared {
    pub(super) feed: Arc<Feed>,
    pub(super) contract: Contract,
    pub(super) store: Store,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<WebhookMetrics>,
    /// Since when this server delivers.
    pub(super) started: Timestamp,
    /// Deliveries at once.
    pub(super) turns: Turns,
    pub(super) reads: Arc<Semaphore>,
    envelopes: Envelopes,
    /// Or why nothing can be sent.
    poster: Result<Poster, String>,
    bytes: AtomicUsize,
}

/// What [`Shared`] is made of.
pub(super) struct Parts {
    pub(super) feed: Arc<Feed>,
    pub(super) contract: Contract,
    pub(super) store: Store,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<WebhookMetrics>,
    pub(super) envelopes: Envelopes,
    pub(super) poster: Result<Poster, String>,
    /// Deliveries at once.
    pub(super) at_once: usize,
}

/// An answer, with the first event's id.
pub(super) struct Posted {
    pub(super) event_id: String,
    pub(super) events: usize,
    pub(super) answer: Answer,
}

impl Shared {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { feed, contract, store, clock, metrics, envelopes, poster, at_once } = parts;
        Self {
            started: clock.now(),
            feed,
            contract,
            store,
            clock,
            metrics,
            turns: Turns::new(at_once),
            reads: Arc::new(Semaphore::new(READS_AT_ONCE)),
            envelopes,
            poster,
            bytes: AtomicUsize::new(0),
        }
    }

    /// Whether there is room for this many bytes more.
    pub(super) fn has_room(&self, more: usize) -> bool {
        // Relaxed, here and below: the bound may be passed by as many events as there are threads, which is one.
        self.bytes.load(Ordering::Relaxed).saturating_add(more) <= BYTES_MAX
    }

    /// A window has grown or shrunk from `before` bytes.
    pub(super) fn charge(&self, before: usize, now: usize) {
        if now >= before {
            self.bytes.fetch_add(now.saturating_sub(before), Ordering::Relaxed);
        } else {
            self.bytes.fetch_sub(before.saturating_sub(now), Ordering::Relaxed);
        }
    }

    /// Events as the contract shows them to this webhook.
    pub(super) fn show<'a>(&self, hook: &Hook, events: impl IntoIterator<Item = &'a Event>) -> Vec<pb::Event> {
        let journal = self.feed.journal().to_string();
        let shown = (hook.webhook.with_customers, hook.webhook.with_stock);
        let show = |event: &Event| (self.contract.show)(event, &journal, self.feed.cursor(event.position), shown);
        events.into_iter().map(show).collect()
    }

    /// Sends events, and waits for the answer. `more`: others follow soon.
    pub(super) async fn post(&self, hook: &Hook, events: Vec<pb::Event>, (pace, more): (Pace, bool)) -> Posted {
        let count = events.len();
        let event_id = events.first().map(|event| event.id.clone()).unwrap_or_default();
        let is_batch = hook.webhook.max_batch > 1;
        let (body, content) = if is_batch {
            (self.envelopes.batch(&events), super::envelope::BATCH)
        } else {
            (events.first().map_or(Ok(Vec::new()), |event| self.envelopes.one(event)), super::envelope::ONE)
        };
        drop(events);
        let id = if count > 1 { format!("{event_id}+{}", count.saturating_sub(1)) } else { event_id.clone() };
        let answer = match (&self.poster, body) {
            (Ok(poster), Ok(body)) => {
                let secrets = hook.secrets(self.clock.now());
                let headers = signed(&id, content, &body, &secrets);
                let (url, way) = (hook.webhook.url.as_str(), Way::of(pace, more));
                poster.post(Delivery { url, headers, body: body.into(), way }).await
            }
            (Err(why), _) => unsent(why.clone()),
            (_, Err(why)) => unsent(why.to_string()),
        };
        self.metrics.attempted(answer.outcome);
        Posted { event_id, events: count, answer }
    }
}

fn unsent(error: String) -> Answer {
    Answer { outcome: Outcome::Unreachable, status: 0, error, took: Duration::ZERO }
}

/// The headers of a delivery, with the signature.
fn signed(id: &str, content: &'static str, body: &[u8], secrets: &[Secret]) -> HeaderMap {
    let seconds = wall_clock().0 / 1_000;
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content));
    headers.insert(HeaderName::from_static("webhook-timestamp"), HeaderValue::from(seconds));
    let signature = signature(id, seconds, body, secrets);
    for (name, text) in [("webhook-id", id), ("webhook-signature", signature.as_str())] {
        // Ids and signatures are printable ASCII.
        headers.extend(HeaderValue::from_str(text).ok().map(|value| (HeaderName::from_static(name), value)));
    }
    headers
}
