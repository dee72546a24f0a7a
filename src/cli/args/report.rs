//! The arguments of `stockade report`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Remote;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ReportCommand {
    /// Show what came of a drop; while it runs, so far.
    #[command(after_help = "Examples:\n  stockade report show knife-1204\n  \
        stockade report show knife-1204 --json\n\n\
        A figure that can't be known is left out.")]
    Show(ShowReportOptions),
    /// List recorded reports, the latest opening first.
    #[command(after_help = "Example:\n  stockade report list --shop kitchen --limit 20")]
    List(ListReportsOptions),
    /// Write a page with two reports side by side.
    #[command(after_help = "Example:\n  stockade report compare knife-1204 knife-1211 --out compared.html")]
    Compare(CompareReportsOptions),
    /// Write a report to a file: a page with plots, its figures or its demand as CSV.
    #[command(after_help = "Examples:\n  stockade report export knife-1204 --out report.html\n  \
        stockade report export knife-1204 --as demand --out demand.csv\n\n\
        The page is one file that needs nothing from outside.")]
    Export(ExportReportOptions),
}

/// What is written of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ReportForm {
    /// A page with plots.
    Page,
    /// Its figures as CSV, one a line.
    Figures,
    /// Its demand by interval as CSV.
    Demand,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ShowReportOptions {
    /// The drop
    #[arg(value_name = "DROP")]
    pub drop: String,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ListReportsOptions {
    /// The shop [default: default]
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub shop: String,
    /// Only drops of this series
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub series: String,
    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct CompareReportsOptions {
    /// A drop
    #[arg(value_name = "DROP")]
    pub one: String,
    /// Another
    #[arg(value_name = "OTHER")]
    pub other: String,
    /// The file to write; - for standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub out: PathBuf,
    /// The server's address
    #[arg(long, value_name = "URL", env = "STOCKADE_ENDPOINT", default_value = super::DEFAULT_ENDPOINT)]
    pub endpoint: String,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ExportReportOptions {
    /// The drop
    #[arg(value_name = "DROP")]
    pub drop: String,
    /// What to write
    #[arg(
        long = "as",
        value_enum,
        value_name = "page|figures|demand",
        default_value = "page",
        hide_possible_values = true
    )]
    pub form: ReportForm,
    /// The file to write; - for standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub out: PathBuf,
    /// The server's address
    #[arg(long, value_name = "URL", env = "STOCKADE_ENDPOINT", default_value = super::DEFAULT_ENDPOINT)]
    pub endpoint: String,
}
