//! Webhooks on the wire.

use stockade_feed::Filter;
use stockade_proto as pb;
use stockade_types::ids::{DefinedId, Lsn};
use stockade_types::time::Millis;
use stockade_types::webhook::{EventPatterns, Webhook};

use super::answer::{duration, timestamp};
use super::event_request::{event_filter, patterns};
use super::faults::{Faults, Rejection};
use super::fields::{enumeration, id, span};
use super::list;
use crate::text;
use crate::webhooks::address::Reach;
use crate::webhooks::signature::Secret;
use crate::webhooks::{Attempt, Shown};

/// Most bytes of a description.
const DESCRIPTION_BYTES_MAX: usize = 200;
/// The bounds and the default of `give_up_after`.
const GIVE_UP_MIN: Millis = Millis::from_secs(5);
const GIVE_UP_MAX: Millis = Millis::from_secs(3 * 24 * 60 * 60);
const GIVE_UP_USUAL: Millis = Millis::from_secs(24 * 60 * 60);
/// Most events of one delivery.
const BATCH_MAX: u32 = 100;
/// Most bytes of an encoded page.
const PAGE_BYTES: usize = 1024 * 1024;
/// The version of page tokens.
const TOKEN: &str = "1:";

/// What a caller says about a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookFields {
    /// Its id.
    pub id: DefinedId,
    /// Where deliveries go.
    pub url: String,
    /// Which events.
    pub filter: EventPatterns,
    /// Whether it is enabled.
    pub is_enabled: bool,
    /// What it is for.
    pub description: String,
    /// Whether events name customers, orders and actors.
    pub with_customers: bool,
    /// Whether events have stock figures.
    pub with_stock: bool,
    /// After how long an event is given up.
    pub give_up_after: Millis,
    /// Most events of one delivery.
    pub max_batch: u32,
    /// A cursor; empty if it is left out.
    pub delivered_to: String,
}

/// A request to change a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateWebhook {
    /// The webhook as it is to be.
    pub fields: WebhookFields,
    /// The revision that was read.
    pub base: Lsn,
    /// A new secret.
    pub new_secret: Option<Secret>,
    /// Whether deliveries begin anew at `delivered_to`.
    pub replay: bool,
}

/// Converts a request to create a webhook.
///
/// # Errors
/// All faulty fields.
pub fn create_webhook(
    request: &pb::CreateWebhookRequest,
    reach: Reach,
) -> Result<(WebhookFields, Option<Secret>), Rejection> {
    let pb::CreateWebhookRequest { webhook, secret } = request;
    let mut faults = Faults::default();
    let fields = fields(&mut faults, webhook.as_ref(), reach);
    let secret = optional_secret(&mut faults, "secret", secret);
    faults.finish(fields.map(|fields| (fields, secret)))
}

/// Converts a request to change a webhook.
///
/// # Errors
/// All faulty fields.
pub fn update_webhook(request: &pb::UpdateWebhookRequest, reach: Reach) -> Result<UpdateWebhook, Rejection> {
    let pb::UpdateWebhookRequest { webhook, revision, new_secret, replay } = request;
    let mut faults = Faults::default();
    let fields = fields(&mut faults, webhook.as_ref(), reach);
    if *revision == 0 {
        faults.invalid("revision", "must be the revision that was read");
    }
    if *replay && webhook.as_ref().is_some_and(|webhook| webhook.delivered_to.is_empty()) {
        faults.invalid("webhook.delivered_to", "must be the cursor after which events are delivered again");
    }
    let new_secret = optional_secret(&mut faults, "new_secret", new_secret);
    let (base, replay) = (Lsn(*revision), *replay);
    faults.finish(fields.map(|fields| UpdateWebhook { fields, base, new_secret, replay }))
}

/// The id of a webhook in a request about it.
///
/// # Errors
/// If it is none.
pub fn webhook_id(text: &str) -> Result<DefinedId, Rejection> {
    let mut faults = Faults::default();
    let id = id(&mut faults, "webhook_id", text);
    faults.finish(id)
}

/// Converts a request for a list of webhooks: the id after which it begins, and the most entries.
///
/// # Errors
/// All faulty fields.
pub fn list_webhooks(request: &pb::ListWebhooksRequest) -> Result<(Option<DefinedId>, usize), Rejection> {
    let pb::ListWebhooksRequest { page_size, page_token } = request;
    let mut faults = Faults::default();
    let size = list::page(&mut faults, *page_size);
    let after = list::token(&mut faults, page_token, |text| DefinedId::try_from(text.strip_prefix(TOKEN)?).ok());
    faults.finish(Some((after, size)))
}

