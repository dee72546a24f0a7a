//! Maps faults to gRPC statuses with details.
//!
//! Statuses are sent in HTTP/2 trailers, and many clients accept only 8 KiB of them. Message and details are bounded,
//! so that a request with hundreds of faults still gets its answer.

use std::collections::HashSet;
use std::error::Error;
use std::time::Duration;

use stockade_engine::answer::{Fault, InvalidField};
use stockade_feed::{BadCursor, FeedError, HistoryError};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use super::convert::Rejection;
use super::intake::Oversized;
use crate::budget::Exhausted;

/// The retry delay after an overload: longer than doubt and full queues last.
const OVERLOAD_DELAY: Duration = Duration::from_millis(50);
/// The retry delay while the server is stopping: enough for a restart.
const RESTART_DELAY: Duration = Duration::from_secs(1);
/// The retry delay while reserves are suspended: an operator must correct something.
const SUSPENDED_DELAY: Duration = Duration::from_secs(1);
/// The retry delay for a client's retry policy, in milliseconds.
const PUSHBACK: &str = "grpc-retry-pushback-ms";
/// Most bytes of an encoded message. It is sent twice: also within the details.
const MESSAGE_BYTES: usize = 1_900;
/// Most bytes of all violations in the details; base64 adds a third.
const DETAIL_BYTES: usize = 2_700;
/// Bytes of a violation besides its text.
const DETAIL_FRAME: usize = 8;

/// A fault of the engine as its status.
#[must_use]
pub(super) fn of_fault(fault: Fault) -> Status {
    let message = fault.to_string();
    match fault {
        Fault::Invalid(violations) => invalid(&violations),
        Fault::NoDrop(_) | Fault::NoHold(_) | Fault::NoDefinition(..) => Status::not_found(message),
        Fault::Exists { what: _, field: _ } => Status::already_exists(message),
        Fault::Stale(_) => Status::aborted(message),
        Fault::Precondition(_) => Status::failed_precondition(message),
        Fault::Exhausted(_) => Status::resource_exhausted(message),
        Fault::Overloaded(_) | Fault::InDoubt => unavailable(message, OVERLOAD_DELAY),
        Fault::Suspended(_) => unavailable(message, SUSPENDED_DELAY),
        Fault::JournalFailed => unavailable(message, RESTART_DELAY),
    }
}

impl From<Rejection> for Status {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Invalid(violations) => invalid(&violations),
            Rejection::Unbuilt(fields) => Self::unimplemented(unbuilt(&fields)),
        }
    }
}

/// There is no room for a request or an answer, on the connection or on the server.
#[must_use]
pub(super) fn no_room(exhausted: Exhausted) -> Status {
    let message = exhausted.to_string();
    match exhausted {
        Exhausted::Connection => Status::resource_exhausted(message),
        Exhausted::Server => unavailable(message, OVERLOAD_DELAY),
    }
}

/// A request that is not decoded: the faulty field and the reason.
#[must_use]
pub(super) fn oversized(oversized: &Oversized) -> Status {
    let (field, description) = oversized.field();
    let field = if field.is_empty() { "request" } else { field };
    invalid(&[InvalidField { field: field.to_owned(), description }])
}

/// A request that can't be decoded.
#[must_use]
pub(super) fn undecodable(error: &prost::DecodeError) -> Status {
    Status::invalid_argument(format!("the request is not encoded as the contract says: {error}"))
}

/// Events that can't be read from a position, with the cursor of the oldest event if that is known.
#[must_use]
pub(super) fn unreadable(error: &FeedError, oldest: impl FnOnce() -> Result<String, HistoryError>) -> Status {
    let with_oldest = |status: fn(&FeedError, String) -> Status| match oldest() {
        Ok(oldest) => status(error, oldest),
        Err(error) => unreadable_now(&error),
    };
    match error {
        FeedError::History(HistoryError::NotKept { .. }) => {
            with_oldest(|_, oldest| cursor(&BadCursor::NotKept { oldest }))
        }
        FeedError::History(HistoryError::Beyond { .. }) => {
            with_oldest(|_, oldest| cursor(&BadCursor::BehindTheEnd { oldest }))
        }
        FeedError::History(HistoryError::Damage(_)) => with_oldest(|error, oldest| {
            Status::out_of_range(format!("the events there are damaged: {error}; the oldest is {oldest}"))
        }),
        FeedError::Unknown(_) => Status::out_of_range(error.to_string()),
        FeedError::History(HistoryError::Io(_)) | FeedError::Unnamed(_) => unreadable_now(error),
    }
}

