//! REST hooks, as no-code tools subscribe to events: a hook is a webhook with an id and a secret of the server's choice.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, Request, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use stockade_proto as pb;
use tonic::Status;

use super::Admin;
use super::calls::{LIST_EVENTS, PeerAddress, json};
use super::problem::Problem;
use super::query;
use crate::grpc::connect::whole_body;
use crate::webhooks::envelope::Envelopes;

const CREATE: &str = "/stockade.v1.EventService/CreateWebhook";
const DELETE: &str = "/stockade.v1.EventService/DeleteWebhook";
/// Most bytes of a request's body.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// How many of the newest events are samples.
const SAMPLES: i32 = 3;
/// Fields of a webhook, and what they are called in a hook.
const NAMES: [(&str, &str); 3] = [("webhook.url", "target_url"), ("webhook.filter.", ""), ("webhook.", "")];

/// What a tool subscribes to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hook {
    target_url: String,
    types: Vec<String>,
    #[serde(default)]
    drop_id: String,
    #[serde(default)]
    series: String,
    #[serde(default)]
    with_stock: bool,
}

/// What it keeps.
#[derive(Debug, Serialize)]
struct Hooked {
    id: String,
    secret: String,
}

/// Subscribes.
pub(super) async fn create(
    State(admin): State<Arc<Admin>>,
    Extension(peer): Extension<PeerAddress>,
    request: Request<Body>,
) -> Response {
    let (head, body) = request.into_parts();
    let made = async {
        let (services, peer) = admin.caller(peer)?;
        let body = whole_body(body, BODY_BYTES_MAX, &peer).await?;
        let hook = serde_json::from_slice(&body.bytes);
        let Hook { target_url: url, types, drop_id, series, with_stock } =
            hook.map_err(|error| Status::invalid_argument(format!("the body is not a hook: {error}")))?;
        let filter = Some(pb::EventFilter { types, drop_id, series, ..pb::EventFilter::default() });
        let id = format!("hook-{}", uuid::Uuid::new_v4().simple());
        let webhook = Some(pb::Webhook { id, url, filter, with_stock, ..pb::Webhook::default() });
        let asked = pb::CreateWebhookRequest { webhook, secret: String::new() };
        let made: pb::CreateWebhookResponse = services.call_for_page(CREATE, &asked, &head.headers, &peer).await?;
        let hooked = Hooked { id: made.webhook.unwrap_or_default().id, secret: made.secret };
        serde_json::to_vec(&hooked).map_err(|error| Status::internal(error.to_string()))
    };
    match made.await {
        Ok(hooked) => {
            let mut response = json(hooked.into());
            *response.status_mut() = StatusCode::CREATED;
            response
        }
        Err(status) => Problem::of(&status).with_names(&NAMES).into_response(),
    }
}

/// Unsubscribes. Gone already is well.
pub(super) async fn remove(
    State(admin): State<Arc<Admin>>,
    Extension(peer): Extension<PeerAddress>,
    Path(webhook_id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let removed = async {
        let (services, peer) = admin.caller(peer)?;
        let asked = pb::DeleteWebhookRequest { webhook_id };
        services.call_for_page::<pb::DeleteWebhookResponse>(DELETE, &asked, &headers, &peer).await
    };
    match removed.await {
        Ok(pb::DeleteWebhookResponse {}) => StatusCode::NO_CONTENT.into_response(),
        Err(status) => Problem::of(&status).into_response(),
    }
}

/// The newest events of a type, as they would be delivered: newest first, none if there was none.
pub(super) async fn samples(
    State(admin): State<Arc<Admin>>,
    Extension(peer): Extension<PeerAddress>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let found = async {
        let types = query::samples(uri.query().unwrap_or_default())?;
        let (services, peer) = admin.caller(peer)?;
        let filter = Some(pb::EventFilter { types, ..pb::EventFilter::default() });
        let asked = pb::ListEventsRequest { filter, latest: true, page_size: SAMPLES, ..Default::default() };
        let page: pb::ListEventsResponse = services.call_for_page(LIST_EVENTS, &asked, &headers, &peer).await?;
        // An event's id begins with its journal's name.
        let journal = page.events.first().and_then(|event| event.id.split('-').next()).unwrap_or_default();
        let written = Envelopes::new(journal.to_owned()).and_then(|envelopes| envelopes.batch(&page.events));
        written.map_err(|error| Status::internal(error.to_string()))
    };
    found.await.map_or_else(|status| Problem::of(&status).into_response(), |body| json(body.into()))
}