/// The token of the page after this webhook.
#[must_use]
pub fn webhook_token(last: &str) -> String {
    format!("{TOKEN}{last}")
}

/// How many of these entries fit into a page; at least one.
#[must_use]
pub fn webhooks_that_fit(webhooks: &[pb::Webhook]) -> usize {
    let mut bytes = 0_usize;
    let fit = webhooks.iter().take_while(|webhook| {
        bytes = bytes.saturating_add(prost::Message::encoded_len(*webhook)).saturating_add(8);
        bytes <= PAGE_BYTES
    });
    fit.count().max(1)
}

/// The filter of these patterns. A pattern that no type fits any more adds nothing.
#[must_use]
pub fn filter_of(patterns: &EventPatterns) -> Filter {
    let EventPatterns { types, shop, series, drop, names, channels } = patterns;
    let (shop, series, drop) = (text_of(shop.as_ref()), text_of(series.as_ref()), text_of(drop.as_ref()));
    let (types, names, channels) = (types.clone(), names.clone(), channels.clone());
    let filter = pb::EventFilter { types, shop, series, drop_id: drop, names, channels };
    event_filter(&mut Faults::default(), "filter", Some(&filter))
}

fn text_of(id: Option<&impl ToString>) -> String {
    id.map(ToString::to_string).unwrap_or_default()
}

fn optional_secret(faults: &mut Faults, field: &str, text: &str) -> Option<Secret> {
    if text.is_empty() {
        return None;
    }
    let secret = Secret::parse(text);
    if let Err(bad) = &secret {
        faults.invalid(field, bad);
    }
    secret.ok()
}

fn fields(faults: &mut Faults, webhook: Option<&pb::Webhook>, reach: Reach) -> Option<WebhookFields> {
    let Some(webhook) = webhook else {
        faults.invalid("webhook", "must be set");
        return None;
    };
    // What the server alone sets is ignored, so that what was read can be sent back.
    let pb::Webhook {
        id: name,
        url,
        filter,
        state,
        description,
        delivered_to,
        last_success_at: _,
        failing_since: _,
        last_error: _,
        given_up: _,
        revision: _,
        with_customers,
        with_stock,
        give_up_after,
        max_batch,
        behind: _,
    } = webhook;
    let name = id(faults, "webhook.id", name);
    if let Err(bad) = reach.parse(url) {
        faults.invalid("webhook.url", bad);
    }
    event_filter(faults, "webhook.filter", filter.as_ref());
    let state = enumeration::<pb::WebhookState>(faults, "webhook.state", *state);
    if description.len() > DESCRIPTION_BYTES_MAX {
        faults.invalid("webhook.description", format_args!("must be at most {DESCRIPTION_BYTES_MAX} bytes"));
    } else if !text::is_plain(description) {
        faults.invalid("webhook.description", text::PLAIN);
    }
    let give_up_after = match give_up_after {
        None => Some(GIVE_UP_USUAL),
        some => span(faults, "webhook.give_up_after", some.as_ref()),
    };
    if give_up_after.is_some_and(|after| !(GIVE_UP_MIN..=GIVE_UP_MAX).contains(&after)) {
        faults.invalid("webhook.give_up_after", "must be 5s to 3 days");
    }
    if *max_batch > BATCH_MAX {
        faults.invalid("webhook.max_batch", format_args!("must be at most {BATCH_MAX}"));
    }
    Some(WebhookFields {
        id: name?,
        url: url.clone(),
        filter: patterns(filter.as_ref()),
        is_enabled: state? != pb::WebhookState::Disabled,
        description: description.clone(),
        with_customers: *with_customers,
        with_stock: *with_stock,
        give_up_after: give_up_after?,
        max_batch: (*max_batch).max(1),
        delivered_to: delivered_to.clone(),
    })
}

