//! The calls about webhooks. Deliveries are not made here.

use std::sync::Arc;

use stockade_engine::Engine;
use stockade_engine::answer::{Fault, InvalidField};
use stockade_engine::attempt::Answer;
use stockade_engine::context::Context;
use stockade_engine::inventory::Defined;
use stockade_engine::operators::define::Define;
use stockade_feed::Position;
use stockade_proto as pb;
use stockade_types::ids::{DefinedId, Lsn};
use stockade_types::record::{DefinedKind, Origin};
use stockade_types::time::{Millis, Timestamp};
use stockade_types::webhook::{EventPlace, OldSecret, Webhook};
use tonic::Status;

use super::convert::{self, UpdateWebhook, WebhookFields};
use super::edge::Edge;
use super::status::{self, of_fault};
use crate::webhooks::address::{BadUrl, Reach};
use crate::webhooks::signature::Secret;
use crate::webhooks::{Shown, Webhooks};

const KIND: DefinedKind = DefinedKind::Webhook;
/// How long a secret that was replaced signs beside the new one.
const OLD_SECRET_FOR: Millis = Millis::from_secs(24 * 60 * 60);

/// The calls about webhooks; without a journal that is kept there are none.
pub(super) struct WebhookCalls {
    edge: Arc<Edge>,
    webhooks: Option<Arc<Webhooks>>,
}

impl WebhookCalls {
    /// Over this edge.
    pub(super) const fn new(edge: Arc<Edge>, webhooks: Option<Arc<Webhooks>>) -> Self {
        Self { edge, webhooks }
    }

    fn webhooks(&self) -> Result<&Arc<Webhooks>, Status> {
        // Between two terms every call may come again.
        self.edge.engine().map_err(of_fault)?;
        self.webhooks.as_ref().ok_or_else(|| Status::unimplemented("with --ephemeral no events are kept"))
    }

