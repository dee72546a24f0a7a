//! Prints answers for people: holds, refusals and drops as short tables.

use std::collections::BTreeMap;
use std::time::Duration;

use stockade_proto as pb;

use super::output::{Output, table};
use super::timeline;
use crate::text::escaped;

pub(super) mod rules;

/// Shown if there is no value.
const NOTHING: &str = "-";

/// An instant as RFC 3339 in UTC, always with milliseconds, so that columns are aligned.
pub(super) fn instant(at: Option<&prost_types::Timestamp>) -> String {
    let shown = at.and_then(|at| jiff::Timestamp::new(at.seconds, at.nanos).ok());
    shown.map_or_else(|| NOTHING.to_owned(), |shown| format!("{shown:.3}"))
}

/// A duration such as `5m`.
pub(super) fn span(span: Option<&prost_types::Duration>) -> String {
    span.and_then(whole).map_or_else(|| NOTHING.to_owned(), |shown| humantime::format_duration(shown).to_string())
}

/// Above this a wait is shown in whole seconds, rounded up.
const EXACT: Duration = Duration::from_secs(10);

/// How long to wait.
pub(super) fn wait(span: &prost_types::Duration) -> String {
    let Some(exact) = whole(span) else { return NOTHING.to_owned() };
    let odd = exact > EXACT && exact.subsec_nanos() > 0;
    let shown = if odd { Duration::from_secs(exact.as_secs().saturating_add(1)) } else { exact };
    humantime::format_duration(shown).to_string()
}

fn whole(span: &prost_types::Duration) -> Option<Duration> {
    let nanos = u32::try_from(span.nanos).ok()?;
    Some(Duration::new(u64::try_from(span.seconds).ok()?, nanos))
}

/// The short name of an enum value: `HOLD_STATE_HELD` without the prefix `HOLD_STATE_` is `HELD`.
pub(super) fn short<'a>(name: &'a str, prefix: &str) -> &'a str {
    name.strip_prefix(prefix).unwrap_or(name)
}

fn or_nothing(text: &str) -> &str {
    if text.is_empty() { NOTHING } else { text }
}

/// Prints a hold.
pub(super) fn hold(output: &mut Output, hold: &pb::Hold) {
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
    if !hold.superseded_by.is_empty() {
        facts.add_row(["superseded_by", &hold.superseded_by]);
    }
    facts.add_row(["revision", &hold.revision.to_string()]);
    output.table(facts);
    output.line("");
    // Most drops have neither windows nor prices.
    let has_more = hold.lines.iter().any(|line| !line.window.is_empty() || line.unit_price.is_some());
    let more: &[&str] = if has_more { &["window", "terms", "unit_price"] } else { &[] };
    let mut lines = table(&[&["sku", "pool", "quantity", "released", "returned"], more].concat());
    for line in &hold.lines {
        let [quantity, released, returned] = [line.quantity, line.released, line.returned].map(|n| n.to_string());
        let price = rules::price(line.unit_price.as_ref());
        let pinned = [or_nothing(&line.window), or_nothing(&line.terms_id), &price];
        let first = [line.sku.as_str(), &line.pool, &quantity, &released, &returned];
        lines.add_row(first.into_iter().chain(pinned.into_iter().take(more.len())));
    }
    output.table(lines);
}

/// Prints the lines that got fewer units than requested.
pub(super) fn short_lines(output: &mut Output, lines: &[pb::RefusedLine]) {
    output.line("served short:");
    output.table(refused_lines(lines));
}

fn refused_lines(lines: &[pb::RefusedLine]) -> comfy_table::Table {
    let has_pools = lines.iter().any(|line| !line.pool.is_empty());
    let more: &[&str] = if has_pools { &["pool"] } else { &[] };
    let mut rows = table(&[&["sku", "reason", "requested", "available"], more].concat());
    for line in lines {
        let [requested, available] = [line.requested, line.available].map(|n| n.to_string());
        let first = [line.sku.as_str(), reason(line.reason()), &requested, &available];
        rows.add_row(first.into_iter().chain([or_nothing(&line.pool)].into_iter().take(more.len())));
    }
    rows
}

/// A reason by its name.
pub(super) fn reason(reason: pb::RefusalReason) -> &'static str {
    short(reason.as_str_name(), "REFUSAL_REASON_")
}

