//! Badges: a drop's state, band and time to the opening, as a small picture and as JSON in the form of an endpoint of
//! shields.io.

use maud::html;
use serde::Serialize;
use stockade_engine::answer::DropState;

use super::api::JSON;
use super::cache::Made;
use super::policy;
use super::words;
use crate::grpc::{PublicStatus, Snapshot};

/// How long a badge may be kept.
const SHORTLY: &str = "public, max-age=5, s-maxage=5, stale-while-revalidate=10";
/// Most characters of a badge's label.
const LABEL_MAX: usize = 40;
/// The width of a character, and of the space around a text, in tenths of a pixel.
const CHARACTER: usize = 68;
const AROUND: usize = 200;

#[derive(Serialize)]
struct Endpoint<'a> {
    #[serde(rename = "schemaVersion")]
    schema_version: u8,
    label: &'a str,
    message: &'a str,
    color: &'a str,
    opens_at: String,
    band: &'a str,
}

/// The color for the state, by the name that shields.io has for it, and its value.
fn color(drop: &PublicStatus) -> (&'static str, &'static str) {
    match drop.state {
        DropState::Scheduled => ("blue", "#0069a8"),
        DropState::Open if words::is_sold_out(&drop.message) => ("red", "#b3261e"),
        DropState::Open => ("brightgreen", "#2e7d1e"),
        DropState::Paused => ("yellow", "#8a6100"),
        DropState::Closed | DropState::Archived | DropState::Cancelled => ("lightgrey", "#5f5f5f"),
    }
}

fn label(drop: &PublicStatus) -> String {
    let title = words::title(&drop.message);
    if title.chars().count() <= LABEL_MAX {
        return title.to_owned();
    }
    title.chars().take(LABEL_MAX.saturating_sub(1)).chain(['…']).collect()
}

/// As JSON.
pub(super) fn json(Snapshot { status, at, .. }: &Snapshot) -> Made {
    let shown = Endpoint {
        schema_version: 1,
        label: &label(status),
        message: &words::message(status, *at),
        color: color(status).0,
        opens_at: status.opens_at.to_string(),
        band: words::band_of_all(&status.message),
    };
    made(JSON, policy::nothing(), serde_json::to_vec(&shown).unwrap_or_default())
}

/// As a picture.
pub(super) fn svg(Snapshot { status, at, .. }: &Snapshot) -> Made {
    let (label, message, (_, color)) = (label(status), words::message(status, *at), color(status));
    let width = |text: &str| text.chars().count().saturating_mul(CHARACTER).saturating_add(AROUND) / 10;
    let (left, right) = (width(&label), width(&message));
    let all = left.saturating_add(right);
    let said = format!("{label}: {message}");
    let picture = html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(all) height="20" role="img" aria-label=(said)
            data-drop=(status.message.drop_id) data-state=(words::state(status.state)) {
            title { (said) }
            rect width=(left) height="20" fill="#444" {}
            rect x=(left) width=(right) height="20" fill=(color) {}
            g fill="#fff" text-anchor="middle" font-family="Verdana,Geneva,DejaVu Sans,sans-serif" font-size="11" {
                text x=(left / 2) y="14" { (label) }
                text x=(left.saturating_add(right / 2)) y="14" { (message) }
            }
        }
    };
    made("image/svg+xml; charset=utf-8", policy::picture(), picture.into_string().into_bytes())
}

fn made(content_type: &'static str, policy: hyper::header::HeaderValue, content: Vec<u8>) -> Made {
    let etag = policy::digest(&content);
    Made { content_type, cache_control: SHORTLY, policy, etag, content }
}
