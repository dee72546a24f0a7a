//! The arguments of `stockade webhook`.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::Remote;
use crate::config::span;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum WebhookCommand {
    /// Create a webhook. The same command again changes nothing.
    #[command(after_help = "Examples:\n  stockade webhook create mailer https://example.com/hook --type 'hold.*'\n  \
        stockade webhook create books https://example.com/hook --type hold.claimed --with-customers --max-batch 100\n\n\
        Prints the secret that deliveries are signed with, until the first one has succeeded. Events are delivered from\n\
        now on, or after the cursor of --after.")]
    Create(Box<CreateWebhookOptions>),
    /// Change a webhook: what is not named stays as it is.
    #[command(after_help = "Examples:\n  stockade webhook update mailer --url https://example.com/other\n  \
        stockade webhook update mailer --state disabled\n  \
        stockade webhook update mailer --new-secret whsec_...\n\n\
        A secret that is replaced signs beside the new one for a day.")]
    Update(Box<UpdateWebhookOptions>),
    /// Show a webhook with its last deliveries.
    #[command(after_help = "Example:\n  stockade webhook show mailer")]
    Show(WebhookOptions),
    /// List webhooks.
    #[command(after_help = "Example:\n  stockade webhook list --json")]
    List(Remote),
    /// Delete a webhook. If it is gone already, all is well.
    #[command(after_help = "Example:\n  stockade webhook delete mailer")]
    Delete(WebhookOptions),
    /// Send a test event now, and print what came back.
    #[command(after_help = "Example:\n  stockade webhook test mailer\n\n\
        Exits with 0 if the receiver has taken it, else with 1.")]
    Test(WebhookOptions),
    /// Deliver events again, from a cursor on.
    #[command(after_help = "Example:\n  stockade webhook replay mailer --after CURSOR\n\n\
        CURSOR is that of any event, as in: stockade events tail --json. Receivers know what they have by its id.")]
    Replay(ReplayOptions),
}

/// The state of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum StateWord {
    /// Events are delivered.
    Enabled,
    /// Events wait.
    Disabled,
}

/// What may be said about a webhook.
#[derive(Debug, Args)]
pub(in crate::cli) struct WebhookParts {
    /// A type such as hold.created, a prefix such as 'hold.*', or '*' for all; may be repeated
    #[arg(long = "type", value_name = "TYPE")]
    pub types: Vec<String>,
    /// Only events of this shop
    #[arg(long, value_name = "ID")]
    pub shop: Option<String>,
    /// Only events of this series
    #[arg(long, value_name = "ID")]
    pub series: Option<String>,
    /// Only events of this drop
    #[arg(long, value_name = "ID")]
    pub drop: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// Include customers, order references and actors
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub with_customers: Option<bool>,
    /// Include stock figures
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub with_stock: Option<bool>,
    /// Give an event up if it was not taken for so long, 5s to 3d [default: 24h]
    #[arg(long, value_name = "DURATION", value_parser = span)]
    pub give_up_after: Option<Duration>,
    /// Deliver up to so many events at once, at most 100 [default: 1]
    #[arg(long, value_name = "N")]
    pub max_batch: Option<u32>,
    /// Whether events are delivered
    #[arg(long, value_enum, value_name = "enabled|disabled", hide_possible_values = true)]
    pub state: Option<StateWord>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct CreateWebhookOptions {
    /// The webhook's id
    pub webhook: String,
    /// Where events are delivered to
    pub url: String,
    #[command(flatten)]
    pub parts: WebhookParts,
    /// The secret: `whsec_` and 24-64 bytes in base64 [default: one is made]
    #[arg(long, value_name = "SECRET", default_value = "", hide_default_value = true)]
    pub secret: String,
    /// Deliver events after this cursor [default: only new events]
    #[arg(long, value_name = "CURSOR", default_value = "", hide_default_value = true)]
    pub after: String,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct UpdateWebhookOptions {
    /// The webhook's id
    pub webhook: String,
    /// Where events are delivered to
    #[arg(long)]
    pub url: Option<String>,
    #[command(flatten)]
    pub parts: WebhookParts,
    /// A new secret: `whsec_` and 24-64 bytes in base64
    #[arg(long, value_name = "SECRET", default_value = "", hide_default_value = true)]
    pub new_secret: String,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct WebhookOptions {
    /// The webhook's id
    pub webhook: String,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ReplayOptions {
    /// The webhook's id
    pub webhook: String,
    /// Deliver events after this cursor again
    #[arg(long, value_name = "CURSOR")]
    pub after: String,
    #[command(flatten)]
    pub remote: Remote,
}
