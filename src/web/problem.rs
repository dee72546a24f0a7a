//! Why a request for a page was not answered, as `application/problem+json` (RFC 9457).

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use serde::Serialize;
use stockade_engine::answer::{Fault, InvalidField};

use tonic::Status;
use tonic_types::StatusExt as _;

use crate::grpc::connect::{http_status, retry_after};
use crate::grpc::convert::Rejection;

/// Seconds after which a reader that was turned away should come again.
const RETRY_AFTER: u64 = 2;

/// A problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The status of the answer.
    pub(crate) status: StatusCode,
    /// What happened, in a sentence.
    pub(crate) detail: String,
    /// All faulty parameters.
    pub(crate) violations: Vec<InvalidField>,
    /// Seconds after which to ask again.
    pub(crate) retry_after: Option<u64>,
}

#[derive(Serialize)]
struct Shown<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    violations: Vec<Violation<'a>>,
}

#[derive(Serialize)]
struct Violation<'a> {
    field: &'a str,
    description: &'a str,
}

impl Problem {
    fn plain(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), violations: Vec::new(), retry_after: None }
    }

    /// There is nothing at this path.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::plain(StatusCode::NOT_FOUND, detail)
    }

    /// A method that the page does not have.
    pub(crate) fn not_allowed(detail: impl Into<String>) -> Self {
        Self::plain(StatusCode::METHOD_NOT_ALLOWED, detail)
    }

    /// A request that is too long.
    pub(crate) fn too_long() -> Self {
        Self::plain(StatusCode::URI_TOO_LONG, "the address is too long")
    }

    /// Faulty parameters, all of them.
    pub(crate) fn faulty(violations: Vec<InvalidField>) -> Self {
        let faults: Vec<_> = violations.iter().map(|fault| format!("{}: {}", fault.field, fault.description)).collect();
        Self { violations, ..Self::plain(StatusCode::BAD_REQUEST, faults.join("; ")) }
    }

    /// Too much at once, or not ready yet.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        let retry_after = Some(RETRY_AFTER);
        Self { retry_after, ..Self::plain(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    /// Another content than JSON.
    pub(crate) fn media_type() -> Self {
        Self::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the content must be application/json")
    }

    /// Another content than facts are written in.
    pub(crate) fn facts_media_type() -> Self {
        let detail = "the content must be application/json, application/x-ndjson or text/csv";
        Self::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
    }

    /// Not for whom it came from.
    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::plain(StatusCode::FORBIDDEN, detail)
    }

    /// With the names that the page has for fields of a call: each name begins as the first and is then as the second.
    pub(crate) fn with_names(mut self, names: &[(&str, &str)]) -> Self {
        for (call, page) in names {
            self.detail = self.detail.replace(call, page);
        }
        for violation in &mut self.violations {
            let renamed =
                |(call, page): &(&str, &str)| violation.field.strip_prefix(call).map(|rest| format!("{page}{rest}"));
            if let Some(field) = names.iter().find_map(renamed) {
                violation.field = field;
            }
        }
        self
    }

    /// As JSON.
    pub(crate) fn json(&self) -> Vec<u8> {
        let Self { status, detail, violations, retry_after: _ } = self;
        let shown = Shown {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("Problem"),
            status: status.as_u16(),
            detail,
            violations: violations.iter().map(shown_violation).collect(),
        };
        serde_json::to_vec(&shown).unwrap_or_default()
    }
}

const fn shown_violation(InvalidField { field, description }: &InvalidField) -> Violation<'_> {
    Violation { field: field.as_str(), description: description.as_str() }
}

impl From<&Status> for Problem {
    fn from(status: &Status) -> Self {
        let violations = status.get_details_bad_request().map(|request| request.field_violations).unwrap_or_default();
        let violation = |violation: tonic_types::FieldViolation| InvalidField {
            field: violation.field,
            description: violation.description,
        };
        let violations = violations.into_iter().map(violation).collect();
        let retry_after = retry_after(status);
        Self { violations, retry_after, ..Self::plain(http_status(status), status.message()) }
    }
}

impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        Self::from(&status)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.json()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        let detail = fault.to_string();
        match fault {
            Fault::Invalid(violations) => Self::faulty(violations),
            Fault::NoDrop(_) | Fault::NoHold(_) | Fault::NoDefinition(..) => Self::not_found(detail),
            Fault::Exists { .. }
            | Fault::Stale(_)
            | Fault::Precondition(_)
            | Fault::Exhausted(_)
            | Fault::Overloaded(_)
            | Fault::InDoubt
            | Fault::Suspended(_)
            | Fault::JournalFailed => Self::unavailable(detail),
        }
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Invalid(violations) => Self::faulty(violations),
            Rejection::Unbuilt(fields) => {
                Self::plain(StatusCode::NOT_IMPLEMENTED, format!("not built yet: {}", fields.join(", ")))
            }
        }
    }
}
