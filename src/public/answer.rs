//! Answers as HTTP: their headers, compression, and whether the reader has the content already.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH, REFERRER_POLICY,
    RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};

use super::body::Body;
use super::cache::Page;
use super::gzip;
use super::policy;
use super::room::Room;
use crate::web::Problem;

/// How long the answer that there is nothing may be kept.
const NOTHING_THERE: &str = "public, max-age=1, s-maxage=1";
/// What scripts of other sites may read besides.
const EXPOSED: &str = "ETag, Date, Age, Retry-After";

/// The headers of every answer.
fn head(status: StatusCode, policy: HeaderValue, cache_control: &'static str) -> Response<Body> {
    let mut answer = Response::new(Body::Whole(None));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("strict-origin-when-cross-origin"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache_control));
    answer
}

fn with(mut answer: Response<Body>, content: Bytes, is_head: bool) -> Response<Body> {
    answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(content.len()));
    if !is_head {
        *answer.body_mut() = Body::Whole(Some(content));
    }
    answer
}

/// A page for a request with these headers.
pub(super) fn page(page: &Arc<Page>, room: &Room, asked: &HeaderMap, is_head: bool) -> Response<Body> {
    let has_it = page.etag.as_ref().is_some_and(|etag| is_known(etag, asked));
    let status = if has_it { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
    let mut answer = head(status, page.policy.clone(), page.cache_control);
    let headers = answer.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Some(etag) = &page.etag {
        headers.insert(ETAG, etag.clone());
    }
    if has_it {
        return answer;
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(page.content_type));
    let compressed = if gzip::is_accepted(asked) { page.compressed(room) } else { None };
    if compressed.is_some() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    with(answer, compressed.unwrap_or_else(|| page.plain.clone()), is_head)
}

/// Whether the reader says that it has the content. Tags are compared without regard to their strength.
fn is_known(etag: &HeaderValue, asked: &HeaderMap) -> bool {
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let Ok(own) = etag.to_str().map(bare) else { return false };
    let given = asked.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    given.flat_map(|value| value.split(',')).any(|tag| tag.trim() == "*" || bare(tag) == own)
}

/// A stream of events.
pub(super) fn events(body: Option<Body>) -> Response<Body> {
    let mut answer = head(StatusCode::OK, policy::nothing(), "no-store");
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // Proxies that gather an answer before they pass it on must not gather this one.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    if let Some(body) = body {
        *answer.body_mut() = body;
    }
    answer
}

/// A problem.
pub(super) fn problem(problem: &Problem, is_head: bool) -> Response<Body> {
    let is_kept = problem.status == StatusCode::NOT_FOUND;
    let mut answer = head(problem.status, policy::nothing(), if is_kept { NOTHING_THERE } else { "no-store" });
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(seconds) = problem.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if problem.status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    with(answer, Bytes::from(problem.json()), is_head)
}