/// Prints a refusal.
pub(super) fn refusal(output: &mut Output, refusal: &pb::Refusal) {
    let sku = if refusal.sku.is_empty() { String::new() } else { format!(" ({})", refusal.sku) };
    output.line(&format!("refused: {}: {}{sku}", reason(refusal.reason()), escaped(&refusal.message)));
    if let Some(limit) = &refusal.limit {
        let by = if ["", "customer"].contains(&limit.identity_kind.as_str()) {
            String::new()
        } else {
            format!(" for this {}", limit.identity_kind)
        };
        let reason = refusal.reason();
        let word = if reason == pb::RefusalReason::TooManyHolds { "on hold" } else { "used" };
        output.line(&if reason == pb::RefusalReason::Cooldown {
            format!("limit {}: a cooldown{by}", limit.id)
        } else {
            format!("limit {}: {} of {} {word}{by}", limit.id, limit.used, limit.max)
        });
    }
    if let Some(advice) = advice(refusal) {
        output.line(&advice);
    }
    if !refusal.lines.is_empty() {
        output.table(refused_lines(&refusal.lines));
    }
    if let Some(stands) = &refusal.hold {
        output.line("");
        hold(output, stands);
    }
}

/// Whether and when it is worth asking again.
fn advice(refusal: &pb::Refusal) -> Option<String> {
    use pb::RefusalReason as Reason;
    if let Some(span) = &refusal.retry_after {
        return Some(format!("it may be worth asking again in {}", wait(span)));
    }
    let words = match refusal.reason() {
        Reason::Closed => "this is final",
        Reason::HoldReleased | Reason::Superseded | Reason::OrderMismatch | Reason::CeilingReached => {
            "this is final for this hold"
        }
        Reason::HoldClaimed => "it is a sale: units come back with stockade return",
        Reason::NotOpen => "try again when it opens",
        // The refusal of a late claim has no time.
        Reason::SoldOut if refusal.may_come_back => "units that others hold may come back",
        Reason::SoldOut => "this is final, as far as is known",
        Reason::Paused => "try again when it is resumed",
        Reason::TooManyHolds => "this is final: it is more than the limit allows on hold at once",
        Reason::LimitReached if refusal.limit.as_ref().is_some_and(|limit| limit.used > 0) => {
            "what this customer gives back, or lets expire, may be asked for again"
        }
        Reason::LimitReached => "this is final: it is more than the limit allows at all",
        Reason::HoldExpired => {
            "ask for the units under another hold id; where a payment has landed after the deadline, claim with --late"
        }
        Reason::PaymentInProgress => "try again when the payment is over, or give it up with --abandon-payment",
        Reason::NotEligible => "this is final for this customer, with these tiers and zones",
        Reason::SlotRequired => "reserve a pickup slot with the goods",
        Reason::Unspecified | Reason::NotAdmitted | Reason::Cooldown => return None,
    };
    Some(words.to_owned())
}

/// Prints a drop with its state and stock.
pub(super) fn drop(output: &mut Output, drop: &pb::Drop) {
    let mut facts = table(&[]);
    facts.add_row(["drop", &drop.id]);
    facts.add_row(["title", or_nothing(&escaped(&drop.title))]);
    facts.add_row(["shop", &drop.shop]);
    facts.add_row(["series", or_nothing(&drop.series)]);
    facts.add_row(["state", short(drop.state().as_str_name(), "DROP_STATE_")]);
    facts.add_row(["opens", &instant(drop.opens_at.as_ref())]);
    facts.add_row(["closes", &instant(drop.closes_at.as_ref())]);
    facts.add_row(["hold_ttl", &span(drop.hold_ttl.as_ref())]);
    facts.add_row(["max_hold_life", &span(drop.max_hold_life.as_ref())]);
    facts.add_row(["payment_ttl", &span(drop.payment_ttl.as_ref())]);
    facts.add_row(["revision", &drop.revision.to_string()]);
    output.table(facts);
    output.line("");
    output.table(stock(drop));
    if !drop.limits.is_empty() {
        output.line("");
        output.table(limits(drop));
    }
    if timeline::has_rules(drop) {
        output.line("");
        timeline::timeline(output, drop);
    }
}

/// Prints what may not be meant.
pub(super) fn warnings(output: &mut Output, warnings: &[pb::Warning]) {
    for pb::Warning { code, field, message } in warnings {
        output.complain(&format!("warning: {field}: {message} ({code})"));
    }
}

/// An item's stock in one line.
pub(super) fn stock_words(stock: &pb::Stock) -> String {
    let pb::Stock { received, free, held, paying, claimed, withdrawn, returned_total: _ } = stock;
    format!("received={received} free={free} held={held} paying={paying} claimed={claimed} withdrawn={withdrawn}")
}

fn stock(drop: &pb::Drop) -> comfy_table::Table {
    let states = ["received", "free", "held", "paying", "claimed", "withdrawn", "returned_total"];
    let mut rows = table(&[&["sku"], &states[..]].concat());
    let mut add = |name: String, stock: Option<pb::Stock>| {
        let pb::Stock { received, free, held, paying, claimed, withdrawn, returned_total } = stock.unwrap_or_default();
        let units = [received, free, held, paying, claimed, withdrawn, returned_total];
        rows.add_row([name].into_iter().chain(units.map(|units| units.to_string())));
    };
    for item in &drop.items {
        add(item.sku.clone(), item.stock);
        let pools = item.pools.iter().filter(|_| item.pools.len() > 1);
        pools.for_each(|pool| add(format!("  {}", pool.id), pool.stock));
    }
    rows
}

