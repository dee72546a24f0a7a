//! Writes metrics as text, in the Prometheus format 0.0.4 or as `OpenMetrics` 1.0.

use std::borrow::Cow;
use std::fmt::Write as _;

use stockade_types::metrics::{DURATION_BOUNDS, HistogramReading};

/// The formats that a scraper may request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Prometheus text 0.0.4.
    Prometheus,
    /// `OpenMetrics` 1.0.
    OpenMetrics,
}

impl Format {
    /// The format that an `Accept` header requests: `OpenMetrics` if it is named with a quality of at least that of
    /// plain text.
    #[must_use]
    pub(super) fn accepted(accept: &str) -> Self {
        let quality = |wanted: &str| {
            let named = accept.split(',').filter_map(|range| {
                let (kind, parameters) = range.split_once(';').unwrap_or((range, ""));
                kind.trim().eq_ignore_ascii_case(wanted).then_some(parameters)
            });
            named.map(quality).fold(None, |best: Option<f64>, next| Some(best.map_or(next, |best| best.max(next))))
        };
        match (quality("application/openmetrics-text"), quality("text/plain")) {
            (Some(open), plain) if open > 0.0 && plain.is_none_or(|plain| plain <= open) => Self::OpenMetrics,
            (Some(_) | None, _) => Self::Prometheus,
        }
    }

    /// The content type of a page in this format.
    #[must_use]
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

fn quality(parameters: &str) -> f64 {
    let mut given = parameters.split(';').filter_map(|parameter| parameter.trim().strip_prefix("q="));
    given.find_map(|text| text.parse().ok()).unwrap_or(1.0)
}

/// The type of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations, in buckets.
    Histogram,
}

impl Kind {
    const fn label(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric with all its series.
#[derive(Debug, Clone)]
pub(super) struct Family {
    /// The name; for a counter without `_total`.
    pub name: &'static str,
    /// One sentence for the `HELP` line.
    pub help: &'static str,
    /// The type.
    pub kind: Kind,
    /// Its series.
    pub series: Vec<Series>,
}

/// A label with its value.
pub(super) type Label = (&'static str, Cow<'static, str>);

/// One series of a family.
#[derive(Debug, Clone)]
pub(super) struct Series {
    /// What distinguishes it from the other series.
    pub labels: Vec<Label>,
    /// The current value.
    pub value: Value,
}

/// The value of a series.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// A count.
    Whole(u64),
    /// A measure, in the unit that the name states.
    Real(f64),
    /// Durations.
    Durations(HistogramReading),
}

/// Writes a page of metrics.
#[must_use]
pub(super) fn write(families: &[Family], format: Format) -> String {
    let mut page = MetricsPage { text: String::with_capacity(16 * 1024), format };
    for family in families.iter().filter(|family| !family.series.is_empty()) {
        page.family(family);
    }
    if format == Format::OpenMetrics {
        page.text.push_str("# EOF\n");
    }
    page.text
}

struct MetricsPage {
    text: String,
    format: Format,
}

impl MetricsPage {
    fn family(&mut self, family: &Family) {
        let Family { name, help, kind, series } = family;
        let sample = match kind {
            Kind::Counter => Cow::Owned(format!("{name}_total")),
            Kind::Gauge | Kind::Histogram => Cow::Borrowed(*name),
        };
        // Prometheus describes a counter by its samples' name, `OpenMetrics` by its family's name.
        let described = match self.format {
            Format::Prometheus => &sample,
            Format::OpenMetrics => *name,
        };
        self.line(format_args!("# HELP {described} {help}"));
        self.line(format_args!("# TYPE {described} {}", kind.label()));
        for Series { labels, value } in series {
            match value {
                Value::Whole(number) => self.sample(&sample, labels, None, number),
                Value::Real(number) => self.sample(&sample, labels, None, number),
                Value::Durations(reading) => self.durations(name, labels, reading),
            }
        }
    }

    fn durations(&mut self, name: &str, labels: &[Label], reading: &HistogramReading) {
        let bucket = format!("{name}_bucket");
        let counts = reading.buckets.iter().copied().chain(std::iter::repeat(0));
        let mut count: u64 = 0;
        for (bound, inside) in DURATION_BOUNDS.iter().zip(counts) {
            count = count.saturating_add(inside);
            self.sample(&bucket, labels, Some(&seconds(*bound)), count);
        }
        count = reading.buckets.iter().copied().fold(0, u64::saturating_add);
        self.sample(&bucket, labels, Some("+Inf"), count);
        self.sample(&format!("{name}_sum"), labels, None, seconds(reading.nanos));
        self.sample(&format!("{name}_count"), labels, None, count);
    }

