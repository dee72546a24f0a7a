//! Answers for people: holds, refusals and drops as short tables.

use std::time::Duration;

use super::output::{Output, table};
use crate::proto as pb;

/// What stands where there is nothing to say.
const NOTHING: &str = "-";

/// An instant as RFC 3339 in UTC.
pub fn instant(at: Option<&prost_types::Timestamp>) -> String {
    let shown = at.and_then(|at| jiff::Timestamp::new(at.seconds, at.nanos).ok());
    shown.map_or_else(|| NOTHING.to_owned(), |shown| shown.to_string())
}

/// A span as `5m`.
pub fn span(span: Option<&prost_types::Duration>) -> String {
    let shown = span.and_then(|span| {
        let nanos = u32::try_from(span.nanos).ok()?;
        Some(Duration::new(u64::try_from(span.seconds).ok()?, nanos))
    });
    shown.map_or_else(|| NOTHING.to_owned(), |shown| humantime::format_duration(shown).to_string())
}

/// An enum's value in short: `HOLD_STATE_HELD` of the prefix `HOLD_STATE_` is `HELD`.
fn short<'a>(name: &'a str, prefix: &str) -> &'a str {
    name.strip_prefix(prefix).unwrap_or(name)
}

fn or_nothing(text: &str) -> &str {
    if text.is_empty() { NOTHING } else { text }
}

/// A hold.
pub fn hold(output: &mut Output, hold: &pb::Hold) {
    let mut facts = table(&[]);
    facts.add_row(["hold", &hold.id]);
    facts.add_row(["state", short(hold.state().as_str_name(), "HOLD_STATE_")]);
    facts.add_row(["drop", &hold.drop_id]);
    facts.add_row(["customer", &hold.customer_id]);
    facts.add_row(["created", &instant(hold.created_at.as_ref())]);
    facts.add_row(["expires", &instant(hold.expires_at.as_ref())]);
    if hold.claimed_at.is_some() {
        facts.add_row(["claimed", &instant(hold.claimed_at.as_ref())]);
        facts.add_row(["order", or_nothing(&hold.order_ref)]);
    }
    facts.add_row(["revision", &hold.revision.to_string()]);
    output.table(facts);
    output.line("");
    let mut lines = table(&["sku", "pool", "quantity", "released", "returned"]);
    for line in &hold.lines {
        let [quantity, released, returned] = [line.quantity, line.released, line.returned].map(|n| n.to_string());
        lines.add_row([&line.sku, &line.pool, &quantity, &released, &returned]);
    }
    output.table(lines);
}

/// A refusal.
pub fn refusal(output: &mut Output, refusal: &pb::Refusal) {
    let reason = |reason: pb::RefusalReason| short(reason.as_str_name(), "REFUSAL_REASON_").to_owned();
    let sku = if refusal.sku.is_empty() { String::new() } else { format!(" ({})", refusal.sku) };
    output.line(&format!("refused: {}: {}{sku}", reason(refusal.reason()), refusal.message));
    if let Some(limit) = &refusal.limit {
        output.line(&format!("limit {}: {} of {} used", limit.id, limit.used, limit.max));
    }
    match &refusal.retry_after {
        Some(wait) => output.line(&format!("it may be worth asking again in {}", span(Some(wait)))),
        None => output.line("this is final, as far as is known"),
    }
    if !refusal.lines.is_empty() {
        let mut lines = table(&["sku", "reason", "requested", "available"]);
        for line in &refusal.lines {
            let [requested, available] = [line.requested, line.available].map(|n| n.to_string());
            lines.add_row([&line.sku, &reason(line.reason()), &requested, &available]);
        }
        output.table(lines);
    }
    if let Some(stands) = &refusal.hold {
        output.line("");
        hold(output, stands);
    }
}

/// A drop with its state and stock.
pub fn drop(output: &mut Output, drop: &pb::Drop) {
    let mut facts = table(&[]);
    facts.add_row(["drop", &drop.id]);
    facts.add_row(["title", or_nothing(&drop.title)]);
    facts.add_row(["shop", &drop.shop]);
    facts.add_row(["state", short(drop.state().as_str_name(), "DROP_STATE_")]);
    facts.add_row(["opens", &instant(drop.opens_at.as_ref())]);
    facts.add_row(["closes", &instant(drop.closes_at.as_ref())]);
    facts.add_row(["hold_ttl", &span(drop.hold_ttl.as_ref())]);
    facts.add_row(["max_hold_life", &span(drop.max_hold_life.as_ref())]);
    facts.add_row(["revision", &drop.revision.to_string()]);
    output.table(facts);
    output.line("");
    output.table(stock(drop));
    if !drop.limits.is_empty() {
        output.line("");
        output.table(limits(drop));
    }
}

fn stock(drop: &pb::Drop) -> comfy_table::Table {
    let mut rows = table(&["sku", "received", "free", "held", "claimed", "withdrawn"]);
    for item in &drop.items {
        let stock = item.stock.unwrap_or_default();
        let units =
            [stock.received, stock.free, stock.held.saturating_add(stock.paying), stock.claimed, stock.withdrawn];
        rows.add_row([item.sku.clone()].into_iter().chain(units.map(|units| units.to_string())));
    }
    rows
}

fn limits(drop: &pb::Drop) -> comfy_table::Table {
    let mut rows = table(&["limit", "scope", "max_units"]);
    for limit in &drop.limits {
        let most = limit.max_units.map_or_else(|| NOTHING.to_owned(), |units| units.to_string());
        rows.add_row([&limit.id, short(limit.scope().as_str_name(), "LIMIT_SCOPE_"), &most]);
    }
    rows
}

/// Who may buy what when.
pub fn timeline(output: &mut Output, drop: &pb::Drop) {
    let goods: Vec<_> = drop.items.iter().map(|item| format!("{} of {}", item.quantity, item.sku)).collect();
    let mut rows = table(&["when", "what"]);
    rows.add_row([instant(drop.opens_at.as_ref()), format!("opens: everyone may reserve {}", goods.join(", "))]);
    let ttl = span(drop.hold_ttl.as_ref());
    rows.add_row([
        "from then on".to_owned(),
        format!("a hold lives {ttl}, {} at most", span(drop.max_hold_life.as_ref())),
    ]);
    for limit in &drop.limits {
        let scope = short(limit.scope().as_str_name(), "LIMIT_SCOPE_").to_ascii_lowercase();
        let most = limit.max_units();
        rows.add_row([
            "all the time".to_owned(),
            format!("{}: at most {most} for a customer in each {scope}", limit.id),
        ]);
    }
    match &drop.closes_at {
        Some(at) => rows.add_row([instant(Some(at)), "closes: live holds can still be claimed".to_owned()]),
        None => rows.add_row([NOTHING.to_owned(), "never closes by itself".to_owned()]),
    };
    output.table(rows);
}
