//! The plots: cost on the vertical axis, size on a logarithmic horizontal one, each in a file of its own.

use std::fmt::Write as _;

use stockade_drill::numbers::real;

use super::Scale;
use crate::report::svg::{Line, Plot, escaped};

/// The styles that the HTML report would supply, for a stand-alone plot. The background is white, so that it is
/// readable on any page.
const STYLE: &str = "<style>svg{background:#fff;font:12px system-ui,sans-serif}text{fill:#66737f}\
    .up{text-anchor:end}.across{text-anchor:middle}.grid{stroke:#d8dee4}path{fill:none;stroke-width:2}\
    .blue{stroke:#1f6feb}.orange{stroke:#d9730d}.green{stroke:#1a7f37}\
    text.blue{fill:#1f6feb;stroke:none}text.orange{fill:#d9730d;stroke:none}text.green{fill:#1a7f37;stroke:none}</style>";
/// Powers of ten on the horizontal axis.
const MARKS: [(f64, &str); 8] =
    [(0.0, "1"), (1.0, "10"), (2.0, "100"), (3.0, "1,000"), (4.0, "10⁴"), (5.0, "10⁵"), (6.0, "10⁶"), (7.0, "10⁷")];
/// Where the legend begins and the distance of its names.
const LEGEND: (f64, f64) = (80.0, 190.0);
const CLASSES: [&str; 3] = ["blue", "orange", "green"];

/// A file for each plot that has at least two sizes.
#[must_use]
pub fn files(scale: &Scale) -> Vec<(&'static str, String)> {
    let mut files = Vec::new();
    let holds: Vec<u64> = scale.holds.iter().map(|point| point.holds).collect();
    if holds.len() > 1 {
        let of = |value: fn(&super::holds::Point) -> f64| scale.holds.iter().map(value).collect::<Vec<f64>>();
        let rates = [("in calls", of(|p| p.calls)), ("in messages", of(|p| p.messages)), ("made", of(|p| p.made))];
        files.push(("holds-throughput.svg", plot(&holds, "live holds", &rates, true)));
        let bytes = [("memory, bytes a hold", of(|p| p.memory)), ("snapshot, bytes a hold", of(|p| p.snapshot))];
        files.push(("holds-bytes.svg", plot(&holds, "live holds", &bytes, false)));
        let seconds = [
            ("snapshot, s", of(|p| p.snapshot_took)),
            ("restart, s", of(|p| p.restart)),
            ("with a journal, s", of(|p| p.restart_with_journal)),
        ];
        files.push(("holds-seconds.svg", plot(&holds, "live holds", &seconds, true)));
    }
    let drops: Vec<u64> = scale.drops.iter().map(|point| point.drops).collect();
    if drops.len() > 1 {
        let rate = scale.drops.iter().map(|point| point.rate).collect();
        files.push(("drops.svg", plot(&drops, "drops", &[("reserves/s", rate)], false)));
    }
    let connections: Vec<u64> = scale.connections.iter().map(|point| point.connections).collect();
    if connections.len() > 1 {
        let of = |value: fn(&super::connections::Point) -> f64| scale.connections.iter().map(value).collect();
        let rate = [("reserves/s", of(|p| p.rate))];
        files.push(("connections.svg", plot(&connections, "connections", &rate, false)));
        let tail = [("p99, ms", of(|p| p.p99_ms)), ("p50, ms", of(|p| p.p50_ms))];
        files.push(("connections-latency.svg", plot(&connections, "connections", &tail, true)));
    }
    files
}

fn plot(sizes: &[u64], across: &str, lines: &[(&str, Vec<f64>)], by_tens: bool) -> String {
    let mut drawn = Vec::with_capacity(lines.len());
    for ((name, values), class) in lines.iter().zip(CLASSES) {
        let points = sizes.iter().map(|size| real((*size).max(1)).log10()).zip(values.iter().copied().map(Some));
        drawn.push(Line { name, class, points: points.collect() });
    }
    let marks = MARKS.map(|(at, text)| (at, text.to_owned())).to_vec();
    let plot = Plot { across, up: "", lines: drawn, marks, by_tens };
    let svg = plot.svg().replacen("<svg ", "<svg xmlns=\"http://www.w3.org/2000/svg\" ", 1);
    let mut head = format!(">{STYLE}");
    let mut at = LEGEND.0;
    for line in &plot.lines {
        // Writing to a string never fails.
        let _written = write!(head, "<text class=\"{}\" x=\"{at}\" y=\"11\">{}</text>", line.class, escaped(line.name));
        at += LEGEND.1;
    }
    format!("{}\n", svg.replacen('>', &head, 1))
}
