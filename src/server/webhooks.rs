//! Starts the deliveries of webhooks and the messages of channels with what the server's other parts provide.

use std::sync::Arc;

use super::open::OpenedEngine;
use crate::admin::Admin;
use crate::channels::{self, ChannelMetrics, Sending};
use crate::config::Config;
use crate::grpc::convert::{self, EventFields};
use crate::webhooks::address::Reach;
use crate::webhooks::{Contract, Delivering, NotStarted, Setup, Webhooks};

/// The part of the files that are left for connections which deliveries may take.
const PART_OF_FILES: u64 = 8;

/// How events are selected and shown.
const CONTRACT: Contract = Contract {
    show: |event, journal, cursor, (customers, stock)| {
        convert::event(event, journal, cursor, EventFields { customers, stock })
    },
    filter: convert::filter_of,
};

/// Starts deliveries; none if no events are kept. `files` is how many the process may open for connections.
///
/// # Errors
/// [`NotStarted`].
pub(super) fn start(
    config: &Config,
    opened: &OpenedEngine,
    admin: &Admin,
    files: u64,
) -> Result<Option<(Arc<Webhooks>, Delivering)>, NotStarted> {
    let reach = if config.webhooks_to_private { Reach::Private } else { Reach::Public };
    let setup = Setup { metrics: Arc::clone(&admin.webhooks), contract: CONTRACT, reach, files: files / PART_OF_FILES };
    Webhooks::start(&opened.engine, opened.clock.clone(), setup)
}

/// Starts to send the messages of channels; none if there are none.
///
/// # Errors
/// [`NotStarted`].
pub(super) fn start_channels(
    config: &Config,
    opened: &OpenedEngine,
    admin: &Admin,
) -> Result<Option<Sending>, NotStarted> {
    let names = config.channels.iter().map(|channel| &channel.name);
    let metrics = admin.channels.get_or_init(|| ChannelMetrics::new(names));
    channels::start(&opened.engine, opened.clock.clone(), &config.channels, (CONTRACT, metrics))
}