fn limits(drop: &pb::Drop) -> comfy_table::Table {
    let mut rows = table(&["limit", "counts", "scope", "bounds"]);
    for limit in &drop.limits {
        let scope = short(limit.scope().as_str_name(), "LIMIT_SCOPE_");
        let goods = if limit.skus.is_empty() { String::new() } else { format!(" of {}", limit.skus.join(", ")) };
        let bounds = bounds(limit).join("\n");
        rows.add_row([limit.id.clone(), subject(limit).to_owned(), format!("{scope}{goods}"), bounds]);
    }
    rows
}

/// What a limit counts by.
fn subject(limit: &pb::Limit) -> &str {
    if limit.identity_kind.is_empty() { "customer" } else { &limit.identity_kind }
}

/// The bounds of a limit, in words.
fn bounds(limit: &pb::Limit) -> Vec<String> {
    let counted = |most: u32, what: &str| {
        let many = if most == 1 { "" } else { "s" };
        format!("at most {most} {what}{many}")
    };
    let within = limit.rolling.as_ref().map(|span| format!(" within {}", self::span(Some(span)))).unwrap_or_default();
    let mut bounds = Vec::new();
    bounds.extend(limit.max_units.map(|most| format!("{}{within}", counted(most, "unit"))));
    let by_tier: BTreeMap<&String, &u32> = limit.max_units_by_tier.iter().collect();
    bounds.extend(by_tier.into_iter().map(|(tier, most)| format!("{tier}: {}{within}", counted(*most, "unit"))));
    bounds.extend(limit.max_live_units.map(|most| format!("{} on hold", counted(most, "unit"))));
    bounds.extend(limit.max_live_holds.map(|most| counted(most, "live hold")));
    bounds.extend(limit.cooldown.as_ref().map(|span| format!("{} between two reserves", self::span(Some(span)))));
    bounds
}

/// A limit in words.
pub(super) fn limit(limit: &pb::Limit) -> String {
    let goods = if limit.skus.is_empty() { String::new() } else { format!(" of {}", limit.skus.join(", ")) };
    let of_what = match limit.scope() {
        pb::LimitScope::Item => "of each item",
        pb::LimitScope::Unspecified | pb::LimitScope::Drop => "in this drop",
        pb::LimitScope::Series => "in this series",
        pb::LimitScope::Shop => "in this shop",
    };
    format!("{} for each {}{goods} {of_what}", bounds(limit).join(", "), subject(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(reason: pb::RefusalReason) -> pb::Refusal {
        pb::Refusal { reason: reason.into(), ..pb::Refusal::default() }
    }

    fn advice_for(refusal: &pb::Refusal) -> String {
        advice(refusal).expect("something to say")
    }

    #[test]
    fn final_is_said_only_where_it_is_true() {
        use pb::RefusalReason as Reason;
        let limit = |used| pb::Refusal {
            limit: Some(pb::LimitHit { max: 2, used, ..pb::LimitHit::default() }),
            ..refused(Reason::LimitReached)
        };
        let late = pb::Refusal { may_come_back: true, ..refused(Reason::SoldOut) };
        let soon = prost_types::Duration { seconds: 5, nanos: 0 };
        let later = pb::Refusal { retry_after: Some(soon), ..refused(Reason::SoldOut) };
        for no in [&refused(Reason::SoldOut), &refused(Reason::Closed), &limit(0), &refused(Reason::OrderMismatch)] {
            assert!(advice_for(no).contains("final"), "{no:?}");
        }
        for maybe in [&refused(Reason::Paused), &limit(1), &late, &later, &refused(Reason::PaymentInProgress)] {
            assert!(!advice_for(maybe).contains("final"), "{maybe:?}");
        }
        assert_eq!(advice_for(&refused(Reason::Paused)), "try again when it is resumed");
    }

    #[test]
    fn waits_are_rounded_up_and_instants_keep_their_milliseconds() {
        let table = [((299, 992_000_000), "5m"), ((10, 1), "11s"), ((9, 250_000_000), "9s 250ms"), ((30, 0), "30s")];
        for ((seconds, nanos), shown) in table {
            assert_eq!(wait(&prost_types::Duration { seconds, nanos }), shown);
        }
        let at = |nanos| instant(Some(&prost_types::Timestamp { seconds: 1_796_403_600, nanos }));
        assert_eq!(at(910_000_000), "2026-12-04T17:00:00.910Z");
        assert_eq!(at(0), "2026-12-04T17:00:00.000Z");
    }
}
