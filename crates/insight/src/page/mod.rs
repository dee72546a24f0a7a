//! What is shown of a report: a page of one file, two reports side by side, and CSV.
//!
//! A page needs nothing from outside and runs no script. Each picture has its figures in a table beside it. Pages are
//! bounded: of long lists the largest entries are shown, and how many are left out.

mod csv;
mod figure;
mod plot;
mod section;
#[cfg(test)]
mod tests;
mod words;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::report::Report;

pub use csv::{demand_csv, figures_csv};

use figure::{Figure, figures};

const STYLE: &str = include_str!("style.css");
/// Nothing is loaded, whatever is in a report.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The page of a report.
#[must_use]
pub fn report_page(report: &Report) -> String {
    let title = format!("Report of {}", report.drop_id);
    let body = html! {
        h1 { (title) }
        (about(report))
        @if !report.findings.is_empty() { (section::findings(report)) }
        (section::demand(report))
        (section::sell_through(report))
        (section::funnel(report))
        (section::shares(report))
        (section::money(report))
        (section::all_figures(&figures(report)))
    };
    page(&title, &body)
}

/// The figures that are known, and the shares, as lines of text for a terminal.
#[must_use]
pub fn figure_lines(report: &Report) -> Vec<String> {
    let mut lines = vec![format!(
        "{}: opened {}, measured {}, {}",
        report.drop_id,
        words::instant(report.opens_at),
        words::instant(report.as_of),
        if report.sale_over { "the sale is over" } else { "the sale goes on" }
    )];
    let mut part = "";
    for figure in figures(report) {
        let Some(value) = figure.value else { continue };
        if std::mem::replace(&mut part, figure.part) != figure.part {
            lines.push(String::new());
            lines.push(figure.part.to_owned());
        }
        lines.push(format!("  {:<44} {}", figure.label, value.shown()));
    }
    lines
}

/// Two reports side by side, with the difference of each figure.
#[must_use]
pub fn comparison_page(one: &Report, other: &Report) -> String {
    let title = format!("{} and {}", one.drop_id, other.drop_id);
    let pairs: Vec<(Figure, Figure)> = figures(one).into_iter().zip(figures(other)).collect();
    let body = html! {
        h1 { (title) }
        (about(one))
        (about(other))
        (section::comparison(&one.drop_id, &other.drop_id, &pairs))
    };
    page(&title, &body)
}

/// Of which drop, and as of when.
fn about(report: &Report) -> Markup {
    html! {
        p class="about" {
            strong { (report.drop_id) }
            @if !report.shop.is_empty() { " of shop " (report.shop) }
            @if !report.series.is_empty() { ", series " (report.series) }
            ", opened " (words::instant(report.opens_at)) ", measured " (words::instant(report.as_of)) ". "
            @if report.sale_over { "The sale is over." } @else { "The sale goes on: figures are so far." }
        }
    }
}

fn page(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { (body) } }
        }
    };
    page.into_string()
}
