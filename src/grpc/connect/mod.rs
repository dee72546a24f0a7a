//! The Connect protocol for unary calls over HTTP/1.1: one message each way, as JSON or protobuf.
//!
//! A request becomes the message that gRPC would have carried, and takes the same way: decoding within bounds, the
//! same handlers, the same metrics. Calls with streams are answered with `unimplemented`.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use http_body::Body;
use prost::Message;
use tonic::codegen::http::request::Parts;
use tonic::codegen::http::{HeaderMap, HeaderValue, Method as HttpMethod, Request, Response, StatusCode, header};
use tonic::{Code, Status};

use super::decode::AT_ONCE_BYTES;
use super::intake::{Messages, Received};
use super::observe::Call;
use super::reply::{self, Reply};
use super::rpc::{self, Row};
use super::services::Services;
use crate::http2::{Chunk, Peer};
use crate::metrics::edge::{Code as Counted, Method};

mod body;
mod codec;
mod fault;

pub use body::received as whole_body;
pub use codec::BrokenCodec;
pub use fault::{answer as fault, http_status, retry_after};

pub(super) use codec::{Codec, codecs};

use codec::Encoding;

/// JSON of a message is at most this many times as long as a call's protobuf may be,
const JSON_FACTOR: usize = 4;
/// and takes about this many times its length in memory while it is translated.
const TRANSLATION_FACTOR: usize = 16;
/// The version of the protocol, as a header and as a parameter of GET.
const VERSION: (&str, &str) = ("connect-protocol-version", "1");
const VERSION_PARAMETER: &str = "v1";
const TIMEOUT: &str = "connect-timeout-ms";
/// Most digits of a timeout, by the protocol.
const TIMEOUT_DIGITS: usize = 10;
/// What a POST may be encoded as.
const ACCEPTED: HeaderValue = HeaderValue::from_static("application/json, application/proto");
/// URL-safe base64, with its padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The path is not of the form `/stockade.v1.<Service>/<Method>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadPath;

/// Whether a path is that of a call, served or not.
///
/// # Errors
/// [`BadPath`] if it is another page's.
pub fn check_path(path: &str) -> Result<(), BadPath> {
    let is_call = path.strip_prefix("/stockade.v1.").and_then(|rest| rest.split_once('/'));
    is_call.filter(|(_, method)| !method.contains('/')).map(|_| ()).ok_or(BadPath)
}

/// A call of the table, with the translation of its messages.
#[derive(Clone, Copy)]
struct Target<'a> {
    row: &'static Row,
    codec: &'a Codec,
}

/// Why a request is not answered by its call.
enum Refused {
    /// By HTTP alone: the method or the content is none of the protocol's.
    Http(Response<Bytes>),
    /// By a status.
    Status(Status),
}

impl From<Status> for Refused {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl Services {
    /// Answers a request of the Connect protocol whose path is that of a call.
    pub async fn connect<B>(&self, request: Request<B>, peer: Arc<Peer>) -> Response<Bytes>
    where
        B: Body<Data = Bytes, Error: Error>,
    {
        let (head, body) = request.into_parts();
        let call = Call::begin(Method::from_path(head.uri.path()), &head.headers, &self.metrics);
        let answered = self.connected(&head, body, peer, &call).await;
        let (code, mut answer) = match answered {
            Ok(answer) => (Code::Ok, answer),
            Err(Refused::Status(status)) => (status.code(), fault(&status)),
            Err(Refused::Http(answer)) => (Code::InvalidArgument, answer),
        };
        call.end(Counted::from_number(i32::from(code)), answer.headers_mut());
        answer
    }

    /// Makes a unary call for a page of the HTTP endpoint, whose head this is.
    ///
    /// # Errors
    /// The call's status.
    pub async fn call_for_page<A: Message + Default>(
        &self,
        path: &str,
        request: &impl Message,
        head: &HeaderMap,
        peer: &Arc<Peer>,
    ) -> Result<A, Status> {
        let (_, answer) = self.page_call(path, request, head, peer).await?;
        A::decode(answer.as_ref()).map_err(|error| Status::internal(error.to_string()))
    }

    /// As [`Services::call_for_page`]. Returns the answer as JSON.
    ///
    /// # Errors
    /// The call's status.
    pub async fn json_for_page(
        &self,
        path: &str,
        request: &impl Message,
        head: &HeaderMap,
        peer: &Arc<Peer>,
    ) -> Result<Bytes, Status> {
        let (codec, answer) = self.page_call(path, request, head, peer).await?;
        self.shown(codec, Encoding::Json, answer, peer).await.map(Response::into_body)
    }

