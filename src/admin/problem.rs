//! Errors of pages, as RFC 9457 has them.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tonic::Status;
use tonic_types::StatusExt as _;

use crate::grpc::connect::{http_status, retry_after};

/// An error.
#[derive(Debug, Serialize)]
pub(super) struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    violations: Vec<Violation>,
    #[serde(skip)]
    retry_after: Option<u64>,
}

/// A faulty field.
#[derive(Debug, Serialize)]
struct Violation {
    field: String,
    description: String,
}

impl Problem {
    /// A call's status. The status of HTTP says which kind of error it is.
    pub(super) fn of(status: &Status) -> Self {
        let violations = status.get_details_bad_request().map(|request| request.field_violations).unwrap_or_default();
        let violation = |violation: tonic_types::FieldViolation| Violation {
            field: violation.field,
            description: violation.description,
        };
        let violations = violations.into_iter().map(violation).collect();
        let retry_after = retry_after(status);
        Self { violations, retry_after, ..Self::new(http_status(status), status.message().to_owned()) }
    }

    /// With the names that the page has for fields of the call: each name begins as the first and is then as the second.
    pub(super) fn with_names(mut self, names: &[(&str, &str)]) -> Self {
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

    fn new(status: StatusCode, detail: String) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        let (status, violations) = (status.as_u16(), Vec::new());
        Self { kind: "about:blank", title, status, detail, violations, retry_after: None }
    }
}

/// There is no such page.
pub(super) fn not_found(uri: &Uri) -> Response {
    Problem::new(StatusCode::NOT_FOUND, format!("{}: no such page", uri.path())).into_response()
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // Texts and numbers alone: they can always be written.
        let mut response = Response::new(Body::from(serde_json::to_vec(&self).unwrap_or_default()));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
