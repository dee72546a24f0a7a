//! The parts of a page: pictures with their tables.

use std::collections::BTreeMap;

use maud::{Markup, html};
use stockade_types::definition::{Currency, Money};
use stockade_types::time::Millis;

use super::csv::{lists, state};
use super::figure::{Figure, Value};
use super::plot::{self, Bar, Line};
use super::words;
use crate::guardrail::FindingState;
use crate::number::basis_points;
use crate::report::{DemandBucket, MoneyLine, Report, Share};

/// Most lines of a table, and most bars of a picture.
const LINES_MAX: usize = 60;
const BARS_MAX: usize = 12;

/// Verdicts of guardrails, worst first.
pub(super) fn findings(report: &Report) -> Markup {
    let word = |state: FindingState| match state {
        FindingState::Ok => "in order",
        FindingState::TooFew => "too few orders",
        FindingState::Pending => "not settled",
        FindingState::Tripped => "tripped",
    };
    html! {
        section {
            h2 { "Guardrails" }
            table {
                caption { "Findings, worst first" }
                thead { tr { th scope="col" { "Guardrail" } th scope="col" { "State" } th scope="col" { "Finding" } } }
                tbody {
                    @for finding in report.findings.iter().take(LINES_MAX) {
                        tr {
                            th scope="row" { (finding.guardrail) }
                            td class=(state(finding.state)) { (word(finding.state)) }
                            td {
                                (finding.message)
                                @if !finding.tightened_drops.is_empty() {
                                    ". Tightened: " (finding.tightened_drops.join(", "))
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Requests over time: the first hour by second, then all by minute.
pub(super) fn demand(report: &Report) -> Markup {
    let seconds: Vec<(Millis, u64)> =
        since_open(report, |bucket| bucket.width < Millis(60_000), |bucket| bucket.requests);
    let minutes = by_minute(report, |bucket| bucket.requests);
    html! {
        section {
            h2 { "Demand" }
            @if report.demand.is_empty() {
                p class="note" { "Not known over time." }
            } @else {
                @if !seconds.is_empty() {
                    div {
                        (over_time("by-second", "Requests by second in the first hour", seconds.clone(), words::count))
                        (table_over_time("The busiest seconds", "Requests", &busiest(seconds), words::count))
                    }
                }
                @if !minutes.is_empty() {
                    div {
                        (over_time("by-minute", "Requests by minute", minutes.clone(), words::count))
                        (table_over_time("Requests by minute", "Requests", &minutes, words::count))
                    }
                }
            }
            @if !report.refused_by_reason.is_empty() { (refused(&report.refused_by_reason)) }
        }
    }
}

fn refused(reasons: &BTreeMap<String, u64>) -> Markup {
    html! {
        table {
            caption { "Refused by reason" }
            thead { tr { th scope="col" { "Reason" } th scope="col" class="number" { "Requests" } } }
            tbody {
                @for (reason, refused) in reasons.iter().take(LINES_MAX) {
                    tr { th scope="row" { (reason.replace('_', " ")) } td class="number" { (words::count(*refused)) } }
                }
            }
        }
    }
}

/// Units held since the opening, of units received.
pub(super) fn sell_through(report: &Report) -> Markup {
    let mut held: u64 = 0;
    let share = |(at, units): (Millis, u64)| {
        held = held.saturating_add(units);
        Some((at, u64::from(basis_points(u128::from(held), u128::from(report.units_received))?)))
    };
    let points: Vec<(Millis, u64)> =
        since_open(report, |_| true, |bucket| bucket.units_held).into_iter().filter_map(share).collect();
    html! {
        section {
            h2 { "Sell-through" }
            @if points.is_empty() {
                p class="note" { "Not known over time." }
            } @else {
                p class="note" { "Units put on hold since the opening, of units received. Units that came back and were held again count again." }
                div {
                    (over_time("held", "Units held so far, of units received", points.clone(), plot::percent))
                    (table_over_time("Units held so far", "Of units received", &points, plot::percent))
                }
            }
        }
    }
}

/// From asked to held to claimed.
pub(super) fn funnel(report: &Report) -> Markup {
    let steps = [("Requests", report.requests), ("Holds", Some(report.holds)), ("Orders", Some(report.orders))];
    let first = steps.iter().find_map(|step| step.1).unwrap_or(0);
    let of_first =
        |value: u64| basis_points(u128::from(value), u128::from(first)).map(|points| words::percent(i64::from(points)));
    let bars: Vec<Bar> = steps
        .into_iter()
        .filter_map(|(label, value)| Some(Bar { label: label.to_owned(), value: value?, shown: words::count(value?) }))
        .collect();
    html! {
        section {
            h2 { "From asked to claimed" }
            div {
                (plot::bars("funnel", "Requests, holds and orders", &bars))
                table {
                    caption { "Requests, holds and orders" }
                    thead {
                        tr {
                            th scope="col" { "Step" }
                            th scope="col" class="number" { "Count" }
                            th scope="col" class="number" { "Of the first" }
                        }
                    }
                    tbody {
                        @for bar in &bars {
                            tr {
                                th scope="row" { (bar.label) }
                                td class="number" { (bar.shown) }
                                td class="number" { (of_first(bar.value).unwrap_or_else(|| "not known".to_owned())) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Units claimed by tier, zone, window and pool.
pub(super) fn shares(report: &Report) -> Markup {
    html! {
        section {
            h2 { "Who got what" }
            @for (name, shares) in lists(report) {
                @if !shares.is_empty() {
                    @let title = format!("Units claimed {}", name.replace('_', " "));
                    div {
                        (plot::bars(name, &title, &share_bars(shares)))
                        (share_table(&title, shares))
                    }
                }
            }
        }
    }
}

fn share_bars(shares: &[Share]) -> Vec<Bar> {
    let bar = |share: &Share| Bar {
        label: named(&share.id),
        value: share.units,
        shown: words::percent(i64::from(share.basis_points)),
    };
    shares.iter().take(BARS_MAX).map(bar).collect()
}

fn share_table(title: &str, shares: &[Share]) -> Markup {
    let has_refused = shares.iter().any(|share| share.refused.is_some());
    html! {
        div class="table" tabindex="0" role="region" aria-label=(title) {
            table {
                caption { (title) (left_out(shares.len())) }
                thead {
                    tr {
                        th scope="col" { "Name" }
                        th scope="col" class="number" { "Units" }
                        th scope="col" class="number" { "Share" }
                        th scope="col" class="number" { "Buyers" }
                        @if has_refused { th scope="col" class="number" { "Refused" } }
                    }
                }
                tbody {
                    @for share in shares.iter().take(LINES_MAX) {
                        tr {
                            th scope="row" { (named(&share.id)) }
                            td class="number" { (words::count(share.units)) }
                            td class="number" { (words::percent(i64::from(share.basis_points))) }
                            td class="number" { (words::count(share.buyers)) }
                            @if has_refused {
                                td class="number" { (share.refused.map_or_else(|| "not known".to_owned(), words::count)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Revenue and cost, and their sums by currency.
pub(super) fn money(report: &Report) -> Markup {
    let mut lines: Vec<&MoneyLine> = report.money.iter().collect();
    lines.sort_by_key(|line| std::cmp::Reverse(line.revenue.minor_units));
    let shown = |amount: Option<Money>| amount.map_or_else(|| "not known".to_owned(), |amount| amount.shown());
    html! {
        @if !lines.is_empty() {
            section {
                h2 { "Money" }
                @for (currency, sum) in sums(&lines) {
                    p { "Revenue in all: " (sum.map_or_else(|| "does not fit".to_owned(), |minor_units| Money { currency, minor_units }.shown())) }
                }
                div class="table" tabindex="0" role="region" aria-label="Money" {
                    table {
                        caption { "Revenue and cost of units that were kept" (left_out(lines.len())) }
                        thead {
                            tr {
                                th scope="col" { "SKU" }
                                th scope="col" { "Terms" }
                                th scope="col" { "Tier" }
                                th scope="col" class="number" { "Units" }
                                th scope="col" class="number" { "Revenue" }
                                th scope="col" class="number" { "Cost" }
                            }
                        }
                        tbody {
                            @for line in lines.iter().take(LINES_MAX) {
                                tr {
                                    th scope="row" { (line.sku) }
                                    td { (named(&line.terms)) }
                                    td { (named(&line.tier)) }
                                    td class="number" { (words::count(line.units)) }
                                    td class="number" { (line.revenue.shown()) }
                                    td class="number" { (shown(line.cost)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Revenue by currency; nothing where the sum does not fit.
fn sums(lines: &[&MoneyLine]) -> BTreeMap<Currency, Option<i64>> {
    let mut sums = BTreeMap::new();
    for line in lines {
        let sum = sums.entry(line.revenue.currency).or_insert(Some(0_i64));
        *sum = sum.and_then(|sum| sum.checked_add(line.revenue.minor_units));
    }
    sums
}

/// All figures in one table.
pub(super) fn all_figures(figures: &[Figure]) -> Markup {
    html! {
        section {
            h2 { "All figures" }
            table {
                caption { "Figures by part of the report" }
                thead { tr { th scope="col" { "Figure" } th scope="col" { "Part" } th scope="col" class="number" { "Value" } } }
                tbody {
                    @for figure in figures {
                        tr {
                            th scope="row" { (figure.label) }
                            td { (figure.part) }
                            td class="number" { (value(figure)) }
                        }
                    }
                }
            }
        }
    }
}

/// Figures of two reports, with the difference of the second from the first.
pub(super) fn comparison(one: &str, other: &str, pairs: &[(Figure, Figure)]) -> Markup {
    html! {
        section {
            h2 { "Side by side" }
            table {
                caption { "Figures of both drops, and how the second differs from the first" }
                thead {
                    tr {
                        th scope="col" { "Figure" }
                        th scope="col" class="number" { (one) }
                        th scope="col" class="number" { (other) }
                        th scope="col" class="number" { "Difference" }
                    }
                }
                tbody {
                    @for (first, second) in pairs {
                        tr {
                            th scope="row" { (first.label) }
                            td class="number" { (value(first)) }
                            td class="number" { (value(second)) }
                            td class="number" {
                                @if let (Some(first), Some(second)) = (first.value, second.value) {
                                    (first.difference(second))
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn value(figure: &Figure) -> String {
    figure.value.map_or_else(|| "not known".to_owned(), Value::shown)
}

fn named(id: &str) -> String {
    if id.is_empty() { "(none)".to_owned() } else { id.to_owned() }
}

fn left_out(lines: usize) -> String {
    match lines.saturating_sub(LINES_MAX) {
        0 => String::new(),
        more => format!(" ({more} more are left out)"),
    }
}

fn over_time(id: &str, title: &str, points: Vec<(Millis, u64)>, shown: fn(u64) -> String) -> Markup {
    let highest = points.iter().copied().max_by_key(|point| point.1).unwrap_or_default();
    let end = points.last().map_or(Millis(0), |point| point.0);
    let description = format!(
        "The highest is {} at {} after the opening; the end is at {}",
        shown(highest.1),
        words::span(highest.0),
        words::span(end)
    );
    plot::line(&Line { id, title, description, points, shown })
}

/// A table of points over time; of more than fit, some at the same distance.
fn table_over_time(title: &str, unit: &str, points: &[(Millis, u64)], shown: fn(u64) -> String) -> Markup {
    let step = points.len().div_ceil(LINES_MAX).max(1);
    html! {
        div class="table" tabindex="0" role="region" aria-label=(title) {
            table {
                caption { (title) @if step > 1 { ", one of " (step) } }
                thead { tr { th scope="col" { "After the opening" } th scope="col" class="number" { (unit) } } }
                tbody {
                    @for (at, value) in points.iter().step_by(step) {
                        tr { th scope="row" { (words::span(*at)) } td class="number" { (shown(*value)) } }
                    }
                }
            }
        }
    }
}

/// The seconds with most, in the order of time.
fn busiest(mut points: Vec<(Millis, u64)>) -> Vec<(Millis, u64)> {
    const SHOWN: usize = 20;
    points.sort_by_key(|point| std::cmp::Reverse(point.1));
    points.truncate(SHOWN);
    points.sort_by_key(|point| point.0);
    points
}

/// Buckets from the opening on.
fn since_open(
    report: &Report,
    filter: impl Fn(&DemandBucket) -> bool,
    value: impl Fn(&DemandBucket) -> u64,
) -> Vec<(Millis, u64)> {
    let buckets = report.demand.iter().filter(|bucket| filter(bucket));
    buckets.filter_map(|bucket| Some((Millis(u64::try_from(bucket.after_open).ok()?), value(bucket)))).collect()
}

/// Buckets summed by minute from the opening on.
fn by_minute(report: &Report, value: impl Fn(&DemandBucket) -> u64) -> Vec<(Millis, u64)> {
    let mut minutes = BTreeMap::<u64, u64>::new();
    for (Millis(at), value) in since_open(report, |_| true, value) {
        let minute = minutes.entry(at / 60_000).or_default();
        *minute = minute.saturating_add(value);
    }
    minutes.into_iter().map(|(minute, value)| (Millis(minute.saturating_mul(60_000)), value)).collect()
}
