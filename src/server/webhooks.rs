//! Starts the deliveries of webhooks with what the server's other parts provide.

use std::sync::Arc;

use super::open::OpenedEngine;
use crate::admin::Admin;
use crate::config::Config;
use crate::grpc::convert::{self, EventFields};
use crate::webhooks::address::Reach;
use crate::webhooks::{Contract, Delivering, NotStarted, Setup, Webhooks};

/// The part of the files that are left for connections which deliveries may take.
const PART_OF_FILES: u64 = 8;

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
    let contract = Contract {
        show: |event, journal, cursor, (customers, stock)| {
            convert::event(event, journal, cursor, EventFields { customers, stock })
        },
        filter: convert::filter_of,
    };
    let reach = if config.webhooks_to_private { Reach::Private } else { Reach::Public };
    let setup = Setup { metrics: Arc::clone(&admin.webhooks), contract, reach, files: files / PART_OF_FILES };
    Webhooks::start(&opened.engine, opened.clock.clone(), setup)
}
