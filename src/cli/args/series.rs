//! The arguments of `stockade series`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Remote;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum SeriesCommand {
    /// Create or change a series from a YAML file
    #[command(after_help = "A file looks like this:\n\n  \
        kind: Series\n  id: friday-knives\n  title: Knives of {date}\n  time_zone: Europe/Berlin\n  \
        starts_at: 2026-12-04T18:00:00\n  rules: [\"RRULE:FREQ=WEEKLY;BYDAY=FR\"]\n  closes: {after_open: 2h}\n  \
        template:\n    items: [{sku: KNIFE/20cm, quantity: 300}]\n\n\
        The template has the keys of a drop's file, but for kind, id, shop, series, opens_at, closes_at and time_zone.\n\
        Drops that were made already follow a change, unless they have opened, have a hold, or were changed by hand;\n\
        with --keep they stay as they are.\n\n\
        Examples:\n  stockade series apply weekly.yaml --dry-run\n  stockade series apply weekly.yaml")]
    Apply(ApplySeriesOptions),
    /// Print the JSON Schema of a series' file
    #[command(after_help = "Example:\n  stockade series schema > series.schema.json")]
    Schema,
    /// List series
    #[command(after_help = "Examples:\n  stockade series list\n  stockade series list --shop default --json")]
    List(ListSeriesOptions),
    /// Show a series
    #[command(after_help = "Example:\n  stockade series show friday-knives")]
    Show(SeriesOptions),
    /// Show the next occurrences of a series
    #[command(after_help = "Examples:\n  stockade series preview friday-knives\n  \
        stockade series preview --file weekly.yaml --count 52")]
    Preview(PreviewOptions),
    /// Make no further drops for now
    #[command(after_help = "Example:\n  stockade series pause friday-knives\n\n\
        Occurrences that pass meanwhile are skipped. stockade series apply resumes with --resume.")]
    Pause(SeriesOptions),
    /// Make no further drops
    #[command(after_help = "Example:\n  stockade series end friday-knives")]
    End(SeriesOptions),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ApplySeriesOptions {
    /// The file
    pub file: PathBuf,
    /// Only check it, and show what would change
    #[arg(long)]
    pub dry_run: bool,
    /// Leave drops that were made already as they are
    #[arg(long)]
    pub keep: bool,
    /// Make drops again, if the series was paused or ended
    #[arg(long)]
    pub resume: bool,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ListSeriesOptions {
    /// Only this shop's
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub shop: String,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct SeriesOptions {
    /// The series' id
    pub series: String,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct PreviewOptions {
    /// The series' id
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    pub series: Option<String>,
    /// A file of a series, which need not be created
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// How many occurrences, at most 366
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub count: i32,
    #[command(flatten)]
    pub remote: Remote,
}