/// Events that can't be read for now.
#[must_use]
pub(super) fn unreadable_now(error: &impl Error) -> Status {
    unavailable(format!("events can't be read now: {error}"), OVERLOAD_DELAY)
}

/// A cursor that can't be used.
#[must_use]
pub(super) fn cursor(bad: &BadCursor) -> Status {
    cursor_at("after", bad)
}

/// The cursor in this field can't be used.
#[must_use]
pub(super) fn cursor_at(field: &str, bad: &BadCursor) -> Status {
    match bad {
        BadCursor::NoCursor => invalid(&[InvalidField { field: field.to_owned(), description: bad.to_string() }]),
        BadCursor::NotNow { .. } => unavailable(bad.to_string(), OVERLOAD_DELAY),
        BadCursor::OfAnotherJournal { .. } | BadCursor::BehindTheEnd { .. } | BadCursor::NotKept { .. } => {
            Status::out_of_range(bad.to_string())
        }
    }
}

/// An `as_of` from which the stock can't be compared.
#[must_use]
pub(super) fn as_of(bad: &BadCursor) -> Status {
    match bad {
        BadCursor::NoCursor => invalid(&[InvalidField { field: "as_of".to_owned(), description: bad.to_string() }]),
        BadCursor::NotNow { .. } => unavailable(bad.to_string(), OVERLOAD_DELAY),
        BadCursor::BehindTheEnd { .. } => {
            Status::failed_precondition("as_of: what it stands for is not durable, or not in this journal any more")
        }
        BadCursor::OfAnotherJournal { .. } | BadCursor::NotKept { .. } => Status::out_of_range(format!("as_of: {bad}")),
    }
}

/// The server is stopping: the caller retries at its next start, or at another server.
#[must_use]
pub fn stopping() -> Status {
    unavailable(
        "the server is stopping: connect again and continue with what was not answered".to_owned(),
        RESTART_DELAY,
    )
}

/// The server is starting: the caller retries.
#[must_use]
pub fn starting() -> Status {
    unavailable("the server is starting: it reads its journal".to_owned(), RESTART_DELAY)
}

fn unavailable(message: String, delay: Duration) -> Status {
    let mut metadata = MetadataMap::new();
    let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
    metadata.insert(PUSHBACK, MetadataValue::from(millis));
    let details = ErrorDetails::with_retry_info(Some(delay));
    Status::with_error_details_and_metadata(Code::Unavailable, message, details, metadata)
}

fn unbuilt(fields: &[String]) -> String {
    let mut message = Bounded::new();
    for (place, field) in fields.iter().enumerate() {
        message.push(&[if place == 0 { "not built yet: " } else { ", " }, field]);
    }
    message.finish()
}

fn invalid(violations: &[InvalidField]) -> Status {
    let mut room = DETAIL_BYTES;
    let mut details = Vec::new();
    for InvalidField { field, description } in violations {
        let size = field.len().saturating_add(description.len()).saturating_add(DETAIL_FRAME);
        if let Some(left) = room.checked_sub(size) {
            room = left;
            details.push(FieldViolation::new(field.clone(), description.clone()));
        }
    }
    Status::with_error_details(Code::InvalidArgument, words(violations), ErrorDetails::with_bad_request(details))
}

/// Every faulty field and its fault. Fields with the same fault are grouped, so that more fit.
fn words(violations: &[InvalidField]) -> String {
    let mut message = Bounded::new();
    let mut seen: HashSet<&str> = HashSet::new();
    for InvalidField { field: _, description } in violations {
        if !seen.insert(description) {
            continue;
        }
        let same = violations.iter().filter(|other| other.description == *description).map(|other| &other.field);
        let ending = [": ", description];
        if !message.reserve(&ending) {
            message.left_out = message.left_out.saturating_add(same.count());
            continue;
        }
        let mut separator = if message.is_empty() { "" } else { "; " };
        for field in same {
            if message.push(&[separator, field]) {
                separator = ", ";
            }
        }
        message.text.extend(ending);
    }
    message.finish()
}

/// A message within the bound of a trailer. Parts that do not fit are counted.
struct Bounded {
    text: String,
    room: usize,
    left_out: usize,
}

