//! Why a request of the public was not answered, as `application/problem+json` (RFC 9457).

use hyper::StatusCode;
use serde::Serialize;
use stockade_engine::answer::{Fault, InvalidField};

use crate::grpc::convert::Rejection;

/// Seconds after which a reader that was turned away should come again.
const RETRY_AFTER: u64 = 2;

/// A problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// The status of the answer.
    pub(super) status: StatusCode,
    /// What happened, in a sentence.
    pub(super) detail: String,
    /// All faulty parameters.
    pub(super) violations: Vec<InvalidField>,
    /// Seconds after which to ask again.
    pub(super) retry_after: Option<u64>,
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
    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::plain(StatusCode::NOT_FOUND, detail)
    }

    /// Another method than `GET` and `HEAD`.
    pub(super) fn method() -> Self {
        Self::plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered here")
    }

    /// A request that is too long.
    pub(super) fn too_long() -> Self {
        Self::plain(StatusCode::URI_TOO_LONG, "the address is too long")
    }

    /// Faulty parameters, all of them.
    pub(super) fn faulty(violations: Vec<InvalidField>) -> Self {
        let faults: Vec<_> = violations.iter().map(|fault| format!("{}: {}", fault.field, fault.description)).collect();
        Self { violations, ..Self::plain(StatusCode::BAD_REQUEST, faults.join("; ")) }
    }

    /// Too much at once, or not ready yet.
    pub(super) fn unavailable(detail: impl Into<String>) -> Self {
        let retry_after = Some(RETRY_AFTER);
        Self { retry_after, ..Self::plain(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    /// As JSON.
    pub(super) fn json(&self) -> Vec<u8> {
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
