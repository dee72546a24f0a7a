//! Tables that are Markdown and aligned for a terminal.

use std::fmt::Write as _;

use stockade_drill::numbers::{grouped, whole};
use stockade_drill::tables::markdown;

use super::{Scale, Target};

/// All measurements as text.
#[must_use]
pub fn text(scale: &Scale) -> String {
    let mut text = format!("{}, {} cores", scale.at, scale.cores);
    if let Some(load) = scale.load_before {
        // Writing to a string never fails; the same below.
        let _written = write!(text, ", load average before {load:.2}");
    }
    text.push('\n');
    for (rows, heads) in [
        (holds(scale), HOLDS.as_slice()),
        (times(scale), TIMES.as_slice()),
        (drops(scale), DROPS.as_slice()),
        (connections(scale), CONNECTIONS.as_slice()),
        (scale.targets().iter().map(target).collect(), TARGETS.as_slice()),
    ] {
        if !rows.is_empty() {
            let _written = write!(text, "\n{}", markdown(heads, &rows));
        }
    }
    text
}

const HOLDS: [&str; 6] =
    ["live holds", "reserve + release, calls/s", "p99 ms", "in messages/s", "memory B", "snapshot B"];
const TIMES: [&str; 6] = ["live holds", "made/s", "snapshot s", "restart s", "with journal s", "memory B, restarted"];
const DROPS: [&str; 5] = ["drops", "reserves/s", "p99 ms", "idle, % of a core", "memory of a drop B"];
const CONNECTIONS: [&str; 5] = ["connections", "reserves/s", "p50 ms", "p99 ms", "memory of one B"];
const TARGETS: [&str; 4] = ["at 10,000,000 holds", "measured", "target", ""];

fn number(value: f64) -> String {
    grouped(whole(value))
}

fn holds(scale: &Scale) -> Vec<Vec<String>> {
    let row = |point: &super::holds::Point| {
        let (memory, snapshot) = (format!("{:.0}", point.memory), format!("{:.1}", point.snapshot));
        let p99 = format!("{:.2}", point.calls_p99_ms);
        vec![grouped(point.holds), number(point.calls), p99, number(point.messages), memory, snapshot]
    };
    scale.holds.iter().map(row).collect()
}

fn times(scale: &Scale) -> Vec<Vec<String>> {
    let row = |point: &super::holds::Point| {
        let seconds = [point.snapshot_took, point.restart, point.restart_with_journal].map(|took| format!("{took:.2}"));
        let mut row = vec![grouped(point.holds), number(point.made)];
        row.extend(seconds);
        row.push(format!("{:.0}", point.memory_recovered));
        row
    };
    scale.holds.iter().map(row).collect()
}

fn drops(scale: &Scale) -> Vec<Vec<String>> {
    let row = |point: &super::drops::Point| {
        let idle = format!("{:.2}", point.idle_cpu * 100.0);
        vec![grouped(point.drops), number(point.rate), format!("{:.2}", point.p99_ms), idle, number(point.memory)]
    };
    scale.drops.iter().map(row).collect()
}

fn connections(scale: &Scale) -> Vec<Vec<String>> {
    let row = |point: &super::connections::Point| {
        let [p50, p99] = [point.p50_ms, point.p99_ms].map(|value| format!("{value:.2}"));
        vec![grouped(point.connections), number(point.rate), p50, p99, number(point.memory)]
    };
    scale.connections.iter().map(row).collect()
}

fn target(target: &Target) -> Vec<String> {
    let Target { name, unit, value, most } = target;
    let verdict = if target.hit() { "hit" } else { "missed" };
    vec![(*name).to_owned(), format!("{value:.1} {unit}"), format!("at most {most} {unit}"), verdict.to_owned()]
}
