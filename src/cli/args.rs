//! The words of the command line, and the help that teaches them.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::buyer::BuyerOptions;
use crate::config::span;

mod offline;
mod serve;

pub use offline::{CompletionOptions, DemoOptions, DumpOptions, JournalCommand, VerifyOptions};
use serve::SERVE_HELP;
pub use serve::ServeFlags;

/// Where a server is looked for.
const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:7411";

/// A reservation engine for drops.
///
/// Stockade holds a drop's stock in memory, answers a thundering herd exactly, and loses nothing that it has
/// acknowledged.
#[derive(Debug, Parser)]
#[command(
    name = "stockade",
    version,
    after_help = "Examples:\n  \
        stockade demo                                      see it work, in a minute\n  \
        stockade serve --data ./stockade-data              run a server\n  \
        stockade drop apply knife.yaml                     create a drop from a file\n  \
        stockade reserve knife-1204 --sku KNIFE/20cm=2 --customer c1\n\n\
        Exit codes: 0 well; 1 a refusal or a finding; 64 usage or configuration; 69 server not reached; 70 a bug;\n\
        74 I/O or damage; 77 denied."
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a server.
    #[command(after_help = SERVE_HELP)]
    Serve(Box<ServeFlags>),
    /// Start a server, send a herd at it, and audit what came of it.
    #[command(after_help = "Examples:\n  stockade demo\n  stockade demo --customers 5000 --connections 2\n\n\
        Exits with 0 only if the audit is clean. Its data folder is gone afterwards.")]
    Demo(DemoOptions),
    /// Define drops, and steer them while they run.
    #[command(subcommand)]
    Drop(DropCommand),
    /// Set units aside for a customer.
    #[command(after_help = "Examples:\n  \
        stockade reserve knife-1204 --sku KNIFE/20cm=2 --customer c1\n  \
        stockade reserve knife-1204 --sku KNIFE/20cm --sku SHEATH --customer c1 --ttl 2m\n  \
        stockade reserve knife-1204 --sku KNIFE/20cm=3 --customer c1 --allow-partial\n  \
        stockade reserve knife-1204 --sku SHEATH --customer c1 --supersedes 018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c4d\n\n\
        All lines or none, unless less will do. The hold id is the idempotency key: sent again with the same id, the\n\
        answer is the same hold. A refusal exits with 1 and says why.\n\n\
        The quantity stands behind the last =, so a SKU that has one needs its quantity: --sku size=9=1.")]
    Reserve(ReserveOptions),
    /// Move a hold's deadline, never back; or the hold into payment and out of it.
    #[command(after_help = "Examples:\n  \
        stockade extend 018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c4d --ttl 3m\n  \
        stockade extend 018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c4d --stage paying\n  \
        stockade extend 018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c4d --stage held\n\n\
        Into payment the deadline moves to now + payment_ttl at least. Back from it, when a card was declined, the\n\
        hold has at least a minute left: the one move that may shorten.")]
    Extend(ExtendOptions),
    /// Turn a hold into a sale.
    #[command(after_help = "Examples:\n  \
        stockade claim 018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c4d --order A-1001\n  \
        stockade claim 018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c4d --order A-1001 --sku KNIFE/20cm=1\n  \
        stockade claim 018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c4d --order A-1001 --late\n\n\
        Claiming again for the same order is the same answer.")]
    Claim(ClaimOptions),
    /// Give units back before the sale.
    #[command(after_help = "Examples:\n  \
        stockade release 018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c4d\n  \
        stockade release 018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c4d --keep KNIFE/20cm=1\n\n\
        --keep says what shall be left, so sending it twice is safe.")]
    Release(ReleaseOptions),
    /// Give units back after the sale.
    #[command(after_help = "Examples:\n  \
        stockade return 018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c4d\n  \
        stockade return 018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c4d --sku KNIFE/20cm=1 --restock\n\n\
        --sku says what has come back so far, in total, so sending it twice is safe. What comes back is withdrawn,\n\
        unless it goes on sale again with --restock.")]
    Return(ReturnOptions),
    /// Look at holds.
    #[command(subcommand)]
    Hold(HoldCommand),
    /// Follow what happens.
    #[command(subcommand)]
    Events(EventsCommand),
    /// Check a data folder offline: journal, snapshots, and that every unit is accounted for. Changes nothing.
    #[command(after_help = "Examples:\n  stockade verify --data /var/lib/stockade\n  \
        stockade verify --data ./backup --json\n\n\
        Exits with 0 when all is well, also with a torn tail (which is told), and with 1 for damage\n\
        or a sum that does not add up; 74 when the folder can't be read.")]
    Verify(VerifyOptions),
    /// Look into a data folder's journal offline. Changes nothing.
    #[command(subcommand)]
    Journal(JournalCommand),
    /// Print the contract as a descriptor set, for clients that are not made from the .proto files.
    #[command(after_help = "Examples:\n  stockade descriptors > stockade.binpb\n  \
        grpcurl -plaintext -protoset stockade.binpb -d '{\"drop_id\": \"knife-1204\"}' \\\n    \
        127.0.0.1:7411 stockade.v1.DropService/GetDrop\n\n\
        The server tells the same by reflection.")]
    Descriptors,
    /// Print a script that completes this command line in a shell.
    #[command(after_help = "Examples:\n  source <(stockade completions bash)\n  \
        stockade completions bash > /etc/bash_completion.d/stockade\n  \
        stockade completions zsh > \"${fpath[1]}/_stockade\"\n  \
        stockade completions fish > ~/.config/fish/completions/stockade.fish")]
    Completions(CompletionOptions),
}