    async fn page_call(
        &self,
        path: &str,
        request: &impl Message,
        head: &HeaderMap,
        peer: &Arc<Peer>,
    ) -> Result<(&Codec, Chunk), Status> {
        let call = Call::begin(Method::from_path(path), head, &self.metrics);
        let working = async {
            let (place, row) = rpc::find(path).ok_or_else(|| Status::unimplemented(path))?;
            let codec = self.codecs.get(place).ok_or_else(|| Status::unimplemented(path))?;
            let received = Received { bytes: request.encode_to_vec().into(), charge: peer.share.empty_charge() };
            let messages = Messages::of_one(received, Arc::clone(peer));
            let answer = one(self.dispatch((place, row), messages, &call, None).await?)?;
            Ok((codec, reply::without_frame(answer)))
        };
        let answer = working.await;
        let code = answer.as_ref().map_or_else(Status::code, |_answer| Code::Ok);
        call.end(Counted::from_number(i32::from(code)), &mut HeaderMap::new());
        answer
    }

    async fn connected<B>(
        &self,
        head: &Parts,
        body: B,
        peer: Arc<Peer>,
        call: &Call,
    ) -> Result<Response<Bytes>, Refused>
    where
        B: Body<Data = Bytes, Error: Error>,
    {
        let path = head.uri.path();
        let (place, row) = rpc::find(path).ok_or_else(|| Status::unimplemented(format!("not built yet: {path}")))?;
        let codec = self.codecs.get(place).ok_or_else(|| Status::internal("a call without messages"))?;
        if !codec.is_unary {
            let advice = "streams are served by gRPC alone, not by Connect";
            return Err(Status::unimplemented(format!("{path}: {advice}")).into());
        }
        let target = Target { row, codec };
        let (encoding, received) = match head.method {
            HttpMethod::POST => posted(head, body, target, &peer).await?,
            HttpMethod::GET if codec.is_safe => got(head, target, &peer)?,
            _ => return Err(Refused::Http(not_allowed(codec))),
        };
        let deadline = deadline(&head.headers)?;
        if deadline == Some(Duration::ZERO) {
            return Err(Status::deadline_exceeded("the caller's deadline has passed").into());
        }
        let message = self.translated(target, encoding, received).await?;
        let messages = Messages::of_one(message, Arc::clone(&peer));
        let answer = one(self.dispatch((place, row), messages, call, deadline).await?)?;
        Ok(self.shown(codec, encoding, reply::without_frame(answer), &peer).await?)
    }

    /// A request as protobuf, within the bound of its call.
    async fn translated(&self, target: Target<'_>, encoding: Encoding, received: Received) -> Result<Received, Status> {
        if encoding == Encoding::Proto {
            return Ok(received);
        }
        let mut received = received;
        let length = received.bytes.len();
        received.charge_more(length.saturating_mul(TRANSLATION_FACTOR)).await?;
        let codec = target.codec.clone();
        let translate = move || {
            let Received { bytes, mut charge } = received;
            let bytes = codec.request_from_json(&bytes)?;
            charge.shrink_to(bytes.len());
            Ok(Received { bytes, charge })
        };
        let translated: Result<Received, Status> =
            if length > AT_ONCE_BYTES { self.decode.aside(translate).await? } else { translate() };
        let translated = translated?;
        let most = target.row.request_bytes_max;
        if translated.bytes.len() > most {
            return Err(Status::out_of_range(format!(
                "the message is too long: this method takes at most {most} bytes"
            )));
        }
        Ok(translated)
    }

    /// An answer in its caller's encoding.
    async fn shown(
        &self,
        codec: &Codec,
        encoding: Encoding,
        answer: Chunk,
        peer: &Peer,
    ) -> Result<Response<Bytes>, Status> {
        let bytes = match encoding {
            Encoding::Proto => Bytes::from_owner(answer),
            Encoding::Json => {
                let length = answer.as_ref().len();
                let mut charge = peer.share.empty_charge();
                super::intake::grow(&mut charge, length.saturating_mul(TRANSLATION_FACTOR)).await?;
                let codec = codec.clone();
                let translate = move || {
                    let json = codec.answer_to_json(answer.as_ref())?;
                    charge.shrink_to(json.len());
                    Ok(Bytes::from_owner(Chunk::new(json.into(), Some(charge))))
                };
                let json: Result<Bytes, Status> =
                    if length > AT_ONCE_BYTES { self.decode.aside(translate).await? } else { translate() };
                json?
            }
        };
        let mut shown = Response::new(bytes);
        shown.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(encoding.content_type()));
        Ok(shown)
    }
}

