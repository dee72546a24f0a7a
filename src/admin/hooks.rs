//! REST hooks, as no-code tools subscribe to events: a hook is a webhook with an id and a secret of the server's choice.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, Request, StatusCode, Uri, header};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use stockade_proto as pb;
use tonic::Status;

use super::Admin;
use super::calls::{Caller, Connection, LIST_EVENTS, json};
use super::query;
use crate::grpc::connect::whole_body;
use crate::web::Problem;
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
    Extension(connection): Extension<Connection>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let content = head.headers.get(header::CONTENT_TYPE).and_then(|content| content.to_str().ok()).unwrap_or_default();
    // Any other content could be sent by a page of any site, without asking this server first.
    if content.split(';').next().unwrap_or_default().trim() != "application/json" {
        return Err(Problem::media_type());
    }
    let Caller { services, peer, .. } = &admin.caller(connection)?;
    let body = whole_body(body, BODY_BYTES_MAX, peer).await?;
    let Hook { target_url: url, types, drop_id, series, with_stock } = serde_json::from_slice(&body.bytes)
        .map_err(|error| Status::invalid_argument(format!("the body is not a hook: {error}")))?;
    let filter = Some(pb::EventFilter { types, drop_id, series, ..pb::EventFilter::default() });
    let id = format!("hook-{}", uuid::Uuid::new_v4().simple());
    let webhook = Some(pb::Webhook { id, url, filter, with_stock, ..pb::Webhook::default() });
    let asked = pb::CreateWebhookRequest { webhook, secret: String::new() };
    let made = services.call_for_page::<pb::CreateWebhookResponse>(CREATE, &asked, &head.headers, peer).await;
    let made = made.map_err(|status| Problem::from(&status).with_names(&NAMES))?;
    let hooked = Hooked { id: made.webhook.unwrap_or_default().id, secret: made.secret };
    let mut response = json(serde_json::to_vec(&hooked).map_err(|error| Status::internal(error.to_string()))?.into());
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// Unsubscribes. Gone already is well.
pub(super) async fn remove(
    State(admin): State<Arc<Admin>>,
    Extension(connection): Extension<Connection>,
    Path(webhook_id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let Caller { services, peer, .. } = &admin.caller(connection)?;
    let asked = pb::DeleteWebhookRequest { webhook_id };
    let pb::DeleteWebhookResponse {} = services.call_for_page(DELETE, &asked, &headers, peer).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The newest events of a type, as they would be delivered: newest first, none if there was none.
pub(super) async fn samples(
    State(admin): State<Arc<Admin>>,
    Extension(connection): Extension<Connection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let types = vec![query::samples(uri.query())?];
    let Caller { services, peer, .. } = &admin.caller(connection)?;
    let filter = Some(pb::EventFilter { types, ..pb::EventFilter::default() });
    let asked = pb::ListEventsRequest { filter, latest: true, page_size: SAMPLES, ..Default::default() };
    let page: pb::ListEventsResponse = services.call_for_page(LIST_EVENTS, &asked, &headers, peer).await?;
    // An event's id begins with its journal's name.
    let journal = page.events.first().and_then(|event| event.id.split('-').next()).unwrap_or_default();
    let written = Envelopes::new(journal.to_owned()).and_then(|envelopes| envelopes.batch(&page.events));
    Ok(json(written.map_err(|error| Status::internal(error.to_string()))?.into()))
}
