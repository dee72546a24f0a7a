//! Why a proof could not be carried out, and a command's exit code for it. A finding of an audit is none of these: it is
//! a result.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use stockade_client::ConnectError;
use tonic::{Code, Status};

const AMISS: u8 = 1;
const USAGE: u8 = 64;
const UNREACHED: u8 = 69;
const BUG: u8 = 70;
const IO: u8 = 74;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The request can't be carried out as given.
    #[error("{0}")]
    Usage(String),
    /// No server answers.
    #[error("no server answers at {endpoint}")]
    Unreached {
        /// The address.
        endpoint: String,
        /// The cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A server gave an unexpected status while the load was prepared or audited.
    #[error("{what}: {status}")]
    Status {
        /// The request.
        what: &'static str,
        /// The answer.
        status: Box<Status>,
    },
    /// A program did not start, or not in time; with its last lines of output.
    #[error("{program} did not start: {why}")]
    Start {
        /// The program.
        program: String,
        /// Its last output.
        why: String,
    },
    /// The work could not be done as required.
    #[error("{0}")]
    Work(String),
    /// A file can't be read or written.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The operating system refused a resource that every process needs.
    #[error("the system refused: {0}")]
    Machine(#[from] io::Error),
    /// A part of this program ended that should never end.
    #[error("a bug: {0}")]
    Bug(&'static str),
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Endpoint(endpoint) => Self::Unreached { source: "it is no URL of a server".into(), endpoint },
            ConnectError::Unreachable { endpoint, source } => Self::Unreached { endpoint, source: source.into() },
        }
    }
}

impl Failure {
    /// The exit code of a finding of an audit, or of a target that was missed.
    pub const AMISS: u8 = AMISS;
    /// The exit code of wrong usage.
    pub const USAGE: u8 = USAGE;

    /// A file that can't be read or written.
    pub fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    /// An unexpected status in answer to this request.
    pub fn status(what: &'static str) -> impl FnOnce(Status) -> Self {
        move |status| Self::Status { what, status: Box::new(status) }
    }

    /// The exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::Unreached { endpoint: _, source: _ } => UNREACHED,
            Self::Status { what: _, status } if status.code() == Code::Unavailable => UNREACHED,
            Self::Status { what: _, status: _ } | Self::Work(_) => AMISS,
            Self::Start { program: _, why: _ } | Self::File { path: _, source: _ } | Self::Machine(_) => IO,
            Self::Bug(_) => BUG,
        }
    }

    /// The error and its causes in one line. A cause whose text is already part of the line is left out.
    #[must_use]
    pub fn whole(&self) -> String {
        let mut words = self.to_string();
        let mut cause = match self {
            Self::Unreached { endpoint: _, source } => Some::<&dyn Error>(source.as_ref()),
            Self::Usage(_)
            | Self::Status { what: _, status: _ }
            | Self::Start { program: _, why: _ }
            | Self::Work(_)
            | Self::File { path: _, source: _ }
            | Self::Machine(_)
            | Self::Bug(_) => None,
        };
        while let Some(error) = cause {
            let reported = error.to_string();
            if !words.ends_with(&reported) {
                words = format!("{words}: {reported}");
            }
            cause = error.source();
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_the_server_s_command_line() {
        assert_eq!(Failure::Usage(String::new()).exit_code(), 64);
        assert_eq!(Failure::status("x")(Status::unavailable("gone")).exit_code(), 69);
        assert_eq!(Failure::status("x")(Status::internal("odd")).exit_code(), 1);
        assert_eq!(Failure::Start { program: "x".into(), why: String::new() }.exit_code(), 74);
        assert_eq!(Failure::Bug("x").exit_code(), 70);
    }
}
