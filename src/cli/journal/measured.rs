//! Records of what is measured of drops, as facts with named fields.

use serde_json::{Map, Value, json};
use stockade_types::record::{DemandFact, DemandSums, DropTotals, Interval, ReportFact};
use stockade_types::refusal::Reason;

use super::fields::{Fact, time};

pub(super) fn totals(fact: Fact, totals: DropTotals) -> Fact {
    let DropTotals { made, expired, released, claimed, late, times_sold_out, sold_out_at } = totals;
    fact.with("made", made)
        .with("expired", expired)
        .with("released", released)
        .with("claimed", claimed)
        .with("late", late)
        .with("times_sold_out", times_sold_out)
        .with("sold_out_at", time(sold_out_at))
}

pub(super) fn demand(fact: Fact, demand: &DemandFact) -> Fact {
    let DemandFact { drop: _, at, sums, by_tier, registers, intervals } = demand;
    let DemandSums { served, refused, late_refused, units_asked, peak, uncounted } = sums;
    let by_tier: Map<String, Value> = by_tier.iter().map(|(tier, count)| (tier.to_string(), (*count).into())).collect();
    let refused: Map<String, Value> = Reason::ALL
        .into_iter()
        .zip(refused)
        .filter(|(_, count)| **count > 0)
        .map(|(reason, count)| (reason.label().to_owned(), (*count).into()))
        .collect();
    let interval = |interval: &Interval| json!([interval.begins, interval.requests, interval.units]);
    fact.with("at", time(*at))
        .with("served", *served)
        .with("refused", refused)
        .with("refused_by_tier", by_tier)
        .with("late_refused", *late_refused)
        .with("units_asked", *units_asked)
        .with("peak", *peak)
        .with("uncounted_ms", uncounted.0)
        .with("registers", registers.len())
        .with("intervals", intervals.iter().map(interval).collect::<Vec<_>>())
}

pub(super) fn report(fact: Fact, report: &ReportFact) -> Fact {
    let ReportFact { drop: _, id, shop, series, opens_at, at, part, bytes } = report;
    fact.with("id", id.to_string())
        .with("shop", shop.to_string())
        .with("series", series.as_ref().map(ToString::to_string))
        .with("opens_at", time(*opens_at))
        .with("at", time(*at))
        .with("part", part.label())
        .with("bytes", bytes.len())
}
