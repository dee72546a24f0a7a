//! Holds, refusals and times on the wire.

use stockade_engine::answer::{HoldView, LimitHit, Outcome, Refusal, RefusedLine};
use stockade_proto as pb;
use stockade_types::definition::{Definition, Scope};
use stockade_types::hold::{Hold, HoldLine, HoldState, Pinned};
use stockade_types::ids::IdentityKind;
use stockade_types::time::{Millis, Timestamp};

use super::rules_view::money_view;

/// The default kind of subject of a limit. No identity may have this kind.
pub(super) const CUSTOMER: &str = "customer";
/// The end of the year 9999, the last instant on the wire.
const LAST: Timestamp = Timestamp(253_402_300_799_999);
/// The longest duration on the wire: 10,000 years.
pub(super) const DURATION_MAX: Millis = Millis(315_576_000_000_000);

/// An instant, at most `LAST`.
#[must_use]
pub fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    let (seconds, nanos) = split(at.min(LAST).0);
    prost_types::Timestamp { seconds, nanos }
}

/// A duration, at most `DURATION_MAX`.
#[must_use]
pub(super) fn duration(span: Millis) -> prost_types::Duration {
    let (seconds, nanos) = split(span.min(DURATION_MAX).0);
    prost_types::Duration { seconds, nanos }
}

fn split(millis: u64) -> (i64, i32) {
    let nanos = millis.checked_rem(1000).unwrap_or(0).saturating_mul(1_000_000);
    (i64::try_from(millis / 1000).unwrap_or(i64::MAX), i32::try_from(nanos).unwrap_or(0))
}

/// A hold with the names of its drop, items and pools.
#[must_use]
pub fn hold(view: &HoldView) -> pb::Hold {
    let HoldView { hold, definition } = view;
    hold_in(definition, hold)
}

/// As [`hold`], from its parts.
#[must_use]
pub(super) fn hold_in(definition: &Definition, hold: &Hold) -> pb::Hold {
    let claimed = hold.state == HoldState::Claimed;
    pb::Hold {
        id: hold.id.to_string(),
        drop_id: definition.id.to_string(),
        state: i32::from(hold.state.number()),
        lines: hold.shown_lines().map(|line| hold_line(definition, line)).collect(),
        customer_id: hold.customer.to_string(),
        created_at: Some(timestamp(hold.created_at())),
        expires_at: Some(timestamp(hold.expires_at())),
        claimed_at: claimed.then(|| timestamp(hold.settled_at())),
        order_ref: hold.order_ref().map(ToString::to_string).unwrap_or_default(),
        revision: hold.revision.0,
        superseded_by: hold.superseded_by().map(|id| id.to_string()).unwrap_or_default(),
        source: pb::HoldSource::Unspecified.into(), // every hold is a reserve so far
    }
}

/// A line of a hold with the names of its item and pool, and what is pinned to it.
#[must_use]
pub(super) fn hold_line(definition: &Definition, line: HoldLine) -> pb::HoldLine {
    let Pinned { window, offer } = line.pinned;
    let names = &definition.rules.names;
    let offer = names.offer(offer);
    pb::HoldLine {
        sku: definition.sku(line.item).to_string(),
        pool: definition.pool(line.item, line.pool).to_string(),
        quantity: line.quantity,
        released: line.released,
        returned: line.returned,
        terms_id: offer.map(|(terms, _)| terms.to_string()).unwrap_or_default(),
        unit_price: offer.map(|(_, price)| money_view(price)),
        window: names.window(window).map(ToString::to_string).unwrap_or_default(),
    }
}

/// Whether a claimed hold was claimed in time.
#[must_use]
pub fn claim_mode(view: &HoldView) -> pb::ClaimMode {
    if view.hold.is_late() { pb::ClaimMode::LateFromFreeStock } else { pb::ClaimMode::OnTime }
}

/// A business refusal.
#[must_use]
pub fn refusal(refusal: &Refusal) -> pb::Refusal {
    let Refusal { reason, rule: _, sku, retry_after, may_come_back, lines, limit, hold: view } = refusal;
    pb::Refusal {
        reason: i32::from(reason.number()),
        sku: sku.as_ref().map(ToString::to_string).unwrap_or_default(),
        message: reason.message().to_owned(),
        retry_after: retry_after.map(duration),
        lines: lines.iter().map(refused_line).collect(),
        limit: limit.as_ref().map(limit_hit),
        hold: view.as_ref().map(hold),
        may_come_back: *may_come_back,
    }
}

/// Lines of a reserve that got fewer units than requested; none for a refusal.
#[must_use]
pub fn short_lines(outcome: &Outcome) -> Vec<pb::RefusedLine> {
    match outcome {
        Outcome::Hold(view) => view.short_lines().iter().map(refused_line).collect(),
        Outcome::Refused(_) => Vec::new(),
    }
}

fn refused_line(line: &RefusedLine) -> pb::RefusedLine {
    let RefusedLine { sku, reason, requested, available, pool } = line;
    pb::RefusedLine {
        sku: sku.to_string(),
        reason: i32::from(reason.number()),
        requested: *requested,
        available: *available,
        pool: pool.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

fn limit_hit(hit: &LimitHit) -> pb::LimitHit {
    let LimitHit { id, scope, identity_kind, max, used } = hit;
    pb::LimitHit {
        id: id.to_string(),
        scope: limit_scope(*scope).into(),
        identity_kind: kind_of_subject(identity_kind.as_ref()),
        max: *max,
        used: *used,
    }
}

/// The kind of subject that a limit counts: the customer, if no kind of identity is named.
#[must_use]
pub(super) fn kind_of_subject(kind: Option<&IdentityKind>) -> String {
    kind.map_or(CUSTOMER, IdentityKind::as_str).to_owned()
}

/// A limit's scope.
#[must_use]
pub(super) const fn limit_scope(scope: Scope) -> pb::LimitScope {
    match scope {
        Scope::Item => pb::LimitScope::Item,
        Scope::Drop => pb::LimitScope::Drop,
        Scope::Series => pb::LimitScope::Series,
        Scope::Shop => pb::LimitScope::Shop,
    }
}
