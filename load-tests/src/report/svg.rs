//! Plots as SVG: lines over an axis, and bars. No scripts, no external resources.

use std::fmt::Write as _;

use stockade_drill::numbers::{count, grouped, real, whole};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 260.0;
/// Margins of the plot area: left, right, top, bottom.
const MARGINS: (f64, f64, f64, f64) = (70.0, 16.0, 14.0, 40.0);
/// The height of a bar, including the gap to the next.
const BAR: f64 = 26.0;

/// A line of a plot.
pub struct Line<'a> {
    /// The name in the legend.
    pub name: &'a str,
    /// The CSS class that sets its color.
    pub class: &'a str,
    /// Its points; without a value where there is no measurement.
    pub points: Vec<(f64, Option<f64>)>,
}

/// A plot of lines.
pub struct Plot<'a> {
    /// The label of the horizontal axis.
    pub across: &'a str,
    /// The label of the vertical axis.
    pub up: &'a str,
    /// The lines.
    pub lines: Vec<Line<'a>>,
    /// Marks on the axis, with their text.
    pub marks: Vec<(f64, String)>,
    /// Whether the vertical axis is logarithmic.
    pub by_tens: bool,
}

/// Escapes a text for HTML.
#[must_use]
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A number as an axis label.
fn short(value: f64) -> String {
    if value >= 10.0 || value.abs() < f64::EPSILON { grouped(whole(value)) } else { format!("{value}") }
}

/// Round numbers from 0 to just above the highest value.
fn steps(most: f64) -> Vec<f64> {
    let rough = (most / 4.0).max(1e-6);
    let ten = 10.0_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * ten).into_iter().find(|step| *step >= rough).unwrap_or(ten);
    let needed = whole((most / step).ceil()).max(1);
    (0..=needed).map(|number| real(number) * step).collect()
}

/// The powers of ten that enclose the values.
fn tens(least: f64, most: f64) -> Vec<f64> {
    let (low, high) = (least.max(1e-3).log10().floor(), most.max(1e-3).log10().ceil());
    let needed = whole(high - low).max(1);
    (0..=needed).map(|number| 10.0_f64.powf(low + real(number))).collect()
}

impl Plot<'_> {
    /// The plot as SVG.
    #[must_use]
    pub fn svg(&self) -> String {
        let (left, right, top, bottom) = MARGINS;
        let values = || self.lines.iter().flat_map(|line| line.points.iter().filter_map(|(_, value)| *value));
        let positive = values().filter(|value| *value > 0.0);
        let (least, most) = (positive.fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
        let grid = if self.by_tens { tens(least.min(most), most) } else { steps(most) };
        let (bottom_value, top_value) = (grid.first().copied().unwrap_or(0.0), grid.last().copied().unwrap_or(1.0));
        let across = || self.lines.iter().flat_map(|line| line.points.iter().map(|(at, _)| *at));
        let (first, end) = (across().fold(f64::INFINITY, f64::min), across().fold(f64::NEG_INFINITY, f64::max));
        let x = |at: f64| left + (at - first) / (end - first).max(1e-9) * (WIDTH - left - right);
        let scale = |value: f64| if self.by_tens { value.max(bottom_value).log10() } else { value };
        let range = (scale(top_value) - scale(bottom_value)).max(1e-9);
        let y = |value: f64| HEIGHT - bottom - (scale(value) - scale(bottom_value)) / range * (HEIGHT - top - bottom);
        let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">");
        // Writing to a string never fails; the same below.
        for value in &grid {
            let (at, end, text) = (y(*value), WIDTH - right, short(*value));
            let _written = write!(
                svg,
                "<line class=\"grid\" x1=\"{left}\" x2=\"{end}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text class=\"up\" x=\"{:.1}\" y=\"{:.1}\">{text}</text>",
                left - 8.0,
                at + 4.0
            );
        }
        for (at, text) in self.marks.iter().filter(|(at, _)| (first..=end).contains(at)) {
            let _written = write!(
                svg,
                "<text class=\"across\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                x(*at),
                HEIGHT - bottom + 18.0,
                escaped(text)
            );
        }
        for line in &self.lines {
            let _written = write!(svg, "<path class=\"{}\" d=\"{}\"/>", line.class, path(&line.points, x, y));
        }
        let _written = write!(
            svg,
            "<text class=\"across\" x=\"{:.1}\" y=\"{:.1}\">{}</text></svg>",
            f64::midpoint(left, WIDTH - right),
            HEIGHT - 4.0,
            escaped(self.across)
        );
        svg
    }

    /// The names of the lines, with their colors.
    #[must_use]
    pub fn legend(&self) -> String {
        let name = |line: &Line<'_>| format!("<span class=\"key {}\"></span>{}", line.class, escaped(line.name));
        let names: Vec<String> = self.lines.iter().map(name).collect();
        format!("<p class=\"legend\">{} &nbsp; {}</p>", escaped(self.up), names.join(" &nbsp; "))
    }
}

/// A path through the points, interrupted at gaps.
fn path(points: &[(f64, Option<f64>)], x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64) -> String {
    let mut path = String::new();
    let mut drawing = false;
    for (at, value) in points {
        if let Some(value) = value {
            let _written = write!(path, "{}{:.1} {:.1}", if drawing { 'L' } else { 'M' }, x(*at), y(*value));
        }
        drawing = value.is_some();
    }
    path
}

/// Bars with their names and counts.
#[must_use]
pub fn bars(values: &[(String, u64)]) -> String {
    let most = real(values.iter().map(|(_, value)| *value).max().unwrap_or(1).max(1));
    let height = BAR * real(count(values.len())) + 4.0;
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">");
    for (row, (name, value)) in (0_u32..).zip(values) {
        let top = BAR * f64::from(row) + 4.0;
        let _written = write!(
            svg,
            "<text x=\"0\" y=\"{:.1}\">{}</text><rect class=\"bar\" x=\"220\" y=\"{top:.1}\" width=\"{:.1}\" height=\"18\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            top + 13.0,
            escaped(name),
            real(*value) / most * 480.0,
            228.0 + real(*value) / most * 480.0,
            top + 13.0,
            grouped(*value)
        );
    }
    svg.push_str("</svg>");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_numbers_that_hold_every_value() {
        assert_eq!(steps(87.0), [0.0, 50.0, 100.0]);
        assert_eq!(steps(0.9), [0.0, 0.5, 1.0]);
        assert_eq!(tens(0.3, 40.0), [0.1, 1.0, 10.0, 100.0]);
    }

    #[test]
    fn a_gap_is_a_gap_and_text_can_t_break_out() {
        let points = [(0.0, Some(1.0)), (1.0, Some(2.0)), (2.0, None), (3.0, Some(1.0))];
        assert_eq!(path(&points, |x| x, |y| y), "M0.0 1.0L1.0 2.0M3.0 1.0");
        assert!(bars(&[("<script>".to_owned(), 3)]).contains("&lt;script&gt;"));
    }
}
