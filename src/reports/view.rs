//! A report on the wire.

use stockade_insight::report::{DemandBucket, MoneyLine, Report, Share};
use stockade_proto as pb;
use stockade_types::definition::{Currency, Money};
use stockade_types::time::{Millis, Timestamp};

/// A report without findings.
pub(super) fn report(report: &Report) -> pb::DropReport {
    let text = ToOwned::to_owned;
    pb::DropReport {
        drop_id: report.drop_id.clone(),
        shop: report.shop.clone(),
        series: report.series.clone(),
        opens_at: Some(timestamp(report.opens_at)),
        sale_over: report.sale_over,
        as_of: Some(timestamp(report.as_of)),
        units_received: report.units_received,
        units_claimed: report.units_claimed,
        units_returned: report.units_returned,
        sell_through: report.sell_through,
        time_to_half: report.time_to_half.map(duration),
        time_to_sold_out: report.time_to_sold_out.map(duration),
        times_sold_out: report.times_sold_out,
        requests: report.requests,
        refused: report.refused,
        refused_by_reason: report.refused_by_reason.iter().map(|(reason, count)| (text(reason), *count)).collect(),
        customers: report.customers,
        demand_to_stock: report.demand_to_stock,
        peak_per_second: report.peak_per_second,
        demand: report.demand.iter().map(bucket).collect(),
        units_asked: report.units_asked,
        demand_missing: report.demand_missing.map(duration),
        holds: report.holds,
        holds_expired: report.holds_expired,
        abandonment_rate: report.abandonment_rate,
        late_claims: report.late_claims,
        late_claims_refused: report.late_claims_refused,
        median_time_to_claim: report.median_time_to_claim.map(duration),
        buyers: report.buyers,
        top_1_percent_share: report.top_1_percent_share,
        gini: report.gini,
        stopped_by_limits: report.stopped_by_limits,
        by_tier: report.by_tier.iter().map(share).collect(),
        by_zone: report.by_zone.iter().map(share).collect(),
        by_window: report.by_window.iter().map(share).collect(),
        by_pool: report.by_pool.iter().map(share).collect(),
        money: report.money.iter().map(money_line).collect(),
        repeat_fraction: report.repeat_fraction,
        return_rate: report.return_rate,
        cancellation_rate: report.cancellation_rate,
        chargeback_rate: report.chargeback_rate,
        nps: report.nps,
        nps_answers: report.nps_answers,
        support_contact_rate: report.support_contact_rate,
        orders: report.orders,
        units_claimed_late: report.units_claimed_late,
        findings: Vec::new(),
    }
}

/// Requests in a piece of time.
pub(super) fn bucket(bucket: &DemandBucket) -> pb::DemandBucket {
    let DemandBucket { after_open, width, requests, units_held } = *bucket;
    let nanos = i32::try_from(after_open.checked_rem(1_000).unwrap_or_default().saturating_mul(1_000_000));
    pb::DemandBucket {
        after_open: Some(prost_types::Duration { seconds: after_open / 1_000, nanos: nanos.unwrap_or_default() }),
        width: Some(duration(width)),
        requests,
        units_held,
    }
}

fn share(share: &Share) -> pb::Share {
    let Share { id, units, basis_points, buyers, refused } = share;
    pb::Share { id: id.clone(), units: *units, basis_points: *basis_points, buyers: *buyers, refused: *refused }
}

fn money_line(line: &MoneyLine) -> pb::MoneyLine {
    let MoneyLine { sku, terms, tier, units, revenue, cost } = line;
    pb::MoneyLine {
        sku: sku.clone(),
        terms: terms.clone(),
        tier: tier.clone(),
        units: *units,
        revenue: Some(money(*revenue)),
        cost: cost.map(money),
    }
}

fn money(money: Money) -> pb::Money {
    pb::Money { currency_code: money.currency.as_str().to_owned(), minor_units: money.minor_units }
}