impl Bounded {
    const fn new() -> Self {
        Self { text: String::new(), room: MESSAGE_BYTES, left_out: 0 }
    }

    const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Reserves room for a part that is written later.
    fn reserve(&mut self, parts: &[&str]) -> bool {
        let size = parts.iter().map(|part| encoded(part)).fold(0, usize::saturating_add);
        let left = self.room.checked_sub(size);
        self.room = left.unwrap_or(self.room);
        left.is_some()
    }

    fn push(&mut self, parts: &[&str]) -> bool {
        let fits = self.reserve(parts);
        if fits {
            self.text.extend(parts.iter().copied());
        } else {
            self.left_out = self.left_out.saturating_add(1);
        }
        fits
    }

    fn finish(self) -> String {
        if self.left_out == 0 { self.text } else { format!("{}; and {} more", self.text, self.left_out) }
    }
}

/// Bytes of a text in a `grpc-message` trailer, where spaces and anything but plain ASCII take three.
fn encoded(text: &str) -> usize {
    text.bytes().map(|byte| if byte.is_ascii_graphic() && byte != b'%' { 1 } else { 3 }).fold(0, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violation(field: &str, description: &str) -> InvalidField {
        InvalidField { field: field.into(), description: description.into() }
    }

    #[test]
    fn a_message_names_every_faulty_field() {
        let status = of_fault(Fault::Invalid(vec![
            violation("lines[0].quantity", "must be 1-1000000"),
            violation("customer.id", "must be set"),
            violation("lines[3].quantity", "must be 1-1000000"),
        ]));
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(
            status.message(),
            "lines[0].quantity, lines[3].quantity: must be 1-1000000; customer.id: must be set"
        );
        let details = status.get_details_bad_request().expect("details");
        let fields: Vec<_> = details.field_violations.iter().map(|v| v.field.as_str()).collect();
        assert_eq!(fields, ["lines[0].quantity", "customer.id", "lines[3].quantity"]);
    }

    #[test]
    fn hundreds_of_faults_fit_into_trailers() {
        let many: Vec<_> =
            (0..256).map(|n| violation(&format!("drop.items[{n}].sku"), "must be 1-128 bytes")).collect();
        let status = of_fault(Fault::Invalid(many));
        assert!(status.message().ends_with("more"), "{}", status.message());
        assert!(encoded(status.message()) + status.details().len() * 4 / 3 < 7_900);
        assert!(status.message().contains("items[60].sku"));
    }

    #[test]
    fn a_full_house_of_lines_is_named_whole() {
        let sku = |n| violation(&format!("lines[{n}].sku"), "must be 1-128 bytes of UTF-8 without control characters");
        let quantity = |n| violation(&format!("lines[{n}].quantity"), "must be 1-1000000");
        let all: Vec<_> = (0..32).flat_map(|n| [sku(n), quantity(n)]).collect();
        let status = of_fault(Fault::Invalid(all));
        assert!((0..32).all(|n| status.message().contains(&format!("lines[{n}].quantity"))));
        assert!((0..32).all(|n| status.message().contains(&format!("lines[{n}].sku"))));
    }

    #[test]
    fn unavailable_says_when_to_come_again() {
        let status = of_fault(Fault::Overloaded("the journal's queue is full"));
        assert_eq!((status.code(), status.message()), (Code::Unavailable, "overloaded: the journal's queue is full"));
        assert_eq!(status.metadata().get(PUSHBACK).and_then(|v| v.to_str().ok()), Some("50"));
        assert_eq!(status.get_details_retry_info().and_then(|info| info.retry_delay), Some(OVERLOAD_DELAY));
    }

    #[test]
    fn reserves_that_are_suspended_are_unavailable_with_the_reason() {
        let status = of_fault(Fault::Suspended("the wall clock is ahead"));
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unavailable, "reserves are suspended: the wall clock is ahead")
        );
        assert_eq!(status.get_details_retry_info().and_then(|info| info.retry_delay), Some(SUSPENDED_DELAY));
    }

    #[test]
    fn what_is_not_built_is_named() {
        let status = Status::from(Rejection::Unbuilt(vec!["drop.series".into(), "drop.items[0].pools".into()]));
        assert_eq!(status.code(), Code::Unimplemented);
        assert_eq!(status.message(), "not built yet: drop.series, drop.items[0].pools");
    }
}
