//! Statuses as JSON.

use stockade_proto as pb;
use stockade_types::ids::DropId;
use stockade_types::time::Timestamp;

use super::cache::{Made, Stamp};
use super::json;
use super::policy;
use crate::grpc::convert;
use crate::grpc::{PublicStatus, Snapshot, StatusPage};
use crate::web::Problem;
use crate::web::Query;

pub(super) const JSON: &str = "application/json";
/// How long a status may be kept: caches in between answer for a second, and while they fetch the next.
pub(super) const A_SECOND: &str = "public, max-age=1, s-maxage=1, stale-while-revalidate=10";
/// How long a list may be kept.
pub(super) const TEN_SECONDS: &str = "public, max-age=1, s-maxage=10, stale-while-revalidate=10";

/// The key of an answer about a drop.
pub(super) fn key(form: &str, id: &DropId) -> String {
    format!("{form} {id}")
}

/// What an answer about a drop is made of: its version, and an instant.
pub(super) fn stamp(status: &PublicStatus, at: u64) -> Stamp {
    Stamp(u64::from_str_radix(&status.message.version, 16).unwrap_or_default(), at)
}

/// A status with the time at which it is shown.
pub(super) fn body(status: &PublicStatus, now: Timestamp) -> String {
    let poll_after = json::seconds(&convert::poll_after(status.state, status.opens_at, now));
    let shown = status.json(json::status);
    format!("{{\"status\":{shown},\"server_time\":\"{now}\",\"poll_after\":\"{poll_after}\"}}")
}

/// The status of one drop.
pub(super) fn status(Snapshot { status, at, .. }: &Snapshot) -> Made {
    Made {
        content_type: JSON,
        cache_control: A_SECOND,
        policy: policy::nothing(),
        etag: status.message.version.clone(),
        content: body(status, *at).into_bytes(),
    }
}

/// What a list was asked for.
///
/// # Errors
/// All faulty parameters.
pub(super) fn asked_list(mut query: Query) -> Result<convert::StatusQuery, Problem> {
    let mut text = |name: &str| query.take(name).unwrap_or_default();
    let (shop, series, zone, page_token) = (text("shop"), text("series"), text("zone"), text("page_token"));
    let page_size = query.number("page_size");
    let (from, until) = (query.instant("from"), query.instant("until"));
    let request = pb::ListDropStatusesRequest {
        shop,
        series,
        zone,
        opens_from: from.map(convert::timestamp),
        opens_until: until.map(convert::timestamp),
        page_size,
        page_token,
    };
    let (mut faults, converted) = (query.faults(), convert::list_statuses(&request));
    match converted {
        Ok(asked) if faults.is_empty() => Ok(asked),
        Ok(_) => Err(Problem::faulty(faults)),
        Err(convert::Rejection::Invalid(more)) => {
            faults.extend(more);
            Err(Problem::faulty(faults))
        }
        Err(unbuilt @ convert::Rejection::Unbuilt(_)) => Err(unbuilt.into()),
    }
}

/// A page of a list.
pub(super) fn list(StatusPage { drops, next }: &StatusPage) -> Made {
    let statuses: Vec<_> = drops.iter().map(|drop| drop.json(json::status)).collect();
    // A token has no character that JSON escapes.
    let token = convert::status_token(next.as_ref());
    let content = format!("{{\"statuses\":[{}],\"next_page_token\":\"{token}\"}}", statuses.join(","));
    Made {
        content_type: JSON,
        cache_control: TEN_SECONDS,
        policy: policy::nothing(),
        etag: policy::digest(content.as_bytes()),
        content: content.into_bytes(),
    }
}
