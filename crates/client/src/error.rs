//! Why a call has no answer. The error keeps what the server said.
//!
//! A refusal is an answer, not an error.

use std::time::Duration;

use stockade_proto as pb;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

/// Why a call was not answered. Every call may be sent again with the same content; nothing is done twice.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The request is faulty, and nothing has changed.
    #[error("{:?}: {}", .status.code(), .status.message())]
    Invalid {
        /// Each faulty field, as far as they fitted into the server's answer.
        violations: Vec<pb::FieldViolation>,
        /// The status; its message names the fields too.
        status: Status,
    },
    /// The server was unavailable at every attempt. The call may have taken effect or not.
    #[error("given up after {attempts} attempts: {:?}: {}", .status.code(), .status.message())]
    Unavailable {
        /// How many attempts were made.
        attempts: u32,
        /// The status of the last attempt.
        status: Status,
    },
    /// The deadline has passed. The call may have taken effect or not.
    #[error("no answer within {}{}", humantime::format_duration(*.deadline), after(.last.as_ref()))]
    Deadline {
        /// The call's deadline.
        deadline: Duration,
        /// The status of the last attempt that ended before the deadline.
        last: Option<Status>,
    },
    /// Any other status of the server, for example not found or already exists.
    #[error("{:?}: {}", .0.code(), .0.message())]
    Status(Status),
    /// An answer that does not fit the contract.
    #[error("the server's answer does not fit the contract: {0}")]
    Malformed(&'static str),
    /// The tokio runtime of the client has shut down.
    #[error("the client has ended")]
    Closed,
}

fn after(last: Option<&Status>) -> String {
    last.map(|status| format!("; the last attempt: {:?}: {}", status.code(), status.message())).unwrap_or_default()
}

impl Error {
    /// The error for the status that ended the last of `attempts` attempts.
    pub(super) fn of(status: Status, attempts: u32) -> Self {
        match status.code() {
            Code::InvalidArgument => {
                let details = status.get_details_bad_request().map(|faults| faults.field_violations);
                let violation = |FieldViolation { field, description, .. }| pb::FieldViolation { field, description };
                let violations = details.unwrap_or_default().into_iter().map(violation).collect();
                Self::Invalid { violations, status }
            }
            Code::Unavailable => Self::Unavailable { attempts, status },
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::ResourceExhausted
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Internal
            | Code::DataLoss
            | Code::Unauthenticated => Self::Status(status),
        }
    }

    /// The server's last status, if there was one.
    #[must_use]
    pub const fn status(&self) -> Option<&Status> {
        match self {
            Self::Invalid { violations: _, status }
            | Self::Unavailable { attempts: _, status }
            | Self::Status(status) => Some(status),
            Self::Deadline { deadline: _, last } => last.as_ref(),
            Self::Malformed(_) | Self::Closed => None,
        }
    }

    /// The corresponding gRPC code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Invalid { violations: _, status }
            | Self::Unavailable { attempts: _, status }
            | Self::Status(status) => status.code(),
            Self::Deadline { deadline: _, last: _ } => Code::DeadlineExceeded,
            Self::Malformed(_) => Code::Internal,
            Self::Closed => Code::Cancelled,
        }
    }

    /// Each faulty field of the request.
    #[must_use]
    pub fn violations(&self) -> &[pb::FieldViolation] {
        match self {
            Self::Invalid { violations, status: _ } => violations,
            Self::Unavailable { attempts: _, status: _ }
            | Self::Deadline { deadline: _, last: _ }
            | Self::Status(_)
            | Self::Malformed(_)
            | Self::Closed => &[],
        }
    }

    /// The delay before the next try that the server last requested.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.status()?.get_details_retry_info()?.retry_delay
    }

    /// Whether it is unknown if the call took effect. Sending it again with the same ids shows it.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        matches!(
            self.code(),
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown | Code::Internal
        )
    }
}

/// The status that the operation's own call would have had.
pub(super) fn status_of(error: pb::Error) -> Status {
    let pb::Error { code, message, field_violations, retry_after } = error;
    let mut details = ErrorDetails::new();
    if !field_violations.is_empty() {
        let violation = |pb::FieldViolation { field, description }| FieldViolation::new(field, description);
        details.set_bad_request(field_violations.into_iter().map(violation).collect::<Vec<_>>());
    }
    if let Some(delay) = retry_after.and_then(|delay| Duration::try_from(delay).ok()) {
        details.set_retry_info(Some(delay));
    }
    let code = i32::try_from(code).map_or(Code::Unknown, Code::from);
    Status::with_error_details_and_metadata(code, message, details, MetadataMap::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operations_error_keeps_its_fields_and_its_delay() {
        let fault = pb::FieldViolation { field: "lines[0].sku".into(), description: "must be set".into() };
        let error = pb::Error { code: 3, message: "why".into(), field_violations: vec![fault], retry_after: None };
        let error = Error::of(status_of(error), 1);
        assert_eq!((error.code(), error.violations()[0].field.as_str()), (Code::InvalidArgument, "lines[0].sku"));
        assert!(!error.is_in_doubt());
        let delay = Some(prost_types::Duration { seconds: 0, nanos: 50_000_000 });
        let error = pb::Error { code: 14, message: "busy".into(), field_violations: Vec::new(), retry_after: delay };
        let error = Error::of(status_of(error), 3);
        assert_eq!((error.code(), error.retry_after()), (Code::Unavailable, Some(Duration::from_millis(50))));
        assert_eq!(error.to_string(), "given up after 3 attempts: Unavailable: busy");
        assert!(error.is_in_doubt());
    }

    #[test]
    fn a_deadline_tells_what_it_waited_for() {
        let last = Some(Status::unavailable("the server is stopping"));
        let error = Error::Deadline { deadline: Duration::from_millis(300), last };
        assert_eq!(error.to_string(), "no answer within 300ms; the last attempt: Unavailable: the server is stopping");
        assert_eq!(error.code(), Code::DeadlineExceeded);
    }
}
