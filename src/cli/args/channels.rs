//! The arguments of `stockade channels`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum ChannelsCommand {
    /// Check the channels of a configuration: keys, secrets, and each template with a sample of each type of event.
    #[command(after_help = "Examples:\n  stockade channels check\n  \
        PUSH_KEY=... stockade channels check --config /etc/stockade.toml\n\n\
        Sends nothing and needs no server. Exits with 0 if a server would start with them, and with 64 and each\n\
        fault's file and line if not.")]
    Check(ChannelsOptions),
    /// Send a sample by a channel, marked as a test.
    #[command(
        after_help = "Examples:\n  stockade channels test push\n  stockade channels test mail --config /etc/stockade.toml\n\n\
        Needs no server. It is sent whatever the channel's bounds are, and counts for none of them. A mail's subject\n\
        begins with [test], a POST has the header Stockade-Test. Exits with 1 if it is not taken."
    )]
    Test(TestChannelOptions),
    /// List the channels of a configuration.
    #[command(after_help = "Example:\n  stockade channels list --json | jq -r '.channels[].name'\n\n\
        What comes from the environment is not shown.")]
    List(ChannelsOptions),
}

#[derive(Debug, Args)]
pub(crate) struct ChannelsOptions {
    /// The configuration [default: stockade.toml, if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TestChannelOptions {
    /// The channel's name
    #[arg(value_name = "NAME")]
    pub channel: String,
    /// A type of event of which the sample is; otherwise the first that the channel takes
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    #[command(flatten)]
    pub options: ChannelsOptions,
}