/// A webhook with what is known of its deliveries. `delivered_to` is a cursor.
#[must_use]
pub fn webhook_view(
    id: &DefinedId,
    revision: Lsn,
    webhook: &Webhook,
    (shown, delivered_to): (&Shown, String),
) -> pb::Webhook {
    let Webhook {
        url,
        filter,
        is_enabled,
        disabled_because,
        description,
        with_customers,
        with_stock,
        give_up_after,
        max_batch,
        secret: _,
        old_secret: _,
        start: _,
        era: _,
        since: _,
    } = webhook;
    let EventPatterns { types, shop, series, drop, names, channels } = filter;
    let filter = pb::EventFilter {
        types: types.clone(),
        shop: text_of(shop.as_ref()),
        series: text_of(series.as_ref()),
        drop_id: text_of(drop.as_ref()),
        names: names.clone(),
        channels: channels.clone(),
    };
    let state = if *is_enabled { pb::WebhookState::Enabled } else { pb::WebhookState::Disabled };
    let last_error = match (disabled_because.as_str(), shown.last_error.as_str()) {
        ("", error) => error.to_owned(),
        (why, "") => format!("disabled: {why}"),
        (why, error) => format!("disabled: {why}; {error}"),
    };
    pb::Webhook {
        id: id.to_string(),
        url: url.clone(),
        filter: Some(filter),
        state: state.into(),
        description: description.clone(),
        delivered_to,
        last_success_at: shown.last_success_at.map(timestamp),
        failing_since: shown.failing_since.map(timestamp),
        last_error,
        given_up: shown.given_up,
        revision: revision.0,
        with_customers: *with_customers,
        with_stock: *with_stock,
        give_up_after: Some(duration(*give_up_after)),
        max_batch: *max_batch,
        behind: shown.behind,
    }
}

/// An attempt to deliver.
#[must_use]
pub fn delivery_attempt(attempt: &Attempt) -> pb::DeliveryAttempt {
    let Attempt { at, event_id, events, status, error, took } = attempt;
    pb::DeliveryAttempt {
        time: Some(timestamp(*at)),
        event_id: event_id.clone(),
        events: u32::try_from(*events).unwrap_or(u32::MAX),
        http_status: u32::from(*status),
        error: error.clone(),
        took: prost_types::Duration::try_from(*took).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook() -> pb::Webhook {
        let filter = pb::EventFilter { types: vec!["hold.*".into()], ..pb::EventFilter::default() };
        pb::Webhook {
            id: "mailer".into(),
            url: "https://example.com/hook".into(),
            filter: Some(filter),
            ..pb::Webhook::default()
        }
    }

    fn faults(webhook: pb::Webhook, secret: &str) -> Vec<String> {
        let request = pb::CreateWebhookRequest { webhook: Some(webhook), secret: secret.into() };
        match create_webhook(&request, Reach::Public) {
            Err(Rejection::Invalid(violations)) => violations.into_iter().map(|violation| violation.field).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let request = pb::CreateWebhookRequest { webhook: Some(webhook()), secret: String::new() };
        let (fields, secret) = create_webhook(&request, Reach::Public).expect("a webhook");
        assert_eq!((fields.give_up_after, fields.max_batch, fields.is_enabled), (GIVE_UP_USUAL, 1, true));
        assert_eq!((secret, fields.delivered_to.as_str()), (None, ""));
        assert!(!filter_of(&fields.filter).fits_nothing());
    }

    #[test]
    fn all_faulty_fields_are_named_at_once() {
        let bad = pb::Webhook {
            id: "no slug".into(),
            url: "http://example.com/".into(),
            filter: Some(pb::EventFilter {
                types: vec!["hold".into()],
                shop: "!".into(),
                ..pb::EventFilter::default()
            }),
            state: 9,
            description: "x".repeat(201),
            give_up_after: Some(prost_types::Duration { seconds: 4, nanos: 0 }),
            max_batch: 101,
            ..pb::Webhook::default()
        };
        let wanted = [
            "webhook.id",
            "webhook.url",
            "webhook.filter.shop",
            "webhook.filter.types[0]",
            "webhook.state",
            "webhook.description",
            "webhook.give_up_after",
            "webhook.max_batch",
            "secret",
        ];
        assert_eq!(faults(bad, "whsec_short"), wanted);
        assert_eq!(faults(pb::Webhook { filter: None, ..webhook() }, ""), ["webhook.filter.types"]);
        let long = Some(prost_types::Duration { seconds: 3 * 24 * 60 * 60, nanos: 1_000_000 });
        assert_eq!(faults(pb::Webhook { give_up_after: long, ..webhook() }, ""), ["webhook.give_up_after"]);
        assert_eq!(faults(pb::Webhook { description: "\u{1b}".into(), ..webhook() }, ""), ["webhook.description"]);
        let request = pb::UpdateWebhookRequest { webhook: Some(webhook()), replay: true, ..Default::default() };
        let Err(Rejection::Invalid(violations)) = update_webhook(&request, Reach::Public) else { panic!("refused") };
        let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["revision", "webhook.delivered_to"]);
    }

    #[test]
    fn a_page_ends_before_it_is_too_long_and_has_one_entry_at_least() {
        let long = pb::Webhook { url: "x".repeat(600 * 1024), ..pb::Webhook::default() };
        assert_eq!(webhooks_that_fit(&[long.clone(), long.clone()]), 1);
        assert_eq!(webhooks_that_fit(&[webhook(), webhook(), long]), 3);
    }
}
