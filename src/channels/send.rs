//! Sends a message by its channel's way, within bounds, and says what came of it. Never retries.

use std::net::SocketAddr;

use reqwest::dns::Name;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use stockade_types::time::Millis;

use super::channel::{Channel, Http, Way};
use super::mail;
use super::message::Message;
use crate::text::escaped;
use crate::webhooks::address::{CheckedResolver, Reach, system_lookup};
use crate::webhooks::outcome::Outcome;
use crate::webhooks::post::{self, Delivery, Poster, RESOLVED_AGAIN_AT_ONCE, RESOLVED_AT_ONCE, shortened};

/// Names the message: the same for each attempt.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Marks a test.
const TEST: HeaderName = HeaderName::from_static("stockade-test");

/// Why a message was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Failure {
    /// Whether the same won't succeed later either.
    pub is_for_good: bool,
    /// How long the other end asks to wait.
    pub asked: Option<Millis>,
    /// What went wrong, in at most 200 bytes, without control characters.
    pub why: String,
}

impl Failure {
    /// It may succeed later.
    pub(super) fn for_now(why: &str) -> Self {
        Self { is_for_good: false, asked: None, why: shortened(&escaped(why)) }
    }

    /// It won't.
    pub(super) fn for_good(why: &str) -> Self {
        Self { is_for_good: true, asked: None, why: shortened(&escaped(why)) }
    }
}

/// Finds addresses of mail servers. Those that failed last wait for each other, not for the others.
#[derive(Debug)]
pub(super) struct Names {
    usual: CheckedResolver,
    apart: CheckedResolver,
}

impl Names {
    pub(super) async fn addresses(&self, name: &str, port: u16, apart: bool) -> Result<Vec<SocketAddr>, Failure> {
        let bad = |error: &dyn std::fmt::Display| Failure::for_now(&format!("the name {name} has no address: {error}"));
        let parsed: Name = name.parse().map_err(|error| bad(&error))?;
        let resolver = if apart { &self.apart } else { &self.usual };
        let found = resolver.addresses(parsed).await.map_err(|error| bad(&error))?;
        Ok(found.map(|address| SocketAddr::new(address.ip(), port)).collect())
    }
}

/// Sends messages.
#[derive(Debug)]
pub struct Sender {
    /// Or why nothing can be sent by HTTP.
    poster: Result<Poster, String>,
    names: Names,
}

impl Default for Sender {
    fn default() -> Self {
        // What operators have written may be anywhere.
        let resolver = |at_once| CheckedResolver::new(Reach::Private, system_lookup, at_once);
        let names = Names { usual: resolver(RESOLVED_AT_ONCE), apart: resolver(RESOLVED_AGAIN_AT_ONCE) };
        Self { poster: Poster::new(Reach::Private).map_err(|error| error.to_string()), names }
    }
}

impl Sender {
    /// Sends a message, and waits until the other end has taken it: at most 10 s by HTTP, 30 s by SMTP. `apart`: the
    /// channel's last attempt has failed.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn send(&self, channel: &Channel, message: &Message, apart: bool) -> Result<(), Failure> {
        match &channel.way {
            Way::Http(http) => self.post(http, message, apart).await,
            Way::Smtp(smtp) => mail::send(smtp, message, &self.names, apart).await,
        }
    }

    async fn post(&self, http: &Http, message: &Message, apart: bool) -> Result<(), Failure> {
        let poster = self.poster.as_ref().map_err(|why| Failure::for_now(why))?;
        let Message { id, at: _, subject: _, body, is_test } = message;
        let mut headers: HeaderMap = http.headers.clone();
        if !headers.contains_key(IDEMPOTENCY_KEY) {
            // Ids are printable ASCII.
            headers.extend(HeaderValue::from_str(id).ok().map(|id| (IDEMPOTENCY_KEY, id)));
        }
        if *is_test {
            headers.insert(TEST, HeaderValue::from_static("true"));
        }
        let way = if apart { post::Way::Apart } else { post::Way::Closing };
        let answer = poster.post(Delivery { url: http.url.as_str(), headers, body: body.clone(), way }).await;
        match (answer.outcome, answer.status) {
            (Outcome::Delivered, _) => Ok(()),
            (Outcome::Throttled(asked), _) => Err(Failure { asked, ..Failure::for_now(&answer.error) }),
            (Outcome::TimedOut | Outcome::Unreachable, _) | (_, 408 | 425 | 500..) => {
                Err(Failure::for_now(&answer.error))
            }
            (Outcome::Gone | Outcome::Redirected | Outcome::Rejected | Outcome::Forbidden, _) => {
                Err(Failure::for_good(&answer.error))
            }
        }
    }
}
