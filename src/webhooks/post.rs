//! Sends a delivery: one POST, one answer, within bounds. Never retries, never follows a redirect, never uses a proxy.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use stockade_types::metrics::Stopwatch;
use stockade_types::time::{Timestamp, wall_clock};
use tokio::time::timeout;

use super::address::{CheckedResolver, Lookup, NotPublic, Reach, system_lookup};
use super::outcome::Outcome;
use super::turns::Pace;
use crate::text::escaped;

/// How long an answer may take, from resolving the name on.
pub const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
/// How long the rest of an answer may take once its status is there.
const REST_WITHIN: Duration = Duration::from_millis(500);
/// Bytes of an answer's body that are read.
const READ_BYTES: usize = 1_024;
/// Most bytes of an error's text.
pub const ERROR_BYTES_MAX: usize = 200;
/// How long a connection is kept for the next delivery.
const IDLE_FOR: Duration = Duration::from_secs(5);
/// Most idle connections to one receiver.
const IDLE_MAX: usize = 4;
/// Names that are resolved at once for receivers that have not failed last: each occupies a thread.
pub const RESOLVED_AT_ONCE: usize = 5;
/// The same for those that have: names without a name server that answers do not hold up the others.
pub const RESOLVED_AGAIN_AT_ONCE: usize = 3;
/// The name that receivers see.
const AGENT: &str = concat!("stockade/", env!("CARGO_PKG_VERSION"));

/// A delivery as it is sent.
#[derive(Debug)]
pub struct Delivery<'a> {
    /// Where to.
    pub url: &'a str,
    /// The headers, the content type among them.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// How to connect.
    pub way: Way,
}

/// How a delivery is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Further deliveries follow soon, so that the connection is worth keeping.
    Keeping,
    /// This is the last one for now.
    Closing,
    /// The receiver failed last. Its name is resolved apart from others.
    Apart,
}

impl Way {
    /// For a receiver of this pace; `more`: further deliveries follow soon.
    #[must_use]
    pub const fn of(pace: Pace, more: bool) -> Self {
        match (pace, more) {
            (Pace::Failing, _) => Self::Apart,
            (Pace::Prompt | Pace::Slow, true) => Self::Keeping,
            (Pace::Prompt | Pace::Slow, false) => Self::Closing,
        }
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What it means.
    pub outcome: Outcome,
    /// The HTTP status; 0 without an answer.
    pub status: u16,
    /// What went wrong, in at most 200 bytes; empty if it was taken.
    pub error: String,
    /// How long it took.
    pub took: Duration,
}

/// Sends deliveries.
#[derive(Debug, Clone)]
pub struct Poster {
    reach: Reach,
    keeping: Client,
    closing: Client,
    apart: Client,
}

/// Deliveries can't be sent: the system's certificates can't be used.
#[derive(Debug, thiserror::Error)]
#[error("HTTPS can't be used: {0}")]
pub struct NoClient(String);

impl Poster {
    /// A sender of this reach.
    ///
    /// # Errors
    /// [`NoClient`].
    pub fn new(reach: Reach) -> Result<Self, NoClient> {
        Self::with_lookup(reach, system_lookup)
    }

    /// The same, with another lookup of names.
    ///
    /// # Errors
    /// [`NoClient`].
    pub fn with_lookup(reach: Reach, lookup: Lookup) -> Result<Self, NoClient> {
        let resolver = |at_once| Arc::new(CheckedResolver::new(reach, lookup, at_once));
        let client = |idle: usize, resolver: &Arc<CheckedResolver>| {
            let client = Client::builder()
                .user_agent(AGENT)
                .redirect(Policy::none())
                .no_proxy()
                .referer(false)
                .dns_resolver(Arc::clone(resolver))
                .timeout(ANSWERED_WITHIN)
                .pool_max_idle_per_host(idle)
                .pool_idle_timeout(IDLE_FOR);
            client.build().map_err(|error| NoClient(in_full(&error)))
        };
        let (usual, apart) = (resolver(RESOLVED_AT_ONCE), resolver(RESOLVED_AGAIN_AT_ONCE));
        let (keeping, closing) = (client(IDLE_MAX, &usual)?, client(0, &usual)?);
        Ok(Self { reach, keeping, closing, apart: client(0, &apart)? })
    }

    /// Sends a delivery and waits for its answer, at most [`ANSWERED_WITHIN`].
    pub async fn post(&self, delivery: Delivery<'_>) -> Answer {
        let watch = Stopwatch::start();
        // Checked again, since an address in the URL is connected to without the resolver.
        let (outcome, status, error) = match self.reach.parse(delivery.url) {
            Err(bad) => (Outcome::Forbidden, 0, bad.to_string()),
            Ok(url) => match timeout(ANSWERED_WITHIN, self.exchange(url, delivery)).await {
                Ok(answered) => answered,
                Err(_elapsed) => (Outcome::TimedOut, 0, "no answer within 10 s".to_owned()),
            },
        };
        Answer { outcome, status, error: shortened(&error), took: watch.elapsed() }
    }

