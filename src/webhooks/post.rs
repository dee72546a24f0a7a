//! Sends a delivery: one POST, one answer, within bounds. Never retries, never follows a redirect, never uses a proxy.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use stockade_types::metrics::Stopwatch;
use stockade_types::time::{Timestamp, wall_clock};
use tokio::time::timeout;

use super::address::{CheckedResolver, NotPublic, Reach};
use super::outcome::Outcome;
use super::signature::{Secret, signature};
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
/// The name that receivers see.
const AGENT: &str = concat!("stockade/", env!("CARGO_PKG_VERSION"));

/// A delivery as it is sent.
#[derive(Debug)]
pub struct Delivery<'a> {
    /// Where to.
    pub url: &'a str,
    /// The value of `webhook-id`.
    pub id: &'a str,
    /// The content type.
    pub content: &'static str,
    /// The body.
    pub body: Bytes,
    /// What it is signed with, each by itself.
    pub secrets: &'a [Secret],
    /// Whether further deliveries follow soon, so that the connection is worth keeping.
    pub more: bool,
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
        let resolver = Arc::new(CheckedResolver::new(reach));
        let client = |idle: usize| {
            let client = Client::builder()
                .user_agent(AGENT)
                .redirect(Policy::none())
                .no_proxy()
                .referer(false)
                .dns_resolver(Arc::clone(&resolver))
                .timeout(ANSWERED_WITHIN)
                .pool_max_idle_per_host(idle)
                .pool_idle_timeout(IDLE_FOR);
            client.build().map_err(|error| NoClient(in_full(&error)))
        };
        Ok(Self { reach, keeping: client(IDLE_MAX)?, closing: client(0)? })
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
        let Delivery { url: _, id, content, body, secrets, more } = delivery;
        let now = wall_clock();
        let seconds = now.0 / 1_000;
        let client = if more { &self.keeping } else { &self.closing };
        let request = client
            .post(url)
            .header(CONTENT_TYPE, content)
            .header("webhook-id", id)
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", signature(id, seconds, &body, secrets))
            .body(body);
        match request.send().await {
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
    use std::net::ToSocketAddrs as _;

    use super::*;

    async fn posted(reach: Reach, url: &str) -> Answer {
        let poster = Poster::new(reach).expect("certificates");
        let secrets = [Secret::random().expect("random")];
        let body = Bytes::from_static(b"{}");
        poster.post(Delivery { url, id: "id", content: "text/plain", body, secrets: &secrets, more: false }).await
    }

    #[tokio::test]
    async fn what_is_not_public_is_not_connected_to() {
        let answer = posted(Reach::Public, "https://127.0.0.1:9/").await;
        assert_eq!((answer.outcome, answer.status), (Outcome::Forbidden, 0));
        // A name that became private after it was defined: this machine's, where it has no public address.
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let name = name.trim();
        let addresses = (name, 9).to_socket_addrs().into_iter().flatten();
        let addresses: Vec<_> = addresses.map(|address| address.ip()).collect();
        if !addresses.is_empty() && !addresses.iter().any(|address| Reach::Public.takes(*address)) {
            let answer = posted(Reach::Public, &format!("https://{name}:9/")).await;
            assert_eq!(answer.outcome, Outcome::Forbidden, "{answer:?}");
        }
    }

    #[tokio::test]
    async fn a_closed_port_and_a_name_that_does_not_resolve_are_unreachable() {
        for url in ["http://127.0.0.1:9/", "http://no-such-name.invalid/"] {
            let answer = posted(Reach::Private, url).await;
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