/// A report that was on the wire, without findings.
#[must_use]
pub fn read_report(report: &pb::DropReport) -> Report {
    let pb::DropReport { by_tier, by_zone, by_window, by_pool, .. } = report;
    let shares = |shares: &[pb::Share]| shares.iter().map(read_share).collect();
    let span = |span: &Option<prost_types::Duration>| span.as_ref().map(read_duration);
    let instant = |at: &Option<prost_types::Timestamp>| at.as_ref().map(read_timestamp).unwrap_or_default();
    Report {
        drop_id: report.drop_id.clone(),
        shop: report.shop.clone(),
        series: report.series.clone(),
        opens_at: instant(&report.opens_at),
        sale_over: report.sale_over,
        as_of: instant(&report.as_of),
        units_received: report.units_received,
        units_claimed: report.units_claimed,
        units_returned: report.units_returned,
        sell_through: report.sell_through,
        time_to_half: span(&report.time_to_half),
        time_to_sold_out: span(&report.time_to_sold_out),
        times_sold_out: report.times_sold_out,
        requests: report.requests,
        refused: report.refused,
        refused_by_reason: report.refused_by_reason.clone().into_iter().collect(),
        customers: report.customers,
        demand_to_stock: report.demand_to_stock,
        peak_per_second: report.peak_per_second,
        demand: report.demand.iter().map(read_bucket).collect(),
        units_asked: report.units_asked,
        demand_missing: span(&report.demand_missing),
        holds: report.holds,
        holds_expired: report.holds_expired,
        abandonment_rate: report.abandonment_rate,
        late_claims: report.late_claims,
        late_claims_refused: report.late_claims_refused,
        median_time_to_claim: span(&report.median_time_to_claim),
        buyers: report.buyers,
        top_1_percent_share: report.top_1_percent_share,
        gini: report.gini,
        stopped_by_limits: report.stopped_by_limits,
        by_tier: shares(by_tier),
        by_zone: shares(by_zone),
        by_window: shares(by_window),
        by_pool: shares(by_pool),
        money: report.money.iter().filter_map(read_money_line).collect(),
        repeat_fraction: report.repeat_fraction,
        return_rate: report.return_rate,
        cancellation_rate: report.cancellation_rate,
        chargeback_rate: report.chargeback_rate,
        nps: report.nps,
        nps_answers: report.nps_answers,
        support_contact_rate: report.support_contact_rate,
        orders: report.orders,
        units_claimed_late: report.units_claimed_late,
        findings: Vec::new(),
    }
}

fn read_share(share: &pb::Share) -> Share {
    let pb::Share { id, units, basis_points, buyers, refused } = share;
    Share { id: id.clone(), units: *units, basis_points: *basis_points, buyers: *buyers, refused: *refused }
}

fn read_money_line(line: &pb::MoneyLine) -> Option<MoneyLine> {
    let pb::MoneyLine { sku, terms, tier, units, revenue, cost } = line;
    Some(MoneyLine {
        sku: sku.clone(),
        terms: terms.clone(),
        tier: tier.clone(),
        units: *units,
        revenue: read_money(revenue.as_ref()?)?,
        cost: cost.as_ref().and_then(read_money),
    })
}

fn read_money(money: &pb::Money) -> Option<Money> {
    Some(Money { currency: Currency::of(&money.currency_code)?, minor_units: money.minor_units })
}

fn read_bucket(bucket: &pb::DemandBucket) -> DemandBucket {
    let pb::DemandBucket { after_open, width, requests, units_held } = bucket;
    let millis = |span: &prost_types::Duration| {
        span.seconds.saturating_mul(1_000).saturating_add((span.nanos / 1_000_000).into())
    };
    DemandBucket {
        after_open: after_open.as_ref().map(millis).unwrap_or_default(),
        width: width.as_ref().map(read_duration).unwrap_or_default(),
        requests: *requests,
        units_held: *units_held,
    }
}

fn read_timestamp(at: &prost_types::Timestamp) -> Timestamp {
    Timestamp(joined(at.seconds, at.nanos))
}

fn read_duration(span: &prost_types::Duration) -> Millis {
    Millis(joined(span.seconds, span.nanos))
}

fn joined(seconds: i64, nanos: i32) -> u64 {
    let millis = u64::try_from(nanos / 1_000_000).unwrap_or_default();
    u64::try_from(seconds).unwrap_or_default().saturating_mul(1_000).saturating_add(millis)
}

fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    let (seconds, nanos) = split(at.0);
    prost_types::Timestamp { seconds, nanos }
}

fn duration(span: Millis) -> prost_types::Duration {
    let (seconds, nanos) = split(span.0);
    prost_types::Duration { seconds, nanos }
}

fn split(millis: u64) -> (i64, i32) {
    let nanos = millis.checked_rem(1_000).unwrap_or(0).saturating_mul(1_000_000);
    (i64::try_from(millis / 1_000).unwrap_or(i64::MAX), i32::try_from(nanos).unwrap_or(0))
}
