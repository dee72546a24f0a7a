//! The arguments of commands that need no running server.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Subcommand, ValueEnum as _};
use clap_complete::Shell;
use stockade_types::ids::{DropId, HoldId, Lsn};

use super::whole;

/// The shells that completions are made for.
const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

#[derive(Debug, Args)]
pub(crate) struct VerifyOptions {
    /// The data folder
    #[arg(long, value_name = "DIR", default_value = "./stockade-data")]
    pub data: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum JournalCommand {
    /// Print the journal's records in order, a line each.
    #[command(after_help = "Examples:\n  stockade journal dump --data /var/lib/stockade --from 120000 --limit 20\n  \
        stockade journal dump --hold 018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c4d\n  \
        stockade journal dump --drop knife-1204 --json | jq -r 'select(.kind == \"claimed\") | .order_ref'\n\n\
        Customers' ids are shown unmasked. The journal begins where the older snapshot does: older records are in\n\
        the snapshots alone, or with --keep-events in kept/, which --kept shows first. Exits with 0, also\n\
        with a torn tail (which is reported on standard error), with 1 for damage, after\n\
        all records before it; 74 if the folder can't be read.")]
    Dump(DumpOptions),
}

#[derive(Debug, Args)]
pub(crate) struct DumpOptions {
    /// The data folder
    #[arg(long, value_name = "DIR", default_value = "./stockade-data")]
    pub data: PathBuf,
    /// Begin with this record
    #[arg(long, value_name = "LSN", value_parser = lsn)]
    pub from: Option<Lsn>,
    /// Begin with the segments that have left the journal and are kept for readers of events
    #[arg(long)]
    pub kept: bool,
    /// Most records to print
    #[arg(long, value_name = "N", value_parser = whole::<u64>)]
    pub limit: Option<u64>,
    /// Only records of this hold
    #[arg(long, value_name = "UUID")]
    pub hold: Option<HoldId>,
    /// Only records of this drop and its holds; keeps the ids of its holds in memory
    #[arg(long, value_name = "ID")]
    pub drop: Option<DropId>,
    /// Print each record as a JSON object
    #[arg(long)]
    pub json: bool,
}

fn lsn(text: &str) -> Result<Lsn, String> {
    whole(text).map(Lsn)
}

#[derive(Debug, Args)]
pub(crate) struct CompletionOptions {
    /// The shell
    #[arg(value_parser = PossibleValuesParser::new(SHELLS).try_map(|name| Shell::from_str(&name, false)))]
    pub shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct DemoOptions {
    /// The number of customers
    #[arg(long, value_name = "N", default_value_t = 40_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    pub customers: u32,
    /// The number of connections
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub connections: u32,
    /// How many customers are served at once over each connection
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub in_flight: u32,
}
