//! The arguments of the command line, and their help.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::buyer::BuyerOptions;
use super::lines::{Goods, PoolOptions, goods};
use crate::config::span;

mod channels;
mod facts;
mod hold;
mod offline;
mod plan;
mod series;
mod serve;
mod stock;
mod report;
mod webhook;

pub(super) use channels::{ChannelsCommand, ChannelsOptions, TestChannelOptions};
pub(super) use facts::{FactsCommand, FormatWord, ImportOptions};
use hold::EXPLAIN_HELP;
pub(super) use hold::{ExplainOptions, HoldCommand, ListHoldsOptions, ShowHoldOptions};
pub(super) use offline::{CompletionOptions, DemoOptions, DumpOptions, JournalCommand, VerifyOptions};
pub(super) use plan::{CloneOptions, FireOptions};
pub(super) use report::{
    CompareReportsOptions, ExportReportOptions, ListReportsOptions, ReportCommand, ReportForm, ShowReportOptions,
};
pub(super) use series::{ApplySeriesOptions, ListSeriesOptions, PreviewOptions, SeriesCommand, SeriesOptions};
use serve::SERVE_HELP;
pub(super) use serve::ServeFlags;
pub(super) use stock::{AdjustOptions, ReconcileOptions};
pub(super) use webhook::{
    CreateWebhookOptions, ReplayOptions, StateWord, UpdateWebhookOptions, WebhookCommand, WebhookOptions, WebhookParts,
};

/// The server's default address.
const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:7411";

