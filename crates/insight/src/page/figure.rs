//! The figures of a report as a list: what the page's table, the comparison and the CSV have in common. The list is the
//! same for every report, so that two can be compared line by line; what is not known has no value.

use stockade_types::time::Millis;

use super::words;
use crate::report::Report;

/// A figure.
#[derive(Debug, Clone)]
pub(super) struct Figure {
    /// The part of the report to which it belongs.
    pub(super) part: &'static str,
    /// The field's name in the contract.
    pub(super) field: &'static str,
    /// As people say it.
    pub(super) label: &'static str,
    pub(super) value: Option<Value>,
}

/// The value of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    Count(u64),
    BasisPoints(u32),
    Span(Millis),
    /// From -100 to 100.
    Points(i32),
}

impl Value {
    /// With its unit, for people.
    pub(super) fn shown(self) -> String {
        match self {
            Self::Count(count) => words::count(count),
            Self::BasisPoints(points) => words::percent(i64::from(points)),
            Self::Span(span) => words::span(span),
            Self::Points(points) => points.to_string(),
        }
    }

    /// The unit, and the bare number in it.
    pub(super) fn plain(self) -> (&'static str, i128) {
        match self {
            Self::Count(count) => ("count", i128::from(count)),
            Self::BasisPoints(points) => ("basis_points", i128::from(points)),
            Self::Span(span) => ("milliseconds", i128::from(span.0)),
            Self::Points(points) => ("points", i128::from(points)),
        }
    }

    /// How much more another value of the same figure is.
    pub(super) fn difference(self, other: Self) -> String {
        let (_, own) = self.plain();
        let (_, others) = other.plain();
        let difference = others - own;
        let size = u64::try_from(difference.unsigned_abs()).unwrap_or(u64::MAX);
        let shown = match self {
            Self::Count(_) => words::count(size),
            Self::BasisPoints(_) => words::percent(i64::try_from(size).unwrap_or(i64::MAX)),
            Self::Span(_) => words::span(Millis(size)),
            Self::Points(_) => size.to_string(),
        };
        match difference {
            0 => "same".to_owned(),
            1.. => format!("+{shown}"),
            _ => format!("-{shown}"),
        }
    }
}

/// All figures, in the report's order.
pub(super) fn figures(report: &Report) -> Vec<Figure> {
    [sale(report), demand(report), holds(report), fairness(report), afterwards(report)].concat()
}

fn of(
    part: &'static str,
    figures: impl IntoIterator<Item = (&'static str, &'static str, Option<Value>)>,
) -> Vec<Figure> {
    figures.into_iter().map(|(field, label, value)| Figure { part, field, label, value }).collect()
}

fn sale(report: &Report) -> Vec<Figure> {
    let figures = [
        ("units_received", "Units received", Some(Value::Count(report.units_received))),
        ("units_claimed", "Units claimed", Some(Value::Count(report.units_claimed))),
        ("units_returned", "Units returned", Some(Value::Count(report.units_returned))),
        ("sell_through", "Sell-through", report.sell_through.map(Value::BasisPoints)),
        ("time_to_half", "Time to half", report.time_to_half.map(Value::Span)),
        ("time_to_sold_out", "Time to sold out", report.time_to_sold_out.map(Value::Span)),
        ("times_sold_out", "Times sold out", Some(Value::Count(u64::from(report.times_sold_out)))),
    ];
    of("sale", figures)
}

fn demand(report: &Report) -> Vec<Figure> {
    let figures = [
        ("requests", "Requests", report.requests.map(Value::Count)),
        ("units_asked", "Units asked for", report.units_asked.map(Value::Count)),
        ("refused", "Refused", report.refused.map(Value::Count)),
        ("customers", "Customers who asked", report.customers.map(Value::Count)),
        ("demand_to_stock", "Demand to stock", report.demand_to_stock.map(Value::BasisPoints)),
        ("peak_per_second", "Most requests in a second", report.peak_per_second.map(Value::Count)),
        ("demand_missing", "Counts lost of", report.demand_missing.map(Value::Span)),
    ];
    of("demand", figures)
}

fn holds(report: &Report) -> Vec<Figure> {
    let figures = [
        ("holds", "Holds", Some(Value::Count(report.holds))),
        ("holds_expired", "Holds expired", Some(Value::Count(report.holds_expired))),
        ("abandonment_rate", "Abandonment rate", report.abandonment_rate.map(Value::BasisPoints)),
        ("late_claims", "Late claims served", Some(Value::Count(report.late_claims))),
        ("late_claims_refused", "Late claims refused", report.late_claims_refused.map(Value::Count)),
        ("median_time_to_claim", "Median time to claim", report.median_time_to_claim.map(Value::Span)),
    ];
    of("holds", figures)
}

fn fairness(report: &Report) -> Vec<Figure> {
    let figures = [
        ("buyers", "Buyers", Some(Value::Count(report.buyers))),
        ("top_1_percent_share", "Share of the top 1 % of buyers", report.top_1_percent_share.map(Value::BasisPoints)),
        ("gini", "Gini coefficient", report.gini.map(Value::BasisPoints)),
        ("stopped_by_limits", "Requests stopped by limits", report.stopped_by_limits.map(Value::Count)),
    ];
    of("fairness", figures)
}

fn afterwards(report: &Report) -> Vec<Figure> {
    let figures = [
        ("orders", "Orders", Some(Value::Count(report.orders))),
        ("units_claimed_late", "Units claimed after the sale", Some(Value::Count(report.units_claimed_late))),
        ("repeat_fraction", "Repeat buyers", report.repeat_fraction.map(Value::BasisPoints)),
        ("return_rate", "Return rate", report.return_rate.map(Value::BasisPoints)),
        ("cancellation_rate", "Cancellation rate", report.cancellation_rate.map(Value::BasisPoints)),
        ("chargeback_rate", "Chargeback rate", report.chargeback_rate.map(Value::BasisPoints)),
        ("nps", "NPS", report.nps.map(Value::Points)),
        ("nps_answers", "NPS answers", Some(Value::Count(u64::from(report.nps_answers)))),
        ("support_contact_rate", "Support contacts by orders", report.support_contact_rate.map(Value::BasisPoints)),
    ];
    of("afterwards", figures)
}
