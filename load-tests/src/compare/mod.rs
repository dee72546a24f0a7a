//! `load-tests compare`: Stockade and its peers do the same work alternately, in one run on one machine.
//!
//! Load and server share the machine. A pair is one run of Stockade and one of the peer, one right after the other;
//! which runs first changes from pair to pair. Every Stockade run begins with an empty data folder.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

mod crowd;
mod empty;
mod pairs;
mod readers;
mod rows;
mod stage;
mod tail;
mod work;

pub use empty::serve as serve_empty;
pub use readers::{ReadersOptions, read};

use stockade_drill::Failure;
use stockade_drill::drive::Span;
use stockade_drill::numbers::{grouped, whole};
use stockade_drill::tables::{columns, row};

use crate::flags::span;
use crate::output::Output;
use crate::server::Recipe;
use crate::statistics::Estimate;
use pairs::Arena;
use rows::{Kind, ROWS, Row};

/// What to compare, and for how long.
#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    recipe: Recipe,
    /// Rows to run, by name, separated by commas; by default all
    #[arg(long, value_delimiter = ',', value_name = "ROW")]
    rows: Vec<String>,
    /// Few and short pairs: shows that everything works, measures nothing
    #[arg(long)]
    pub quick: bool,
    /// Pairs of each row; 15, or 3 with --quick
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pairs: Option<u16>,
    /// How long each run is measured; 5s, or 1s with --quick
    #[arg(long, value_parser = span, value_name = "SPAN")]
    measured: Option<Duration>,
    /// Live holds for the rows of percentiles; 1000000, or 20000 with --quick
    #[arg(long)]
    holds: Option<u64>,
    /// Streams of readers for the row of readers; 10000, or 500 with --quick
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    streams: Option<u32>,
    /// Also write the result there, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

impl Options {
    fn pairs(&self) -> u16 {
        self.pairs.unwrap_or(if self.quick { 3 } else { 15 })
    }

    fn measured(&self) -> Duration {
        self.measured.unwrap_or(Duration::from_secs(if self.quick { 1 } else { 5 }))
    }

    fn holds(&self) -> u64 {
        self.holds.unwrap_or(if self.quick { 20_000 } else { 1_000_000 })
    }

    fn streams(&self) -> u32 {
        self.streams.unwrap_or(if self.quick { 500 } else { 10_000 })
    }

    fn span(&self) -> Span {
        Span::of(self.measured())
    }

    /// The rows to run.
    fn chosen(&self) -> Result<Vec<&'static Row>, Failure> {
        let known = |name: &String| ROWS.iter().any(|row| row.name == name);
        if let Some(unknown) = self.rows.iter().find(|name| !known(name)) {
            let names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
            return Err(Failure::Usage(format!("{unknown} is no row: there are {}", names.join(", "))));
        }
        let wanted = |row: &&Row| self.rows.is_empty() || self.rows.iter().any(|name| name == row.name);
        Ok(ROWS.iter().filter(wanted).collect())
    }
}

/// The bound of a ratio.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// At least this ratio, and at least this rate if there is one.
    AtLeast {
        /// The ratio.
        ratio: f64,
        /// The rate, in operations a second.
        rate: Option<f64>,
    },
    /// At most this ratio.
    AtMost {
        /// The ratio.
        ratio: f64,
    },
}

/// The result of a row.
#[derive(Debug, serde::Serialize)]
pub struct Compared {
    /// The row's name.
    pub row: &'static str,
    /// The work, and the peer.
    pub title: &'static str,
    /// The unit of the two values.
    pub unit: &'static str,
    /// The peer in its fastest configuration.
    pub peer: String,
    /// Stockade's median.
    pub stockade: f64,
    /// The peer's median.
    pub other: f64,
    /// The median over the runs of Stockade's 99th percentile, in milliseconds.
    pub stockade_p99_ms: f64,
    /// The same of the peer.
    pub other_p99_ms: f64,
    /// The ratio of Stockade to peer, pair by pair.
    pub pairs: Vec<f64>,
    /// The median of the ratios and its interval.
    pub ratio: Estimate,
    /// The bound of that median.
    pub goal: Goal,
}

impl Compared {
    /// Whether the medians reach the goal.
    #[must_use]
    pub fn hit(&self) -> bool {
        match self.goal {
            Goal::AtLeast { ratio, rate } => {
                self.ratio.median >= ratio && rate.is_none_or(|rate| self.stockade >= rate)
            }
            Goal::AtMost { ratio } => self.ratio.median <= ratio,
        }
    }