/// A reservation engine for drops.
///
/// Stockade keeps a drop's stock in memory, answers concurrent reserves exactly, and never loses what it has
/// acknowledged.
#[derive(Debug, Parser)]
#[command(
    name = "stockade",
    version,
    after_help = "Examples:\n  \
        stockade demo                                      run a demonstration, in a minute\n  \
        stockade serve --data ./stockade-data              run a server\n  \
        stockade drop apply knife.yaml                     create a drop from a file\n  \
        stockade reserve knife-1204 --sku KNIFE/20cm=2 --customer c1\n\n\
        Exit codes: 0 success; 1 a refusal or a finding; 64 usage or configuration; 69 server not reached; 70 a bug;\n\
        74 I/O or damage; 77 denied."
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a server.
    #[command(after_help = SERVE_HELP)]
    Serve(Box<ServeFlags>),
    /// Start a server, load it with many customers, and audit the result.
    #[command(after_help = "Examples:\n  stockade demo\n  stockade demo --customers 5000 --connections 2\n\n\
        Exits with 0 only if the audit is clean. Its data folder is removed afterwards.")]
    Demo(DemoOptions),
    /// Define drops, and control them while they run.
    #[command(subcommand)]
    Drop(DropCommand),
    /// Create, change and show series: drops that come again
    #[command(subcommand)]
    Series(SeriesCommand),
    /// Reserve units for a customer.
    #[command(after_help = "Examples:\n  \
        stockade reserve knife-1204 --sku KNIFE/20cm=2 --customer c1\n  \
        stockade reserve knife-1204 --sku KNIFE/20cm --sku SHEATH --customer c1 --ttl 2m\n  \
        stockade reserve knife-1204 --sku KNIFE/20cm=3 --customer c1 --allow-partial\n  \
        stockade reserve knife-1204 --sku KNIFE/20cm --pool KNIFE/20cm=stall-4 --customer c1\n  \
        stockade reserve knife-1204 --sku SHEATH --customer c1 --supersedes 018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c4d\n\n\
        All lines or none, unless --allow-partial is set. The hold id is the idempotency key: a reserve sent again\n\
        with the same id gets the same hold. A refusal exits with 1 and its reason.\n\n\
        The quantity follows the last =, so a SKU that contains = needs a quantity: --sku size=9=1.")]
    Reserve(ReserveOptions),
    /// Extend a hold's deadline, or move the hold into or out of payment.
    #[command(after_help = "Examples:\n  \
        stockade extend 018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c4d --ttl 3m\n  \
        stockade extend 018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c4d --stage paying\n  \
        stockade extend 018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c4d --stage held\n\n\
        --stage paying moves the deadline to now + payment_ttl at least. --stage held, for example after a declined\n\
        card, leaves the hold at least a minute: only this may shorten the deadline.")]
    Extend(ExtendOptions),
    /// Turn a hold into a sale.
    #[command(after_help = "Examples:\n  \
        stockade claim 018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c4d --order A-1001\n  \
        stockade claim 018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c4d --order A-1001 --sku KNIFE/20cm=1\n  \
        stockade claim 018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c4d --order A-1001 --late\n\n\
        --pool KNIFE/20cm=members claims units of that pool alone; without it a SKU's units of all its pools count.\n\
        Claiming again for the same order returns the same answer.")]
    Claim(ClaimOptions),
    /// Give units back before the sale.
    #[command(after_help = "Examples:\n  \
        stockade release 018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c4d\n  \
        stockade release 018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c4d --keep KNIFE/20cm=1\n\n\
        --keep states what remains in the hold, so sending it twice is safe. With --pool KNIFE/20cm=members units of\n\
        that pool remain, and no others of that SKU, unless a second --keep and --pool name them.")]
    Release(ReleaseOptions),
    /// Give units back after the sale.
    #[command(after_help = "Examples:\n  \
        stockade return 018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c4d\n  \
        stockade return 018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c4d --sku KNIFE/20cm=1 --restock\n\n\
        --sku states what was returned so far, in total, so sending it twice is safe. Returned units are withdrawn,\n\
        unless --restock puts them on sale again. With --pool KNIFE/20cm=members the units are those of that pool.")]
    Return(ReturnOptions),
    /// Show and list holds.
    #[command(subcommand)]
    Hold(HoldCommand),
    /// Explain why a hold is as it is, or why a customer was refused.
    #[command(after_help = EXPLAIN_HELP)]
    Explain(ExplainOptions),
    /// Follow events.
    #[command(subcommand)]
    Events(EventsCommand),
    /// Have events delivered to a URL, as signed POSTs.
    #[command(subcommand)]
    Webhook(WebhookCommand),
    /// Check, test and list the ways to people that a configuration has.
    #[command(subcommand)]
    Channels(ChannelsCommand),
    /// Show what came of drops.
    #[command(subcommand)]
    Report(ReportCommand),
    /// Record what other systems know of orders and of demand.
    #[command(subcommand)]
    Facts(FactsCommand),
    /// Check a data folder offline: journal, snapshots, and that every unit is accounted for. Changes nothing.
    #[command(after_help = "Examples:\n  stockade verify --data /var/lib/stockade\n  \
        stockade verify --data ./backup --json\n\n\
        Exits with 0 if nothing is wrong, also with a torn tail (which is reported), and with 1 for damage\n\
        or a wrong sum; 74 if the folder can't be read.")]
    Verify(VerifyOptions),
    /// Read a data folder's journal offline. Changes nothing.
    #[command(subcommand)]
    Journal(JournalCommand),
    /// Print the contract as a protobuf descriptor set, for clients without the .proto files.
    #[command(after_help = "Examples:\n  stockade descriptors > stockade.binpb\n  \
        grpcurl -plaintext -protoset stockade.binpb -d '{\"drop_id\": \"knife-1204\"}' \\\n    \
        127.0.0.1:7411 stockade.v1.DropService/GetDrop\n\n\
        The server provides the same by reflection.")]
    Descriptors,
    /// Print a script that completes this command line in a shell.
    #[command(after_help = "Examples:\n  source <(stockade completions bash)\n  \
        stockade completions bash > /etc/bash_completion.d/stockade\n  \
        stockade completions zsh > \"${fpath[1]}/_stockade\"\n  \
        stockade completions fish > ~/.config/fish/completions/stockade.fish")]
    Completions(CompletionOptions),
}