/// Which server, and how to show its answers.
#[derive(Debug, Args)]
pub struct Remote {
    /// The server to talk to
    #[arg(long, value_name = "URL", env = "STOCKADE_ENDPOINT", default_value = DEFAULT_ENDPOINT)]
    pub endpoint: String,
    /// Print the answer as JSON, with the contract's names
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum DropCommand {
    /// Create a drop from a YAML file, or change the one that is there. The same file again changes nothing.
    #[command(after_help = "A file looks like this:\n\n  \
        kind: Drop\n  id: knife-1204\n  opens_at: 2026-12-04T18:00:00+01:00\n  closes_at: 2026-12-04T20:00:00+01:00\n  \
        hold_ttl: 5m\n  items: [{sku: KNIFE/20cm, quantity: 300}]\n  \
        limits: [{id: two-each, scope: drop, max_units: 2}]\n\n\
        Of a drop that is there the title, labels, closes_at, hold times and limits may change until it is closed,\n\
        opens_at until it opens; items may be added behind the others. What the file leaves out of opens_at, closes_at\n\
        and limits stays as it is: opens_at: now, closes_at: never and limits: [] say otherwise. Stock is changed with:\n\
        stockade drop adjust.\n\n\
        Examples:\n  stockade drop apply knife.yaml --dry-run\n  stockade drop apply knife.yaml\n\n\
        All keys, for an editor: stockade drop schema")]
    Apply(ApplyOptions),
    /// Print the JSON Schema of such a file, for editors and checks.
    #[command(after_help = "Example:\n  stockade drop schema > drop.schema.json\n\n\
        and at the head of a drop's file, for editors that know it:\n\n  \
        # yaml-language-server: $schema=drop.schema.json")]
    Schema,
    /// List drops in the order of their opening.
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
        is claimed, in payment, held and free. Into a pipe goes a line for each change, at most 10 a second; with\n\
        --json one object a line for each message, at least one every 15 seconds.\n\n\
        Exit codes: 0 for Ctrl-C or a reader that has gone; 1 for a drop that is not there; 69 when the server can't be\n\
        reached, stops, or goes silent: it is not connected to again.")]
    Watch(DropOptions),
    /// Stop new reserves; live holds can still be extended, claimed and released.
    #[command(after_help = "Example:\n  stockade drop pause knife-1204")]
    Pause(DropOptions),
    /// End a pause.
    #[command(after_help = "Example:\n  stockade drop resume knife-1204")]
    Resume(DropOptions),
    /// End the sale now, for good; live holds can still be claimed and released.
    #[command(after_help = "Example:\n  stockade drop close knife-1204")]
    Close(DropOptions),
    /// Change the stock of an item, once for each id; never below what customers have.
    #[command(after_help = "Examples:\n  stockade drop adjust knife-1204 --sku KNIFE/20cm --delta 50\n  \
        stockade drop adjust knife-1204 --sku KNIFE/20cm --delta -20\n  \
        stockade drop adjust knife-1204 --sku KNIFE/20cm --set 350 --expected 300")]
    Adjust(AdjustOptions),
}

#[derive(Debug, Args)]
pub struct ListDropsOptions {
    /// Only of this shop
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub shop: String,
    /// Only in this state: scheduled, open, paused, closed, cancelled or archived [default: all but archived]
    #[arg(long)]
    pub state: Option<String>,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub struct AdjustOptions {
    /// The drop's id
    pub drop: String,
    /// The item
    #[arg(long)]
    pub sku: String,
    /// So many units more; below zero: fewer
    #[arg(long, value_name = "UNITS", value_parser = whole::<i64>, allow_hyphen_values = true)]
    pub delta: Option<i64>,
    /// So many units received in all; together with --expected
    #[arg(long, value_name = "UNITS", value_parser = whole::<u64>, conflicts_with = "delta")]
    pub set: Option<u64>,
    /// Only if so many were received until now
    #[arg(long, value_name = "UNITS", value_parser = whole::<u64>)]
    pub expected: Option<u64>,
    /// A UUID for this change, best of version 7: the same again is made once, for 7 days and among the last 256 of the
    /// item; one of version 7 that is older than that is refused. Left out: a new one of version 7
    #[arg(long, value_name = "UUID")]
    pub id: Option<String>,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub struct ApplyOptions {
    /// The file; - for standard input
    pub file: PathBuf,
    /// Only check it, and print what would be created or changed, and what would be sold when
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub struct DropOptions {
    /// The drop's id
    pub drop: String,
    #[command(flatten)]
    pub remote: Remote,
}

/// A SKU with a quantity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goods {
    pub sku: String,
    pub quantity: u32,
}

fn goods(text: &str) -> Result<Goods, String> {
    let Some((sku, quantity)) = text.rsplit_once('=') else {
        return Ok(Goods { sku: text.to_owned(), quantity: 1 });
    };
    match quantity.parse() {
        Ok(quantity) => Ok(Goods { sku: sku.to_owned(), quantity }),
        Err(_bad) => Err(format!("{quantity:?} is not a quantity: write SKU=2, and {text}=1 where that is the SKU")),
    }
}

/// A whole number, in this tool's words where it is none.
fn whole<N: FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_bad| "it must be a whole number within its bounds".to_owned())
}

fn ttl(text: &str) -> Result<Duration, String> {
    const WANTED: &str = "the ttl must be a duration above 0s, such as 30s, 5m or 1h 30m";
    span(text).ok().filter(|ttl| !ttl.is_zero()).ok_or_else(|| WANTED.to_owned())
}

#[derive(Debug, Args)]
pub struct ReserveOptions {
    /// The drop's id
    pub drop: String,
    /// What to set aside, and how much of it, behind the last =; one unit where there is none. Once for each SKU
    #[arg(long = "sku", value_name = "SKU=N", value_parser = goods, required = true)]
    pub lines: Vec<Goods>,
    #[command(flatten)]
    pub buyer: BuyerOptions,
    /// The hold's id, a UUID; made and printed where left out
    #[arg(long, value_name = "UUID")]
    pub hold_id: Option<String>,
    /// The customer's own hold that this one takes the place of, in one step: it must be held, in the same drop
    #[arg(long, value_name = "UUID", default_value = "", hide_default_value = true)]
    pub supersedes: String,
    /// Take what there is of each SKU, at least one unit in all
    #[arg(long)]
    pub allow_partial: bool,
    /// For how long, such as 5m; the drop's `hold_ttl` where left out
    #[arg(long, value_name = "DURATION", value_parser = ttl, allow_hyphen_values = true)]
    pub ttl: Option<Duration>,
    #[command(flatten)]
    pub remote: Remote,
}

/// Which hold a command is about.
#[derive(Debug, Args)]
pub struct HoldTarget {
    /// The hold's id
    pub hold: String,
    /// The drop that it must be in
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub drop: String,
    /// The customer that it must be for
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub customer: String,
}

/// Where a live hold stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StageWord {
    /// Set aside.
    Held,
    /// At the till.
    Paying,
}

