//! Statuses as answers of the Connect protocol, and their numbers in HTTP.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use prost::Message as _;
use serde::Serialize;
use tonic::codegen::http::{HeaderValue, Response, StatusCode, header};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::codec::Encoding;

/// The status of HTTP for a call that its caller has given up; it has no official number.
const CLIENT_CLOSED_REQUEST: u16 = 499;
/// The prefix of a detail's type.
const TYPE_PREFIX: &str = "type.googleapis.com/";

/// An error as the protocol writes it.
#[derive(Serialize)]
struct Fault<'a> {
    code: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<Detail>,
}

/// A message of the error model, encoded.
#[derive(Serialize)]
struct Detail {
    #[serde(rename = "type")]
    kind: String,
    value: String,
}

/// The name of a code in the protocol, and its status in HTTP.
fn code(code: Code) -> (&'static str, StatusCode) {
    match code {
        Code::Ok => ("ok", StatusCode::OK),
        Code::Cancelled => {
            let closed = StatusCode::from_u16(CLIENT_CLOSED_REQUEST);
            ("canceled", closed.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
        }
        Code::Unknown => ("unknown", StatusCode::INTERNAL_SERVER_ERROR),
        Code::InvalidArgument => ("invalid_argument", StatusCode::BAD_REQUEST),
        Code::DeadlineExceeded => ("deadline_exceeded", StatusCode::GATEWAY_TIMEOUT),
        Code::NotFound => ("not_found", StatusCode::NOT_FOUND),
        Code::AlreadyExists => ("already_exists", StatusCode::CONFLICT),
        Code::PermissionDenied => ("permission_denied", StatusCode::FORBIDDEN),
        Code::ResourceExhausted => ("resource_exhausted", StatusCode::TOO_MANY_REQUESTS),
        Code::FailedPrecondition => ("failed_precondition", StatusCode::BAD_REQUEST),
        Code::Aborted => ("aborted", StatusCode::CONFLICT),
        Code::OutOfRange => ("out_of_range", StatusCode::BAD_REQUEST),
        Code::Unimplemented => ("unimplemented", StatusCode::NOT_IMPLEMENTED),
        Code::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR),
        Code::Unavailable => ("unavailable", StatusCode::SERVICE_UNAVAILABLE),
        Code::DataLoss => ("data_loss", StatusCode::INTERNAL_SERVER_ERROR),
        Code::Unauthenticated => ("unauthenticated", StatusCode::UNAUTHORIZED),
    }
}

/// The status of HTTP for this status.
#[must_use]
pub fn http_status(status: &Status) -> StatusCode {
    code(status.code()).1
}

/// A status as an answer. The body is JSON, whatever the encoding of the call.
#[must_use]
pub fn answer(status: &Status) -> Response<Bytes> {
    let (name, number) = code(status.code());
    let details = tonic_types::Status::decode(status.details()).map(|status| status.details).unwrap_or_default();
    let details = details.into_iter().map(|detail| Detail {
        kind: detail.type_url.trim_start_matches(TYPE_PREFIX).to_owned(),
        value: STANDARD_NO_PAD.encode(detail.value),
    });
    let fault = Fault { code: name, message: status.message(), details: details.collect() };
    // Strings alone: they can always be written.
    let body = serde_json::to_vec(&fault).unwrap_or_default();
    let mut answer = Response::new(Bytes::from(body));
    *answer.status_mut() = number;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(Encoding::Json.content_type()));
    if let Some(seconds) = retry_after(status) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}

/// After how many seconds the caller may retry: at least one, for HTTP has no smaller unit.
#[must_use]
pub fn retry_after(status: &Status) -> Option<u64> {
    let delay = status.get_details_retry_info()?.retry_delay?;
    Some(delay.as_secs().saturating_add(u64::from(delay.subsec_nanos() > 0)).max(1))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tonic_types::{ErrorDetails, FieldViolation};

    use super::*;

    fn body(status: &Status) -> serde_json::Value {
        serde_json::from_slice(answer(status).body()).expect("JSON")
    }

    #[test]
    fn an_error_has_its_code_message_and_details() {
        let details = ErrorDetails::with_bad_request(vec![FieldViolation::new("lines", "must be set")]);
        let status = Status::with_error_details(Code::InvalidArgument, "lines: must be set", details);
        let shown = body(&status);
        assert_eq!((&shown["code"], &shown["message"]), (&"invalid_argument".into(), &"lines: must be set".into()));
        assert_eq!(shown["details"][0]["type"], "google.rpc.BadRequest");
        let value = shown["details"][0]["value"].as_str().expect("a text");
        let bytes = STANDARD_NO_PAD.decode(value).expect("base64 without padding");
        let decoded = tonic_types::pb::BadRequest::decode(&*bytes).expect("the message");
        assert_eq!(decoded.field_violations[0].field, "lines");
        assert_eq!(answer(&status).status(), StatusCode::BAD_REQUEST);
    }

    #[test]
    fn what_is_empty_is_left_out() {
        assert_eq!(body(&Status::not_found("")), serde_json::json!({"code": "not_found"}));
    }

    #[test]
    fn a_delay_is_in_whole_seconds_and_never_none() {
        let after = |millis| {
            let details = ErrorDetails::with_retry_info(Some(Duration::from_millis(millis)));
            retry_after(&Status::with_error_details(Code::Unavailable, "", details))
        };
        assert_eq!([after(50), after(1_000), after(1_001)], [Some(1), Some(1), Some(2)]);
        assert_eq!(retry_after(&Status::unavailable("")), None);
    }
}
