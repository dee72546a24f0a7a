//! The arguments of `drop fire` and `drop clone`.

use clap::Args;

use super::Remote;

#[derive(Debug, Args)]
pub(in crate::cli) struct FireOptions {
    /// The drop's id
    pub drop: String,
    /// The item's SKU
    pub sku: String,
    /// The pool that opens
    pub pool: String,
    /// The pool whose customers may draw on it from then on
    pub to: String,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct CloneOptions {
    /// The drop to copy
    pub drop: String,
    /// The id of the new drop
    pub id: String,
    /// When the new drop opens: a time with an offset, such as 2026-12-11T18:00:00+01:00
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub opens_at: jiff::Timestamp,
    /// Only check it, and print what would be sold when
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub remote: Remote,
}

fn instant(text: &str) -> Result<jiff::Timestamp, String> {
    text.parse().map_err(|_bad| "it must be a time with an offset, such as 2026-12-11T18:00:00+01:00".to_owned())
}
