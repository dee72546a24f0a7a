//! The arguments of `drop adjust` and `drop reconcile`.

use clap::Args;

use super::{Remote, whole};

#[derive(Debug, Args)]
pub(in crate::cli) struct AdjustOptions {
    /// The drop's id
    pub drop: String,
    /// The item
    #[arg(long)]
    pub sku: String,
    /// Units to add; negative: units to remove
    #[arg(long, value_name = "UNITS", value_parser = whole::<i64>, allow_hyphen_values = true)]
    pub delta: Option<i64>,
    /// The units received in all; together with --expected
    #[arg(long, value_name = "UNITS", value_parser = whole::<u64>, conflicts_with = "delta")]
    pub set: Option<u64>,
    /// Only if this many units were received so far
    #[arg(long, value_name = "UNITS", value_parser = whole::<u64>)]
    pub expected: Option<u64>,
    /// A UUID for this change, best of version 7. A repeated change is made once, within 7 days and the item's last
    /// 256 changes; an id of version 7 that is older than that is refused [default: a new one of version 7]
    #[arg(long, value_name = "UUID")]
    pub id: Option<String>,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ReconcileOptions {
    /// The drop's id
    pub drop: String,
    /// The item
    #[arg(long)]
    pub sku: String,
    /// Only this pool of it [default: all pools together; the one that takes the rest takes the difference]
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub pool: String,
    /// The cursor of the last event that the system of record has taken in
    #[arg(long, value_name = "CURSOR")]
    pub as_of: String,
    /// The units that it had on hand for this drop then
    #[arg(long, value_name = "UNITS", value_parser = whole::<u64>)]
    pub on_hand: u64,
    /// Only compare
    #[arg(long)]
    pub dry_run: bool,
    /// A UUID for this reconciliation, best of version 7. A repeated one is made once, within 7 days and the item's
    /// last 256 changes; an id of version 7 that is older than that is refused [default: a new one of version 7]
    #[arg(long, value_name = "UUID")]
    pub id: Option<String>,
    #[command(flatten)]
    pub remote: Remote,
}