/// The only message of a unary call's answer.
fn one(reply: Reply) -> Result<Chunk, Status> {
    match reply {
        Reply::One(answer) => Ok(answer),
        Reply::Stream(_) => Err(Status::internal("a unary call was answered with a stream")),
    }
}

/// The message of a POST.
async fn posted<B>(head: &Parts, body: B, target: Target<'_>, peer: &Peer) -> Result<(Encoding, Received), Refused>
where
    B: Body<Data = Bytes, Error: Error>,
{
    let text = |name: header::HeaderName| head.headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let Some(encoding) = text(header::CONTENT_TYPE).and_then(Encoding::of_content_type) else {
        let mut answer = Response::new(Bytes::new());
        *answer.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        answer.headers_mut().insert("accept-post", ACCEPTED);
        return Err(Refused::Http(answer));
    };
    if let Some(compression) = text(header::CONTENT_ENCODING).filter(|coding| *coding != "identity") {
        let message = format!("unknown compression {compression:?}: requests are taken uncompressed");
        return Err(Status::unimplemented(message).into());
    }
    version(head.headers.get(VERSION.0).map(HeaderValue::as_bytes), VERSION.1, VERSION.0)?;
    let most = target.row.request_bytes_max;
    let most = if encoding == Encoding::Json { most.saturating_mul(JSON_FACTOR) } else { most };
    Ok((encoding, body::received(body, most, peer).await?))
}

/// The message of a GET, from its parameters.
fn got(head: &Parts, target: Target<'_>, peer: &Peer) -> Result<(Encoding, Received), Status> {
    let (mut message, mut encoding, mut is_base64) = (None, None, false);
    for (name, value) in form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()) {
        match name.as_ref() {
            "message" => message = Some(value),
            "encoding" => encoding = Some(value),
            "base64" => is_base64 = value == "1",
            "connect" => version(Some(value.as_bytes()), VERSION_PARAMETER, "connect")?,
            "compression" if value == "identity" || value.is_empty() => {}
            "compression" => {
                return Err(Status::unimplemented("compression: messages are taken uncompressed"));
            }
            _ => return Err(Status::invalid_argument(format!("{name}: no such parameter"))),
        }
    }
    let message = message.ok_or_else(|| Status::invalid_argument("message: must be set"))?;
    let encoding = encoding.ok_or_else(|| Status::invalid_argument("encoding: must be set"))?;
    let encoding =
        Encoding::named(&encoding).ok_or_else(|| Status::invalid_argument("encoding: must be json or proto"))?;
    let bytes = if is_base64 {
        let decoded = BASE64.decode(message.as_bytes());
        Bytes::from(decoded.map_err(|error| Status::invalid_argument(format!("message: {error}")))?)
    } else {
        Bytes::from(message.into_owned().into_bytes())
    };
    // A request's head is short, so that this can't be long either.
    debug_assert!(bytes.len() <= target.row.request_bytes_max, "a head is longer than a request");
    Ok((encoding, Received { bytes, charge: peer.share.empty_charge() }))
}

/// Checks the version of the protocol, if it is given.
fn version(given: Option<&[u8]>, known: &str, field: &str) -> Result<(), Status> {
    match given {
        Some(given) if given != known.as_bytes() => Err(Status::invalid_argument(format!("{field}: must be {known}"))),
        Some(_) | None => Ok(()),
    }
}

/// How long the caller waits.
fn deadline(headers: &HeaderMap) -> Result<Option<Duration>, Status> {
    let Some(text) = headers.get(TIMEOUT) else { return Ok(None) };
    let text = text.to_str().unwrap_or_default();
    let is_number = !text.is_empty() && text.len() <= TIMEOUT_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    let millis = text.parse().ok().filter(|_| is_number);
    let millis =
        millis.ok_or_else(|| Status::invalid_argument(format!("{TIMEOUT}: must be 1-{TIMEOUT_DIGITS} digits")))?;
    Ok(Some(Duration::from_millis(millis)))
}

fn not_allowed(codec: &Codec) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    let allowed = if codec.is_safe { "GET, POST" } else { "POST" };
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    answer
}