/// The server, and the format of its answers.
#[derive(Debug, Args)]
pub(super) struct Remote {
    /// The server's address
    #[arg(long, value_name = "URL", env = "STOCKADE_ENDPOINT", default_value = DEFAULT_ENDPOINT)]
    pub endpoint: String,
    /// Print the answer as JSON, with the contract's names
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum DropCommand {
    /// Create a drop from a YAML file, or change an existing one. Applying the same file again changes nothing.
    #[command(after_help = "A file looks like this:\n\n  \
        kind: Drop\n  id: knife-1204\n  opens_at: 2026-12-04T18:00:00+01:00\n  closes_at: 2026-12-04T20:00:00+01:00\n  \
        hold_ttl: 5m\n  items: [{sku: KNIFE/20cm, quantity: 300}]\n  \
        limits: [{id: two-each, scope: drop, max_units: 2}]\n\n\
        Of an existing drop the title, labels, closes_at, hold times and limits may change until it is closed,\n\
        opens_at until it opens; items may be added after the others; see docs/rules.md for windows, pools and prices.\n\
        What the file leaves out of opens_at, closes_at, limits, windows, terms, tranches, slot_required, time_zone,\n\
        location, zones and of an item's pools, slot and prices stays as it is: opens_at: now, closes_at: never and\n\
        limits: [] change that. Stock is changed with:\n\
        stockade drop adjust.\n\n\
        Examples:\n  stockade drop apply knife.yaml --dry-run\n  stockade drop apply knife.yaml\n\n\
        All keys, for an editor: stockade drop schema")]
    Apply(ApplyOptions),
    /// Print the JSON Schema of a drop's file, for editors and checks.
    #[command(after_help = "Example:\n  stockade drop schema > drop.schema.json\n\n\
        and, at the top of a drop's file, for editors that support it:\n\n  \
        # yaml-language-server: $schema=drop.schema.json")]
    Schema,
    /// List drops, ordered by opening time.
    #[command(after_help = "Examples:\n  stockade drop list\n  stockade drop list --shop default --state open --json")]
    List(ListDropsOptions),
    /// Show a drop with its state and stock.
    #[command(after_help = "Examples:\n  stockade drop show knife-1204\n  stockade drop show knife-1204 --json")]
    Show(DropOptions),
    /// Watch a drop as it changes, until Ctrl-C.
    #[command(after_help = "Examples:\n  stockade drop watch knife-1204\n  \
        stockade drop watch knife-1204 | tee knife.log\n  \
        stockade drop watch knife-1204 --json | jq -c '.drop.items[] | {sku, free: .stock.free}'\n\n\
        On a terminal one view is redrawn in place: the state, the time to opening or closing, and for each item what\n\
        is claimed, in payment, held and free. A pipe gets a line for each change, at most 10 a second; with\n\
        --json one object a line for each message, at least one every 15 seconds.\n\n\
        Exit codes: 0 for Ctrl-C or a closed pipe; 1 for a drop that does not exist; 69 if the server can't be\n\
        reached, stops, or goes silent: the command does not reconnect.")]
    Watch(DropOptions),
    /// Stop new reserves; live holds can still be extended, claimed and released.
    #[command(after_help = "Example:\n  stockade drop pause knife-1204")]
    Pause(DropOptions),
    /// End a pause.
    #[command(after_help = "Example:\n  stockade drop resume knife-1204")]
    Resume(DropOptions),
    /// End the sale now, permanently; live holds can still be claimed and released.
    #[command(after_help = "Example:\n  stockade drop close knife-1204")]
    Close(DropOptions),
    /// Change the stock of an item, once for each id; never below the units that customers have.
    #[command(after_help = "Examples:\n  stockade drop adjust knife-1204 --sku KNIFE/20cm --delta 50\n  \
        stockade drop adjust knife-1204 --sku KNIFE/20cm --delta -20\n  \
        stockade drop adjust knife-1204 --sku KNIFE/20cm --set 350 --expected 300")]
    Adjust(AdjustOptions),
    /// Compare an item's stock with what a system of record has on hand, and set the difference right.
    #[command(after_help = "Examples:\n  \
        stockade drop reconcile knife-1204 --sku KNIFE/20cm --as-of CURSOR --on-hand 297 --dry-run\n  \
        stockade drop reconcile knife-1204 --sku KNIFE/20cm --as-of CURSOR --on-hand 297\n\n\
        CURSOR is that of the last event that the system of record has taken in, as in: stockade events tail --json.\n\
        The drift is what it has on hand, less what it should have by then: received, less claimed and withdrawn, with\n\
        what reconciliations have corrected since. Units that customers have are not taken out: missing ones are the\n\
        shortage.")]
    Reconcile(ReconcileOptions),
    /// Fire a pool's flow by hand: its units are for the other pool's customers, too, from then on.
    #[command(after_help = "Example:\n  stockade drop fire knife-1204 KNIFE/20cm members public")]
    Fire(FireOptions),
    /// Create a drop like another one, with another id and opening.
    #[command(after_help = "Examples:\n  \
        stockade drop clone knife-1204 knife-1211 --opens-at 2026-12-11T18:00:00+01:00 --dry-run\n  \
        stockade drop clone knife-1204 knife-1211 --opens-at 2026-12-11T18:00:00+01:00\n\n\
        All other times move with the opening, by the clock on the wall of the drop's time zone. The stock is what the\n\
        other drop was defined with: adjustments are not copied.")]
    Clone(CloneOptions),
}

#[derive(Debug, Args)]
pub(super) struct ListDropsOptions {
    /// Only drops of this shop
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub shop: String,
    /// Only drops for this place, or for all
    #[arg(long, value_name = "ZONE", default_value = "", hide_default_value = true)]
    pub zone: String,
    /// Only drops in this state: scheduled, open, paused, closed, cancelled or archived [default: all but archived]
    #[arg(long)]
    pub state: Option<String>,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub(super) struct ApplyOptions {
    /// The file; - for standard input
    pub file: PathBuf,
    /// Only check it, and print what would be created or changed, and what would be sold when
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub(super) struct DropOptions {
    /// The drop's id
    pub drop: String,
    #[command(flatten)]
    pub remote: Remote,
}

/// Parses a whole number, with an error in the words of this tool.
fn whole<N: FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_bad| "it must be a whole number within its bounds".to_owned())
}

fn ttl(text: &str) -> Result<Duration, String> {
    const WANTED: &str = "the ttl must be a duration above 0s, such as 30s, 5m or 1h 30m";
    span(text).ok().filter(|ttl| !ttl.is_zero()).ok_or_else(|| WANTED.to_owned())
}

#[derive(Debug, Args)]
pub(super) struct ReserveOptions {
    /// The drop's id
    pub drop: String,
    /// A SKU, with its quantity after the last =, or one unit without =. Repeat for each SKU
    #[arg(long = "sku", value_name = "SKU=N", value_parser = goods, required = true)]
    pub lines: Vec<Goods>,
    #[command(flatten)]
    pub pools: PoolOptions,
    #[command(flatten)]
    pub buyer: BuyerOptions,
    /// The hold's id, a UUID [default: a new one, which is printed]
    #[arg(long, value_name = "UUID")]
    pub hold_id: Option<String>,
    /// A hold of the same customer and drop that this one replaces in one step; it must be held
    #[arg(long, value_name = "UUID", default_value = "", hide_default_value = true)]
    pub supersedes: String,
    /// Accept fewer units than requested, at least one in all
    #[arg(long)]
    pub allow_partial: bool,
    /// How long the hold lives, such as 5m [default: the drop's `hold_ttl`]
    #[arg(long, value_name = "DURATION", value_parser = ttl, allow_hyphen_values = true)]
    pub ttl: Option<Duration>,
    #[command(flatten)]
    pub remote: Remote,
}

/// The hold that a command is about.
#[derive(Debug, Args)]
pub(super) struct HoldTarget {
    /// The hold's id
    pub hold: String,
    /// The drop that it must belong to
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub drop: String,
    /// The customer that it must belong to
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub customer: String,
}

/// The stage of a live hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum StageWord {
    /// Reserved.
    Held,
    /// In payment.
    Paying,
}

