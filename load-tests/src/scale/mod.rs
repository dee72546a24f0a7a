//! `load-tests scale`: cost against size. Live holds, drops and connections at growing numbers, on a server that is
//! started for each; as tables, JSON and plots.
//!
//! Load and server share the machine. Each size is measured once, on an empty folder. After every measurement the
//! server's stock must agree with what was acknowledged.

use std::path::{Path, PathBuf};
use std::time::Duration;

mod cycle;
mod stage;

mod holds;
mod drops;
mod connections;

mod tables;
mod plots;

use stockade_drill::Failure;
use stockade_drill::drive::Span;
use stockade_drill::numbers::{count, grouped};
use stockade_types::time::wall_clock;

use crate::flags::span;
use crate::kernel;
use crate::output::Output;
use crate::report;
use crate::server::Recipe;

/// The smallest number of holds that is measured.
const HOLDS_MIN: u64 = 10_000;
/// The number of holds that the targets are for.
const TARGET_HOLDS: u64 = 10_000_000;

/// The size that grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Row {
    /// Live holds.
    Holds,
    /// Drops.
    Drops,
    /// Connections.
    Connections,
}

/// What to measure, and for how long.
#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    recipe: Recipe,
    /// Rows to run, separated by commas; by default all
    #[arg(long, value_delimiter = ',', value_name = "ROW")]
    rows: Vec<Row>,
    /// The most live holds
    #[arg(long, default_value_t = 10_000_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=20_000_000))]
    most_holds: u64,
    /// The most drops
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000))]
    most_drops: u64,
    /// The most connections
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    most_connections: u64,
    /// How long each throughput is measured
    #[arg(long, default_value = "3s", value_parser = span, value_name = "SPAN")]
    measured: Duration,
    /// Where tables, JSON and plots go
    #[arg(long, default_value = "target/load-tests/scale", value_name = "DIR")]
    out: PathBuf,
}

impl Options {
    fn span(&self) -> Span {
        Span::of(self.measured)
    }

    fn wants(&self, row: Row) -> bool {
        self.rows.is_empty() || self.rows.contains(&row)
    }
}

/// The measurements.
#[derive(Debug, Default, serde::Serialize)]
pub struct Scale {
    /// When they began.
    pub at: String,
    /// Cores that load and server share.
    pub cores: u64,
    /// The machine's load average over the minute before: above 0, other processes were running.
    pub load_before: Option<f64>,
    /// By live holds.
    pub holds: Vec<holds::Point>,
    /// By drops.
    pub drops: Vec<drops::Point>,
    /// By connections.
    pub connections: Vec<connections::Point>,
}

/// A figure with a bound.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// The measured value.
    pub value: f64,
    /// The bound: at most this.
    pub most: f64,
}

impl Target {
    /// Whether the value is within the bound.
    #[must_use]
    pub fn hit(&self) -> bool {
        self.value <= self.most
    }
}

impl Scale {
    /// The targets for the greatest number of holds; none if fewer were measured.
    #[must_use]
    pub fn targets(&self) -> Vec<Target> {
        let Some(point) = self.holds.iter().find(|point| point.holds == TARGET_HOLDS) else { return Vec::new() };
        vec![
            Target { name: "memory of a live hold", unit: "bytes", value: point.memory, most: 160.0 },
            Target { name: "snapshot of a hold", unit: "bytes", value: point.snapshot, most: 100.0 },
            Target { name: "restart, snapshot and journal", unit: "s", value: point.restart_with_journal, most: 10.0 },
        ]
    }
}

/// Measures all rows, and writes the files after each size, so that an abort loses no results.
///
/// # Errors
/// When a size can't be measured, or a file can't be written.
pub async fn measure(options: &Options, output: &mut Output) -> Result<Scale, Failure> {
    let cores = std::thread::available_parallelism().map_or(0, |cores| count(cores.get()));
    let at = wall_clock().to_string();
    let mut scale = Scale { at, cores, load_before: kernel::load_average(), ..Scale::default() };
    if options.wants(Row::Holds) {
        for holds in holds::counts(HOLDS_MIN, options.most_holds) {
            output.line(&format!("{} holds", grouped(holds)));
            scale.holds.push(holds::measure(options, holds, output).await?);
            scale.write(&options.out)?;
        }
    }
    if options.wants(Row::Drops) {
        for drops in holds::counts(1, options.most_drops) {
            output.line(&format!("{} drops", grouped(drops)));
            scale.drops.push(drops::measure(options, drops, output).await?);
            scale.write(&options.out)?;
        }
    }
    if options.wants(Row::Connections) {
        for connections in holds::counts(1, options.most_connections) {
            output.line(&format!("{} connections", grouped(connections)));
            scale.connections.extend(connections::measure(options, connections, output).await?);
            scale.write(&options.out)?;
        }
    }
    Ok(scale)
}

impl Scale {
    /// The report as text, in Markdown tables.
    #[must_use]
    pub fn text(&self) -> String {
        tables::text(self)
    }

    fn write(&self, folder: &Path) -> Result<(), Failure> {
        let mut files = vec![("scale.json", report::json(self)?), ("scale.md", self.text())];
        files.extend(plots::files(self));
        report::write(folder, files.into_iter().map(|(name, text)| (name.to_owned(), text)))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