    async fn exchange(&self, url: Url, delivery: Delivery<'_>) -> (Outcome, u16, String) {
        let Delivery { url: _, headers, body, way } = delivery;
        let now = wall_clock();
        let client = match way {
            Way::Keeping => &self.keeping,
            Way::Closing => &self.closing,
            Way::Apart => &self.apart,
        };
        match client.post(url).headers(headers).body(body).send().await {
            Ok(response) => answered(response, now).await,
            Err(error) => failed(&error),
        }
    }
}

async fn answered(mut response: Response, now: Timestamp) -> (Outcome, u16, String) {
    let status = response.status();
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let outcome = Outcome::of_status(status.as_u16(), retry_after, now);
    let mut read = Vec::new();
    let rest = async {
        while read.len() < READ_BYTES
            && let Ok(Some(chunk)) = response.chunk().await
        {
            let room = READ_BYTES.saturating_sub(read.len());
            read.extend(chunk.iter().take(room));
        }
    };
    // The status alone decides; whether the rest comes does not matter.
    let _in_time = timeout(REST_WITHIN, rest).await;
    if outcome == Outcome::Delivered {
        return (outcome, status.as_u16(), String::new());
    }
    let said = String::from_utf8_lossy(&read);
    (outcome, status.as_u16(), format!("{status} {}", escaped(said.trim())))
}

fn failed(error: &reqwest::Error) -> (Outcome, u16, String) {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    let mut is_forbidden = false;
    while let Some(error) = cause {
        is_forbidden |= error.is::<NotPublic>();
        cause = error.source();
    }
    let outcome = match (is_forbidden, error.is_timeout()) {
        (true, _) => Outcome::Forbidden,
        (false, true) => Outcome::TimedOut,
        (false, false) => Outcome::Unreachable,
    };
    (outcome, 0, in_full(error))
}

/// An error with its causes, without the URL, which may hold a receiver's token.
fn in_full(error: &reqwest::Error) -> String {
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if causes.last() != Some(&words) {
            causes.push(words);
        }
        cause = error.source();
    }
    if causes.is_empty() {
        causes.push(if error.is_timeout() { "no answer in time".to_owned() } else { "the request failed".to_owned() });
    }
    escaped(&causes.join(": ")).into_owned()
}

/// The text, cut to [`ERROR_BYTES_MAX`].
#[must_use]
pub fn shortened(text: &str) -> String {
    text.get(..text.floor_char_boundary(ERROR_BYTES_MAX)).unwrap_or(text).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    async fn posted(reach: Reach, lookup: Lookup, url: &str) -> Answer {
        let poster = Poster::with_lookup(reach, lookup).expect("certificates");
        let (headers, body) = (HeaderMap::new(), Bytes::from_static(b"{}"));
        poster.post(Delivery { url, headers, body, way: Way::Closing }).await
    }

    #[tokio::test]
    async fn what_is_not_public_is_not_connected_to() {
        let nobody: Lookup = |name| panic!("{name} is looked up");
        let answer = posted(Reach::Public, nobody, "https://127.0.0.1:9/").await;
        assert_eq!((answer.outcome, answer.status), (Outcome::Forbidden, 0));
        // A name that became private after it was defined.
        let private: Lookup =
            |_name| Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0)), SocketAddr::from(([10, 0, 0, 1], 0))]);
        let answer = posted(Reach::Public, private, "https://name.example:9/").await;
        assert_eq!((answer.outcome, answer.status), (Outcome::Forbidden, 0), "{answer:?}");
        let answer = posted(Reach::Private, private, "https://name.example:9/").await;
        assert_eq!(answer.outcome, Outcome::Unreachable, "connected to, and refused there: {answer:?}");
    }

    #[tokio::test]
    async fn a_closed_port_and_a_name_that_does_not_resolve_are_unreachable() {
        for url in ["http://127.0.0.1:9/", "http://no-such-name.invalid/"] {
            let answer = posted(Reach::Private, system_lookup, url).await;
            assert_eq!((answer.outcome, answer.status), (Outcome::Unreachable, 0), "{answer:?}");
            assert!(!answer.error.is_empty() && answer.error.len() <= ERROR_BYTES_MAX, "{answer:?}");
        }
    }

    #[test]
    fn errors_are_cut_between_characters() {
        assert_eq!(shortened("ü").as_str(), "ü");
        let cut = shortened(&"ü".repeat(300));
        assert_eq!(cut.len(), ERROR_BYTES_MAX);
        assert_eq!(shortened(&format!("a{}", "ü".repeat(300))).len(), ERROR_BYTES_MAX - 1);
    }
}
