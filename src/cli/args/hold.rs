//! The arguments of `stockade hold` and `stockade explain`.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::{Remote, ttl, whole};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum HoldCommand {
    /// Show a hold, live or ended.
    #[command(after_help = "Examples:\n  stockade hold show 018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c4d\n  \
        stockade hold show 018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c4d --drop knife-1204 --json")]
    Show(ShowHoldOptions),
    /// List holds of a drop, a customer or an order; also ended ones, as long as they are remembered.
    #[command(after_help = "Examples:\n  stockade hold list --drop knife-1204 --state held\n  \
        stockade hold list --customer c1 --older-than 10m")]
    List(ListHoldsOptions),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ListHoldsOptions {
    /// Only holds of this drop. One of --drop, --customer and --order is needed
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub drop: String,
    /// Only holds of this customer
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub customer: String,
    /// Only holds claimed for this order
    #[arg(long, value_name = "REF", default_value = "", hide_default_value = true)]
    pub order: String,
    /// Only holds of this shop
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub shop: String,
    /// Only holds with a line of this SKU
    #[arg(long, default_value = "", hide_default_value = true)]
    pub sku: String,
    /// Only holds in this state: held, paying, claimed, released or expired
    #[arg(long)]
    pub state: Option<String>,
    /// Only holds made at least this long ago, such as 10m
    #[arg(long, value_name = "SPAN", value_parser = ttl)]
    pub older_than: Option<Duration>,
    /// Most holds to list
    #[arg(long, value_name = "COUNT", value_parser = whole::<usize>, default_value_t = 100)]
    pub most: usize,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ShowHoldOptions {
    /// The hold's id
    pub hold: String,
    /// The drop that it must belong to
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub drop: String,
    #[command(flatten)]
    pub remote: Remote,
}

pub(super) const EXPLAIN_HELP: &str = "Examples:\n  stockade explain 018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c4d\n  \
    stockade explain --drop knife-1204 --customer c1\n  \
    stockade explain --drop knife-1204 --customer c1 --json | jq '.decisions[] | {time, rule_kind, rule_id}'\n\n\
    Changes of holds come from the journal, as far back as events are kept. Refusals come from the server's memory: the\n\
    last of each reason, none from before its start. The last line says since when nothing is missing.";

#[derive(Debug, Args)]
pub(in crate::cli) struct ExplainOptions {
    /// The hold's id, also that of a request that was refused
    #[arg(value_name = "HOLD_ID", required_unless_present_any = ["drop", "customer"])]
    pub hold: Option<String>,
    /// The drop in which a customer is to be explained
    #[arg(long, value_name = "DROP", requires = "customer", conflicts_with = "hold")]
    pub drop: Option<String>,
    /// The customer to be explained
    #[arg(long, value_name = "ID", requires = "drop", conflicts_with = "hold")]
    pub customer: Option<String>,
    #[command(flatten)]
    pub remote: Remote,
}