    fn sample(&mut self, name: &str, labels: &[Label], bound: Option<&str>, value: impl std::fmt::Display) {
        self.text.push_str(name);
        let bound = bound.map(|bound| ("le", bound));
        let all = labels.iter().map(|(label, value)| (*label, &**value)).chain(bound);
        let mut separator = '{';
        for (label, value) in all {
            self.text.push(separator);
            self.text.push_str(label);
            self.text.push_str("=\"");
            escape(&mut self.text, value);
            self.text.push('"');
            separator = ',';
        }
        if separator == ',' {
            self.text.push('}');
        }
        self.line(format_args!(" {value}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string can't fail.
        if writeln!(self.text, "{line}").is_err() {
            self.text.push('\n');
        }
    }
}

/// Nanoseconds as seconds, exactly. A float would show 0.0003 as 0.00030000000000000003.
fn seconds(nanos: u64) -> String {
    let text = format!("{}.{:09}", nanos / 1_000_000_000, nanos.checked_rem(1_000_000_000).unwrap_or(0));
    let short = text.trim_end_matches('0');
    if short.ends_with('.') { format!("{short}0") } else { short.to_owned() }
}

fn escape(text: &mut String, value: &str) {
    for letter in value.chars() {
        match letter {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            letter => text.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn families() -> Vec<Family> {
        let mut buckets = vec![0; DURATION_BOUNDS.len() + 1];
        (buckets[0], buckets[2], buckets[16]) = (2, 1, 4);
        let count = |labels, value| Series { labels, value };
        vec![
            Family {
                name: "cakes_eaten",
                help: "Cakes.",
                kind: Kind::Counter,
                series: vec![count(vec![("by", "a \"b\" \\ \n".into())], Value::Whole(3))],
            },
            Family { name: "empty", help: "Nothing.", kind: Kind::Gauge, series: vec![] },
            Family { name: "heat", help: "Heat.", kind: Kind::Gauge, series: vec![count(vec![], Value::Real(0.5))] },
            Family {
                name: "wait_seconds",
                help: "Waits.",
                kind: Kind::Histogram,
                series: vec![count(
                    vec![("for", "tea".into())],
                    Value::Durations(HistogramReading { buckets, nanos: 1_500_300_000 }),
                )],
            },
        ]
    }

    #[test]
    fn the_older_format_names_a_counter_by_its_samples() {
        let page = write(&families(), Format::Prometheus);
        assert!(
            page.starts_with(
                "# HELP cakes_eaten_total Cakes.\n# TYPE cakes_eaten_total counter\n\
             cakes_eaten_total{by=\"a \\\"b\\\" \\\\ \\n\"} 3\n# HELP heat Heat.\n# TYPE heat gauge\nheat 0.5\n"
            ),
            "{page}"
        );
        assert!(!page.contains("EOF") && !page.contains("empty"));
    }

    #[test]
    fn the_newer_format_names_a_counter_by_its_family_and_ends() {
        let page = write(&families(), Format::OpenMetrics);
        assert!(
            page.starts_with("# HELP cakes_eaten Cakes.\n# TYPE cakes_eaten counter\ncakes_eaten_total{"),
            "{page}"
        );
        assert!(page.ends_with("\n# EOF\n"));
    }

    #[test]
    fn buckets_are_cumulative_and_end_with_all() {
        let page = write(&families(), Format::Prometheus);
        for line in [
            "wait_seconds_bucket{for=\"tea\",le=\"0.00005\"} 2",
            "wait_seconds_bucket{for=\"tea\",le=\"0.0002\"} 3",
            "wait_seconds_bucket{for=\"tea\",le=\"5.0\"} 3",
            "wait_seconds_bucket{for=\"tea\",le=\"+Inf\"} 7",
            "wait_seconds_sum{for=\"tea\"} 1.5003",
            "wait_seconds_count{for=\"tea\"} 7",
        ] {
            assert!(page.contains(line), "{line} in {page}");
        }
    }

    #[test]
    fn a_scraper_gets_what_it_likes_best() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
        assert_eq!(Format::accepted("application/openmetrics-text"), Format::OpenMetrics);
        for plain in [
            "",
            "*/*",
            "text/html",
            "text/plain, application/openmetrics-text;q=0.1",
            "application/openmetrics-text;q=0",
        ] {
            assert_eq!(Format::accepted(plain), Format::Prometheus, "{plain}");
        }
    }
}
