//! Why a command failed, and the exit code for that.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use stockade_client::ConnectError;
use stockade_engine::lifecycle::verify::VerifyError;
use tonic::{Code, Status};

use super::output::Output;
use crate::config::ConfigErrors;
use crate::server::ServeError;
use crate::text::escaped;

/// Wrong usage or configuration.
pub(super) const USAGE: u8 = 64;
const UNREACHED: u8 = 69;
const BUG: u8 = 70;
const IO: u8 = 74;
const DENIED: u8 = 77;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Wrong usage.
    #[error("{0}")]
    Usage(String),
    /// The configuration is faulty.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// There is no connection to the server.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server answered with a status.
    #[error("{}: {}", name(.0.code()), escaped(.0.message()))]
    Status(#[from] Status),
    /// The server answered with a status, and there is advice.
    #[error("{}: {}", name(.status.code()), escaped(.status.message()))]
    Advised {
        /// The status.
        status: Box<Status>,
        /// The advice.
        advice: String,
    },
    /// The log has the message already.
    #[error("see the log")]
    Logged {
        /// The exit code.
        exit_code: u8,
    },
    /// The server did not start, or did not end cleanly.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// A data folder can't be checked.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// A file can't be read or written.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The system refused a resource that every process needs.
    #[error("the system refused: {0}")]
    Machine(io::Error),
    /// The customers or the audit of the demo could not do their work.
    #[error(transparent)]
    Drill(#[from] stockade_drill::Failure),
    /// A bug: something that can't happen did.
    #[error("a bug: {0}")]
    Bug(&'static str),
}

impl Failure {
    /// The exit code.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Config(_) | Self::Connect(ConnectError::Endpoint(_)) => USAGE,
            Self::Connect(ConnectError::Unreachable { endpoint: _, source: _ }) => UNREACHED,
            Self::Status(status) => of_status(status.code()),
            Self::Advised { status, advice: _ } => of_status(status.code()),
            Self::Logged { exit_code } => *exit_code,
            Self::Serve(error) => error.exit_code(),
            Self::Drill(error) => error.exit_code(),
            Self::Verify(_) | Self::File { path: _, source: _ } | Self::Machine(_) => IO,
            Self::Bug(_) => BUG,
        }
    }

    /// Prints it on standard error, with its causes.
    pub(super) fn print(&self, output: &mut Output) {
        self.lines().iter().for_each(|line| output.complain(line));
    }

    /// The lines to print; none if the log has the message.
    pub(super) fn lines(&self) -> Vec<String> {
        if let Self::Logged { exit_code: _ } = self {
            return Vec::new();
        }
        let causes = self.causes().into_iter().map(|cause| format!("  because: {cause}"));
        let advice = match self {
            Self::Advised { status: _, advice } => Some(format!("  {advice}")),
            Self::Usage(_)
            | Self::Config(_)
            | Self::Connect(_)
            | Self::Status(_)
            | Self::Logged { exit_code: _ }
            | Self::Serve(_)
            | Self::Verify(_)
            | Self::File { path: _, source: _ }
            | Self::Machine(_)
            | Self::Drill(_)
            | Self::Bug(_) => None,
        };
        std::iter::once(format!("error: {self}")).chain(causes).chain(advice).collect()
    }

    /// The causes, from the outermost in, without those that only repeat the one before.
    fn causes(&self) -> Vec<String> {
        let mut cause = match self {
            Self::Serve(error) => error.source(),
            Self::Connect(error) => error.source(),
            Self::Verify(error) => error.source(),
            Self::Drill(error) => error.source(),
            // The message of these includes the cause.
            Self::Usage(_)
            | Self::Config(_)
            | Self::Status(_)
            | Self::Advised { status: _, advice: _ }
            | Self::Logged { exit_code: _ }
            | Self::File { path: _, source: _ }
            | Self::Machine(_)
            | Self::Bug(_) => None,
        };
        let mut causes = vec![self.to_string()];
        while let Some(error) = cause {
            let words = error.to_string();
            if causes.last().is_none_or(|outer| !outer.ends_with(&words)) {
                causes.push(words);
            }
            cause = error.source();
        }
        causes.split_off(1)
    }

    /// The same in one line, for a log.
    pub(super) fn whole(&self) -> String {
        let mut words = vec![self.to_string()];
        words.extend(self.causes());
        words.join(": ")
    }
}

const fn of_status(code: Code) -> u8 {
    match code {
        Code::InvalidArgument => USAGE,
        Code::Unavailable => UNREACHED,
        Code::Unauthenticated | Code::PermissionDenied => DENIED,
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Internal
        | Code::DataLoss => 1,
    }
}

/// The name of a status in the gRPC specification.
const fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_the_documented_ones() {
        let status = |code| Failure::Status(Status::new(code, "why")).exit_code();
        assert_eq!([Code::InvalidArgument, Code::Unavailable, Code::PermissionDenied].map(status), [64, 69, 77]);
        assert_eq!([Code::Unauthenticated, Code::NotFound, Code::DeadlineExceeded].map(status), [77, 1, 1]);
        assert_eq!(Failure::Usage(String::new()).exit_code(), 64);
        assert_eq!(Failure::Connect(ConnectError::Endpoint(String::new())).exit_code(), 64);
        assert_eq!(Failure::Serve(ServeError::Data(String::new())).exit_code(), 74);
        assert_eq!(Failure::Serve(ServeError::Bug).exit_code(), 70);
    }

    #[tokio::test]
    async fn each_cause_is_told_once() {
        let refused = stockade_client::Client::connect("http://127.0.0.1:1").await.expect_err("nobody is there");
        let causes = Failure::from(refused).causes();
        assert_eq!(causes.iter().filter(|cause| *cause == "tcp connect error").count(), 1, "{causes:?}");
        assert!(causes.last().is_some_and(|cause| cause.starts_with("Connection refused")), "{causes:?}");
        let full = "the journal has failed: no room is left for the journal: No space left on device (os error 28)";
        assert_eq!(Failure::Serve(ServeError::Journal(full.to_owned())).whole(), full);
    }

    #[test]
    fn a_status_is_told_by_name() {
        let failure = Failure::Status(Status::not_found("drop x not found"));
        assert_eq!(failure.to_string(), "NOT_FOUND: drop x not found");
    }
}