#[derive(Debug, Args)]
pub struct ExtendOptions {
    #[command(flatten)]
    pub target: HoldTarget,
    /// From now on, such as 5m; the drop's `hold_ttl` where left out, and into payment its `payment_ttl` at least
    #[arg(long, value_name = "DURATION", value_parser = ttl, allow_hyphen_values = true)]
    pub ttl: Option<Duration>,
    /// Into payment, or back from it: a card was declined
    #[arg(long, value_enum, value_name = "held|paying", hide_possible_values = true)]
    pub stage: Option<StageWord>,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub struct ClaimOptions {
    #[command(flatten)]
    pub target: HoldTarget,
    /// The order that it is for
    #[arg(long, value_name = "REF")]
    pub order: String,
    /// What is sold, the rest given back; everything where left out. Once for each SKU
    #[arg(long = "sku", value_name = "SKU=N", value_parser = goods)]
    pub lines: Vec<Goods>,
    /// A payment has landed after the deadline: take what is free, limits checked again
    #[arg(long)]
    pub late: bool,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub struct ReleaseOptions {
    #[command(flatten)]
    pub target: HoldTarget,
    /// What shall be left in the hold; nothing where left out
    #[arg(long = "keep", value_name = "SKU=N", value_parser = goods)]
    pub keep: Vec<Goods>,
    /// Also when it is in payment, which is given up then
    #[arg(long)]
    pub abandon_payment: bool,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub struct ReturnOptions {
    /// The hold's id
    pub hold: String,
    /// The drop that it must be in
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub drop: String,
    /// What has come back so far, in total; everything where left out. Once for each SKU
    #[arg(long = "sku", value_name = "SKU=N", value_parser = goods)]
    pub returned: Vec<Goods>,
    /// What comes back now is for sale again; else it is withdrawn
    #[arg(long)]
    pub restock: bool,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Subcommand)]
pub enum HoldCommand {
    /// Show a hold, live or ended.
    #[command(after_help = "Examples:\n  stockade hold show 018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c4d\n  \
        stockade hold show 018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c4d --drop knife-1204 --json")]
    Show(ShowHoldOptions),
    /// List holds of a drop, a customer or an order; ended ones too, as long as they are remembered.
    #[command(after_help = "Examples:\n  stockade hold list --drop knife-1204 --state held\n  \
        stockade hold list --customer c1 --older-than 10m")]
    List(ListHoldsOptions),
}

#[derive(Debug, Args)]
pub struct ListHoldsOptions {
    /// Only of this drop. One of --drop, --customer and --order is needed
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub drop: String,
    /// Only of this customer
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub customer: String,
    /// Only claimed for this order
    #[arg(long, value_name = "REF", default_value = "", hide_default_value = true)]
    pub order: String,
    /// Only with a line of this SKU
    #[arg(long, default_value = "", hide_default_value = true)]
    pub sku: String,
    /// Only in this state: held, paying, claimed, released or expired
    #[arg(long)]
    pub state: Option<String>,
    /// Only made so long ago, or longer: 10m
    #[arg(long, value_name = "SPAN", value_parser = ttl)]
    pub older_than: Option<Duration>,
    /// So many at most
    #[arg(long, value_name = "COUNT", value_parser = whole::<usize>, default_value_t = 100)]
    pub most: usize,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub struct ShowHoldOptions {
    /// The hold's id
    pub hold: String,
    /// The drop that it must be in
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub drop: String,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    /// Print events as they come, until Ctrl-C.
    #[command(after_help = "Examples:\n  stockade events tail\n  \
        stockade events tail --drop knife-1204 --type 'hold.*' --type drop.closed\n  \
        stockade events tail --from-oldest --json | jq -c '{id, type, hold: .hold.id}'\n\n\
        Into a pipe, too, a line for each event. With --json each is one object, with its cursor, from which --after\n\
        goes on.")]
    Tail(TailOptions),
}

#[derive(Debug, Args)]
pub struct TailOptions {
    /// A type such as hold.created, a prefix such as 'hold.*', or '*' for all; may be given again [default: *]
    #[arg(long = "type", value_name = "TYPE")]
    pub types: Vec<String>,
    /// Only of this drop
    #[arg(long)]
    pub drop: Option<String>,
    /// What comes behind this cursor; only what comes from now on where left out
    #[arg(long, value_name = "CURSOR", conflicts_with = "from_oldest")]
    pub after: Option<String>,
    /// From the oldest event that is kept
    #[arg(long)]
    pub from_oldest: bool,
    /// With customers, order references and who did it
    #[arg(long)]
    pub with_customers: bool,
    /// With figures of stock
    #[arg(long)]
    pub with_stock: bool,
    #[command(flatten)]
    pub remote: Remote,
}
