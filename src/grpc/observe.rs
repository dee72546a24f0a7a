//! Stands around a service: counts its calls, hands a caller's `x-request-id` back, keeps to a caller's deadline.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, HeaderValue, Request, Response};
use tonic::codegen::{BoxFuture, Service};
use tonic::server::NamedService;

use crate::metrics::Stopwatch;
use crate::metrics::edge::{Code, EdgeMetrics, Method};

const REQUEST_ID: &str = "x-request-id";
const TRACE: &str = "traceparent";
const STATUS: &str = "grpc-status";
const TIMEOUT: &str = "grpc-timeout";
/// The server's own timer ends a call that is late as `CANCELLED`; ours, a little earlier, says what it was.
const EARLIER: Duration = Duration::from_millis(1);

/// A service whose calls are counted.
#[derive(Debug, Clone)]
pub struct Observed<S> {
    inner: S,
    metrics: Arc<EdgeMetrics>,
}

impl<S> Observed<S> {
    /// Around `inner`.
    pub const fn new(inner: S, metrics: Arc<EdgeMetrics>) -> Self {
        Self { inner, metrics }
    }
}

impl<S: NamedService> NamedService for Observed<S> {
    const NAME: &'static str = S::NAME;
}

type Answer = BoxFuture<Response<Body>, Infallible>;

impl<S> Service<Request<Body>> for Observed<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = Answer>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Observing;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Observing {
        let headers = request.headers();
        let call = Call {
            method: Method::from_path(request.uri().path()),
            request_id: headers.get(REQUEST_ID).cloned(),
            trace: headers.get(TRACE).cloned(),
            since: Stopwatch::start(),
            metrics: Arc::clone(&self.metrics),
        };
        let deadline = deadline(headers);
        let inner = self.inner.call(request);
        let inner = match deadline {
            Some(deadline) => Box::pin(within(deadline, inner)),
            None => inner,
        };
        Observing { inner, call: Some(call) }
    }
}

async fn within(deadline: Duration, inner: Answer) -> Result<Response<Body>, Infallible> {
    match tokio::time::timeout(deadline, inner).await {
        Ok(answer) => answer,
        Err(_elapsed) => Ok(Status::deadline_exceeded("the caller's deadline has passed").into_http()),
    }
}

/// How long the caller waits, by its `grpc-timeout`: at most 8 digits and a unit. What is malformed is no deadline.
fn deadline(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let count: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    let span = match unit {
        "H" => Duration::from_secs(count.saturating_mul(3600)),
        "M" => Duration::from_secs(count.saturating_mul(60)),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    };
    Some(span.saturating_sub(EARLIER))
}

/// A call under way.
struct Call {
    method: Method,
    request_id: Option<HeaderValue>,
    trace: Option<HeaderValue>,
    since: Stopwatch,
    metrics: Arc<EdgeMetrics>,
}

impl Call {
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

/// The answer to a counted call.
pub struct Observing {
    inner: Answer,
    call: Option<Call>,
}

impl Future for Observing {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Poll::Ready(Ok(mut response)) = self.inner.as_mut().poll(cx) else { return Poll::Pending };
        if let Some(call) = self.call.take() {
            if let Some(id) = &call.request_id {
                response.headers_mut().insert(REQUEST_ID, id.clone());
            }
            // A status without a message stands in the headers; one after a message can only be OK here.
            call.end(response.headers().get(STATUS).map_or(Code::OK, |code| Code::from_header(code.as_bytes())));
        }
        Poll::Ready(Ok(response))
    }
}

impl Drop for Observing {
    /// A caller that went away is counted too.
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            call.end(Code::CANCELLED);
        }
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
        assert_eq!(read("2S"), Some(Duration::from_millis(1999)));
        assert_eq!(read("20000u"), Some(Duration::from_millis(19)));
        for malformed in ["", "S", "5", "5x", "-5S", "123456789S"] {
            assert_eq!(read(malformed), None, "{malformed:?}");
        }
    }
}
