//! The arguments of `stockade facts`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Remote;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum FactsCommand {
    /// Record the facts of a file: cancellations, chargebacks, returns, NPS, support contacts, views and interest.
    #[command(after_help = "Examples:\n  stockade facts import november.csv\n  \
        zcat views.ndjson.gz | stockade facts import - --format ndjson\n\n\
        A file is JSON ({\"facts\": [...]}), JSON lines (.ndjson, .jsonl) or CSV with a head line that names columns of\n\
        id, kind, time, shop, drop_id, order_ref, sku, zone, customer_id and value, such as:\n\n  \
        id,kind,time,drop_id,order_ref,value\n  \
        nps-17,nps,2026-12-05T10:00:00Z,knife-1204,A-1001,9\n\n\
        Each fact is recorded once by its id, so a file can be imported again. Faulty facts are printed with their line,\n\
        the others are recorded; the exit code is 1 then.")]
    Import(ImportOptions),
}

/// How a file of facts is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum FormatWord {
    /// One object with all facts.
    Json,
    /// One object a line.
    Ndjson,
    /// Values separated by commas, with a head line.
    Csv,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ImportOptions {
    /// The file; - for standard input
    pub file: PathBuf,
    /// How it is written [default: by the file's extension]
    #[arg(long, value_enum, value_name = "json|ndjson|csv", hide_possible_values = true)]
    pub format: Option<FormatWord>,
    #[command(flatten)]
    pub remote: Remote,
}