    /// Creates a webhook; the same request again gets the same answer.
    pub(super) async fn create(
        &self,
        request: pb::CreateWebhookRequest,
        origin: Origin,
    ) -> Result<pb::CreateWebhookResponse, Status> {
        let webhooks = self.webhooks()?;
        let (fields, secret) = convert::create_webhook(&request, webhooks.reach())?;
        check_name(webhooks.reach(), &fields.url).await?;
        let id = fields.id.clone();
        let digest = digest(&fields, &[]);
        let known = self.defined(&id).await.ok().filter(|known| known.fact.image.request == digest);
        // For one that is known the request's cursor may not be kept any more.
        let defined = if let Some(known) = known {
            // The call before may have ended before it announced the webhook.
            webhooks.changed(id.clone()).await;
            known
        } else {
            let start = self.start(&fields.delivered_to).await?;
            let secret = secret.map_or_else(Secret::random, Ok);
            let secret = secret.map_err(|error| Status::internal(format!("no random secret: {error}")))?;
            let named = id.clone();
            let creates = move |engine: &Engine, context: Context<'_>| {
                let webhook = created(fields, start, secret.bytes().to_vec(), context.now);
                let bytes = webhook.encode().into_boxed_slice();
                let define = Define { kind: KIND, id: named, request: digest, bytes, validate_only: false };
                engine.define(define, context.by(&origin))
            };
            let defined = self.change(id.clone(), creates).await?;
            tracing::info!(webhook = %id, "webhook created");
            defined
        };
        let webhook = decoded(&defined)?;
        let shown = self.shown(&defined, &webhook)?;
        // Until a delivery has succeeded, the caller may not have read it.
        let secret = if shown.last_success_at.is_none() { text_of(&webhook.secret) } else { String::new() };
        Ok(pb::CreateWebhookResponse { webhook: Some(self.view(&defined)?), secret })
    }

    /// Changes a webhook.
    pub(super) async fn update(
        &self,
        request: pb::UpdateWebhookRequest,
        origin: Origin,
    ) -> Result<pb::UpdateWebhookResponse, Status> {
        let webhooks = self.webhooks()?;
        let update = convert::update_webhook(&request, webhooks.reach())?;
        check_name(webhooks.reach(), &update.fields.url).await?;
        let start = if update.replay { Some(self.start(&update.fields.delivered_to).await?) } else { None };
        let id = update.fields.id.clone();
        let change = move |engine: &Engine, context: Context<'_>| changed(engine, update, start, context.by(&origin));
        let defined = self.change(id.clone(), change).await?;
        tracing::info!(webhook = %id, revision = %defined.revision, "webhook changed");
        Ok(pb::UpdateWebhookResponse { webhook: Some(self.view(&defined)?) })
    }

    /// A webhook with its last attempts.
    pub(super) async fn get(&self, request: pb::GetWebhookRequest) -> Result<pb::GetWebhookResponse, Status> {
        self.webhooks()?;
        let id = convert::webhook_id(&request.webhook_id)?;
        let defined = self.defined(&id).await?;
        let shown = self.shown(&defined, &decoded(&defined)?)?;
        let recent = shown.recent.iter().map(convert::delivery_attempt).collect();
        Ok(pb::GetWebhookResponse { webhook: Some(self.view(&defined)?), recent })
    }

    /// A page of webhooks, in the order of their ids.
    pub(super) async fn list(&self, request: pb::ListWebhooksRequest) -> Result<pb::ListWebhooksResponse, Status> {
        self.webhooks()?;
        let (after, size) = convert::list_webhooks(&request)?;
        let list = move |engine: &Engine, _context: Context<'_>| {
            // One more says whether there is another page.
            Ok(engine.list_defined(KIND, after.as_ref(), size.saturating_add(1), |_| true))
        };
        let (defined, _now) = self.edge.list(list).await.map_err(of_fault)?;
        let mut webhooks: Vec<pb::Webhook> = Vec::new();
        for defined in &defined {
            webhooks.push(self.view(defined)?);
        }
        let fit = convert::webhooks_that_fit(&webhooks).min(size);
        let has_more = webhooks.len() > fit;
        webhooks.truncate(fit);
        let before = webhooks.last().filter(|_| has_more);
        let next_page_token = before.map(|before| convert::webhook_token(&before.id)).unwrap_or_default();
        Ok(pb::ListWebhooksResponse { webhooks, next_page_token })
    }

    /// Deletes a webhook, if it is there.
    pub(super) async fn delete(
        &self,
        request: pb::DeleteWebhookRequest,
        origin: Origin,
    ) -> Result<pb::DeleteWebhookResponse, Status> {
        self.webhooks()?;
        let id = convert::webhook_id(&request.webhook_id)?;
        let deletes = id.clone();
        let delete = move |engine: &Engine, context: Context<'_>| engine.undefine(KIND, &deletes, context.by(&origin));
        if self.change(id.clone(), delete).await? {
            tracing::info!(webhook = %id, "webhook deleted");
        }
        Ok(pb::DeleteWebhookResponse {})
    }

    /// Sends a test event now.
    pub(super) async fn test(&self, request: pb::TestWebhookRequest) -> Result<pb::TestWebhookResponse, Status> {
        let webhooks = self.webhooks()?;
        let id = convert::webhook_id(&request.webhook_id)?;
        self.defined(&id).await?;
        let attempt = webhooks.test(&id).await.ok_or_else(status::stopping)?;
        Ok(pb::TestWebhookResponse { attempt: Some(convert::delivery_attempt(&attempt)) })
    }

    /// Changes a definition and announces that to deliveries: also if the caller goes away meanwhile, and if nothing
    /// had to be changed, since an earlier call may have failed to announce it.
    async fn change<T: Send + 'static>(
        &self,
        id: DefinedId,
        change: impl FnOnce(&Engine, Context<'_>) -> Answer<T> + Send + 'static,
    ) -> Result<T, Status> {
        let (edge, webhooks) = (Arc::clone(&self.edge), Arc::clone(self.webhooks()?));
        let changing = tokio::spawn(async move {
            let asked = edge.ask(change).await;
            webhooks.changed(id).await;
            asked
        });
        let asked = changing.await.map_err(|_stopped| status::stopping())?;
        asked.map(|(value, _now)| value).map_err(of_fault)
    }

    async fn defined(&self, id: &DefinedId) -> Result<Defined, Status> {
        let asked = self.edge.ask(|engine, _context| engine.defined(KIND, id)).await;
        asked.map(|(defined, _now)| defined).map_err(of_fault)
    }

    /// Where a webhook begins: after a cursor, or with what comes.
    async fn start(&self, cursor: &str) -> Result<EventPlace, Status> {
        let feed = Arc::clone(self.webhooks()?.feed());
        if cursor.is_empty() {
            // What is durable may not be forced yet; it has happened before the webhook was created all the same.
            let durable = self.edge.engine().map_err(of_fault)?.journal().durable();
            return Ok(Position::behind(durable).max(feed.end()).place());
        }
        let cursor = cursor.to_owned();
        let found = tokio::task::spawn_blocking(move || feed.position(&cursor)).await;
        let position = found.map_err(|_stopped| status::stopping())?;
        position.map(Position::place).map_err(|bad| status::cursor_at("webhook.delivered_to", &bad))
    }

    fn shown(&self, defined: &Defined, webhook: &Webhook) -> Result<Shown, Status> {
        let (webhooks, image) = (self.webhooks()?, &defined.fact.image);
        if let Some(shown) = webhooks.shown(&image.id, image.created_at) {
            return Ok(shown);
        }
        let engine = self.edge.engine().map_err(of_fault)?;
        Ok(Shown::of(webhook, engine.webhook_progress(&image.id).as_ref()))
    }

    fn view(&self, defined: &Defined) -> Result<pb::Webhook, Status> {
        let (webhooks, webhook) = (self.webhooks()?, decoded(defined)?);
        let id = &defined.fact.image.id;
        let shown = self.shown(defined, &webhook)?;
        let delivered_to = webhooks.feed().cursor(shown.delivered_to);
        Ok(convert::webhook_view(id, defined.revision, &webhook, (&shown, delivered_to)))
    }
}

