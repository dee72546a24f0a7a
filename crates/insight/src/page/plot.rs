//! Pictures: a line over time, and bars. Each has a title and a description, and its colors are the page's.

use maud::{Markup, html};
use stockade_types::time::Millis;

use super::words;
use crate::number::{count, float};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 220.0;
/// Room for the labels on the left and below.
const LEFT: f64 = 64.0;
const BELOW: f64 = 24.0;
const ABOVE: f64 = 16.0;
const BAR: f64 = 26.0;
/// Most points of a line: each is the highest of those that fall into it.
const POINTS_MAX: usize = 320;

/// A line over time.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// Distinct on the page.
    pub(super) id: &'a str,
    pub(super) title: &'a str,
    pub(super) description: String,
    /// By time after the opening.
    pub(super) points: Vec<(Millis, u64)>,
    /// A value for people.
    pub(super) shown: fn(u64) -> String,
}

/// A bar with its label.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) label: String,
    pub(super) value: u64,
    pub(super) shown: String,
}

/// Draws a line. Time runs to the right from the opening.
pub(super) fn line(line: &Line<'_>) -> Markup {
    // The last point is the beginning of a piece of time as long as the one before it.
    let last = line.points.last().map_or(0, |point| point.0.0);
    let before = line.points.iter().rev().nth(1).map_or(0, |point| point.0.0);
    let end = last.saturating_add(last.saturating_sub(before)).max(1);
    let highest = line.points.iter().map(|point| point.1).max().unwrap_or(0).max(1);
    let x = |at: Millis| LEFT + (WIDTH - LEFT - 8.0) * float(at.0) / float(end);
    let y = |value: u64| HEIGHT - BELOW - (HEIGHT - BELOW - ABOVE) * float(value) / float(highest);
    let path: Vec<String> =
        thinned(&line.points).into_iter().map(|(at, value)| format!("{:.1},{:.1}", x(at), y(value))).collect();
    let (bottom, middle) = (HEIGHT - BELOW, Millis(end / 2));
    let inner = html! {
        path class="axis" d=(format!("M{LEFT},{ABOVE}V{bottom}H{WIDTH}")) {}
        polyline class="path" points=(path.join(" ")) {}
        text x=(LEFT - 6.0) y=(ABOVE + 4.0) text-anchor="end" { ((line.shown)(highest)) }
        text x=(LEFT - 6.0) y=(bottom) text-anchor="end" { ((line.shown)(0)) }
        text x=(LEFT) y=(HEIGHT - 6.0) { "0" }
        text x=(x(middle)) y=(HEIGHT - 6.0) text-anchor="middle" { (words::span(middle)) }
        text x=(WIDTH - 8.0) y=(HEIGHT - 6.0) text-anchor="end" { (words::span(Millis(end))) }
    };
    frame(line.id, line.title, &line.description, HEIGHT, &inner)
}

/// Draws bars, one below the other.
pub(super) fn bars(id: &str, title: &str, bars: &[Bar]) -> Markup {
    let highest = bars.iter().map(|bar| bar.value).max().unwrap_or(0).max(1);
    let label_room = WIDTH * 0.3;
    let value_room = WIDTH * 0.2;
    let length = |value: u64| (WIDTH - label_room - value_room) * float(value) / float(highest);
    let height = BAR * float(crate::number::length(bars)) + 4.0;
    let description: Vec<String> = bars.iter().map(|bar| format!("{}: {}", bar.label, bar.shown)).collect();
    let inner = html! {
        @for (place, bar) in bars.iter().enumerate() {
            @let top = BAR * float(u64::try_from(place).unwrap_or(0));
            text x=(format!("{:.0}", label_room - 8.0)) y=(top + 18.0) text-anchor="end" { (short(&bar.label)) }
            rect class="bar" x=(format!("{label_room:.0}")) y=(top + 5.0) height=(BAR - 8.0)
                width=(format!("{:.1}", length(bar.value).max(1.0))) {}
            text x=(format!("{:.1}", label_room + length(bar.value) + 8.0)) y=(top + 18.0) { (bar.shown) }
        }
    };
    frame(id, title, &description.join(", "), height, &inner)
}

fn frame(id: &str, title: &str, description: &str, height: f64, inner: &Markup) -> Markup {
    let (title_id, description_id) = (format!("{id}-title"), format!("{id}-description"));
    html! {
        figure {
            figcaption { (title) }
            svg xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {WIDTH:.0} {height:.0}")) role="img"
            aria-labelledby=(format!("{title_id} {description_id}")) {
            title id=(title_id) { (title) }
            desc id=(description_id) { (description) }
            (inner)
            }
        }
    }
}

/// At most [`POINTS_MAX`] points, each the highest of its piece of the line, so that no peak is lost.
fn thinned(points: &[(Millis, u64)]) -> Vec<(Millis, u64)> {
    let piece = points.len().div_ceil(POINTS_MAX).max(1);
    points.chunks(piece).filter_map(|piece| piece.iter().copied().max_by_key(|point| point.1)).collect()
}

/// A label that fits beside a bar.
fn short(label: &str) -> String {
    const MAX: usize = 26;
    if label.chars().count() <= MAX {
        return label.to_owned();
    }
    label.chars().take(MAX - 1).chain(['…']).collect()
}

/// Percent from basis points, for an axis.
pub(super) fn percent(points: u64) -> String {
    format!("{} %", count(float(points) / 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thinned_line_keeps_its_peaks() {
        let mut points: Vec<(Millis, u64)> = (0..3_600).map(|second| (Millis(second * 1_000), 5)).collect();
        points[1_234].1 = 900;
        let thin = thinned(&points);
        assert!(thin.len() <= POINTS_MAX);
        assert!(thin.contains(&(Millis(1_234_000), 900)));
        assert_eq!(thinned(&points[..10]), points[..10]);
        assert_eq!(thinned(&[]), []);
    }

    #[test]
    fn long_labels_are_cut() {
        assert_eq!(short("general"), "general");
        assert_eq!(short(&"ä".repeat(40)).chars().count(), 26);
    }
}
