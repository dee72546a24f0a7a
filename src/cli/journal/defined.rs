//! Changes of what operators define by an id, other than drops, as facts with named fields.

use serde_json::{Value, json};
use stockade_types::calendar::stamp;
use stockade_types::definition::Named;
use stockade_types::record::{
    ChannelFact, ChannelProgress, DefinedFact, DefinedImage, DefinedKind, DefinedUpdate, DefinedVerb, Delivered,
    OccurrenceFact, OccurrenceVerb, Sent,
};
use stockade_types::series::{Guard, GuardKind, Series, drop_id};
use stockade_types::webhook::{EventPatterns, Progress, Webhook, WebhookProgress};

use super::fact::{by, template as template_of};
use super::fields::{Fact, hex, time};

/// A change of a definition, with the definition after it.
pub(super) fn defined(fact: &DefinedFact) -> Fact {
    let DefinedFact { verb, at, origin, image } = fact;
    let DefinedImage { kind, id, created_at, request, update, bytes } = image;
    let name = match (kind, verb) {
        (DefinedKind::Series, DefinedVerb::Create) => "series_created",
        (DefinedKind::Series, DefinedVerb::Update) => "series_updated",
        (DefinedKind::Series, DefinedVerb::Delete) => "series_deleted",
        (DefinedKind::Webhook, DefinedVerb::Create) => "webhook_created",
        (DefinedKind::Webhook, DefinedVerb::Update) => "webhook_updated",
        (DefinedKind::Webhook, DefinedVerb::Delete) => "webhook_deleted",
    };
    by(Fact::new(name).with("id", id.as_str()).with("at", time(*at)), origin)
        .with("created_at", time(*created_at))
        .with("request_digest", hex(request))
        .with("updated_from", update.map(|DefinedUpdate { base, .. }| base.0))
        .with("update_digest", update.map(|DefinedUpdate { request, .. }| hex(&request)))
        .with("definition", definition(*kind, bytes))
}

/// The definition by its kind. What is secret in one must not be shown.
fn definition(kind: DefinedKind, bytes: &[u8]) -> Value {
    match kind {
        DefinedKind::Series => Series::decode(bytes).map_or_else(|_bad| hex(bytes).into(), |known| series(&known)),
        DefinedKind::Webhook => webhook(bytes),
    }
}

fn series(series: &Series) -> Value {
    let Series {
        id: _,
        shop,
        title,
        state,
        time_zone,
        starts_at,
        rules,
        closes,
        template,
        create_ahead_days,
        guards,
        made_follow,
    } = series;
    let guard = |Guard { kind, skips }: &Guard| {
        let most = if let GuardKind::DropsAWeek(most) = kind { Some(*most) } else { None };
        json!({"kind": if most.is_some() { "max_drops_a_week" } else { "overlap" }, "max": most, "skips": skips})
    };
    json!({
        "shop": shop.as_str(), "title": title, "state": state.label(), "time_zone": time_zone, "starts_at": starts_at,
        "rules": rules, "closes": closes.map(closing), "create_ahead_days": create_ahead_days,
        "guards": guards.iter().map(guard).collect::<Value>(), "made_follow": made_follow,
        "template": template_of(template),
    })
}

fn closing(named: Named) -> Value {
    match named {
        Named::At(at) => json!({"at": time(at)}),
        Named::AfterOpening(span) => json!({"after_open_ms": span}),
        Named::BeforeClosing(span) => json!({"before_close_ms": span.0}),
        Named::Local { days, seconds } => json!({"days_after_open": days, "seconds": seconds}),
    }
}

/// What came of an occurrence of a series.
pub(super) fn occurrence(fact: &OccurrenceFact) -> Fact {
    let OccurrenceFact { series, shop, local, verb, at, origin, opens_at, by: revision, reason } = fact;
    let name = match verb {
        OccurrenceVerb::Create => "occurrence_created",
        OccurrenceVerb::Change => "occurrence_changed",
        OccurrenceVerb::Cancel => "occurrence_cancelled",
        OccurrenceVerb::Skip => "occurrence_skipped",
        OccurrenceVerb::Fail => "occurrence_failed",
    };
    let fact = Fact::new(name).with("series", series.as_str()).with("shop", shop.as_str());
    by(fact.with("local_time", stamp(*local)).with("drop_id", drop_id(series, *local).to_string()), origin)
        .with("at", time(*at))
        .with("opens_at", time(*opens_at))
        .with("series_revision", revision.0)
        .with("reason", reason.as_ref())
}

/// A webhook, without its secrets.
fn webhook(bytes: &[u8]) -> Value {
    let Ok(webhook) = Webhook::decode(bytes) else { return Value::Null };
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
        old_secret,
        start,
        era: _,
        since,
    } = webhook;
    let EventPatterns { types, shop, series, drop, names, channels } = filter;
    json!({
        "url": url,
        "types": types,
        "shop": shop.map(|id| id.to_string()),
        "series": series.map(|id| id.to_string()),
        "drop": drop.map(|id| id.to_string()),
        "names": names,
        "channels": channels,
        "enabled": is_enabled,
        "disabled_because": disabled_because,
        "description": description,
        "with_customers": with_customers,
        "with_stock": with_stock,
        "give_up_after_ms": give_up_after.0,
        "max_batch": max_batch,
        "secrets": if old_secret.is_some() { 2 } else { 1 },
        "start": start.lsn.0,
        "since": since.to_string(),
    })
}

/// How far deliveries of webhooks are.
pub(super) fn delivered(delivered: &Delivered) -> Fact {
    let Delivered { at, webhooks } = delivered;
    let entry = |entry: &WebhookProgress| {
        let WebhookProgress { webhook, created_at, progress } = entry;
        let Progress { delivered_to, era: _, last_success_at, failing_since, given_up, last_error } = progress;
        json!({
            "id": webhook.as_str(),
            "created_at": created_at.to_string(),
            "delivered_to": delivered_to.lsn.0,
            "last_success_at": last_success_at.map(|at| at.to_string()),
            "failing_since": failing_since.map(|at| at.to_string()),
            "given_up": given_up,
            "last_error": last_error,
        })
    };
    Fact::new("delivered").with("at", time(*at)).with("webhooks", webhooks.iter().map(entry).collect::<Vec<_>>())
}

/// How far the messages of a channel are.
pub(super) fn channel(fact: &ChannelFact) -> Fact {
    let ChannelFact { at, channel, progress } = fact;
    let shown = Fact::new("channel").with("at", time(*at)).with("id", channel.as_str());
    let Some(ChannelProgress { decided_to, sent }) = progress else { return shown.with("forgotten", true) };
    let entry = |Sent { audience, last_at, count }: &Sent| json!({"audience": hex(audience), "last_at": last_at.to_string(), "count": count});
    shown.with("decided_to", decided_to.lsn.0).with("sent", sent.iter().map(entry).collect::<Vec<_>>())
}