/// Refuses a name whose addresses may not be connected to.
async fn check_name(reach: Reach, url: &str) -> Result<(), Status> {
    let checked = match reach.parse(url) {
        Ok(url) => reach.check_name(&url).await,
        Err(bad) => Err(bad),
    };
    checked.map_err(|bad: BadUrl| {
        let violation = InvalidField { field: "webhook.url".to_owned(), description: bad.to_string() };
        of_fault(Fault::Invalid(vec![violation]))
    })
}

fn created(fields: WebhookFields, start: EventPlace, secret: Vec<u8>, now: Timestamp) -> Webhook {
    let WebhookFields {
        id: _,
        url,
        filter,
        is_enabled,
        description,
        with_customers,
        with_stock,
        give_up_after,
        max_batch,
        delivered_to: _,
    } = fields;
    Webhook {
        url,
        filter,
        is_enabled,
        disabled_because: String::new(),
        description,
        with_customers,
        with_stock,
        give_up_after,
        max_batch,
        secret,
        old_secret: None,
        start,
        era: now.0,
        since: now,
    }
}

/// Changes a webhook: what the request leaves out of it has its default, but the secret and the position stay.
fn changed(engine: &Engine, update: UpdateWebhook, start: Option<EventPlace>, context: Context<'_>) -> Answer<Defined> {
    let known = engine.defined(KIND, &update.fields.id)?.value;
    let unread = |_error| Fault::Precondition("the webhook's definition can't be read: delete it".to_owned());
    let was = Webhook::decode(&known.fact.image.bytes).map_err(unread)?;
    let now = context.now;
    let UpdateWebhook { fields, base, new_secret, replay } = update;
    let request = digest(&fields, &[&[u8::from(replay)], new_secret.as_ref().map_or(&[][..], Secret::bytes)]);
    let (id, secret) = (fields.id.clone(), new_secret.map_or_else(|| was.secret.clone(), |new| new.bytes().to_vec()));
    let plain = created(fields, was.start, secret, now);
    let is_new = plain.secret != was.secret;
    let old_secret = if is_new {
        Some(OldSecret { secret: was.secret.clone(), until: now.plus(OLD_SECRET_FOR) })
    } else {
        was.old_secret.clone()
    };
    let begins_anew = start.is_some() || (plain.is_enabled && !was.is_enabled) || plain.url != was.url;
    let stays_disabled = !plain.is_enabled && !was.is_enabled;
    let webhook = Webhook {
        old_secret,
        start: start.unwrap_or(was.start),
        era: if start.is_some() { now.0.max(was.era.saturating_add(1)) } else { was.era },
        since: if begins_anew { now } else { was.since },
        disabled_because: if stays_disabled { was.disabled_because } else { String::new() },
        ..plain
    };
    let bytes = webhook.encode().into_boxed_slice();
    engine.redefine(Define { kind: KIND, id, request, bytes, validate_only: false }, base, context)
}

/// The digest of a request, without secret and output fields unless they are among `more`.
fn digest(fields: &WebhookFields, more: &[&[u8]]) -> [u8; 32] {
    let cursor = fields.delivered_to.clone();
    let start = EventPlace { lsn: Lsn(0), place: 0 };
    let plain = created(fields.clone(), start, Vec::new(), Timestamp(0));
    let mut hasher = blake3::Hasher::new();
    for part in [plain.encode().as_slice(), cursor.as_bytes()].into_iter().chain(more.iter().copied()) {
        hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes()).update(part);
    }
    *hasher.finalize().as_bytes()
}

fn decoded(defined: &Defined) -> Result<Webhook, Status> {
    Webhook::decode(&defined.fact.image.bytes)
        .map_err(|error| Status::data_loss(format!("the webhook's definition can't be read: {error}")))
}

fn text_of(secret: &[u8]) -> String {
    Secret::of_bytes(secret).map(|secret| secret.text()).unwrap_or_default()
}
