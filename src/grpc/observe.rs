//! Observes a call: its method, status and duration for the metrics, and the ids that its caller sent.

use std::sync::Arc;
use std::time::Duration;

use stockade_types::metrics::Stopwatch;
use stockade_types::record::{Actor, ORIGIN_TEXT_MAX, Origin};
use tonic::codegen::http::{HeaderMap, HeaderValue};

use crate::http2::Peer;
use crate::metrics::edge::{Code, EdgeMetrics, Method};

const REQUEST_ID: &str = "x-request-id";
const TRACE: &str = "traceparent";
/// Most bytes of either id; a longer one is neither logged nor returned.
const KNOWN_BY_MAX: usize = 512;
const TIMEOUT: &str = "grpc-timeout";

/// How long the caller waits, by its `grpc-timeout`: at most 8 digits and a unit. A malformed one is ignored.
pub(super) fn deadline(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let count: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    Some(match unit {
        "H" => Duration::from_secs(count.saturating_mul(3600)),
        "M" => Duration::from_secs(count.saturating_mul(60)),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

/// A call in flight.
pub(super) struct Call {
    under_way: Option<UnderWay>,
}

struct UnderWay {
    method: Method,
    request_id: Option<HeaderValue>,
    trace: Option<HeaderValue>,
    since: Stopwatch,
    metrics: Arc<EdgeMetrics>,
}

impl Call {
    /// Starts with a request's head.
    pub(super) fn begin(method: Method, headers: &HeaderMap, metrics: &Arc<EdgeMetrics>) -> Self {
        let under_way = UnderWay {
            method,
            request_id: headers.get(REQUEST_ID).filter(|id| id.len() <= KNOWN_BY_MAX).cloned(),
            trace: headers.get(TRACE).filter(|trace| trace.len() <= KNOWN_BY_MAX).cloned(),
            since: Stopwatch::start(),
            metrics: Arc::clone(metrics),
        };
        Self { under_way: Some(under_way) }
    }

    /// The origin of the call, for the records of its changes. A request id of more than [`ORIGIN_TEXT_MAX`] bytes,
    /// or with other characters than visible ASCII, is left out.
    pub(super) fn origin(&self, peer: &Peer) -> Origin {
        let request_id = self.under_way.as_ref().and_then(|under_way| under_way.request_id.as_ref());
        let request_id = request_id
            .map(HeaderValue::as_bytes)
            .filter(|id| !id.is_empty() && id.len() <= ORIGIN_TEXT_MAX && id.iter().all(u8::is_ascii_graphic));
        let request_id = request_id.and_then(|id| std::str::from_utf8(id).ok()).map(Box::from);
        // Callers are not authenticated yet. An address with its port is far shorter than the bound.
        Origin { actor: Actor::Anonymous, peer: Some(peer.address.to_string().into()), request_id }
    }

    /// Counts how the call ended, and returns the caller's `x-request-id`.
    pub(super) fn end(mut self, code: Code, head: &mut HeaderMap) {
        if let Some(under_way) = self.under_way.take() {
            if let Some(id) = &under_way.request_id {
                head.insert(REQUEST_ID, id.clone());
            }
            under_way.end(code);
        }
    }
}

impl Drop for Call {
    /// A call that its caller has given up is counted too.
    fn drop(&mut self) {
        if let Some(under_way) = self.under_way.take() {
            under_way.end(Code::CANCELLED);
        }
    }
}

impl UnderWay {
    fn end(self, code: Code) {
        let took = self.since.elapsed();
        self.metrics.call(self.method, code, took);
        let Self { method, request_id, trace, .. } = self;
        tracing::debug!(
            method = method.label(),
            code = code.label(),
            micros = took.as_micros(),
            request_id = request_id.as_ref().and_then(|id| id.to_str().ok()),
            traceparent = trace.as_ref().and_then(|trace| trace.to_str().ok()),
            "call answered"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_read_as_grpc_writes_them() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(TIMEOUT, HeaderValue::from_str(text).expect("a header"));
            deadline(&headers)
        };
        assert_eq!(read("2S"), Some(Duration::from_secs(2)));
        assert_eq!(read("20000u"), Some(Duration::from_millis(20)));
        for malformed in ["", "S", "5", "5x", "-5S", "123456789S"] {
            assert_eq!(read(malformed), None, "{malformed:?}");
        }
    }
}
