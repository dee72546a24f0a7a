//! A message: an event in the words of a channel's templates.

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde::de::IgnoredAny;
use stockade_proto as pb;
use stockade_types::time::Timestamp;

use super::channel::{Channel, Way};
use super::context::Contexts;
use super::template::{BadTemplate, Template};

/// A message, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Names the event and the channel: the same for each attempt, so that the other end can tell a repeat.
    pub id: String,
    /// When it was written.
    pub at: Timestamp,
    /// Its subject; empty if the channel's messages have none.
    pub subject: String,
    /// Its text.
    pub body: Bytes,
    /// Whether it is a test.
    pub is_test: bool,
}

/// Which kind of event a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// What has happened.
    Fact,
    /// A sample, which shows whether templates can be written.
    Sample,
}

/// Writes the message of an event.
///
/// # Errors
/// [`BadTemplate`].
pub fn write(
    channel: &Channel,
    contexts: &Contexts,
    (event, about): (&pb::Event, About),
    at: Timestamp,
) -> Result<Message, BadTemplate> {
    let is_test = about == About::Sample;
    let broken = |error: crate::webhooks::envelope::BrokenEvents| BadTemplate {
        place: channel.place.clone(),
        what: error.to_string(),
    };
    let context = contexts.of(event, is_test).map_err(broken)?;
    let (subject, body) = match &channel.way {
        Way::Http(http) => {
            let body = http.body.write(&context)?;
            check_json(&http.headers, &body, &http.body)?;
            (String::new(), body)
        }
        Way::Smtp(smtp) => (one_line(&smtp.subject.write(&context)?), smtp.body.write(&context)?),
    };
    let subject = if is_test { format!("[test] {subject}") } else { subject };
    Ok(Message { id: format!("{}.{}", event.id, channel.name), at, subject, body: body.into(), is_test })
}

/// Refuses a body that says it is JSON and is not.
fn check_json(headers: &HeaderMap, body: &str, template: &Template) -> Result<(), BadTemplate> {
    let content = headers.get(CONTENT_TYPE).and_then(|content| content.to_str().ok()).unwrap_or_default();
    let content = content.split(';').next().unwrap_or_default().trim();
    if content != "application/json" && !content.ends_with("+json") {
        return Ok(());
    }
    serde_json::from_str::<IgnoredAny>(body).map(|_json| ()).map_err(|error| {
        let hint = "a text needs the filter tojson, as in {\"title\": {{ drop.title | tojson }}}";
        template.wrong(format!("writes what is no JSON ({error}): {hint}"))
    })
}

/// The text in one line, as a header needs it.
fn one_line(text: &str) -> String {
    let plain: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    plain.trim().to_owned()
}