#[derive(Debug, Args)]
pub(super) struct ExtendOptions {
    #[command(flatten)]
    pub target: HoldTarget,
    /// The time from now, such as 5m [default: the drop's `hold_ttl`]; with --stage paying at least its `payment_ttl`
    #[arg(long, value_name = "DURATION", value_parser = ttl, allow_hyphen_values = true)]
    pub ttl: Option<Duration>,
    /// Move the hold into payment, or back, for example after a declined card
    #[arg(long, value_enum, value_name = "held|paying", hide_possible_values = true)]
    pub stage: Option<StageWord>,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub(super) struct ClaimOptions {
    #[command(flatten)]
    pub target: HoldTarget,
    /// The order's reference
    #[arg(long, value_name = "REF")]
    pub order: String,
    /// What is sold; the remainder is released [default: everything]. Repeat for each SKU
    #[arg(long = "sku", value_name = "SKU=N", value_parser = goods)]
    pub lines: Vec<Goods>,
    #[command(flatten)]
    pub pools: PoolOptions,
    /// Claim after the deadline: takes free units, and checks limits again
    #[arg(long)]
    pub late: bool,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub(super) struct ReleaseOptions {
    #[command(flatten)]
    pub target: HoldTarget,
    /// What remains in the hold [default: nothing]. Repeat for each SKU
    #[arg(long = "keep", value_name = "SKU=N", value_parser = goods)]
    pub keep: Vec<Goods>,
    #[command(flatten)]
    pub pools: PoolOptions,
    /// Also release a hold in payment, which abandons the payment
    #[arg(long)]
    pub abandon_payment: bool,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub(super) struct ReturnOptions {
    /// The hold's id
    pub hold: String,
    /// The drop that it must belong to
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub drop: String,
    /// What was returned so far, in total [default: everything]. Repeat for each SKU
    #[arg(long = "sku", value_name = "SKU=N", value_parser = goods)]
    pub returned: Vec<Goods>,
    #[command(flatten)]
    pub pools: PoolOptions,
    /// Put the units that are returned now on sale again; otherwise they are withdrawn
    #[arg(long)]
    pub restock: bool,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Subcommand)]
pub(super) enum EventsCommand {
    /// Print events as they happen, until Ctrl-C.
    #[command(after_help = "Examples:\n  stockade events tail\n  \
        stockade events tail --drop knife-1204 --type 'hold.*' --type drop.closed\n  \
        stockade events tail --from-oldest --json | jq -c '{id, type, hold: .hold.id}'\n\n\
        Prints a line for each event, also into a pipe. With --json a line is an object with a cursor; --after\n\
        continues from it.")]
    Tail(TailOptions),
}

#[derive(Debug, Args)]
pub(super) struct TailOptions {
    /// A type such as hold.created, a prefix such as 'hold.*', or '*' for all; may be repeated [default: *]
    #[arg(long = "type", visible_alias = "types", value_name = "TYPE", value_delimiter = ',')]
    pub types: Vec<String>,
    /// Only events of windows, pools, tranches, terms and signals with this id; may be repeated
    #[arg(long = "name", value_name = "ID")]
    pub names: Vec<String>,
    /// Only signals that are meant for this channel; may be repeated
    #[arg(long = "channel", value_name = "CHANNEL")]
    pub channels: Vec<String>,
    /// Only events of this drop
    #[arg(long)]
    pub drop: Option<String>,
    /// Only events after this cursor [default: only new events]
    #[arg(long, value_name = "CURSOR", conflicts_with = "from_oldest")]
    pub after: Option<String>,
    /// Begin with the oldest event that is kept
    #[arg(long)]
    pub from_oldest: bool,
    /// Include customers, order references and actors
    #[arg(long)]
    pub with_customers: bool,
    /// Include stock figures
    #[arg(long)]
    pub with_stock: bool,
    #[command(flatten)]
    pub remote: Remote,
}
