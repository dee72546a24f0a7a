//! A channel as the configuration has it: which events it takes, how they are sent, and when they are not.

use std::collections::BTreeMap;
use std::fmt;

use jiff::tz::TimeZone;
use lettre::message::Mailbox;
use reqwest::Url;
use reqwest::header::HeaderMap;
use stockade_feed::Filter;
use stockade_types::ids::DefinedId;
use stockade_types::time::Millis;

use super::bounds::Bounds;
use super::template::Template;

/// How long an event is worth a message, if nothing else is said.
pub const GIVE_UP_USUAL: Millis = Millis::from_secs(24 * 60 * 60);

/// A channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Its name: the label in metrics and the log.
    pub name: DefinedId,
    /// Where it is defined: `stockade.toml:12`.
    pub place: String,
    /// The types of events that it takes, as they are written.
    pub types: Vec<String>,
    /// The events that it takes.
    pub filter: Filter,
    /// When a message is held back.
    pub bounds: Bounds,
    /// How long after its event a message is given up.
    pub give_up_after: Millis,
    /// How messages are sent.
    pub way: Way,
}

/// How messages are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// As a POST.
    Http(Http),
    /// As a mail.
    Smtp(Smtp),
}

/// A way by HTTP.
#[derive(Clone, PartialEq, Eq)]
pub struct Http {
    /// Where to.
    pub url: Url,
    /// The URL as it is written, without what comes from the environment.
    pub shown: String,
    /// Headers. Those whose value comes from the environment are marked as sensitive.
    pub headers: HeaderMap,
    /// The body.
    pub body: Template,
}

/// A way by SMTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Smtp {
    /// The server's name or address.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// Whether the connection is encrypted.
    pub tls: Tls,
    /// User name and password.
    pub login: Option<(String, Secret)>,
    /// The sender.
    pub from: Mailbox,
    /// The recipient: a list.
    pub to: Mailbox,
    /// The subject.
    pub subject: Template,
    /// The text.
    pub body: Template,
}

/// How a connection to a mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// From the first byte.
    Implicit,
    /// By `STARTTLS`, without which nothing is sent.
    StartTls,
    /// Not at all.
    None,
}

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl fmt::Debug for Http {
    /// Without the URL, which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url: _, shown, headers, body } = self;
        f.debug_struct("Http").field("url", shown).field("headers", headers).field("body", body).finish()
    }
}

impl Tls {
    /// As it is written.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Implicit => "tls",
            Self::StartTls => "starttls",
            Self::None => "none",
        }
    }

    /// The usual port.
    #[must_use]
    pub const fn port(self) -> u16 {
        match self {
            Self::Implicit => 465,
            Self::StartTls => 587,
            Self::None => 25,
        }
    }
}

impl Way {
    /// As it is written.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::Smtp(_) => "smtp",
        }
    }

    /// Where messages go, without secrets.
    #[must_use]
    pub fn target(&self) -> String {
        match self {
            Self::Http(http) => http.shown.clone(),
            Self::Smtp(Smtp { server, port, to, .. }) => format!("{to} by {server}:{port}"),
        }
    }

    /// The templates, with their keys.
    #[must_use]
    pub fn templates(&self) -> BTreeMap<&'static str, &Template> {
        match self {
            Self::Http(http) => BTreeMap::from([("body", &http.body)]),
            Self::Smtp(smtp) => BTreeMap::from([("body", &smtp.body), ("subject", &smtp.subject)]),
        }
    }
}

/// A zone for whole days, by its name.
///
/// # Errors
/// What the name must be.
pub fn zone(name: &str) -> Result<TimeZone, &'static str> {
    TimeZone::get(name).map_err(|_unknown| "must be a time zone such as Europe/Berlin")
}
