//! What all visits of a load share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use stockade_client::Client;
use stockade_types::metrics::{Counter, Stopwatch};

use crate::ledger::{OpenLedger, Sale};
use crate::samples::Recorder;

/// What all visits share.
pub struct Floor {
    /// The drops.
    pub sales: Vec<Sale>,
    /// Connections for reserves.
    pub clients: Vec<Client>,
    /// Connections for all later calls, as a shop's checkouts have their own: a customer who has units does not queue
    /// behind a million who have not asked yet.
    pub checkouts: Vec<Client>,
    /// How long a customer waits for an answer.
    pub timeout: Duration,
    /// One in this many requests is sent twice at once.
    pub twice_every: Option<u64>,
    /// Collects measurements.
    pub recorder: Recorder,
    /// Collects answers.
    pub ledger: OpenLedger,
    /// Started with the load.
    pub watch: Stopwatch,
    /// Requests that were answered with `UNAVAILABLE` and sent again.
    pub again: Counter,
    requests: AtomicU64,
}

impl Floor {
    /// A load that begins now, over these connections: those for reserves, and those for later calls.
    #[must_use]
    pub fn new(sales: Vec<Sale>, (clients, checkouts): (Vec<Client>, Vec<Client>), timeout: Duration) -> Self {
        // The client's own timeout only ends what this side no longer waits for.
        let patient = |client: Client| client.with_timeout(timeout.saturating_mul(2));
        Self {
            sales,
            clients: clients.into_iter().map(patient).collect(),
            checkouts: checkouts.into_iter().map(patient).collect(),
            timeout,
            twice_every: None,
            recorder: Recorder::default(),
            ledger: OpenLedger::default(),
            watch: Stopwatch::start(),
            again: Counter::default(),
            requests: AtomicU64::new(0),
        }
    }

    /// Whether this request is one of those that are sent twice.
    pub(super) fn twice(&self) -> bool {
        // Relaxed: the counter orders nothing else.
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        self.twice_every.is_some_and(|every| number.checked_rem(every) == Some(0))
    }
}
