//! The report as one page. Its plots are embedded; it loads nothing.

use std::fmt::Write as _;

use stockade_drill::numbers::{grouped, real, whole};

use super::svg::{Line, Plot, bars, escaped};
use super::{CrowdReport, Report, VerbReport};
use crate::samples::Slice;

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1c2733; --dim: #66737f; --rule: #d8dee4; --paper: #fff;
  --blue: #1f6feb; --orange: #d9730d; --red: #cf222e; --green: #1a7f37; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --dim: #9aa7b4; --rule: #30363d; --paper: #0d1117;
  --blue: #58a6ff; --orange: #f0883e; --red: #ff7b72; --green: #3fb950; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 900px;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .3rem; }
.dim, .legend { color: var(--dim); } .legend { margin: 0; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: right; padding: .25rem .5rem;
  border-bottom: 1px solid var(--rule); font-variant-numeric: tabular-nums; }
th { font-weight: 600; color: var(--dim); } th:first-child, td:first-child { text-align: left; }
.verdict { padding: .4rem .8rem; border-left: 4px solid var(--green); } .verdict.amiss { border-color: var(--red); }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; } svg text { fill: var(--dim); }
text.up { text-anchor: end; } text.across { text-anchor: middle; }
.grid { stroke: var(--rule); } path { fill: none; stroke-width: 1.8; } .bar { fill: var(--blue); }
path.blue { stroke: var(--blue); } path.orange { stroke: var(--orange); } path.red { stroke: var(--red); }
path.green { stroke: var(--green); }
.key { display: inline-block; width: 1em; height: 3px; margin-right: .4em; vertical-align: middle; }
.key.blue { background: var(--blue); } .key.orange { background: var(--orange); } .key.red { background: var(--red); }
.key.green { background: var(--green); }
";

/// The page.
#[must_use]
pub fn page(report: &Report) -> String {
    let loop_name = if report.open_loop { "open loop, latencies from the scheduled instant" } else { "closed loop" };
    let mut body = format!(
        "<h1>{}</h1><p class=\"dim\">{} · {} · {loop_name} · {} connections · scale {} · seed {}</p>",
        escaped(&report.title),
        escaped(&report.scenario),
        escaped(&report.at),
        report.connections,
        report.scale,
        report.seed
    );
    let _written = write!(
        body,
        "<p>{} answers in {:.1} s: {} a second.</p>",
        grouped(report.latency.measured),
        report.took,
        grouped(whole(report.rate))
    );
    body.push_str(&audit(report));
    body.push_str(&verbs(&report.verbs));
    body.push_str(&crowds(&report.crowds));
    for (title, plot) in [
        ("Throughput over time", throughput(&report.slices)),
        ("Latency over time", latency(&report.slices)),
        ("Percentiles", curve(&report.curve)),
    ] {
        let _written = write!(body, "<h2>{title}</h2>{}{}", plot.legend(), plot.svg());
    }
    let served: Vec<(String, u64)> = report.served.iter().map(|(name, value)| (name.clone(), *value)).collect();
    if !served.is_empty() {
        let _written = write!(body, "<h2>Units by rule</h2>{}", bars(&served));
    }
    let refusals: Vec<(String, u64)> = report.refusals.iter().map(|(name, value)| (name.clone(), *value)).collect();
    if !refusals.is_empty() {
        let _written = write!(body, "<h2>Refusals by reason</h2>{}", bars(&refusals));
    }
    let failures: Vec<(String, u64)> = report.failures.iter().map(|(name, value)| (name.clone(), *value)).collect();
    if !failures.is_empty() {
        let _written = write!(body, "<h2>Requests without an answer</h2>{}", bars(&failures));
    }
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{}</title><style>{STYLE}</style></head><body>{body}</body></html>\n",
        escaped(&report.scenario)
    )
}

fn row(tag: &str, cells: impl IntoIterator<Item = String>) -> String {
    let mut row = "<tr>".to_owned();
    for cell in cells {
        let _written = write!(row, "<{tag}>{}</{tag}>", escaped(&cell));
    }
    row.push_str("</tr>");
    row
}