    /// Whether the interval includes values on the other side of the goal.
    #[must_use]
    pub fn is_close(&self) -> bool {
        let (Goal::AtLeast { ratio, rate: _ } | Goal::AtMost { ratio }) = self.goal;
        self.ratio.low <= ratio && ratio <= self.ratio.high
    }
}

/// The results of all rows.
#[derive(Debug, Default, serde::Serialize)]
pub struct Comparison {
    /// Rows that were run.
    pub rows: Vec<Compared>,
    /// Rows whose peer is not installed, and how to install it.
    pub skipped: Vec<(&'static str, String)>,
    /// Rows that could not be run to their end, and why.
    pub failed: Vec<(&'static str, String)>,
}

impl Comparison {
    /// Whether every row that has its peer was run.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.failed.is_empty()
    }

    /// Whether every row that has its peer was run and reaches its goal.
    #[must_use]
    pub fn hit(&self) -> bool {
        self.is_whole() && self.rows.iter().all(Compared::hit)
    }
}

/// Runs the chosen rows. A row that fails is reported, and the others go on.
///
/// # Errors
/// When there is no such row, or the first server does not start.
pub async fn compare(options: &Options, output: &mut Output) -> Result<Comparison, Failure> {
    let chosen = options.chosen()?;
    let mut arena = Arena::open(options).await?;
    let mut comparison = Comparison::default();
    for row in chosen {
        output.line(&format!("{}: {}", row.name, row.title));
        let compared = match row.kind {
            Kind::Rate { work: _, peers, least: _, floor: _ } if pairs::missing(peers).is_some() => {
                let why = pairs::missing(peers).unwrap_or_default();
                output.line(&format!("  left out: {why}"));
                comparison.skipped.push((row.name, why.to_owned()));
                continue;
            }
            Kind::Rate { work, peers, least, floor } => {
                let goal = Goal::AtLeast { ratio: least, rate: floor };
                pairs::compare(&mut arena, row, (work, peers), goal, output).await
            }
            Kind::Tail { beside, most } => tail::compare(&mut arena, row, (beside, most), output).await,
        };
        // The peers of this row are no longer needed, however the row ended.
        arena.clear();
        match compared {
            Ok(compared) => comparison.rows.push(compared),
            Err(failure) => {
                let why = failure.whole();
                output.line(&format!("  failed: {why}"));
                comparison.failed.push((row.name, why));
            }
        }
    }
    Ok(comparison)
}

/// The comparison as text.
#[must_use]
pub fn reported(comparison: &Comparison) -> String {
    let header = ["row", "Stockade", "peer", "at", "ratio", "interval", "target", ""];
    let mut rows = vec![row(header)];
    for compared in &comparison.rows {
        let value = |value: f64| match compared.goal {
            Goal::AtLeast { .. } => format!("{}/s", grouped(whole(value))),
            Goal::AtMost { .. } => format!("{value:.2} ms"),
        };
        let target = match compared.goal {
            Goal::AtLeast { ratio, rate: None } => format!("at least {ratio}"),
            Goal::AtLeast { ratio, rate: Some(rate) } => format!("at least {ratio} and {}/s", grouped(whole(rate))),
            Goal::AtMost { ratio } => format!("at most {ratio}"),
        };
        let verdict = if compared.hit() { "hit" } else { "MISSED" };
        let verdict = if compared.is_close() { format!("{verdict}, close") } else { verdict.to_owned() };
        let (ratio, interval) = (
            format!("{:.3}", compared.ratio.median),
            format!("{:.3} to {:.3}", compared.ratio.low, compared.ratio.high),
        );
        let (ours, theirs) = (value(compared.stockade), value(compared.other));
        rows.push(vec![compared.row.to_owned(), ours, compared.peer.clone(), theirs, ratio, interval, target, verdict]);
    }
    let mut text = columns(&rows);
    if let Some(first) = comparison.rows.first() {
        let (pairs, sure) = (first.pairs.len(), first.ratio.confidence * 100.0);
        // Writing to a string never fails; the same below.
        let _written = writeln!(
            text,
            "\nMedians over {pairs} alternating pairs; the interval is that of order statistics over the pairs' ratios, and \
             encloses the true median with {sure:.1} %. \"close\": the target is within it."
        );
    }
    for (row, why) in &comparison.skipped {
        let _written = writeln!(text, "{row} was left out: {why}");
    }
    for (row, why) in &comparison.failed {
        let _written = writeln!(text, "{row} FAILED: {why}");
    }
    text
}