fn audit(report: &Report) -> String {
    let audit = &report.audit;
    let (class, verdict) = if audit.is_clean() {
        ("verdict", "The audit is clean.")
    } else {
        ("verdict amiss", "The audit is not clean.")
    };
    let mut text = format!(
        "<h2>Audit</h2><p class=\"{class}\">{verdict} {} answers and {} holds were checked; {} requests had no answer.</p>",
        grouped(audit.answers),
        grouped(audit.listed),
        grouped(audit.unanswered)
    );
    text.push_str("<table>");
    text.push_str(&row("th", audit.counts().map(|(name, _)| name.to_owned())));
    text.push_str(&row("td", audit.counts().map(|(_, counted)| grouped(counted))));
    text.push_str("</table>");
    for finding in &audit.findings {
        let _written = write!(text, "<p>{}</p>", escaped(finding));
    }
    text
}

fn verbs(verbs: &[VerbReport]) -> String {
    let names = ["", "done", "refused", "failed", "p50 ms", "p90", "p95", "p99", "p99.9", "p99.99", "max"];
    let mut text = format!("<h2>Calls</h2><table>{}", row("th", names.map(str::to_owned)));
    for VerbReport { verb, done, refused, failed, latency } in verbs {
        let mut cells = vec![verb.label().to_owned(), grouped(*done), grouped(*refused), grouped(*failed)];
        cells.extend(latency.percentiles.iter().map(|(_, value)| format!("{value:.2}")));
        cells.push(format!("{:.2}", latency.max));
        text.push_str(&row("td", cells));
    }
    text.push_str("</table>");
    text
}

fn crowds(crowds: &[CrowdReport]) -> String {
    let names = ["crowd", "got a hold", "units", "bought", "units", "released", "refusals"];
    let mut text = format!("<h2>Customers</h2><table>{}", row("th", names.map(str::to_owned)));
    for CrowdReport { name, held, units, claimed, bought, released, refused } in crowds {
        let counts = [held, units, claimed, bought, released, refused].map(|value| grouped(*value));
        text.push_str(&row("td", std::iter::once(name.clone()).chain(counts)));
    }
    text.push_str("</table>");
    text
}

/// Tick marks of a time axis in seconds.
fn seconds(slices: &[Slice]) -> Vec<(f64, String)> {
    let last = slices.last().map_or(0.0, |slice| slice.from);
    let step = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0].into_iter().find(|step| last / step <= 10.0);
    let step = step.unwrap_or(300.0);
    let mark = |number: u64| {
        let at = real(number) * step;
        (at, format!("{at:.1}").trim_end_matches(".0").to_owned())
    };
    (0..=whole((last / step).floor())).map(mark).collect()
}

type Reading = fn(&Slice) -> Option<f64>;

fn over_time<'a>(slices: &[Slice], lines: &[(&'a str, &'a str, Reading)]) -> Vec<Line<'a>> {
    let line = |(name, class, value): &(&'a str, &'a str, Reading)| Line {
        name,
        class,
        points: slices.iter().map(|slice| (slice.from, value(slice))).collect(),
    };
    lines.iter().map(line).collect()
}

fn throughput(slices: &[Slice]) -> Plot<'static> {
    let lines: [(&str, &str, Reading); 3] = [
        ("done", "blue", |slice| Some(slice.done)),
        ("refused", "orange", |slice| Some(slice.refused)),
        ("failed", "red", |slice| Some(slice.failed)),
    ];
    let lines = over_time(slices, &lines);
    Plot { across: "seconds", up: "answers a second", lines, marks: seconds(slices), by_tens: false }
}

fn latency(slices: &[Slice]) -> Plot<'static> {
    let lines: [(&str, &str, Reading); 3] = [
        ("p50", "blue", |slice| slice.p50),
        ("p99", "orange", |slice| slice.p99),
        ("longest", "red", |slice| slice.max),
    ];
    let lines = over_time(slices, &lines);
    Plot { across: "seconds, by when it was due", up: "milliseconds", lines, marks: seconds(slices), by_tens: true }
}

fn curve(curve: &[(f64, f64)]) -> Plot<'static> {
    // On this scale each further nine of a percentile takes the same space.
    let at = |percentile: f64| -(1.0 - percentile / 100.0).max(1e-12).log10();
    let points = curve.iter().map(|(percentile, value)| (at(*percentile), Some(*value))).collect();
    let lines = vec![Line { name: "all calls", class: "green", points }];
    let marks = ["0", "50", "90", "99", "99.9", "99.99", "99.999"];
    let marks = marks.iter().filter_map(|text| Some((at(text.parse().ok()?), (*text).to_owned()))).collect();
    Plot { across: "percentile", up: "milliseconds", lines, marks, by_tens: true }
}
